//! Checks of what is computed number by number: transcendentals, activations, arithmetic.

use super::super::seed::{Digest, Seed};
use crate::broadcast::Broadcast;
use crate::elementwise::{Arith, arith};
use crate::engine::Engine;
use crate::math;
use crate::math::double;

pub(super) fn transcendentals(engine: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(9), Digest::new());
    let mut x = seed.patterns(4096);
    x.extend(seed.f32s(4096));
    x.extend(seed.f32s(4096).iter().map(|v| v * 100.0));
    let mut out = vec![0.0; x.len()];
    type Slice = fn(&Engine, &[f32], &mut [f32]);
    let functions: [Slice; 17] = [
        math::exp_f32,
        math::expm1_f32,
        math::ln_f32,
        math::log1p_f32,
        math::sin_f32,
        math::cos_f32,
        math::tan_f32,
        math::asin_f32,
        math::acos_f32,
        math::atan_f32,
        math::sinh_f32,
        math::cosh_f32,
        math::tanh_f32,
        math::asinh_f32,
        math::acosh_f32,
        math::atanh_f32,
        math::erf_f32,
    ];
    for function in functions {
        function(engine, &x, &mut out);
        digest.add_f32(&out);
    }
    let y = seed.patterns(x.len());
    math::pow_f32(engine, &x, &y, &mut out);
    digest.add_f32(&out);
    let y = seed.f32s(x.len());
    math::pow_f32(engine, &x, &y, &mut out);
    digest.add_f32(&out);
    digest.value()
}

pub(super) fn activations(engine: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(10), Digest::new());
    let mut x: Vec<f32> = seed.f32s(4096).iter().map(|v| v * 20.0).collect();
    x.extend(seed.patterns(1024));
    let mut out = vec![0.0; x.len()];
    type Slice = fn(&Engine, &[f32], &mut [f32]);
    let functions: [Slice; 5] = [
        math::sigmoid_f32,
        math::gelu_erf_f32,
        math::gelu_tanh_f32,
        math::softplus_f32,
        math::mish_f32,
    ];
    for function in functions {
        function(engine, &x, &mut out);
        digest.add_f32(&out);
    }
    digest.value()
}

pub(super) fn transcendentals_f64(_: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(11), Digest::new());
    for x in seed.f64s(64) {
        let x = x * 30.0;
        digest.add_f64(&[
            double::exp(x),
            double::ln(x),
            double::tanh(x),
            double::sin(x),
        ]);
    }
    digest.value()
}

pub(super) fn elementwise(engine: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(12), Digest::new());
    let (a, b) = (seed.patterns(8 * 50), seed.patterns(50));
    let plan = Broadcast::new(&[8, 50], [&[8, 50], &[50]]);
    let mut out = vec![0.0; a.len()];
    for op in [
        Arith::Add,
        Arith::Sub,
        Arith::Mul,
        Arith::Div,
        Arith::Max,
        Arith::Min,
    ] {
        if arith(engine, op, &plan, &a, &b, &mut out).is_ok() {
            digest.add_f32(&out);
        }
    }
    digest.value()
}
