//! Walks rectangles of the output tile by tile.
#![allow(unsafe_code)]

use std::ops::Range;

use super::kernels::{DIRECT_ROWS, Kernel};
use super::pack::{Matrix, PackedB};
use super::tile::{MAX_PANELS, Tail, Tile, TileFn};
use super::{Epilogue, Real};
use crate::pool::SharedSlice;

/// Is where a tile's columns of B come from.
#[derive(Clone, Copy)]
pub(crate) enum Side<'a, T> {
    Packed(&'a PackedB<T>),
    /// Whole panels of this block of k alone.
    Panels(&'a [T]),
    /// Rows as they lie for the first `whole` columns, a packed copy of the rest.
    Plain {
        b: Matrix<'a, T>,
        whole: usize,
        rest: &'a PackedB<T>,
    },
}

impl<T: Real> Side<'_, T> {
    /// Returns where column `start` begins and the distance from one k to the next.
    #[inline]
    fn at(&self, start: usize, len: usize) -> (*const T, usize) {
        match self {
            Self::Packed(b) => b.at(start),
            Self::Panels(panels) => {
                let panel = PackedB::<T>::PANEL;
                let from = panels[start / panel * panel * len..][start % panel..].as_ptr();
                (from, panel)
            }
            Self::Plain { b, whole, .. } if start < *whole => {
                (b.data.as_ptr().wrapping_add(start), b.row_stride)
            }
            Self::Plain { whole, rest, .. } => rest.at(start - whole),
        }
    }
}

/// Holds what all tiles of one product share.
pub(crate) struct Tiles<'a, T: 'static> {
    pub(crate) kernel: &'static Kernel<T>,
    pub(crate) b: Side<'a, T>,
    pub(crate) epilogue: &'a Epilogue<'a, T>,
    pub(crate) out: SharedSlice<'a, T>,
    /// Is where column 0 of row 0 lies in `out`.
    pub(crate) out_start: usize,
    pub(crate) out_stride: usize,
}

/// Is one block of k, and whether it is the first or the last.
#[derive(Clone, Copy)]
pub(crate) struct Depth {
    pub(crate) start: usize,
    pub(crate) len: usize,
    pub(crate) first: bool,
    pub(crate) last: bool,
}

/// Is where the rows of a tile of A lie.
#[derive(Clone, Copy)]
pub(crate) struct Rows<T> {
    pub(crate) a: *const T,
    pub(crate) row: usize,
    pub(crate) step: usize,
    pub(crate) first: usize,
    pub(crate) count: usize,
}

impl<T: Real> Tiles<'_, T> {
    /// Adds one block of k to any rows, in tiles of at most six.
    pub(crate) fn few_rows(&self, rows: Rows<T>, columns: Range<usize>, depth: Depth) {
        let groups = rows.count.div_ceil(DIRECT_ROWS);
        let most = rows.count.div_ceil(groups);
        let panel = 2 * self.kernel.width;
        let mut column = columns.start;
        while column < columns.end {
            let panels = (columns.end - column) / panel;
            let panels = match panels.min(self.kernel.panels[most - 1]) {
                4.. => 4,
                2 | 3 => 2,
                _ => 1,
            };
            let count = (columns.end - column).min(panels * panel);
            let mut start = 0;
            for group in 0..groups {
                let size = (rows.count - start).div_ceil(groups - group);
                let run = if count <= self.kernel.width {
                    self.kernel.narrow[size - 1]
                } else {
                    self.kernel.direct[size - 1][panels / 2]
                        .expect("invariant: `panels` allows no larger tile")
                };
                let a = rows.a.wrapping_add(start * rows.row);
                let at = Rows {
                    a,
                    first: rows.first + start,
                    count: size,
                    ..rows
                };
                let ahead = self.ahead(&columns, column + count, depth, group);
                self.tile(run, at, column, count, panels, depth, ahead);
                start += size;
            }
            column += count;
        }
    }

    /// Adds one block of k to a whole strip of packed rows.
    pub(crate) fn strip(&self, rows: Rows<T>, column: usize, columns: usize, depth: Depth) {
        let run = self.kernel.strip[usize::from(columns > self.kernel.width)];
        self.tile(run, rows, column, columns, 1, depth, std::ptr::null());
    }

    /// Finds what group `group` of the rows should fetch of the columns that come next: weights come
    /// from memory while the groups compute, where each group takes a line for every k.
    fn ahead(&self, columns: &Range<usize>, next: usize, depth: Depth, group: usize) -> *const T {
        /// Is the number of cache lines one k of a panel takes.
        const LINES: usize = 2;
        let panel = PackedB::<T>::PANEL;
        // After the last columns of this block of k come the first ones of the next.
        let (next, start) = match next < columns.end {
            true => (next, depth.start),
            false if depth.last => return std::ptr::null(),
            false => (columns.start, depth.start + depth.len),
        };
        let column = next - next % panel + group / LINES * panel;
        match &self.b {
            Side::Packed(b) if column + panel <= columns.end => {
                let (from, step) = b.at(column);
                let half = group % LINES * depth.len * (step / LINES);
                from.wrapping_add(start * step + half)
            }
            _ => std::ptr::null(),
        }
    }

    /// Runs one microkernel.
    #[inline]
    fn tile(
        &self,
        run: TileFn<T>,
        rows: Rows<T>,
        column: usize,
        columns: usize,
        panels: usize,
        depth: Depth,
        ahead: *const T,
    ) {
        let mut b = [std::ptr::null(); MAX_PANELS];
        let mut b_step = 0;
        for (i, b) in b.iter_mut().enumerate().take(panels) {
            let (from, step) = self.b.at(column + i * 2 * self.kernel.width, depth.len);
            *b = from.wrapping_add(depth.start * step);
            b_step = step;
        }
        let start = self.out_start + rows.first * self.out_stride + column;
        let end = start + (rows.count - 1) * self.out_stride + columns;
        let bias = |bias: Option<&[T]>, at: usize| {
            bias.map_or(std::ptr::null(), |bias| bias[at..].as_ptr())
        };
        // SAFETY: chunks cover disjoint rectangles of the output, and a tile writes only inside its
        // own (the slice spans the gaps between its rows, which are not touched).
        let c = unsafe { self.out.part_ptr(start, end) };
        let tile = Tile {
            k: depth.len,
            a: rows.a,
            a_row: rows.row,
            a_step: rows.step,
            ahead: if ahead.is_null() { b[0] } else { ahead },
            b,
            b_step,
            c,
            c_row: self.out_stride,
            columns,
            first: depth.first,
            last: depth.last,
            epilogue: Tail {
                alpha: self.epilogue.alpha,
                column_bias: bias(self.epilogue.column_bias, column),
                row_bias: bias(self.epilogue.row_bias, rows.first),
                relu: self.epilogue.relu,
            },
        };
        // SAFETY: `gemm` checked that A, B and the output hold what shapes and strides reach; the
        // kernel belongs to the engine's instruction set, which this machine has.
        unsafe { run(&tile) };
    }
}
