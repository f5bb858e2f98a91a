//! Binary arithmetic: add, subtract, multiply, divide, larger, smaller, remainders, powers.

use super::number::{Integer, Number};
use super::{Op2, Operand, zip};
use crate::broadcast::Broadcast;
use crate::engine::Engine;
use crate::float::Float;
use crate::fma::Fma;

/// Names an arithmetic operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arith {
    /// a + b.
    Add,
    /// a - b.
    Sub,
    /// a * b.
    Mul,
    /// a / b; integers truncate.
    Div,
    /// The larger of both (Spec: N-5).
    Max,
    /// The smaller of both (Spec: N-5).
    Min,
}

/// Says that an integer was divided by zero (Spec: N-11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DivideByZero;

macro_rules! op2 {
    ($($name:ident: $bound:ident, $method:ident);*) => {$(
        #[derive(Clone, Copy)]
        struct $name;
        impl<T: $bound> Op2<T, T> for $name {
            #[inline(always)]
            fn apply<F: Fma>(self, a: T, b: T) -> T {
                a.$method(b)
            }
        }
    )*};
}

op2!(
    Add: Number, plus;
    Sub: Number, minus;
    Mul: Number, times;
    Div: Number, over;
    Max: Number, max_of;
    Min: Number, min_of;
    FloorMod: Integer, floor_mod;
    TruncatedMod: Integer, truncated_mod;
    Remainder: Float, remainder
);

/// Moves a truncated remainder to the divisor's sign, as Python's % does.
#[derive(Clone, Copy)]
struct SignedRemainder;

impl<T: Float> Op2<T, T> for SignedRemainder {
    #[inline(always)]
    fn apply<F: Fma>(self, a: T, b: T) -> T {
        let rest = a.remainder(b);
        let moved = rest.magnitude() > T::ZERO && (rest < T::ZERO) != (b < T::ZERO);
        let signed = if moved { rest + b } else { rest };
        let zero = signed.magnitude() <= T::ZERO;
        (if zero { signed.with_sign_of(b) } else { signed }).canonical()
    }
}

#[derive(Clone, Copy)]
struct Prelu;

impl<T: Number> Op2<T, T> for Prelu {
    #[inline(always)]
    fn apply<F: Fma>(self, x: T, slope: T) -> T {
        let scaled = x.times(slope);
        if x < T::default() { scaled } else { x }
    }
}

/// Computes an arithmetic operator over a broadcast.
///
/// # Errors
/// When an integer divisor is zero; the output is then unspecified.
///
/// # Panics
/// When a slice's length is not that of the plan.
pub fn arith<T: Number>(
    engine: &Engine,
    op: Arith,
    plan: &Broadcast<2>,
    a: &[T],
    b: &[T],
    out: &mut [T],
) -> Result<(), DivideByZero> {
    match op {
        Arith::Add => zip(engine, Add, plan, a, b, out),
        Arith::Sub => zip(engine, Sub, plan, a, b, out),
        Arith::Mul => zip(engine, Mul, plan, a, b, out),
        Arith::Div => {
            refuse_zero(plan, b)?;
            zip(engine, Div, plan, a, b, out);
        }
        Arith::Max => zip(engine, Max, plan, a, b, out),
        Arith::Min => zip(engine, Min, plan, a, b, out),
    }
    Ok(())
}

/// Computes an arithmetic operator on floats of the output's length or single ones.
pub(super) fn combine(engine: &Engine, op: Arith, a: Operand<'_>, b: Operand<'_>, out: &mut [f32]) {
    match op {
        Arith::Add => combine_as(engine, Add, a, b, out),
        Arith::Sub => combine_as(engine, Sub, a, b, out),
        Arith::Mul => combine_as(engine, Mul, a, b, out),
        Arith::Div => combine_as(engine, Div, a, b, out),
        Arith::Max => combine_as(engine, Max, a, b, out),
        Arith::Min => combine_as(engine, Min, a, b, out),
    }
}

