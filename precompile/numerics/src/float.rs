//! What kernels over f32 and f64 share: exact primitive steps that never reach a platform's libm.

use core::ops::{Add, Div, Mul, Neg, Sub};

use crate::fma::Fma;
use crate::nan::{CANONICAL_F32, CANONICAL_F64, canonical_f32, canonical_f64};

/// Is f32 or f64: the types that kernels compute in.
pub trait Float:
    Copy
    + Default
    + PartialOrd
    + Send
    + Sync
    + core::fmt::Debug
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + 'static
{
    /// The canonical NaN (Spec: N-9).
    const NAN: Self;
    /// Positive zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// Positive infinity.
    const INFINITY: Self;

    /// Computes a * b + c with one rounding.
    fn fma<F: Fma>(a: Self, b: Self, c: Self) -> Self;
    /// Takes the square root, correctly rounded (IEEE 754).
    fn square_root(self) -> Self;
    /// Clears the sign bit.
    fn magnitude(self) -> Self;
    /// Gives `self` the sign bit of `sign`.
    fn with_sign_of(self, sign: Self) -> Self;
    /// Replaces any NaN by the canonical one (Spec: N-9).
    fn canonical(self) -> Self;
    /// Returns the larger, +0 above -0; any NaN gives the canonical NaN (Spec: N-5).
    fn larger(self, other: Self) -> Self;
    /// Returns the smaller, -0 below +0; any NaN gives the canonical NaN (Spec: N-5).
    fn smaller(self, other: Self) -> Self;
    /// Rounds to the nearest whole number, ties to even, keeping the sign of zero.
    fn whole(self) -> Self;
    /// Computes the remainder of truncated division exactly, with the sign of `self`.
    fn remainder(self, divisor: Self) -> Self;
    /// Converts a count, rounding to nearest even.
    fn from_count(count: usize) -> Self;
    /// Converts a binary64 constant, rounding to nearest even.
    fn from_f64(value: f64) -> Self;
    /// Tells whether the value is a NaN.
    #[inline(always)]
    fn not_a_number(self) -> bool {
        !matches!(self.partial_cmp(&self), Some(core::cmp::Ordering::Equal))
    }
    /// Rounds down to a whole number, keeping the sign of zero.
    #[inline(always)]
    fn round_down(self) -> Self {
        let near = self.whole();
        let down = if near > self { near - Self::ONE } else { near };
        down.with_sign_of(self)
    }
    /// Rounds up to a whole number, keeping the sign of zero.
    #[inline(always)]
    fn round_up(self) -> Self {
        let near = self.whole();
        let up = if near < self { near + Self::ONE } else { near };
        up.with_sign_of(self)
    }
}

