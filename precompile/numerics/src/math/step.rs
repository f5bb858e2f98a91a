//! The multiply-add inside the math kernels: fused where that is one instruction, else two steps.
//!
//! Elsewhere in the crate a fused operation is part of a rule. Here the rule is the correctly
//! rounded result (N-8), so the steps that lead to it may differ between machines: both forms were
//! compared with an oracle over every input, and one table of exceptions serves both.

use crate::fma::{HardFma, SoftFma};

/// Computes a * b + c for error-tolerant intermediate values.
pub(crate) trait Step: Copy {
    /// Computes a * b + c with one or two roundings.
    fn mul_add(a: f64, b: f64, c: f64) -> f64;
    /// Rounds a lane's value to the result; only the check of error bounds does otherwise.
    #[inline(always)]
    fn round(value: f64) -> f32 {
        value as f32
    }
}

impl Step for HardFma {
    #[inline(always)]
    fn mul_add(a: f64, b: f64, c: f64) -> f64 {
        <Self as crate::fma::Fma>::fma64(a, b, c)
    }
}

impl Step for SoftFma {
    #[inline(always)]
    fn mul_add(a: f64, b: f64, c: f64) -> f64 {
        a * b + c
    }
}

/// Evaluates a polynomial, constant term first in the array, by Horner's scheme.
#[inline(always)]
pub(super) fn horner<S: Step, const N: usize>(x: f64, coefficients: &[f64; N]) -> f64 {
    let mut sum = coefficients[N - 1];
    for i in (0..N - 1).rev() {
        sum = S::mul_add(sum, x, coefficients[i]);
    }
    sum
}

/// Evaluates a long polynomial as two interleaved halves, which shortens the chain of steps.
#[inline(always)]
pub(super) fn two_chains<S: Step, const N: usize>(x: f64, coefficients: &[f64; N]) -> f64 {
    let square = x * x;
    let (mut high, mut low) = (coefficients[N - 1], coefficients[N - 2]);
    for i in (0..N - 2).rev().step_by(2) {
        high = S::mul_add(high, square, coefficients[i]);
        if i > 0 {
            low = S::mul_add(low, square, coefficients[i - 1]);
        }
    }
    // The chain that ends with the constant term stands alone, the other one is multiplied by x.
    if N % 2 == 1 {
        S::mul_add(low, x, high)
    } else {
        S::mul_add(high, x, low)
    }
}
