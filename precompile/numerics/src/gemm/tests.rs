//! Compares every instruction set, thread count and layout with a chain written as the rule says.

use super::*;
use crate::isa::Isa;

/// Generates numbers whose sums round differently in every other order.
pub(crate) fn numbers(seed: u32, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let scale = [1.0, 1e-3, 37.0, 1e4][(state >> 28) as usize % 4];
            (f64::from(state) / f64::from(u32::MAX) * 2.0 - 1.0) as f32 * scale
        })
        .collect()
}

fn oracle(a: Matrix<'_, f32>, b: Matrix<'_, f32>, e: &Epilogue<'_, f32>) -> Vec<u32> {
    let ([m, k], [_, n]) = (a.shape(), b.shape());
    let mut out = Vec::new();
    for i in 0..m {
        for j in 0..n {
            let mut sum = 0.0f32;
            for l in 0..k {
                let x = a.data[i * a.row_stride + l * a.column_stride];
                let y = b.data[l * b.row_stride + j * b.column_stride];
                sum = x.mul_add(y, sum);
            }
            if e.alpha != 1.0 {
                sum *= e.alpha;
            }
            sum += e.column_bias.map_or(0.0, |bias| bias[j]);
            sum += e.row_bias.map_or(0.0, |bias| bias[i]);
            if e.relu && sum <= 0.0 {
                sum = 0.0;
            }
            out.push(sum.canonical().to_bits());
        }
    }
    out
}

fn engines() -> Vec<Engine> {
    let mut engines: Vec<_> = Isa::available()
        .into_iter()
        .map(|isa| Engine::new(isa, 1))
        .collect();
    engines.extend([2, 3, 8].map(|threads| Engine::new(Isa::detect(), threads)));
    engines
}

fn product(
    engine: &Engine,
    a: Matrix<'_, f32>,
    b: Rhs<'_, f32>,
    e: &Epilogue<'_, f32>,
    n: usize,
) -> Vec<u32> {
    let mut out = vec![f32::MAX; a.rows * n];
    gemm(engine, a, b, e, &mut out, n);
    out.iter().map(|x| x.to_bits()).collect()
}

fn check(m: usize, k: usize, n: usize, engines: &[Engine]) {
    let a = numbers(1 + (m * 31 + k) as u32, m * k);
    let b = numbers(7 + (n * 17 + k) as u32, k * n);
    let (column, row) = (numbers(3, n), numbers(4, m));
    let plain = Epilogue::default();
    let full = Epilogue {
        alpha: 0.3,
        column_bias: Some(&column),
        row_bias: None,
        relu: true,
    };
    let by_row = Epilogue {
        row_bias: Some(&row),
        ..plain
    };
    let views = [
        (
            Matrix::row_major(&a, m, k),
            Matrix::row_major(&b, k, n),
            &plain,
        ),
        (
            Matrix::row_major(&a, k, m).transposed(),
            Matrix::row_major(&b, k, n),
            &full,
        ),
        (
            Matrix::row_major(&a, m, k),
            Matrix::row_major(&b, n, k).transposed(),
            &by_row,
        ),
    ];
    for (a, b, e) in views {
        let want = oracle(a, b, e);
        let packed = PackedB::new(b);
        for engine in engines {
            let name = engine.isa().name();
            let threads = engine.pool().threads();
            let got = product(engine, a, Rhs::Packed(&packed), e, n);
            assert!(got == want, "packed {m}x{k}x{n} {name} {threads} threads");
            let got = product(engine, a, Rhs::Plain(b), e, n);
            assert!(got == want, "plain {m}x{k}x{n} {name} {threads} threads");
        }
    }
}

#[test]
fn every_instruction_set_and_thread_count_follows_the_chain() {
    let engines = engines();
    for m in [1, 2, 3, 4, 5, 6, 7, 11, 13, 25] {
        for n in [1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 48, 63, 65, 130] {
            for k in [1, 2, 30] {
                check(m, k, n, &engines);
            }
        }
    }
}

#[test]
fn blocks_of_k_and_rows_change_nothing() {
    let engines = engines();
    for (m, k, n) in [
        (49, 300, 330),
        (61, 513, 353),
        (250, 257, 321),
        (7, 600, 70),
        (1, 700, 500),
        (101, 3000, 1),
    ] {
        check(m, k, n, &engines);
    }
}

#[test]
fn one_column_leaves_what_lies_between_its_rows() {
    let (m, k, stride) = (150, 2100, 3);
    let (a, b) = (numbers(1, m * k), numbers(2, k));
    let (a, b) = (Matrix::row_major(&a, m, k), Matrix::row_major(&b, k, 1));
    let want = oracle(a, b, &Epilogue::default());
    for engine in engines() {
        let mut out = vec![5.0f32; (m - 1) * stride + 1];
        gemm(
            &engine,
            a,
            Rhs::Plain(b),
            &Epilogue::default(),
            &mut out,
            stride,
        );
        for (i, x) in out.iter().enumerate() {
            let want = if i % stride == 0 {
                want[i / stride]
            } else {
                5.0f32.to_bits()
            };
            assert_eq!(x.to_bits(), want, "{i}");
        }
    }
}

