//! Convolution by gathering inputs into panels for the matrix microkernels.

use std::ops::Range;

use super::geometry::{Field, MARGIN, Run};
use crate::aligned::Aligned;
use crate::engine::Engine;
use crate::fma::Fma;
use crate::gemm::{Depth, Epilogue, Matrix, PackedB, Real, Rows, Side, Tiles, pack_strips};
use crate::pool::SharedSlice;

/// Is the number of output channels in a strip of packed weights, on every instruction set.
pub(crate) const STRIP: usize = 12;
/// Is how many k are gathered at a time.
const BLOCK_K: usize = 256;
/// Is how many output positions are gathered at a time.
const BLOCK_POSITIONS: usize = 128;
/// Is how many numbers a gather copies at once; the next copy overwrites what is too much.
const COPY: usize = 16;

/// Is the part of a group's output that one chunk computes.
pub(crate) struct Patch<'a, T> {
    /// Holds the padded input from the group's first channel on.
    pub(crate) source: &'a [T],
    pub(crate) offsets: &'a [usize],
    pub(crate) field: &'a Field,
    pub(crate) rows: Range<usize>,
    pub(crate) positions: Range<usize>,
    /// Is where the rows begin that the thread is likely to take next, perhaps the same.
    pub(crate) next_row: usize,
}

/// Packs one group's weights into strips of output channels, k-major.
pub(crate) fn pack_weights<T: Real>(weights: Matrix<'_, T>) -> Vec<T> {
    let [rows, depth] = weights.shape();
    let mut strips = vec![T::ZERO; rows * depth];
    pack_strips(&mut strips, &weights, 0..rows, 0..depth, STRIP);
    strips
}

/// Chooses rows and positions per chunk so that every thread gets a few chunks.
pub(crate) fn cut(groups: usize, rows: usize, positions: usize, threads: usize) -> [usize; 2] {
    let across = positions.div_ceil(BLOCK_POSITIONS);
    if threads == 1 || groups * across >= 2 * threads {
        return [rows, BLOCK_POSITIONS];
    }
    let down = (2 * threads).div_ceil(groups * across);
    [rows.div_ceil(down).next_multiple_of(STRIP), BLOCK_POSITIONS]
}

/// Computes a patch: for each block of k gathers its inputs and runs the tiles.
// Spec: N-3
pub(crate) fn gather_and_multiply<T: Real>(
    engine: &Engine,
    patch: &Patch<'_, T>,
    weights: &[T],
    epilogue: &Epilogue<'_, T>,
    out: SharedSlice<'_, T>,
    out_start: usize,
) {
    let panel = PackedB::<T>::PANEL;
    let depth = patch.offsets.len();
    let columns = patch.positions.len();
    let block = BLOCK_K.min(depth);
    let mut panels = Aligned::zeroed(columns.div_ceil(panel) * block * panel + MARGIN);
    let runs = patch.field.runs(patch.positions.clone(), panel);
    let all_rows = weights.len() / depth;
    for start in (0..depth).step_by(block) {
        let len = (depth - start).min(block);
        gather(
            engine,
            patch.source,
            &patch.offsets[start..start + len],
            &runs,
            patch.field.step(),
            &mut panels,
        );
        let part = Depth {
            start: 0,
            len,
            first: start == 0,
            last: start + len == depth,
        };
        let tiles = Tiles {
            kernel: T::kernels(engine),
            b: Side::Panels(&panels),
            epilogue,
            out,
            out_start: out_start + patch.positions.start,
            out_stride: patch.field.positions(),
        };
        for column in (0..columns).step_by(panel) {
            let columns = column..(column + panel).min(columns);
            for row in patch.rows.clone().step_by(STRIP) {
                let count = (all_rows - row).min(STRIP);
                let a = weights[row * depth + start * count..].as_ptr();
                let rows = Rows {
                    a,
                    row: 1,
                    step: count,
                    first: row,
                    count,
                };
                if count == tiles.kernel.strip_rows {
                    let width = 2 * tiles.kernel.width;
                    for column in columns.clone().step_by(width) {
                        tiles.strip(rows, column, (columns.end - column).min(width), part);
                    }
                } else {
                    tiles.few_rows(rows, columns.clone(), part);
                }
            }
        }
    }
}

multiversion! {
    /// Copies, for every k, the inputs of all runs into panels.
    fn gather<T: Real>(
        source: &[T], offsets: &[usize], runs: &[Run], step: usize, panels: &mut [T],
    ) = gather_body;
}

#[inline(always)]
fn gather_body<F: Fma, T: Real>(
    source: &[T],
    offsets: &[usize],
    runs: &[Run],
    step: usize,
    panels: &mut [T],
) {
    let panel = PackedB::<T>::PANEL;
    let Some(first) = runs.first().map(|run| run.position) else {
        return;
    };
    let mut rest = runs;
    while let Some(start) = rest.first().map(|run| run.position - first) {
        let count = rest
            .iter()
            .take_while(|run| run.position - first < start + panel)
            .count();
        let (these, others) = rest.split_at(count);
        rest = others;
        let into = &mut panels[start / panel * panel * offsets.len()..];
        for (k, offset) in offsets.iter().enumerate() {
            let row = &mut into[k * panel..];
            for run in these {
                let to = (run.position - first) % panel;
                let from = &source[offset + run.base..];
                if step == 1 {
                    copy_run(from, run.len, &mut row[to..]);
                } else {
                    for (to, x) in row[to..to + run.len]
                        .iter_mut()
                        .zip(from.iter().step_by(step))
                    {
                        *to = *x;
                    }
                }
            }
        }
    }
}

/// Copies whole registers: more than the run, which the next run or k overwrites.
#[inline(always)]
fn copy_run<T: Real>(from: &[T], len: usize, to: &mut [T]) {
    let len = len.next_multiple_of(COPY);
    let (from, to) = (&from[..len], &mut to[..len]);
    for (from, to) in from.chunks_exact(COPY).zip(to.chunks_exact_mut(COPY)) {
        to.copy_from_slice(from);
    }
}

const _: () = assert!(MARGIN >= 2 * COPY);
