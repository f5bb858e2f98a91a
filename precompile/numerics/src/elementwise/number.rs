//! Arithmetic of the element types under one trait: floats round, integers wrap (Spec: N-11).

use crate::float::Float;

/// Is a type that arithmetic operators accept.
pub trait Number: Copy + Default + PartialOrd + Send + Sync + 'static {
    /// Tells whether zero divisors are an error, not an infinity.
    const INTEGER: bool;
    /// One.
    const UNIT: Self;
    /// Adds.
    fn plus(self, other: Self) -> Self;
    /// Adds like [`Number::plus`], leaving NaNs as they come: for chains that end in one.
    fn accumulate(self, other: Self) -> Self;
    /// Subtracts.
    fn minus(self, other: Self) -> Self;
    /// Multiplies.
    fn times(self, other: Self) -> Self;
    /// Divides; integers truncate, and a zero divisor of integers gives zero.
    fn over(self, other: Self) -> Self;
    /// Returns the larger value (Spec: N-5).
    fn max_of(self, other: Self) -> Self;
    /// Returns the smaller value (Spec: N-5).
    fn min_of(self, other: Self) -> Self;
    /// Changes the sign.
    fn negated(self) -> Self;
    /// Drops the sign; the smallest integer stays as it is.
    fn absolute(self) -> Self;
    /// Returns -1, 0 or 1; a float zero keeps its sign and NaN stays NaN.
    fn sign(self) -> Self;
    /// Tells whether the value equals zero.
    fn is_zero(self) -> bool;
}

/// Is an integer type: adds what only integers have.
pub trait Integer: Number + Eq + Ord {
    /// Returns the remainder with the divisor's sign; a zero divisor gives zero.
    fn floor_mod(self, other: Self) -> Self;
    /// Returns the remainder with the dividend's sign; a zero divisor gives zero.
    fn truncated_mod(self, other: Self) -> Self;
    /// Combines bits.
    fn bit_and(self, other: Self) -> Self;
    /// Combines bits.
    fn bit_or(self, other: Self) -> Self;
    /// Combines bits.
    fn bit_xor(self, other: Self) -> Self;
    /// Flips every bit.
    fn bit_not(self) -> Self;
    /// Shifts left logically; a distance past the width gives zero.
    fn shift_left(self, distance: Self) -> Self;
    /// Shifts right, copies of the sign bit entering; a distance past the width leaves only those.
    fn shift_right(self, distance: Self) -> Self;
    /// Raises to an integer power, wrapping; a negative power truncates 1 / self^|power|, and of
    /// zero gives zero.
    fn power(self, exponent: i64) -> Self;
}

macro_rules! float_number {
    ($($t:ty),*) => {$(
        impl Number for $t {
            const INTEGER: bool = false;
            const UNIT: Self = 1.0;
            #[inline(always)]
            fn accumulate(self, other: Self) -> Self {
                self + other
            }
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                (self + other).canonical()
            }
            #[inline(always)]
            fn minus(self, other: Self) -> Self {
                (self - other).canonical()
            }
            #[inline(always)]
            fn times(self, other: Self) -> Self {
                (self * other).canonical()
            }
            #[inline(always)]
            fn over(self, other: Self) -> Self {
                (self / other).canonical()
            }
            #[inline(always)]
            fn max_of(self, other: Self) -> Self {
                self.larger(other)
            }
            #[inline(always)]
            fn min_of(self, other: Self) -> Self {
                self.smaller(other)
            }
            #[inline(always)]
            fn negated(self) -> Self {
                (-self).canonical()
            }
            #[inline(always)]
            fn absolute(self) -> Self {
                self.magnitude().canonical()
            }
            #[inline(always)]
            fn sign(self) -> Self {
                let unit = if self.magnitude() > Self::ZERO { Self::ONE } else { Self::ZERO };
                let signed = unit.with_sign_of(self);
                if self.not_a_number() { Self::NAN } else { signed }
            }
            #[inline(always)]
            fn is_zero(self) -> bool {
                self.magnitude() <= Self::ZERO
            }
        }
    )*};
}

