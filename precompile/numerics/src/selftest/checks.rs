//! The checks: one for each family of kernels.

use super::Check;
use super::seed::{Digest, Seed};
use crate::broadcast::Broadcast;
use crate::cast::cast;
use crate::conv::{ConvShape, ConvWeights, TransposeShape, TransposeWeights, conv, conv_transpose};
use crate::elementwise::{Arith, arith};
use crate::engine::Engine;
use crate::fixed::Fixed;
use crate::gemm::{Epilogue, Matrix, PackedB, Real, Rhs, gemm};
use crate::half::{Bf16, F16};
use crate::math;
use crate::norm::{Affine, Centre, normalise};
use crate::pooling::{Pooling, Window, pool};
use crate::quant::{ByteMatrix, PackedBytes, Range, dequantize, gemm_bytes, quantize};
use crate::reduce::{ReduceLayout, Reduction, reduce};
use crate::softmax::{Softmax, softmax_f32};
use crate::sort::{End, arg_extreme, top_k};
use crate::tree::{Aggregate, Branch, Compare, Ensemble, EnsembleSpec, Node, Weight};

pub(super) const CHECKS: &[Check] = &[
    Check {
        rule: "N-2",
        name: "gemm f32",
        run: gemm_f32,
    },
    Check {
        rule: "N-2",
        name: "gemm f64",
        run: gemm_f64,
    },
    Check {
        rule: "N-3",
        name: "conv f32",
        run: convolve,
    },
    Check {
        rule: "N-3",
        name: "conv transpose f32",
        run: convolve_transposed,
    },
    Check {
        rule: "N-4",
        name: "reductions f32",
        run: reductions,
    },
    Check {
        rule: "N-5",
        name: "order f32",
        run: order,
    },
    Check {
        rule: "N-6",
        name: "softmax f32",
        run: softmax,
    },
    Check {
        rule: "N-7",
        name: "normalisation f32",
        run: normalisation,
    },
    Check {
        rule: "N-8",
        name: "transcendentals f32",
        run: transcendentals,
    },
    Check {
        rule: "N-8",
        name: "activations f32",
        run: activations,
    },
    Check {
        rule: "N-8",
        name: "transcendentals f64",
        run: transcendentals_f64,
    },
    Check {
        rule: "N-9",
        name: "elementwise f32",
        run: elementwise,
    },
    Check {
        rule: "N-10",
        name: "half precision",
        run: halves,
    },
    Check {
        rule: "N-11",
        name: "casts",
        run: casts,
    },
    Check {
        rule: "N-12",
        name: "gemm int8",
        run: gemm_int8,
    },
    Check {
        rule: "N-12",
        name: "quantise",
        run: quantise,
    },
    Check {
        rule: "N-13",
        name: "trees f32",
        run: trees,
    },
    Check {
        rule: "N-4",
        name: "pooling f32",
        run: pooling,
    },
    Check {
        rule: "N-15",
        name: "fixed point",
        run: fixed_point,
    },
];

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

fn gemm_f32(engine: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(1), Digest::new());
    for [m, k, n] in PRODUCTS {
        let (a, b, bias) = (seed.f32s(m * k), seed.f32s(k * n), seed.f32s(n));
        product(engine, [m, k, n], &a, &b, &bias, |out| digest.add_f32(out));
    }
    digest.value()
}

fn gemm_f64(engine: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(2), Digest::new());
    for [m, k, n] in PRODUCTS {
        let (a, b, bias) = (seed.f64s(m * k), seed.f64s(k * n), seed.f64s(n));
        product(engine, [m, k, n], &a, &b, &bias, |out| digest.add_f64(out));
    }
    digest.value()
}

fn convolve(engine: &Engine) -> u64 {
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
        conv(engine, &shape, &x, &weights, Some(&bias), false, &mut out);
        digest.add_f32(&out);
    }
    digest.value()
}

fn convolve_transposed(engine: &Engine) -> u64 {
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
        conv_transpose(engine, &shape, &x, &weights, None, &mut out);
        digest.add_f32(&out);
    }
    digest.value()
}

fn reductions(engine: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(5), Digest::new());
    let shape = [9, 37, 21];
    let x = seed.f32s(shape.iter().product());
    for axes in [
        [true, false, false],
        [false, true, false],
        [false, false, true],
        [true; 3],
    ] {
        let layout = ReduceLayout::new(&shape, &axes);
        let mut out = vec![0.0; layout.output_len()];
        for op in [
            Reduction::Sum,
            Reduction::Product,
            Reduction::SumSquare,
            Reduction::SumMagnitude,
            Reduction::Max,
            Reduction::Min,
        ] {
            reduce(engine, op, &layout, &x, &mut out);
            digest.add_f32(&out);
        }
    }
    digest.value()
}

