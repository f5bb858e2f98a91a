//! The two 16-bit floats of ONNX as storage types: exact widening, one rounding on the way back.
//!
//! No arithmetic lives here. A kernel widens to f32, computes, and rounds once (Spec: N-10).

/// Holds an IEEE 754 binary16 value as its bits.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct F16(pub u16);

/// Holds a bfloat16 value (the upper half of a binary32) as its bits.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bf16(pub u16);

impl F16 {
    /// The canonical NaN (Spec: N-9).
    pub const NAN: F16 = F16(0x7e00);

    /// Widens exactly; every NaN becomes the canonical one.
    #[inline(always)]
    pub fn to_f32(self) -> f32 {
        let magnitude = u32::from(self.0 & 0x7fff);
        let sign = u32::from(self.0 & 0x8000) << 16;
        // The fields land in binary32 with a bias 112 too small: one exact multiplication mends it,
        // subnormals included.
        let finite = f32::from_bits(magnitude << 13) * f32::from_bits(0x7780_0000);
        let special = if magnitude > 0x7c00 {
            0x7fc0_0000
        } else {
            sign | 0x7f80_0000
        };
        let bits = if magnitude >= 0x7c00 {
            special
        } else {
            finite.to_bits() | sign
        };
        f32::from_bits(bits)
    }

    /// Rounds to nearest even, to infinity past the range.
    #[inline(always)]
    pub fn from_f32(value: f32) -> F16 {
        let bits = value.to_bits();
        let sign = (bits >> 16) & 0x8000;
        let a = bits & 0x7fff_ffff;
        // Adding 0.5 aligns the last place of the sum with the smallest subnormal of binary16.
        let small = (f32::from_bits(a) + 0.5)
            .to_bits()
            .wrapping_sub(0x3f00_0000);
        let normal = a
            .wrapping_sub(112 << 23)
            .wrapping_add(0xfff + ((a >> 13) & 1))
            >> 13;
        let finite = if a < 0x3880_0000 { small } else { normal };
        let ranged = if a >= 0x477f_f000 { 0x7c00 } else { finite };
        let code = if a > 0x7f80_0000 {
            0x7e00
        } else {
            ranged | sign
        };
        F16(code as u16)
    }

    /// Rounds a binary64 once to nearest even.
    #[inline]
    pub fn from_f64(value: f64) -> F16 {
        F16::from_f32(narrow_to_odd(value))
    }

    /// Widens exactly.
    #[inline]
    pub fn to_f64(self) -> f64 {
        f64::from(self.to_f32())
    }
}

impl Bf16 {
    /// The canonical NaN (Spec: N-9).
    pub const NAN: Bf16 = Bf16(0x7fc0);

    /// Widens exactly; every NaN becomes the canonical one.
    #[inline(always)]
    pub fn to_f32(self) -> f32 {
        let bits = u32::from(self.0) << 16;
        f32::from_bits(if bits & 0x7fff_ffff > 0x7f80_0000 {
            0x7fc0_0000
        } else {
            bits
        })
    }

    /// Rounds to nearest even, to infinity past the range.
    #[inline(always)]
    pub fn from_f32(value: f32) -> Bf16 {
        let bits = value.to_bits();
        let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
        let nan = bits & 0x7fff_ffff > 0x7f80_0000;
        Bf16(if nan { 0x7fc0 } else { rounded as u16 })
    }

    /// Rounds a binary64 once to nearest even.
    #[inline]
    pub fn from_f64(value: f64) -> Bf16 {
        Bf16::from_f32(narrow_to_odd(value))
    }

    /// Widens exactly.
    #[inline]
    pub fn to_f64(self) -> f64 {
        f64::from(self.to_f32())
    }
}

/// Narrows to binary32 rounding to odd, so that a second rounding to at most 22 bits equals one
/// rounding of the original.
#[inline]
pub(crate) fn narrow_to_odd(value: f64) -> f32 {
    let nearest = value as f32;
    let back = f64::from(nearest);
    if back == value || value.is_nan() {
        return nearest;
    }
    let bits = nearest.to_bits();
    let truncated = if back.abs() > value.abs() {
        bits - 1
    } else {
        bits
    };
    f32::from_bits(truncated | 1)
}

