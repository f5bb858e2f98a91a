//! Checks of matrix products, convolutions and quantised numbers.

use super::super::seed::{Digest, Seed};
use crate::conv::{ConvShape, ConvWeights, TransposeShape, TransposeWeights, conv, conv_transpose};
use crate::engine::Engine;
use crate::gemm::{Epilogue, Matrix, PackedB, Real, Rhs, gemm};
use crate::quant::{ByteMatrix, PackedBytes, Range, dequantize, gemm_bytes, quantize};

/// Sizes that reach every tile, tail and single-row path, and more work than one thread takes.
const PRODUCTS: [[usize; 3]; 8] = [
    [1, 30, 64],
    [1, 1, 1],
    [3, 0, 5],
    [7, 129, 33],
    [16, 64, 48],
    [65, 70, 97],
    [1, 600, 700],
    [96, 96, 96],
];

fn product<T: Real>(
    engine: &Engine,
    [m, k, n]: [usize; 3],
    a: &[T],
    b: &[T],
    bias: &[T],
    mut each: impl FnMut(&[T]),
) {
    let mut out = vec![T::ZERO; m * n];
    let packed = PackedB::new(Matrix::row_major(b, k, n));
    let plain = Rhs::Plain(Matrix::row_major(b, k, n));
    let finish = Epilogue {
        column_bias: Some(bias),
        relu: true,
        ..Epilogue::default()
    };
    gemm(
        engine,
        Matrix::row_major(a, m, k),
        Rhs::Packed(&packed),
        &finish,
        &mut out,
        n,
    );
    each(&out);
    gemm(
        engine,
        Matrix::row_major(a, m, k),
        plain,
        &Epilogue::default(),
        &mut out,
        n,
    );
    each(&out);
}

pub(super) fn gemm_f32(engine: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(1), Digest::new());
    for [m, k, n] in PRODUCTS {
        let (a, b, bias) = (seed.f32s(m * k), seed.f32s(k * n), seed.f32s(n));
        product(engine, [m, k, n], &a, &b, &bias, |out| digest.add_f32(out));
    }
    digest.value()
}

pub(super) fn gemm_f64(engine: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(2), Digest::new());
    for [m, k, n] in PRODUCTS {
        let (a, b, bias) = (seed.f64s(m * k), seed.f64s(k * n), seed.f64s(n));
        product(engine, [m, k, n], &a, &b, &bias, |out| digest.add_f64(out));
    }
    digest.value()
}

pub(super) fn convolve(engine: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(3), Digest::new());
    // groups, channels of a group, outputs of a group, input, kernel, stride, dilation, pad
    for [
        groups,
        channels,
        outputs,
        input,
        kernel,
        stride,
        dilation,
        pad,
    ] in [
        [1, 3, 16, 15, 3, 1, 1, 1],
        [1, 8, 20, 14, 3, 2, 1, 1],
        [4, 2, 3, 9, 3, 1, 2, 2],
        [6, 1, 1, 11, 5, 1, 1, 2],
        [1, 16, 32, 7, 1, 1, 1, 0],
    ] {
        let output = (input + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1;
        let shape = ConvShape {
            groups,
            group_channels: channels,
            input: vec![input; 2],
            kernel: vec![kernel; 2],
            strides: vec![stride; 2],
            dilations: vec![dilation; 2],
            pads: vec![pad; 2],
            output: vec![output; 2],
        };
        let depth = channels * kernel * kernel;
        let weights = seed.f32s(groups * outputs * depth);
        let weights = ConvWeights::new(&weights, groups, outputs, depth);
        let x = seed.f32s(2 * groups * channels * input * input);
        let bias = seed.f32s(groups * outputs);
        let mut out = vec![0.0; 2 * groups * outputs * output * output];
        let room = &mut Vec::new();
        conv(
            engine,
            &shape,
            &x,
            &weights,
            Some(&bias),
            false,
            room,
            &mut out,
        );
        digest.add_f32(&out);
    }
    digest.value()
}

pub(super) fn convolve_transposed(engine: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(4), Digest::new());
    for [groups, channels, outputs, input, kernel, stride, pad] in
        [[1, 4, 6, 5, 3, 2, 1], [2, 2, 3, 4, 4, 3, 0]]
    {
        let output = stride * (input - 1) + kernel - 2 * pad;
        let shape = TransposeShape {
            groups,
            group_channels: channels,
            group_outputs: outputs,
            input: vec![input; 2],
            kernel: vec![kernel; 2],
            strides: vec![stride; 2],
            dilations: vec![1; 2],
            pads: vec![pad; 2],
            output: vec![output; 2],
        };
        let weights = seed.f32s(groups * channels * outputs * kernel * kernel);
        let weights = TransposeWeights::new(&shape, &weights);
        let x = seed.f32s(groups * channels * input * input);
        let mut out = vec![0.0; groups * outputs * output * output];
        conv_transpose(
            engine,
            &shape,
            &x,
            &weights,
            None,
            &mut Vec::new(),
            &mut out,
        );
        digest.add_f32(&out);
    }
    digest.value()
}

pub(super) fn gemm_int8(engine: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(15), Digest::new());
    for [m, k, n] in PRODUCTS {
        let (a, b) = (seed.bytes(m * k), seed.bytes(k * n));
        let signed: Vec<i8> = b.iter().map(|byte| byte.cast_signed()).collect();
        let mut out = vec![0; m * n];
        let left = ByteMatrix::unsigned(&a, [m, k], [k, 1]);
        for right in [
            PackedBytes::new(ByteMatrix::unsigned(&b, [k, n], [n, 1])),
            PackedBytes::new(ByteMatrix::signed(&signed, [k, n], [n, 1])),
        ] {
            gemm_bytes(engine, left, &[131], &right, &[-7], &mut out);
            digest.add_i32(&out);
        }
    }
    digest.value()
}

pub(super) fn quantise(engine: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(16), Digest::new());
    let mut x = seed.f32s(1000);
    x.extend(seed.patterns(100));
    let mut out = vec![0i8; x.len()];
    let range = Range {
        min: -128,
        max: 127,
    };
    quantize(
        engine,
        &x,
        100,
        |run| (0.01 + run as f32 * 0.001, run as i32),
        range,
        &mut out,
    );
    digest.add_bytes(&out.iter().map(|v| v.cast_unsigned()).collect::<Vec<_>>());
    let mut back = vec![0.0; out.len()];
    dequantize(
        engine,
        &out,
        100,
        |run| (0.01 + run as f32 * 0.001, run as i32),
        &mut back,
    );
    digest.add_f32(&back);
    digest.value()
}
