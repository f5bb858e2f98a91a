//! Concat and Split: tensors side by side along one axis.

use super::super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx, axis_in};
use super::{moved, product, size_from};
use crate::cost::Cost;
use crate::error::OpError;
use crate::tensor::{Out, View};

/// Joins the inputs along an axis.
struct Concat {
    axis: i64,
}

impl Op for Concat {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let first = cx.tensor(0)?;
        let axis = axis_in(self.axis, first.shape.len())?;
        let mut shape = first.shape.clone();
        for input in 1..cx.inputs() {
            let fact = cx.tensor(input)?;
            if fact.dtype != first.dtype {
                return Err(OpError::ElementType {
                    expected: first.dtype,
                    got: fact.dtype,
                });
            }
            check_joins(&shape, &fact.shape, axis)?;
            shape[axis] = shape[axis].saturating_add(fact.shape[axis]);
        }
        Ok(vec![Fact::tensor(first.dtype, shape)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        moved(cx)
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let out = &mut outs[0];
        let axis = axis_in(self.axis, out.shape.len())?;
        let mut at = 0;
        for input in 0..ins.len() {
            let input = ins.get(input)?;
            place_part(out, input, axis, at)?;
            at += input.shape[axis];
        }
        Ok(())
    }
}

/// Refuses two tensors that differ anywhere but along the axis.
pub(crate) fn check_joins(a: &[usize], b: &[usize], axis: usize) -> Result<(), OpError> {
    let fits = a.len() == b.len()
        && a.iter()
            .zip(b)
            .enumerate()
            .all(|(at, (a, b))| at == axis || a == b);
    if fits {
        return Ok(());
    }
    Err(OpError::Shape {
        why: "tensors may differ only along the axis they are joined on",
        shapes: vec![a.to_vec(), b.to_vec()],
    })
}

/// Copies a whole tensor into a longer one, from position `at` of the axis on.
pub(crate) fn place_part(
    out: &mut Out<'_>,
    part: View<'_>,
    axis: usize,
    at: usize,
) -> Result<(), OpError> {
    let inner = product(&out.shape[axis + 1..]);
    let (row, width) = (out.shape[axis] * inner, part.shape[axis] * inner);
    pair_kinds!(&mut *out.data, part.data, |to, from| {
        place(to, from, row, at * inner, width);
        Ok(())
    })
}

/// Fills a tensor with the part of a longer one that begins at position `at` of the axis.
pub(crate) fn take_part(
    out: &mut Out<'_>,
    whole: View<'_>,
    axis: usize,
    at: usize,
) -> Result<(), OpError> {
    let inner = product(&out.shape[axis + 1..]);
    let (row, width) = (whole.shape[axis] * inner, out.shape[axis] * inner);
    pair_kinds!(&mut *out.data, whole.data, |to, from| {
        take(to, from, row, at * inner, width);
        Ok(())
    })
}

/// Copies rows of `width` elements into rows of `row` elements, from column `at` on.
fn place<T: Clone>(to: &mut [T], from: &[T], row: usize, at: usize, width: usize) {
    if width == 0 || row == 0 {
        return;
    }
    for (to, from) in to.chunks_exact_mut(row).zip(from.chunks_exact(width)) {
        to[at..at + width].clone_from_slice(from);
    }
}

/// Copies columns `at..at + width` of rows of `row` elements.
fn take<T: Clone>(to: &mut [T], from: &[T], row: usize, at: usize, width: usize) {
    if width == 0 || row == 0 {
        return;
    }
    for (to, from) in to.chunks_exact_mut(width).zip(from.chunks_exact(row)) {
        to.clone_from_slice(&from[at..at + width]);
    }
}

/// Cuts input 0 along an axis.
struct Split {
    axis: i64,
    rule: Parts,
}

/// Decides the sizes of the parts.
enum Parts {
    /// By an attribute.
    Listed(Vec<i64>),
    /// By input 1.
    Input,
    /// Equal parts; the last may be smaller when `uneven`.
    Equal { uneven: bool },
}

impl Op for Split {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let fact = cx.tensor(0)?;
        let axis = axis_in(self.axis, fact.shape.len())?;
        let dim = fact.shape[axis];
        let parts = match &self.rule {
            Parts::Listed(sizes) => listed(sizes, dim)?,
            Parts::Input => listed(&cx.ints(1)?, dim)?,
            Parts::Equal { uneven } => equal(dim, cx.outputs(), *uneven)?,
        };
        if parts.len() != cx.outputs() {
            let got = parts.len() as i64;
            return Err(OpError::Value {
                what: "parts and outputs differ in number",
                got,
            });
        }
        let part = |size| {
            let mut shape = fact.shape.clone();
            shape[axis] = size;
            Fact::tensor(fact.dtype, shape)
        };
        Ok(parts.into_iter().map(part).collect())
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        moved(cx)
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let input = ins.get(0)?;
        let axis = axis_in(self.axis, input.shape.len())?;
        let mut at = 0;
        for out in outs {
            take_part(out, input, axis, at)?;
            at += out.shape[axis];
        }
        Ok(())
    }
}