fn order(_: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(6), Digest::new());
    let x = seed.patterns(4 * 33 * 3);
    for end in [End::Largest, End::Smallest] {
        let mut positions = vec![0; 4 * 3];
        arg_extreme(end, false, 33, 3, &x, &mut positions);
        digest.add_i64(&positions);
        let (mut values, mut positions) = (vec![0.0; 4 * 9 * 3], vec![0; 4 * 9 * 3]);
        top_k(end, 9, 33, 3, &x, &mut values, &mut positions);
        digest.add_i64(&positions);
    }
    digest.value()
}

fn softmax(engine: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(7), Digest::new());
    for [outer, n, inner] in [[5, 1000, 1], [3, 7, 1], [2, 19, 13], [40, 300, 1]] {
        let x: Vec<f32> = seed
            .f32s(outer * n * inner)
            .iter()
            .map(|v| v * 9.0)
            .collect();
        let mut out = vec![0.0; x.len()];
        for kind in [Softmax::Plain, Softmax::Logarithm] {
            softmax_f32(engine, kind, n, inner, &x, &mut out);
            digest.add_f32(&out);
        }
    }
    digest.value()
}

fn normalisation(engine: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(8), Digest::new());
    for [rows, row] in [[32, 384], [3, 5], [1, 1000]] {
        let (x, scale, shift) = (seed.f32s(rows * row), seed.f32s(row), seed.f32s(row));
        let mut out = vec![0.0; x.len()];
        let mut statistics = vec![[0.0; 2]; rows];
        for centre in [Centre::Mean, Centre::Zero] {
            let affine = Affine::Elements {
                scale: &scale,
                shift: Some(&shift),
            };
            normalise(
                engine,
                centre,
                affine,
                1e-5,
                row,
                &x,
                &mut out,
                &mut statistics,
            );
            digest.add_f32(&out);
            digest.add_f32(statistics.as_flattened());
        }
    }
    digest.value()
}

fn transcendentals(engine: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(9), Digest::new());
    let mut x = seed.patterns(4096);
    x.extend(seed.f32s(4096));
    x.extend(seed.f32s(4096).iter().map(|v| v * 100.0));
    let mut out = vec![0.0; x.len()];
    type Slice = fn(&Engine, &[f32], &mut [f32]);
    let functions: [Slice; 17] = [
        math::exp_f32,
        math::expm1_f32,
        math::ln_f32,
        math::log1p_f32,
        math::sin_f32,
        math::cos_f32,
        math::tan_f32,
        math::asin_f32,
        math::acos_f32,
        math::atan_f32,
        math::sinh_f32,
        math::cosh_f32,
        math::tanh_f32,
        math::asinh_f32,
        math::acosh_f32,
        math::atanh_f32,
        math::erf_f32,
    ];
    for function in functions {
        function(engine, &x, &mut out);
        digest.add_f32(&out);
    }
    let y = seed.patterns(x.len());
    math::pow_f32(engine, &x, &y, &mut out);
    digest.add_f32(&out);
    let y = seed.f32s(x.len());
    math::pow_f32(engine, &x, &y, &mut out);
    digest.add_f32(&out);
    digest.value()
}

fn activations(engine: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(10), Digest::new());
    let mut x: Vec<f32> = seed.f32s(4096).iter().map(|v| v * 20.0).collect();
    x.extend(seed.patterns(1024));
    let mut out = vec![0.0; x.len()];
    type Slice = fn(&Engine, &[f32], &mut [f32]);
    let functions: [Slice; 5] = [
        math::sigmoid_f32,
        math::gelu_erf_f32,
        math::gelu_tanh_f32,
        math::softplus_f32,
        math::mish_f32,
    ];
    for function in functions {
        function(engine, &x, &mut out);
        digest.add_f32(&out);
    }
    digest.value()
}

fn transcendentals_f64(_: &Engine) -> u64 {
    use crate::math::double;
    let (mut seed, mut digest) = (Seed::new(11), Digest::new());
    for x in seed.f64s(64) {
        let x = x * 30.0;
        digest.add_f64(&[
            double::exp(x),
            double::ln(x),
            double::tanh(x),
            double::sin(x),
        ]);
    }
    digest.value()
}

fn elementwise(engine: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(12), Digest::new());
    let (a, b) = (seed.patterns(8 * 50), seed.patterns(50));
    let plan = Broadcast::new(&[8, 50], [&[8, 50], &[50]]);
    let mut out = vec![0.0; a.len()];
    for op in [
        Arith::Add,
        Arith::Sub,
        Arith::Mul,
        Arith::Div,
        Arith::Max,
        Arith::Min,
    ] {
        if arith(engine, op, &plan, &a, &b, &mut out).is_ok() {
            digest.add_f32(&out);
        }
    }
    digest.value()
}

