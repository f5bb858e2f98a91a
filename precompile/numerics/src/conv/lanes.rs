//! Convolution with output channels as vector lanes, for groups of many output channels.
//!
//! A tile holds a few output positions by two registers of channels. Every k adds a vector of
//! weights times one number of the input per position, read where it lies: nothing is gathered,
//! whatever the stride, and no sum leaves its register before it is finished.
#![allow(unsafe_code)]

use super::panels::Patch;
use crate::engine::Engine;
use crate::gemm::{Epilogue, LaneTile, MAX_LANE_ROWS, PackedB, Real, Tail};
use crate::pool::SharedSlice;

/// Is the number of output channels that chunks are cut at.
const CHANNELS: usize = 32;
/// Is the number of positions that chunks are cut at: whole tiles on every instruction set.
const POSITIONS: usize = 36;

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
    let plane = patch.field.positions();
    let step = patch.field.step();
    let runs = patch.field.runs(patch.positions.clone(), usize::MAX);
    let bases: Vec<usize> = runs
        .iter()
        .flat_map(|run| (0..run.len).map(|i| run.base + i * step))
        .collect();
    let reach = bases.iter().max().zip(patch.offsets.iter().max());
    assert!(
        depth == patch.offsets.len() && patch.rows.end <= channels,
        "weights for every offset and channel"
    );
    assert!(
        reach.is_none_or(|(base, offset)| base + offset < patch.source.len()),
        "the input holds what every position reads"
    );
    for channel in patch.rows.clone().step_by(2 * kernel.width) {
        let columns = (patch.rows.end - channel).min(2 * kernel.width);
        let (b, b_step) = weights.at(channel);
        let bias = epilogue.row_bias.map(|bias| bias[channel..].as_ptr());
        // After this chunk's channels come those of the chunk that this thread is likely to take.
        let next = match channel + 2 * kernel.width {
            next if next < patch.rows.end => next,
            _ => patch.next_row,
        };
        let ahead = Ahead::new(weights, (next < channels).then_some(next), bases.len());
        let mut done = 0;
        while done < bases.len() {
            let left = bases.len() - done;
            let (most, tiles) = *kernel
                .lanes
                .iter()
                .find(|(rows, _)| *rows >= left)
                .unwrap_or(&kernel.lanes[kernel.lanes.len() - 1]);
            let rows = left.min(most);
            let start = out_start + channel * plane + patch.positions.start + done;
            // SAFETY: chunks cover disjoint positions or channels of the output, and a tile writes
            // its own positions of its own channels only.
            let c = unsafe { out.part_ptr(start, start + (columns - 1) * plane + rows) };
            let tile = LaneTile {
                k: depth,
                bases: std::array::from_fn::<_, MAX_LANE_ROWS, _>(|i| {
                    let base = bases[done + i.min(rows - 1)];
                    patch.source.as_ptr().wrapping_add(base)
                }),
                offsets: patch.offsets.as_ptr(),
                b,
                b_step,
                ahead: ahead.from(done).unwrap_or(b),
                ahead_bytes: ahead.bytes,
                c,
                c_column: plane,
                rows,
                columns,
                epilogue: Tail {
                    alpha: T::ONE,
                    column_bias: bias.unwrap_or(std::ptr::null()),
                    row_bias: std::ptr::null(),
                    relu: epilogue.relu,
                },
            };
            // SAFETY: bases and offsets were checked against the input; the panel of weights is two
            // registers wide where more than one is asked for; the kernel belongs to the engine's
            // instruction set.
            unsafe { tiles[usize::from(columns > kernel.width)](&tile) };
            done += rows;
        }
    }
}

/// Spreads fetching the next channels' weights over the tiles of these: they come from memory while
/// these compute.
struct Ahead<T> {
    next: Option<*const T>,
    /// Is how far one position moves on.
    per_position: usize,
    /// Is how far one k moves on.
    bytes: usize,
}

impl<T: Real> Ahead<T> {
    fn new(weights: &PackedB<T>, next: Option<usize>, positions: usize) -> Self {
        let [depth, _] = weights.shape();
        let next = next.map(|column| weights.at(column));
        let row = next.map_or(0, |(_, step)| step * size_of::<T>());
        Self {
            next: next.map(|(from, _)| from),
            per_position: depth * row / positions.max(1),
            bytes: row.div_ceil(positions.div_ceil(MAX_LANE_ROWS).max(1)),
        }
    }

    /// Returns where the tile that begins at a position starts to fetch.
    fn from(&self, position: usize) -> Option<*const T> {
        let start = position * self.per_position;
        self.next.map(|next| next.wrapping_byte_add(start))
    }
}
