//! Normalisation over contiguous rows in two passes (Spec: N-7), and over channels (Spec: N-3).

use crate::elementwise::Number;
use crate::engine::Engine;
use crate::float::Float;
use crate::fma::Fma;
use crate::reduce::{Fold, LANES, Sum, SumSquare, fold_lanes, join_lanes};

/// Says how a normalised row is scaled and shifted.
#[derive(Clone, Copy, Debug)]
pub enum Affine<'a, T> {
    /// One scale, and perhaps one shift, for every element of the row.
    Elements {
        /// Scales, as many as the row has elements.
        scale: &'a [T],
        /// Shifts, likewise.
        shift: Option<&'a [T]>,
    },
    /// One scale and shift for every run of `run` elements; row `r` starts at run
    /// `r * (row / run) mod scale.len()`.
    Channels {
        /// Scales, one for each channel.
        scale: &'a [T],
        /// Shifts, likewise.
        shift: &'a [T],
        /// Elements of one channel in a row.
        run: usize,
    },
}

/// Names what is taken away from a row before it is scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Centre {
    /// The row's mean (LayerNormalization and its kin).
    Mean,
    /// Nothing (RMSNormalization).
    Zero,
}

/// Bounds the elements a thread takes at once.
const PIECE: usize = 1 << 11;

/// Adds squared distances from a mean by fused multiply-add.
#[derive(Clone, Copy)]
struct SquaredDistance<T> {
    mean: T,
}

impl<T: Float> Fold<T> for SquaredDistance<T> {
    #[inline(always)]
    fn init(self) -> T {
        T::ZERO
    }
    #[inline(always)]
    fn step<F: Fma>(self, lane: T, value: T) -> T {
        let distance = value - self.mean;
        T::fma::<F>(distance, distance, lane)
    }
    #[inline(always)]
    fn join(self, a: T, b: T) -> T {
        a + b
    }
}

multiversion! {
    fn normalise_piece<T: FloatNumber>(
        centre: Centre, affine: Affine<'_, T>, epsilon: T, first: usize, row: usize,
        x: &[T], out: &mut [T], statistics: &mut [[T; 2]],
    ) = normalise_body;
    fn scale_channels_piece<T: FloatNumber>(
        factors: &[T], shifts: &[T], first: usize, run: usize, x: &[T], out: &mut [T],
    ) = scale_channels_body;
}

/// Joins the two traits kernels over floats need.
pub trait FloatNumber: Float + Number {}
impl FloatNumber for f32 {}
impl FloatNumber for f64 {}

/// Normalises rows of `row` elements; `statistics` receives each row's mean (0 without centre) and
/// inverse deviation.
///
/// # Panics
/// When lengths do not fit together, or `row` is 0.
pub fn normalise<T: FloatNumber>(
    engine: &Engine,
    centre: Centre,
    affine: Affine<'_, T>,
    epsilon: T,
    row: usize,
    x: &[T],
    out: &mut [T],
    statistics: &mut [[T; 2]],
) {
    assert_eq!(x.len(), out.len());
    assert_eq!(x.len(), row * statistics.len());
    match affine {
        Affine::Elements { scale, shift } => {
            assert_eq!(scale.len(), row);
            assert!(shift.is_none_or(|shift| shift.len() == row));
        }
        Affine::Channels { scale, shift, run } => {
            assert_eq!(scale.len(), shift.len());
            assert!(row.is_multiple_of(run) && scale.len().is_multiple_of(row / run));
        }
    }
    let rows = (PIECE / row).max(1);
    engine.pool().run_piece_pairs(
        (out, rows * row),
        (statistics, rows),
        |i, out, statistics| {
            let first = i * rows;
            let x = &x[first * row..first * row + out.len()];
            normalise_piece(
                engine, centre, affine, epsilon, first, row, x, out, statistics,
            );
        },
    );
}

/// Computes x * factor + shift with two roundings, one factor and shift for each channel of `run`
/// elements (Spec: N-3).
///
/// # Panics
/// When lengths do not fit together.
pub fn scale_channels<T: FloatNumber>(
    engine: &Engine,
    factors: &[T],
    shifts: &[T],
    run: usize,
    x: &[T],
    out: &mut [T],
) {
    assert_eq!(x.len(), out.len());
    assert_eq!(factors.len(), shifts.len());
    if x.is_empty() {
        return;
    }
    assert!(x.len().is_multiple_of(run * factors.len()));
    let runs = (PIECE / run).max(1);
    engine.pool().run_pieces(out, runs * run, |i, out| {
        let first = i * runs;
        let x = &x[first * run..first * run + out.len()];
        scale_channels_piece(engine, factors, shifts, first, run, x, out);
    });
}

