//! Transcendental steps of composite kernels (recurrent cells, attention) for both float types.

use crate::engine::Engine;
use crate::gemm::Real;
use crate::math::{self, double};
use crate::softmax::{Softmax, softmax_f32};

/// Is how many strided sums a reduction of doubles keeps.
const LANES: usize = 16;

/// Is f32 or f64 with its correctly rounded functions.
pub trait Smooth: Real {
    /// Converts a double, rounding once.
    fn rounded(x: f64) -> Self;
    /// Converts to a double, exactly.
    fn widened(self) -> f64;
    /// Takes the square root, rounded once.
    #[must_use]
    fn root(self) -> Self;
    /// Flips the sign.
    #[must_use]
    fn negated(self) -> Self;
    /// Divides, rounded once.
    #[must_use]
    fn over(self, other: Self) -> Self;
    /// Replaces every number by its hyperbolic tangent.
    fn tanh_in_place(engine: &Engine, x: &mut [Self]);
    /// Replaces every number by 1 / (1 + e^-x).
    fn sigmoid_in_place(engine: &Engine, x: &mut [Self]);
    /// Replaces every number below zero by alpha * (e^x - 1).
    fn elu_in_place(engine: &Engine, alpha: Self, x: &mut [Self]);
    /// Replaces every number by ln(1 + e^x).
    fn softplus_in_place(engine: &Engine, x: &mut [Self]);
    /// Computes softmax of every row of `n` numbers.
    fn softmax_rows(engine: &Engine, n: usize, x: &[Self], out: &mut [Self]);
}

impl Smooth for f32 {
    fn rounded(x: f64) -> f32 {
        x as f32
    }
    fn widened(self) -> f64 {
        self.into()
    }
    fn root(self) -> f32 {
        self.sqrt()
    }
    #[inline(always)]
    fn negated(self) -> f32 {
        -self
    }
    #[inline(always)]
    fn over(self, other: f32) -> f32 {
        self / other
    }
    fn tanh_in_place(engine: &Engine, x: &mut [f32]) {
        math::tanh_in_place_f32(engine, x);
    }
    fn sigmoid_in_place(engine: &Engine, x: &mut [f32]) {
        math::sigmoid_in_place_f32(engine, x);
    }
    fn elu_in_place(engine: &Engine, alpha: f32, x: &mut [f32]) {
        math::elu_in_place_f32(engine, alpha, x);
    }
    fn softplus_in_place(engine: &Engine, x: &mut [f32]) {
        math::softplus_in_place_f32(engine, x);
    }
    fn softmax_rows(engine: &Engine, n: usize, x: &[f32], out: &mut [f32]) {
        softmax_f32(engine, Softmax::Plain, n, 1, x, out);
    }
}

impl Smooth for f64 {
    fn rounded(x: f64) -> f64 {
        x
    }
    fn widened(self) -> f64 {
        self
    }
    fn root(self) -> f64 {
        self.sqrt()
    }
    #[inline(always)]
    fn negated(self) -> f64 {
        -self
    }
    #[inline(always)]
    fn over(self, other: f64) -> f64 {
        self / other
    }
    fn tanh_in_place(_: &Engine, x: &mut [f64]) {
        x.iter_mut().for_each(|x| *x = double::tanh(*x));
    }
    // Spec: N-8
    fn sigmoid_in_place(_: &Engine, x: &mut [f64]) {
        for x in x {
            let e = double::exp(-x.abs());
            *x = (if *x >= 0.0 { 1.0 } else { e } / (1.0 + e)).canonical();
        }
    }
    fn elu_in_place(_: &Engine, alpha: f64, x: &mut [f64]) {
        for x in x.iter_mut().filter(|x| **x < 0.0) {
            *x = (alpha * (double::exp(*x) - 1.0)).canonical();
        }
    }
    fn softplus_in_place(_: &Engine, x: &mut [f64]) {
        for x in x {
            let tail = double::log1p(double::exp(-x.abs()));
            *x = (if *x > 0.0 { *x + tail } else { tail }).canonical();
        }
    }
    // Spec: N-6
    fn softmax_rows(_: &Engine, n: usize, x: &[f64], out: &mut [f64]) {
        for (x, out) in x.chunks_exact(n.max(1)).zip(out.chunks_exact_mut(n.max(1))) {
            let most = x
                .iter()
                .fold(f64::NEG_INFINITY, |m, x| if *x > m { *x } else { m });
            let mut lanes = [0.0; LANES];
            for (i, (x, out)) in x.iter().zip(out.iter_mut()).enumerate() {
                *out = double::exp(x - most);
                lanes[i % LANES] += *out;
            }
            for half in [8, 4, 2, 1] {
                for i in 0..half {
                    lanes[i] += lanes[i + half];
                }
            }
            out.iter_mut()
                .for_each(|out| *out = (*out / lanes[0]).canonical());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_follow_the_same_steps_as_floats() {
        let engine = Engine::single();
        let x: Vec<f64> = (0..40).map(|i| f64::from(i) * 0.37 - 6.0).collect();
        let narrow: Vec<f32> = x.iter().map(|x| *x as f32).collect();
        let check = |wide: fn(&Engine, &mut [f64]), thin: fn(&Engine, &mut [f32])| {
            let (mut a, mut b) = (x.clone(), narrow.clone());
            wide(&engine, &mut a);
            thin(&engine, &mut b);
            for (a, b) in a.iter().zip(&b) {
                assert!(
                    (a - f64::from(*b)).abs() <= 1e-5 * (1.0 + a.abs()),
                    "{a} {b}"
                );
            }
        };
        check(f64::tanh_in_place, f32::tanh_in_place);
        check(f64::sigmoid_in_place, f32::sigmoid_in_place);
        check(f64::softplus_in_place, f32::softplus_in_place);
        check(
            |e, x| f64::elu_in_place(e, 0.7, x),
            |e, x| f32::elu_in_place(e, 0.7, x),
        );
        check(
            |e, x| {
                let logits = x.to_vec();
                f64::softmax_rows(e, 20, &logits, x);
            },
            |e, x| {
                let logits = x.to_vec();
                f32::softmax_rows(e, 20, &logits, x);
            },
        );
    }
}