fn halves(_: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(13), Digest::new());
    for value in seed.patterns(4096) {
        digest.add(u64::from(F16::from_f32(value).0));
        digest.add(u64::from(Bf16::from_f32(value).0));
    }
    for bits in 0..=u16::MAX {
        digest.add_f32(&[F16(bits).to_f32(), Bf16(bits).to_f32()]);
    }
    digest.value()
}

fn casts(_: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(14), Digest::new());
    let mut x = seed.patterns(4096);
    x.extend(seed.f32s(512).iter().map(|v| v * 1e10));
    let mut ints = vec![0i32; x.len()];
    cast(&x, &mut ints);
    digest.add_i32(&ints);
    let mut longs = vec![0i64; x.len()];
    cast(&x, &mut longs);
    digest.add_i64(&longs);
    let mut bytes = vec![0u8; x.len()];
    cast(&x, &mut bytes);
    digest.add_bytes(&bytes);
    let mut back = vec![0f32; longs.len()];
    cast(&longs, &mut back);
    digest.add_f32(&back);
    digest.value()
}

fn gemm_int8(engine: &Engine) -> u64 {
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

fn quantise(engine: &Engine) -> u64 {
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

/// Grows a random tree below `depth` branches and returns its root.
fn grow(spec: &mut EnsembleSpec<f32>, seed: &mut Seed, depth: usize) -> usize {
    let at = spec.nodes.len();
    spec.nodes.push(Node::Leaf(0..0));
    if depth == 0 || seed.below(8) == 0 {
        let first = spec.weights.len();
        spec.weights.push(Weight {
            target: seed.below(spec.targets),
            value: seed.f32(),
        });
        spec.nodes[at] = Node::Leaf(first..first + 1);
        return at;
    }
    let compare = [Compare::Leq, Compare::Lt, Compare::Gte, Compare::Gt][seed.below(4)];
    let (feature, threshold) = (seed.below(12), seed.f32());
    let missing_true = seed.below(2) == 0;
    let on_true = grow(spec, seed, depth - 1);
    let on_false = grow(spec, seed, depth - 1);
    spec.nodes[at] = Node::Branch(Branch {
        compare,
        feature,
        threshold,
        set: 0,
        missing_true,
        on_true,
        on_false,
    });
    at
}

fn trees(engine: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(17), Digest::new());
    for targets in [1, 3] {
        let mut spec = EnsembleSpec {
            nodes: Vec::new(),
            roots: Vec::new(),
            weights: Vec::new(),
            sets: Vec::new(),
            targets,
            aggregate: Aggregate::Sum,
            base: vec![0.25; targets],
        };
        for _ in 0..50 {
            let root = grow(&mut spec, &mut seed, 6);
            spec.roots.push(root);
        }
        let Ok(ensemble) = Ensemble::pack(&spec) else {
            return 0;
        };
        let mut x = seed.f32s(70 * 12);
        x.iter_mut().step_by(17).for_each(|v| *v = f32::NAN);
        let mut out = vec![0.0; 70 * targets];
        ensemble.scores(engine, &x, 12, 70, &mut out);
        digest.add_f32(&out);
        ensemble.scores(engine, &x[..12], 12, 1, &mut out[..targets]);
        digest.add_f32(&out[..targets]);
    }
    digest.value()
}

fn pooling(engine: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(18), Digest::new());
    let window = Window {
        input: 13,
        output: 7,
        kernel: 3,
        stride: 2,
        dilation: 1,
        pad_begin: 1,
        pad_end: 1,
    };
    let x = seed.f32s(5 * 13 * 13);
    let mut out = vec![0.0; 5 * 7 * 7];
    for op in [
        Pooling::Max,
        Pooling::Average { padded: false },
        Pooling::RootSumSquare,
    ] {
        pool(engine, op, &[window, window], &x, &mut out);
        digest.add_f32(&out);
    }
    digest.value()
}

fn fixed_point(_: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(19), Digest::new());
    for _ in 0..500 {
        let magnitude = [seed.next(), seed.next() >> seed.below(64), 0, 0];
        let fixed = Fixed {
            negative: seed.below(2) == 0,
            magnitude,
        };
        let decimals = seed.below(37) as u8;
        if let Some(value) = fixed.to_f32(decimals) {
            digest.add_f32(&[value]);
            if let Some(back) = Fixed::from_f32(value, decimals) {
                back.magnitude.iter().for_each(|limb| digest.add(*limb));
            }
        }
    }
    digest.value()
}
