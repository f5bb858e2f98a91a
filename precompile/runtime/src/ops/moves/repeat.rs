//! Tile and Expand: elements repeated along dimensions.

use super::super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx, broadcast};
use super::strided::{Strided, row_major};
use super::{moved, size_from};
use crate::cost::Cost;
use crate::error::OpError;
use crate::tensor::Out;

/// Repeats the whole tensor along each axis.
struct Tile;

impl Op for Tile {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (fact, repeats) = (cx.tensor(0)?, cx.ints(1)?);
        if repeats.len() != fact.shape.len() {
            let got = repeats.len() as i64;
            return Err(OpError::Value {
                what: "repeats must have one entry for each axis",
                got,
            });
        }
        let mut shape = Vec::with_capacity(repeats.len());
        for (&dim, &times) in fact.shape.iter().zip(&repeats) {
            shape.push(dim.saturating_mul(size_from(times, "repeats cannot be negative")?));
        }
        Ok(vec![Fact::tensor(fact.dtype, shape)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        moved(cx)
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let input = ins.get(0)?;
        let out = &mut outs[0];
        // Each axis becomes two: the repeats, which do not move in the source, and the elements.
        let (to, from) = (row_major(out.shape), row_major(input.shape));
        let mut shape = Vec::with_capacity(2 * to.len());
        let (mut to_steps, mut from_steps) = (Vec::new(), Vec::new());
        for axis in 0..to.len() {
            let dim = input.shape[axis];
            shape.extend([out.shape[axis].checked_div(dim).unwrap_or(0), dim]);
            to_steps.extend([to[axis].saturating_mul(dim as isize), to[axis]]);
            from_steps.extend([0, from[axis]]);
        }
        let copy = Strided::new(&shape, (&to_steps, 0), (&from_steps, 0));
        pair_kinds!(&mut *out.data, input.data, |to, from| copy.copy(to, from))
    }
}

/// Broadcasts the tensor to a shape.
struct Expand;

impl Op for Expand {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let fact = cx.tensor(0)?;
        let sizes = cx
            .ints(1)?
            .into_iter()
            .map(|size| size_from(size, "a size cannot be negative"))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(vec![Fact::tensor(
            fact.dtype,
            broadcast(&fact.shape, &sizes)?,
        )])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        moved(cx)
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let input = ins.get(0)?;
        let out = &mut outs[0];
        let strides = row_major(input.shape);
        let mut steps = vec![0isize; out.shape.len().saturating_sub(input.shape.len())];
        for (&dim, &stride) in input.shape.iter().zip(&strides) {
            steps.push(if dim == 1 { 0 } else { stride });
        }
        let copy = Strided::into_rows(out.shape, (&steps, 0));
        pair_kinds!(&mut *out.data, input.data, |to, from| copy.copy(to, from))
    }
}

fn tile(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    Ok(Box::new(Tile))
}

fn expand(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    Ok(Box::new(Expand))
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("Tile", 6, tile),
    Entry::onnx("Expand", 8, expand),
];
