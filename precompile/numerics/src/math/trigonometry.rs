//! Sine, cosine and tangent.

use super::angle::{FAST_BOUND, reduce, reduce_large};
use super::coefficients::{COS, SIN};
use super::exceptions;
use super::step::{Step, horner};
use super::unary::{Exception, Unary, exception, is_exception};
use crate::fma::PortableFma;
use crate::nan::{CANONICAL_F32, canonical_f32};

/// Is sin x.
#[derive(Clone, Copy)]
pub(crate) struct Sin;

/// Is cos x.
#[derive(Clone, Copy)]
pub(crate) struct Cos;

/// Is tan x.
#[derive(Clone, Copy)]
pub(crate) struct Tan;

/// Computes sine and cosine of |r| <= pi / 4.
#[inline(always)]
fn sin_cos<S: Step>(r: f64) -> (f64, f64) {
    let z = r * r;
    let sin = S::mul_add(r * z, horner::<S, _>(z, &SIN), r);
    let cos = S::mul_add(z * z, horner::<S, _>(z, &COS), S::mul_add(z, -0.5, 1.0));
    (sin, cos)
}

/// Computes the sine of `quarter` quarter turns and r.
#[inline(always)]
fn sin_of<S: Step>(quarter: u64, r: f64) -> f32 {
    let (sin, cos) = sin_cos::<S>(r);
    let value = if quarter & 1 == 0 { sin } else { cos };
    S::round(f64::from_bits(value.to_bits() ^ (quarter & 2) << 62))
}

/// Computes the tangent of `quarter` quarter turns and r.
#[inline(always)]
fn tan_of<S: Step>(quarter: u64, r: f64) -> f32 {
    let (sin, cos) = sin_cos::<S>(r);
    let even = quarter & 1 == 0;
    let numerator = if even { sin } else { -cos };
    let denominator = if even { cos } else { sin };
    S::round(numerator / denominator)
}

/// Tells whether an angle is listed or takes the integer reduction (infinities among them).
#[inline(always)]
fn is_rare_angle<const N: usize>(x: f32, table: &[Exception; N]) -> bool {
    is_exception(x.abs().to_bits(), table) | (x.abs() > FAST_BOUND)
}

/// Computes a rare angle from its table of exceptions or by the integer reduction.
fn rare_angle(x: f32, table: &[Exception], compute: fn(u64, f64) -> f32) -> f32 {
    if x.is_infinite() {
        return CANONICAL_F32;
    }
    exception(x.to_bits(), table).unwrap_or_else(|| {
        let (quarter, r) = reduce_large(x);
        compute(quarter, r)
    })
}

/// Computes a rare angle of an odd function.
fn odd(x: f32, table: &[Exception], compute: fn(u64, f64) -> f32) -> f32 {
    let result = rare_angle(x.abs(), table, compute);
    canonical_f32(if x < 0.0 { -result } else { result })
}

impl Unary for Sin {
    #[inline(always)]
    fn lane<S: Step>(x: f32) -> f32 {
        let (quarter, r) = reduce::<S>(f64::from(x));
        let result = canonical_f32(sin_of::<S>(quarter, r));
        if x == 0.0 { x } else { result }
    }
    #[inline(always)]
    fn is_rare(x: f32) -> bool {
        is_rare_angle(x, &exceptions::SIN)
    }
    fn rare(x: f32) -> f32 {
        odd(x, &exceptions::SIN, sin_of::<PortableFma>)
    }
}

impl Unary for Cos {
    #[inline(always)]
    fn lane<S: Step>(x: f32) -> f32 {
        let (quarter, r) = reduce::<S>(f64::from(x));
        canonical_f32(sin_of::<S>(quarter.wrapping_add(1), r))
    }
    #[inline(always)]
    fn is_rare(x: f32) -> bool {
        is_rare_angle(x, &exceptions::COS)
    }
    fn rare(x: f32) -> f32 {
        rare_angle(x.abs(), &exceptions::COS, |quarter, r| {
            sin_of::<PortableFma>(quarter.wrapping_add(1), r)
        })
    }
}

impl Unary for Tan {
    #[inline(always)]
    fn lane<S: Step>(x: f32) -> f32 {
        let (quarter, r) = reduce::<S>(f64::from(x));
        let result = canonical_f32(tan_of::<S>(quarter, r));
        if x == 0.0 { x } else { result }
    }
    #[inline(always)]
    fn is_rare(x: f32) -> bool {
        is_rare_angle(x, &exceptions::TAN)
    }
    fn rare(x: f32) -> f32 {
        odd(x, &exceptions::TAN, tan_of::<PortableFma>)
    }
}
