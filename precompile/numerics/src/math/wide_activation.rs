//! Activations in f64: the same sequences of rounded steps as in f32 (N-8.4 to N-8.12).

use super::double::{erf, exp, log1p, tanh};
use crate::nan::canonical_f64;

/// Is sqrt(2 / pi), rounded.
const ROOT_TWO_OVER_PI: f64 = 0.797_884_560_802_865_4;

/// Computes 1 / (1 + e^-x).
// Spec: N-8.4
pub fn sigmoid(x: f64) -> f64 {
    let e = exp(-x.abs());
    canonical_f64(if x >= 0.0 { 1.0 } else { e } / (1.0 + e))
}

/// Computes x sigmoid(alpha x).
// Spec: N-8.5
pub fn swish(alpha: f64, x: f64) -> f64 {
    canonical_f64(x * sigmoid(alpha * x))
}

/// Computes GELU by the error function.
// Spec: N-8.6
pub fn gelu_erf(x: f64) -> f64 {
    canonical_f64(0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2)))
}

/// Computes GELU by its tanh approximation.
// Spec: N-8.7
pub fn gelu_tanh(x: f64) -> f64 {
    let cube = x * x * x;
    canonical_f64(0.5 * x * (1.0 + tanh(ROOT_TWO_OVER_PI * (x + 0.044_715 * cube))))
}

/// Computes ln(1 + e^x).
// Spec: N-8.8
pub fn softplus(x: f64) -> f64 {
    let l = log1p(exp(-x.abs()));
    canonical_f64(if x < 0.0 { l } else { x + l })
}

/// Computes x tanh(ln(1 + e^x)).
// Spec: N-8.9
pub fn mish(x: f64) -> f64 {
    canonical_f64(x * tanh(softplus(x)))
}

/// Computes x above zero and alpha (e^x - 1) below.
// Spec: N-8.10
pub fn elu(alpha: f64, x: f64) -> f64 {
    canonical_f64(if x < 0.0 { alpha * (exp(x) - 1.0) } else { x })
}

/// Computes gamma x above zero and gamma (alpha e^x - alpha) below.
// Spec: N-8.11
pub fn selu(alpha: f64, gamma: f64, x: f64) -> f64 {
    canonical_f64(gamma * if x < 0.0 { alpha * exp(x) - alpha } else { x })
}

/// Computes x above zero and alpha (e^(x / alpha) - 1) below.
// Spec: N-8.12
pub fn celu(alpha: f64, x: f64) -> f64 {
    canonical_f64(if x < 0.0 {
        alpha * (exp(x / alpha) - 1.0)
    } else {
        x
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::math;

    /// The f64 forms, rounded, stay within a few units of the f32 forms: they are one definition.
    #[test]
    fn both_widths_compute_the_same_functions() {
        type Narrow = fn(&Engine, &[f32], &mut [f32]);
        type Pair = (Narrow, fn(f64) -> f64);
        let pairs: [Pair; 9] = [
            (math::sigmoid_f32, sigmoid),
            (|e, x, y| math::swish_f32(e, 1.5, x, y), |x| swish(1.5, x)),
            (math::gelu_erf_f32, gelu_erf),
            (math::gelu_tanh_f32, gelu_tanh),
            (math::softplus_f32, softplus),
            (math::mish_f32, mish),
            (|e, x, y| math::elu_f32(e, 0.5, x, y), |x| elu(0.5, x)),
            (
                |e, x, y| math::selu_f32(e, 1.5, 1.25, x, y),
                |x| selu(1.5, 1.25, x),
            ),
            (|e, x, y| math::celu_f32(e, 2.0, x, y), |x| celu(2.0, x)),
        ];
        let x: Vec<f32> = (-40..40).map(|i| i as f32 / 8.0).collect();
        for (narrow, wide) in pairs {
            let mut y = vec![0.0; x.len()];
            narrow(&Engine::single(), &x, &mut y);
            for (x, y) in x.iter().zip(&y) {
                let want = wide(f64::from(*x));
                assert!(
                    (f64::from(*y) - want).abs() <= 2e-6 * want.abs().max(0.1),
                    "{x} {y} {want}"
                );
            }
            assert_eq!(wide(f64::NAN).to_bits(), 0x7ff8_0000_0000_0000);
        }
    }
}
