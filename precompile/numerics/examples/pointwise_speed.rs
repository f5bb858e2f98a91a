//! Times pointwise kernels on one thread: cargo run --release -p assay-numerics --example
//! pointwise_speed prints nanoseconds per element for each instruction set of this machine.

use std::time::Instant;

use assay_numerics::broadcast::Broadcast;
use assay_numerics::elementwise::{Activation, Arith, activate, arith};
use assay_numerics::math::gelu_erf_f32;
use assay_numerics::norm::{Affine, Centre, normalise};
use assay_numerics::pooling::{Pooling, Window, pool};
use assay_numerics::reduce::{ReduceLayout, Reduction, reduce};
use assay_numerics::softmax::{Softmax, softmax_f32};
use assay_numerics::{Engine, Isa};

/// Bounds the time of one measurement.
const RUNS: usize = 200;

/// Runs a kernel and prints its fastest time per element.
fn time(name: &str, elements: usize, mut run: impl FnMut()) {
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let start = Instant::now();
        run();
        let seconds = start.elapsed().as_secs_f64();
        best = if seconds < best { seconds } else { best };
    }
    println!(
        "  {name:<28} {:>8.3} ns/element",
        best * 1e9 / elements as f64
    );
}

fn main() {
    for isa in Isa::available() {
        println!("{}", isa.name());
        let engine = Engine::new(isa, 1);
        let (rows, row) = (32, 1024);
        let x: Vec<f32> = (0..rows * row)
            .map(|i| ((i * 37 % 1001) as f32) / 100.0 - 5.0)
            .collect();
        let mut y = vec![0.0; x.len()];
        time("softmax 32x1024", x.len(), || {
            softmax_f32(&engine, Softmax::Plain, row, 1, &x, &mut y);
        });
        time("gelu (erf)", x.len(), || gelu_erf_f32(&engine, &x, &mut y));
        time("relu", x.len(), || {
            activate(&engine, Activation::Relu, &x, &mut y)
        });
        let plan = Broadcast::new(&[rows, row], [&[rows, row], &[row]]);
        time("add row broadcast", x.len(), || {
            arith(&engine, Arith::Add, &plan, &x, &x[..row], &mut y)
                .expect("invariant: floats add without error");
        });
        let (scale, shift) = (vec![1.5; 384], vec![0.5; 384]);
        let affine = Affine::Elements {
            scale: &scale,
            shift: Some(&shift),
        };
        let mut statistics = vec![[0.0; 2]; 64];
        time("layer norm 64x384", 64 * 384, || {
            let (x, y) = (&x[..64 * 384], &mut y[..64 * 384]);
            normalise(
                &engine,
                Centre::Mean,
                affine,
                1e-5,
                384,
                x,
                y,
                &mut statistics,
            );
        });
        let inner = ReduceLayout::rows(rows, row);
        time("sum, inner axis", x.len(), || {
            reduce(&engine, Reduction::Sum, &inner, &x, &mut y[..rows]);
        });
        let outer = ReduceLayout::new(&[rows, row], &[true, false]);
        time("sum, outer axis", x.len(), || {
            reduce(&engine, Reduction::Sum, &outer, &x, &mut y[..row]);
        });
        let axis = Window {
            input: 112,
            output: 56,
            kernel: 3,
            stride: 2,
            dilation: 1,
            pad_begin: 1,
            pad_end: 1,
        };
        let image: Vec<f32> = (0..64 * 112 * 112).map(|i| (i % 977) as f32).collect();
        let mut pooled = vec![0.0; 64 * 56 * 56];
        time("max pool 3x3/2, 64x112x112", image.len(), || {
            pool(&engine, Pooling::Max, &[axis, axis], &image, &mut pooled);
        });
    }
}
