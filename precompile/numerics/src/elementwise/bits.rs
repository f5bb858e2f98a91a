//! Bitwise operators and shifts on integers.

use super::number::Integer;
use super::{Op1, Op2, map, zip};
use crate::broadcast::Broadcast;
use crate::engine::Engine;
use crate::fma::Fma;

/// Names an operator on bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bitwise {
    /// Both bits.
    And,
    /// Either bit.
    Or,
    /// Exactly one bit.
    Xor,
}

/// Names a direction of shifting; zeros enter, or copies of the sign bit from the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift {
    /// Towards the high bits.
    Left,
    /// Towards the low bits.
    Right,
}

macro_rules! op2 {
    ($($name:ident: $method:ident);*) => {$(
        #[derive(Clone, Copy)]
        struct $name;
        impl<T: Integer> Op2<T, T> for $name {
            #[inline(always)]
            fn apply<F: Fma>(self, a: T, b: T) -> T {
                a.$method(b)
            }
        }
    )*};
}

op2!(And: bit_and; Or: bit_or; Xor: bit_xor; Left: shift_left; Right: shift_right);

#[derive(Clone, Copy)]
struct Not;

impl<T: Integer> Op1<T, T> for Not {
    #[inline(always)]
    fn apply<F: Fma>(self, x: T) -> T {
        x.bit_not()
    }
}

/// Combines the bits of broadcast pairs.
///
/// # Panics
/// When a slice's length is not that of the plan.
pub fn bitwise<T: Integer>(
    engine: &Engine,
    op: Bitwise,
    plan: &Broadcast<2>,
    a: &[T],
    b: &[T],
    out: &mut [T],
) {
    match op {
        Bitwise::And => zip(engine, And, plan, a, b, out),
        Bitwise::Or => zip(engine, Or, plan, a, b, out),
        Bitwise::Xor => zip(engine, Xor, plan, a, b, out),
    }
}

/// Shifts integers by unsigned distances; past the width nothing of the value is left.
///
/// # Panics
/// When a slice's length is not that of the plan.
pub fn shift<T: Integer>(
    engine: &Engine,
    direction: Shift,
    plan: &Broadcast<2>,
    x: &[T],
    distance: &[T],
    out: &mut [T],
) {
    match direction {
        Shift::Left => zip(engine, Left, plan, x, distance, out),
        Shift::Right => zip(engine, Right, plan, x, distance, out),
    }
}

/// Flips every bit.
///
/// # Panics
/// When the lengths differ.
pub fn bitwise_not<T: Integer>(engine: &Engine, x: &[T], out: &mut [T]) {
    map(engine, Not, x, out);
}