/// Checks listed parts: they fill the dimension exactly.
pub(crate) fn listed(sizes: &[i64], dim: usize) -> Result<Vec<usize>, OpError> {
    let sizes = sizes
        .iter()
        .map(|&size| size_from(size, "a part cannot be negative"))
        .collect::<Result<Vec<_>, _>>()?;
    let sum = sizes
        .iter()
        .fold(0usize, |sum, &size| sum.saturating_add(size));
    if sum != dim {
        return Err(OpError::Shape {
            why: "the parts do not fill the dimension",
            shapes: vec![vec![dim], sizes],
        });
    }
    Ok(sizes)
}

fn equal(dim: usize, parts: usize, uneven: bool) -> Result<Vec<usize>, OpError> {
    if parts == 0 {
        return Err(OpError::Value {
            what: "there must be an output",
            got: 0,
        });
    }
    if !uneven && !dim.is_multiple_of(parts) {
        return Err(OpError::Shape {
            why: "the dimension does not divide into the outputs",
            shapes: vec![vec![dim], vec![parts]],
        });
    }
    let size = dim.div_ceil(parts);
    let last = size
        .checked_mul(parts - 1)
        .and_then(|before| dim.checked_sub(before));
    let last = last.ok_or_else(|| OpError::Shape {
        why: "the dimension is too small for this many parts",
        shapes: vec![vec![dim], vec![parts]],
    })?;
    let mut sizes = vec![size; parts - 1];
    sizes.push(last);
    Ok(sizes)
}

fn concat(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=usize::MAX, 1)?;
    let axis = cx.int("axis")?.ok_or(OpError::Attribute {
        name: "axis",
        why: "is missing",
    })?;
    Ok(Box::new(Concat { axis }))
}

fn split(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    let axis = cx.int_or("axis", 0)?;
    if cx.opset() < 13 {
        cx.arity(1..=1, usize::MAX)?;
        let rule = cx
            .ints("split")?
            .map_or(Parts::Equal { uneven: false }, Parts::Listed);
        return Ok(Box::new(Split { axis, rule }));
    }
    cx.arity(1..=2, usize::MAX)?;
    if cx.has_input(1) {
        if cx.opset() >= 18 && cx.has("num_outputs") {
            let why = "cannot stand beside the sizes of input 1";
            return Err(OpError::Attribute {
                name: "num_outputs",
                why,
            });
        }
        return Ok(Box::new(Split {
            axis,
            rule: Parts::Input,
        }));
    }
    let uneven = cx.opset() >= 18;
    if uneven
        && let Some(count) = cx.int("num_outputs")?
        && count != cx.outputs() as i64
    {
        let why = "differs from the number of outputs";
        return Err(OpError::Attribute {
            name: "num_outputs",
            why,
        });
    }
    Ok(Box::new(Split {
        axis,
        rule: Parts::Equal { uneven },
    }))
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("Concat", 4, concat),
    Entry::onnx("Split", 2, split),
];
