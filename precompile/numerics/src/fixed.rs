//! Fixed point and floats: the exact conversions at the border between contracts and models.
//!
//! A fixed-point value is an integer of up to 256 bits that stands for itself divided by
//! `10^decimals`. Towards a float the quotient is rounded once, to nearest even; back from a float
//! the exact product is rounded once to an integer, half to even.

use crate::half::{Bf16, F16};

/// The most decimals a fixed-point value may have.
pub const MAX_DECIMALS: u8 = 36;

/// Holds a signed integer as sign and 256-bit magnitude, the lowest limb first. Zero is never negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Fixed {
    /// Whether the value is below zero.
    pub negative: bool,
    /// The absolute value.
    pub magnitude: [u64; 4],
}

/// Names the float formats a fixed-point value converts to: precision and exponent range.
#[derive(Clone, Copy)]
struct Format {
    /// Bits of the significand, the hidden one included.
    precision: u32,
    /// Exponent of the smallest normal number.
    min_exponent: i32,
    /// Exponent of the largest finite number.
    max_exponent: i32,
}

const F32: Format = Format {
    precision: 24,
    min_exponent: -126,
    max_exponent: 127,
};
const F64: Format = Format {
    precision: 53,
    min_exponent: -1022,
    max_exponent: 1023,
};
const F16_FORMAT: Format = Format {
    precision: 11,
    min_exponent: -14,
    max_exponent: 15,
};
const BF16_FORMAT: Format = Format {
    precision: 8,
    min_exponent: -126,
    max_exponent: 127,
};

impl Fixed {
    /// Converts to binary32: the correctly rounded quotient; `None` when it rounds to infinity.
    // Spec: N-15
    pub fn to_f32(self, decimals: u8) -> Option<f32> {
        let (significand, exponent) = self.quotient(decimals, F32)?;
        let bits = encode(significand, exponent, F32) as u32;
        Some(f32::from_bits(bits | u32::from(self.negative) << 31))
    }

    /// Converts to binary64; see [`Fixed::to_f32`].
    pub fn to_f64(self, decimals: u8) -> Option<f64> {
        let (significand, exponent) = self.quotient(decimals, F64)?;
        let bits = encode(significand, exponent, F64);
        Some(f64::from_bits(bits | u64::from(self.negative) << 63))
    }

    /// Converts to binary16; see [`Fixed::to_f32`].
    pub fn to_f16(self, decimals: u8) -> Option<F16> {
        let (significand, exponent) = self.quotient(decimals, F16_FORMAT)?;
        let bits = encode(significand, exponent, F16_FORMAT) as u16;
        Some(F16(bits | u16::from(self.negative) << 15))
    }

    /// Converts to bfloat16; see [`Fixed::to_f32`].
    pub fn to_bf16(self, decimals: u8) -> Option<Bf16> {
        let (significand, exponent) = self.quotient(decimals, BF16_FORMAT)?;
        let bits = encode(significand, exponent, BF16_FORMAT) as u16;
        Some(Bf16(bits | u16::from(self.negative) << 15))
    }

    /// Converts to a whole number; `None` when it is not whole at this scale or exceeds 128 bits.
    pub fn to_integer(self, decimals: u8) -> Option<i128> {
        let (quotient, remainder) = divide_by_power(self.magnitude, decimals);
        if remainder || quotient[2] != 0 || quotient[3] != 0 {
            return None;
        }
        let magnitude = u128::from(quotient[1]) << 64 | u128::from(quotient[0]);
        let value = i128::try_from(magnitude).ok()?;
        Some(if self.negative { -value } else { value })
    }

    /// Says whether the value is whole at this scale.
    pub fn is_whole(self, decimals: u8) -> bool {
        !divide_by_power(self.magnitude, decimals).1
    }

    /// Converts a whole number exactly; `None` when the product exceeds 255 bits.
    pub fn from_integer(value: i128, decimals: u8) -> Option<Fixed> {
        let magnitude = value.unsigned_abs();
        let wide = [magnitude as u64, (magnitude >> 64) as u64, 0, 0, 0, 0];
        Fixed::checked(value < 0, multiply_by_power(wide, decimals))
    }

