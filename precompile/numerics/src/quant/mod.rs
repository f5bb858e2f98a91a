//! Quantised arithmetic: exact products of bytes, and the roundings into and out of them.
//!
//! A product of bytes is a wrapping 32-bit sum, so any order gives the same bits. Right-hand sides
//! are kept as signed bytes, left-hand sides as unsigned ones: what arrives in the other signedness
//! is moved by 128, and the terms that this and the zero points add are taken off the sums:
//!
//! `sum((a - za) * (b - zb)) = sum(a' * b') - A * sum(b') - B * sum(a') + k * A * B`, where
//! `a' = a + 128` if a is signed, `b' = b - 128` if b is unsigned, `A = za + (a' - a)` and
//! `B = zb - (b - b')`.

mod conv;
mod dot;
mod linear;
mod pack;

#[cfg(test)]
mod tests;

pub use conv::conv_bytes;
pub use linear::{
    Quantum, Range, dequantize, dynamic_range, joined_scale, quantize, quantize_sums,
    scaled_floats, unscaled_floats,
};
pub use pack::{ByteMatrix, Bytes, PackedBytes};

use self::dot::{STRIP_ROWS, Strip, multiply_strip};
use self::pack::{pack_rows, row_sums};
use crate::aligned::Aligned;
use crate::engine::Engine;
use crate::fma::Fma;

/// Is the number of multiply-adds from which threads pay.
const THREAD_WORK: usize = 1 << 20;

/// Computes the 32-bit products of two byte matrices less their zero points, row by row.
///
/// `a_zero` holds one zero point or one per row, `b_zero` one or one per column.
///
/// # Panics
/// Panics when the shapes or the lengths of the slices do not fit.
// Spec: N-12
pub fn gemm_bytes(
    engine: &Engine,
    a: ByteMatrix<'_>,
    a_zero: &[i32],
    b: &PackedBytes,
    b_zero: &[i32],
    out: &mut [i32],
) {
    let ([m, k], [b_k, n]) = (a.shape(), b.shape());
    assert_eq!(k, b_k, "inner dimensions");
    assert_eq!(out.len(), m * n, "room for the output");
    assert!(
        a_zero.len() == 1 || a_zero.len() == m,
        "one zero point, or one per row"
    );
    assert!(
        b_zero.len() == 1 || b_zero.len() == n,
        "one zero point, or one per column"
    );
    if m * n == 0 {
        return;
    }
    let a_moved = if a.signed { 128 } else { 0 };
    let b_moved = if b.was_signed() { 0 } else { 128 };
    let quads = k.div_ceil(4);
    let rows_per_chunk = if m * n * k < THREAD_WORK {
        m
    } else {
        m.div_ceil(engine.pool().threads() * 4)
            .next_multiple_of(STRIP_ROWS)
    };
    let body = |chunk: usize, out: &mut [i32]| {
        let mut strip = Aligned::<u8>::zeroed(STRIP_ROWS * quads * 4);
        let mut row_terms = [0; STRIP_ROWS];
        for (i, out) in out.chunks_mut(STRIP_ROWS * n).enumerate() {
            let first = chunk * rows_per_chunk + i * STRIP_ROWS;
            let count = out.len() / n;
            pack_rows(&mut strip, &a, first, count);
            row_sums(&strip, count, quads, &mut row_terms);
            let terms: [RowTerm; STRIP_ROWS] = std::array::from_fn(|i| RowTerm {
                sum: row_terms[i],
                zero: a_zero[if a_zero.len() == 1 {
                    0
                } else {
                    (first + i).min(m - 1)
                }]
                .wrapping_add(a_moved),
            });
            multiply_strip(
                engine,
                Strip {
                    quads: &strip,
                    rows: count,
                },
                b,
                out,
            );
            for (row, term) in out.chunks_exact_mut(n).zip(terms) {
                correct(engine, row, term, b.sums(), b_zero, b_moved, k as i32);
            }
        }
    };
    engine.pool().run_pieces(out, rows_per_chunk * n, body);
}

/// Holds what a row's corrections need: its sum and the zero point of the moved bytes.
#[derive(Clone, Copy)]
struct RowTerm {
    sum: i32,
    zero: i32,
}

multiversion! {
    /// Takes the zero points' terms off one row of sums.
    fn correct(
        row: &mut [i32],
        term: RowTerm,
        column_sums: &[i32],
        b_zero: &[i32],
        b_moved: i32,
        k: i32,
    ) = correct_body;
}

#[inline(always)]
fn correct_body<F: Fma>(
    row: &mut [i32],
    term: RowTerm,
    column_sums: &[i32],
    b_zero: &[i32],
    b_moved: i32,
    k: i32,
) {
    // -A * sum(b') - B * sum(a') + k * A * B = -A * sum(b') - B * (sum(a') - k * A)
    let left = term.sum.wrapping_sub(k.wrapping_mul(term.zero));
    if let [zero] = *b_zero {
        let constant = zero.wrapping_sub(b_moved).wrapping_mul(left);
        for (sum, column) in row.iter_mut().zip(column_sums) {
            *sum = sum
                .wrapping_sub(term.zero.wrapping_mul(*column))
                .wrapping_sub(constant);
        }
    } else {
        for ((sum, column), zero) in row.iter_mut().zip(column_sums).zip(b_zero) {
            let constant = zero.wrapping_sub(b_moved).wrapping_mul(left);
            *sum = sum
                .wrapping_sub(term.zero.wrapping_mul(*column))
                .wrapping_sub(constant);
        }
    }
}
