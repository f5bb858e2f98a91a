use super::*;
use crate::elementwise::testing::{engines, floats};

/// Lists the input offsets of a window in order, by definition.
fn window(axes: &[Window], output: usize) -> Vec<usize> {
    let kernel: usize = axes.iter().map(|axis| axis.kernel).product();
    (0..kernel)
        .filter_map(|element| {
            let (mut o, mut e, mut at, mut step) = (output, element, 0, 1);
            for axis in axes.iter().rev() {
                let padded = (o % axis.output) * axis.stride + (e % axis.kernel) * axis.dilation;
                if padded < axis.pad_begin || padded >= axis.pad_begin + axis.input {
                    return None;
                }
                at += (padded - axis.pad_begin) * step;
                step *= axis.input;
                o /= axis.output;
                e /= axis.kernel;
            }
            Some(at)
        })
        .collect()
}

fn axis(
    input: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    pads: [usize; 2],
    ceil: usize,
) -> Window {
    let span = (kernel - 1) * dilation + 1;
    let output = (input + pads[0] + pads[1] - span) / stride + 1 + ceil;
    Window {
        input,
        output,
        kernel,
        stride,
        dilation,
        pad_begin: pads[0],
        pad_end: pads[1],
    }
}

fn cases() -> Vec<Vec<Window>> {
    vec![
        vec![axis(40, 3, 1, 1, [1, 1], 0)],
        vec![axis(13, 3, 2, 1, [1, 1], 0), axis(37, 3, 2, 1, [1, 1], 0)],
        vec![axis(9, 2, 3, 2, [0, 1], 0), axis(20, 4, 3, 1, [2, 0], 1)],
        vec![
            axis(5, 2, 1, 1, [0, 0], 0),
            axis(6, 3, 2, 1, [1, 0], 0),
            axis(7, 2, 2, 3, [1, 2], 0),
        ],
        vec![axis(4, 1, 1, 1, [3, 3], 0)],
    ]
}

fn canonical(x: f32) -> u32 {
    if x.is_nan() { 0x7fc0_0000 } else { x.to_bits() }
}

#[test]
fn windows_are_sequential_on_every_engine() {
    for axes in cases() {
        let (plane_in, plane_out) = planes(&axes);
        let x = floats(3 * plane_in, 31);
        for op in [
            Pooling::Max,
            Pooling::Sum,
            Pooling::SumMagnitude,
            Pooling::RootSumSquare,
            Pooling::Average { padded: false },
        ] {
            let want: Vec<u32> = (0..3 * plane_out)
                .map(|o| {
                    let taken = window(&axes, o % plane_out);
                    let values = taken.iter().map(|at| x[o / plane_out * plane_in + at]);
                    let count = taken.len() as f32;
                    canonical(match op {
                        Pooling::Max => values.fold(f32::NEG_INFINITY, |a, v| a.larger(v)),
                        Pooling::Sum => values.fold(0.0, |a, v| a + v),
                        Pooling::SumMagnitude => values.fold(0.0, |a, v| a + v.abs()),
                        Pooling::RootSumSquare => {
                            values.fold(0.0f32, |a, v| v.mul_add(v, a)).sqrt()
                        }
                        Pooling::Average { .. } => values.fold(0.0, |a, v| a + v) / count,
                    })
                })
                .collect();
            for engine in engines() {
                let mut out = vec![0.0f32; want.len()];
                pool(&engine, op, &axes, &x, &mut out);
                let got: Vec<u32> = out.iter().map(|v| v.to_bits()).collect();
                assert!(got == want, "{op:?} {axes:?} {}", engine.isa().name());
            }
        }
    }
}

#[test]
fn padding_counts_in_the_divisor_only_when_asked() {
    let axes = [axis(3, 3, 1, 1, [1, 1], 0)];
    let engine = Engine::single();
    let mut out = [0.0f32; 3];
    pool(
        &engine,
        Pooling::Average { padded: true },
        &axes,
        &[3.0, 6.0, 9.0],
        &mut out,
    );
    assert_eq!(out, [3.0, 6.0, 5.0]);
    pool(
        &engine,
        Pooling::Average { padded: false },
        &axes,
        &[3.0, 6.0, 9.0],
        &mut out,
    );
    assert_eq!(out, [4.5, 6.0, 7.5]);
}

#[test]
fn indices_name_the_first_maximum_in_the_whole_input() {
    let axes = [axis(2, 2, 1, 1, [0, 0], 0), axis(3, 2, 1, 1, [0, 0], 0)];
    let x = [
        1.0f32,
        5.0,
        5.0,
        5.0,
        0.0,
        2.0,
        0.0,
        f32::NAN,
        9.0,
        0.0,
        -0.0,
        9.0,
    ];
    let (mut out, mut positions) = ([0.0f32; 4], [0i64; 4]);
    max_pool_with_indices(
        f32::NEG_INFINITY,
        &axes,
        false,
        &x,
        &mut out,
        &mut positions,
    );
    assert_eq!(positions, [1, 1, 7, 7]);
    assert_eq!(out[0], 5.0);
    assert!(out[2].is_nan());
    max_pool_with_indices(f32::NEG_INFINITY, &axes, true, &x, &mut out, &mut positions);
    assert_eq!(positions, [2, 2, 8, 8]);
}

#[test]
fn integers_pool_their_largest() {
    let axes = [axis(4, 2, 2, 1, [0, 0], 0)];
    let mut out = [0i8; 2];
    max_pool_integer(&Engine::single(), i8::MIN, &axes, &[-5, -3, 7, 2], &mut out);
    assert_eq!(out, [-3, 7]);
}
