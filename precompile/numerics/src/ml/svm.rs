//! Support vector machines: kernels, pairwise decisions and coupled probabilities.
//!
//! Data and results are f32; between them everything is f64, as in the libraries that train these
//! models, so that the many cancelling terms of a decision keep their digits.
// Spec: N-16

use crate::engine::Engine;
use crate::fma::Fma;
use crate::math;
use crate::nan::canonical_f32;

/// Is how many support vectors are taken together.
const LANES: usize = 8;

/// Stops the coupling of probabilities that does not converge.
const COUPLING_ROUNDS: usize = 100;

/// Names a kernel with its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kernel {
    /// `x . s`
    Linear,
    /// `(gamma x . s + coef0) ^ degree`
    Poly {
        /// Scales the product.
        gamma: f32,
        /// Is added to it.
        coef0: f32,
        /// Is the exponent.
        degree: u32,
    },
    /// `e ^ (-gamma |x - s|^2)`
    Rbf {
        /// Scales the squared distance.
        gamma: f32,
    },
    /// `tanh(gamma x . s + coef0)`
    Sigmoid {
        /// Scales the product.
        gamma: f32,
        /// Is added to it.
        coef0: f32,
    },
}

/// Holds support vectors in groups, feature by feature.
#[derive(Debug)]
pub struct SupportVectors {
    groups: Vec<[f32; LANES]>,
    count: usize,
    features: usize,
}

impl SupportVectors {
    /// Arranges `count` vectors of equal length that lie one after the other.
    ///
    /// # Panics
    /// Panics when the numbers are not `count` vectors.
    pub fn new(vectors: &[f32], count: usize) -> Self {
        let features = vectors.len() / count.max(1);
        assert!(features * count == vectors.len(), "whole support vectors");
        let mut groups = vec![[0.0; LANES]; count.div_ceil(LANES) * features];
        for (vector, values) in vectors.chunks_exact(features.max(1)).enumerate() {
            for (feature, value) in values.iter().enumerate() {
                groups[vector / LANES * features + feature][vector % LANES] = *value;
            }
        }
        Self {
            groups,
            count,
            features,
        }
    }

    /// Returns the number of vectors.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the length of a vector.
    pub fn features(&self) -> usize {
        self.features
    }
}

multiversion! {
    fn dots(vectors: &SupportVectors, x: &[f32], out: &mut [f64]) = dots_body;
    fn distances(vectors: &SupportVectors, x: &[f32], out: &mut [f64]) = distances_body;
}

#[inline(always)]
fn dots_body<F: Fma>(vectors: &SupportVectors, x: &[f32], out: &mut [f64]) {
    sums(vectors, x, out, |sum, x, s| sum + x * s);
}

#[inline(always)]
fn distances_body<F: Fma>(vectors: &SupportVectors, x: &[f32], out: &mut [f64]) {
    sums(vectors, x, out, |sum, x, s| sum + (x - s) * (x - s));
}

/// Folds the features of each vector in ascending order.
#[inline(always)]
fn sums(
    vectors: &SupportVectors,
    x: &[f32],
    out: &mut [f64],
    step: impl Fn(f64, f64, f64) -> f64 + Copy,
) {
    let groups = vectors.groups.chunks_exact(vectors.features.max(1));
    for (group, out) in groups.zip(out.chunks_mut(LANES)) {
        let mut sums = [0.0f64; LANES];
        for (vector, x) in group.iter().zip(x) {
            for lane in 0..LANES {
                sums[lane] = step(sums[lane], f64::from(*x), f64::from(vector[lane]));
            }
        }
        out.copy_from_slice(&sums[..out.len()]);
    }
}

/// Computes the kernel of one row with every support vector.
///
/// # Panics
/// Panics when lengths do not fit.
// Spec: N-16
pub fn kernels(
    engine: &Engine,
    kernel: Kernel,
    vectors: &SupportVectors,
    x: &[f32],
    out: &mut [f32],
) {
    assert!(x.len() == vectors.features, "one value per feature");
    assert!(out.len() == vectors.count, "one kernel per support vector");
    let mut sums = vec![0.0; vectors.count];
    if let Kernel::Rbf { .. } = kernel {
        distances(engine, vectors, x, &mut sums);
    } else {
        dots(engine, vectors, x, &mut sums);
    }
    for (out, sum) in out.iter_mut().zip(&sums) {
        let value = match kernel {
            Kernel::Linear => *sum,
            Kernel::Poly {
                gamma,
                coef0,
                degree,
            } => power(f64::from(gamma) * sum + f64::from(coef0), degree),
            Kernel::Rbf { gamma } => -f64::from(gamma) * sum,
            Kernel::Sigmoid { gamma, coef0 } => f64::from(gamma) * sum + f64::from(coef0),
        };
        *out = canonical_f32(value as f32);
    }
    match kernel {
        Kernel::Linear | Kernel::Poly { .. } => {}
        Kernel::Rbf { .. } => math::exp_in_place_f32(engine, out),
        Kernel::Sigmoid { .. } => math::tanh_in_place_f32(engine, out),
    }
}

/// Multiplies one factor after the other.
fn power(base: f64, degree: u32) -> f64 {
    (0..degree).fold(1.0, |power, _| power * base)
}

