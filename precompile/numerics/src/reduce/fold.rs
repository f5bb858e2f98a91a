//! What a lane does with an element, and how 16 lanes become one value.

use crate::elementwise::Number;
use crate::float::Float;
use crate::fma::Fma;

/// The number of strided lanes (Spec: N-4).
pub(crate) const LANES: usize = 16;

/// Folds elements into a lane and joins lanes.
pub(crate) trait Fold<T>: Copy + Sync {
    /// Returns what a lane holds at first; joining it changes nothing.
    fn init(self) -> T;
    /// Folds one element into a lane.
    fn step<F: Fma>(self, lane: T, value: T) -> T;
    /// Joins two lanes.
    fn join(self, a: T, b: T) -> T;
}

/// Adds elements.
#[derive(Clone, Copy)]
pub(crate) struct Sum;

/// Adds squares by fused multiply-add.
#[derive(Clone, Copy)]
pub(crate) struct SumSquare;

/// Adds wrapping squares of integers.
#[derive(Clone, Copy)]
pub(super) struct SumSquareWrapping;

/// Adds magnitudes.
#[derive(Clone, Copy)]
pub(crate) struct SumMagnitude;

/// Multiplies elements.
#[derive(Clone, Copy)]
pub(super) struct Product;

/// Keeps the largest element.
#[derive(Clone, Copy)]
pub(crate) struct Largest<T> {
    /// What an empty fold gives.
    pub(crate) least: T,
}

/// Keeps the smallest element.
#[derive(Clone, Copy)]
pub(super) struct Smallest<T> {
    pub(super) greatest: T,
}

impl<T: Number> Fold<T> for Sum {
    #[inline(always)]
    fn init(self) -> T {
        T::default()
    }
    #[inline(always)]
    fn step<F: Fma>(self, lane: T, value: T) -> T {
        lane.accumulate(value)
    }
    #[inline(always)]
    fn join(self, a: T, b: T) -> T {
        a.accumulate(b)
    }
}

impl<T: Float + Number> Fold<T> for SumSquare {
    #[inline(always)]
    fn init(self) -> T {
        T::ZERO
    }
    #[inline(always)]
    fn step<F: Fma>(self, lane: T, value: T) -> T {
        T::fma::<F>(value, value, lane)
    }
    #[inline(always)]
    fn join(self, a: T, b: T) -> T {
        a + b
    }
}

impl<T: Number> Fold<T> for SumSquareWrapping {
    #[inline(always)]
    fn init(self) -> T {
        T::default()
    }
    #[inline(always)]
    fn step<F: Fma>(self, lane: T, value: T) -> T {
        lane.plus(value.times(value))
    }
    #[inline(always)]
    fn join(self, a: T, b: T) -> T {
        a.plus(b)
    }
}

impl<T: Number> Fold<T> for SumMagnitude {
    #[inline(always)]
    fn init(self) -> T {
        T::default()
    }
    #[inline(always)]
    fn step<F: Fma>(self, lane: T, value: T) -> T {
        lane.accumulate(value.absolute())
    }
    #[inline(always)]
    fn join(self, a: T, b: T) -> T {
        a.accumulate(b)
    }
}

impl<T: Number> Fold<T> for Product {
    #[inline(always)]
    fn init(self) -> T {
        T::UNIT
    }
    #[inline(always)]
    fn step<F: Fma>(self, lane: T, value: T) -> T {
        lane.times(value)
    }
    #[inline(always)]
    fn join(self, a: T, b: T) -> T {
        a.times(b)
    }
}

impl<T: Number> Fold<T> for Largest<T> {
    #[inline(always)]
    fn init(self) -> T {
        self.least
    }
    #[inline(always)]
    fn step<F: Fma>(self, lane: T, value: T) -> T {
        lane.max_of(value)
    }
    #[inline(always)]
    fn join(self, a: T, b: T) -> T {
        a.max_of(b)
    }
}

impl<T: Number> Fold<T> for Smallest<T> {
    #[inline(always)]
    fn init(self) -> T {
        self.greatest
    }
    #[inline(always)]
    fn step<F: Fma>(self, lane: T, value: T) -> T {
        lane.min_of(value)
    }
    #[inline(always)]
    fn join(self, a: T, b: T) -> T {
        a.min_of(b)
    }
}

/// Folds a run whose first element belongs to lane `phase`.
#[inline(always)]
pub(crate) fn fold_lanes<F: Fma, O: Fold<T>, T: Copy>(
    fold: O,
    lanes: &mut [T; LANES],
    phase: usize,
    run: &[T],
) {
    let head = if phase == 0 {
        0
    } else {
        (LANES - phase).min(run.len())
    };
    let (head, body) = run.split_at(head);
    for (lane, value) in lanes[phase..].iter_mut().zip(head) {
        *lane = fold.step::<F>(*lane, *value);
    }
    let mut acc = *lanes;
    let mut chunks = body.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (lane, value) in acc.iter_mut().zip(chunk) {
            *lane = fold.step::<F>(*lane, *value);
        }
    }
    for (lane, value) in acc.iter_mut().zip(chunks.remainder()) {
        *lane = fold.step::<F>(*lane, *value);
    }
    *lanes = acc;
}

/// Joins lanes 8, 4, 2 and 1 apart.
#[inline(always)]
pub(crate) fn join_lanes<O: Fold<T>, T: Copy>(fold: O, lanes: &mut [T; LANES], count: usize) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            // An untouched lane holds the fold's neutral element: joining it changes no bit.
            if i + half < count {
                lanes[i] = fold.join(lanes[i], lanes[i + half]);
            }
        }
        half /= 2;
    }
    lanes[0]
}
