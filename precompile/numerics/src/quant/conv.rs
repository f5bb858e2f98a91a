//! Convolution of bytes: gathered rows of positions times packed weights.

use super::gemm_bytes;
use super::pack::{ByteMatrix, Bytes, PackedBytes};
use crate::conv::ConvShape;
use crate::conv::geometry::Canvas;
use crate::engine::Engine;

/// Is how many output positions are gathered at a time.
const BLOCK_POSITIONS: usize = 96;

/// Computes the 32-bit sums of a convolution of bytes; padding takes part as the input's zero
/// point, so adds nothing.
///
/// `weights` holds, for every group, the weights as (channel and kernel position) x (output);
/// `w_zero` one zero point or one per output channel of all groups; `room` is memory for the padded
/// copy of an image.
///
/// # Panics
/// Panics when the shapes or the lengths of the slices do not fit.
// Spec: N-12
pub fn conv_bytes(
    engine: &Engine,
    shape: &ConvShape,
    x: Bytes<'_>,
    x_zero: i32,
    weights: &[PackedBytes],
    w_zero: &[i32],
    room: &mut Vec<u8>,
    out: &mut [i32],
) {
    let (x, signed) = x.raw();
    let field = shape.field();
    let positions = field.positions();
    let channels = shape.groups * shape.group_channels;
    let depth = shape.group_channels * shape.kernel_positions();
    assert_eq!(weights.len(), shape.groups, "weights for every group");
    let rows = weights.first().map_or(0, |weights| weights.shape()[1]);
    assert!(
        weights.iter().all(|w| w.shape() == [depth, rows]),
        "weights of equal shape"
    );
    let outputs = rows * shape.groups;
    let in_image = channels * shape.input_plane();
    let images = out.len() / (outputs * positions).max(1);
    assert_eq!(
        out.len(),
        images * outputs * positions,
        "room for the output"
    );
    assert_eq!(
        x.len(),
        images * in_image,
        "as many images as the output has"
    );
    assert!(
        w_zero.len() == 1 || w_zero.len() == outputs,
        "one zero point, or one per output"
    );
    if out.is_empty() {
        return;
    }
    // The low byte: a signed zero point lies in the canvas as the input's own bytes do.
    let mut canvas = Canvas::new(&field, channels, x_zero as u8, room);
    let offsets = field.offsets(depth, canvas.plane());
    let runs = field.runs(0..positions, usize::MAX);
    let bases: Vec<usize> = runs
        .iter()
        .flat_map(|run| (0..run.len).map(|i| run.base + i * field.step()))
        .collect();
    let mut gathered = vec![0u8; BLOCK_POSITIONS.min(positions) * depth];
    let mut sums = vec![0i32; BLOCK_POSITIONS.min(positions) * rows];
    for (image, out) in out.chunks_exact_mut(outputs * positions).enumerate() {
        canvas.fill(engine, &field, &x[image * in_image..][..in_image]);
        for (group, weights) in weights.iter().enumerate() {
            let source = canvas.at_channel(group * shape.group_channels);
            let out = &mut out[group * rows * positions..][..rows * positions];
            let zero = if w_zero.len() == 1 {
                w_zero
            } else {
                &w_zero[group * rows..][..rows]
            };
            for (block, bases) in bases.chunks(BLOCK_POSITIONS).enumerate() {
                for (row, base) in gathered.chunks_exact_mut(depth.max(1)).zip(bases) {
                    for (to, offset) in row.iter_mut().zip(&offsets) {
                        *to = source[base + offset];
                    }
                }
                let count = bases.len();
                let a = ByteMatrix::raw(&gathered, signed, [count, depth], [depth, 1]);
                let sums = &mut sums[..count * rows];
                gemm_bytes(engine, a, &[x_zero], weights, zero, sums);
                let start = block * BLOCK_POSITIONS;
                for (row, out) in out.chunks_exact_mut(positions).enumerate() {
                    for (i, to) in out[start..start + count].iter_mut().enumerate() {
                        *to = sums[i * rows + row];
                    }
                }
            }
        }
    }
}
