//! ScatterElements, ScatterND, TensorScatter: elements written by index tensors.
//!
//! Updates take effect in row-major order of the index tensor, so repeated indices have one answer.

use assay_numerics::cast::cast;
use assay_numerics::elementwise::Number;

use super::super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx, axis_in};
use super::gather::{Tuples, check_along, check_index_type, offsets_along};
use super::{SCATTERED, moved, product};
use crate::cost::Cost;
use crate::error::OpError;
use crate::tensor::{Data, Out};

/// Says what an update does to the element it meets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reduction {
    Replace,
    Add,
    Mul,
    Max,
    Min,
}

impl Reduction {
    fn read(cx: &NodeCx<'_>) -> Result<Self, OpError> {
        if cx.opset() < 16 {
            return Ok(Self::Replace);
        }
        match cx.string_or("reduction", "none")?.as_str() {
            "none" => Ok(Self::Replace),
            "add" => Ok(Self::Add),
            "mul" => Ok(Self::Mul),
            "max" if cx.opset() >= 18 => Ok(Self::Max),
            "min" if cx.opset() >= 18 => Ok(Self::Min),
            _ => Err(OpError::Attribute {
                name: "reduction",
                why: "is not a known reduction",
            }),
        }
    }

    // Spec: N-31
    fn combine<T: Number>(self, old: T, new: T) -> T {
        match self {
            Self::Replace => new,
            Self::Add => old.plus(new),
            Self::Mul => old.times(new),
            Self::Max => old.max_of(new),
            Self::Min => old.min_of(new),
        }
    }
}

/// Applies `updates`, slices of `slice` elements, at offsets into `data`.
fn scatter(
    data: &mut Data,
    updates: &Data,
    offsets: &[usize],
    slice: usize,
    reduction: Reduction,
) -> Result<(), OpError> {
    if slice == 0 {
        return Ok(());
    }
    if reduction == Reduction::Replace {
        return pair_kinds!(data, updates, |to, from| {
            for (&at, from) in offsets.iter().zip(from.chunks_exact(slice)) {
                to[at..at + slice].clone_from_slice(from);
            }
            Ok(())
        });
    }
    macro_rules! reduce {
        ([$($kind:ident)*] [$($half:ident)*]) => {
            match (data, updates) {
                $((Data::$kind(to), Data::$kind(from)) => {
                    reduce_slices(to, from, offsets, slice, reduction);
                    Ok(())
                })*
                // Spec: N-10: the whole node computes in f32 and rounds once.
                $((Data::$half(to), Data::$half(from)) => {
                    let (mut wide, mut other) = (vec![0f32; to.len()], vec![0f32; from.len()]);
                    cast(to.as_slice(), &mut wide);
                    cast(from.as_slice(), &mut other);
                    reduce_slices(&mut wide, &other, offsets, slice, reduction);
                    cast(wide.as_slice(), to.as_mut_slice());
                    Ok(())
                })*
                (to, _) => Err(OpError::Type {
                    what: "numbers for this reduction",
                    got: to.dtype(),
                }),
            }
        };
    }
    reduce!([F32 F64 I8 I16 I32 I64 U8 U16 U32 U64] [F16 Bf16])
}

fn reduce_slices<T: Number>(
    to: &mut [T],
    from: &[T],
    offsets: &[usize],
    slice: usize,
    reduction: Reduction,
) {
    for (&at, from) in offsets.iter().zip(from.chunks_exact(slice)) {
        for (to, from) in to[at..at + slice].iter_mut().zip(from) {
            *to = reduction.combine(*to, *from);
        }
    }
}

/// Counts copying the data and handling every update.
fn scatter_cost(cx: &CostCx<'_>) -> Result<Cost, OpError> {
    let updates = cx.input(2)?;
    let mut cost = moved(cx)?;
    let placed = updates.count().saturating_add(cx.input(1)?.count());
    cost.elements = cost
        .elements
        .saturating_add(placed.saturating_mul(SCATTERED));
    cost.bytes_read = cost.bytes_read.saturating_add(updates.size_bytes());
    Ok(cost)
}

fn check_updates(got: &[usize], expected: &[usize]) -> Result<(), OpError> {
    if got == expected {
        return Ok(());
    }
    Err(OpError::Shape {
        why: "updates do not have the shape that the indices name",
        shapes: vec![got.to_vec(), expected.to_vec()],
    })
}

/// Infers the output of a scatter: the data's own type and shape.
fn infer_data(cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
    let (data, updates) = (cx.tensor(0)?, cx.tensor(2)?);
    check_index_type(cx.tensor(1)?.dtype)?;
    if data.dtype != updates.dtype {
        return Err(OpError::ElementType {
            expected: data.dtype,
            got: updates.dtype,
        });
    }
    Ok(vec![Fact::tensor(data.dtype, data.shape.clone())])
}

/// Writes single elements along an axis.
struct ScatterElements {
    axis: i64,
    reduction: Reduction,
}

