//! Reductions over any axes of any layout, in the fixed order of 16 strided lanes (Spec: N-4).
//!
//! The logical reduction index counts the reduced elements of one output in row-major order. Lane
//! `i mod 16` takes element `i`; then a tree adds lanes 8, 4, 2 and 1 apart. Where the reduced axis
//! is innermost, the lanes are a vector; elsewhere many outputs advance together, each with its own
//! 16 lanes: the same sums in the same order.

mod fold;
mod layout;

pub use layout::ReduceLayout;

pub(crate) use fold::{Fold, LANES, Largest, Sum, SumMagnitude, SumSquare, fold_lanes, join_lanes};

use crate::elementwise::Number;
use crate::engine::Engine;
use crate::float::Float;
use crate::fma::Fma;
use fold::{Product, Smallest, SumSquareWrapping};

/// Names a reduction whose result is one chain of lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// The sum of the elements; +0 over none.
    Sum,
    /// The product of the elements; 1 over none.
    Product,
    /// The sum of squares, by fused multiply-add for floats.
    SumSquare,
    /// The sum of magnitudes.
    SumMagnitude,
    /// The largest element; over none the least value of the type.
    Max,
    /// The smallest element; over none the greatest value of the type.
    Min,
}

/// Bounds the input elements a thread takes at once.
const PIECE: usize = 1 << 15;
/// Outputs that advance together where the innermost axis is kept.
const BLOCK: usize = 128;

multiversion! {
    fn reduce_piece<O: Fold<T>, T: Number>(
        fold: O, layout: &ReduceLayout, x: &[T], start: usize, out: &mut [T],
    ) = reduce_body;
}

/// Reduces floats; every NaN result is canonical.
///
/// # Panics
/// When a slice's length is not that of the layout.
pub fn reduce<T: Float + Number>(
    engine: &Engine,
    op: Reduction,
    layout: &ReduceLayout,
    x: &[T],
    out: &mut [T],
) {
    match op {
        Reduction::Sum => run(engine, Sum, layout, x, out),
        Reduction::Product => run(engine, Product, layout, x, out),
        Reduction::SumSquare => run(engine, SumSquare, layout, x, out),
        Reduction::SumMagnitude => run(engine, SumMagnitude, layout, x, out),
        Reduction::Max => run(
            engine,
            Largest {
                least: -T::INFINITY,
            },
            layout,
            x,
            out,
        ),
        Reduction::Min => run(
            engine,
            Smallest {
                greatest: T::INFINITY,
            },
            layout,
            x,
            out,
        ),
    }
    for value in out {
        *value = value.canonical();
    }
}

/// Reduces integers; sums and products wrap. `bounds` are the least and greatest values of the
/// type, the results of Max and Min over nothing.
///
/// # Panics
/// When a slice's length is not that of the layout.
pub fn reduce_integer<T: Number>(
    engine: &Engine,
    op: Reduction,
    bounds: (T, T),
    layout: &ReduceLayout,
    x: &[T],
    out: &mut [T],
) {
    match op {
        Reduction::Sum => run(engine, Sum, layout, x, out),
        Reduction::Product => run(engine, Product, layout, x, out),
        Reduction::SumSquare => run(engine, SumSquareWrapping, layout, x, out),
        Reduction::SumMagnitude => run(engine, SumMagnitude, layout, x, out),
        Reduction::Max => run(engine, Largest { least: bounds.0 }, layout, x, out),
        Reduction::Min => run(engine, Smallest { greatest: bounds.1 }, layout, x, out),
    }
}

/// Divides sums by the number of reduced elements, a true division.
pub fn divide_by_count<T: Float>(layout: &ReduceLayout, out: &mut [T]) {
    let count = T::from_count(layout.count());
    for value in out {
        *value = (*value / count).canonical();
    }
}

/// Runs a fold over a layout, cut over outputs for the pool.
pub(crate) fn run<O: Fold<T>, T: Number>(
    engine: &Engine,
    fold: O,
    layout: &ReduceLayout,
    x: &[T],
    out: &mut [T],
) {
    assert_eq!(x.len(), layout.input_len());
    assert_eq!(out.len(), layout.output_len());
    let piece = (PIECE / layout.count().max(1)).max(1);
    engine.pool().run_pieces(out, piece, |i, out| {
        reduce_piece(engine, fold, layout, x, i * piece, out);
    });
}

#[inline(always)]
fn reduce_body<F: Fma, O: Fold<T>, T: Number>(
    fold: O,
    layout: &ReduceLayout,
    x: &[T],
    start: usize,
    out: &mut [T],
) {
    if layout.count() == 0 {
        out.fill(fold.init());
    } else if layout.width() == 1 {
        for (o, value) in out.iter_mut().enumerate() {
            *value = reduce_runs::<F, O, T>(fold, layout, x, layout.base(start + o));
        }
    } else {
        let width = layout.width();
        let mut at = 0;
        while at < out.len() {
            let column = (start + at) % width;
            let block = (width - column).min(BLOCK).min(out.len() - at);
            let base = layout.base(start + at);
            reduce_block::<F, O, T>(fold, layout, x, base, &mut out[at..at + block]);
            at += block;
        }
    }
}

/// Reduces one output whose innermost reduced elements are contiguous.
#[inline(always)]
fn reduce_runs<F: Fma, O: Fold<T>, T: Number>(
    fold: O,
    layout: &ReduceLayout,
    x: &[T],
    base: usize,
) -> T {
    let mut lanes = [fold.init(); LANES];
    let run = layout.run();
    let mut phase = 0;
    layout.reduced_offsets(|offset| {
        let from = base + offset;
        fold_lanes::<F, O, T>(fold, &mut lanes, phase, &x[from..from + run]);
        phase = (phase + run) % LANES;
    });
    join_lanes(fold, &mut lanes, layout.count())
}

/// Reduces adjacent outputs together: element after element, each into its output's lane.
#[inline(always)]
fn reduce_block<F: Fma, O: Fold<T>, T: Number>(
    fold: O,
    layout: &ReduceLayout,
    x: &[T],
    base: usize,
    out: &mut [T],
) {
    let mut lanes = [[fold.init(); BLOCK]; LANES];
    let block = out.len();
    let mut index = 0;
    layout.reduced_offsets(|offset| {
        let from = base + offset;
        let row = &x[from..from + block];
        for (acc, value) in lanes[index % LANES][..block].iter_mut().zip(row) {
            *acc = fold.step::<F>(*acc, *value);
        }
        index += 1;
    });
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = lanes.split_at_mut(half);
        for (i, (low, high)) in low.iter_mut().zip(high).enumerate() {
            // An untouched lane holds the fold's neutral element: joining it changes no bit.
            if i + half < layout.count() {
                for (a, b) in low[..block].iter_mut().zip(&high[..block]) {
                    *a = fold.join(*a, *b);
                }
            }
        }
        half /= 2;
    }
    out.copy_from_slice(&lanes[0][..block]);
}

#[cfg(test)]
mod tests;
