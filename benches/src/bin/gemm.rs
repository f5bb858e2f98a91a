//! Measures our matrix product against the `gemm` crate (candle's), one thread, f32, our byte products
//! against our own f32, and our convolutions against the product that the `gemm` crate would compute
//! for them, its inputs gathered already.
//!
//! `cargo run --profile bench -p assay-benches --bin gemm [avx2|avx512]`

use std::time::Duration;

use assay_benches::duel;
use assay_numerics::conv::{ConvShape, ConvWeights, conv};
use assay_numerics::gemm::{Epilogue, Matrix, PackedB, Rhs, gemm};
use assay_numerics::quant::{ByteMatrix, PackedBytes, gemm_bytes};
use assay_numerics::{Engine, Isa};

fn main() {
    let wanted = std::env::args().nth(1);
    let isa = Isa::available()
        .into_iter()
        .find(|isa| Some(isa.name()) == wanted.as_deref())
        .unwrap_or_else(Isa::detect);
    let engine = Engine::new(isa, 1);
    println!(
        "{:>16} {:>12} {:>12} {:>8} {:>8}",
        "m x k x n", "ours", "gemm", "ratio", "GFLOP/s"
    );
    let cubes = [16, 32, 64, 128, 256, 384, 512, 768, 1024, 2048].map(|n| [n, n, n]);
    let others = [
        [1, 30, 64],
        [1, 64, 64],
        [1, 64, 1],
        [1, 512, 512],
        [1, 2048, 2048],
        [4, 768, 768],
        [8, 384, 1536],
        [32, 384, 384],
        [32, 384, 1536],
        [32, 1536, 384],
        [128, 64, 128],
        [128, 128, 64],
        [64, 576, 3136],
        [512, 4608, 49],
    ];
    for [m, k, n] in cubes.into_iter().chain(others) {
        measure(&engine, m, k, n);
    }
    println!(
        "\n{:>16} {:>12} {:>12} {:>8} {:>8}",
        "m x k x n", "int8", "f32", "ratio", "GOP/s"
    );
    for [m, k, n] in [[1, 1024, 1024], [32, 384, 1536], [256; 3], [1024; 3]] {
        measure_bytes(&engine, m, k, n);
    }
    println!(
        "\n{:>16} {:>12} {:>12} {:>8} {:>8}",
        "convolution", "ours", "gemm", "ratio", "GFLOP/s"
    );
    // Channels in and out, the output's side, kernel, stride.
    for layer in [
        [3, 64, 112, 7, 2],
        [64, 64, 56, 3, 1],
        [64, 128, 28, 3, 2],
        [128, 128, 28, 3, 1],
        [64, 128, 28, 1, 2],
        [256, 256, 14, 3, 1],
        [512, 512, 7, 3, 1],
    ] {
        measure_convolution(&engine, layer);
    }
}

fn measure(engine: &Engine, m: usize, k: usize, n: usize) {
    let (a, b) = (numbers(m * k), numbers(k * n));
    let (mut c, mut d) = (vec![0.0f32; m * n], vec![0.0f32; m * n]);
    let packed = PackedB::new(Matrix::row_major(&b, k, n));
    let epilogue = Epilogue::default();
    let [ours, rival] = duel(
        || {
            let a = Matrix::row_major(&a, m, k);
            gemm(engine, a, Rhs::Packed(&packed), &epilogue, &mut c, n);
        },
        || rival_gemm(m, k, n, &a, &b, &mut d),
        Duration::from_millis(400),
    );
    let flops = 2.0 * (m * k * n) as f64 / ours.as_nanos().max(1) as f64;
    let ratio = rival.as_secs_f64() / ours.as_secs_f64();
    let shape = format!("{m}x{k}x{n}");
    println!("{shape:>16} {ours:>12.3?} {rival:>12.3?} {ratio:>8.2} {flops:>8.1}");
}

/// Multiplies unsigned by signed bytes, with zero points, and the same shape in f32.
fn measure_bytes(engine: &Engine, m: usize, k: usize, n: usize) {
    let a: Vec<u8> = (0..m * k).map(|i| (i * 37 % 251) as u8).collect();
    let b: Vec<i8> = (0..k * n).map(|i| (i * 91 % 253) as u8 as i8).collect();
    let packed_bytes = PackedBytes::new(ByteMatrix::signed(&b, [k, n], [n, 1]));
    let (x, y) = (numbers(m * k), numbers(k * n));
    let packed = PackedB::new(Matrix::row_major(&y, k, n));
    let (mut sums, mut products) = (vec![0i32; m * n], vec![0.0f32; m * n]);
    let [bytes, floats] = duel(
        || {
            let a = ByteMatrix::unsigned(&a, [m, k], [k, 1]);
            gemm_bytes(engine, a, &[131], &packed_bytes, &[-7], &mut sums);
        },
        || {
            let x = Matrix::row_major(&x, m, k);
            let y = Rhs::Packed(&packed);
            gemm(engine, x, y, &Epilogue::default(), &mut products, n);
        },
        Duration::from_millis(400),
    );
    let rate = 2.0 * (m * k * n) as f64 / bytes.as_nanos().max(1) as f64;
    let ratio = floats.as_secs_f64() / bytes.as_secs_f64();
    let shape = format!("{m}x{k}x{n}");
    println!("{shape:>16} {bytes:>12.3?} {floats:>12.3?} {ratio:>8.2} {rate:>8.1}");
}

/// Convolves a padded square image.
fn measure_convolution(engine: &Engine, [inputs, outputs, side, kernel, stride]: [usize; 5]) {
    let input = side * stride;
    let shape = ConvShape {
        groups: 1,
        group_channels: inputs,
        input: vec![input; 2],
        kernel: vec![kernel; 2],
        strides: vec![stride; 2],
        dilations: vec![1; 2],
        pads: vec![kernel / 2; 2],
        output: vec![side; 2],
    };
    let (m, k, n) = (outputs, inputs * kernel * kernel, side * side);
    let (x, w) = (numbers(inputs * input * input), numbers(m * k));
    let weights = ConvWeights::new(&w, 1, outputs, k);
    let gathered = numbers(k * n);
    let (mut c, mut d) = (vec![0.0f32; m * n], vec![0.0f32; m * n]);
    let mut room = Vec::new();
    let [ours, rival] = duel(
        || conv(engine, &shape, &x, &weights, None, false, &mut room, &mut c),
        || rival_gemm(m, k, n, &w, &gathered, &mut d),
        Duration::from_millis(400),
    );
    let flops = 2.0 * (m * k * n) as f64 / ours.as_nanos().max(1) as f64;
    let ratio = rival.as_secs_f64() / ours.as_secs_f64();
    let name = format!("{inputs}>{outputs} {side} {kernel}/{stride}");
    println!("{name:>16} {ours:>12.3?} {rival:>12.3?} {ratio:>8.2} {flops:>8.1}");
}

/// Makes numbers of both signs.
fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i % 71) as f32 / 71.0 - 0.4).collect()
}

#[allow(unsafe_code)]
fn rival_gemm(m: usize, k: usize, n: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    assert!(a.len() == m * k && b.len() == k * n && c.len() == m * n);
    // SAFETY: the strides describe row-major matrices that fill the slices, as just checked.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            n as isize,
            false,
            a.as_ptr(),
            1,
            k as isize,
            b.as_ptr(),
            1,
            n as isize,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
