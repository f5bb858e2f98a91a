//! Products with a right-hand side of one column: nothing is packed.
//!
//! Each output is still one chain, k ascending; a few rows advance together, so that one row's wait
//! for its sum hides behind the others.

use super::{Epilogue, Matrix, Real, THREAD_WORK};
use crate::engine::Engine;
use crate::fma::Fma;

/// Is how many rows advance together.
const ROWS: usize = 8;

/// Computes `out = epilogue(a x b)` for a `b` of one column; rows of `out` start `out_stride` apart.
// Spec: N-2
pub(super) fn one_column<T: Real>(
    engine: &Engine,
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    epilogue: &Epilogue<'_, T>,
    out: &mut [T],
    out_stride: usize,
) {
    let threads = engine.pool().threads();
    let rows = if threads == 1 || a.rows * a.columns < THREAD_WORK {
        a.rows
    } else {
        a.rows.div_ceil(threads * 3).next_multiple_of(ROWS)
    };
    engine.pool().run_pieces(out, rows * out_stride, |i, out| {
        let first = (i * rows).min(a.rows);
        let rows = rows.min(a.rows - first);
        some_rows(engine, a, b, epilogue, first, rows, out, out_stride);
    });
}

multiversion! {
    /// Computes rows from `first` on.
    fn some_rows<T: Real>(
        a: Matrix<'_, T>, b: Matrix<'_, T>, epilogue: &Epilogue<'_, T>, first: usize, rows: usize,
        out: &mut [T], out_stride: usize,
    ) = some_rows_body;
}

#[inline(always)]
fn some_rows_body<F: Fma, T: Real>(
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    epilogue: &Epilogue<'_, T>,
    first: usize,
    rows: usize,
    out: &mut [T],
    out_stride: usize,
) {
    let mut done = 0;
    while done < rows {
        let from = first + done;
        let count = if rows - done >= ROWS {
            let sums = chains::<F, T, ROWS>(&a, &b, from);
            finish(
                &sums,
                epilogue,
                from,
                &mut out[done * out_stride..],
                out_stride,
            );
            ROWS
        } else {
            let sums = chains::<F, T, 1>(&a, &b, from);
            finish(
                &sums,
                epilogue,
                from,
                &mut out[done * out_stride..],
                out_stride,
            );
            1
        };
        done += count;
    }
}

/// Sums the chains of adjacent rows.
#[inline(always)]
fn chains<F: Fma, T: Real, const N: usize>(
    a: &Matrix<'_, T>,
    b: &Matrix<'_, T>,
    first: usize,
) -> [T; N] {
    let mut sums = [T::ZERO; N];
    if a.columns == 0 {
        return sums;
    }
    let rows: [&[T]; N] = std::array::from_fn(|i| &a.data[(first + i) * a.row_stride..]);
    for k in 0..a.columns {
        let y = b.data[k * b.row_stride];
        for (sum, row) in sums.iter_mut().zip(rows) {
            *sum = T::fma::<F>(row[k * a.column_stride], y, *sum);
        }
    }
    sums
}

/// Applies the epilogue and stores one number per row.
// Spec: N-2, N-9
#[inline(always)]
fn finish<T: Real>(
    sums: &[T],
    epilogue: &Epilogue<'_, T>,
    first: usize,
    out: &mut [T],
    out_stride: usize,
) {
    for (i, sum) in sums.iter().enumerate() {
        let mut sum = *sum;
        if epilogue.alpha != T::ONE {
            sum = sum.times(epilogue.alpha);
        }
        if let Some([bias]) = epilogue.column_bias {
            sum = sum.plus(*bias);
        }
        if let Some(bias) = epilogue.row_bias {
            sum = sum.plus(bias[first + i]);
        }
        if epilogue.relu && sum <= T::ZERO {
            sum = T::ZERO;
        }
        out[i * out_stride] = sum.canonical();
    }
}
