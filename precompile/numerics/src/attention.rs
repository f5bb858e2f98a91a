//! Scaled dot-product attention of one head.

use crate::engine::Engine;
use crate::gemm::{Epilogue, Matrix, Rhs, gemm};
use crate::smooth::Smooth;

/// Is one head's operands, each row-major.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a, T> {
    /// Holds `queries x size` numbers.
    pub q: &'a [T],
    /// Holds `keys x size` numbers.
    pub k: &'a [T],
    /// Holds `keys x value_size` numbers.
    pub v: &'a [T],
    /// Holds `queries x keys` numbers, minus infinity where a query may not see a key.
    pub bias: &'a [T],
}

/// Gives the sizes of a head.
#[derive(Clone, Copy, Debug)]
pub struct HeadShape {
    /// Counts the queries.
    pub queries: usize,
    /// Counts the keys.
    pub keys: usize,
    /// Counts the numbers of a query and of a key.
    pub size: usize,
    /// Counts the numbers of a value.
    pub value_size: usize,
}

/// Names an intermediate result that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The scaled products.
    Scores,
    /// The products after the soft cap.
    Capped,
    /// The products after soft cap and bias.
    Biased,
    /// The weights of the values.
    Weights,
}

/// Gives the numbers that all heads share.
#[derive(Clone, Copy, Debug)]
pub struct Attention<T> {
    /// Multiplies queries and keys, each: the square root of the scale.
    pub root_scale: T,
    /// Bounds the scores smoothly, unless it is zero.
    pub softcap: T,
    /// Computes softmax in double precision.
    pub wide_softmax: bool,
}

/// Computes one head's output (`queries x value_size`) and an intermediate result on request.
///
/// # Panics
/// Panics when a slice does not hold what the shape says.
// Spec: N-41
pub fn attend<T: Smooth>(
    engine: &Engine,
    attention: Attention<T>,
    shape: HeadShape,
    head: Head<'_, T>,
    mut probe: Option<(Probe, &mut [T])>,
    out: &mut [T],
) {
    let HeadShape {
        queries,
        keys,
        size,
        value_size,
    } = shape;
    let mut keep = |stage: Probe, scores: &[T]| {
        if let Some((wanted, into)) = &mut probe
            && *wanted == stage
        {
            for (into, x) in into.iter_mut().zip(scores) {
                *into = x.canonical();
            }
        }
    };
    let scaled = |x: &[T]| {
        x.iter()
            .map(|x| x.times(attention.root_scale))
            .collect::<Vec<_>>()
    };
    let (q, k) = (scaled(head.q), scaled(head.k));
    let mut scores = vec![T::ZERO; queries * keys];
    let right = Matrix::row_major(&k, keys, size).transposed();
    let left = Matrix::row_major(&q, queries, size);
    gemm(
        engine,
        left,
        Rhs::Plain(right),
        &Epilogue::default(),
        &mut scores,
        keys,
    );
    keep(Probe::Scores, &scores);
    if attention.softcap != T::ZERO {
        scores
            .iter_mut()
            .for_each(|x| *x = x.over(attention.softcap));
        T::tanh_in_place(engine, &mut scores);
        scores
            .iter_mut()
            .for_each(|x| *x = x.times(attention.softcap));
    }
    keep(Probe::Capped, &scores);
    assert_eq!(head.bias.len(), scores.len(), "one bias per score");
    for (score, bias) in scores.iter_mut().zip(head.bias) {
        *score = score.plus(*bias);
    }
    keep(Probe::Biased, &scores);
    let mut weights = vec![T::ZERO; queries * keys];
    if keys > 0 {
        softmax(engine, attention.wide_softmax, keys, &scores, &mut weights);
        let rows = weights
            .chunks_exact_mut(keys)
            .zip(scores.chunks_exact(keys));
        for ((weights, scores), bias) in rows.zip(head.bias.chunks_exact(keys)) {
            let none = T::rounded(f64::NEG_INFINITY);
            // A query that may see no key attends to nothing, whatever its scores are.
            if bias.iter().all(|b| *b == none) || scores.iter().all(|s| *s == none) {
                weights.fill(T::ZERO);
            }
        }
    }
    keep(Probe::Weights, &weights);
    let left = Matrix::row_major(&weights, queries, keys);
    let right = Matrix::row_major(head.v, keys, value_size);
    gemm(
        engine,
        left,
        Rhs::Plain(right),
        &Epilogue::default(),
        out,
        value_size,
    );
}

/// Computes softmax by rows, in doubles where asked for.
fn softmax<T: Smooth>(engine: &Engine, wide: bool, keys: usize, scores: &[T], out: &mut [T]) {
    if !wide {
        return T::softmax_rows(engine, keys, scores, out);
    }
    let scores: Vec<f64> = scores.iter().map(|x| x.widened()).collect();
    let mut weights = vec![0.0; scores.len()];
    f64::softmax_rows(engine, keys, &scores, &mut weights);
    for (out, weight) in out.iter_mut().zip(weights) {
        *out = T::rounded(weight).canonical();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::test_numbers as numbers;
    use crate::isa::Isa;

    const SHAPE: HeadShape = HeadShape {
        queries: 5,
        keys: 7,
        size: 8,
        value_size: 6,
    };

    fn run(engine: &Engine, bias: &[f32], probe: Option<(Probe, &mut [f32])>) -> Vec<f32> {
        let (q, k, v) = (numbers(1, 40), numbers(2, 56), numbers(3, 42));
        let head = Head {
            q: &q,
            k: &k,
            v: &v,
            bias,
        };
        let attention = Attention {
            root_scale: 0.1,
            softcap: 5.0,
            wide_softmax: false,
        };
        let mut out = vec![f32::NAN; 30];
        attend(engine, attention, SHAPE, head, probe, &mut out);
        out
    }

    #[test]
    fn a_query_that_sees_no_key_gives_zeros() {
        let mut bias = vec![0.0; 35];
        bias[7..14].fill(f32::NEG_INFINITY);
        let mut weights = vec![f32::NAN; 35];
        let out = run(
            &Engine::single(),
            &bias,
            Some((Probe::Weights, &mut weights)),
        );
        assert_eq!(out[6..12], [0.0; 6]);
        assert_eq!(weights[7..14], [0.0; 7]);
        for row in weights.chunks_exact(7).step_by(2) {
            assert!((row.iter().fold(0.0, |sum, w| sum + w) - 1.0).abs() < 1e-5);
        }
    }

    #[test]
    fn instruction_sets_agree_and_queries_stand_alone() {
        let bias: Vec<f32> = numbers(4, 35).iter().map(|x| x / 1e4).collect();
        let want = run(&Engine::single(), &bias, None);
        for isa in Isa::available() {
            assert_eq!(
                run(&Engine::new(isa, 1), &bias, None),
                want,
                "{}",
                isa.name()
            );
        }
        let (q, k, v) = (numbers(1, 40), numbers(2, 56), numbers(3, 42));
        let attention = Attention {
            root_scale: 0.1,
            softcap: 5.0,
            wide_softmax: false,
        };
        let shape = HeadShape {
            queries: 1,
            ..SHAPE
        };
        for i in 0..5 {
            let head = Head {
                q: &q[i * 8..][..8],
                k: &k,
                v: &v,
                bias: &bias[i * 7..][..7],
            };
            let mut out = [0.0; 6];
            attend(&Engine::single(), attention, shape, head, None, &mut out);
            assert_eq!(out, want[i * 6..][..6]);
        }
    }
}
