//! Post-transforms: what turns the scores of a model into its outputs.

use crate::engine::Engine;
use crate::fma::PortableFma;
use crate::math;
use crate::nan::canonical_f32;
use crate::reduce::{LANES, Sum, fold_lanes, join_lanes};

/// Names what is done to the scores of each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostTransform {
    /// Leaves them as they are.
    None,
    /// Takes the sigmoid of each.
    Logistic,
    /// Takes the softmax of the row.
    Softmax,
    /// Takes the softmax of the scores that are not about zero, and leaves those about zero.
    SoftmaxZero,
    /// Takes the quantile of the normal distribution of each, by a fixed approximation.
    Probit,
}

/// Is the magnitude from which [`PostTransform::SoftmaxZero`] takes a score for zero.
const ABOUT_ZERO: f32 = 1e-7;

/// Transforms rows of `columns` scores in place.
///
/// # Panics
/// Panics when `columns` is 0 or does not divide the number of scores.
// Spec: N-17
pub fn transform(engine: &Engine, kind: PostTransform, columns: usize, scores: &mut [f32]) {
    assert!(
        columns > 0 && scores.len().is_multiple_of(columns),
        "scores are whole rows"
    );
    match kind {
        PostTransform::None => scores.iter_mut().for_each(|s| *s = canonical_f32(*s)),
        PostTransform::Logistic => math::sigmoid_in_place_f32(engine, scores),
        PostTransform::Softmax => scores
            .chunks_exact_mut(columns)
            .for_each(|row| softmax(engine, row)),
        PostTransform::SoftmaxZero => scores
            .chunks_exact_mut(columns)
            .for_each(|row| softmax_zero(engine, row)),
        PostTransform::Probit => probit(engine, scores),
    }
}

fn softmax(engine: &Engine, row: &mut [f32]) {
    let largest = largest(row);
    row.iter_mut().for_each(|score| *score -= largest);
    math::exp_in_place_f32(engine, row);
    divide_by_sum(row);
}

/// Scores about zero are multiplied by e^-m and do not count in the sum.
fn softmax_zero(engine: &Engine, row: &mut [f32]) {
    let largest = largest(row);
    let small = math::exp(-largest);
    let mut powers: Vec<f32> = row.iter().map(|score| *score - largest).collect();
    math::exp_in_place_f32(engine, &mut powers);
    let mut counted = powers.clone();
    for ((score, power), counted) in row.iter_mut().zip(&powers).zip(&mut counted) {
        if score.abs() <= ABOUT_ZERO {
            *score *= small;
            *counted = 0.0;
        } else {
            *score = *power;
        }
    }
    let sum = sum(&counted);
    row.iter_mut()
        .for_each(|score| *score = canonical_f32(*score / sum));
}

fn largest(row: &[f32]) -> f32 {
    row.iter().fold(f32::NEG_INFINITY, |largest, score| {
        if *score > largest { *score } else { largest }
    })
}

// Spec: N-4
fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    fold_lanes::<PortableFma, _, _>(Sum, &mut lanes, 0, values);
    join_lanes(Sum, &mut lanes, values.len())
}

fn divide_by_sum(row: &mut [f32]) {
    let sum = sum(row);
    row.iter_mut()
        .for_each(|score| *score = canonical_f32(*score / sum));
}

/// Uses Winitzki's approximation of the inverse error function with a = 0.147, as ONNX's
/// implementations do.
fn probit(engine: &Engine, scores: &mut [f32]) {
    const SQRT_2: f32 = std::f32::consts::SQRT_2;
    const A: f32 = 0.147;
    /// Is 2 / (3.14159 * 0.147): just so many digits of pi, each step rounded to f32.
    const TWO_OVER_PI_A: f32 = 4.330_750_5;
    const ONE_OVER_A: f32 = 1.0 / A;
    for score in scores.iter_mut() {
        let x = 2.0 * *score - 1.0;
        let mut log = [(1.0 - x) * (1.0 + x)];
        math::ln_in_place_f32(engine, &mut log);
        let [log] = log;
        let v = TWO_OVER_PI_A + 0.5 * log;
        let root = (v * v - ONE_OVER_A * log).sqrt();
        let inverse = (root - v).sqrt();
        *score = canonical_f32(SQRT_2 * if x < 0.0 { -inverse } else { inverse });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(kind: PostTransform, columns: usize, scores: &[f32]) -> Vec<f32> {
        let mut out = scores.to_vec();
        transform(&Engine::single(), kind, columns, &mut out);
        out
    }

    fn close(got: &[f32], want: &[f32]) {
        assert_eq!(got.len(), want.len());
        for (got, want) in got.iter().zip(want) {
            assert!(
                (got - want).abs() <= 2e-6 * (1.0 + want.abs()),
                "{got} {want}"
            );
        }
    }

    #[test]
    fn softmax_takes_each_row_alone() {
        let both = apply(PostTransform::Softmax, 3, &[0.2, 0.0, 0.0, 0.0, -0.3, 0.9]);
        let first = apply(PostTransform::Softmax, 3, &[0.2, 0.0, 0.0]);
        assert_eq!(both[..3], first);
        close(
            &both,
            &[
                0.379_152_42,
                0.310_423_76,
                0.310_423_76,
                0.238_071_35,
                0.176_367_58,
                0.585_560_56,
            ],
        );
    }

    #[test]
    fn softmax_zero_leaves_zeros_out() {
        let got = apply(PostTransform::SoftmaxZero, 3, &[0.2, 0.0, 0.0]);
        close(&got, &[1.0, 0.0, 0.0]);
        let got = apply(PostTransform::SoftmaxZero, 3, &[0.0, -0.3, 0.9]);
        close(&got, &[0.0, 0.231_475_2, 0.768_524_8]);
    }

    #[test]
    fn logistic_keeps_small_probabilities() {
        let got = apply(PostTransform::Logistic, 1, &[-20.0, 0.0, 0.9]);
        assert!((got[0] / 2.061_153_6e-9 - 1.0).abs() < 1e-6, "{}", got[0]);
        close(&got[1..], &[0.5, 0.710_949_5]);
    }

    #[test]
    fn probit_is_the_known_approximation() {
        close(
            &apply(PostTransform::Probit, 1, &[0.3, 0.9, 0.5]),
            &[-0.524_445_9, 1.281_712_9, 0.0],
        );
        assert_eq!(
            apply(PostTransform::Probit, 1, &[1.5])[0].to_bits(),
            0x7fc0_0000
        );
    }
}
