//! The hyperbolic functions and their inverses.

use super::exceptions;
use super::exp::{clamp, exp_f64, expm1_f64};
use super::log::log1p_f64;
use super::step::Step;
use super::unary::{Unary, exception, is_exception};
use crate::nan::{CANONICAL_F32, canonical_f32};

/// Bounds the argument of `tanh`: beyond, the result rounds to 1.
const TANH_BOUND: f32 = 10.0;

/// Bounds the argument of `sinh` and `cosh`: beyond lies infinity.
const SINH_BOUND: f32 = 100.0;

/// Is sinh x.
#[derive(Clone, Copy)]
pub(crate) struct Sinh;

/// Is cosh x.
#[derive(Clone, Copy)]
pub(crate) struct Cosh;

/// Is tanh x.
#[derive(Clone, Copy)]
pub(crate) struct Tanh;

/// Is the inverse of sinh.
#[derive(Clone, Copy)]
pub(crate) struct Asinh;

/// Is the inverse of cosh, not negative.
#[derive(Clone, Copy)]
pub(crate) struct Acosh;

/// Is the inverse of tanh.
#[derive(Clone, Copy)]
pub(crate) struct Atanh;

/// Implements the exceptions of an odd or even function, which are listed for positive inputs.
macro_rules! symmetric_exceptions {
    ($table:ident, odd) => {
        symmetric_exceptions!(@ $table, |result: f32, x: f32| result.copysign(x));
    };
    ($table:ident, even) => {
        symmetric_exceptions!(@ $table, |result: f32, _: f32| result);
    };
    (@ $table:ident, $sign:expr) => {
        #[inline(always)]
        fn is_rare(x: f32) -> bool {
            is_exception(x.abs().to_bits(), &exceptions::$table)
        }
        fn rare(x: f32) -> f32 {
            let found = exception(x.abs().to_bits(), &exceptions::$table);
            found.map_or(x, |result| $sign(result, x))
        }
    };
}
pub(super) use symmetric_exceptions;

impl Unary for Sinh {
    #[inline(always)]
    fn lane<S: Step>(x: f32) -> f32 {
        let e = expm1_f64::<S>(clamp(x.abs(), SINH_BOUND));
        let result = 0.5 * (e + e / (e + 1.0));
        canonical_f32(S::round(result).copysign(x))
    }
    symmetric_exceptions!(SINH, odd);
}

impl Unary for Cosh {
    #[inline(always)]
    fn lane<S: Step>(x: f32) -> f32 {
        let e = exp_f64::<S>(clamp(x.abs(), SINH_BOUND));
        canonical_f32(S::round(0.5 * (e + 1.0 / e)))
    }
    symmetric_exceptions!(COSH, even);
}

impl Unary for Tanh {
    #[inline(always)]
    fn lane<S: Step>(x: f32) -> f32 {
        let e = expm1_f64::<S>(2.0 * clamp(x.abs(), TANH_BOUND));
        canonical_f32(S::round(e / (e + 2.0)).copysign(x))
    }
    symmetric_exceptions!(TANH, odd);
}

impl Unary for Asinh {
    #[inline(always)]
    fn lane<S: Step>(x: f32) -> f32 {
        let a = clamp(x.abs(), f32::MAX);
        let square = a * a;
        let result = log1p_f64::<S>(a + square / (1.0 + (1.0 + square).sqrt()));
        let result = S::round(result).copysign(x);
        // The logarithm splits bits and would make a number of infinity or NaN.
        canonical_f32(if x.abs() < f32::INFINITY { result } else { x })
    }
    symmetric_exceptions!(ASINH, odd);
}

impl Unary for Acosh {
    #[inline(always)]
    fn lane<S: Step>(x: f32) -> f32 {
        let t = f64::from(x) - 1.0;
        let result = S::round(log1p_f64::<S>(t + (t * (t + 2.0)).sqrt()));
        let result = if x == f32::INFINITY { x } else { result };
        if x >= 1.0 { result } else { CANONICAL_F32 }
    }
    #[inline(always)]
    fn is_rare(x: f32) -> bool {
        is_exception(x.to_bits(), &exceptions::ACOSH)
    }
    fn rare(x: f32) -> f32 {
        exception(x.to_bits(), &exceptions::ACOSH).unwrap_or(x)
    }
}

impl Unary for Atanh {
    #[inline(always)]
    fn lane<S: Step>(x: f32) -> f32 {
        let a = f64::from(x.abs());
        let result = 0.5 * log1p_f64::<S>(2.0 * a / (1.0 - a));
        let result = if a == 1.0 {
            f32::INFINITY
        } else {
            S::round(result)
        };
        if a <= 1.0 {
            result.copysign(x)
        } else {
            CANONICAL_F32
        }
    }
    symmetric_exceptions!(ATANH, odd);
}