    /// Converts a binary64 number: the exact product rounded half to even; `None` for NaN, infinity
    /// and products beyond 255 bits.
    // Spec: N-15
    pub fn from_f64(value: f64, decimals: u8) -> Option<Fixed> {
        if !value.is_finite() {
            return None;
        }
        let bits = value.to_bits();
        let field = ((bits >> 52) & 0x7ff) as i32;
        let fraction = bits & ((1 << 52) - 1);
        let (significand, exponent) = if field == 0 {
            (fraction, -1074)
        } else {
            (fraction | 1 << 52, field - 1075)
        };
        let product = multiply_by_power([significand, 0, 0, 0, 0, 0], decimals);
        let shifted = if exponent >= 0 {
            shift_left(product, exponent as u32)?
        } else {
            shift_right_even(product, exponent.unsigned_abs())
        };
        Fixed::checked(bits >> 63 == 1, shifted)
    }

    /// Converts a binary32 number; see [`Fixed::from_f64`] (widening is exact).
    pub fn from_f32(value: f32, decimals: u8) -> Option<Fixed> {
        Fixed::from_f64(f64::from(value), decimals)
    }

    fn checked(negative: bool, wide: [u64; 6]) -> Option<Fixed> {
        let magnitude = [wide[0], wide[1], wide[2], wide[3]];
        if wide[4] != 0 || wide[5] != 0 || magnitude[3] >> 63 != 0 {
            return None;
        }
        Some(Fixed {
            negative: negative && magnitude != [0; 4],
            magnitude,
        })
    }

    /// Divides by the power of ten and rounds to a format: the significand and the exponent of its
    /// lowest bit; `None` beyond the largest finite number.
    fn quotient(self, decimals: u8, format: Format) -> Option<(u64, i32)> {
        let bits = bit_length(&self.magnitude);
        if bits == 0 {
            return Some((0, 0));
        }
        // The dividend is shifted so that the quotient has at least 64 bits: more than any format
        // needs, the rest is in the sticky bit. One division does for the usual values.
        if let ([power, 1], [low, high, 0, 0]) = (ten_to(decimals), self.magnitude) {
            let shift = 128 - bits;
            let dividend = (u128::from(high) << 64 | u128::from(low)) << shift;
            let quotient = dividend / u128::from(power);
            let sticky = quotient * u128::from(power) != dividend;
            let wide = [quotient as u64, (quotient >> 64) as u64, 0, 0, 0, 0];
            return round(wide, sticky, -(shift as i32), format);
        }
        let mut wide = [0u64; 6];
        wide[..4].copy_from_slice(&self.magnitude);
        let shift = 384 - bits;
        let wide = shift_left(wide, shift).expect("invariant: shifted into the free high bits");
        let (quotient, sticky) = divide_by_power(wide, decimals);
        round(quotient, sticky, -(shift as i32), format)
    }
}

/// Rounds `value * 2^exponent` (plus a bit below when sticky) to the format.
fn round(value: [u64; 6], sticky: bool, exponent: i32, format: Format) -> Option<(u64, i32)> {
    let bits = bit_length(&value) as i32;
    let top = exponent + bits - 1;
    // The lowest bit kept: by precision, or by the smallest subnormal.
    let lowest =
        (top - format.precision as i32 + 1).max(format.min_exponent - format.precision as i32 + 1);
    let drop = lowest - exponent;
    let (mut significand, mut lowest) = if drop <= 0 {
        // The value has at least 64 bits, so something is always dropped.
        unreachable!("invariant: the quotient is wider than every format")
    } else if drop > bits {
        // Below half of the smallest subnormal.
        return Some((0, lowest));
    } else {
        let kept = low_u64(shift_right(value, drop as u32));
        let half = bit(&value, drop as u32 - 1);
        let below = sticky || any_below(&value, drop as u32 - 1);
        (kept + u64::from(half && (below || kept & 1 == 1)), lowest)
    };
    if significand >> format.precision != 0 {
        significand >>= 1;
        lowest += 1;
    }
    let largest = format.max_exponent - format.precision as i32 + 1;
    (lowest <= largest).then_some((significand, lowest))
}

