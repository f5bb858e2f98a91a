//! Pooling windows over any number of spatial axes, each window strictly in order (Spec: N-20).
//!
//! A window's elements are taken row-major, one accumulator per output. Rows of outputs advance
//! together over one element of the kernel at a time, which keeps that order for each of them.
//! Padding takes no part, except in the divisor of an average that counts it.

use crate::elementwise::Number;
use crate::engine::Engine;
use crate::float::Float;
use crate::fma::Fma;
use crate::norm::FloatNumber;
use crate::reduce::{Fold, Largest, Sum, SumMagnitude, SumSquare};

mod indices;

pub use indices::max_pool_with_indices;

/// Describes the windows along one spatial axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Extent of the input.
    pub input: usize,
    /// Extent of the output.
    pub output: usize,
    /// Elements of a window.
    pub kernel: usize,
    /// Distance between windows.
    pub stride: usize,
    /// Distance between the elements of a window.
    pub dilation: usize,
    /// Padding before the input.
    pub pad_begin: usize,
    /// Padding after the input.
    pub pad_end: usize,
}

impl Window {
    /// Returns the position of a window's element in the input, if it is not padding.
    #[inline(always)]
    fn position(&self, window: usize, element: usize) -> Option<usize> {
        (window * self.stride + element * self.dilation)
            .checked_sub(self.pad_begin)
            .filter(|at| *at < self.input)
    }

    /// Returns the windows whose given element is not padding.
    #[inline(always)]
    fn covered(&self, element: usize) -> core::ops::Range<usize> {
        let offset = element * self.dilation;
        let first = self.pad_begin.saturating_sub(offset).div_ceil(self.stride);
        let end = (self.input + self.pad_begin)
            .saturating_sub(offset)
            .div_ceil(self.stride);
        let end = end.min(self.output);
        first.min(end)..end
    }

    /// Counts the elements of a window that lie in the input, or with `padded` in its padding too.
    fn counted(&self, window: usize, padded: bool) -> usize {
        let bounds = if padded {
            0..self.input + self.pad_begin + self.pad_end
        } else {
            self.pad_begin..self.pad_begin + self.input
        };
        (0..self.kernel)
            .filter(|element| bounds.contains(&(window * self.stride + element * self.dilation)))
            .count()
    }
}

/// Names what becomes of the elements of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The largest; over nothing the least value of the type.
    Max,
    /// The sum.
    Sum,
    /// The sum of magnitudes.
    SumMagnitude,
    /// The square root of the sum of squares (fused multiply-adds).
    RootSumSquare,
    /// The sum divided by the number of elements; `padded` counts padding too.
    Average {
        /// Whether padding counts.
        padded: bool,
    },
}

/// Bounds the work a thread takes at once, in window elements.
const PIECE: usize = 1 << 15;

/// Says where one element of the kernel meets the windows of a row. Worked out once for all rows:
/// the divisions take longer than a short row.
struct Tap {
    /// Is the windows whose element is not padding.
    windows: core::ops::Range<usize>,
    /// Is the position in the row of the first of them.
    start: usize,
}

/// Lists the elements of the kernel that meet any window.
fn taps(axis: &Window) -> Vec<Tap> {
    let tap = |element| {
        let windows = axis.covered(element);
        let start = axis.position(windows.start, element)?;
        (!windows.is_empty()).then_some(Tap { windows, start })
    };
    (0..axis.kernel).filter_map(tap).collect()
}

multiversion! {
    fn pool_piece<O: Fold<T>, T: Number>(
        fold: O, axes: &[Window], taps: &[Tap], first: usize, x: &[T], out: &mut [T],
    ) = pool_body;
}

/// Pools floats: `axes` are the spatial axes, outermost first, and `x` holds whole planes.
///
/// # Panics
/// When lengths do not fit together, or there is no axis.
pub fn pool<T: FloatNumber>(engine: &Engine, op: Pooling, axes: &[Window], x: &[T], out: &mut [T]) {
    match op {
        Pooling::Max => run(
            engine,
            Largest {
                least: -T::INFINITY,
            },
            axes,
            x,
            out,
        ),
        Pooling::Sum | Pooling::Average { .. } => run(engine, Sum, axes, x, out),
        Pooling::SumMagnitude => run(engine, SumMagnitude, axes, x, out),
        Pooling::RootSumSquare => run(engine, SumSquare, axes, x, out),
    }
    match op {
        Pooling::Average { padded } => divide_by_counts(padded, axes, out),
        Pooling::RootSumSquare => {
            for value in out.iter_mut() {
                *value = value.square_root();
            }
        }
        _ => {}
    }
    engine.pool().run_pieces(out, PIECE, |_, out| {
        for value in out {
            *value = value.canonical();
        }
    });
}

/// Pools integers by their largest element; `least` stands for a window of padding alone.
///
/// # Panics
/// When lengths do not fit together, or there is no axis.
pub fn max_pool_integer<T: Number>(
    engine: &Engine,
    least: T,
    axes: &[Window],
    x: &[T],
    out: &mut [T],
) {
    run(engine, Largest { least }, axes, x, out);
}

