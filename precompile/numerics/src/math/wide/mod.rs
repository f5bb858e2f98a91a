//! Wide binary floating-point numbers in integer arithmetic, for results no f64 lane can round.
//!
//! A number is `0.limbs * 2^exponent` with 64 N bits. Every operation truncates: its relative error
//! is below 2^(1 - 64 N), except that a difference is that close relative to the larger operand.
//! `functions` builds the transcendental functions on these, `rounding` decides whether the error
//! bound lets a result be rounded.

pub(super) mod angle;
pub(super) mod functions;
pub(super) mod rounding;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

/// Is the number of limbs of the largest precision in use.
pub(super) const MAX_LIMBS: usize = 16;

/// Is a number of N 64-bit limbs, least significant first; the top bit is set unless it is zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wide<const N: usize> {
    negative: bool,
    exponent: i64,
    limbs: [u64; N],
}

impl<const N: usize> Wide<N> {
    /// Is zero.
    pub(super) const ZERO: Self = Self {
        negative: false,
        exponent: 0,
        limbs: [0; N],
    };

    /// Converts an integer, exactly.
    pub(super) fn from_int(value: u64) -> Self {
        let mut limbs = [0; N];
        limbs[N - 1] = value;
        Self::normalised(false, 64, limbs)
    }

    /// Converts a finite number, exactly.
    pub(super) fn from_f64(x: f64) -> Self {
        let bits = x.to_bits();
        let field = ((bits >> 52) & 0x7ff) as i64;
        let fraction = bits & ((1 << 52) - 1);
        let (mantissa, exponent) = if field == 0 {
            (fraction, -1074)
        } else {
            (fraction | 1 << 52, field - 1075)
        };
        let mut wide = Self::from_int(mantissa).scaled(exponent);
        wide.negative = bits >> 63 != 0 && !wide.is_zero();
        wide
    }

    /// Takes the leading bits of a constant below 1 (most significant limb first), times
    /// 2^exponent.
    pub(super) fn from_constant(constant: &[u64], exponent: i64) -> Self {
        let mut limbs = [0; N];
        for (limb, &value) in limbs.iter_mut().rev().zip(constant) {
            *limb = value;
        }
        Self::normalised(false, exponent, limbs)
    }

    /// Shifts the limbs until the top bit is set.
    fn normalised(negative: bool, exponent: i64, limbs: [u64; N]) -> Self {
        let Some(top) = limbs.iter().rposition(|&limb| limb != 0) else {
            return Self::ZERO;
        };
        let whole = N - 1 - top;
        let bits = limbs[top].leading_zeros();
        let mut shifted = [0; N];
        for i in whole..N {
            let low = if i > whole { limbs[i - whole - 1] } else { 0 };
            let high = limbs[i - whole];
            shifted[i] = if bits == 0 {
                high
            } else {
                (high << bits) | (low >> (64 - bits))
            };
        }
        Self {
            negative,
            exponent: exponent - 64 * whole as i64 - i64::from(bits),
            limbs: shifted,
        }
    }

    /// Tells whether the number is zero.
    pub(super) fn is_zero(&self) -> bool {
        self.limbs[N - 1] == 0
    }

    /// Tells whether the number is below zero.
    pub(super) fn is_negative(&self) -> bool {
        self.negative
    }

    /// Returns e such that the magnitude is in [2^(e - 1), 2^e); wants a number other than zero.
    pub(super) fn exponent(&self) -> i64 {
        self.exponent
    }

    /// Returns bit `i` of the limbs, counted from the top; beyond the last it is zero.
    pub(super) fn bit(&self, i: usize) -> bool {
        let limb = self.limbs.iter().rev().nth(i / 64);
        limb.is_some_and(|limb| (limb >> (63 - i % 64)) & 1 == 1)
    }

    /// Truncates to an f64; a number beyond its range becomes 0 or huge.
    pub(super) fn to_f64(self) -> f64 {
        if self.is_zero() || self.exponent < -1000 {
            return 0.0;
        }
        let exponent = self.exponent.min(1000);
        let power = f64::from_bits(((1023 + exponent - 53) as u64) << 52);
        let magnitude = (self.limbs[N - 1] >> 11) as f64 * power;
        if self.negative { -magnitude } else { magnitude }
    }

    /// Multiplies by 2^by, exactly.
    pub(super) fn scaled(mut self, by: i64) -> Self {
        if !self.is_zero() {
            self.exponent += by;
        }
        self
    }

    /// Changes the sign.
    pub(super) fn negated(mut self) -> Self {
        self.negative = !self.negative && !self.is_zero();
        self
    }

    /// Drops the sign.
    pub(super) fn magnitude(mut self) -> Self {
        self.negative = false;
        self
    }

    /// Compares magnitudes.
    fn compare_magnitude(&self, other: &Self) -> Ordering {
        match (self.is_zero(), other.is_zero()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self
                .exponent
                .cmp(&other.exponent)
                .then_with(|| self.limbs.iter().rev().cmp(other.limbs.iter().rev())),
        }
    }

    /// Tells whether the magnitude is above another one.
    pub(super) fn is_larger(&self, other: &Self) -> bool {
        self.compare_magnitude(other) == Ordering::Greater
    }