macro_rules! float {
    ($t:ty, $bits:ty, $nan:expr, $canonical:ident, $fma:ident, $fraction:expr, $whole_from:expr, $remainder:ident) => {
        impl Float for $t {
            const NAN: Self = $nan;
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const INFINITY: Self = <$t>::INFINITY;

            #[inline(always)]
            fn fma<F: Fma>(a: Self, b: Self, c: Self) -> Self {
                F::$fma(a, b, c)
            }
            #[inline(always)]
            fn square_root(self) -> Self {
                self.sqrt()
            }
            #[inline(always)]
            fn magnitude(self) -> Self {
                self.abs()
            }
            #[inline(always)]
            fn with_sign_of(self, sign: Self) -> Self {
                self.copysign(sign)
            }
            #[inline(always)]
            fn canonical(self) -> Self {
                $canonical(self)
            }
            #[inline(always)]
            fn larger(self, other: Self) -> Self {
                // Equal values have equal bits but for the sign of zero: "and" prefers +0.
                let equal = <$t>::from_bits(self.to_bits() & other.to_bits());
                let ordered = if self > other {
                    self
                } else if self < other {
                    other
                } else {
                    equal
                };
                if self.is_nan() | other.is_nan() {
                    $nan
                } else {
                    ordered
                }
            }
            #[inline(always)]
            fn smaller(self, other: Self) -> Self {
                let equal = <$t>::from_bits(self.to_bits() | other.to_bits());
                let ordered = if self < other {
                    self
                } else if self > other {
                    other
                } else {
                    equal
                };
                if self.is_nan() | other.is_nan() {
                    $nan
                } else {
                    ordered
                }
            }
            #[inline(always)]
            fn whole(self) -> Self {
                // From this magnitude on every value is whole; below it, adding and taking away
                // rounds to nearest even.
                let near = (self.abs() + $whole_from) - $whole_from;
                let rounded = if self.abs() < $whole_from { near } else { self };
                rounded.copysign(self)
            }
            #[inline]
            fn remainder(self, divisor: Self) -> Self {
                $remainder(self, divisor)
            }
            #[inline(always)]
            fn from_count(count: usize) -> Self {
                count as $t
            }
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as $t
            }
        }

        /// Computes the exact remainder by long division of the significands.
        fn $remainder(x: $t, divisor: $t) -> $t {
            const FRACTION: u32 = $fraction;
            if x.is_nan() || divisor.is_nan() || x.is_infinite() || divisor == 0.0 {
                return $nan;
            }
            if divisor.is_infinite() || x.abs() < divisor.abs() {
                return x;
            }
            let split = |bits: $bits| -> (u32, u128) {
                let field = (bits >> FRACTION) as u32;
                let fraction = u128::from(bits & ((1 << FRACTION) - 1));
                if field == 0 {
                    (1, fraction)
                } else {
                    (field, fraction | 1 << FRACTION)
                }
            };
            let (exponent_x, mut rest) = split(x.abs().to_bits());
            let (exponent_d, unit) = split(divisor.abs().to_bits());
            // Both magnitudes are multiples of the divisor's last place: shift x's significand up
            // by the difference of exponents, reducing as it grows.
            let mut shift = exponent_x - exponent_d;
            while shift > 0 {
                let step = if shift > 64 { 64 } else { shift };
                rest = (rest << step) % unit;
                shift -= step;
            }
            rest %= unit;
            // rest < unit has at most FRACTION + 1 bits; scale it back to the divisor's exponent.
            let value = if rest == 0 {
                0.0
            } else {
                let width = 128 - rest.leading_zeros();
                let up = (FRACTION + 1 - width).min(exponent_d - 1);
                let significand = (rest << up) as $bits;
                let field = exponent_d - up;
                // A significand without its hidden bit is subnormal: its field is zero.
                let hidden = significand >> FRACTION;
                let field = if hidden == 0 { 0 } else { field };
                <$t>::from_bits(
                    (<$bits>::from(field) << FRACTION) | (significand & ((1 << FRACTION) - 1)),
                )
            };
            value.copysign(x)
        }
    };
}

float!(
    f32,
    u32,
    CANONICAL_F32,
    canonical_f32,
    fma32,
    23,
    8_388_608.0,
    remainder_f32
);
float!(
    f64,
    u64,
    CANONICAL_F64,
    canonical_f64,
    fma64,
    52,
    4_503_599_627_370_496.0,
    remainder_f64
);

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<f32> {
        let mut state = 7u64;
        let mut out = vec![0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, f32::NAN];
        out.extend([
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::MAX,
            1e-45,
            -1e-40,
            8388607.5,
        ]);
        for _ in 0..4000 {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            out.push(f32::from_bits((state >> 32) as u32));
            out.push(((state >> 40) as f32) / 1024.0 - 8000.0);
        }
        out
    }

    fn same(a: f32, b: f32) -> bool {
        a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
    }

    #[test]
    fn rounding_equals_the_standard_librarys() {
        for x in samples() {
            assert!(same(x.whole(), x.round_ties_even()), "{x:e}");
            assert!(same(x.round_down(), x.floor()), "{x:e}");
            assert!(same(x.round_up(), x.ceil()), "{x:e}");
            let wide = f64::from(x) * 1.0000001;
            assert!(wide.is_nan() || wide.whole() == wide.round_ties_even());
            assert!(wide.is_nan() || wide.round_down() == wide.floor());
            assert!(wide.is_nan() || wide.round_up() == wide.ceil());
        }
    }

    #[test]
    fn remainder_is_exact() {
        let values = samples();
        for (i, x) in values.iter().enumerate() {
            for y in values.iter().skip(i % 7).step_by(97) {
                assert!(same(x.remainder(*y), x % y), "{x:e} {y:e}");
                let (a, b) = (f64::from(*x) * 1e30, f64::from(*y) * 1e-30);
                let (got, want) = (a.remainder(b), a % b);
                assert!(got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan()));
            }
        }
    }

    #[test]
    fn larger_and_smaller_order_zeros_and_pass_nan_on() {
        assert_eq!((-0.0f32).larger(0.0).to_bits(), 0);
        assert_eq!((0.0f32).larger(-0.0).to_bits(), 0);
        assert_eq!((0.0f64).smaller(-0.0).to_bits(), 1 << 63);
        assert_eq!((-3.0f32).larger(2.0), 2.0);
        assert_eq!((-3.0f32).smaller(2.0), -3.0);
        assert_eq!(
            f32::from_bits(0xffff_ffff).larger(1.0).to_bits(),
            0x7fc0_0000
        );
        assert_eq!((1.0f32).smaller(f32::NAN).to_bits(), 0x7fc0_0000);
    }
}
