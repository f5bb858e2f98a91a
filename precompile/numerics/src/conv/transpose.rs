//! Transposed convolution, as gathers: one plain convolution per residue of the output position.
//!
//! Output o takes input i through tap k where o + pad = i * stride + k * dilation. The outputs whose
//! o + pad leave the same remainders by the strides meet the same taps, at offsets that do not
//! depend on o: each such phase is a convolution of stride 1.
#![allow(unsafe_code)]

use super::geometry::{Canvas, Field, positions, row_strides};
use super::{ConvWeights, for_groups};
use crate::engine::Engine;
use crate::gemm::{Epilogue, Real};

/// Describes a transposed convolution; lists have one entry per spatial dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransposeShape {
    /// Counts the groups that channels are divided into.
    pub groups: usize,
    /// Counts the input channels of one group.
    pub group_channels: usize,
    /// Counts the output channels of one group.
    pub group_outputs: usize,
    /// Gives the input's size.
    pub input: Vec<usize>,
    /// Gives the kernel's size.
    pub kernel: Vec<usize>,
    /// Gives the distance between the outputs of neighbouring inputs.
    pub strides: Vec<usize>,
    /// Gives the distance between kernel positions.
    pub dilations: Vec<usize>,
    /// Counts the outputs cut off at the start.
    pub pads: Vec<usize>,
    /// Gives the output's size.
    pub output: Vec<usize>,
}

/// Holds the weights of every phase.
#[derive(Clone, Debug)]
pub struct TransposeWeights<T> {
    phases: Vec<(Vec<usize>, ConvWeights<T>)>,
}

impl<T: Real> TransposeWeights<T> {
    /// Packs weights of shape (input channel, output channel of the group, kernel positions).
    ///
    /// # Panics
    /// Panics when the slice has another length.
    pub fn new(shape: &TransposeShape, weights: &[T]) -> Self {
        let taps: usize = shape.kernel.iter().product();
        let per_group = shape.group_channels * shape.group_outputs * taps;
        assert_eq!(
            weights.len(),
            shape.groups * per_group,
            "one weight per position"
        );
        let phases = positions_of(&shape.strides)
            .into_iter()
            .map(|phase| {
                let kept = shape.taps(&phase);
                let mut rows = Vec::new();
                for group in 0..shape.groups {
                    for output in 0..shape.group_outputs {
                        for channel in 0..shape.group_channels {
                            let channel = group * shape.group_channels + channel;
                            let from = (channel * shape.group_outputs + output) * taps;
                            rows.extend(kept.iter().map(|tap| weights[from + tap.index]));
                        }
                    }
                }
                let depth = shape.group_channels * kept.len();
                let packed = ConvWeights::new(&rows, shape.groups, shape.group_outputs, depth);
                (phase, packed)
            })
            .collect();
        Self { phases }
    }
}

/// Is a kernel position that takes part in a phase.
struct Tap {
    index: usize,
    /// Says, per dimension, how many inputs back the tap looks.
    back: Vec<usize>,
}

impl TransposeShape {
    /// Lists the taps of a phase, ascending.
    fn taps(&self, phase: &[usize]) -> Vec<Tap> {
        positions_of(&self.kernel)
            .into_iter()
            .enumerate()
            .filter_map(|(index, tap)| {
                let mut back = Vec::new();
                for (d, k) in tap.iter().enumerate() {
                    let distance = k * self.dilations[d];
                    if distance % self.strides[d] != phase[d] {
                        return None;
                    }
                    back.push(distance / self.strides[d]);
                }
                Some(Tap { index, back })
            })
            .collect()
    }

