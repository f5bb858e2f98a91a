//! Convolutions: every output is the chain of rule N-2 over (input channel, kernel position).
//!
//! Data flows: the input of one image is copied with its padding (+0) and a margin; every kernel
//! position is then a constant offset into that copy, every output position a base, and they
//! simply add. Groups of many output channels take those as vector lanes and read inputs one by one;
//! groups of several gather runs of adjacent outputs into panels for the matrix microkernels; the
//! others (depthwise) take the runs as lanes, in place. All follow the same chain, so which one runs
//! is a matter of speed only.

mod direct;
pub(crate) mod geometry;
mod lanes;
mod panels;
mod transpose;

#[cfg(test)]
mod tests;

pub use geometry::ConvShape;
pub use transpose::{TransposeShape, TransposeWeights, conv_transpose};

use self::direct::direct_rows;
use self::geometry::{Canvas, Field};
use self::lanes::multiply_in_place;
use self::panels::{Patch, STRIP, gather_and_multiply, pack_weights};
use crate::engine::Engine;
use crate::gemm::{Epilogue, Matrix, PackedB, Real};
use crate::pool::SharedSlice;

/// Is the number of output channels per group from which gathered panels beat working in place.
const PANEL_CHANNELS: usize = 4;
/// Is the number of output channels per group from which channels make the better lanes.
const LANE_CHANNELS: usize = 32;
/// Is the number of multiply-adds from which threads pay.
const THREAD_WORK: usize = 1 << 18;

/// Holds a convolution's weights in the order its kernel reads them.
#[derive(Clone, Debug)]
pub struct ConvWeights<T> {
    layout: Layout<T>,
    rows: usize,
    depth: usize,
    groups: usize,
}

/// Is the order of the weights, group by group: which kernel reads them.
#[derive(Clone, Debug)]
enum Layout<T> {
    /// Rows as they come, for working in place.
    Rows(Vec<T>),
    /// Strips of output channels, for gathered panels.
    Strips(Vec<T>),
    /// Panels of output channels, one matrix for each group.
    Lanes(Vec<PackedB<T>>),
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
        let layout = if rows < PANEL_CHANNELS || depth == 0 {
            Layout::Rows(weights.to_vec())
        } else {
            let matrices = weights
                .chunks_exact(rows * depth)
                .map(|group| Matrix::row_major(group, rows, depth));
            if rows < LANE_CHANNELS {
                Layout::Strips(matrices.flat_map(pack_weights).collect())
            } else {
                let packed = matrices.map(|group| PackedB::new(group.transposed()));
                Layout::Lanes(packed.collect())
            }
        };
        Self {
            layout,
            rows,
            depth,
            groups,
        }
    }

    /// Returns the bytes held.
    pub fn size_bytes(&self) -> usize {
        match &self.layout {
            Layout::Rows(data) | Layout::Strips(data) => data.len() * size_of::<T>(),
            Layout::Lanes(groups) => groups.iter().map(PackedB::size_bytes).sum(),
        }
    }
}

/// Convolves `batch` images; `bias` holds one number per output channel. `room` is memory for the padded
/// copy of an image: keeping it from call to call spares asking the system for it.
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
    room: &mut Vec<T>,
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
    let epilogue = Epilogue {
        row_bias: bias,
        relu,
        ..Epilogue::default()
    };
    let image = channels * in_plane;
    let in_place = field.is_unpadded() && matches!(weights.layout, Layout::Lanes(_));
    let mut canvas = (!in_place).then(|| Canvas::new(&field, channels, T::ZERO, room));
    for (i, out) in out.chunks_exact_mut(outputs * positions).enumerate() {
        let x = &x[i * image..][..image];
        // Channels as lanes read nothing beyond what they need: no copy without padding.
        let source = match &mut canvas {
            Some(canvas) => {
                canvas.fill(engine, &field, x);
                canvas.at_channel(0)
            }
            None => x,
        };
        for_groups(
            engine,
            shape.groups,
            weights,
            &field,
            source,
            &epilogue,
            out,
        );
    }
}

/// Computes all groups of one padded image, whose outputs lie channel by channel.
fn for_groups<T: Real>(
    engine: &Engine,
    groups: usize,
    weights: &ConvWeights<T>,
    field: &Field,
    source: &[T],
    epilogue: &Epilogue<'_, T>,
    out: &mut [T],
) {
    let (rows, positions) = (weights.rows, field.positions());
    let plane: usize = field.padded.iter().product();
    let offsets = field.offsets(weights.depth, plane);
    let channels = field.channels(weights.depth);
    let work = out.len() * weights.depth;
    let threads = if work < THREAD_WORK {
        1
    } else {
        engine.pool().threads()
    };
    let [row_step, position_step] = match &weights.layout {
        Layout::Rows(_) => [rows, positions],
        Layout::Strips(_) => panels::cut(groups, rows, positions, threads),
        Layout::Lanes(_) => lanes::cut(groups, rows, positions, threads),
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
            source: &source[group * channels * plane..],
            offsets: &offsets,
            field,
            rows: row..(row + row_step).min(rows),
            positions: position..(position + position_step).min(positions),
            next_row: (rest + 1) / across * row_step,
        };
        let epilogue = bias_of(group);
        let out_start = group * rows * positions;
        let size = rows * weights.depth;
        let part = group * size..(group + 1) * size;
        match &weights.layout {
            Layout::Rows(data) => {
                direct_rows(engine, &patch, &data[part], &epilogue, shared, out_start);
            }
            Layout::Strips(data) => {
                gather_and_multiply(engine, &patch, &data[part], &epilogue, shared, out_start);
            }
            Layout::Lanes(matrices) => {
                let weights = &matrices[group];
                multiply_in_place(engine, &patch, weights, &epilogue, shared, out_start);
            }
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
