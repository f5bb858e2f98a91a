//! Activations that contain a transcendental function: fixed sequences of rounded steps.
//!
//! Every operation is one f32 rounding; `exp`, `ln`, `log1p`, `tanh` and `erf` are the correctly
//! rounded ones.

use super::erf::Erf;
use super::exp::Exp;
use super::hyperbolic::Tanh;
use super::log::{Ln, Log1p};
use super::step::Step;
use super::unary::{self, BLOCK, Kernel, round_block, round_one};
use crate::engine::Engine;
use crate::fma::PortableFma;
use crate::nan::canonical_f32;

type Block = [f32; BLOCK];

/// Is sqrt(2), rounded.
const ROOT_TWO: f32 = std::f32::consts::SQRT_2;

/// Is sqrt(2 / pi), rounded.
const ROOT_TWO_OVER_PI: f32 = 0.797_884_6;

/// Is the factor of the cube in the tanh form of GELU, rounded.
const CUBE_FACTOR: f32 = 0.044_715;

/// Is 1 / (1 + e^-x).
#[derive(Clone, Copy)]
pub(crate) struct Sigmoid;

/// Is x * sigmoid(alpha * x).
#[derive(Clone, Copy)]
pub(crate) struct Swish {
    /// Multiplies the argument of the sigmoid.
    pub(crate) alpha: f32,
}

/// Is x * Phi(x) by the error function.
#[derive(Clone, Copy)]
pub(crate) struct GeluErf;

/// Is x * Phi(x) by the tanh approximation.
#[derive(Clone, Copy)]
pub(crate) struct GeluTanh;

/// Is ln(1 + e^x).
#[derive(Clone, Copy)]
pub(crate) struct Softplus;

/// Is x * tanh(softplus(x)).
#[derive(Clone, Copy)]
pub(crate) struct Mish;

/// Is x above zero and alpha * (e^x - 1) below.
#[derive(Clone, Copy)]
pub(crate) struct Elu {
    /// Is minus the limit at minus infinity.
    pub(crate) alpha: f32,
}

/// Is gamma * x above zero and gamma * (alpha * e^x - alpha) below.
#[derive(Clone, Copy)]
pub(crate) struct Selu {
    /// Is minus the limit at minus infinity, before `gamma`.
    pub(crate) alpha: f32,
    /// Multiplies both branches.
    pub(crate) gamma: f32,
}

/// Is x above zero and alpha * (e^(x / alpha) - 1) below.
#[derive(Clone, Copy)]
pub(crate) struct Celu {
    /// Is minus the limit at minus infinity.
    pub(crate) alpha: f32,
}

/// Is ln(p / (1 - p)).
#[derive(Clone, Copy)]
pub(crate) struct Logit;

/// Declares the two forms of each activation: slice to slice and in place.
macro_rules! activations {
    ($($doc:literal $kernel:expr => $slice:ident, $in_place:ident ($($parameter:ident),*);)+) => {$(
        #[doc = concat!("Computes ", $doc, " of every element of `x` into `y`.")]
        ///
        /// # Panics
        /// Panics when the lengths differ.
        pub fn $slice(engine: &Engine, $($parameter: f32,)* x: &[f32], y: &mut [f32]) {
            unary::run(engine, $kernel, x, y);
        }

        #[doc = concat!("Replaces every element by ", $doc, ".")]
        pub fn $in_place(engine: &Engine, $($parameter: f32,)* x: &mut [f32]) {
            unary::run_in_place(engine, $kernel, x);
        }
    )+};
}

activations! {
    "1 / (1 + e^-x)" Sigmoid => sigmoid_f32, sigmoid_in_place_f32 ();
    "x sigmoid(alpha x)" Swish { alpha } => swish_f32, swish_in_place_f32 (alpha);
    "GELU by the error function" GeluErf => gelu_erf_f32, gelu_erf_in_place_f32 ();
    "GELU by its tanh approximation" GeluTanh => gelu_tanh_f32, gelu_tanh_in_place_f32 ();
    "ln(1 + e^x)" Softplus => softplus_f32, softplus_in_place_f32 ();
    "x tanh(ln(1 + e^x))" Mish => mish_f32, mish_in_place_f32 ();
    "the exponential linear unit" Elu { alpha } => elu_f32, elu_in_place_f32 (alpha);
    "the scaled exponential linear unit" Selu { alpha, gamma }
        => selu_f32, selu_in_place_f32 (alpha, gamma);
    "the continuous exponential linear unit" Celu { alpha } => celu_f32, celu_in_place_f32 (alpha);
    "ln(p / (1 - p))" Logit => logit_f32, logit_in_place_f32 ();
}

