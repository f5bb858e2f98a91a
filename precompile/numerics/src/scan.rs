//! Running sums and products along an axis, strictly in order (Spec: N-4).

use crate::elementwise::Number;

/// Names what is accumulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// A running sum from +0.
    Sum,
    /// A running product from 1.
    Product,
}

/// Accumulates along the middle axis of `[outer, n, inner]`.
///
/// An `exclusive` scan gives what came before an element; `reverse` starts at the end.
///
/// # Panics
/// When lengths do not fit together.
pub fn scan<T: Number>(
    op: Scan,
    exclusive: bool,
    reverse: bool,
    n: usize,
    inner: usize,
    x: &[T],
    out: &mut [T],
) {
    assert_eq!(x.len(), out.len());
    if x.is_empty() {
        return;
    }
    assert!(x.len().is_multiple_of(n * inner));
    let start = match op {
        Scan::Sum => T::default(),
        Scan::Product => T::UNIT,
    };
    let mut running = vec![start; inner];
    for (x, out) in x
        .chunks_exact(n * inner)
        .zip(out.chunks_exact_mut(n * inner))
    {
        running.fill(start);
        for step in 0..n {
            let row = if reverse { n - 1 - step } else { step } * inner;
            let row = row..row + inner;
            for ((acc, x), out) in running.iter_mut().zip(&x[row.clone()]).zip(&mut out[row]) {
                let before = *acc;
                *acc = match op {
                    Scan::Sum => acc.plus(*x),
                    Scan::Product => acc.times(*x),
                };
                *out = if exclusive { before } else { *acc };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_run_in_either_direction_with_or_without_the_element() {
        let x = [1.0f32, 2.0, 3.0];
        let cases = [
            (false, false, [1.0, 3.0, 6.0]),
            (true, false, [0.0, 1.0, 3.0]),
            (false, true, [6.0, 5.0, 3.0]),
            (true, true, [5.0, 3.0, 0.0]),
        ];
        for (exclusive, reverse, want) in cases {
            let mut out = [9.0; 3];
            scan(Scan::Sum, exclusive, reverse, 3, 1, &x, &mut out);
            assert_eq!(out, want);
        }
    }

    #[test]
    fn columns_run_apart_and_order_is_sequential() {
        let x = [1e8f32, 1.0, 1.0, 2.0, -1e8, 3.0];
        let mut out = [0.0; 6];
        scan(Scan::Sum, false, false, 3, 2, &x, &mut out);
        assert_eq!(out, [1e8, 1.0, 1e8, 3.0, 0.0, 6.0]);
    }

    #[test]
    fn products_start_at_one() {
        let mut out = [0i32; 4];
        scan(Scan::Product, true, false, 4, 1, &[2, 3, 4, 5], &mut out);
        assert_eq!(out, [1, 2, 6, 24]);
    }
}