/// Adds weighted kernels in order, then `rho`, and rounds to f32.
///
/// # Panics
/// Panics when lengths differ.
// Spec: N-16
pub fn decision(parts: &[(&[f32], &[f32])], rho: f32) -> f32 {
    let mut sum = 0.0f64;
    for (weights, kernels) in parts {
        assert!(weights.len() == kernels.len(), "one weight per kernel");
        for (weight, kernel) in weights.iter().zip(*kernels) {
            sum += f64::from(*weight) * f64::from(*kernel);
        }
    }
    canonical_f32((sum + f64::from(rho)) as f32)
}

/// Turns a decision into the probability of the first class of the pair.
// Spec: N-16
pub fn pair_probability(decision: f32, a: f32, b: f32) -> f32 {
    const LEAST: f32 = 1e-7;
    // A NaN stays one.
    math::sigmoid(-(decision * a + b)).clamp(LEAST, 1.0 - LEAST)
}

/// Couples pairwise probabilities (row-major, `classes` squared) into one per class.
///
/// This is the second method of Wu, Lin and Weng (2004), as libsvm runs it, in f64.
///
/// # Panics
/// Panics when lengths do not fit.
// Spec: N-16
pub fn couple(pairs: &[f32], out: &mut [f32]) {
    let classes = out.len();
    assert!(pairs.len() == classes * classes, "one probability per pair");
    let r = |i: usize, j: usize| f64::from(pairs[i * classes + j]);
    let mut q = vec![0.0f64; classes * classes];
    for i in 0..classes {
        for j in (0..classes).filter(|j| *j != i) {
            q[i * classes + i] += r(j, i) * r(j, i);
            q[i * classes + j] = -r(j, i) * r(i, j);
        }
    }
    let mut p = vec![1.0 / classes as f64; classes];
    let mut qp = vec![0.0f64; classes];
    let tolerance = 0.005 / classes as f64;
    for _ in 0..COUPLING_ROUNDS {
        let mut pqp = 0.0;
        for i in 0..classes {
            let row = &q[i * classes..(i + 1) * classes];
            qp[i] = row.iter().zip(&p).fold(0.0, |sum, (q, p)| sum + q * p);
            pqp += p[i] * qp[i];
        }
        let far = |qp: &f64| (qp - pqp).abs() >= tolerance;
        if !qp.iter().any(far) {
            break;
        }
        for i in 0..classes {
            let diagonal = q[i * classes + i];
            let step = (pqp - qp[i]) / diagonal;
            p[i] += step;
            pqp = (pqp + step * (step * diagonal + 2.0 * qp[i])) / (1.0 + step) / (1.0 + step);
            for j in 0..classes {
                qp[j] = (qp[j] + step * q[i * classes + j]) / (1.0 + step);
                p[j] /= 1.0 + step;
            }
        }
    }
    for (out, p) in out.iter_mut().zip(&p) {
        *out = canonical_f32(*p as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;

    fn values(n: usize) -> Vec<f32> {
        (0..n)
            .map(|i| ((i * 37 % 101) as f32 - 50.0) / 17.0)
            .collect()
    }

    #[test]
    fn kernels_are_the_sums_in_feature_order_on_every_instruction_set() {
        let (count, features) = (21, 7);
        let vectors = values(count * features);
        let x = &values(200)[60..60 + features];
        let packed = SupportVectors::new(&vectors, count);
        let gamma = 0.3;
        for isa in Isa::available() {
            let engine = Engine::new(isa, 1);
            let mut rbf = vec![0.0; count];
            kernels(&engine, Kernel::Rbf { gamma }, &packed, x, &mut rbf);
            let mut poly = vec![0.0; count];
            let kernel = Kernel::Poly {
                gamma,
                coef0: 1.0,
                degree: 3,
            };
            kernels(&engine, kernel, &packed, x, &mut poly);
            for (i, s) in vectors.chunks(features).enumerate() {
                let pairs = x.iter().zip(s).map(|(x, s)| (f64::from(*x), f64::from(*s)));
                let (mut dot, mut distance) = (0.0, 0.0);
                for (x, s) in pairs {
                    dot += x * s;
                    distance += (x - s) * (x - s);
                }
                let want = math::exp((-f64::from(gamma) * distance) as f32);
                assert_eq!(rbf[i].to_bits(), want.to_bits());
                let base = f64::from(gamma) * dot + 1.0;
                assert_eq!(poly[i], (base * base * base) as f32);
            }
        }
    }

    #[test]
    fn decisions_add_parts_in_order() {
        let first = ([1.0f32, 2.0], [0.5f32, 0.25]);
        let second = ([-1.0f32], [4.0f32]);
        let parts: [(&[f32], &[f32]); 2] = [(&first.0, &first.1), (&second.0, &second.1)];
        assert_eq!(decision(&parts, 0.75), -2.25);
    }

    #[test]
    fn two_classes_couple_to_their_pair() {
        let p = pair_probability(0.8, -1.5, 0.1);
        let mut out = [0.0; 2];
        couple(&[0.0, p, 1.0 - p, 0.0], &mut out);
        assert!((out[0] - p).abs() < 5e-3, "{out:?} {p}");
        assert!((out[0] + out[1] - 1.0).abs() < 1e-6);
    }

    #[test]
    fn equal_pairs_couple_to_equal_classes() {
        let mut out = [0.0; 3];
        couple(&[0.0, 0.5, 0.5, 0.5, 0.0, 0.5, 0.5, 0.5, 0.0], &mut out);
        for p in out {
            assert!((p - 1.0 / 3.0).abs() < 1e-6, "{out:?}");
        }
    }
}
