//! The exponential and e^x - 1.

use super::coefficients::{EXP, LN2_HI, LN2_LO, LOG2_E};
use super::exceptions;
use super::step::{Step, horner};
use super::unary::{Unary, exception, is_exception};
use crate::nan::canonical_f32;

/// Is added to round to an integer: the sum's last place is one, and its low bits are the integer.
pub(super) const ROUNDER: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52

/// Bounds the argument of `exp`: above lies infinity, below -BOUND zero.
const EXP_BOUND: f32 = 105.0;

/// Is e^x.
#[derive(Clone, Copy)]
pub(crate) struct Exp;

/// Is e^x - 1.
#[derive(Clone, Copy)]
pub(crate) struct Expm1;

/// Splits e^x into a power of two and e^r - 1 with |r| <= ln(2) / 2; wants |x| < 700.
#[inline(always)]
fn split<S: Step>(x: f64) -> (f64, f64) {
    let shifted = S::mul_add(x, LOG2_E, ROUNDER);
    let k = shifted - ROUNDER;
    // k has at most 10 bits and the head of ln 2 has 40: the first step is exact either way.
    let r = S::mul_add(k, -LN2_LO, S::mul_add(k, -LN2_HI, x));
    let scale = f64::from_bits((shifted.to_bits() << 52).wrapping_add(1.0f64.to_bits()));
    let rest = S::mul_add(r * r, horner::<S, _>(r, &EXP), r);
    (scale, rest)
}

/// Computes e^x to about 2^-52 for |x| < 700.
#[inline(always)]
pub(super) fn exp_f64<S: Step>(x: f64) -> f64 {
    let (scale, rest) = split::<S>(x);
    S::mul_add(scale, rest, scale)
}

/// Computes e^x - 1 to about 2^-52, relative, for |x| < 700.
#[inline(always)]
pub(super) fn expm1_f64<S: Step>(x: f64) -> f64 {
    let (scale, rest) = split::<S>(x);
    S::mul_add(scale, rest, scale - 1.0)
}

/// Limits a number to [-bound, bound]; NaN passes.
#[inline(always)]
pub(super) fn clamp(x: f32, bound: f32) -> f64 {
    let x = if x > bound { bound } else { x };
    f64::from(if x < -bound { -bound } else { x })
}

impl Unary for Exp {
    #[inline(always)]
    fn lane<S: Step>(x: f32) -> f32 {
        canonical_f32(S::round(exp_f64::<S>(clamp(x, EXP_BOUND))))
    }
    #[inline(always)]
    fn is_rare(x: f32) -> bool {
        is_exception(x.to_bits(), &exceptions::EXP)
    }
    fn rare(x: f32) -> f32 {
        exception(x.to_bits(), &exceptions::EXP).unwrap_or(x)
    }
}

impl Unary for Expm1 {
    #[inline(always)]
    fn lane<S: Step>(x: f32) -> f32 {
        let result = canonical_f32(S::round(expm1_f64::<S>(clamp(x, EXP_BOUND))));
        // The sum loses the sign of -0.
        if x == 0.0 { x } else { result }
    }
    #[inline(always)]
    fn is_rare(x: f32) -> bool {
        is_exception(x.to_bits(), &exceptions::EXPM1)
    }
    fn rare(x: f32) -> f32 {
        exception(x.to_bits(), &exceptions::EXPM1).unwrap_or(x)
    }
}
