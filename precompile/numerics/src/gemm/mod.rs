//! Matrix products: every output is one chain of fused multiply-adds, k ascending, from +0.
//!
//! Lanes, tiles and threads run over outputs only. Where k is cut into blocks, the sums of a tile
//! are stored and loaded again unchanged. So the bits of a row depend on nothing but the row.

mod integer;
mod kernels;
mod pack;
mod thin;
mod tile;
mod tiles;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::numbers as test_numbers;

pub use integer::{Wrapping, matmul_wrapping};
pub use kernels::Kernels;
pub use pack::{Matrix, PackedB};

use std::ops::Range;

use self::kernels::DIRECT_ROWS;
pub(crate) use self::kernels::Kernel;
pub(crate) use self::pack::pack_strips;
pub(crate) use self::tile::{LaneTile, MAX_LANE_ROWS, Tail};
pub(crate) use self::tiles::{Depth, Rows, Side, Tiles};
use crate::aligned::Aligned;
use crate::engine::Engine;
use crate::pool::SharedSlice;
pub use crate::simd::Real;

/// Is how many k are added to a tile before the next tile: one panel of them fits the first cache.
const BLOCK_K: usize = 256;
/// Is about how many rows of A are packed at a time: with `BLOCK_K` they fit the second cache.
const BLOCK_ROWS: usize = 240;
/// Is the number of columns from which packing A pays.
const PACK_A_COLUMNS: usize = 320;
/// Is the number of rows from which packing A pays.
const PACK_A_ROWS: usize = 48;
/// Is the number of rows from which packing a right-hand side that is used once pays.
const PACK_B_ROWS: usize = 24;
/// Is the number of multiply-adds from which threads pay.
const THREAD_WORK: usize = 1 << 18;

/// Is the right-hand side of a product.
#[derive(Clone, Copy, Debug)]
pub enum Rhs<'a, T> {
    /// Was packed once, at load.
    Packed(&'a PackedB<T>),
    /// Is known only now.
    Plain(Matrix<'a, T>),
}

/// Says what happens to a finished sum, in this order, each step rounded on its own.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a, T> {
    /// Multiplies the sum, unless it is 1.
    pub alpha: T,
    /// Is added by column.
    pub column_bias: Option<&'a [T]>,
    /// Is added by row.
    pub row_bias: Option<&'a [T]>,
    /// Turns what is below zero, and -0, into +0.
    pub relu: bool,
}

impl<T: Real> Default for Epilogue<'_, T> {
    fn default() -> Self {
        Self {
            alpha: T::ONE,
            column_bias: None,
            row_bias: None,
            relu: false,
        }
    }
}

/// Computes `out = epilogue(a x b)`; rows of `out` start `out_stride` apart.
///
/// # Panics
/// Panics when the shapes or the lengths of the slices do not fit.
// Spec: N-2
pub fn gemm<T: Real>(
    engine: &Engine,
    a: Matrix<'_, T>,
    b: Rhs<'_, T>,
    epilogue: &Epilogue<'_, T>,
    out: &mut [T],
    out_stride: usize,
) {
    let [m, k] = a.shape();
    let [b_k, n] = match b {
        Rhs::Packed(b) => b.shape(),
        Rhs::Plain(b) => b.shape(),
    };
    assert_eq!(k, b_k, "inner dimensions");
    assert!(
        epilogue.column_bias.is_none_or(|bias| bias.len() == n),
        "one bias per column"
    );
    assert!(
        epilogue.row_bias.is_none_or(|bias| bias.len() == m),
        "one bias per row"
    );
    if m == 0 || n == 0 {
        return;
    }
    assert!(
        n <= out_stride && (m - 1) * out_stride + n <= out.len(),
        "room for the output"
    );
    if let Rhs::Plain(b) = b
        && n == 1
    {
        thin::one_column(engine, a, b, epilogue, out, out_stride);
        return;
    }
    let packed;
    let side = match b {
        Rhs::Packed(b) => Side::Packed(b),
        Rhs::Plain(b) if b.column_stride != 1 || m >= PACK_B_ROWS => {
            packed = PackedB::new(b);
            Side::Packed(&packed)
        }
        Rhs::Plain(b) => {
            let whole = n - n % (2 * T::kernels(engine).width);
            let rest = Matrix {
                data: &b.data[whole.min(b.data.len())..],
                columns: n - whole,
                ..b
            };
            packed = PackedB::new(rest);
            Side::Plain {
                b,
                whole,
                rest: &packed,
            }
        }
    };
    let (kernel, out) = (T::kernels(engine), SharedSlice::new(out));
    let tiles = Tiles {
        kernel,
        b: side,
        epilogue,
        out,
        out_start: 0,
        out_stride,
    };
    let product = Product { a, tiles };
    if engine.pool().threads() == 1 || m * n * k < THREAD_WORK {
        product.compute(0..m, 0..n);
        return;
    }
    let [rows, columns] = cut(m, n, engine.pool().threads(), kernel.strip_rows);
    let across = n.div_ceil(columns);
    engine.pool().run(m.div_ceil(rows) * across, |chunk| {
        let (row, column) = (chunk / across * rows, chunk % across * columns);
        product.compute(row..(row + rows).min(m), column..(column + columns).min(n));
    });
}

