//! Gather, GatherElements, GatherND: elements picked by index tensors.

use super::super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx, axis_in};
use super::strided::row_major;
use super::{SCATTERED, index_in, moved, picked, product, size_from};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Data, Out, View};

/// Refuses index tensors that are not int32 or int64.
pub(crate) fn check_index_type(dtype: DType) -> Result<(), OpError> {
    match dtype {
        DType::I32 | DType::I64 => Ok(()),
        got => Err(OpError::Type {
            what: "int32 or int64 indices",
            got,
        }),
    }
}

/// Calls `each` with the position and value of every index.
pub(crate) fn for_each_index(
    indices: View<'_>,
    mut each: impl FnMut(usize, i64) -> Result<(), OpError>,
) -> Result<(), OpError> {
    match indices.data {
        Data::I64(list) => list
            .iter()
            .enumerate()
            .try_for_each(|(at, &index)| each(at, index)),
        Data::I32(list) => list
            .iter()
            .enumerate()
            .try_for_each(|(at, &index)| each(at, i64::from(index))),
        other => check_index_type(other.dtype()),
    }
}

/// Takes whole slices along an axis.
struct Gather {
    axis: i64,
}

impl Op for Gather {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (data, indices) = (cx.tensor(0)?, cx.tensor(1)?);
        check_index_type(indices.dtype)?;
        let axis = axis_in(self.axis, data.shape.len())?;
        let mut shape = data.shape[..axis].to_vec();
        shape.extend(&indices.shape);
        shape.extend(&data.shape[axis + 1..]);
        Ok(vec![Fact::tensor(data.dtype, shape)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let cost = moved(cx)?;
        let scattered = cx.input(1)?.count().saturating_mul(SCATTERED);
        Ok(Cost {
            elements: cost.elements.saturating_add(scattered),
            ..cost
        })
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (data, indices) = (ins.get(0)?, ins.get(1)?);
        let axis = axis_in(self.axis, data.shape.len())?;
        let dim = data.shape[axis];
        let inner = product(&data.shape[axis + 1..]);
        let mut picked = Vec::with_capacity(indices.len());
        for_each_index(indices, |_, index| {
            picked.push(index_in(index, dim)?);
            Ok(())
        })?;
        pair_kinds!(&mut *outs[0].data, data.data, |to, from| {
            gather(to, from, &picked, dim, inner);
            Ok(())
        })
    }
}

fn gather<T: Clone>(to: &mut [T], from: &[T], picked: &[usize], dim: usize, inner: usize) {
    let (rows, block) = (picked.len() * inner, dim * inner);
    if rows == 0 || block == 0 {
        return;
    }
    for (to, from) in to.chunks_exact_mut(rows).zip(from.chunks_exact(block)) {
        if inner == 1 {
            for (to, &index) in to.iter_mut().zip(picked) {
                *to = from[index].clone();
            }
            continue;
        }
        for (to, &index) in to.chunks_exact_mut(inner).zip(picked) {
            to.clone_from_slice(&from[index * inner..(index + 1) * inner]);
        }
    }
}

/// Fills the target with the slices of `len` elements that begin at the offsets.
pub(crate) fn copy_slices<T: Clone>(to: &mut [T], from: &[T], offsets: &[usize], len: usize) {
    if len == 1 {
        for (to, &at) in to.iter_mut().zip(offsets) {
            *to = from[at].clone();
        }
        return;
    }
    for (to, &at) in to.chunks_exact_mut(len.max(1)).zip(offsets) {
        to.clone_from_slice(&from[at..at + len]);
    }
}

/// Finds, for every element of an index tensor, the element of the data it names along an axis.
pub(crate) fn offsets_along(
    data: &[usize],
    indices: View<'_>,
    axis: usize,
) -> Result<Vec<usize>, OpError> {
    let strides = row_major(data);
    let mut at = vec![0usize; data.len()];
    // The part of the offset that the other axes make.
    let mut base = 0usize;
    let mut offsets = Vec::with_capacity(indices.len());
    for_each_index(indices, |_, index| {
        offsets.push(base + index_in(index, data[axis])? * strides[axis] as usize);
        for d in (0..at.len()).rev() {
            let step = if d == axis { 0 } else { strides[d] as usize };
            at[d] += 1;
            base += step;
            if at[d] < indices.shape[d] {
                break;
            }
            base -= step * at[d];
            at[d] = 0;
        }
        Ok(())
    })?;
    Ok(offsets)
}

/// Checks that an index tensor lies within the data on every axis but its own.
pub(crate) fn check_along(data: &[usize], indices: &[usize], axis: usize) -> Result<(), OpError> {
    let fits = data.len() == indices.len()
        && data
            .iter()
            .zip(indices)
            .enumerate()
            .all(|(at, (d, i))| at == axis || i <= d);
    if fits {
        return Ok(());
    }
    Err(OpError::Shape {
        why: "indices must have the data's rank and lie within its other dimensions",
        shapes: vec![data.to_vec(), indices.to_vec()],
    })
}

/// Takes single elements along an axis.
struct GatherElements {
    axis: i64,
}

impl Op for GatherElements {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (data, indices) = (cx.tensor(0)?, cx.tensor(1)?);
        check_index_type(indices.dtype)?;
        let axis = axis_in(self.axis, data.shape.len())?;
        check_along(&data.shape, &indices.shape, axis)?;
        Ok(vec![Fact::tensor(data.dtype, indices.shape.clone())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        picked(cx)
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (data, indices) = (ins.get(0)?, ins.get(1)?);
        let axis = axis_in(self.axis, data.shape.len())?;
        let offsets = offsets_along(data.shape, indices, axis)?;
        pair_kinds!(&mut *outs[0].data, data.data, |to, from| {
            copy_slices(to, from, &offsets, 1);
            Ok(())
        })
    }
}

/// Splits the shapes of GatherND and ScatterND.
pub(crate) struct Tuples {
    /// Elements of the data in one batch.
    batch_elements: usize,
    /// Index tuples in one batch.
    tuples: usize,
    /// Dimensions that a tuple indexes.
    dims: Vec<usize>,
    /// Elements of one slice that a tuple names.
    pub(crate) slice: usize,
    /// The shape of the picked slices together.
    pub(crate) shape: Vec<usize>,
}

impl Tuples {
    pub(crate) fn new(data: &[usize], indices: &[usize], batch: usize) -> Result<Self, OpError> {
        let refuse = |why| OpError::Shape {
            why,
            shapes: vec![data.to_vec(), indices.to_vec()],
        };
        let Some((&width, leading)) = indices.split_last() else {
            return Err(refuse("indices need at least one dimension"));
        };
        if batch > leading.len() || batch > data.len() || data[..batch] != indices[..batch] {
            return Err(refuse("the batch dimensions of data and indices differ"));
        }
        let rest = &data[batch..];
        if width > rest.len() {
            return Err(refuse("index tuples are longer than the data's rank"));
        }
        let (dims, slice) = rest.split_at(width);
        let shape = [leading, slice].concat();
        Ok(Self {
            batch_elements: product(rest),
            tuples: product(&leading[batch..]),
            dims: dims.to_vec(),
            slice: product(slice),
            shape,
        })
    }

