//! Sums of products of any number of operands over labelled dimensions.

use crate::engine::Engine;
use crate::fma::PortableFma;
use crate::gemm::Real;

/// Is how many outputs a thread computes at a time.
const PIECE: usize = 64;

/// Is an operand with its stride for every label (0 for the labels it lacks).
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a, T> {
    /// Holds the numbers.
    pub data: &'a [T],
    /// Gives the distance between neighbours of each label.
    pub strides: &'a [usize],
}

/// Computes every output as a chain from +0 over the summed labels, the last one fastest: of a term
/// the leading operands are multiplied from the left, rounding each time, and the last one enters by
/// fma. A term of one operand is added.
///
/// The first `outputs` of `sizes` are the output's dimensions, the others are summed over.
///
/// # Panics
/// Panics when an operand is too short or a stride is missing.
// Spec: N-45
pub fn einsum<T: Real>(
    engine: &Engine,
    operands: &[Operand<'_, T>],
    sizes: &[usize],
    outputs: usize,
    out: &mut [T],
) {
    let (kept, summed) = sizes.split_at(outputs);
    assert!(
        operands
            .iter()
            .all(|operand| operand.strides.len() == sizes.len()),
        "strides"
    );
    assert_eq!(
        out.len(),
        kept.iter().product::<usize>(),
        "room for the output"
    );
    let terms: usize = summed.iter().product();
    engine.pool().run_pieces(out, PIECE, |piece, out| {
        for (i, out) in out.iter_mut().enumerate() {
            let mut rest = piece * PIECE + i;
            let mut at = vec![0usize; operands.len()];
            for (d, &size) in kept.iter().enumerate().rev() {
                for (at, operand) in at.iter_mut().zip(operands) {
                    *at += rest % size * operand.strides[d];
                }
                rest /= size;
            }
            let mut counters = vec![0usize; summed.len()];
            let mut sum = T::ZERO;
            for _ in 0..terms {
                sum = add_term(operands, &at, sum);
                advance(operands, &mut at, &mut counters, summed, outputs);
            }
            *out = sum.canonical();
        }
    });
}

/// Adds one term.
fn add_term<T: Real>(operands: &[Operand<'_, T>], at: &[usize], sum: T) -> T {
    let mut values = operands
        .iter()
        .zip(at)
        .map(|(operand, at)| operand.data[*at]);
    let (Some(first), last) = (values.next(), values.next_back()) else {
        return sum;
    };
    let Some(last) = last else {
        return sum.plus(first);
    };
    let product = values.fold(first, |product, value| product.times(value));
    T::fma::<PortableFma>(product, last, sum)
}

/// Steps to the next term, the last label fastest.
fn advance<T>(
    operands: &[Operand<'_, T>],
    at: &mut [usize],
    counters: &mut [usize],
    summed: &[usize],
    outputs: usize,
) {
    for (d, &size) in summed.iter().enumerate().rev() {
        counters[d] += 1;
        for (at, operand) in at.iter_mut().zip(operands) {
            *at += operand.strides[outputs + d];
        }
        if counters[d] < size {
            return;
        }
        for (at, operand) in at.iter_mut().zip(operands) {
            *at -= size * operand.strides[outputs + d];
        }
        counters[d] = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::{Epilogue, Matrix, Rhs, gemm, test_numbers};

    #[test]
    fn a_matrix_product_has_the_bits_of_gemm() {
        let (a, b) = (test_numbers(1, 15), test_numbers(2, 20));
        let engine = Engine::single();
        let (mut one, mut two) = (vec![0.0; 12], vec![0.0; 12]);
        let right = Rhs::Plain(Matrix::row_major(&b, 5, 4));
        gemm(
            &engine,
            Matrix::row_major(&a, 3, 5),
            right,
            &Epilogue::default(),
            &mut one,
            4,
        );
        // Labels i, k, j: "ij,jk->ik".
        let operands = [
            Operand {
                data: &a,
                strides: &[5, 0, 1],
            },
            Operand {
                data: &b,
                strides: &[0, 1, 4],
            },
        ];
        einsum(&engine, &operands, &[3, 4, 5], 2, &mut two);
        assert_eq!(one, two);
    }

    #[test]
    fn one_operand_sums_its_diagonal() {
        let mut out = [0.0f32];
        let data = [1.0, 2.0, 3.0, 4.0];
        let operands = [Operand {
            data: &data,
            strides: &[3],
        }];
        einsum(&Engine::single(), &operands, &[2], 0, &mut out);
        assert_eq!(out, [5.0]);
    }
}
