//! Measures our correctly rounded functions against the platform's mathematical library (through
//! Rust's std), which rounds as it likes: one thread, nanoseconds per number.
//!
//! `cargo run --profile bench -p assay-benches --bin math [avx2|avx512]`
#![allow(clippy::disallowed_methods)] // The rival is what kernels must not call.

use std::hint::black_box;
use std::time::Duration;

use assay_benches::duel;
use assay_numerics::{Engine, Isa, math};

/// Is how many numbers one call computes.
const NUMBERS: usize = 4096;

/// Is how long one function is measured.
const TIME: Duration = Duration::from_millis(120);

/// Names a function, its range, ours over slices and the rival's for one number.
type Single = (
    &'static str,
    [f32; 2],
    fn(&Engine, &[f32], &mut [f32]),
    fn(f32) -> f32,
);

const SINGLES: &[Single] = &[
    ("exp", [-20.0, 20.0], math::exp_f32, f32::exp),
    ("expm1", [-20.0, 20.0], math::expm1_f32, f32::exp_m1),
    ("ln", [0.001, 1000.0], math::ln_f32, f32::ln),
    ("log1p", [-0.9, 1000.0], math::log1p_f32, f32::ln_1p),
    ("sin", [-100.0, 100.0], math::sin_f32, f32::sin),
    ("cos", [-100.0, 100.0], math::cos_f32, f32::cos),
    ("tan", [-100.0, 100.0], math::tan_f32, f32::tan),
    ("asin", [-1.0, 1.0], math::asin_f32, f32::asin),
    ("acos", [-1.0, 1.0], math::acos_f32, f32::acos),
    ("atan", [-10.0, 10.0], math::atan_f32, f32::atan),
    ("sinh", [-10.0, 10.0], math::sinh_f32, f32::sinh),
    ("cosh", [-10.0, 10.0], math::cosh_f32, f32::cosh),
    ("tanh", [-8.0, 8.0], math::tanh_f32, f32::tanh),
    ("asinh", [-10.0, 10.0], math::asinh_f32, f32::asinh),
    ("acosh", [1.0, 10.0], math::acosh_f32, f32::acosh),
    ("atanh", [-1.0, 1.0], math::atanh_f32, f32::atanh),
    ("sigmoid", [-8.0, 8.0], math::sigmoid_f32, |x| {
        1.0 / (1.0 + (-x).exp())
    }),
    ("gelu (tanh)", [-8.0, 8.0], math::gelu_tanh_f32, |x| {
        0.5 * x * (1.0 + (0.797_884_6 * (x + 0.044_715 * x * x * x)).tanh())
    }),
    ("softplus", [-8.0, 8.0], math::softplus_f32, |x| {
        x.exp().ln_1p()
    }),
    (
        "pow 1.7",
        [0.01, 8.0],
        |e, x, y| math::pow_scalar_f32(e, x, 1.7, y),
        |x| x.powf(1.7),
    ),
];

/// Names a function of doubles, its range, ours and the rival's.
type Double = (&'static str, [f64; 2], fn(f64) -> f64, fn(f64) -> f64);

const DOUBLES: &[Double] = &[
    ("exp", [-20.0, 20.0], math::double::exp, f64::exp),
    ("ln", [0.001, 1000.0], math::double::ln, f64::ln),
    ("sin", [-100.0, 100.0], math::double::sin, f64::sin),
    ("atan", [-10.0, 10.0], math::double::atan, f64::atan),
    ("tanh", [-8.0, 8.0], math::double::tanh, f64::tanh),
    (
        "pow 1.7",
        [0.001, 100.0],
        |x| math::double::pow(x, 1.7),
        |x| x.powf(1.7),
    ),
];

fn main() {
    let wanted = std::env::args().nth(1);
    let isa = Isa::available()
        .into_iter()
        .find(|isa| Some(isa.name()) == wanted.as_deref())
        .unwrap_or_else(Isa::detect);
    let engine = Engine::new(isa, 1);
    println!(
        "{:>16} {:>10} {:>10} {:>8}",
        "f32", "ours ns", "std ns", "ratio"
    );
    for &(name, range, ours, rival) in SINGLES {
        let x: Vec<f32> = (0..NUMBERS)
            .map(|i| range[0] + (range[1] - range[0]) * place(i) as f32)
            .collect();
        let (mut y, mut z) = (vec![0.0; NUMBERS], vec![0.0; NUMBERS]);
        let times = duel(
            || ours(&engine, black_box(&x), &mut y),
            || {
                for (z, x) in z.iter_mut().zip(black_box(&x)) {
                    *z = rival(*x);
                }
            },
            TIME,
        );
        line(name, times);
    }
    println!(
        "{:>16} {:>10} {:>10} {:>8}",
        "f64", "ours ns", "std ns", "ratio"
    );
    for &(name, range, ours, rival) in DOUBLES {
        let x: Vec<f64> = (0..NUMBERS)
            .map(|i| range[0] + (range[1] - range[0]) * place(i))
            .collect();
        let each = |f: fn(f64) -> f64| {
            for x in &x {
                black_box(f(black_box(*x)));
            }
        };
        line(name, duel(|| each(ours), || each(rival), TIME));
    }
}

/// Scatters the numbers of a range: neighbours in a slice are far apart.
fn place(i: usize) -> f64 {
    (i * 2_654_435_761 % NUMBERS) as f64 / NUMBERS as f64
}

fn line(name: &str, [ours, rival]: [Duration; 2]) {
    let each = |time: Duration| time.as_secs_f64() * 1e9 / NUMBERS as f64;
    let ratio = each(rival) / each(ours);
    println!(
        "{name:>16} {:>10.2} {:>10.2} {ratio:>8.2}",
        each(ours),
        each(rival)
    );
}