multiversion! {
    fn combine_as<O: Op2<f32, f32>>(
        op: O, a: Operand<'_>, b: Operand<'_>, out: &mut [f32],
    ) = combine_body;
}

#[inline(always)]
fn combine_body<F: Fma, O: Op2<f32, f32>>(op: O, a: Operand<'_>, b: Operand<'_>, out: &mut [f32]) {
    match (a, b) {
        (Operand::Each(a), Operand::Each(b)) => {
            for ((o, a), b) in out.iter_mut().zip(a).zip(b) {
                *o = op.apply::<F>(*a, *b);
            }
        }
        (Operand::Each(a), Operand::One(b)) => {
            for (o, a) in out.iter_mut().zip(a) {
                *o = op.apply::<F>(*a, b);
            }
        }
        (Operand::One(a), Operand::Each(b)) => {
            for (o, b) in out.iter_mut().zip(b) {
                *o = op.apply::<F>(a, *b);
            }
        }
        (Operand::One(a), Operand::One(b)) => out.fill(op.apply::<F>(a, b)),
    }
}

/// Computes integer remainders: with the dividend's sign (`truncated`) or the divisor's.
///
/// # Errors
/// When a divisor is zero; the output is then unspecified.
///
/// # Panics
/// When a slice's length is not that of the plan.
pub fn integer_mod<T: Integer>(
    engine: &Engine,
    truncated: bool,
    plan: &Broadcast<2>,
    a: &[T],
    b: &[T],
    out: &mut [T],
) -> Result<(), DivideByZero> {
    refuse_zero(plan, b)?;
    if truncated {
        zip(engine, TruncatedMod, plan, a, b, out);
    } else {
        zip(engine, FloorMod, plan, a, b, out);
    }
    Ok(())
}

/// Computes float remainders: of truncated division, exactly and with the dividend's sign, or with
/// the divisor's sign, then adding the divisor where the signs differ (one rounding).
///
/// # Panics
/// When a slice's length is not that of the plan.
pub fn float_mod<T: Float>(
    engine: &Engine,
    truncated: bool,
    plan: &Broadcast<2>,
    a: &[T],
    b: &[T],
    out: &mut [T],
) {
    if truncated {
        zip(engine, Remainder, plan, a, b, out);
    } else {
        zip(engine, SignedRemainder, plan, a, b, out);
    }
}

/// Computes x where x >= 0 (or is NaN), else x * slope.
///
/// # Panics
/// When a slice's length is not that of the plan.
pub fn prelu<T: Number>(engine: &Engine, plan: &Broadcast<2>, x: &[T], slope: &[T], out: &mut [T]) {
    zip(engine, Prelu, plan, x, slope, out);
}

/// Raises integers to integer powers, wrapping.
///
/// # Errors
/// When zero is raised to a negative power.
///
/// # Panics
/// When a slice's length is not that of the plan.
pub fn integer_power<T: Integer>(
    plan: &Broadcast<2>,
    base: &[T],
    exponent: &[i64],
    out: &mut [T],
) -> Result<(), DivideByZero> {
    assert_eq!(
        (plan.input_len(0), plan.input_len(1)),
        (base.len(), exponent.len())
    );
    assert_eq!(plan.len(), out.len());
    let [step_base, step_exponent] = plan.inner_steps();
    let mut zero_divisor = false;
    for (run, [b, e]) in plan.runs(0..out.len()) {
        for (j, o) in out[run].iter_mut().enumerate() {
            let (base, exponent) = (base[b + j * step_base], exponent[e + j * step_exponent]);
            zero_divisor |= exponent < 0 && base.is_zero();
            *o = base.power(exponent);
        }
    }
    if zero_divisor {
        Err(DivideByZero)
    } else {
        Ok(())
    }
}

fn refuse_zero<T: Number>(plan: &Broadcast<2>, divisors: &[T]) -> Result<(), DivideByZero> {
    let refused = T::INTEGER && !plan.is_empty() && divisors.iter().any(|d| d.is_zero());
    if refused { Err(DivideByZero) } else { Ok(()) }
}
