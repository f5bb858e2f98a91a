//! Where a convolution's numbers lie: the padded copy, kernel offsets and output positions.

use crate::aligned::{Aligned, Plain};
use crate::engine::Engine;

/// Is how many numbers past the end of the copy may be read: gathers load whole registers.
pub(crate) const MARGIN: usize = 64;

/// Describes a convolution of images with any number of spatial dimensions.
///
/// All lists have one entry per dimension, outermost first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Counts the groups that channels are divided into.
    pub groups: usize,
    /// Counts the input channels of one group.
    pub group_channels: usize,
    /// Gives the input's size.
    pub input: Vec<usize>,
    /// Gives the kernel's size.
    pub kernel: Vec<usize>,
    /// Gives the distance between output positions.
    pub strides: Vec<usize>,
    /// Gives the distance between kernel positions.
    pub dilations: Vec<usize>,
    /// Counts the zeros before the input (those after follow from the output's size).
    pub pads: Vec<usize>,
    /// Gives the output's size.
    pub output: Vec<usize>,
}

impl ConvShape {
    /// Returns the numbers in one input channel.
    pub fn input_plane(&self) -> usize {
        self.input.iter().product()
    }

    /// Returns the numbers in one output channel.
    pub fn output_plane(&self) -> usize {
        self.output.iter().product()
    }

    /// Returns the number of kernel positions.
    pub fn kernel_positions(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Lays the convolution out.
    pub(crate) fn field(&self) -> Field {
        let dims = self.input.len();
        let same = [
            &self.kernel,
            &self.strides,
            &self.dilations,
            &self.pads,
            &self.output,
        ];
        assert!(
            same.iter().all(|list| list.len() == dims),
            "one entry per dimension"
        );
        let padded: Vec<usize> = (0..dims)
            .map(|d| {
                let reach = self.output[d].saturating_sub(1) * self.strides[d]
                    + self.kernel[d].saturating_sub(1) * self.dilations[d]
                    + 1;
                reach.max(self.pads[d] + self.input[d])
            })
            .collect();
        let taps = positions(
            &self.kernel,
            &scaled(&row_strides(&padded), &self.dilations),
        );
        Field {
            input: self.input.clone(),
            pads: self.pads.clone(),
            steps: scaled(&row_strides(&padded), &self.strides),
            padded,
            output: self.output.clone(),
            taps,
        }
    }
}

/// Is a convolution laid out on its padded input.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) input: Vec<usize>,
    pub(crate) pads: Vec<usize>,
    pub(crate) padded: Vec<usize>,
    /// Gives the distance in the padded input between neighbours of the output.
    pub(crate) steps: Vec<usize>,
    pub(crate) output: Vec<usize>,
    /// Gives each kernel position's distance from the output's base.
    pub(crate) taps: Vec<usize>,
}

/// Is a piece of an output row: adjacent outputs, whose inputs are `step` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) position: usize,
    pub(crate) base: usize,
    pub(crate) len: usize,
}

impl Field {
    /// Returns the number of outputs in one channel.
    pub(crate) fn positions(&self) -> usize {
        self.output.iter().product()
    }

    /// Returns the number of input channels in `depth` weights.
    pub(crate) fn channels(&self, depth: usize) -> usize {
        depth / self.taps.len().max(1)
    }

    /// Returns the distance between the inputs of neighbours in a row.
    pub(crate) fn step(&self) -> usize {
        self.steps.last().copied().unwrap_or(1)
    }

    /// Lists, k ascending, each weight's distance from the output's base.
    pub(crate) fn offsets(&self, depth: usize, plane: usize) -> Vec<usize> {
        (0..self.channels(depth))
            .flat_map(|channel| self.taps.iter().map(move |tap| channel * plane + tap))
            .collect()
    }