/// Prepares batch normalisation: factor = scale / sqrt(variance + epsilon), shift = bias - mean *
/// factor, each step rounded (Spec: N-3).
///
/// # Panics
/// When the lengths differ.
pub fn batch_factors<T: Float>(
    scale: &[T],
    bias: &[T],
    mean: &[T],
    variance: &[T],
    epsilon: T,
) -> (Vec<T>, Vec<T>) {
    assert!(bias.len() == scale.len() && mean.len() == scale.len());
    assert_eq!(variance.len(), scale.len());
    let factors: Vec<T> = scale
        .iter()
        .zip(variance)
        .map(|(scale, variance)| *scale / (*variance + epsilon).square_root())
        .collect();
    let shifts = bias
        .iter()
        .zip(mean)
        .zip(&factors)
        .map(|((bias, mean), factor)| *bias - *mean * *factor)
        .collect();
    (factors, shifts)
}

#[inline(always)]
fn scale_channels_body<F: Fma, T: FloatNumber>(
    factors: &[T],
    shifts: &[T],
    first: usize,
    run: usize,
    x: &[T],
    out: &mut [T],
) {
    for (i, (x, out)) in x
        .chunks_exact(run)
        .zip(out.chunks_exact_mut(run))
        .enumerate()
    {
        let channel = (first + i) % factors.len();
        let (factor, shift) = (factors[channel], shifts[channel]);
        for (o, x) in out.iter_mut().zip(x) {
            *o = (*x * factor + shift).canonical();
        }
    }
}

#[inline(always)]
fn fold_row<F: Fma, O: Fold<T>, T: FloatNumber>(fold: O, x: &[T]) -> T {
    let mut lanes = [fold.init(); LANES];
    fold_lanes::<F, O, T>(fold, &mut lanes, 0, x);
    join_lanes(fold, &mut lanes, x.len())
}

