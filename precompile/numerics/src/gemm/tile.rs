//! Microkernels: one tile of the output, its sums in registers for a whole block of k.
#![allow(unsafe_code)]

use super::pack::PANEL_BYTES;
use crate::aligned::LINE_BYTES;
use crate::simd::{Real, Simd};

/// Bounds how many panels one tile spans.
pub(crate) const MAX_PANELS: usize = 4;

/// Describes one tile: `rows x (panels * vectors * W)` outputs and the part of k to add to them.
///
/// All pointers are valid for what the strides and `k` reach; nulls in the epilogue mean "none".
#[derive(Clone, Copy)]
pub(crate) struct Tile<T> {
    pub(crate) k: usize,
    pub(crate) a: *const T,
    pub(crate) a_row: usize,
    pub(crate) a_step: usize,
    pub(crate) b: [*const T; MAX_PANELS],
    pub(crate) b_step: usize,
    /// Is what the next tiles will read of B: one cache line is fetched ahead for each k.
    pub(crate) ahead: *const T,
    pub(crate) c: *mut T,
    pub(crate) c_row: usize,
    /// Counts the columns that exist; only a tile of one panel may have fewer than its width.
    pub(crate) columns: usize,
    /// Starts from +0 instead of the sums in `c`.
    pub(crate) first: bool,
    /// Applies the epilogue and makes NaNs canonical.
    pub(crate) last: bool,
    pub(crate) epilogue: Tail<T>,
}

/// Is the epilogue as the tile needs it: pointers at the tile's first row and column.
#[derive(Clone, Copy)]
pub(crate) struct Tail<T> {
    pub(crate) alpha: T,
    pub(crate) column_bias: *const T,
    pub(crate) row_bias: *const T,
    pub(crate) relu: bool,
}

/// Is a microkernel compiled for one instruction set and one tile size.
pub(crate) type TileFn<T> = unsafe fn(&Tile<T>);

/// Adds one block of k to a tile of `MR` rows and `P` panels of `NV` vectors.
///
/// `PACKED` means that A lies in strips of `MR` rows, k-major.
///
/// # Safety
/// The instruction set of `S` is available and the tile's pointers are valid.
// Spec: N-2
#[inline(always)]
pub(crate) unsafe fn tile<
    S: Simd,
    const MR: usize,
    const P: usize,
    const NV: usize,
    const PACKED: bool,
>(
    t: &Tile<S::T>,
) {
    // SAFETY: the caller's promise covers every pointer below: rows < MR, columns < t.columns.
    unsafe {
        let (a_row, a_step) = if PACKED { (1, MR) } else { (t.a_row, t.a_step) };
        let mut acc = [[[S::splat(S::T::ZERO); NV]; P]; MR];
        if !t.first {
            for (i, row) in acc.iter_mut().enumerate() {
                load_row::<S, P, NV>(row, t.c.add(i * t.c_row), t.columns);
            }
        }
        let mut a = t.a;
        let mut b = t.b;
        let mut ahead = t.ahead;
        for _ in 0..t.k {
            S::fetch(ahead);
            ahead = ahead.wrapping_add(LINE_BYTES / size_of::<S::T>());
            let mut columns = [[S::splat(S::T::ZERO); NV]; P];
            for (p, panel) in columns.iter_mut().enumerate() {
                for (v, vector) in panel.iter_mut().enumerate() {
                    *vector = S::load(b[p].add(v * S::W));
                }
                b[p] = b[p].wrapping_add(t.b_step);
            }
            for (i, row) in acc.iter_mut().enumerate() {
                let x = S::splat(*a.add(i * a_row));
                for (panel, column) in row.iter_mut().zip(&columns) {
                    for (sum, y) in panel.iter_mut().zip(column) {
                        *sum = S::fma(x, *y, *sum);
                    }
                }
            }
            a = a.wrapping_add(a_step);
        }
        if t.last {
            finish::<S, MR, P, NV>(&mut acc, &t.epilogue, t.columns);
        }
        for (i, row) in acc.iter().enumerate() {
            store_row::<S, P, NV>(row, t.c.add(i * t.c_row), t.columns);
        }
    }
}

/// Bounds the rows of a [`LaneTile`]: sums, weights and one input per row then fit the registers
/// together (compilers load all inputs first).
pub(crate) const MAX_LANE_ROWS: usize = 9;