/// Assembles the bits of a format, without the sign.
fn encode(significand: u64, lowest: i32, format: Format) -> u64 {
    let stored = format.precision - 1;
    if significand >> stored == 0 {
        return significand;
    }
    let biased = lowest + stored as i32 + 1 - format.min_exponent;
    (biased as u64) << stored | (significand & ((1 << stored) - 1))
}

const TEN_TO_19: u64 = 10_000_000_000_000_000_000;

fn ten_to(decimals: u8) -> [u64; 2] {
    assert!(
        decimals <= MAX_DECIMALS,
        "at most {MAX_DECIMALS} decimals, got {decimals}"
    );
    if decimals > 19 {
        [TEN_TO_19, 10u64.pow(u32::from(decimals) - 19)]
    } else {
        [10u64.pow(u32::from(decimals)), 1]
    }
}

/// Divides by the power of ten; also says whether there is a remainder.
fn divide_by_power<const N: usize>(value: [u64; N], decimals: u8) -> ([u64; N], bool) {
    let mut quotient = value;
    let mut sticky = false;
    // floor(floor(x / a) / b) = floor(x / (a b)), and the remainder is zero when both are.
    for divisor in ten_to(decimals) {
        if divisor == 1 {
            continue;
        }
        let mut remainder: u64 = 0;
        for limb in quotient.iter_mut().rev() {
            let dividend = u128::from(remainder) << 64 | u128::from(*limb);
            *limb = (dividend / u128::from(divisor)) as u64;
            remainder = (dividend % u128::from(divisor)) as u64;
        }
        sticky |= remainder != 0;
    }
    (quotient, sticky)
}

/// Multiplies by the power of ten; six limbs hold every product of a 128-bit number.
fn multiply_by_power(value: [u64; 6], decimals: u8) -> [u64; 6] {
    let mut product = value;
    for factor in ten_to(decimals) {
        let mut carry: u64 = 0;
        for limb in &mut product {
            let wide = u128::from(*limb) * u128::from(factor) + u128::from(carry);
            *limb = wide as u64;
            carry = (wide >> 64) as u64;
        }
    }
    product
}

fn bit_length(value: &[u64]) -> u32 {
    value
        .iter()
        .rposition(|&limb| limb != 0)
        .map_or(0, |at| at as u32 * 64 + 64 - value[at].leading_zeros())
}

fn bit(value: &[u64], at: u32) -> bool {
    value
        .get((at / 64) as usize)
        .is_some_and(|limb| limb >> (at % 64) & 1 == 1)
}

fn any_below(value: &[u64], at: u32) -> bool {
    let limb = (at / 64) as usize;
    value.iter().take(limb).any(|&v| v != 0)
        || value
            .get(limb)
            .is_some_and(|v| v & ((1u64 << (at % 64)) - 1) != 0)
}

fn low_u64(value: [u64; 6]) -> u64 {
    value[0]
}

fn shift_left(value: [u64; 6], by: u32) -> Option<[u64; 6]> {
    if bit_length(&value) + by > 384 {
        return None;
    }
    let (limbs, bits) = ((by / 64) as usize, by % 64);
    let mut out = [0u64; 6];
    for at in limbs..6 {
        let low = value[at - limbs] << bits;
        let carried = if bits > 0 && at > limbs {
            value[at - limbs - 1] >> (64 - bits)
        } else {
            0
        };
        out[at] = low | carried;
    }
    Some(out)
}

fn shift_right(value: [u64; 6], by: u32) -> [u64; 6] {
    let (limbs, bits) = ((by / 64) as usize, by % 64);
    let mut out = [0u64; 6];
    for at in 0..6usize.saturating_sub(limbs) {
        let low = value[at + limbs] >> bits;
        let high = value.get(at + limbs + 1).copied().unwrap_or(0);
        out[at] = low | if bits > 0 { high << (64 - bits) } else { 0 };
    }
    out
}

