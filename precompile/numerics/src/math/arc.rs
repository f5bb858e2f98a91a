//! The inverse trigonometric functions.

use super::coefficients::{
    ATAN, HALF_PI, HALF_PI_TAIL, QUARTER_PI, QUARTER_PI_TAIL, TAN_3_EIGHTHS, TAN_EIGHTH,
};
use super::exceptions;
use super::hyperbolic::symmetric_exceptions;
use super::step::{Step, horner};
use super::unary::{Unary, exception, is_exception};
use super::wide::Wide;
use super::wide::functions as wide;
use super::wide::rounding::{BINARY32, settle};
use crate::fma::PortableFma;
use crate::nan::{CANONICAL_F32, canonical_f32};

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
        let result = S::round(atan_f64::<S>(f64::from(x.abs()), 1.0));
        canonical_f32(result.copysign(x))
    }
    symmetric_exceptions!(ATAN, odd);
}

impl Unary for Asin {
    #[inline(always)]
    fn lane<S: Step>(x: f32) -> f32 {
        let a = f64::from(x.abs());
        let result = S::round(atan_f64::<S>(a, ((1.0 - a) * (1.0 + a)).sqrt()));
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
        canonical_f32(S::round(2.0 * atan_f64::<S>(1.0 - x, b)))
    }
    #[inline(always)]
    fn is_rare(x: f32) -> bool {
        is_exception(x.to_bits(), &exceptions::ACOS)
    }
    fn rare(x: f32) -> f32 {
        exception(x.to_bits(), &exceptions::ACOS).unwrap_or(x)
    }
}

/// Bounds the relative error of [`atan2`]'s f64 value; it has four roundings.
const ERROR: f64 = f64::from_bits((1023 - 46) << 52);

/// Bounds quotients whose arc tangent is the quotient less under 2^-100 of it.
const FLAT: f64 = f64::from_bits((1023 - 50) << 52);

/// Computes the angle of the point (x, y), in [-pi, pi], correctly rounded, with the special cases
/// of IEEE 754's atan2.
// Spec: N-8
pub fn atan2(y: f32, x: f32) -> f32 {
    if x.is_nan() || y.is_nan() {
        return CANONICAL_F32;
    }
    let (mut a, mut b) = (f64::from(y.abs()), f64::from(x.abs()));
    if a == 0.0 && b == 0.0 {
        // The sign of a zero tells the side.
        b = 1.0;
    }
    if a.is_infinite() && b.is_infinite() {
        (a, b) = (1.0, 1.0);
    }
    let behind = x.is_sign_negative();
    if !behind && a < FLAT * b {
        return flat(a, b).copysign(y);
    }
    let angle = atan_f64::<PortableFma>(a, b);
    let angle = if behind {
        2.0 * HALF_PI - angle + 2.0 * HALF_PI_TAIL
    } else {
        angle
    };
    let low = (angle - angle * ERROR) as f32;
    let result = if low == (angle + angle * ERROR) as f32 {
        low
    } else {
        open_angle(a, b, behind)
    };
    result.copysign(y)
}

/// Computes the arc tangent of a small quotient: the quotient, from below.
fn flat(a: f64, b: f64) -> f32 {
    // A quotient of two f32 is an f32's middle exactly or further from it than 2^-49, so one step
    // down in f64 decides a middle and changes nothing else.
    let quotient = a / b;
    if quotient == 0.0 {
        return 0.0;
    }
    f64::from_bits(quotient.to_bits() - 1) as f32
}

/// Computes an angle that f64 leaves open.
#[cold]
fn open_angle(a: f64, b: f64, behind: bool) -> f32 {
    if b.is_infinite() {
        // Only behind: in front the angle is flat.
        return std::f32::consts::PI;
    }
    let (a, b) = if a.is_infinite() { (1.0, 0.0) } else { (a, b) };
    let result = settle!(BINARY32, N => {
        let angle = wide::atan(Wide::<N>::from_f64(a), Wide::from_f64(b));
        if behind { wide::half_pi().scaled(1).sub(angle) } else { angle }
    });
    result as f32
}