/// Bounds the numbers that [`gemm`] packs for one call with a plain right-hand side of `k` rows, whose
/// columns lie next to each other or not.
pub fn packed_for_call([m, k, n]: [usize; 3], columns_adjacent: bool) -> u64 {
    /// Is the widest panel: what is left of one is packed even where the rest stays in its place.
    const WIDEST: usize = 32;
    let columns = match (n, columns_adjacent && m < PACK_B_ROWS) {
        (1, _) => return 0,
        (_, true) => n.min(WIDEST),
        (_, false) => n,
    };
    (k as u64).saturating_mul((columns as u64).saturating_add(WIDEST as u64 / 2))
}

/// Computes one product per pair of offsets into `a` and `b`, the outputs one after another.
///
/// `a` and `b` give the strides of every product; `offsets` where each begins in their slices.
///
/// # Panics
/// Panics when the shapes or the lengths of the slices do not fit.
// Spec: N-2
pub fn gemm_batch<T: Real>(
    engine: &Engine,
    a: Strided<'_, T>,
    b: Strided<'_, T>,
    [m, k, n]: [usize; 3],
    offsets: &[[usize; 2]],
    epilogue: &Epilogue<'_, T>,
    out: &mut [T],
) {
    assert_eq!(out.len(), offsets.len() * m * n, "room for the outputs");
    if m * n == 0 {
        return;
    }
    let one = |i: usize, out: &mut [T]| {
        let [a_start, b_start] = offsets[i];
        let a = Matrix::strided(&a.data[a_start.min(a.data.len())..], [m, k], a.strides);
        let b = Matrix::strided(&b.data[b_start.min(b.data.len())..], [k, n], b.strides);
        gemm(engine, a, Rhs::Plain(b), epilogue, out, n);
    };
    if out.len() * k < THREAD_WORK || offsets.len() < engine.pool().threads() {
        out.chunks_exact_mut(m * n)
            .enumerate()
            .for_each(|(i, out)| one(i, out));
    } else {
        engine.pool().run_pieces(out, m * n, one);
    }
}

/// Is a slice with the row and column strides of the matrices in it.
#[derive(Clone, Copy, Debug)]
pub struct Strided<'a, T> {
    /// Holds all the matrices.
    pub data: &'a [T],
    /// Gives the distances between rows and between columns.
    pub strides: [usize; 2],
}