/// Converts an integer to binary64 rounding to odd, for one exact rounding to a narrower format.
#[inline]
pub(crate) fn integer_to_odd(magnitude: u64) -> f64 {
    let excess = (64 - magnitude.leading_zeros()).saturating_sub(53);
    let kept = magnitude >> excess;
    let lost = magnitude & !(u64::MAX << excess);
    let odd = kept | u64::from(lost != 0);
    // `odd` has at most 53 bits and the scale is a power of two: both steps are exact.
    odd as f64 * (1u64 << excess) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes binary16 by its definition.
    fn oracle(code: u16) -> f64 {
        let sign = if code & 0x8000 == 0 { 1.0 } else { -1.0 };
        let exponent = i32::from((code >> 10) & 31);
        let fraction = f64::from(code & 0x3ff) / 1024.0;
        match exponent {
            31 if code & 0x3ff == 0 => sign * f64::INFINITY,
            31 => f64::NAN,
            0 => sign * fraction * f64::from_bits(((1023 - 14) as u64) << 52),
            e => sign * (1.0 + fraction) * f64::from_bits(((1023 + e - 15) as u64) << 52),
        }
    }

    #[test]
    fn f16_widens_every_code_exactly_and_comes_back() {
        for code in 0..=u16::MAX {
            let wide = F16(code).to_f32();
            let want = oracle(code);
            if want.is_nan() {
                assert_eq!(wide.to_bits(), 0x7fc0_0000);
                assert_eq!(F16::from_f32(wide), F16::NAN);
            } else {
                assert_eq!(f64::from(wide).to_bits(), want.to_bits(), "{code:#x}");
                assert_eq!(F16::from_f32(wide).0, code);
                assert_eq!(F16::from_f64(want).0, code);
            }
        }
    }

    #[test]
    fn f16_ties_go_to_even_and_neighbours_of_ties_do_not() {
        for code in 0..0x7bffu16 {
            let low = oracle(code);
            let high = oracle(code + 1);
            let tie = (low + high) / 2.0;
            let even = if code & 1 == 0 { code } else { code + 1 };
            assert_eq!(F16::from_f32(tie as f32).0, even);
            assert_eq!(F16::from_f64(tie).0, even);
            // One part in 2^53 beside the tie: a double rounding would be wrong here.
            assert_eq!(F16::from_f64(f64::from_bits(tie.to_bits() + 1)).0, code + 1);
            assert_eq!(F16::from_f64(f64::from_bits(tie.to_bits() - 1)).0, code);
        }
        assert_eq!(F16::from_f32(65519.99).0, 0x7bff);
        assert_eq!(F16::from_f32(65520.0).0, 0x7c00);
        assert_eq!(F16::from_f64(-1e300).0, 0xfc00);
    }

    #[test]
    fn bf16_is_the_upper_half_rounded_to_even() {
        for code in 0..=u16::MAX {
            let wide = Bf16(code).to_f32();
            if wide.is_nan() {
                assert_eq!(Bf16::from_f32(wide), Bf16::NAN);
                continue;
            }
            assert_eq!(wide.to_bits(), u32::from(code) << 16);
            assert_eq!(Bf16::from_f32(wide).0, code);
            if code & 0x7fff < 0x7f7f {
                let tie = (u32::from(code) << 16) | 0x8000;
                let even = if code & 1 == 0 { code } else { code + 1 };
                assert_eq!(Bf16::from_f32(f32::from_bits(tie)).0, even);
                assert_eq!(Bf16::from_f32(f32::from_bits(tie + 1)).0, code + 1);
                let just_above = f64::from_bits(f64::from(f32::from_bits(tie)).to_bits() + 1);
                assert_eq!(Bf16::from_f64(just_above).0, code + 1);
            }
        }
    }

    #[test]
    fn integers_round_to_odd_beyond_53_bits() {
        assert_eq!(integer_to_odd(0), 0.0);
        assert_eq!(integer_to_odd((1 << 53) - 1), 9007199254740991.0);
        let above_tie = (1u64 << 63) + (1 << 55) + 1;
        assert_eq!(
            Bf16::from_f64(integer_to_odd(above_tie)).to_f64(),
            9295429630892703744.0
        );
        assert_eq!(
            Bf16::from_f64(integer_to_odd(above_tie - 1)).to_f64(),
            9223372036854775808.0
        );
    }
}
