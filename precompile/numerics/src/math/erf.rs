//! The error function.

use super::coefficients::ERF;
use super::exceptions;
use super::exp::{clamp, expm1_f64};
use super::hyperbolic::symmetric_exceptions;
use super::step::{Step, two_chains};
use super::unary::{Unary, exception, is_exception};
use crate::nan::canonical_f32;

/// Bounds the argument: beyond, the result rounds to 1.
const ERF_BOUND: f32 = 4.0;

/// Is erf x.
#[derive(Clone, Copy)]
pub(crate) struct Erf;

impl Unary for Erf {
    #[inline(always)]
    fn lane<S: Step>(x: f32) -> f32 {
        // erf x = 1 - erfc x = -expm1(ln erfc x), and ln(erfc x) / x is smooth.
        let a = clamp(x.abs(), ERF_BOUND);
        let decay = two_chains::<S, _>(S::mul_add(a, 0.5, -1.0), &ERF);
        let result = -expm1_f64::<S>(-a * decay);
        canonical_f32(S::round(result).copysign(x))
    }
    symmetric_exceptions!(ERF, odd);
}