/// Chooses rows and columns per chunk so that every thread gets a few.
fn cut(m: usize, n: usize, threads: usize, strip: usize) -> [usize; 2] {
    /// Keeps a chunk's columns whole panels on every instruction set.
    const COLUMNS: usize = 128;
    /// Is the least such chunk where rows are few.
    const FEW_COLUMNS: usize = 32;
    let target = threads * 3;
    if m <= strip * 4 {
        // Few rows wait for weights above all: every one is read by one thread only. A thread takes all
        // its columns at once, so that a block of A, read into the first cache, serves all of them.
        let columns = n.div_ceil(threads).next_multiple_of(FEW_COLUMNS);
        if n.div_ceil(columns) >= threads {
            return [m, columns];
        }
    }
    let down = m.div_ceil(strip * 4);
    if down >= target {
        return [m.div_ceil(target).next_multiple_of(strip), n];
    }
    let across = n.div_ceil(COLUMNS).min(target);
    let columns = n.div_ceil(across).next_multiple_of(COLUMNS / 2);
    if across >= target {
        return [m, columns];
    }
    let rows = m.div_ceil(target.div_ceil(across)).next_multiple_of(strip);
    [rows, columns]
}

/// Is one call of [`gemm`], shared by the threads.
struct Product<'a, T: 'static> {
    a: Matrix<'a, T>,
    tiles: Tiles<'a, T>,
}

impl<T: Real> Product<'_, T> {
    /// Computes a rectangle of the output.
    fn compute(&self, rows: Range<usize>, columns: Range<usize>) {
        let pack = rows.len() >= PACK_A_ROWS && columns.len() >= PACK_A_COLUMNS;
        let k = self.a.columns;
        let block = if rows.len() <= DIRECT_ROWS {
            k.max(1)
        } else {
            BLOCK_K
        };
        let strip = self.tiles.kernel.strip_rows;
        let block_rows = if pack {
            BLOCK_ROWS / strip * strip
        } else {
            rows.len()
        };
        let mut scratch = Aligned::zeroed(if pack { block_rows * BLOCK_K.min(k) } else { 0 });
        for start in rows.clone().step_by(block_rows) {
            let rows = start..(start + block_rows).min(rows.end);
            let mut depth = 0;
            loop {
                let len = (k - depth).min(block);
                let last = depth + len == k;
                let part = Depth {
                    start: depth,
                    len,
                    first: depth == 0,
                    last,
                };
                if pack {
                    pack_strips(
                        &mut scratch,
                        &self.a,
                        rows.clone(),
                        depth..depth + len,
                        strip,
                    );
                    self.packed_rows(&scratch, rows.clone(), columns.clone(), part);
                } else {
                    self.plain_rows(rows.clone(), columns.clone(), part);
                }
                if last {
                    break;
                }
                depth += len;
            }
        }
    }

    /// Adds one block of k to rows whose A lies in strips.
    fn packed_rows(&self, strips: &[T], rows: Range<usize>, columns: Range<usize>, depth: Depth) {
        let strip = self.tiles.kernel.strip_rows;
        let width = self.tiles.kernel.width;
        let whole = rows.start + rows.len() / strip * strip;
        for column in columns.clone().step_by(2 * width) {
            let count = (columns.end - column).min(2 * width);
            for row in (rows.start..whole).step_by(strip) {
                let a = strips[(row - rows.start) * depth.len..].as_ptr();
                let at = Rows {
                    a,
                    row: 1,
                    step: strip,
                    first: row,
                    count: strip,
                };
                self.tiles.strip(at, column, count, depth);
            }
        }
        let left = rows.end - whole;
        if left > 0 {
            let a = strips[(whole - rows.start) * depth.len..].as_ptr();
            let at = Rows {
                a,
                row: 1,
                step: left,
                first: whole,
                count: left,
            };
            self.tiles.few_rows(at, columns, depth);
        }
    }

    /// Adds one block of k to rows whose A is read where it lies.
    fn plain_rows(&self, rows: Range<usize>, columns: Range<usize>, depth: Depth) {
        let Matrix {
            data,
            row_stride,
            column_stride,
            ..
        } = self.a;
        let from = rows.start * row_stride + depth.start * column_stride;
        let a = data.as_ptr().wrapping_add(from);
        let (first, count) = (rows.start, rows.len());
        let at = Rows {
            a,
            row: row_stride,
            step: column_stride,
            first,
            count,
        };
        self.tiles.few_rows(at, columns, depth);
    }
}
