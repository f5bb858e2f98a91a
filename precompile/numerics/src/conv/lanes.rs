//! Convolution with output channels as vector lanes, for groups of many output channels.
//!
//! A tile holds a few output positions by two registers of channels. Every k adds a vector of
//! weights times one number of the input per position, read where it lies: nothing is gathered,
//! whatever the stride, and sums leave their registers only between long parts of k.
#![allow(unsafe_code)]

use std::ops::Range;

use super::panels::Patch;
use crate::engine::Engine;
use crate::gemm::{Epilogue, Kernel, LaneTile, MAX_LANE_ROWS, PackedB, Real, Tail};
use crate::pool::SharedSlice;

/// Is the number of output channels that chunks are cut at.
const CHANNELS: usize = 32;
/// Is the number of positions that chunks are cut at: whole tiles on every instruction set.
const POSITIONS: usize = 36;
/// Is the number of positions whose sums wait together for the next part of k.
const BLOCK: usize = 8 * POSITIONS;
/// Is how many k a part has at most: its weights take less than half of a first-level cache.
const DEPTH: usize = 160;

/// Chooses channels and positions per chunk so that every thread gets a few chunks.
pub(crate) fn cut(groups: usize, rows: usize, positions: usize, threads: usize) -> [usize; 2] {
    if threads == 1 {
        return [rows, positions];
    }
    let down = groups * rows.div_ceil(CHANNELS);
    let across = (8 * threads).div_ceil(down);
    [
        CHANNELS,
        positions.div_ceil(across).next_multiple_of(POSITIONS),
    ]
}

/// Computes a patch of a group's output: all positions for a panel of channels, then the next.
///
/// Blocks of positions take their weights in parts of k that stay in the first cache for the whole
/// block; the sums wait in a small buffer meanwhile. Every sum is still one chain over k.
// Spec: N-3
pub(crate) fn multiply_in_place<T: Real>(
    engine: &Engine,
    patch: &Patch<'_, T>,
    weights: &PackedB<T>,
    epilogue: &Epilogue<'_, T>,
    out: SharedSlice<'_, T>,
    out_start: usize,
) {
    let kernel = T::kernels(engine);
    let [depth, channels] = weights.shape();
    assert!(
        depth == patch.offsets.len() && patch.rows.end <= channels,
        "weights for every offset and channel"
    );
    let bases = bases(patch);
    let positions = bases.len() - MAX_LANE_ROWS;
    let parts = depth.div_ceil(DEPTH).max(1);
    let part = depth.div_ceil(parts).max(1);
    let block = if parts > 1 { BLOCK } else { positions };
    let wide = 2 * kernel.width;
    let mut sums = vec![T::ZERO; if parts > 1 { BLOCK * wide } else { 0 }];
    for channel in patch.rows.clone().step_by(wide) {
        let (b, b_step) = weights.at(channel);
        let panel = Panel {
            kernel,
            b,
            b_step,
            depth,
            columns: (patch.rows.end - channel).min(wide),
            plane: patch.field.positions(),
            offsets: patch.offsets,
            bias: epilogue.row_bias.map(|bias| &bias[channel..]),
            relu: epilogue.relu,
        };
        // After this chunk's channels come those of the chunk that this thread is likely to take.
        let next = match channel + wide {
            next if next < patch.rows.end => next,
            _ => patch.next_row,
        };
        let next = (next < channels).then(|| weights.at(next).0);
        let start = out_start + channel * panel.plane + patch.positions.start;
        for first in (0..positions).step_by(block.max(1)) {
            let count = block.min(positions - first);
            for from in (0..depth.max(1)).step_by(part) {
                let to = (from + part).min(depth);
                let ahead = match (to < depth, first + count < positions) {
                    (true, _) => b.wrapping_add(to * b_step),
                    (false, true) => b,
                    (false, false) => next.unwrap_or(b),
                };
                let bases = &bases[first..first + count + MAX_LANE_ROWS];
                panel.add(from..to, ahead, bases, &mut sums, out, start + first);
            }
        }
    }
}

