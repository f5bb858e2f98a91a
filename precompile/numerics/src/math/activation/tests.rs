//! Checks the block kernels against the rules, stated for one number.

use super::super::{erf, exp, ln, log1p, tanh};
use super::*;

type Kernel32 = fn(&Engine, &[f32], &mut [f32]);
type InPlace32 = fn(&Engine, &mut [f32]);
type Rule = fn(f32) -> f32;

fn softplus(x: f32) -> f32 {
    let l = log1p(exp(-x.abs()));
    if x < 0.0 { l } else { x + l }
}

fn gelu_tanh(x: f32) -> f32 {
    let inner = ROOT_TWO_OVER_PI * (x + CUBE_FACTOR * (x * x * x));
    (0.5 * x) * (1.0 + tanh(inner))
}

const ALPHA: f32 = 1.702;
const GAMMA: f32 = 1.050_701;

/// Lists the activations: name, rule, slice form, in-place form.
const ACTIVATIONS: &[(&str, Rule, Kernel32, InPlace32)] = &[
    ("sigmoid", sigmoid, sigmoid_f32, sigmoid_in_place_f32),
    (
        "swish",
        |x| x * sigmoid(ALPHA * x),
        |e, x, y| swish_f32(e, ALPHA, x, y),
        |e, x| swish_in_place_f32(e, ALPHA, x),
    ),
    (
        "gelu_erf",
        |x| (0.5 * x) * (1.0 + erf(x / ROOT_TWO)),
        gelu_erf_f32,
        gelu_erf_in_place_f32,
    ),
    (
        "gelu_tanh",
        gelu_tanh,
        gelu_tanh_f32,
        gelu_tanh_in_place_f32,
    ),
    ("softplus", softplus, softplus_f32, softplus_in_place_f32),
    (
        "mish",
        |x| x * tanh(softplus(x)),
        mish_f32,
        mish_in_place_f32,
    ),
    (
        "elu",
        |x| if x < 0.0 { ALPHA * (exp(x) - 1.0) } else { x },
        |e, x, y| elu_f32(e, ALPHA, x, y),
        |e, x| elu_in_place_f32(e, ALPHA, x),
    ),
    (
        "selu",
        |x| GAMMA * if x < 0.0 { ALPHA * exp(x) - ALPHA } else { x },
        |e, x, y| selu_f32(e, ALPHA, GAMMA, x, y),
        |e, x| selu_in_place_f32(e, ALPHA, GAMMA, x),
    ),
    (
        "celu",
        |x| {
            if x < 0.0 {
                ALPHA * (exp(x / ALPHA) - 1.0)
            } else {
                x
            }
        },
        |e, x, y| celu_f32(e, ALPHA, x, y),
        |e, x| celu_in_place_f32(e, ALPHA, x),
    ),
    (
        "logit",
        |x| ln(x / (1.0 - x)),
        logit_f32,
        logit_in_place_f32,
    ),
];

fn samples() -> Vec<f32> {
    let spread = (0..=u32::MAX).step_by(60_013).map(f32::from_bits);
    let near = (0..10_001).map(|i| (i as f32 - 5_000.0) * 0.004);
    spread.chain(near).collect()
}

#[test]
fn kernels_follow_their_rules_on_every_instruction_set() {
    let x = samples();
    for &(name, rule, slice, in_place) in ACTIVATIONS {
        let want: Vec<u32> = x
            .iter()
            .map(|&x| canonical_f32(rule(x)).to_bits())
            .collect();
        for isa in crate::Isa::available() {
            let engine = Engine::new(isa, 1);
            let mut y = vec![0.0; x.len()];
            slice(&engine, &x, &mut y);
            let mut z = x.clone();
            in_place(&engine, &mut z);
            for i in 0..x.len() {
                assert_eq!(y[i].to_bits(), want[i], "{name}({}) {}", x[i], isa.name());
                assert_eq!(z[i].to_bits(), want[i], "{name}({}) in place", x[i]);
            }
        }
    }
}

#[test]
fn activations_reach_their_limits_without_overflow() {
    assert_eq!(sigmoid(200.0), 1.0);
    assert_eq!(sigmoid(-200.0).to_bits(), 0);
    assert_eq!(sigmoid(0.0), 0.5);
    assert_eq!(softplus(200.0), 200.0);
    assert_eq!(softplus(-200.0).to_bits(), 0);
}
