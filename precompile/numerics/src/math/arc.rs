//! The inverse trigonometric functions.

use super::coefficients::{
    ATAN, HALF_PI, HALF_PI_TAIL, QUARTER_PI, QUARTER_PI_TAIL, TAN_3_EIGHTHS, TAN_EIGHTH,
};
use super::exceptions;
use super::hyperbolic::symmetric_exceptions;
use super::step::{Step, horner};
use super::unary::{Unary, exception, is_exception};
use crate::nan::canonical_f32;

/// Is the arc sine, in [-pi / 2, pi / 2].
#[derive(Clone, Copy)]
pub(crate) struct Asin;

/// Is the arc cosine, in [0, pi].
#[derive(Clone, Copy)]
pub(crate) struct Acos;

/// Is the arc tangent, in [-pi / 2, pi / 2].
#[derive(Clone, Copy)]
pub(crate) struct Atan;

/// Computes the arc tangent of a / b, neither negative, not both zero, to about 2^-52.
#[inline(always)]
pub(super) fn atan_f64<S: Step>(a: f64, b: f64) -> f64 {
    // atan(a / b) = pi/2 + atan(-b / a) = pi/4 + atan((a - b) / (a + b)).
    let middle = a > TAN_EIGHTH * b;
    let steep = a > TAN_3_EIGHTHS * b;
    let numerator = if middle { a - b } else { a };
    let denominator = if middle { a + b } else { b };
    let head = if middle { QUARTER_PI } else { 0.0 };
    let tail = if middle { QUARTER_PI_TAIL } else { 0.0 };
    let numerator = if steep { -b } else { numerator };
    let denominator = if steep { a } else { denominator };
    let head = if steep { HALF_PI } else { head };
    let tail = if steep { HALF_PI_TAIL } else { tail };
    let q = numerator / denominator;
    let z = q * q;
    head + S::mul_add(q * z, horner::<S, _>(z, &ATAN), q + tail)
}

impl Unary for Atan {
    #[inline(always)]
    fn lane<S: Step>(x: f32) -> f32 {
        let result = atan_f64::<S>(f64::from(x.abs()), 1.0) as f32;
        canonical_f32(result.copysign(x))
    }
    symmetric_exceptions!(ATAN, odd);
}

impl Unary for Asin {
    #[inline(always)]
    fn lane<S: Step>(x: f32) -> f32 {
        let a = f64::from(x.abs());
        let result = atan_f64::<S>(a, ((1.0 - a) * (1.0 + a)).sqrt()) as f32;
        canonical_f32(result.copysign(x))
    }
    symmetric_exceptions!(ASIN, odd);
}

impl Unary for Acos {
    #[inline(always)]
    fn lane<S: Step>(x: f32) -> f32 {
        // tan(acos(x) / 2) = (1 - x) / sqrt(1 - x^2), with 0 / 0 at x = 1.
        let x = f64::from(x);
        let b = ((1.0 - x) * (1.0 + x)).sqrt();
        let b = if x == 1.0 { 1.0 } else { b };
        canonical_f32((2.0 * atan_f64::<S>(1.0 - x, b)) as f32)
    }
    #[inline(always)]
    fn is_rare(x: f32) -> bool {
        is_exception(x.to_bits(), &exceptions::ACOS)
    }
    fn rare(x: f32) -> f32 {
        exception(x.to_bits(), &exceptions::ACOS).unwrap_or(x)
    }
}