/// Lists where the input of each position of a patch begins, and some more that tiles may read with.
fn bases<T: Real>(patch: &Patch<'_, T>) -> Vec<*const T> {
    let step = patch.field.step();
    let runs = patch.field.runs(patch.positions.clone(), usize::MAX);
    let starts = runs
        .iter()
        .flat_map(|run| (0..run.len).map(|i| run.base + i * step));
    let reach = starts.clone().max().zip(patch.offsets.iter().max());
    assert!(
        reach.is_none_or(|(base, offset)| base + offset < patch.source.len()),
        "the input holds what every position reads"
    );
    let source = patch.source.as_ptr();
    let more = std::iter::repeat_n(source, MAX_LANE_ROWS);
    starts
        .map(|start| source.wrapping_add(start))
        .chain(more)
        .collect()
}

/// Is a panel of weights and what becomes of its channels.
struct Panel<'a, T: Real> {
    kernel: &'a Kernel<T>,
    b: *const T,
    b_step: usize,
    depth: usize,
    columns: usize,
    /// Is the distance between channels in the output.
    plane: usize,
    offsets: &'a [usize],
    bias: Option<&'a [T]>,
    relu: bool,
}

impl<T: Real> Panel<'_, T> {
    /// Adds a part of k to a block of positions, whose sums wait in `sums` before and after; the last
    /// part writes them to `out` from `start` on. Fetches as many weights from `ahead` on.
    fn add(
        &self,
        k: Range<usize>,
        ahead: *const T,
        bases: &[*const T],
        sums: &mut [T],
        out: SharedSlice<'_, T>,
        start: usize,
    ) {
        const { assert!(BLOCK.is_multiple_of(MAX_LANE_ROWS)) };
        let kernel = self.kernel;
        let positions = bases.len() - MAX_LANE_ROWS;
        let row_bytes = self.b_step * size_of::<T>();
        let ahead_bytes = row_bytes.div_ceil(positions.div_ceil(MAX_LANE_ROWS).max(1));
        let per_position = k.len() * row_bytes / positions.max(1);
        let mut done = 0;
        while done < positions {
            let left = positions - done;
            let (most, tiles) = kernel
                .lanes
                .iter()
                .find(|(rows, _)| *rows >= left)
                .unwrap_or(&kernel.lanes[kernel.lanes.len() - 1]);
            let rows = left.min(*most);
            let start = start + done;
            // SAFETY: chunks cover disjoint positions or channels of the output, and a tile writes
            // its own positions of its own channels only.
            let c = unsafe { out.part_ptr(start, start + (self.columns - 1) * self.plane + rows) };
            let tile = LaneTile {
                k: k.len(),
                bases: bases[done..].as_ptr(),
                offsets: self.offsets[k.start..].as_ptr(),
                b: self.b.wrapping_add(k.start * self.b_step),
                b_step: self.b_step,
                ahead: ahead.wrapping_byte_add(per_position * done),
                ahead_bytes,
                sums: sums.as_mut_ptr().wrapping_add(done * 2 * kernel.width),
                first: k.start == 0,
                last: k.end == self.depth,
                c,
                c_column: self.plane,
                rows,
                columns: self.columns,
                epilogue: Tail {
                    alpha: T::ONE,
                    column_bias: self.bias.map_or(std::ptr::null(), <[T]>::as_ptr),
                    row_bias: std::ptr::null(),
                    relu: self.relu,
                },
            };
            // SAFETY: bases and offsets were checked against the input, and as many bases follow as
            // any tile reads; the panel of weights is two registers wide where more than one is asked
            // for; `sums` holds two registers for every position of a whole block, and tiles of a
            // block begin at multiples of their size; the kernel belongs to the engine's instruction
            // set.
            unsafe { tiles[usize::from(self.columns > kernel.width)](&tile) };
            done += rows;
        }
    }
}