    /// Lays one phase out: the canvas has room for the farthest look back of any phase.
    fn field(&self, phase: &[usize]) -> (Vec<usize>, Field) {
        let dims = self.input.len();
        let before: Vec<usize> = (0..dims)
            .map(|d| self.kernel[d].saturating_sub(1) * self.dilations[d] / self.strides[d])
            .collect();
        let padded: Vec<usize> = (0..dims)
            .map(|d| {
                let last = (self.output[d].saturating_sub(1) + self.pads[d]) / self.strides[d];
                before[d] + self.input[d].max(last + 1)
            })
            .collect();
        let strides = row_strides(&padded);
        // The first output of the phase, and the input (without look back) it starts from.
        let first: Vec<usize> = (0..dims)
            .map(|d| {
                let (s, pad) = (self.strides[d], self.pads[d]);
                (phase[d] + s - pad % s) % s
            })
            .collect();
        let start: usize = (0..dims)
            .map(|d| (first[d] + self.pads[d] - phase[d]) / self.strides[d] * strides[d])
            .sum();
        let output = (0..dims)
            .map(|d| {
                self.output[d]
                    .saturating_sub(first[d])
                    .div_ceil(self.strides[d])
            })
            .collect();
        let taps = self
            .taps(phase)
            .iter()
            .map(|tap| {
                let back = tap.back.iter().zip(&before).zip(&strides);
                start
                    + back
                        .map(|((back, before), stride)| (before - back) * stride)
                        .sum::<usize>()
            })
            .collect();
        let field = Field {
            input: self.input.clone(),
            pads: before,
            padded,
            steps: strides,
            output,
            taps,
        };
        (first, field)
    }
}

/// Lists the index tuples of a shape, the last dimension fastest.
fn positions_of(shape: &[usize]) -> Vec<Vec<usize>> {
    shape.iter().fold(vec![Vec::new()], |tuples, size| {
        let extend = |tuple: &Vec<usize>, i: usize| [tuple.as_slice(), &[i]].concat();
        tuples
            .iter()
            .flat_map(|tuple| (0..*size).map(move |i| extend(tuple, i)))
            .collect()
    })
}

/// Computes a transposed convolution of all images in `x`; `room` is as for [`super::conv`].
///
/// # Panics
/// Panics when the shapes or the lengths of the slices do not fit.
// Spec: N-3
pub fn conv_transpose<T: Real>(
    engine: &Engine,
    shape: &TransposeShape,
    x: &[T],
    weights: &TransposeWeights<T>,
    bias: Option<&[T]>,
    room: &mut Vec<T>,
    out: &mut [T],
) {
    let channels = shape.groups * shape.group_channels;
    let outputs = shape.groups * shape.group_outputs;
    let in_plane: usize = shape.input.iter().product();
    let out_plane: usize = shape.output.iter().product();
    assert!(
        bias.is_none_or(|bias| bias.len() == outputs),
        "one bias per output channel"
    );
    let images = out.len() / (outputs * out_plane).max(1);
    assert_eq!(
        out.len(),
        images * outputs * out_plane,
        "room for the output"
    );
    assert_eq!(
        x.len(),
        images * channels * in_plane,
        "as many images as the output has"
    );
    if out.is_empty() {
        return;
    }
    let steps = super::geometry::scaled(&row_strides(&shape.output), &shape.strides);
    let fields: Vec<(Vec<usize>, Field)> = weights
        .phases
        .iter()
        .map(|(phase, _)| shape.field(phase))
        .collect();
    // All phases see the same padded input.
    let Some((_, any)) = fields.first() else {
        return;
    };
    let mut canvas = Canvas::new(any, channels, T::ZERO, room);
    let epilogue = Epilogue {
        row_bias: bias,
        ..Epilogue::default()
    };
    for (image, out) in out.chunks_exact_mut(outputs * out_plane).enumerate() {
        canvas.fill(
            engine,
            any,
            &x[image * channels * in_plane..][..channels * in_plane],
        );
        for ((first, field), (_, weights)) in fields.iter().zip(&weights.phases) {
            let count = field.positions();
            if count == 0 {
                continue;
            }
            let start = first
                .iter()
                .zip(row_strides(&shape.output))
                .map(|(f, s)| f * s)
                .sum();
            let mut part = vec![T::ZERO; outputs * count];
            for_groups(
                engine,
                shape.groups,
                weights,
                field,
                canvas.at_channel(0),
                &epilogue,
                &mut part,
            );
            spread(
                &part,
                &positions(&field.output, &steps),
                start,
                out_plane,
                out,
            );
        }
    }
}

/// Puts the outputs of one phase where they belong in every channel.
fn spread<T: Real>(part: &[T], to: &[usize], start: usize, plane: usize, out: &mut [T]) {
    for (part, out) in part.chunks_exact(to.len()).zip(out.chunks_exact_mut(plane)) {
        for (x, to) in part.iter().zip(to) {
            out[start + to] = *x;
        }
    }
}
