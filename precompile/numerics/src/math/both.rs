//! One face over the f32 and f64 functions, for kernels that are generic over the width.

use super::{double, exp_in_place_f32, ln_in_place_f32, pow_f64, pow_scalar_f32};
use crate::engine::Engine;
use crate::norm::FloatNumber;

/// Is f32 or f64 with the transcendental functions that other kernels need.
pub trait Transcendental: FloatNumber {
    /// Replaces every element by e^x, correctly rounded.
    fn exp_in_place(engine: &Engine, x: &mut [Self]);
    /// Replaces every element by its natural logarithm, correctly rounded.
    fn ln_in_place(engine: &Engine, x: &mut [Self]);
    /// Raises every element to one power, correctly rounded.
    fn power_in_place(engine: &Engine, x: &mut [Self], exponent: Self);
}

impl Transcendental for f32 {
    fn exp_in_place(engine: &Engine, x: &mut [f32]) {
        exp_in_place_f32(engine, x);
    }
    fn ln_in_place(engine: &Engine, x: &mut [f32]) {
        ln_in_place_f32(engine, x);
    }
    fn power_in_place(engine: &Engine, x: &mut [f32], exponent: f32) {
        let base = x.to_vec();
        pow_scalar_f32(engine, &base, exponent, x);
    }
}

impl Transcendental for f64 {
    fn exp_in_place(engine: &Engine, x: &mut [f64]) {
        let argument = x.to_vec();
        double::exp_f64(engine, &argument, x);
    }
    fn ln_in_place(engine: &Engine, x: &mut [f64]) {
        let argument = x.to_vec();
        double::ln_f64(engine, &argument, x);
    }
    fn power_in_place(engine: &Engine, x: &mut [f64], exponent: f64) {
        let base = x.to_vec();
        pow_f64(engine, &base, &vec![exponent; base.len()], x);
    }
}
