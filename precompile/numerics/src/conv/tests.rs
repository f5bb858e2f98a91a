//! Compares convolutions with the chain as the rule writes it.

use super::*;
use crate::gemm::test_numbers as numbers;
use crate::isa::Isa;

fn engines() -> Vec<Engine> {
    let mut engines: Vec<_> = Isa::available()
        .into_iter()
        .map(|isa| Engine::new(isa, 1))
        .collect();
    engines.extend([2, 3].map(|threads| Engine::new(Isa::detect(), threads)));
    engines
}

fn tuples(shape: &[usize]) -> Vec<Vec<usize>> {
    let total: usize = shape.iter().product();
    (0..total)
        .map(|mut i| {
            let mut tuple = vec![0; shape.len()];
            for d in (0..shape.len()).rev() {
                tuple[d] = i % shape[d];
                i /= shape[d];
            }
            tuple
        })
        .collect()
}

fn index(tuple: &[usize], shape: &[usize]) -> usize {
    tuple
        .iter()
        .zip(shape)
        .fold(0, |index, (i, size)| index * size + i)
}

/// Evaluates the rule position by position.
fn oracle(s: &ConvShape, rows: usize, x: &[f32], w: &[f32], bias: &[f32]) -> Vec<u32> {
    let mut out = Vec::new();
    let taps = s.kernel_positions();
    for g in 0..s.groups {
        for row in 0..rows {
            let row = g * rows + row;
            for o in tuples(&s.output) {
                let mut sum = 0.0f32;
                for c in 0..s.group_channels {
                    let plane = &x[(g * s.group_channels + c) * s.input_plane()..];
                    for (t, k) in tuples(&s.kernel).iter().enumerate() {
                        let at: Option<Vec<usize>> = (0..o.len())
                            .map(|d| {
                                let i = o[d] * s.strides[d] + k[d] * s.dilations[d];
                                i.checked_sub(s.pads[d]).filter(|i| *i < s.input[d])
                            })
                            .collect();
                        let value = at.map_or(0.0, |at| plane[index(&at, &s.input)]);
                        sum = w[(row * s.group_channels + c) * taps + t].mul_add(value, sum);
                    }
                }
                out.push((sum + bias[row]).to_bits());
            }
        }
    }
    out
}

fn shape(groups: usize, channels: usize, dims: &[[usize; 5]], after: usize) -> ConvShape {
    let pick = |i: usize| dims.iter().map(|d| d[i]).collect::<Vec<_>>();
    let output = dims
        .iter()
        .map(|[input, kernel, stride, dilation, pad]| {
            (input + pad + after - (kernel - 1) * dilation - 1) / stride + 1
        })
        .collect();
    ConvShape {
        groups,
        group_channels: channels,
        input: pick(0),
        kernel: pick(1),
        strides: pick(2),
        dilations: pick(3),
        pads: pick(4),
        output,
    }
}

fn check(s: &ConvShape, rows: usize) {
    let images = 2;
    let depth = s.group_channels * s.kernel_positions();
    let x = numbers(1, images * s.groups * s.group_channels * s.input_plane());
    let w = numbers(2, s.groups * rows * depth);
    let bias = numbers(3, s.groups * rows);
    let image = s.groups * s.group_channels * s.input_plane();
    let want: Vec<u32> = x
        .chunks_exact(image)
        .flat_map(|x| oracle(s, rows, x, &w, &bias))
        .collect();
    let weights = ConvWeights::new(&w, s.groups, rows, depth);
    // What an earlier call left in the room must not show.
    let mut room = vec![f32::NAN; 7];
    for engine in engines() {
        let mut out = vec![f32::NAN; want.len()];
        conv(
            &engine,
            s,
            &x,
            &weights,
            Some(&bias),
            false,
            &mut room,
            &mut out,
        );
        let same = out.iter().map(|x| x.to_bits()).eq(want.iter().copied());
        assert!(same, "{s:?} rows {rows} {}", engine.isa().name());
    }
}