    /// Finds the first element of the slice that each tuple names.
    pub(crate) fn offsets(&self, indices: View<'_>) -> Result<Vec<usize>, OpError> {
        let width = self.dims.len();
        let count = product(&indices.shape[..indices.shape.len() - 1]);
        let base = |tuple: usize| tuple / self.tuples.max(1) * self.batch_elements;
        if width == 0 {
            return Ok((0..count).map(base).collect());
        }
        let mut offsets = Vec::with_capacity(count);
        let mut offset = 0;
        for_each_index(indices, |at, index| {
            let (tuple, axis) = (at / width, at % width);
            let dim = self.dims[axis];
            offset = offset * dim + index_in(index, dim)?;
            if axis + 1 == width {
                offsets.push(base(tuple) + offset * self.slice);
                offset = 0;
            }
            Ok(())
        })?;
        Ok(offsets)
    }
}

/// Takes slices named by tuples of indices.
struct GatherNd {
    batch: usize,
}

impl Op for GatherNd {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (data, indices) = (cx.tensor(0)?, cx.tensor(1)?);
        check_index_type(indices.dtype)?;
        let tuples = Tuples::new(&data.shape, &indices.shape, self.batch)?;
        Ok(vec![Fact::tensor(data.dtype, tuples.shape)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let cost = moved(cx)?;
        let scattered = cx.input(1)?.count().saturating_mul(SCATTERED);
        Ok(Cost {
            elements: cost.elements.saturating_add(scattered),
            ..cost
        })
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (data, indices) = (ins.get(0)?, ins.get(1)?);
        let tuples = Tuples::new(data.shape, indices.shape, self.batch)?;
        let offsets = tuples.offsets(indices)?;
        pair_kinds!(&mut *outs[0].data, data.data, |to, from| {
            copy_slices(to, from, &offsets, tuples.slice);
            Ok(())
        })
    }
}

fn build_gather(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    Ok(Box::new(Gather {
        axis: cx.int_or("axis", 0)?,
    }))
}

fn gather_elements(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    Ok(Box::new(GatherElements {
        axis: cx.int_or("axis", 0)?,
    }))
}

fn gather_nd(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    let batch = if cx.opset() >= 12 {
        cx.int_or("batch_dims", 0)?
    } else {
        0
    };
    Ok(Box::new(GatherNd {
        batch: size_from(batch, "batch_dims cannot be negative")?,
    }))
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("Gather", 1, build_gather),
    Entry::onnx("GatherElements", 11, gather_elements),
    Entry::onnx("GatherND", 11, gather_nd),
];
