//! Comparisons, logic on bools, and choosing by a condition.

use super::{Op1, Op2, map, zip};
use crate::broadcast::Broadcast;
use crate::engine::Engine;
use crate::float::Float;
use crate::fma::Fma;

/// Names a comparison; with a NaN every one is false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// a = b.
    Equal,
    /// a < b.
    Less,
    /// a <= b.
    LessOrEqual,
    /// a > b.
    Greater,
    /// a >= b.
    GreaterOrEqual,
}

/// Names an operator on two bools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logic {
    /// Both.
    And,
    /// Either.
    Or,
    /// Exactly one.
    Xor,
}

macro_rules! comparison {
    ($($name:ident: $operator:tt);*) => {$(
        #[derive(Clone, Copy)]
        struct $name;
        impl<T: PartialOrd> Op2<T, bool> for $name {
            #[inline(always)]
            fn apply<F: Fma>(self, a: T, b: T) -> bool {
                a $operator b
            }
        }
    )*};
}

comparison!(Equal: ==; Less: <; LessOrEqual: <=; Greater: >; GreaterOrEqual: >=);

macro_rules! logic {
    ($($name:ident: $operator:tt);*) => {$(
        #[derive(Clone, Copy)]
        struct $name;
        impl Op2<bool, bool> for $name {
            #[inline(always)]
            fn apply<F: Fma>(self, a: bool, b: bool) -> bool {
                a $operator b
            }
        }
    )*};
}

logic!(And: &; Or: |; Xor: ^);

#[derive(Clone, Copy)]
struct Not;

impl Op1<bool, bool> for Not {
    #[inline(always)]
    fn apply<F: Fma>(self, x: bool) -> bool {
        !x
    }
}

#[derive(Clone, Copy)]
struct IsNan;

impl<T: Float> Op1<T, bool> for IsNan {
    #[inline(always)]
    fn apply<F: Fma>(self, x: T) -> bool {
        x.not_a_number()
    }
}

#[derive(Clone, Copy)]
struct IsInfinite {
    positive: bool,
    negative: bool,
}

impl<T: Float> Op1<T, bool> for IsInfinite {
    #[inline(always)]
    fn apply<F: Fma>(self, x: T) -> bool {
        (self.positive & (x >= T::INFINITY)) | (self.negative & (x <= -T::INFINITY))
    }
}

/// Compares broadcast pairs.
///
/// # Panics
/// When a slice's length is not that of the plan.
pub fn compare<T: PartialOrd + Copy + Sync>(
    engine: &Engine,
    op: Comparison,
    plan: &Broadcast<2>,
    a: &[T],
    b: &[T],
    out: &mut [bool],
) {
    match op {
        Comparison::Equal => zip(engine, Equal, plan, a, b, out),
        Comparison::Less => zip(engine, Less, plan, a, b, out),
        Comparison::LessOrEqual => zip(engine, LessOrEqual, plan, a, b, out),
        Comparison::Greater => zip(engine, Greater, plan, a, b, out),
        Comparison::GreaterOrEqual => zip(engine, GreaterOrEqual, plan, a, b, out),
    }
}

/// Combines broadcast pairs of bools.
///
/// # Panics
/// When a slice's length is not that of the plan.
pub fn logic(
    engine: &Engine,
    op: Logic,
    plan: &Broadcast<2>,
    a: &[bool],
    b: &[bool],
    out: &mut [bool],
) {
    match op {
        Logic::And => zip(engine, And, plan, a, b, out),
        Logic::Or => zip(engine, Or, plan, a, b, out),
        Logic::Xor => zip(engine, Xor, plan, a, b, out),
    }
}

/// Inverts bools.
///
/// # Panics
/// When the lengths differ.
pub fn not(engine: &Engine, x: &[bool], out: &mut [bool]) {
    map(engine, Not, x, out);
}

/// Finds NaNs.
///
/// # Panics
/// When the lengths differ.
pub fn is_nan<T: Float>(engine: &Engine, x: &[T], out: &mut [bool]) {
    map(engine, IsNan, x, out);
}

/// Finds infinities of the signs asked for.
///
/// # Panics
/// When the lengths differ.
pub fn is_infinite<T: Float>(
    engine: &Engine,
    positive: bool,
    negative: bool,
    x: &[T],
    out: &mut [bool],
) {
    map(engine, IsInfinite { positive, negative }, x, out);
}

/// Takes from `yes` where the condition holds, else from `no`; bits pass unchanged.
///
/// # Panics
/// When a slice's length is not that of the plan.
pub fn select<T: Clone>(
    plan: &Broadcast<3>,
    condition: &[bool],
    yes: &[T],
    no: &[T],
    out: &mut [T],
) {
    let lens = [condition.len(), yes.len(), no.len()];
    assert_eq!(
        [plan.input_len(0), plan.input_len(1), plan.input_len(2)],
        lens
    );
    assert_eq!(plan.len(), out.len());
    let [step_c, step_y, step_n] = plan.inner_steps();
    for (run, [c, y, n]) in plan.runs(0..out.len()) {
        for (j, o) in out[run].iter_mut().enumerate() {
            let chosen = if condition[c + j * step_c] {
                &yes[y + j * step_y]
            } else {
                &no[n + j * step_n]
            };
            o.clone_from(chosen);
        }
    }
}
