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
            let mut best = f64::INFINITY;
            for _ in 0..5000 {
                let start = Instant::now();
                slice(engine, &x, &mut y);
                best = best.min(start.elapsed().as_nanos() as f64 / N as f64);
            }
            print!(" {best:>9.2}");
        }
        println!();
    }
}