impl Op for ScatterElements {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (data, indices) = (cx.tensor(0)?, cx.tensor(1)?);
        let axis = axis_in(self.axis, data.shape.len())?;
        check_along(&data.shape, &indices.shape, axis)?;
        check_updates(&cx.tensor(2)?.shape, &indices.shape)?;
        infer_data(cx)
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        scatter_cost(cx)
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (data, indices, updates) = (ins.get(0)?, ins.get(1)?, ins.get(2)?);
        let axis = axis_in(self.axis, data.shape.len())?;
        let offsets = offsets_along(data.shape, indices, axis)?;
        outs[0].data.copy_from(data.data)?;
        scatter(outs[0].data, updates.data, &offsets, 1, self.reduction)
    }
}

/// Writes slices named by tuples of indices.
struct ScatterNd {
    reduction: Reduction,
}

impl Op for ScatterNd {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let tuples = Tuples::new(&cx.tensor(0)?.shape, &cx.tensor(1)?.shape, 0)?;
        check_updates(&cx.tensor(2)?.shape, &tuples.shape)?;
        infer_data(cx)
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        scatter_cost(cx)
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (data, indices, updates) = (ins.get(0)?, ins.get(1)?, ins.get(2)?);
        let tuples = Tuples::new(data.shape, indices.shape, 0)?;
        let offsets = tuples.offsets(indices)?;
        outs[0].data.copy_from(data.data)?;
        scatter(
            outs[0].data,
            updates.data,
            &offsets,
            tuples.slice,
            self.reduction,
        )
    }
}

/// Writes new positions of a key or value cache, each batch from its own position on.
struct TensorScatter {
    axis: i64,
    circular: bool,
}

impl TensorScatter {
    /// Checks the shapes and finds the axis.
    fn axis(&self, cache: &[usize], update: &[usize]) -> Result<usize, OpError> {
        let axis = axis_in(self.axis, cache.len())?;
        let fits = cache.len() == update.len()
            && axis > 0
            && cache
                .iter()
                .zip(update)
                .enumerate()
                .all(|(at, (c, u))| c == u || at == axis && u <= c);
        if fits {
            return Ok(axis);
        }
        Err(OpError::Shape {
            why: "the update must fit the cache, on an axis that is not the batch",
            shapes: vec![cache.to_vec(), update.to_vec()],
        })
    }
}

impl Op for TensorScatter {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (cache, update) = (cx.tensor(0)?, cx.tensor(1)?);
        self.axis(&cache.shape, &update.shape)?;
        if cache.dtype != update.dtype {
            return Err(OpError::ElementType {
                expected: cache.dtype,
                got: update.dtype,
            });
        }
        if let Some(indices) = cx.optional(2)? {
            check_index_type(indices.dtype)?;
            check_updates(&indices.shape, &cache.shape[..1])?;
        }
        Ok(vec![Fact::tensor(cache.dtype, cache.shape.clone())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let mut cost = moved(cx)?;
        cost.bytes_read = cost.bytes_read.saturating_add(cx.input(1)?.size_bytes());
        Ok(cost)
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (cache, update) = (ins.get(0)?, ins.get(1)?);
        let axis = self.axis(cache.shape, update.shape)?;
        let starts = match ins.optional(2) {
            Some(view) => view.to_i64s()?,
            None => vec![0; cache.shape[0]],
        };
        let (dim, count) = (cache.shape[axis], update.shape[axis]);
        let slice = product(&cache.shape[axis + 1..]);
        let rows = product(&cache.shape[1..axis]);
        let mut offsets = Vec::with_capacity(starts.len() * rows * count);
        for (batch, &start) in starts.iter().enumerate() {
            for row in 0..rows {
                for at in 0..count {
                    let position = start.saturating_add(at as i64);
                    let position = if self.circular {
                        position.rem_euclid(dim as i64)
                    } else {
                        position
                    };
                    if position < 0 || position >= dim as i64 {
                        return Err(OpError::Index {
                            index: position,
                            dim,
                        });
                    }
                    offsets.push(((batch * rows + row) * dim + position as usize) * slice);
                }
            }
        }
        outs[0].data.copy_from(cache.data)?;
        scatter(
            outs[0].data,
            update.data,
            &offsets,
            slice,
            Reduction::Replace,
        )
    }
}

fn scatter_elements(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(3..=3, 1)?;
    let reduction = Reduction::read(cx)?;
    Ok(Box::new(ScatterElements {
        axis: cx.int_or("axis", 0)?,
        reduction,
    }))
}

/// Builds the operator that ScatterElements replaced in opset 11.
fn old_scatter(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    if cx.opset() >= 11 {
        let what = "Scatter (ScatterElements replaced it in opset 11)".to_owned();
        return Err(OpError::Unsupported { what });
    }
    scatter_elements(cx)
}

fn scatter_nd(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(3..=3, 1)?;
    Ok(Box::new(ScatterNd {
        reduction: Reduction::read(cx)?,
    }))
}

fn tensor_scatter(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=3, 1)?;
    let circular = match cx.string_or("mode", "linear")?.as_str() {
        "linear" => false,
        "circular" => true,
        _ => {
            return Err(OpError::Attribute {
                name: "mode",
                why: "is not a known mode",
            });
        }
    };
    Ok(Box::new(TensorScatter {
        axis: cx.int_or("axis", -2)?,
        circular,
    }))
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("Scatter", 9, old_scatter),
    Entry::onnx("ScatterElements", 11, scatter_elements),
    Entry::onnx("ScatterND", 11, scatter_nd),
    Entry::onnx("TensorScatter", 24, tensor_scatter),
];