/// Describes one tile of a convolution: `rows` output positions by `columns` output channels, and the
/// part of k to add to them.
///
/// Position `i` and weight `k` meet at the input `bases[i] + offsets[k]`; at least [`MAX_LANE_ROWS`]
/// bases can be read with, whatever `rows` is. All pointers are valid for what the counts and strides
/// reach.
#[derive(Clone, Copy)]
pub(crate) struct LaneTile<T> {
    pub(crate) k: usize,
    pub(crate) bases: *const *const T,
    pub(crate) offsets: *const usize,
    pub(crate) b: *const T,
    pub(crate) b_step: usize,
    /// Is what the next tiles will read of B; each k fetches the line there and moves on by
    /// `ahead_bytes`, so that weights come from memory while these compute.
    pub(crate) ahead: *const T,
    pub(crate) ahead_bytes: usize,
    /// Is where the sums wait between parts of k: two registers for each position.
    pub(crate) sums: *mut T,
    /// Starts from +0 instead of the sums that wait.
    pub(crate) first: bool,
    /// Applies the epilogue and stores the outputs.
    pub(crate) last: bool,
    /// Is where the first position's first channel goes; positions follow each other.
    pub(crate) c: *mut T,
    /// Is the distance between channels in the output.
    pub(crate) c_column: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) epilogue: Tail<T>,
}

/// Is a microkernel for convolutions, compiled for one instruction set and one tile size.
pub(crate) type LaneTileFn<T> = unsafe fn(&LaneTile<T>);

/// Adds a part of k to a tile of `MR` positions by `NV` registers of channels; after the last part it
/// stores the tile channel by channel.
///
/// # Safety
/// The instruction set of `S` is available and the tile's pointers are valid.
// Spec: N-3
#[inline(always)]
pub(crate) unsafe fn lane_tile<S: Simd, const MR: usize, const NV: usize>(t: &LaneTile<S::T>) {
    // SAFETY: the caller's promise; `rows` is at most MR, and the panel of B is NV registers wide.
    unsafe {
        let mut acc = [[[S::splat(S::T::ZERO); NV]; 1]; MR];
        if !t.first {
            for (i, sum) in acc
                .as_flattened_mut()
                .as_flattened_mut()
                .iter_mut()
                .enumerate()
            {
                *sum = S::load(t.sums.add(i * S::W));
            }
        }
        if t.b_step == PANEL_BYTES / size_of::<S::T>() {
            add_lanes::<S, MR, NV>(&mut acc, t, PANEL_BYTES / size_of::<S::T>());
        } else {
            add_lanes::<S, MR, NV>(&mut acc, t, t.b_step);
        }
        if !t.last {
            for (i, sum) in acc.as_flattened().as_flattened().iter().enumerate() {
                S::store(t.sums.add(i * S::W), *sum);
            }
            return;
        }
        finish::<S, MR, 1, NV>(&mut acc, &t.epilogue, t.columns);
        store_lanes::<S, MR, NV, 0>(&acc, t);
        if NV > 1 {
            store_lanes::<S, MR, NV, 1>(&acc, t);
        }
    }
}

/// Adds every k to a tile's sums. Nine bases leave few registers for anything else, so the loop keeps
/// two pointers for counter and offsets, and the usual `step` of weights is a constant.
///
/// # Safety
/// As for [`lane_tile`].
#[inline(always)]
unsafe fn add_lanes<S: Simd, const MR: usize, const NV: usize>(
    acc: &mut [[[S::V; NV]; 1]; MR],
    t: &LaneTile<S::T>,
    step: usize,
) {
    // SAFETY: the caller's promise; the panel of B is NV registers wide.
    unsafe {
        let bases: [*const S::T; MR] = std::array::from_fn(|i| *t.bases.add(i));
        let (mut b, mut ahead, ahead_bytes) = (t.b, t.ahead, t.ahead_bytes);
        let mut offsets = t.offsets;
        // Opaque, or the compiler makes a base and a counter of the one pointer again.
        let end = std::hint::black_box(offsets.wrapping_add(t.k));
        while offsets != end {
            let offset = *offsets;
            offsets = offsets.wrapping_add(1);
            S::fetch(ahead);
            ahead = ahead.wrapping_byte_add(ahead_bytes);
            let mut columns = [S::splat(S::T::ZERO); NV];
            for (v, column) in columns.iter_mut().enumerate() {
                *column = S::load(b.add(v * S::W));
            }
            b = b.wrapping_add(step);
            for (row, base) in acc.iter_mut().zip(&bases) {
                let x = S::splat(*base.add(offset));
                for (sum, y) in row[0].iter_mut().zip(&columns) {
                    *sum = S::fma(x, *y, *sum);
                }
            }
        }
    }
}

