//! Unary operators without transcendentals: signs, roundings, roots and piecewise linear units.

use super::number::Number;
use super::{Op1, map};
use crate::engine::Engine;
use crate::float::Float;
use crate::fma::Fma;

/// Names a unary operator without parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unary {
    /// -x.
    Neg,
    /// |x|.
    Abs,
    /// -1, 0 or 1; zero keeps its sign.
    Sign,
}

/// Names an elementwise function of floats made of exact or correctly rounded steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation<T> {
    /// Rounds up.
    Ceil,
    /// Rounds down.
    Floor,
    /// Rounds to nearest, ties to even.
    Round,
    /// 1 / x.
    Reciprocal,
    /// The square root.
    Sqrt,
    /// x where x > 0 or NaN, else +0.
    Relu,
    /// x where x >= 0, else alpha * x.
    LeakyRelu {
        /// Slope below zero.
        alpha: T,
    },
    /// x where x > alpha, else +0.
    ThresholdedRelu {
        /// Threshold.
        alpha: T,
    },
    /// clamp(alpha * x + beta, 0, 1), product and sum rounded each.
    HardSigmoid {
        /// Slope.
        alpha: T,
        /// Offset.
        beta: T,
    },
    /// x * hard_sigmoid(x) with slope 1/6 (rounded) and offset 1/2.
    HardSwish,
    /// x + bias below -lambda, x - bias above lambda, else +0.
    Shrink {
        /// Distance moved towards zero.
        bias: T,
        /// Half width of the part that becomes zero.
        lambda: T,
    },
    /// x / (1 + |x|).
    Softsign,
}

macro_rules! number_op1 {
    ($($name:ident: $method:ident);*) => {$(
        #[derive(Clone, Copy)]
        struct $name;
        impl<T: Number> Op1<T, T> for $name {
            #[inline(always)]
            fn apply<F: Fma>(self, x: T) -> T {
                x.$method()
            }
        }
    )*};
}

number_op1!(Neg: negated; Abs: absolute; Sign: sign);

macro_rules! float_op1 {
    ($($name:ident { $($field:ident),* }: |$x:ident| $result:expr);* $(;)?) => {$(
        #[derive(Clone, Copy)]
        struct $name<T> { $($field: T,)* kind: core::marker::PhantomData<T> }
        impl<T: Float> Op1<T, T> for $name<T> {
            #[inline(always)]
            fn apply<F: Fma>(self, $x: T) -> T {
                $(let $field = self.$field;)*
                ($result).canonical()
            }
        }
    )*};
}

float_op1!(
    Ceil {}: |x| x.round_up();
    Floor {}: |x| x.round_down();
    Round {}: |x| x.whole();
    Reciprocal {}: |x| T::ONE / x;
    Sqrt {}: |x| x.square_root();
    Relu {}: |x| if x <= T::ZERO { T::ZERO } else { x };
    LeakyRelu { alpha }: |x| if x < T::ZERO { alpha * x } else { x };
    ThresholdedRelu { alpha }: |x| if x <= alpha { T::ZERO } else { x };
    HardSigmoid { alpha, beta }: |x| unit_interval(alpha * x + beta);
    HardSwish { alpha, beta }: |x| x * unit_interval(alpha * x + beta);
    Shrink { bias, lambda }: |x| {
        let rest = if x.not_a_number() { x } else { T::ZERO };
        let inner = if x > lambda { x - bias } else { rest };
        if x < -lambda { x + bias } else { inner }
    };
    Softsign {}: |x| x / (T::ONE + x.magnitude());
);

#[inline(always)]
fn unit_interval<T: Float>(x: T) -> T {
    let low = if x <= T::ZERO { T::ZERO } else { x };
    if low > T::ONE { T::ONE } else { low }
}

#[derive(Clone, Copy)]
struct Clip<T> {
    low: T,
    high: T,
}

impl<T: Number> Op1<T, T> for Clip<T> {
    #[inline(always)]
    fn apply<F: Fma>(self, x: T) -> T {
        x.max_of(self.low).min_of(self.high)
    }
}

/// Computes a unary operator on any number type; integers wrap.
///
/// # Panics
/// When the lengths differ.
pub fn unary<T: Number>(engine: &Engine, op: Unary, x: &[T], out: &mut [T]) {
    match op {
        Unary::Neg => map(engine, Neg, x, out),
        Unary::Abs => map(engine, Abs, x, out),
        Unary::Sign => map(engine, Sign, x, out),
    }
}

/// Computes min(max(x, low), high): a low above high gives high.
///
/// # Panics
/// When the lengths differ.
pub fn clip<T: Number>(engine: &Engine, low: T, high: T, x: &[T], out: &mut [T]) {
    map(engine, Clip { low, high }, x, out);
}

/// Computes a float function element by element.
///
/// # Panics
/// When the lengths differ.
pub fn activate<T: Float>(engine: &Engine, op: Activation<T>, x: &[T], out: &mut [T]) {
    let kind = core::marker::PhantomData;
    match op {
        Activation::Ceil => map(engine, Ceil { kind }, x, out),
        Activation::Floor => map(engine, Floor { kind }, x, out),
        Activation::Round => map(engine, Round { kind }, x, out),
        Activation::Reciprocal => map(engine, Reciprocal { kind }, x, out),
        Activation::Sqrt => map(engine, Sqrt { kind }, x, out),
        Activation::Relu => map(engine, Relu { kind }, x, out),
        Activation::LeakyRelu { alpha } => map(engine, LeakyRelu { alpha, kind }, x, out),
        Activation::ThresholdedRelu { alpha } => {
            map(engine, ThresholdedRelu { alpha, kind }, x, out);
        }
        Activation::HardSigmoid { alpha, beta } => {
            map(engine, HardSigmoid { alpha, beta, kind }, x, out);
        }
        Activation::HardSwish => {
            let (alpha, beta) = (T::ONE / T::from_count(6), T::from_f64(0.5));
            map(engine, HardSwish { alpha, beta, kind }, x, out);
        }
        Activation::Shrink { bias, lambda } => map(engine, Shrink { bias, lambda, kind }, x, out),
        Activation::Softsign => map(engine, Softsign { kind }, x, out),
    }
}
