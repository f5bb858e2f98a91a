//! Transcendental functions with one right answer: the exact value, rounded once (N-8).
//!
//! `step` and `unary` are the frame: a function is a branch-free lane in f64, whose result is then
//! rounded to f32, and a short table of the inputs where that rounds wrongly (`exceptions`, found
//! and checked over all 2^32 inputs by scripts/check_math). `coefficients` is generated too.

mod activation;
mod angle;
mod arc;
mod coefficients;
mod constants;
pub mod double;
mod erf;
mod exceptions;
pub(crate) mod exp;
mod hyperbolic;
pub(crate) mod log;
mod pow;
pub(crate) mod step;
mod trigonometry;
pub(crate) mod unary;
mod wide;

use crate::engine::Engine;
use crate::fma::PortableFma;
use unary::Rounded;

pub use activation::*;
pub use pow::{pow, pow_f32, pow_f64, pow_scalar_f32};

#[cfg(test)]
mod exact;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;

/// Declares the three forms of each function: scalar, slice to slice, in place.
macro_rules! functions {
    ($($doc:literal $kind:path => $one:ident, $slice:ident, $in_place:ident;)+) => {$(
        #[doc = concat!("Computes ", $doc, ", correctly rounded.")]
        // Spec: N-8
        pub fn $one(x: f32) -> f32 {
            unary::round_one::<PortableFma, $kind>(x)
        }

        #[doc = concat!("Computes ", $doc, " of every element of `x` into `y`.")]
        ///
        /// # Panics
        /// Panics when the lengths differ.
        // Spec: N-8
        pub fn $slice(engine: &Engine, x: &[f32], y: &mut [f32]) {
            unary::run(engine, Rounded($kind), x, y);
        }

        #[doc = concat!("Replaces every element by ", $doc, ".")]
        // Spec: N-8
        pub fn $in_place(engine: &Engine, x: &mut [f32]) {
            unary::run_in_place(engine, Rounded($kind), x);
        }
    )+};
}

functions! {
    "e^x" exp::Exp => exp, exp_f32, exp_in_place_f32;
    "e^x - 1" exp::Expm1 => expm1, expm1_f32, expm1_in_place_f32;
    "the natural logarithm" log::Ln => ln, ln_f32, ln_in_place_f32;
    "ln(1 + x)" log::Log1p => log1p, log1p_f32, log1p_in_place_f32;
    "the sine" trigonometry::Sin => sin, sin_f32, sin_in_place_f32;
    "the cosine" trigonometry::Cos => cos, cos_f32, cos_in_place_f32;
    "the tangent" trigonometry::Tan => tan, tan_f32, tan_in_place_f32;
    "the arc sine" arc::Asin => asin, asin_f32, asin_in_place_f32;
    "the arc cosine" arc::Acos => acos, acos_f32, acos_in_place_f32;
    "the arc tangent" arc::Atan => atan, atan_f32, atan_in_place_f32;
    "the hyperbolic sine" hyperbolic::Sinh => sinh, sinh_f32, sinh_in_place_f32;
    "the hyperbolic cosine" hyperbolic::Cosh => cosh, cosh_f32, cosh_in_place_f32;
    "the hyperbolic tangent" hyperbolic::Tanh => tanh, tanh_f32, tanh_in_place_f32;
    "the inverse hyperbolic sine" hyperbolic::Asinh => asinh, asinh_f32, asinh_in_place_f32;
    "the inverse hyperbolic cosine" hyperbolic::Acosh => acosh, acosh_f32, acosh_in_place_f32;
    "the inverse hyperbolic tangent" hyperbolic::Atanh => atanh, atanh_f32, atanh_in_place_f32;
    "the error function" erf::Erf => erf, erf_f32, erf_in_place_f32;
}
