//! Determinants by elimination with partial pivoting in a fixed order (Spec: N-21).

use crate::float::Float;
use crate::fma::{Fma, PortableFma};

/// Computes the determinant of an `n` by `n` matrix, which is overwritten.
///
/// Column by column: the pivot is the first entry of the largest magnitude at or below the diagonal
/// (a NaN is never larger); rows below take away their multiple by fused multiply-adds, left to
/// right; the pivots are multiplied in order and the sign of the row swaps comes last.
///
/// # Panics
/// When the matrix has not n * n entries.
pub fn determinant<T: Float>(n: usize, matrix: &mut [T]) -> T {
    assert_eq!(matrix.len(), n * n);
    let mut product = T::ONE;
    let mut negative = false;
    for column in 0..n {
        let mut pivot = column;
        for row in column + 1..n {
            if matrix[row * n + column].magnitude() > matrix[pivot * n + column].magnitude() {
                pivot = row;
            }
        }
        if pivot != column {
            negative = !negative;
            for i in 0..n {
                matrix.swap(pivot * n + i, column * n + i);
            }
        }
        let head = matrix[column * n + column];
        product = product * head;
        if head.magnitude() <= T::ZERO {
            return product.canonical();
        }
        let (above, below) = matrix.split_at_mut((column + 1) * n);
        let top = &above[column * n..];
        for row in below.chunks_exact_mut(n) {
            let factor = -(row[column] / head);
            for i in column + 1..n {
                row[i] = step::<PortableFma, T>(factor, top[i], row[i]);
            }
        }
    }
    (if negative { -product } else { product }).canonical()
}

fn step<F: Fma, T: Float>(a: T, b: T, c: T) -> T {
    T::fma::<F>(a, b, c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_determinants_come_out() {
        assert_eq!(determinant(0, &mut [] as &mut [f32]), 1.0);
        assert_eq!(determinant(2, &mut [0.0f32, 1.0, 2.0, 3.0]), -2.0);
        assert_eq!(
            determinant(3, &mut [2.0f64, 0.0, 1.0, 0.0, 4.0, 0.0, 1.0, 0.0, 1.0]),
            4.0
        );
        assert_eq!(determinant(2, &mut [1.0f32, 2.0, 2.0, 4.0]), 0.0);
        let nan = determinant(2, &mut [f32::NAN, 1.0, 1.0, 1.0]);
        assert_eq!(nan.to_bits(), 0x7fc0_0000);
    }
}