fn run<O: Fold<T>, T: Number>(engine: &Engine, fold: O, axes: &[Window], x: &[T], out: &mut [T]) {
    let (plane_in, plane_out) = planes(axes);
    let Some(last) = axes.last().filter(|_| !out.is_empty()) else {
        return;
    };
    assert!(out.len().is_multiple_of(plane_out));
    assert_eq!(x.len(), out.len() / plane_out * plane_in);
    let kernel: usize = axes.iter().map(|axis| axis.kernel).product();
    let taps = taps(last);
    let per_piece = (PIECE / (plane_out * kernel).max(1)).max(1);
    engine
        .pool()
        .run_pieces(out, per_piece * plane_out, |i, out| {
            pool_piece(engine, fold, axes, &taps, i * per_piece, x, out);
        });
}

/// Returns the elements of one input plane and of one output plane.
fn planes(axes: &[Window]) -> (usize, usize) {
    assert!(!axes.is_empty());
    (
        axes.iter().map(|axis| axis.input).product(),
        axes.iter().map(|axis| axis.output).product(),
    )
}

#[inline(always)]
fn pool_body<F: Fma, O: Fold<T>, T: Number>(
    fold: O,
    axes: &[Window],
    taps: &[Tap],
    first: usize,
    x: &[T],
    out: &mut [T],
) {
    let (plane_in, plane_out) = planes(axes);
    let Some((last, outer)) = axes.split_last() else {
        return;
    };
    let outer_kernel: usize = outer.iter().map(|axis| axis.kernel).product();
    let half = last.input.div_ceil(2);
    let mut halves = vec![fold.init(); if last.stride == 2 { 2 * half } else { 0 }];
    for (p, out) in out.chunks_exact_mut(plane_out).enumerate() {
        let x = &x[(first + p) * plane_in..(first + p + 1) * plane_in];
        for (row, out) in out.chunks_exact_mut(last.output).enumerate() {
            out.fill(fold.init());
            for element in 0..outer_kernel {
                if let Some(input_row) = input_row(outer, row, element) {
                    let x = &x[input_row * last.input..(input_row + 1) * last.input];
                    if last.stride == 2 {
                        let (even, odd) = halves.split_at_mut(half);
                        split_row(x, even, odd);
                        pool_halves::<F, O, T>(fold, taps, [even, odd], out);
                    } else {
                        pool_row::<F, O, T>(fold, taps, last.stride, x, out);
                    }
                }
            }
        }
    }
}

/// Finds the input row that an output row's window takes at one element of the outer kernel.
#[inline(always)]
fn input_row(outer: &[Window], mut row: usize, mut element: usize) -> Option<usize> {
    if let [axis] = outer {
        return axis.position(row, element);
    }
    let (mut input_row, mut step) = (0, 1);
    for axis in outer.iter().rev() {
        input_row += axis.position(row % axis.output, element % axis.kernel)? * step;
        step *= axis.input;
        row /= axis.output;
        element /= axis.kernel;
    }
    Some(input_row)
}

/// Folds one input row into the outputs of one row.
#[inline(always)]
fn pool_row<F: Fma, O: Fold<T>, T: Number>(
    fold: O,
    taps: &[Tap],
    stride: usize,
    x: &[T],
    out: &mut [T],
) {
    for tap in taps {
        let out = &mut out[tap.windows.clone()];
        let x = &x[tap.start..];
        if stride == 1 {
            for (o, x) in out.iter_mut().zip(x) {
                *o = fold.step::<F>(*o, *x);
            }
        } else {
            for (o, x) in out.iter_mut().zip(x.iter().step_by(stride)) {
                *o = fold.step::<F>(*o, *x);
            }
        }
    }
}

/// Puts a row's elements at even places side by side, and those at odd ones: windows two apart then
/// read neighbours, which compilers turn into vector code.
#[inline(always)]
fn split_row<T: Copy>(x: &[T], even: &mut [T], odd: &mut [T]) {
    let (pairs, rest) = x.as_chunks::<2>();
    for ((pair, even), odd) in pairs.iter().zip(even.iter_mut()).zip(odd) {
        [*even, *odd] = *pair;
    }
    if let ([x], Some(even)) = (rest, even.last_mut()) {
        *even = *x;
    }
}

/// Folds one split input row into the outputs of one row, whose windows are two apart: the same
/// steps in the same order as [`pool_row`].
#[inline(always)]
fn pool_halves<F: Fma, O: Fold<T>, T: Number>(
    fold: O,
    taps: &[Tap],
    halves: [&[T]; 2],
    out: &mut [T],
) {
    for Tap { windows, start } in taps {
        let x = &halves[start % 2][start / 2..];
        for (o, x) in out[windows.clone()].iter_mut().zip(x) {
            *o = fold.step::<F>(*o, *x);
        }
    }
}

/// Divides sums by the number of elements of their windows, a true division.
fn divide_by_counts<T: Float>(padded: bool, axes: &[Window], out: &mut [T]) {
    let (_, plane_out) = planes(axes);
    let counts: Vec<Vec<usize>> = axes
        .iter()
        .map(|axis| {
            (0..axis.output)
                .map(|window| axis.counted(window, padded))
                .collect()
        })
        .collect();
    for out in out.chunks_exact_mut(plane_out.max(1)) {
        for (i, value) in out.iter_mut().enumerate() {
            let (mut rest, mut count) = (i, 1);
            for (axis, counts) in axes.iter().zip(&counts).rev() {
                count *= counts[rest % axis.output];
                rest /= axis.output;
            }
            *value = *value / T::from_count(count);
        }
    }
}

#[cfg(test)]
mod tests;
