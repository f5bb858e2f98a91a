//! The activations of recurrent layers.

use crate::engine::Engine;
use crate::smooth::Smooth;

/// Names an activation and its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gate<T> {
    /// x above zero, else +0.
    Relu,
    /// The hyperbolic tangent.
    Tanh,
    /// 1 / (1 + e^-x).
    Sigmoid,
    /// alpha * x + beta.
    Affine(T, T),
    /// x from zero on, else alpha * x.
    LeakyRelu(T),
    /// x from alpha on, else +0.
    ThresholdedRelu(T),
    /// alpha * tanh(beta * x).
    ScaledTanh(T, T),
    /// alpha * x + beta, clamped to 0 and 1.
    HardSigmoid(T, T),
    /// x from zero on, else alpha * (e^x - 1).
    Elu(T),
    /// x / (1 + |x|).
    Softsign,
    /// ln(1 + e^x).
    Softplus,
}

/// Applies an activation to every number.
// Spec: N-15
pub fn activate<T: Smooth>(engine: &Engine, gate: Gate<T>, x: &mut [T]) {
    let each = |x: &mut [T], f: &dyn Fn(T) -> T| x.iter_mut().for_each(|x| *x = f(*x).canonical());
    match gate {
        Gate::Tanh => T::tanh_in_place(engine, x),
        Gate::Sigmoid => T::sigmoid_in_place(engine, x),
        Gate::Elu(alpha) => T::elu_in_place(engine, alpha, x),
        Gate::Softplus => T::softplus_in_place(engine, x),
        Gate::Relu => each(x, &|x| if x <= T::ZERO { T::ZERO } else { x }),
        Gate::Affine(alpha, beta) => each(x, &|x| alpha.times(x).plus(beta)),
        Gate::LeakyRelu(alpha) => each(x, &|x| if x < T::ZERO { alpha.times(x) } else { x }),
        Gate::ThresholdedRelu(alpha) => each(x, &|x| if x < alpha { T::ZERO } else { x }),
        Gate::ScaledTanh(alpha, beta) => {
            x.iter_mut().for_each(|x| *x = beta.times(*x));
            T::tanh_in_place(engine, x);
            each(x, &|x| alpha.times(x));
        }
        Gate::HardSigmoid(alpha, beta) => each(x, &|x| {
            let line = alpha.times(x).plus(beta);
            let above = if line <= T::ZERO { T::ZERO } else { line };
            if above > T::ONE { T::ONE } else { above }
        }),
        Gate::Softsign => each(x, &|x| {
            let magnitude = if x < T::ZERO { x.negated() } else { x };
            x.over(T::ONE.plus(magnitude))
        }),
    }
}