/// Stores register `V` of every position: up to W channels, which lie apart.
///
/// `V` is a constant because sums that are picked by a variable would have to live in memory.
///
/// # Safety
/// As for [`lane_tile`].
#[inline(always)]
unsafe fn store_lanes<S: Simd, const MR: usize, const NV: usize, const V: usize>(
    acc: &[[[S::V; NV]; 1]; MR],
    t: &LaneTile<S::T>,
) {
    let first = V * S::W;
    if V >= NV || t.columns <= first {
        return;
    }
    // SAFETY: the caller's promise; channels below `columns` and positions below `rows` exist.
    unsafe {
        let mut rows = [S::splat(S::T::ZERO); MR];
        for (row, sums) in rows.iter_mut().zip(acc) {
            *row = sums[0][V % NV];
        }
        let lanes = t.columns - first;
        let lanes = if lanes < S::W { lanes } else { S::W };
        let to = t.c.add(first * t.c_column);
        S::store_columns(&rows, to, t.c_column, lanes, t.rows);
    }
}

/// Applies alpha, the biases and the activation, each rounded on its own.
///
/// # Safety
/// As for [`tile`].
// Spec: N-2, N-9
#[inline(always)]
unsafe fn finish<S: Simd, const MR: usize, const P: usize, const NV: usize>(
    acc: &mut [[[S::V; NV]; P]; MR],
    e: &Tail<S::T>,
    columns: usize,
) {
    // SAFETY: the biases hold a number for every row and column of the tile that exists.
    unsafe {
        if e.alpha != S::T::ONE {
            let alpha = S::splat(e.alpha);
            for sum in acc.as_flattened_mut().as_flattened_mut() {
                *sum = S::mul(*sum, alpha);
            }
        }
        if !e.column_bias.is_null() {
            let mut bias = [[S::splat(S::T::ZERO); NV]; P];
            load_row::<S, P, NV>(&mut bias, e.column_bias, columns);
            for row in acc.iter_mut() {
                for (sum, b) in row.as_flattened_mut().iter_mut().zip(bias.as_flattened()) {
                    *sum = S::add(*sum, *b);
                }
            }
        }
        if !e.row_bias.is_null() {
            for (i, row) in acc.iter_mut().enumerate() {
                let bias = S::splat(*e.row_bias.add(i));
                for sum in row.as_flattened_mut() {
                    *sum = S::add(*sum, bias);
                }
            }
        }
        if e.relu {
            for sum in acc.as_flattened_mut().as_flattened_mut() {
                *sum = S::relu(*sum);
            }
        }
        for sum in acc.as_flattened_mut().as_flattened_mut() {
            *sum = S::canonical(*sum);
        }
    }
}

/// Loads the columns of one row that exist.
///
/// # Safety
/// `from` holds `columns` numbers; the instruction set of `S` is available.
#[inline(always)]
unsafe fn load_row<S: Simd, const P: usize, const NV: usize>(
    row: &mut [[S::V; NV]; P],
    from: *const S::T,
    columns: usize,
) {
    for (i, v) in row.as_flattened_mut().iter_mut().enumerate() {
        let start = i * S::W;
        // SAFETY: only columns below `columns` are read.
        unsafe {
            if P > 1 || columns >= start + S::W {
                *v = S::load(from.add(start));
            } else if columns > start {
                *v = S::load_part(from.add(start), columns - start);
            }
        }
    }
}

/// Stores the columns of one row that exist.
///
/// # Safety
/// `to` has room for `columns` numbers; the instruction set of `S` is available.
#[inline(always)]
unsafe fn store_row<S: Simd, const P: usize, const NV: usize>(
    row: &[[S::V; NV]; P],
    to: *mut S::T,
    columns: usize,
) {
    for (i, v) in row.as_flattened().iter().enumerate() {
        let start = i * S::W;
        // SAFETY: only columns below `columns` are written.
        unsafe {
            if P > 1 || columns >= start + S::W {
                S::store(to.add(start), *v);
            } else if columns > start {
                S::store_part(to.add(start), columns - start, *v);
            }
        }
    }
}
