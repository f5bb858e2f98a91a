//! Fused multiply-add: a * b + c with one rounding, in hardware or exactly in software.

/// Supplies the fused multiply-add of the instruction set a kernel body is compiled for.
pub trait Fma: Copy {
    /// Computes a * b + c with one rounding.
    fn fma32(a: f32, b: f32, c: f32) -> f32;
    /// Computes a * b + c with one rounding.
    fn fma64(a: f64, b: f64, c: f64) -> f64;
}

/// Uses the machine's instruction; only for code compiled with one (else it would call libm).
#[derive(Clone, Copy, Debug)]
pub struct HardFma;

/// Uses integer and double arithmetic, exact on every machine.
#[derive(Clone, Copy, Debug)]
pub struct SoftFma;

/// Is the fused multiply-add of the portable instance: hardware only where every machine of the
/// architecture has it.
#[cfg(any(target_arch = "aarch64", target_feature = "fma"))]
pub type PortableFma = HardFma;
/// Is the fused multiply-add of the portable instance: hardware only where every machine of the
/// architecture has it.
#[cfg(not(any(target_arch = "aarch64", target_feature = "fma")))]
pub type PortableFma = SoftFma;

// The one place where the methods are the instruction.
#[allow(clippy::disallowed_methods)]
impl Fma for HardFma {
    #[inline(always)]
    fn fma32(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn fma64(a: f64, b: f64, c: f64) -> f64 {
        a.mul_add(b, c)
    }
}

impl Fma for SoftFma {
    #[inline(always)]
    fn fma32(a: f32, b: f32, c: f32) -> f32 {
        fma_f32(a, b, c)
    }
    #[inline(always)]
    fn fma64(a: f64, b: f64, c: f64) -> f64 {
        fma_f64(a, b, c)
    }
}

/// Computes a * b + c in f32 with one rounding, in software.
///
/// The product is exact in f64. The sum is rounded to odd there (an inexact sum takes the
/// neighbour whose last bit is one), which leaves the second rounding, to f32, nothing to spoil.
// Spec: N-1
#[inline(always)]
pub fn fma_f32(a: f32, b: f32, c: f32) -> f32 {
    let product = f64::from(a) * f64::from(b);
    let addend = f64::from(c);
    let sum = product + addend;
    // The exact error of the sum (two-sum): no term overflows, |product| < 2^257.
    let back = sum - product;
    let error = (product - (sum - back)) + (addend - back);
    let bits = sum.to_bits();
    // A NaN error (infinite or NaN sum) compares false and leaves the sum alone.
    let inexact_even = error.abs() > 0.0 && bits & 1 == 0;
    // Away from zero when the error has the sum's sign, else towards zero; both make the bit odd.
    let away = (error > 0.0) == (sum > 0.0);
    let step = if away { 1u64 } else { u64::MAX };
    let odd = if inexact_even {
        bits.wrapping_add(step)
    } else {
        bits
    };
    f64::from_bits(odd) as f32
}

/// Computes a * b + c in f64 with one rounding, in software.
// Spec: N-1
pub fn fma_f64(a: f64, b: f64, c: f64) -> f64 {
    // The product is exact as it is: zero, infinite or NaN.
    if !a.is_finite() || !b.is_finite() || a == 0.0 || b == 0.0 {
        return a * b + c;
    }
    if !c.is_finite() {
        // Not a * b + c: a finite product may overflow to the other infinity.
        return c;
    }
    if c == 0.0 {
        // Not a * b + c: a product that rounds to -0 must stay -0.
        return a * b;
    }
    let (sign_a, exponent_a, mantissa_a) = decompose(a);
    let (sign_b, exponent_b, mantissa_b) = decompose(b);
    let (sign_c, exponent_c, mantissa_c) = decompose(c);
    let sign_p = sign_a ^ sign_b;
    // Both terms get their top bit at 124 or 125 of 128: room for a carry above and, because the
    // low 20 (product) or 72 (addend) bits are zero, none that matters is lost when they align.
    let mut product = (u128::from(mantissa_a) * u128::from(mantissa_b)) << 20;
    let mut addend = u128::from(mantissa_c) << 72;
    let exponent_p = exponent_a + exponent_b - 20;
    let exponent_c = exponent_c - 72;
    let exponent = exponent_p.max(exponent_c);
    product = shift_right_sticky(product, (exponent - exponent_p).unsigned_abs());
    addend = shift_right_sticky(addend, (exponent - exponent_c).unsigned_abs());
    let (sign, magnitude) = if sign_p == sign_c {
        (sign_p, product + addend)
    } else if product > addend {
        (sign_p, product - addend)
    } else if product < addend {
        (sign_c, addend - product)
    } else {
        return 0.0;
    };
    round(sign, exponent, magnitude)
}

/// Splits a finite non-zero number into sign, exponent and a 53-bit integer: m * 2^e.
fn decompose(x: f64) -> (bool, i32, u64) {
    let bits = x.to_bits();
    let field = ((bits >> 52) & 0x7ff) as i32;
    let fraction = bits & ((1 << 52) - 1);
    let (exponent, mantissa) = if field == 0 {
        (-1074, fraction)
    } else {
        (field - 1075, fraction | 1 << 52)
    };
    let shift = mantissa.leading_zeros() as i32 - 11;
    (bits >> 63 != 0, exponent - shift, mantissa << shift)
}

/// Shifts right; bits that fall out leave a one in the last place.
fn shift_right_sticky(x: u128, shift: u32) -> u128 {
    if shift == 0 {
        x
    } else if shift >= 128 {
        u128::from(x != 0)
    } else {
        (x >> shift) | u128::from(x << (128 - shift) != 0)
    }
}

/// Rounds magnitude * 2^exponent (not zero) to the nearest f64, ties to even.
fn round(sign: bool, exponent: i32, magnitude: u128) -> f64 {
    let width = 128 - magnitude.leading_zeros() as i32;
    let shift = (width - 53).max(-1074 - exponent);
    let mantissa = if shift <= 0 {
        (magnitude << shift.unsigned_abs()) as u64
    } else if shift > 127 {
        0
    } else {
        let kept = (magnitude >> shift) as u64;
        let rest = magnitude & ((1 << shift) - 1);
        let half = 1u128 << (shift - 1);
        kept + u64::from(rest > half || (rest == half && kept & 1 == 1))
    };
    // A mantissa below 2^52 occurs only at the smallest exponent, where the field becomes zero; a
    // mantissa of 2^53 carries into the field.
    let field = i64::from(exponent + shift + 1075);
    let bits = (((field - 1) << 52) as u64).wrapping_add(mantissa);
    let limit = f64::INFINITY.to_bits();
    let bits = if field > 2046 { limit } else { bits.min(limit) };
    f64::from_bits(bits | u64::from(sign) << 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Generates bit patterns with close exponents often enough for cancellation and ties.
    struct Bits(u64);

    impl Bits {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }
        fn f32(&mut self) -> f32 {
            let raw = self.next() as u32;
            match self.next() % 8 {
                0 => f32::from_bits(raw),
                1 => f32::from_bits(raw & 0x807f_ffff),
                2 => f32::from_bits(raw & 0x81ff_f000),
                3 => [0.0, -0.0, 1.0, f32::INFINITY, f32::MAX, 1e-45][(raw % 6) as usize],
                _ => f32::from_bits((raw & 0x87ff_ffff) | 0x3c00_0000),
            }
        }
        fn f64(&mut self) -> f64 {
            let raw = self.next();
            match self.next() % 8 {
                0 => f64::from_bits(raw),
                1 => f64::from_bits(raw & 0x800f_ffff_ffff_ffff),
                2 => f64::from_bits((raw & 0x80ff_ffff_0000_0000) | 0x1e80_0000_0000_0000),
                3 => [0.0, -0.0, 1.0, f64::INFINITY, f64::MAX, 5e-324][(raw % 6) as usize],
                4 => f64::from_bits((raw & 0x801f_ffff_f000_0000) | 0x3fe0_0000_0000_0000),
                _ => f64::from_bits((raw & 0x807f_ffff_ffff_ffff) | 0x3f80_0000_0000_0000),
            }
        }
    }

    fn same32(a: f32, b: f32) -> bool {
        a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
    }

    fn same64(a: f64, b: f64) -> bool {
        a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
    }

    #[test]
    fn software_f32_equals_the_standard_librarys() {
        let mut bits = Bits(1);
        for _ in 0..2_000_000 {
            let (a, b, c) = (bits.f32(), bits.f32(), bits.f32());
            let near = -(a * b);
            for c in [c, near, f32::from_bits(near.to_bits() ^ 1)] {
                assert!(
                    same32(fma_f32(a, b, c), a.mul_add(b, c)),
                    "{a:e} {b:e} {c:e}"
                );
            }
        }
    }

    #[test]
    fn software_f64_equals_the_standard_librarys() {
        let mut bits = Bits(2);
        for _ in 0..2_000_000 {
            let (a, b, c) = (bits.f64(), bits.f64(), bits.f64());
            let near = -(a * b);
            for c in [c, near, f64::from_bits(near.to_bits() ^ 1)] {
                assert!(
                    same64(fma_f64(a, b, c), a.mul_add(b, c)),
                    "{a:e} {b:e} {c:e}"
                );
            }
        }
    }

    #[test]
    fn a_product_that_underflows_keeps_its_sign() {
        let tiny = f64::from_bits(1);
        assert_eq!(fma_f64(-tiny, tiny, 0.0).to_bits(), (-0.0f64).to_bits());
        assert_eq!(fma_f32(-1e-45, 1e-45, 0.0).to_bits(), (-0.0f32).to_bits());
    }
}
