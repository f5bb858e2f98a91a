//! Patches of images: adding them back together (Col2Im) and convolving moved ones (DeformConv).

use crate::conv::ConvShape;
use crate::conv::geometry::row_strides;
use crate::engine::Engine;
use crate::gemm::{Epilogue, Matrix, Real, Rhs, gemm};
use crate::grid::bilinear;
use crate::smooth::Smooth;

/// Adds blocks into images: every output starts at +0 and takes the kernel positions in ascending
/// order, each at most once.
///
/// `steps` gives strides, dilations and the padding before the image.
///
/// # Panics
/// Panics when the lengths do not fit.
// Spec: N-44
pub fn col2im<T: Real>(
    engine: &Engine,
    x: &[T],
    image: &[usize],
    block: &[usize],
    blocks: &[usize],
    steps: [&[usize]; 3],
    out: &mut [T],
) {
    let [strides, dilations, before] = steps;
    let plane: usize = image.iter().product();
    let (taps, columns): (usize, usize) = (block.iter().product(), blocks.iter().product());
    if out.is_empty() {
        return;
    }
    let planes = out.len() / plane;
    assert_eq!(
        x.len(),
        planes * taps * columns,
        "as many blocks as the images have"
    );
    let image_strides = row_strides(image);
    engine.pool().run_pieces(out, plane, |index, out| {
        out.fill(T::ZERO);
        let x = &x[index * taps * columns..][..taps * columns];
        for (tap, row) in x.chunks_exact(columns).enumerate() {
            for (column, value) in row.iter().enumerate() {
                let (mut tap, mut column) = (tap, column);
                let mut at = Some(0);
                for d in (0..image.len()).rev() {
                    let position = column % blocks[d] * strides[d] + tap % block[d] * dilations[d];
                    let inside = position.checked_sub(before[d]).filter(|i| *i < image[d]);
                    at = at.zip(inside).map(|(at, i)| at + i * image_strides[d]);
                    tap /= block[d];
                    column /= blocks[d];
                }
                if let Some(at) = at {
                    out[at] = out[at].plus(*value).canonical();
                }
            }
        }
    });
}

/// Describes a deformed convolution of images.
#[derive(Clone, Copy, Debug)]
pub struct Deform<'a, T> {
    /// Gives the plain convolution it deforms (two dimensions).
    pub shape: &'a ConvShape,
    /// Counts the output channels of a group.
    pub rows: usize,
    /// Counts the groups of channels that are moved alike.
    pub offset_groups: usize,
    /// Holds, per image, offset group and kernel position, the maps of y and of x.
    pub offsets: &'a [T],
    /// Holds, per image, offset group and kernel position, a map that multiplies the values.
    pub mask: Option<&'a [T]>,
    /// Holds one number per output channel.
    pub bias: Option<&'a [T]>,
}

/// Convolves at moved positions: bilinear values (zero outside), times the mask, then the chain of
/// rule N-3.
///
/// # Panics
/// Panics when the lengths do not fit.
// Spec: N-3, N-42
pub fn deform_conv<T: Smooth>(
    engine: &Engine,
    deform: &Deform<'_, T>,
    x: &[T],
    weights: &[T],
    out: &mut [T],
) {
    let s = deform.shape;
    let (taps, positions, plane) = (s.kernel_positions(), s.output_plane(), s.input_plane());
    let channels = s.groups * s.group_channels;
    let outputs = s.groups * deform.rows;
    let depth = s.group_channels * taps;
    let images = out.len() / (outputs * positions).max(1);
    assert_eq!(
        x.len(),
        images * channels * plane,
        "as many images as the output has"
    );
    assert_eq!(weights.len(), outputs * depth, "one weight per position");
    let maps = deform.offset_groups * taps * positions;
    assert_eq!(deform.offsets.len(), images * maps * 2, "two maps per tap");
    assert!(
        deform.mask.is_none_or(|mask| mask.len() == images * maps),
        "one map per tap"
    );
    if out.is_empty() {
        return;
    }
    let mut gathered = vec![T::ZERO; channels * taps * positions];
    for (image, out) in out.chunks_exact_mut(outputs * positions).enumerate() {
        if plane > 0 {
            let x = &x[image * channels * plane..][..channels * plane];
            engine
                .pool()
                .run_pieces(&mut gathered, positions, |row, into| {
                    let (channel, tap) = (row / taps, row % taps);
                    let group = channel / (channels / deform.offset_groups);
                    let map = (image * deform.offset_groups + group) * taps + tap;
                    let plane = &x[channel * plane..][..plane];
                    gather(deform, plane, tap, map, into);
                });
        }
        for group in 0..s.groups {
            let bias = deform
                .bias
                .map(|bias| &bias[group * deform.rows..][..deform.rows]);
            let epilogue = Epilogue {
                row_bias: bias,
                ..Epilogue::default()
            };
            let left = &weights[group * deform.rows * depth..][..deform.rows * depth];
            let left = Matrix::row_major(left, deform.rows, depth);
            let right = &gathered[group * depth * positions..][..depth * positions];
            let right = Rhs::Plain(Matrix::row_major(right, depth, positions));
            let out = &mut out[group * deform.rows * positions..][..deform.rows * positions];
            gemm(engine, left, right, &epilogue, out, positions);
        }
    }
}

