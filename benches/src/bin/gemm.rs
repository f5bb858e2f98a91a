//! Measures our matrix product against the `gemm` crate (candle's), one thread, f32.
//!
//! `cargo run --release -p assay-benches --bin gemm [avx2|avx512]`

use std::time::Duration;

use assay_benches::duel;
use assay_numerics::gemm::{Epilogue, Matrix, PackedB, Rhs, gemm};
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
}

fn measure(engine: &Engine, m: usize, k: usize, n: usize) {
    let fill = |len: usize| {
        (0..len)
            .map(|i| (i % 71) as f32 / 71.0 - 0.4)
            .collect::<Vec<_>>()
    };
    let (a, b) = (fill(m * k), fill(k * n));
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
