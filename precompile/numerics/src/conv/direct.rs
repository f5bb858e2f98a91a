//! Convolution in place, for groups of few output channels (depthwise above all).
#![allow(unsafe_code)]

use super::geometry::Run;
use super::panels::Patch;
use crate::engine::Engine;
use crate::fma::Fma;
use crate::gemm::{Epilogue, Real};
use crate::pool::SharedSlice;

/// Is how many outputs are summed side by side; with its steps it stays inside the margin.
const LANES: usize = 32;

/// Computes rows of a group's output, run by run.
// Spec: N-3
pub(crate) fn direct_rows<T: Real>(
    engine: &Engine,
    patch: &Patch<'_, T>,
    weights: &[T],
    epilogue: &Epilogue<'_, T>,
    out: SharedSlice<'_, T>,
    out_start: usize,
) {
    let positions = patch.field.positions();
    let depth = patch.offsets.len();
    let runs = patch.field.runs(patch.positions.clone(), usize::MAX);
    for row in patch.rows.clone() {
        let start = out_start + row * positions;
        // SAFETY: chunks cover disjoint rows of the output.
        let out = unsafe { out.part(start, start + positions) };
        let finish = Finish {
            bias: epilogue.row_bias.map(|bias| bias[row]),
            relu: epilogue.relu,
        };
        let weights = &weights[row * depth..][..depth];
        let step = patch.field.step();
        sum_runs(
            engine,
            patch.source,
            patch.offsets,
            weights,
            &runs,
            step,
            finish,
            out,
        );
    }
}

/// Is what happens to a finished sum.
#[derive(Clone, Copy)]
struct Finish<T> {
    bias: Option<T>,
    relu: bool,
}

multiversion! {
    /// Sums all runs of one output channel.
    fn sum_runs<T: Real>(
        source: &[T], offsets: &[usize], weights: &[T], runs: &[Run], step: usize,
        finish: Finish<T>, out: &mut [T],
    ) = sum_runs_body;
}

#[inline(always)]
fn sum_runs_body<F: Fma, T: Real>(
    source: &[T],
    offsets: &[usize],
    weights: &[T],
    runs: &[Run],
    step: usize,
    finish: Finish<T>,
    out: &mut [T],
) {
    for run in runs {
        for start in (0..run.len).step_by(LANES) {
            let count = (run.len - start).min(LANES);
            let base = run.base + start * step;
            let mut sums = [T::ZERO; LANES];
            for (offset, weight) in offsets.iter().zip(weights) {
                let from = &source[offset + base..];
                if step == 1 {
                    // Lanes beyond the run read its neighbours or the margin, and are dropped.
                    for (sum, x) in sums.iter_mut().zip(&from[..LANES]) {
                        *sum = T::fma::<F>(*weight, *x, *sum);
                    }
                } else {
                    for (sum, x) in sums[..count].iter_mut().zip(from.iter().step_by(step)) {
                        *sum = T::fma::<F>(*weight, *x, *sum);
                    }
                }
            }
            let to = &mut out[run.position + start..][..count];
            for (to, sum) in to.iter_mut().zip(sums) {
                let sum = finish.bias.map_or(sum, |bias| sum.plus(bias));
                let sum = if finish.relu && sum <= T::ZERO {
                    T::ZERO
                } else {
                    sum
                };
                *to = sum.canonical();
            }
        }
    }
}