/// Gathers one channel's values for one kernel position.
fn gather<T: Smooth>(deform: &Deform<'_, T>, plane: &[T], tap: usize, map: usize, into: &mut [T]) {
    let s = deform.shape;
    let (&[height, width], &[_, kernel_width], &[_, out_width]) =
        (&s.input[..], &s.kernel[..], &s.output[..])
    else {
        return;
    };
    let positions = into.len();
    let moved = &deform.offsets[map * 2 * positions..][..2 * positions];
    let (down, across) = moved.split_at(positions);
    let place = |d: usize, out: usize, tap: usize, offset: T| {
        let base = (out * s.strides[d] + tap * s.dilations[d]) as f64 - s.pads[d] as f64;
        T::rounded(base).plus(offset)
    };
    for (i, into) in into.iter_mut().enumerate() {
        let y = place(0, i / out_width, tap / kernel_width, down[i]);
        let x = place(1, i % out_width, tap % kernel_width, across[i]);
        let value = bilinear(plane, [height, width], [y, x]);
        *into = match deform.mask {
            Some(mask) => value.times(mask[map * positions + i]),
            None => value,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::{ConvWeights, conv};
    use crate::gemm::test_numbers as numbers;

    #[test]
    fn overlapping_blocks_add_up_in_order() {
        // Two blocks of two over three positions: the middle takes both.
        let mut out = [0.0f32; 3];
        let steps: [&[usize]; 3] = [&[1], &[1], &[0]];
        col2im(
            &Engine::single(),
            &[1.0, 2.0, 4.0, 8.0],
            &[3],
            &[2],
            &[2],
            steps,
            &mut out,
        );
        assert_eq!(out, [1.0, 2.0 + 4.0, 8.0]);
    }

    #[test]
    fn without_offsets_it_is_the_plain_convolution() {
        let shape = ConvShape {
            groups: 2,
            group_channels: 2,
            input: vec![5, 6],
            kernel: vec![3, 2],
            strides: vec![1, 2],
            dilations: vec![1, 1],
            pads: vec![1, 0],
            output: vec![5, 3],
        };
        let (x, w) = (numbers(1, 120), numbers(2, 72));
        let bias = numbers(3, 6);
        let engine = Engine::new(crate::isa::Isa::detect(), 2);
        let weights = ConvWeights::new(&w, 2, 3, 12);
        let mut want = vec![0.0; 90];
        let room = &mut Vec::new();
        conv(
            &engine,
            &shape,
            &x,
            &weights,
            Some(&bias),
            false,
            room,
            &mut want,
        );
        let offsets = vec![0.0; 2 * 6 * 15];
        let deform = Deform {
            shape: &shape,
            rows: 3,
            offset_groups: 1,
            offsets: &offsets,
            mask: None,
            bias: Some(&bias),
        };
        let mut got = vec![0.0; 90];
        deform_conv(&engine, &deform, &x, &w, &mut got);
        assert_eq!(got, want);
    }
}
