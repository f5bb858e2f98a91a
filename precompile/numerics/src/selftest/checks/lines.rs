//! Checks of what folds lines and windows: reductions, order, softmax, norms, pooling.

use super::super::seed::{Digest, Seed};
use crate::engine::Engine;
use crate::norm::{Affine, Centre, normalise};
use crate::pooling::{Pooling, Window, pool};
use crate::reduce::{ReduceLayout, Reduction, reduce};
use crate::softmax::{Softmax, softmax_f32};
use crate::sort::{End, arg_extreme, top_k};

pub(super) fn reductions(engine: &Engine) -> u64 {
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

pub(super) fn order(_: &Engine) -> u64 {
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

pub(super) fn softmax(engine: &Engine) -> u64 {
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

pub(super) fn normalisation(engine: &Engine) -> u64 {
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

pub(super) fn pooling(engine: &Engine) -> u64 {
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
