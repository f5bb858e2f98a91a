//! Convolutions: every output is the chain of rule N-2 over (input channel, kernel position).
//!
//! Data flows: the input of one image is copied with its padding (+0) and a margin; every kernel
//! position is then a constant offset into that copy, every output position a base, and they
//! simply add. Runs of adjacent outputs become vector lanes. Layers with several output channels
//! per group gather panels and use the matrix microkernels; the others (depthwise) work in place.
//! Both follow the same chain, so which one runs is a matter of speed only.

mod direct;
pub(crate) mod geometry;
mod panels;
mod transpose;

#[cfg(test)]
mod tests;

pub use geometry::ConvShape;
pub use transpose::{TransposeShape, TransposeWeights, conv_transpose};

use self::direct::direct_rows;
use self::geometry::{Canvas, Field};
use self::panels::{Patch, STRIP, gather_and_multiply, pack_weights};
use crate::engine::Engine;
use crate::gemm::{Epilogue, Matrix, Real};
use crate::pool::SharedSlice;

/// Is the number of output channels per group from which gathered panels beat working in place.
const PANEL_CHANNELS: usize = 4;
/// Is the number of multiply-adds from which threads pay.
const THREAD_WORK: usize = 1 << 18;

/// Holds a convolution's weights in the order its kernel reads them.
#[derive(Clone, Debug)]
pub struct ConvWeights<T> {
    /// Lies, group by group, in strips (gathered) or in rows (in place).
    data: Vec<T>,
    rows: usize,
    depth: usize,
    groups: usize,
}

impl<T: Real> ConvWeights<T> {
    /// Packs `groups * rows` output channels of `depth` weights (input channel, then kernel
    /// position).
    ///
    /// # Panics
    /// Panics when the slice has another length.
    pub fn new(weights: &[T], groups: usize, rows: usize, depth: usize) -> Self {
        assert_eq!(
            weights.len(),
            groups * rows * depth,
            "one weight per position"
        );
        let data = if rows < PANEL_CHANNELS || depth == 0 {
            weights.to_vec()
        } else {
            weights
                .chunks_exact(rows * depth)
                .flat_map(|group| pack_weights(Matrix::row_major(group, rows, depth)))
                .collect()
        };
        Self {
            data,
            rows,
            depth,
            groups,
        }
    }

    /// Returns the bytes held.
    pub fn size_bytes(&self) -> usize {
        self.data.len() * size_of::<T>()
    }

    /// Returns one group's part.
    fn group(&self, group: usize) -> &[T] {
        let size = self.data.len() / self.groups.max(1);
        &self.data[group * size..][..size]
    }
}

/// Convolves `batch` images; `bias` holds one number per output channel.
///
/// # Panics
/// Panics when the shapes or the lengths of the slices do not fit.
// Spec: N-3
pub fn conv<T: Real>(
    engine: &Engine,
    shape: &ConvShape,
    x: &[T],
    weights: &ConvWeights<T>,
    bias: Option<&[T]>,
    relu: bool,
    out: &mut [T],
) {
    let field = shape.field();
    let channels = shape.groups * shape.group_channels;
    let rows = weights.rows;
    let outputs = weights.groups * rows;
    let (in_plane, positions) = (shape.input_plane(), shape.output_plane());
    assert_eq!(weights.groups, shape.groups, "groups of the weights");
    assert_eq!(
        weights.depth,
        shape.group_channels * shape.kernel_positions(),
        "weights per output"
    );
    assert!(
        bias.is_none_or(|bias| bias.len() == outputs),
        "one bias per output channel"
    );
    let images = out.len() / (outputs * positions).max(1);
    assert_eq!(
        out.len(),
        images * outputs * positions,
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
    let mut canvas = Canvas::new(&field, channels);
    let epilogue = Epilogue {
        row_bias: bias,
        relu,
        ..Epilogue::default()
    };
    let image = channels * in_plane;
    for (i, out) in out.chunks_exact_mut(outputs * positions).enumerate() {
        canvas.fill(engine, &field, &x[i * image..][..image]);
        for_groups(
            engine,
            shape.groups,
            weights,
            &field,
            &canvas,
            &epilogue,
            out,
        );
    }
}

/// Computes all groups of one image, whose outputs lie channel by channel.
fn for_groups<T: Real>(
    engine: &Engine,
    groups: usize,
    weights: &ConvWeights<T>,
    field: &Field,
    canvas: &Canvas<T>,
    epilogue: &Epilogue<'_, T>,
    out: &mut [T],
) {
    let (rows, positions) = (weights.rows, field.positions());
    let offsets = field.offsets(weights.depth, canvas.plane());
    let channels = field.channels(weights.depth);
    let work = out.len() * weights.depth;
    let threads = if work < THREAD_WORK {
        1
    } else {
        engine.pool().threads()
    };
    let in_place = rows < PANEL_CHANNELS || weights.depth == 0;
    let [row_step, position_step] = if in_place {
        [rows, positions]
    } else {
        panels::cut(groups, rows, positions, threads)
    };
    let (down, across) = (rows.div_ceil(row_step), positions.div_ceil(position_step));
    let shared = SharedSlice::new(out);
    let bias_of = |group: usize| {
        let bias = epilogue.row_bias.map(|bias| &bias[group * rows..][..rows]);
        Epilogue {
            row_bias: bias,
            ..*epilogue
        }
    };
    let chunk = |index: usize| {
        let (group, rest) = (index / (down * across), index % (down * across));
        let (row, position) = (rest / across * row_step, rest % across * position_step);
        let patch = Patch {
            source: canvas.at_channel(group * channels),
            offsets: &offsets,
            field,
            rows: row..(row + row_step).min(rows),
            positions: position..(position + position_step).min(positions),
        };
        let epilogue = bias_of(group);
        let out_start = group * rows * positions;
        let weights = weights.group(group);
        if in_place {
            direct_rows(engine, &patch, weights, &epilogue, shared, out_start);
        } else {
            gather_and_multiply(engine, &patch, weights, &epilogue, shared, out_start);
        }
    };
    let chunks = groups * down * across;
    if threads == 1 {
        (0..chunks).for_each(chunk);
    } else {
        engine.pool().run(chunks, chunk);
    }
    const { assert!(STRIP > PANEL_CHANNELS) };
}