#[test]
fn an_empty_chain_is_positive_zero_then_the_bias() {
    for engine in engines() {
        let bias = [1.5, -2.0, 0.0];
        let mut out = [f32::NAN; 6];
        let a = Matrix::row_major(&[], 2, 0);
        let b = Matrix::row_major(&[], 0, 3);
        gemm(&engine, a, Rhs::Plain(b), &Epilogue::default(), &mut out, 3);
        assert_eq!(out.map(f32::to_bits), [0; 6]);
        let e = Epilogue {
            column_bias: Some(&bias),
            ..Epilogue::default()
        };
        gemm(&engine, a, Rhs::Packed(&PackedB::new(b)), &e, &mut out, 3);
        assert_eq!(out, [1.5, -2.0, 0.0, 1.5, -2.0, 0.0]);
    }
}

#[test]
fn a_row_alone_equals_the_row_in_a_batch() {
    let (m, k, n) = (67, 411, 389);
    let (a, b) = (numbers(5, m * k), numbers(6, k * n));
    let packed = PackedB::new(Matrix::row_major(&b, k, n));
    let engine = Engine::new(Isa::detect(), 2);
    let e = Epilogue::default();
    let all = product(
        &engine,
        Matrix::row_major(&a, m, k),
        Rhs::Packed(&packed),
        &e,
        n,
    );
    for i in 0..m {
        let row = Matrix::row_major(&a[i * k..][..k], 1, k);
        assert_eq!(
            product(&engine, row, Rhs::Packed(&packed), &e, n),
            all[i * n..][..n]
        );
        let plain = Rhs::Plain(Matrix::row_major(&b, k, n));
        assert_eq!(product(&engine, row, plain, &e, n), all[i * n..][..n]);
    }
}

#[test]
fn outputs_hold_only_the_canonical_nan() {
    let payload = f32::from_bits(0xffc1_2345);
    let a = [payload, f32::INFINITY, 1.0, 0.0];
    let b = [0.0, 1.0, -1.0, f32::NEG_INFINITY];
    for engine in engines() {
        for relu in [false, true] {
            let e = Epilogue {
                relu,
                ..Epilogue::default()
            };
            let a = Matrix::row_major(&a, 2, 2);
            let b = Matrix::row_major(&b, 2, 2);
            let got = product(&engine, a, Rhs::Plain(b), &e, 2);
            assert_eq!(got, [0x7fc0_0000, 0x7fc0_0000, 0, 0x7fc0_0000]);
        }
    }
}

#[test]
fn doubles_follow_the_chain() {
    for (m, k, n) in [(1, 30, 64), (5, 7, 9), (13, 300, 37), (60, 270, 330)] {
        let a: Vec<f64> = numbers(8, m * k)
            .iter()
            .map(|x| f64::from(*x) / 3.0)
            .collect();
        let b: Vec<f64> = numbers(9, k * n)
            .iter()
            .map(|x| f64::from(*x) / 7.0)
            .collect();
        let mut want = Vec::new();
        for i in 0..m {
            for j in 0..n {
                let chain = (0..k).fold(0.0f64, |sum, l| a[i * k + l].mul_add(b[l * n + j], sum));
                want.push(chain.to_bits());
            }
        }
        for engine in engines() {
            let mut out = vec![0.0; m * n];
            let b = Matrix::row_major(&b, k, n);
            gemm(
                &engine,
                Matrix::row_major(&a, m, k),
                Rhs::Plain(b),
                &Epilogue::default(),
                &mut out,
                n,
            );
            assert!(
                out.iter().map(|x| x.to_bits()).eq(want.iter().copied()),
                "{m}x{k}x{n}"
            );
        }
    }
}

#[test]
fn batches_repeat_and_broadcast_by_offsets() {
    let (m, k, n) = (9, 33, 40);
    let (a, b) = (numbers(10, 4 * m * k), numbers(11, 2 * k * n));
    let offsets: Vec<[usize; 2]> = (0..4).map(|i| [i * m * k, i % 2 * k * n]).collect();
    for engine in engines() {
        let mut out = vec![0.0; 4 * m * n];
        let e = Epilogue::default();
        let (left, right) = (
            Strided {
                data: &a,
                strides: [k, 1],
            },
            Strided {
                data: &b,
                strides: [n, 1],
            },
        );
        gemm_batch(&engine, left, right, [m, k, n], &offsets, &e, &mut out);
        for (i, out) in out.chunks_exact(m * n).enumerate() {
            let a = Matrix::row_major(&a[offsets[i][0]..], m, k);
            let b = Matrix::row_major(&b[offsets[i][1]..], k, n);
            assert!(out.iter().map(|x| x.to_bits()).eq(oracle(a, b, &e)));
        }
    }
}

#[test]
fn integers_wrap() {
    for engine in engines() {
        let a = [i32::MAX, 2, 3, 4];
        let b = [2, 0, 1, 5, 0, 1];
        let mut out = [0; 6];
        let (left, right) = (
            Strided {
                data: &a,
                strides: [2, 1],
            },
            Strided {
                data: &b[..],
                strides: [3, 1],
            },
        );
        matmul_wrapping(&engine, left, right, [2, 2, 3], &[[0, 0]], &mut out);
        assert_eq!(out, [8, 0, i32::MIN + 1, 26, 0, 7]);
    }
}
