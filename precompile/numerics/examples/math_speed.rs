//! Prints the time per element of every f32 function on every instruction set.
//!
//! cargo run --release -p assay-numerics --example math_speed
use std::time::Instant;

use assay_numerics::{Engine, Isa, math};

type Slice = fn(&Engine, &[f32], &mut [f32]);

const FUNCTIONS: &[(&str, f32, f32, Slice)] = &[
    ("exp", -20.0, 20.0, math::exp_f32),
    ("expm1", -20.0, 20.0, math::expm1_f32),
    ("ln", 0.001, 1000.0, math::ln_f32),
    ("log1p", -0.9, 1000.0, math::log1p_f32),
    ("sin", -100.0, 100.0, math::sin_f32),
    ("cos", -100.0, 100.0, math::cos_f32),
    ("tan", -100.0, 100.0, math::tan_f32),
    ("asin", -1.0, 1.0, math::asin_f32),
    ("acos", -1.0, 1.0, math::acos_f32),
    ("atan", -10.0, 10.0, math::atan_f32),
    ("sinh", -10.0, 10.0, math::sinh_f32),
    ("cosh", -10.0, 10.0, math::cosh_f32),
    ("tanh", -8.0, 8.0, math::tanh_f32),
    ("asinh", -10.0, 10.0, math::asinh_f32),
    ("acosh", 1.0, 10.0, math::acosh_f32),
    ("atanh", -1.0, 1.0, math::atanh_f32),
    ("erf", -4.0, 4.0, math::erf_f32),
    ("sigmoid", -8.0, 8.0, math::sigmoid_f32),
    ("swish", -8.0, 8.0, |e, x, y| math::swish_f32(e, 1.0, x, y)),
    ("gelu_erf", -8.0, 8.0, math::gelu_erf_f32),
    ("gelu_tanh", -8.0, 8.0, math::gelu_tanh_f32),
    ("softplus", -8.0, 8.0, math::softplus_f32),
    ("mish", -8.0, 8.0, math::mish_f32),
    ("elu", -8.0, 8.0, |e, x, y| math::elu_f32(e, 1.0, x, y)),
    ("pow 2", -8.0, 8.0, |e, x, y| {
        math::pow_scalar_f32(e, x, 2.0, y)
    }),
    ("pow 3", -8.0, 8.0, |e, x, y| {
        math::pow_scalar_f32(e, x, 3.0, y)
    }),
    ("pow 1.7", 0.01, 8.0, |e, x, y| {
        math::pow_scalar_f32(e, x, 1.7, y)
    }),
    ("sin huge", 1e6, 1e7, math::sin_f32),
];

type Double = (&'static str, f64, f64, fn(f64) -> f64);

const DOUBLES: &[Double] = &[
    ("exp", -20.0, 20.0, math::double::exp),
    ("ln", 0.001, 1000.0, math::double::ln),
    ("sin", -100.0, 100.0, math::double::sin),
    ("atan", -10.0, 10.0, math::double::atan),
    ("tanh", -8.0, 8.0, math::double::tanh),
    ("erf", -4.0, 4.0, math::double::erf),
    ("pow 1.7", 0.001, 100.0, |x| math::double::pow(x, 1.7)),
];

fn main() {
    const N: usize = 4096;
    let engines: Vec<Engine> = Isa::available()
        .into_iter()
        .map(|isa| Engine::new(isa, 1))
        .collect();
    print!("ns/element");
    for engine in &engines {
        print!(" {:>9}", engine.isa().name());
    }
    println!();
    for &(name, low, high, slice) in FUNCTIONS {
        let x: Vec<f32> = (0..N)
            .map(|i| low + (high - low) * ((i * 2_654_435_761) % N) as f32 / N as f32)
            .collect();
        let mut y = vec![0f32; N];
        print!("{name:>10}");
        for engine in &engines {
            let mut best = u128::MAX;
            for _ in 0..5000 {
                let start = Instant::now();
                slice(engine, &x, &mut y);
                best = best.min(start.elapsed().as_nanos());
            }
            print!(" {:>9.2}", best as f64 / N as f64);
        }
        println!();
    }
    println!("f64, any instruction set");
    for &(name, low, high, function) in DOUBLES {
        let x: Vec<f64> = (0..64)
            .map(|i| low + (high - low) * ((i * 37 + 5) % 64) as f64 / 64.0)
            .collect();
        let mut best = u128::MAX;
        for _ in 0..200 {
            let start = Instant::now();
            for &x in &x {
                std::hint::black_box(function(x));
            }
            best = best.min(start.elapsed().as_nanos());
        }
        println!("{name:>10} {:>9.0}", best as f64 / 64.0);
    }
}
