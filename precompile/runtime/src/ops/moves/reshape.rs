//! Reshape, Flatten, Squeeze, Unsqueeze: the same elements under another shape; nothing runs.

use super::super::{CostCx, Entry, Fact, InferCx, NodeCx, Op, axis_in};
use super::{axes_in, product};
use crate::cost::Cost;
use crate::error::OpError;

/// Gives input 0 another shape.
struct Reshape {
    rule: Rule,
}

/// Decides the new shape.
enum Rule {
    /// By a list of sizes in input 1.
    Sizes { allow_zero: bool },
    /// By joining the dimensions before and after an axis.
    Flatten { axis: i64 },
    /// By taking away dimensions of 1: those of the list or, without one, all.
    Squeeze { axes: Option<Vec<i64>> },
    /// By adding dimensions of 1.
    Unsqueeze { axes: Option<Vec<i64>> },
}

impl Op for Reshape {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let fact = cx.tensor(0)?;
        let shape = &fact.shape;
        let listed = |axes: &Option<Vec<i64>>| match axes {
            Some(axes) => Ok(Some(axes.clone())),
            None if cx.has(1) => cx.ints(1).map(Some),
            None => Ok(None),
        };
        let shape = match &self.rule {
            Rule::Sizes { allow_zero } => by_sizes(shape, &cx.ints(1)?, *allow_zero)?,
            Rule::Flatten { axis } => flatten(shape, *axis)?,
            Rule::Squeeze { axes } => squeeze(shape, listed(axes)?)?,
            Rule::Unsqueeze { axes } => unsqueeze(
                shape,
                &listed(axes)?.ok_or(OpError::MissingInput { input: 1 })?,
            )?,
        };
        Ok(vec![Fact::tensor(fact.dtype, shape)])
    }

    fn cost(&self, _: &CostCx<'_>) -> Result<Cost, OpError> {
        Ok(Cost::default())
    }

    fn is_alias(&self) -> bool {
        true
    }
}

/// Resolves 0 (the input's own dimension) and one -1 (what is left).
fn by_sizes(shape: &[usize], sizes: &[i64], allow_zero: bool) -> Result<Vec<usize>, OpError> {
    let mut result = Vec::with_capacity(sizes.len());
    let mut open = None;
    for (axis, &size) in sizes.iter().enumerate() {
        result.push(match size {
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            0 if !allow_zero => *shape.get(axis).ok_or(OpError::Axis {
                axis: axis as i64,
                rank: shape.len(),
            })?,
            size => super::size_from(size, "a size must be -1 (once), 0 or positive")?,
        });
    }
    let elements = product(shape);
    let given = result.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim));
    let mismatch = |result: &[usize]| OpError::Shape {
        why: "element counts differ",
        shapes: vec![shape.to_vec(), result.to_vec()],
    };
    let given = given.ok_or_else(|| mismatch(&result))?;
    match open {
        Some(axis) => {
            if given == 0 && (allow_zero || elements != 0) {
                return Err(mismatch(&result));
            }
            // Without elements the open size is arbitrary; 0 keeps the count right.
            let rest = elements.checked_div(given).unwrap_or(0);
            if rest.checked_mul(given) != Some(elements) {
                return Err(mismatch(&result));
            }
            result[axis] = rest;
        }
        None if given != elements => return Err(mismatch(&result)),
        None => {}
    }
    Ok(result)
}

fn flatten(shape: &[usize], axis: i64) -> Result<Vec<usize>, OpError> {
    let rank = shape.len();
    // The axis may equal the rank: everything is then before it.
    let axis = if axis == rank as i64 {
        rank
    } else {
        axis_in(axis, rank)?
    };
    let (before, after) = shape.split_at(axis);
    Ok(vec![product(before), product(after)])
}

fn squeeze(shape: &[usize], axes: Option<Vec<i64>>) -> Result<Vec<usize>, OpError> {
    let Some(axes) = axes else {
        return Ok(shape.iter().copied().filter(|&dim| dim != 1).collect());
    };
    let axes = axes_in(&axes, shape.len())?;
    for &axis in &axes {
        if shape[axis] != 1 {
            return Err(OpError::Shape {
                why: "only dimensions of 1 can be squeezed",
                shapes: vec![shape.to_vec(), axes],
            });
        }
    }
    let kept = shape
        .iter()
        .enumerate()
        .filter(|(axis, _)| !axes.contains(axis));
    Ok(kept.map(|(_, &dim)| dim).collect())
}

fn unsqueeze(shape: &[usize], axes: &[i64]) -> Result<Vec<usize>, OpError> {
    let rank = shape.len().saturating_add(axes.len());
    let axes = axes_in(axes, rank)?;
    let mut rest = shape.iter().copied();
    let mut next = |axis| {
        if axes.contains(&axis) {
            1
        } else {
            rest.next().unwrap_or(1)
        }
    };
    Ok((0..rank).map(&mut next).collect())
}

fn reshape(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    let allow_zero = cx.opset() >= 14 && cx.flag("allowzero", false)?;
    Ok(Box::new(Reshape {
        rule: Rule::Sizes { allow_zero },
    }))
}

fn build_flatten(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    Ok(Box::new(Reshape {
        rule: Rule::Flatten {
            axis: cx.int_or("axis", 1)?,
        },
    }))
}

/// Reads the axes where the opset has them: an attribute before 13, an input since.
fn axes(cx: &NodeCx<'_>) -> Result<Option<Vec<i64>>, OpError> {
    if cx.opset() >= 13 {
        cx.arity(1..=2, 1)?;
        return Ok(None);
    }
    cx.arity(1..=1, 1)?;
    cx.ints("axes")
}

fn build_squeeze(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    Ok(Box::new(Reshape {
        rule: Rule::Squeeze { axes: axes(cx)? },
    }))
}

fn build_unsqueeze(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    let axes = axes(cx)?;
    if axes.is_none() && !cx.has_input(1) {
        return Err(OpError::Attribute {
            name: "axes",
            why: "is missing",
        });
    }
    Ok(Box::new(Reshape {
        rule: Rule::Unsqueeze { axes },
    }))
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("Reshape", 5, reshape),
    Entry::onnx("Flatten", 1, build_flatten),
    Entry::onnx("Squeeze", 1, build_squeeze),
    Entry::onnx("Unsqueeze", 1, build_unsqueeze),
];