macro_rules! integer_number {
    ($($t:ty, $unsigned:ty, $signum:expr);*) => {$(
        impl Number for $t {
            const INTEGER: bool = true;
            const UNIT: Self = 1;
            #[inline(always)]
            fn accumulate(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline(always)]
            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
            #[inline(always)]
            fn times(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }
            #[inline(always)]
            fn over(self, other: Self) -> Self {
                if other == 0 { 0 } else { self.wrapping_div(other) }
            }
            #[inline(always)]
            fn max_of(self, other: Self) -> Self {
                if self > other { self } else { other }
            }
            #[inline(always)]
            fn min_of(self, other: Self) -> Self {
                if self < other { self } else { other }
            }
            #[inline(always)]
            fn negated(self) -> Self {
                self.wrapping_neg()
            }
            #[inline(always)]
            fn absolute(self) -> Self {
                #[allow(unused_comparisons)] // Unsigned types take the same text.
                if self < 0 { self.wrapping_neg() } else { self }
            }
            #[inline(always)]
            fn sign(self) -> Self {
                let signum: fn($t) -> $t = $signum;
                signum(self)
            }
            #[inline(always)]
            fn is_zero(self) -> bool {
                self == 0
            }
        }

        impl Integer for $t {
            #[inline(always)]
            fn floor_mod(self, other: Self) -> Self {
                if other == 0 {
                    return 0;
                }
                let rest = self.wrapping_rem(other);
                #[allow(unused_comparisons)]
                let moved = rest != 0 && (rest < 0) != (other < 0);
                if moved { rest.wrapping_add(other) } else { rest }
            }
            #[inline(always)]
            fn truncated_mod(self, other: Self) -> Self {
                if other == 0 { 0 } else { self.wrapping_rem(other) }
            }
            #[inline(always)]
            fn bit_and(self, other: Self) -> Self {
                self & other
            }
            #[inline(always)]
            fn bit_or(self, other: Self) -> Self {
                self | other
            }
            #[inline(always)]
            fn bit_xor(self, other: Self) -> Self {
                self ^ other
            }
            #[inline(always)]
            fn bit_not(self) -> Self {
                !self
            }
            #[inline(always)]
            fn shift_left(self, distance: Self) -> Self {
                let distance = distance as $unsigned;
                if distance < <$unsigned>::BITS as $unsigned {
                    self << distance
                } else {
                    0
                }
            }
            #[inline(always)]
            fn shift_right(self, distance: Self) -> Self {
                let distance = distance as $unsigned;
                let last = <$unsigned>::BITS as $unsigned - 1;
                #[allow(unused_comparisons)]
                let fill = if self < 0 { <$t>::MAX.wrapping_add(<$t>::MAX).wrapping_add(1) } else { 0 };
                if distance <= last { self >> distance } else { fill }
            }
            #[inline]
            fn power(self, exponent: i64) -> Self {
                if exponent < 0 {
                    let odd = exponent & 1 == 1;
                    return match self {
                        1 => 1,
                        x if x.wrapping_add(1) == 0 && <$t>::MIN != 0 => {
                            if odd { x } else { 1 }
                        }
                        _ => 0,
                    };
                }
                let (mut base, mut left, mut result) = (self, exponent as u64, 1 as $t);
                while left > 0 {
                    if left & 1 == 1 {
                        result = result.wrapping_mul(base);
                    }
                    base = base.wrapping_mul(base);
                    left >>= 1;
                }
                result
            }
        }
    )*};
}

float_number!(f32, f64);
integer_number!(
    i8, u8, i8::signum;
    i16, u16, i16::signum;
    i32, u32, i32::signum;
    i64, u64, i64::signum;
    u8, u8, |x| u8::from(x != 0);
    u16, u16, |x| u16::from(x != 0);
    u32, u32, |x| u32::from(x != 0);
    u64, u64, |x| u64::from(x != 0)
);
