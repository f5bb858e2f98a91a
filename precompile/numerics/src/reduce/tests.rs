use super::*;
use crate::elementwise::testing::{engines, floats};

/// Reduces by the definition of rule N-4, element by element.
fn oracle(
    shape: &[usize],
    reduced: &[bool],
    x: &[f32],
    init: f32,
    step: impl Fn(f32, f32) -> f32,
    join: impl Fn(f32, f32) -> f32,
) -> Vec<f32> {
    let mut groups: Vec<Vec<f32>> = Vec::new();
    let outputs: usize = shape
        .iter()
        .zip(reduced)
        .filter(|d| !d.1)
        .map(|d| d.0)
        .product();
    groups.resize(outputs, Vec::new());
    for (flat, value) in x.iter().enumerate() {
        let (mut rest, mut output, mut step) = (flat, 0, 1);
        for d in (0..shape.len()).rev() {
            if !reduced[d] {
                output += rest % shape[d] * step;
                step *= shape[d];
            }
            rest /= shape[d];
        }
        // Row-major order of the input is row-major order within each output's group.
        groups[output].push(*value);
    }
    groups
        .iter()
        .map(|group| {
            let mut lanes = [init; 16];
            for (i, value) in group.iter().enumerate() {
                lanes[i % 16] = step(lanes[i % 16], *value);
            }
            for h in [8, 4, 2, 1] {
                for i in 0..h {
                    lanes[i] = join(lanes[i], lanes[i + h]);
                }
            }
            let result = lanes[0];
            if result.is_nan() {
                f32::from_bits(0x7fc0_0000)
            } else {
                result
            }
        })
        .collect()
}

const CASES: [(&[usize], &[bool]); 13] = [
    (&[7, 100], &[false, true]),
    (&[100, 7], &[true, false]),
    (&[37, 300], &[true, false]),
    (&[3, 17, 5], &[true, false, true]),
    (&[3, 17, 150], &[false, true, false]),
    (&[4, 3, 5, 6], &[true, false, true, false]),
    (&[4, 3, 5, 33], &[false, true, false, true]),
    (&[2, 3, 4, 5, 6], &[true, false, true, false, true]),
    (&[5, 1, 3], &[false, true, false]),
    (&[40], &[true]),
    (&[1, 1], &[true, false]),
    (&[], &[]),
    (&[70_000], &[true]),
];

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn every_layout_follows_the_lanes_on_every_engine() {
    for (shape, reduced) in CASES {
        let layout = ReduceLayout::new(shape, reduced);
        let n: usize = shape.iter().product();
        // Values of like magnitude so that order shows in the last bits.
        let x: Vec<f32> = floats(n, 77)
            .iter()
            .map(|v| 1.0 + v.clamp(-9.0, 9.0))
            .collect();
        let want = [
            (
                Reduction::Sum,
                oracle(shape, reduced, &x, 0.0, |a, v| a + v, |a, b| a + b),
            ),
            (
                Reduction::Product,
                oracle(shape, reduced, &x, 1.0, |a, v| a * v, |a, b| a * b),
            ),
            (
                Reduction::SumSquare,
                oracle(
                    shape,
                    reduced,
                    &x,
                    0.0,
                    |a, v| v.mul_add(v, a),
                    |a, b| a + b,
                ),
            ),
            (
                Reduction::SumMagnitude,
                oracle(shape, reduced, &x, 0.0, |a, v| a + v.abs(), |a, b| a + b),
            ),
        ];
        for (op, want) in want {
            for engine in engines() {
                let mut out = vec![0.0f32; layout.output_len()];
                reduce(&engine, op, &layout, &x, &mut out);
                assert_eq!(
                    bits(&out),
                    bits(&want),
                    "{op:?} {shape:?} {}",
                    engine.isa().name()
                );
            }
        }
    }
}

#[test]
fn max_and_min_pass_nan_on_and_order_zeros() {
    let layout = ReduceLayout::rows(4, 3);
    let nan = f32::from_bits(0xffc0_1234);
    let x = [
        1.0,
        nan,
        3.0,
        -0.0,
        0.0,
        -0.0,
        f32::NEG_INFINITY,
        -1.0,
        -2.0,
        5.0,
        4.0,
        5.5,
    ];
    for engine in engines() {
        let mut out = [0.0f32; 4];
        reduce(&engine, Reduction::Max, &layout, &x, &mut out);
        assert_eq!(
            bits(&out),
            bits(&[f32::from_bits(0x7fc0_0000), 0.0, -1.0, 5.5])
        );
        reduce(&engine, Reduction::Min, &layout, &x, &mut out);
        let want = [f32::from_bits(0x7fc0_0000), -0.0, f32::NEG_INFINITY, 4.0];
        assert_eq!(bits(&out), bits(&want));
    }
}

#[test]
fn a_row_alone_equals_the_row_in_a_batch() {
    let x = floats(64 * 130, 5);
    let engine = Engine::single();
    let mut batch = vec![0.0f32; 64];
    reduce(
        &engine,
        Reduction::Sum,
        &ReduceLayout::rows(64, 130),
        &x,
        &mut batch,
    );
    for (row, want) in x.chunks(130).zip(&batch) {
        let mut alone = [0.0f32];
        reduce(
            &engine,
            Reduction::Sum,
            &ReduceLayout::rows(1, 130),
            row,
            &mut alone,
        );
        assert_eq!(alone[0].to_bits(), want.to_bits());
    }
}

#[test]
fn nothing_reduces_to_the_neutral_element() {
    let layout = ReduceLayout::new(&[2, 0, 3], &[false, true, false]);
    let engine = Engine::single();
    let mut out = [9.0f64; 6];
    reduce(&engine, Reduction::Sum, &layout, &[], &mut out);
    assert_eq!(out.map(f64::to_bits), [0; 6]);
    reduce(&engine, Reduction::Max, &layout, &[], &mut out);
    assert_eq!(out, [f64::NEG_INFINITY; 6]);
    divide_by_count(&layout, &mut out);
    assert_eq!(out[0], f64::NEG_INFINITY);
    let mut out = [0i8; 6];
    reduce_integer(
        &engine,
        Reduction::Min,
        (i8::MIN, i8::MAX),
        &layout,
        &[],
        &mut out,
    );
    assert_eq!(out, [i8::MAX; 6]);
}

#[test]
fn integer_sums_wrap() {
    let layout = ReduceLayout::rows(1, 3);
    let mut out = [0i32];
    let x = [i32::MAX, 1, -5];
    reduce_integer(
        &Engine::single(),
        Reduction::Sum,
        (i32::MIN, i32::MAX),
        &layout,
        &x,
        &mut out,
    );
    assert_eq!(out, [i32::MAX - 4]);
}
