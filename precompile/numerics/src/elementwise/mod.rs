//! Kernels that compute every output element from one element of each input.
//!
//! An operator is a value that implements [`Op1`], [`Op2`] or [`Op3`]; one driver per arity walks
//! the broadcast, cuts the output into pieces for the pool and runs the loop compiled for the
//! engine's instruction set. Floats come out with canonical NaNs (Spec: N-9).

mod arith;
mod bits;
mod chain;
mod compare;
mod number;
mod unary;

pub use arith::{Arith, DivideByZero, arith, float_mod, integer_mod, integer_power, prelu};
pub use bits::{Bitwise, Shift, bitwise, bitwise_not, shift};
pub use chain::{Link, Map, Operand, chain};
pub use compare::{Comparison, Logic, compare, is_infinite, is_nan, logic, not, select};
pub use number::{Integer, Number};
pub use unary::{Activation, Unary, activate, clip, unary};

use crate::broadcast::Broadcast;
use crate::engine::Engine;
use crate::fma::Fma;

/// Computes one output element from one input element.
pub(crate) trait Op1<T, U>: Copy + Sync {
    /// Computes the element.
    fn apply<F: Fma>(self, x: T) -> U;
}

/// Computes one output element from two input elements.
pub(crate) trait Op2<T, U>: Copy + Sync {
    /// Computes the element.
    fn apply<F: Fma>(self, a: T, b: T) -> U;
}

/// Is how many elements stay on the caller's thread, and the least and the most that a thread takes at
/// once of more.
const SHARE: [usize; 3] = [1 << 13, 1 << 11, 1 << 15];

multiversion! {
    fn map_piece<O: Op1<T, U>, T: Copy, U: Copy>(op: O, x: &[T], out: &mut [U]) = map_body;
    fn zip_piece<O: Op2<T, U>, T: Copy, U: Copy>(
        op: O, plan: &Broadcast<2>, start: usize, a: &[T], b: &[T], out: &mut [U],
    ) = zip_body;
}

/// Applies an operator to every element, vectorised.
pub(crate) fn map<O: Op1<T, U>, T: Copy + Sync, U: Copy + Send>(
    engine: &Engine,
    op: O,
    x: &[T],
    out: &mut [U],
) {
    assert_eq!(x.len(), out.len());
    let piece = engine.pool().share(out.len(), SHARE);
    engine.pool().run_pieces(out, piece, |i, out| {
        let start = i * piece;
        map_piece(engine, op, &x[start..start + out.len()], out);
    });
}

/// Applies an operator to every broadcast pair, vectorised for the engine's instruction set.
pub(crate) fn zip<O: Op2<T, U>, T: Copy + Sync, U: Copy + Send>(
    engine: &Engine,
    op: O,
    plan: &Broadcast<2>,
    a: &[T],
    b: &[T],
    out: &mut [U],
) {
    assert_eq!((plan.input_len(0), plan.input_len(1)), (a.len(), b.len()));
    assert_eq!(plan.len(), out.len());
    let piece = engine.pool().share(out.len(), SHARE);
    engine.pool().run_pieces(out, piece, |i, out| {
        zip_piece(engine, op, plan, i * piece, a, b, out);
    });
}

#[inline(always)]
fn map_body<F: Fma, O: Op1<T, U>, T: Copy, U: Copy>(op: O, x: &[T], out: &mut [U]) {
    for (o, x) in out.iter_mut().zip(x) {
        *o = op.apply::<F>(*x);
    }
}

#[inline(always)]
fn zip_body<F: Fma, O: Op2<T, U>, T: Copy, U: Copy>(
    op: O,
    plan: &Broadcast<2>,
    start: usize,
    a: &[T],
    b: &[T],
    out: &mut [U],
) {
    let steps = plan.inner_steps();
    for (run, [ia, ib]) in plan.runs(start..start + out.len()) {
        let out = &mut out[run];
        let n = out.len();
        match steps {
            [0, 0] => out.fill(op.apply::<F>(a[ia], b[ib])),
            [0, _] => {
                let a = a[ia];
                for (o, b) in out.iter_mut().zip(&b[ib..ib + n]) {
                    *o = op.apply::<F>(a, *b);
                }
            }
            [_, 0] => {
                let b = b[ib];
                for (o, a) in out.iter_mut().zip(&a[ia..ia + n]) {
                    *o = op.apply::<F>(*a, b);
                }
            }
            _ => {
                for ((o, a), b) in out.iter_mut().zip(&a[ia..ia + n]).zip(&b[ib..ib + n]) {
                    *o = op.apply::<F>(*a, *b);
                }
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
