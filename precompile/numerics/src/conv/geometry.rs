//! Where a convolution's numbers lie: the padded copy, kernel offsets and output positions.

use crate::aligned::Plain;
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
        let mut offsets = Vec::with_capacity(depth);
        for channel in 0..self.channels(depth) {
            offsets.extend(self.taps.iter().map(|tap| channel * plane + tap));
        }
        offsets
    }

    /// Tells whether the padded input is the input.
    pub(crate) fn is_unpadded(&self) -> bool {
        self.padded == self.input
    }

    /// Copies one channel with its padding around it.
    fn pad_plane<T: Copy>(&self, x: &[T], padding: T, plane: &mut [T]) {
        let (Some(&width), Some(&padded)) = (self.input.last(), self.padded.last()) else {
            plane.copy_from_slice(x);
            return;
        };
        let pad = self.pads.last().copied().unwrap_or(0);
        let outer = self.input.len() - 1;
        let mut rows = x.chunks_exact(width);
        for (row, to) in plane.chunks_exact_mut(padded).enumerate() {
            let mut rest = row;
            let mut inside = true;
            for d in (0..outer).rev() {
                let at = (rest % self.padded[d]).wrapping_sub(self.pads[d]);
                inside &= at < self.input[d];
                rest /= self.padded[d];
            }
            // Rows inside come in the order of the input's own.
            match inside.then(|| rows.next()).flatten() {
                Some(x) => {
                    to[..pad].fill(padding);
                    to[pad..pad + width].copy_from_slice(x);
                    to[pad + width..].fill(padding);
                }
                None => to.fill(padding),
            }
        }
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

/// Holds one image with its padding and a margin, in memory that is used again and again.
pub(crate) struct Canvas<'a, T> {
    data: &'a mut [T],
    plane: usize,
    padding: T,
}

impl<'a, T: Plain> Canvas<'a, T> {
    /// Takes room for the channels of a field; what lies there is overwritten by [`Canvas::fill`].
    pub(crate) fn new(field: &Field, channels: usize, padding: T, room: &'a mut Vec<T>) -> Self {
        let plane: usize = field.padded.iter().product();
        let len = plane * channels + MARGIN;
        if room.len() < len {
            room.resize(len, padding);
        }
        Self {
            data: &mut room[..len],
            plane,
            padding,
        }
    }

    /// Returns the numbers in one padded channel.
    pub(crate) fn plane(&self) -> usize {
        self.plane
    }

    /// Returns all from one channel on.
    pub(crate) fn at_channel(&self, channel: usize) -> &[T] {
        &self.data[channel * self.plane..]
    }

    /// Copies an image in, with the padding around it.
    pub(crate) fn fill(&mut self, engine: &Engine, field: &Field, x: &[T]) {
        /// Is the number of elements from which threads pay.
        const THREAD_ELEMENTS: usize = 1 << 14;
        let in_plane: usize = field.input.iter().product();
        let (plane, padding) = (self.plane, self.padding);
        if plane == 0 {
            return;
        }
        let channels = (self.data.len() - MARGIN) / plane;
        let planes = &mut self.data[..plane * channels];
        if in_plane == 0 {
            planes.fill(padding);
            return;
        }
        let copy = |channel: usize, plane: &mut [T]| {
            if let Some(x) = x.get(channel * in_plane..(channel + 1) * in_plane) {
                field.pad_plane(x, padding, plane);
            }
        };
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
