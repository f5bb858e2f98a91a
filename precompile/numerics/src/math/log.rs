//! The natural logarithm and ln(1 + x).

use super::coefficients::{LN2_HI, LN2_LO, LOG};
use super::exceptions;
use super::step::{Step, horner};
use super::unary::{Unary, exception, is_exception};
use crate::nan::{CANONICAL_F32, canonical_f32};

/// Is ln x.
#[derive(Clone, Copy)]
pub(crate) struct Ln;

/// Is ln(1 + x).
#[derive(Clone, Copy)]
pub(crate) struct Log1p;

/// Splits a positive normal number into 2^k * m with sqrt(1/2) <= m < sqrt(2).
#[inline(always)]
fn split(x: f64) -> (f64, f64) {
    const ROOT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    const BIAS: u64 = 1023;
    /// Is 2^52 as bits: an integer below in the low bits makes 2^52 + integer.
    const INTEGER: u64 = 0x4330_0000_0000_0000;
    let bits = x.to_bits();
    let biased = bits.wrapping_add(1.0f64.to_bits() - ROOT_HALF) >> 52;
    let k = f64::from_bits(biased | INTEGER) - (4_503_599_627_370_496.0 + BIAS as f64);
    let m = f64::from_bits(bits.wrapping_sub(biased << 52).wrapping_add(BIAS << 52));
    (k, m)
}

/// Computes k ln 2 + ln(1 + f) for sqrt(1/2) <= 1 + f < sqrt(2).
#[inline(always)]
fn sum<S: Step>(k: f64, f: f64) -> f64 {
    // ln(1 + f) = 2 atanh(s) = f - f^2/2 + s (f^2/2 + R(s^2)) with s = f / (2 + f).
    let s = f / (2.0 + f);
    let z = s * s;
    let half_square = 0.5 * f * f;
    let tail = S::mul_add(z, horner::<S, _>(z, &LOG), half_square);
    let low = S::mul_add(s, tail, k * LN2_LO);
    S::mul_add(k, LN2_HI, f - (half_square - low))
}

/// Computes ln x to about 2^-52, relative, for a positive normal number.
#[inline(always)]
pub(super) fn ln_f64<S: Step>(x: f64) -> f64 {
    let (k, m) = split(x);
    sum::<S>(k, m - 1.0)
}

/// Computes ln(1 + x) to about 2^-52, relative, for x > -1.
#[inline(always)]
pub(super) fn log1p_f64<S: Step>(x: f64) -> f64 {
    let (k, m) = split(1.0 + x);
    // Near zero 1 + x has lost bits of x; elsewhere the loss does not matter.
    let f = if k == 0.0 { x } else { m - 1.0 };
    sum::<S>(k, f)
}

impl Unary for Ln {
    #[inline(always)]
    fn lane<S: Step>(x: f32) -> f32 {
        let result = S::round(ln_f64::<S>(f64::from(x)));
        let result = if x == f32::INFINITY { x } else { result };
        let result = if x == 0.0 { f32::NEG_INFINITY } else { result };
        if x >= 0.0 { result } else { CANONICAL_F32 }
    }
    #[inline(always)]
    fn is_rare(x: f32) -> bool {
        is_exception(x.to_bits(), &exceptions::LN)
    }
    fn rare(x: f32) -> f32 {
        exception(x.to_bits(), &exceptions::LN).unwrap_or(x)
    }
}

impl Unary for Log1p {
    #[inline(always)]
    fn lane<S: Step>(x: f32) -> f32 {
        let result = canonical_f32(S::round(log1p_f64::<S>(f64::from(x))));
        // Zero keeps its sign, infinity has no exponent to split.
        let result = if x == 0.0 || x == f32::INFINITY {
            x
        } else {
            result
        };
        let result = if x == -1.0 { f32::NEG_INFINITY } else { result };
        if x >= -1.0 { result } else { CANONICAL_F32 }
    }
    #[inline(always)]
    fn is_rare(x: f32) -> bool {
        is_exception(x.to_bits(), &exceptions::LOG1P)
    }
    fn rare(x: f32) -> f32 {
        exception(x.to_bits(), &exceptions::LOG1P).unwrap_or(x)
    }
}