    /// Returns the limbs shifted right by `by` bits; bits that fall out are lost.
    fn shifted_right(&self, by: u64) -> [u64; N] {
        let mut out = [0; N];
        if by >= 64 * N as u64 {
            return out;
        }
        let (whole, bits) = ((by / 64) as usize, (by % 64) as u32);
        for (i, out) in out[..N - whole].iter_mut().enumerate() {
            let low = self.limbs[i + whole];
            let high = self.limbs.get(i + whole + 1).copied().unwrap_or(0);
            *out = if bits == 0 {
                low
            } else {
                (low >> bits) | (high << (64 - bits))
            };
        }
        out
    }

    /// Adds.
    pub(super) fn add(self, other: Self) -> Self {
        let (big, small) = if other.is_larger(&self) {
            (other, self)
        } else {
            (self, other)
        };
        if small.is_zero() {
            return big;
        }
        let mut limbs = big.limbs;
        let addend = small.shifted_right(big.exponent.abs_diff(small.exponent));
        let mut carry = false;
        for (limb, addend) in limbs.iter_mut().zip(addend) {
            let (sum, over, sum_over);
            if big.negative == small.negative {
                (sum, over) = limb.overflowing_add(addend);
                (*limb, sum_over) = sum.overflowing_add(u64::from(carry));
            } else {
                (sum, over) = limb.overflowing_sub(addend);
                (*limb, sum_over) = sum.overflowing_sub(u64::from(carry));
            }
            carry = over | sum_over;
        }
        if carry && big.negative == small.negative {
            // Only a sum can carry out of the top: the larger magnitude is never exceeded.
            for i in 0..N {
                let high = limbs.get(i + 1).copied().unwrap_or(1);
                limbs[i] = (limbs[i] >> 1) | (high << 63);
            }
            return Self {
                negative: big.negative,
                exponent: big.exponent + 1,
                limbs,
            };
        }
        Self::normalised(big.negative, big.exponent, limbs)
    }

    /// Subtracts.
    pub(super) fn sub(self, other: Self) -> Self {
        self.add(other.negated())
    }

    /// Multiplies.
    pub(super) fn mul(self, other: Self) -> Self {
        let mut product = [[0u64; N]; 2];
        for (i, &a) in self.limbs.iter().enumerate() {
            let mut carry = 0u64;
            for (j, &b) in other.limbs.iter().enumerate() {
                let slot = &mut product[(i + j) / N][(i + j) % N];
                let sum = u128::from(a) * u128::from(b) + u128::from(*slot) + u128::from(carry);
                *slot = sum as u64;
                carry = (sum >> 64) as u64;
            }
            product[1][i] = carry;
        }
        let [low, mut high] = product;
        let mut exponent = self.exponent + other.exponent;
        if high[N - 1] >> 63 == 0 {
            for i in (0..N).rev() {
                let below = if i > 0 { high[i - 1] } else { low[N - 1] };
                high[i] = (high[i] << 1) | (below >> 63);
            }
            exponent -= 1;
        }
        Self::normalised(self.negative != other.negative, exponent, high)
    }

    /// Multiplies by a small integer.
    pub(super) fn mul_int(self, factor: u64) -> Self {
        self.mul(Self::from_int(factor))
    }

    /// Divides by a small integer that is not zero.
    pub(super) fn div_int(self, divisor: u64) -> Self {
        let mut limbs = [0; N];
        let mut rest = 0u128;
        for i in (0..N).rev() {
            let dividend = (rest << 64) | u128::from(self.limbs[i]);
            limbs[i] = (dividend / u128::from(divisor)) as u64;
            rest = dividend % u128::from(divisor);
        }
        // Normalising brings zeros in at the bottom, where the rest still has digits.
        let lost = limbs[N - 1].leading_zeros();
        let quotient = Self::normalised(self.negative, self.exponent, limbs);
        if lost == 0 || quotient.is_zero() {
            return quotient;
        }
        let more = (rest << 64) / u128::from(divisor);
        let mut quotient = quotient;
        quotient.limbs[0] |= (more >> (64 - lost.min(63))) as u64;
        quotient
    }

    /// Divides by a number other than zero.
    pub(super) fn div(self, other: Self) -> Self {
        if self.is_zero() {
            return Self::ZERO;
        }
        // Newton's iteration for the reciprocal of a mantissa in [1/2, 1), from 50 good bits.
        let mut mantissa = other.magnitude();
        mantissa.exponent = 0;
        let two = Self::from_int(2);
        let mut inverse = Self::from_f64(1.0 / mantissa.to_f64());
        let mut bits = 50;
        while bits < 64 * N {
            inverse = inverse.mul(two.sub(mantissa.mul(inverse)));
            bits *= 2;
        }
        let mut quotient = self.mul(inverse).scaled(-other.exponent);
        quotient.negative = self.negative != other.negative;
        quotient
    }

    /// Computes the square root of a number that is not negative.
    pub(super) fn sqrt(self) -> Self {
        if self.is_zero() {
            return Self::ZERO;
        }
        let half = self.exponent.div_euclid(2);
        let mut mantissa = self;
        mantissa.exponent = self.exponent - 2 * half;
        let mut root = Self::from_f64(mantissa.to_f64().sqrt());
        let mut bits = 50;
        while bits < 64 * N {
            root = root.add(mantissa.div(root)).scaled(-1);
            bits *= 2;
        }
        root.scaled(half)
    }
}