/// Shifts right and rounds half to even.
fn shift_right_even(value: [u64; 6], by: u32) -> [u64; 6] {
    if by > 384 {
        return [0; 6];
    }
    let mut out = shift_right(value, by);
    if bit(&value, by - 1) && (any_below(&value, by - 1) || out[0] & 1 == 1) {
        for limb in &mut out {
            let (sum, carry) = limb.overflowing_add(1);
            *limb = sum;
            if !carry {
                break;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(value: i128) -> Fixed {
        let magnitude = value.unsigned_abs();
        Fixed {
            negative: value < 0,
            magnitude: [magnitude as u64, (magnitude >> 64) as u64, 0, 0],
        }
    }

    #[test]
    fn quotients_equal_correctly_rounded_parsing() {
        // Rust's decimal parser is correctly rounded, so it is an independent oracle.
        let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
        for round in 0..20_000u32 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(u64::from(round) | 1);
            let wide = (u128::from(state) << 40) ^ u128::from(state.rotate_left(17));
            let value = (wide >> (state % 100)) as i128 * if state & 1 == 0 { 1 } else { -1 };
            let decimals = (state >> 32) as u8 % 37;
            let text = format!("{value}e-{decimals}");
            let f32_bits = fixed(value).to_f32(decimals).map(f32::to_bits);
            assert_eq!(
                f32_bits,
                Some(text.parse::<f32>().unwrap().to_bits()),
                "{text}"
            );
            let expected: f64 = text.parse().unwrap();
            let f64_bits = fixed(value).to_f64(decimals).map(f64::to_bits);
            assert_eq!(f64_bits, Some(expected.to_bits()), "{text}");
        }
    }

    #[test]
    fn rounds_half_to_even_both_ways() {
        // 16777217 = 2^24 + 1 lies half-way between two binary32 numbers.
        assert_eq!(fixed(16_777_217).to_f32(0), Some(16_777_216.0));
        assert_eq!(fixed(16_777_219).to_f32(0), Some(16_777_220.0));
        assert_eq!(Fixed::from_f64(0.5, 0), Some(fixed(0)));
        assert_eq!(Fixed::from_f64(1.5, 0), Some(fixed(2)));
        assert_eq!(Fixed::from_f64(-2.5, 0), Some(fixed(-2)));
        assert_eq!(
            Fixed::from_f32(0.1, 18),
            Some(fixed(100_000_001_490_116_119))
        );
    }

    #[test]
    fn round_trips_every_scale_of_one() {
        for decimals in 0..=MAX_DECIMALS {
            let one = Fixed::from_integer(1, decimals).unwrap();
            assert_eq!(one.to_f64(decimals), Some(1.0));
            assert_eq!(one.to_integer(decimals), Some(1));
            assert_eq!(Fixed::from_f64(1.0, decimals), Some(one));
        }
    }

    #[test]
    fn refuses_what_has_no_counterpart() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(Fixed::from_f64(value, 18), None);
        }
        assert_eq!(Fixed::from_f64(f64::MAX, 0), None);
        assert_eq!(Fixed::from_f64(2f64.powi(255), 0), None);
        assert!(Fixed::from_f64(2f64.powi(254), 0).is_some());
        let huge = Fixed {
            negative: false,
            magnitude: [u64::MAX; 4],
        };
        assert_eq!(huge.to_f32(0), None);
        assert_eq!(huge.to_f16(18), None);
        assert_eq!(huge.to_f64(0), Some(2f64.powi(256)));
        assert_eq!(fixed(1_500).to_integer(3), None);
        assert_eq!(fixed(-2_000).to_integer(3), Some(-2));
    }

    #[test]
    fn reaches_half_precision_subnormals_with_one_rounding() {
        // 2^-25 is half of the smallest binary16 subnormal: the tie goes to zero, anything more up.
        assert_eq!(fixed(298_023_223_876_953_125).to_f16(25), Some(F16(0)));
        assert_eq!(fixed(298_023_223_876_953_126).to_f16(25), Some(F16(1)));
        assert_eq!(fixed(-65_519).to_f16(0), Some(F16(0xfbff)));
        assert_eq!(fixed(65_520).to_f16(0), None);
        assert_eq!(fixed(3).to_bf16(0), Some(Bf16(0x4040)));
    }
}