/// Computes 1 / (1 + e^-x) of one number.
// Spec: N-8.4
pub fn sigmoid(x: f32) -> f32 {
    let e = round_one::<PortableFma, Exp>(-x.abs());
    canonical_f32(if x >= 0.0 { 1.0 } else { e } / (1.0 + e))
}

/// Computes a new block element by element.
#[inline(always)]
fn each(f: impl Fn(usize) -> f32) -> Block {
    let mut out = [0.0; BLOCK];
    for (i, out) in out.iter_mut().enumerate() {
        *out = f(i);
    }
    out
}

/// Computes a correctly rounded function of a block.
macro_rules! rounded {
    ($function:ty, $x:expr) => {{
        let mut out = [0.0; BLOCK];
        round_block::<S, $function>(&$x, &mut out);
        out
    }};
}

impl Kernel for Sigmoid {
    // Spec: N-8.4
    #[inline(always)]
    fn block<S: Step>(self, x: &Block, y: &mut Block) {
        let e = rounded!(Exp, each(|i| -x[i].abs()));
        *y = each(|i| {
            let numerator = if x[i] >= 0.0 { 1.0 } else { e[i] };
            canonical_f32(numerator / (1.0 + e[i]))
        });
    }
}

impl Kernel for Swish {
    // Spec: N-8.5
    #[inline(always)]
    fn block<S: Step>(self, x: &Block, y: &mut Block) {
        let mut s = [0.0; BLOCK];
        Sigmoid.block::<S>(&each(|i| self.alpha * x[i]), &mut s);
        *y = each(|i| canonical_f32(x[i] * s[i]));
    }
}

impl Kernel for GeluErf {
    // Spec: N-8.6
    #[inline(always)]
    fn block<S: Step>(self, x: &Block, y: &mut Block) {
        let e = rounded!(Erf, each(|i| x[i] / ROOT_TWO));
        *y = each(|i| canonical_f32(0.5 * x[i] * (1.0 + e[i])));
    }
}

impl Kernel for GeluTanh {
    // Spec: N-8.7
    #[inline(always)]
    fn block<S: Step>(self, x: &Block, y: &mut Block) {
        let inner = each(|i| {
            let cube = x[i] * x[i] * x[i];
            ROOT_TWO_OVER_PI * (x[i] + CUBE_FACTOR * cube)
        });
        let t = rounded!(Tanh, inner);
        *y = each(|i| canonical_f32(0.5 * x[i] * (1.0 + t[i])));
    }
}

impl Kernel for Softplus {
    // Spec: N-8.8
    #[inline(always)]
    fn block<S: Step>(self, x: &Block, y: &mut Block) {
        let e = rounded!(Exp, each(|i| -x[i].abs()));
        let l = rounded!(Log1p, e);
        *y = each(|i| canonical_f32(if x[i] < 0.0 { l[i] } else { x[i] + l[i] }));
    }
}

impl Kernel for Mish {
    // Spec: N-8.9
    #[inline(always)]
    fn block<S: Step>(self, x: &Block, y: &mut Block) {
        let mut s = [0.0; BLOCK];
        Softplus.block::<S>(x, &mut s);
        let t = rounded!(Tanh, s);
        *y = each(|i| canonical_f32(x[i] * t[i]));
    }
}

impl Kernel for Elu {
    // Spec: N-8.10
    #[inline(always)]
    fn block<S: Step>(self, x: &Block, y: &mut Block) {
        let e = rounded!(Exp, x);
        *y = each(|i| {
            let below = self.alpha * (e[i] - 1.0);
            canonical_f32(if x[i] < 0.0 { below } else { x[i] })
        });
    }
}

impl Kernel for Selu {
    // Spec: N-8.11
    #[inline(always)]
    fn block<S: Step>(self, x: &Block, y: &mut Block) {
        let e = rounded!(Exp, x);
        *y = each(|i| {
            let below = self.alpha * e[i] - self.alpha;
            canonical_f32(self.gamma * if x[i] < 0.0 { below } else { x[i] })
        });
    }
}

impl Kernel for Celu {
    // Spec: N-8.12
    #[inline(always)]
    fn block<S: Step>(self, x: &Block, y: &mut Block) {
        let e = rounded!(Exp, each(|i| x[i] / self.alpha));
        *y = each(|i| {
            let below = self.alpha * (e[i] - 1.0);
            canonical_f32(if x[i] < 0.0 { below } else { x[i] })
        });
    }
}

impl Kernel for Logit {
    // Spec: N-8.13
    #[inline(always)]
    fn block<S: Step>(self, x: &Block, y: &mut Block) {
        *y = rounded!(Ln, each(|i| x[i] / (1.0 - x[i])));
    }
}

#[cfg(test)]
mod tests;