    /// Lists the runs that make up a range of positions, none longer than `most` nor crossing a
    /// multiple of it.
    pub(crate) fn runs(&self, range: std::ops::Range<usize>, most: usize) -> Vec<Run> {
        let width = self.output.last().copied().unwrap_or(1);
        let mut runs = Vec::new();
        let mut position = range.start;
        while position < range.end {
            let (row, column) = (position / width, position % width);
            let mut base = column * self.step();
            let mut rest = row;
            let outer = self.output.len().saturating_sub(1);
            for (size, step) in self.output[..outer].iter().zip(&self.steps[..outer]).rev() {
                base += rest % size * step;
                rest /= size;
            }
            let to_border = most - (position - range.start) % most;
            let len = (width - column).min(range.end - position).min(to_border);
            runs.push(Run {
                position,
                base,
                len,
            });
            position += len;
        }
        runs
    }
}

/// Holds one image with its padding and a margin.
pub(crate) struct Canvas<T> {
    data: Aligned<T>,
    plane: usize,
}

impl<T: Plain> Canvas<T> {
    /// Makes an empty canvas: all padding.
    pub(crate) fn new(field: &Field, channels: usize) -> Self {
        let plane: usize = field.padded.iter().product();
        Self {
            data: Aligned::zeroed(plane * channels + MARGIN),
            plane,
        }
    }

    /// Makes a canvas whose padding is not zero.
    pub(crate) fn filled(field: &Field, channels: usize, value: T) -> Self {
        let mut canvas = Self::new(field, channels);
        canvas.data.fill(value);
        canvas
    }

    /// Returns the numbers in one padded channel.
    pub(crate) fn plane(&self) -> usize {
        self.plane
    }

    /// Returns all from one channel on.
    pub(crate) fn at_channel(&self, channel: usize) -> &[T] {
        &self.data[channel * self.plane..]
    }

    /// Copies an image in; the padding stays as it is.
    pub(crate) fn fill(&mut self, engine: &Engine, field: &Field, x: &[T]) {
        /// Is the number of elements from which threads pay.
        const THREAD_ELEMENTS: usize = 1 << 16;
        let in_plane: usize = field.input.iter().product();
        if in_plane == 0 {
            return;
        }
        let width = field.input.last().copied().unwrap_or(1);
        let pad = field.pads.last().copied().unwrap_or(0);
        let strides = row_strides(&field.padded);
        let outer = field.input.len().saturating_sub(1);
        let copy = |channel: usize, plane: &mut [T]| {
            let Some(x) = x.get(channel * in_plane..(channel + 1) * in_plane) else {
                return;
            };
            for (row, x) in x.chunks_exact(width).enumerate() {
                let (mut start, mut rest) = (pad, row);
                for d in (0..outer).rev() {
                    start += (rest % field.input[d] + field.pads[d]) * strides[d];
                    rest /= field.input[d];
                }
                plane[start..start + width].copy_from_slice(x);
            }
        };
        let (plane, channels) = (self.plane, x.len() / in_plane);
        let planes = &mut self.data[..plane * channels];
        if x.len() < THREAD_ELEMENTS {
            planes
                .chunks_exact_mut(plane)
                .enumerate()
                .for_each(|(i, plane)| copy(i, plane));
        } else {
            engine.pool().run_pieces(planes, plane, copy);
        }
    }
}

/// Returns the row-major strides of a shape.
pub(crate) fn row_strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for d in (1..shape.len()).rev() {
        strides[d - 1] = strides[d] * shape[d];
    }
    strides
}

/// Multiplies entry by entry.
pub(crate) fn scaled(strides: &[usize], by: &[usize]) -> Vec<usize> {
    strides
        .iter()
        .zip(by)
        .map(|(stride, by)| stride * by)
        .collect()
}

/// Lists the offsets of all positions of a shape, the last dimension fastest.
pub(crate) fn positions(shape: &[usize], strides: &[usize]) -> Vec<usize> {
    shape
        .iter()
        .zip(strides)
        .fold(vec![0], |offsets, (size, stride)| {
            offsets
                .iter()
                .flat_map(|offset| (0..*size).map(move |i| offset + i * stride))
                .collect()
        })
}