#[inline(always)]
#[allow(clippy::too_many_arguments)] // Mirrors the public function for the compiled instances.
fn normalise_body<F: Fma, T: FloatNumber>(
    centre: Centre,
    affine: Affine<'_, T>,
    epsilon: T,
    first: usize,
    row: usize,
    x: &[T],
    out: &mut [T],
    statistics: &mut [[T; 2]],
) {
    let count = T::from_count(row);
    let rows = x.chunks_exact(row).zip(out.chunks_exact_mut(row));
    for (i, ((x, out), statistics)) in rows.zip(statistics).enumerate() {
        let (mean, squares) = match centre {
            Centre::Mean => {
                let mean = fold_row::<F, _, T>(Sum, x) / count;
                (mean, fold_row::<F, _, T>(SquaredDistance { mean }, x))
            }
            Centre::Zero => (T::ZERO, fold_row::<F, _, T>(SumSquare, x)),
        };
        let inverse = T::ONE / (squares / count + epsilon).square_root();
        *statistics = [mean.canonical(), inverse.canonical()];
        match affine {
            Affine::Elements { scale, shift } => {
                scale_elements::<F, T>(centre, mean, inverse, scale, shift, x, out);
            }
            Affine::Channels { scale, shift, run } => {
                let channels = row / run;
                let start = (first + i) * channels % scale.len();
                let runs = x.chunks_exact(run).zip(out.chunks_exact_mut(run));
                for (c, (x, out)) in runs.enumerate() {
                    let (scale, shift) = (scale[start + c], shift[start + c]);
                    for (o, x) in out.iter_mut().zip(x) {
                        *o = T::fma::<F>((*x - mean) * inverse, scale, shift).canonical();
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn scale_elements<F: Fma, T: FloatNumber>(
    centre: Centre,
    mean: T,
    inverse: T,
    scale: &[T],
    shift: Option<&[T]>,
    x: &[T],
    out: &mut [T],
) {
    // Taking away +0 keeps every bit but that of -0: no centre means no subtraction.
    let unit = |x: T| match centre {
        Centre::Mean => (x - mean) * inverse,
        Centre::Zero => x * inverse,
    };
    if let Some(shift) = shift {
        for (((o, x), scale), shift) in out.iter_mut().zip(x).zip(scale).zip(shift) {
            *o = T::fma::<F>(unit(*x), *scale, *shift).canonical();
        }
    } else {
        for ((o, x), scale) in out.iter_mut().zip(x).zip(scale) {
            *o = (unit(*x) * *scale).canonical();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elementwise::testing::{engines, floats};

    fn lanes(values: impl Iterator<Item = f32>, step: impl Fn(f32, f32) -> f32) -> f32 {
        let mut lanes = [0.0f32; 16];
        for (i, value) in values.enumerate() {
            lanes[i % 16] = step(lanes[i % 16], value);
        }
        for h in [8, 4, 2, 1] {
            for i in 0..h {
                lanes[i] += lanes[i + h];
            }
        }
        lanes[0]
    }

    fn oracle(x: &[f32], epsilon: f32, y: impl Fn(usize, f32) -> f32) -> Vec<u32> {
        let n = x.len() as f32;
        let mean = lanes(x.iter().copied(), |a, v| a + v) / n;
        let var = lanes(x.iter().copied(), |a, v| (v - mean).mul_add(v - mean, a)) / n;
        let inverse = 1.0 / (var + epsilon).sqrt();
        x.iter()
            .enumerate()
            .map(|(i, v)| y(i, (v - mean) * inverse).to_bits())
            .collect()
    }

    fn tame(n: usize, seed: u64) -> Vec<f32> {
        floats(n, seed)
            .iter()
            .map(|v| 0.3 + v.clamp(-4.0, 4.0))
            .map(|v| if v.is_nan() { 1.0 } else { v })
            .collect()
    }

    #[test]
    fn layer_norm_follows_the_two_passes_on_every_engine() {
        for row in [1, 7, 16, 384] {
            let x = tame(row * 90, 1);
            let (scale, shift) = (tame(row, 2), tame(row, 3));
            let affine = Affine::Elements {
                scale: &scale,
                shift: Some(&shift),
            };
            for engine in engines() {
                let mut out = vec![0.0; x.len()];
                let mut statistics = vec![[0.0; 2]; 90];
                normalise(
                    &engine,
                    Centre::Mean,
                    affine,
                    1e-5,
                    row,
                    &x,
                    &mut out,
                    &mut statistics,
                );
                for (x, out) in x.chunks(row).zip(out.chunks(row)) {
                    let want = oracle(x, 1e-5, |i, unit| unit.mul_add(scale[i], shift[i]));
                    assert_eq!(out.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), want);
                }
            }
        }
    }

    #[test]
    fn group_norm_uses_the_scale_of_each_channel() {
        let (batch, channels, groups, run) = (3, 6, 2, 35);
        let row = channels / groups * run;
        let x = tame(batch * channels * run, 4);
        let (scale, shift) = (tame(channels, 5), tame(channels, 6));
        let affine = Affine::Channels {
            scale: &scale,
            shift: &shift,
            run,
        };
        for engine in engines() {
            let mut out = vec![0.0; x.len()];
            let mut statistics = vec![[0.0; 2]; batch * groups];
            normalise(
                &engine,
                Centre::Mean,
                affine,
                1e-3,
                row,
                &x,
                &mut out,
                &mut statistics,
            );
            for (r, (x, out)) in x.chunks(row).zip(out.chunks(row)).enumerate() {
                let channel = |i: usize| (r * 3 + i / run) % channels;
                let want = oracle(x, 1e-3, |i, unit| {
                    unit.mul_add(scale[channel(i)], shift[channel(i)])
                });
                assert_eq!(out.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), want);
            }
        }
    }

    #[test]
    fn rms_norm_divides_by_the_root_of_the_mean_square() {
        let x = tame(50, 7);
        let scale = tame(50, 8);
        let square = lanes(x.iter().copied(), |a, v| v.mul_add(v, a)) / 50.0;
        let inverse = 1.0 / (square + 1e-6).sqrt();
        for engine in engines() {
            let affine = Affine::Elements {
                scale: &scale,
                shift: None,
            };
            let (mut out, mut statistics) = (vec![0.0; 50], [[9.0; 2]]);
            normalise(
                &engine,
                Centre::Zero,
                affine,
                1e-6,
                50,
                &x,
                &mut out,
                &mut statistics,
            );
            assert_eq!(statistics, [[0.0, inverse]]);
            for (i, out) in out.iter().enumerate() {
                assert_eq!(out.to_bits(), (x[i] * inverse * scale[i]).to_bits());
            }
        }
    }

    #[test]
    fn batch_norm_rounds_product_and_sum() {
        let (factors, shifts) =
            batch_factors(&[2.0f32, 0.1], &[0.3, 0.7], &[1.5, -0.2], &[0.9, 3.0], 1e-5);
        assert_eq!(
            factors[1].to_bits(),
            (0.1f32 / (3.0f32 + 1e-5).sqrt()).to_bits()
        );
        assert_eq!(shifts[0].to_bits(), (0.3f32 - 1.5 * factors[0]).to_bits());
        let x = tame(2 * 2 * 33, 9);
        for engine in engines() {
            let mut out = vec![0.0; x.len()];
            scale_channels(&engine, &factors, &shifts, 33, &x, &mut out);
            for (i, out) in out.iter().enumerate() {
                let c = i / 33 % 2;
                assert_eq!(out.to_bits(), (x[i] * factors[c] + shifts[c]).to_bits());
            }
        }
    }
}