#[test]
fn every_shape_follows_the_chain_on_every_instruction_set() {
    // Per dimension: input, kernel, stride, dilation, pad before.
    check(&shape(1, 3, &[[9, 3, 1, 1, 1], [11, 3, 1, 1, 1]], 1), 13);
    check(&shape(1, 5, &[[14, 7, 2, 1, 3], [15, 7, 2, 1, 3]], 3), 24);
    check(&shape(2, 4, &[[8, 3, 1, 2, 2], [7, 2, 1, 3, 0]], 2), 6);
    check(&shape(6, 1, &[[40, 3, 1, 1, 1], [45, 3, 1, 1, 1]], 1), 1);
    check(&shape(4, 1, &[[12, 5, 2, 1, 2], [13, 5, 3, 1, 2]], 0), 2);
    check(&shape(1, 64, &[[7, 3, 1, 1, 1], [7, 3, 1, 1, 1]], 1), 33);
    // More channels than one part of k takes, more positions than one block.
    check(&shape(1, 41, &[[19, 2, 1, 1, 1], [17, 2, 1, 1, 1]], 0), 33);
    check(&shape(1, 8, &[[50, 5, 1, 1, 0]], 0), 7);
    check(
        &shape(
            3,
            2,
            &[[5, 2, 1, 1, 0], [6, 3, 2, 1, 1], [7, 2, 1, 1, 1]],
            1,
        ),
        5,
    );
    check(&shape(1, 70, &[[13, 1, 1, 1, 0], [13, 1, 1, 1, 0]], 0), 40);
    check(&shape(1, 3, &[[30, 7, 2, 1, 3], [28, 7, 2, 1, 3]], 3), 64);
    check(&shape(2, 3, &[[9, 3, 1, 2, 2], [8, 3, 3, 1, 0]], 1), 49);
    check(&shape(1, 4, &[[31, 5, 1, 1, 2]], 2), 100);
}

#[test]
fn padding_takes_part_as_positive_zero() {
    let s = shape(1, 1, &[[1, 3, 1, 1, 1]], 1);
    for rows in [1, 5] {
        let weights: Vec<f32> = (0..rows).flat_map(|_| [f32::INFINITY, 1.0, 1.0]).collect();
        let packed = ConvWeights::new(&weights, 1, rows, 3);
        let mut out = vec![0.0; rows];
        conv(
            &Engine::single(),
            &s,
            &[2.0],
            &packed,
            None,
            false,
            &mut vec![9.0; 99],
            &mut out,
        );
        assert!(
            out.iter().all(|x| x.to_bits() == 0x7fc0_0000),
            "0 * inf is NaN"
        );
    }
}

#[test]
fn an_empty_chain_is_positive_zero_then_the_bias() {
    let s = shape(1, 0, &[[4, 3, 1, 1, 1]], 1);
    for rows in [2, 6] {
        let packed = ConvWeights::<f32>::new(&[], 1, rows, 0);
        let bias = numbers(5, rows);
        let mut out = vec![f32::NAN; rows * 4];
        conv(
            &Engine::single(),
            &s,
            &[],
            &packed,
            Some(&bias),
            false,
            &mut Vec::new(),
            &mut out,
        );
        assert!(
            out.chunks_exact(4)
                .zip(&bias)
                .all(|(out, bias)| out.iter().all(|x| x == bias))
        );
    }
}

#[test]
fn an_image_alone_equals_the_image_in_a_batch() {
    let s = shape(1, 16, &[[19, 3, 1, 1, 1], [23, 3, 1, 1, 1]], 1);
    let image = 16 * s.input_plane();
    let (x, w) = (numbers(1, 3 * image), numbers(2, 20 * 16 * 9));
    let weights = ConvWeights::new(&w, 1, 20, 16 * 9);
    let engine = Engine::new(Isa::detect(), 2);
    let mut all = vec![0.0; 3 * 20 * s.output_plane()];
    let mut room = Vec::new();
    conv(&engine, &s, &x, &weights, None, true, &mut room, &mut all);
    for (x, want) in x
        .chunks_exact(image)
        .zip(all.chunks_exact(20 * s.output_plane()))
    {
        let mut one = vec![0.0; want.len()];
        conv(&engine, &s, x, &weights, None, true, &mut room, &mut one);
        assert_eq!(one, want);
    }
}

