//! Scaling of features: by fixed factors, or by the norm of the row.

use crate::engine::Engine;
use crate::nan::{canonical_f32, canonical_f64};
use crate::reduce::{ReduceLayout, Reduction, reduce};

/// Names the norm a row is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// The largest element (with its sign).
    Max,
    /// The sum of magnitudes.
    L1,
    /// The root of the sum of squares.
    L2,
}

/// Computes `(x - offset) * scale` column by column; one offset or scale serves all columns.
///
/// # Panics
/// Panics when lengths do not fit.
// Spec: N-18
pub fn scale_f32(x: &[f32], columns: usize, offset: &[f32], scale: &[f32], out: &mut [f32]) {
    check(x.len(), columns, offset, scale, out.len());
    for (i, (x, out)) in x.iter().zip(out).enumerate() {
        let column = i % columns;
        *out = canonical_f32((x - pick(offset, column)) * pick(scale, column));
    }
}

/// Computes the same in f64 and rounds once more, to f32.
///
/// # Panics
/// Panics when lengths do not fit.
// Spec: N-18
pub fn scale_f64(x: &[f64], columns: usize, offset: &[f32], scale: &[f32], out: &mut [f32]) {
    check(x.len(), columns, offset, scale, out.len());
    for (i, (x, out)) in x.iter().zip(out).enumerate() {
        let column = i % columns;
        let (offset, scale) = (pick(offset, column), pick(scale, column));
        let scaled = (x - f64::from(offset)) * f64::from(scale);
        *out = canonical_f32(canonical_f64(scaled) as f32);
    }
}

fn check(len: usize, columns: usize, offset: &[f32], scale: &[f32], out: usize) {
    let fits = |n: usize| n == 1 || n == columns;
    assert!(len == out, "one output per input");
    assert!(
        len == 0 || (columns > 0 && fits(offset.len()) && fits(scale.len())),
        "one factor, or one per column"
    );
}

fn pick(values: &[f32], column: usize) -> f32 {
    if values.len() == 1 {
        values[0]
    } else {
        values[column]
    }
}

/// Divides each row of `columns` elements by its norm; a row whose norm is zero stays as it is.
///
/// # Panics
/// Panics when lengths do not fit.
// Spec: N-18
pub fn normalise_rows(engine: &Engine, norm: Norm, columns: usize, x: &[f32], out: &mut [f32]) {
    assert!(x.len() == out.len(), "one output per input");
    if x.is_empty() {
        return;
    }
    assert!(
        columns > 0 && x.len().is_multiple_of(columns),
        "elements are whole rows"
    );
    let rows = x.len() / columns;
    let mut norms = vec![0.0f32; rows];
    let reduction = match norm {
        Norm::Max => Reduction::Max,
        Norm::L1 => Reduction::SumMagnitude,
        Norm::L2 => Reduction::SumSquare,
    };
    let layout = ReduceLayout::rows(rows, columns);
    reduce(engine, reduction, &layout, x, &mut norms);
    let rows = x.chunks_exact(columns).zip(out.chunks_exact_mut(columns));
    for ((x, out), sum) in rows.zip(&norms) {
        let divisor = if norm == Norm::L2 { sum.sqrt() } else { *sum };
        for (x, out) in x.iter().zip(out) {
            *out = canonical_f32(if divisor == 0.0 { *x } else { x / divisor });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_by_one_factor_or_one_per_column() {
        let mut out = [0.0; 4];
        scale_f32(&[1.0, 2.0, 3.0, 4.0], 2, &[1.0, 2.0], &[10.0], &mut out);
        assert_eq!(out, [0.0, 0.0, 20.0, 20.0]);
        scale_f64(&[1.0, 2.0, 3.0, 4.0], 2, &[1.0], &[1.0, 0.5], &mut out);
        assert_eq!(out, [0.0, 0.5, 2.0, 1.5]);
    }

    #[test]
    fn doubles_are_rounded_after_scaling() {
        let mut out = [0.0];
        scale_f64(&[16_777_217.5], 1, &[16_777_216.0], &[2.0], &mut out);
        assert_eq!(out, [3.0]);
    }

    #[test]
    fn rows_are_divided_by_their_norm() {
        let x = [3.0, -4.0, 0.0, 0.0];
        let engine = Engine::single();
        let mut out = [9.0; 4];
        normalise_rows(&engine, Norm::L2, 2, &x, &mut out);
        assert_eq!(out, [0.6, -0.8, 0.0, 0.0]);
        normalise_rows(&engine, Norm::L1, 2, &x, &mut out);
        assert_eq!(out, [3.0 / 7.0, -4.0 / 7.0, 0.0, 0.0]);
        normalise_rows(&engine, Norm::Max, 2, &x, &mut out);
        assert_eq!(out, [1.0, -4.0 / 3.0, 0.0, 0.0]);
    }
}
