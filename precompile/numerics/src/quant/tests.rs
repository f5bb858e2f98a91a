//! Compares byte products with the sum as it is defined.

use super::*;
use crate::isa::Isa;

fn bytes(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // The extremes are frequent: they are what saturating instructions get wrong.
            [0, 127, 128, 255, (state >> 8) as u8, (state >> 16) as u8][(state >> 24) as usize % 6]
        })
        .collect()
}

fn engines() -> Vec<Engine> {
    let mut engines: Vec<_> = Isa::available()
        .into_iter()
        .map(|isa| Engine::new(isa, 1))
        .collect();
    engines.push(Engine::new(Isa::detect(), 1).without_vnni());
    engines.extend([2, 3, 8].map(|threads| Engine::new(Isa::detect(), threads)));
    engines
}

fn value(byte: u8, signed: bool) -> i32 {
    if signed {
        byte.cast_signed().into()
    } else {
        byte.into()
    }
}

fn check(m: usize, k: usize, n: usize, engines: &[Engine]) {
    let (a, b) = (bytes(3, m * k), bytes(5, k * n));
    let signed = |bytes: &[u8]| bytes.iter().map(|b| b.cast_signed()).collect::<Vec<_>>();
    let (a_signed, b_signed) = (signed(&a), signed(&b));
    for case in 0..8 {
        let (sa, sb, many) = (case & 1 != 0, case & 2 != 0, case & 4 != 0);
        let a_zero: Vec<i32> = (0..if many { m } else { 1 })
            .map(|i| 3 * i as i32 - 5)
            .collect();
        let b_zero: Vec<i32> = (0..if many { n } else { 1 })
            .map(|i| 7 * i as i32 + 11)
            .collect();
        let mut want = Vec::new();
        for i in 0..m {
            for j in 0..n {
                let za = a_zero[i % a_zero.len()];
                let zb = b_zero[j % b_zero.len()];
                want.push((0..k).fold(0i32, |sum, l| {
                    let x = value(a[i * k + l], sa).wrapping_sub(za);
                    let y = value(b[l * n + j], sb).wrapping_sub(zb);
                    sum.wrapping_add(x.wrapping_mul(y))
                }));
            }
        }
        let a = if sa {
            ByteMatrix::new(Bytes::Signed(&a_signed), [m, k], [k, 1])
        } else {
            ByteMatrix::new(Bytes::Unsigned(&a), [m, k], [k, 1])
        };
        let b = if sb {
            ByteMatrix::new(Bytes::Signed(&b_signed), [k, n], [n, 1])
        } else {
            ByteMatrix::new(Bytes::Unsigned(&b), [k, n], [n, 1])
        };
        let packed = PackedBytes::new(b);
        for engine in engines {
            let mut out = vec![-1; m * n];
            gemm_bytes(engine, a, &a_zero, &packed, &b_zero, &mut out);
            assert!(
                out == want,
                "{m}x{k}x{n} case {case} {}",
                engine.isa().name()
            );
        }
    }
}

#[test]
fn every_signedness_and_zero_point_gives_the_exact_sum() {
    let engines = engines();
    for m in [1, 2, 3, 11, 12, 13, 25] {
        for n in [1, 5, 16, 17, 32, 33, 70] {
            for k in [0, 1, 3, 4, 7, 64] {
                check(m, k, n, &engines);
            }
        }
    }
    check(130, 127, 129, &engines);
}

#[test]
fn transposed_left_sides_are_read_by_their_strides() {
    let a = bytes(9, 5 * 7);
    let mut plain = Vec::new();
    for i in 0..7 {
        for l in 0..5 {
            plain.push(a[l * 7 + i]);
        }
    }
    let b = bytes(10, 5 * 6);
    let packed = PackedBytes::new(ByteMatrix::new(Bytes::Unsigned(&b), [5, 6], [6, 1]));
    let engine = Engine::single();
    let (mut one, mut two) = ([0; 42], [0; 42]);
    let view = ByteMatrix::new(Bytes::Unsigned(&a), [7, 5], [1, 7]);
    gemm_bytes(&engine, view, &[2], &packed, &[3], &mut one);
    let view = ByteMatrix::new(Bytes::Unsigned(&plain), [7, 5], [5, 1]);
    gemm_bytes(&engine, view, &[2], &packed, &[3], &mut two);
    assert_eq!(one, two);
}

#[test]
fn byte_convolutions_take_padding_as_the_zero_point() {
    use crate::conv::ConvShape;
    let shape = ConvShape {
        groups: 2,
        group_channels: 3,
        input: vec![6, 7],
        kernel: vec![3, 2],
        strides: vec![2, 1],
        dilations: vec![1, 2],
        pads: vec![1, 1],
        output: vec![3, 7],
    };
    let rows = 5;
    let (x, w) = (bytes(3, 2 * 6 * 42), bytes(4, 2 * rows * 18));
    let w_zero: Vec<i32> = (0..2 * rows as i32).map(|i| i - 4).collect();
    let mut want = Vec::new();
    for image in x.chunks_exact(6 * 42) {
        for output in 0..2 * rows {
            for at in 0..21usize {
                let mut sum = 0;
                for k in 0..18usize {
                    let (c, kh, kw) = (k / 6, k / 2 % 3, k % 2);
                    let y = (at / 7 * 2 + kh).wrapping_sub(1);
                    let z = (at % 7 + 2 * kw).wrapping_sub(1);
                    let channel = output / rows * 3 + c;
                    let inside = y < 6 && z < 7;
                    let value = if inside {
                        i32::from(image[channel * 42 + y * 7 + z]) - 9
                    } else {
                        0
                    };
                    let weight = i32::from(w[output * 18 + k].cast_signed()) - w_zero[output];
                    sum += value * weight;
                }
                want.push(sum);
            }
        }
    }
    let signed: Vec<i8> = w.iter().map(|w| w.cast_signed()).collect();
    let packed: Vec<PackedBytes> = signed
        .chunks_exact(rows * 18)
        .map(|w| PackedBytes::new(ByteMatrix::new(Bytes::Signed(w), [18, rows], [1, 18])))
        .collect();
    for engine in engines() {
        let mut out = vec![-1; want.len()];
        conv_bytes(
            &engine,
            &shape,
            Bytes::Unsigned(&x),
            9,
            &packed,
            &w_zero,
            &mut vec![77; 3],
            &mut out,
        );
        assert!(out == want, "{}", engine.isa().name());
    }
}