/// Evaluates the transposed rule: taps ascending, holes of the stride left out.
fn transpose_oracle(s: &TransposeShape, x: &[f32], w: &[f32], bias: &[f32]) -> Vec<u32> {
    let taps: usize = s.kernel.iter().product();
    let plane: usize = s.input.iter().product();
    let mut out = Vec::new();
    for g in 0..s.groups {
        for row in 0..s.group_outputs {
            for o in tuples(&s.output) {
                let mut sum = 0.0f32;
                for c in 0..s.group_channels {
                    let c = g * s.group_channels + c;
                    for (t, k) in tuples(&s.kernel).iter().enumerate() {
                        let mut value = Some(vec![]);
                        let mut hole = false;
                        for d in 0..o.len() {
                            let at = (o[d] + s.pads[d]) as i64 - (k[d] * s.dilations[d]) as i64;
                            hole |= at.rem_euclid(s.strides[d] as i64) != 0;
                            let at = at.div_euclid(s.strides[d] as i64);
                            let inside = at >= 0 && (at as usize) < s.input[d];
                            value = value.filter(|_| inside).map(|mut v: Vec<usize>| {
                                v.push(at as usize);
                                v
                            });
                        }
                        if !hole {
                            let value = value.map_or(0.0, |at| x[c * plane + index(&at, &s.input)]);
                            sum = w[(c * s.group_outputs + row) * taps + t].mul_add(value, sum);
                        }
                    }
                }
                out.push((sum + bias[g * s.group_outputs + row]).to_bits());
            }
        }
    }
    out
}

#[test]
fn transposed_convolutions_follow_their_chain() {
    // Per case: groups, channels, outputs, per dimension input, kernel, stride, dilation, pad, out.
    type Case<'a> = (usize, usize, usize, &'a [[usize; 6]]);
    let cases: [Case<'_>; 6] = [
        (1, 2, 3, &[[3, 3, 1, 1, 0, 5], [3, 3, 1, 1, 0, 5]]),
        (1, 3, 5, &[[4, 3, 2, 1, 1, 8], [5, 4, 3, 1, 0, 16]]),
        (2, 3, 2, &[[4, 3, 3, 2, 2, 10], [3, 2, 2, 1, 1, 5]]),
        (1, 1, 1, &[[7, 2, 4, 1, 0, 26]]),
        (
            3,
            2,
            4,
            &[[2, 2, 2, 1, 0, 4], [3, 3, 1, 2, 1, 5], [2, 3, 2, 1, 1, 4]],
        ),
        (1, 4, 16, &[[6, 4, 2, 1, 1, 12], [6, 4, 2, 1, 1, 12]]),
    ];
    for (groups, group_channels, group_outputs, dims) in cases {
        let pick = |i: usize| dims.iter().map(|d| d[i]).collect::<Vec<_>>();
        let s = TransposeShape {
            groups,
            group_channels,
            group_outputs,
            input: pick(0),
            kernel: pick(1),
            strides: pick(2),
            dilations: pick(3),
            pads: pick(4),
            output: pick(5),
        };
        let plane: usize = s.input.iter().product();
        let taps: usize = s.kernel.iter().product();
        let x = numbers(1, groups * group_channels * plane);
        let w = numbers(2, groups * group_channels * group_outputs * taps);
        let bias = numbers(3, groups * group_outputs);
        let want = transpose_oracle(&s, &x, &w, &bias);
        let weights = TransposeWeights::new(&s, &w);
        for engine in engines() {
            let mut out = vec![f32::NAN; want.len()];
            let room = &mut vec![f32::NAN; 7];
            conv_transpose(&engine, &s, &x, &weights, Some(&bias), room, &mut out);
            assert!(
                out.iter().map(|x| x.to_bits()).eq(want.iter().copied()),
                "{s:?}"
            );
        }
    }
}
