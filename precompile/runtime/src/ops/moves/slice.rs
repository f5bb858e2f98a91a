//! Slice: every so many elements between two bounds, forward or backward.

use super::super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use super::strided::{Strided, row_major};
use super::{axes_in, moved};
use crate::cost::Cost;
use crate::error::OpError;
use crate::tensor::{Out, View};

/// Takes `start..end` of some axes, in steps.
struct Slice {
    /// Bounds written into the node (opsets before 10); inputs 1 to 4 otherwise.
    stored: Option<Bounds>,
}

/// Lists the bounds of each sliced axis.
#[derive(Clone)]
struct Bounds {
    starts: Vec<i64>,
    ends: Vec<i64>,
    axes: Option<Vec<i64>>,
    steps: Option<Vec<i64>>,
}

/// Holds the resolved range of one axis.
#[derive(Clone, Copy)]
struct Range {
    start: usize,
    step: i64,
    len: usize,
}

impl Slice {
    fn bounds<'v>(
        &self,
        value: impl Fn(usize) -> Result<Option<View<'v>>, OpError>,
    ) -> Result<Bounds, OpError> {
        if let Some(stored) = &self.stored {
            return Ok(stored.clone());
        }
        let list = |input| value(input)?.map(|view| view.to_i64s()).transpose();
        Ok(Bounds {
            starts: list(1)?.ok_or(OpError::MissingInput { input: 1 })?,
            ends: list(2)?.ok_or(OpError::MissingInput { input: 2 })?,
            axes: list(3)?,
            steps: list(4)?,
        })
    }
}

impl Bounds {
    /// Resolves the bounds against a shape: one range for each axis.
    fn resolve(&self, shape: &[usize]) -> Result<Vec<Range>, OpError> {
        let count = self.starts.len();
        let lists = [Some(&self.ends), self.axes.as_ref(), self.steps.as_ref()];
        if let Some(list) = lists.into_iter().flatten().find(|list| list.len() != count) {
            let got = list.len() as i64;
            return Err(OpError::Value {
                what: "bounds differ in length from starts",
                got,
            });
        }
        let axes = match &self.axes {
            Some(axes) => axes_in(axes, shape.len())?,
            None if count <= shape.len() => (0..count).collect(),
            None => {
                return Err(OpError::Axis {
                    axis: count as i64 - 1,
                    rank: shape.len(),
                });
            }
        };
        let mut ranges: Vec<Range> = shape
            .iter()
            .map(|&len| Range {
                start: 0,
                step: 1,
                len,
            })
            .collect();
        for (at, &axis) in axes.iter().enumerate() {
            let step = self.steps.as_ref().map_or(1, |steps| steps[at]);
            ranges[axis] = resolve(self.starts[at], self.ends[at], step, shape[axis])?;
        }
        Ok(ranges)
    }
}

/// Clamps one axis' bounds as NumPy does.
fn resolve(start: i64, end: i64, step: i64, dim: usize) -> Result<Range, OpError> {
    let size = dim as i64;
    let from_end = |bound: i64| {
        if bound < 0 {
            bound.saturating_add(size)
        } else {
            bound
        }
    };
    let (start, end) = (from_end(start), from_end(end));
    let distance = match step {
        0 => {
            return Err(OpError::Value {
                what: "a step cannot be zero",
                got: 0,
            });
        }
        1.. => {
            let (start, end) = (start.clamp(0, size), end.clamp(0, size));
            (start, end - start)
        }
        _ => {
            let (start, end) = (start.clamp(-1, size - 1), end.clamp(-1, size - 1));
            (start, start - end)
        }
    };
    let (start, distance) = distance;
    let len = u64::try_from(distance)
        .unwrap_or(0)
        .div_ceil(step.unsigned_abs());
    let start = if len == 0 { 0 } else { start as usize };
    Ok(Range {
        start,
        step,
        len: len as usize,
    })
}

impl Op for Slice {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let fact = cx.tensor(0)?;
        let value = |input| {
            if cx.has(input) {
                cx.value(input).map(Some)
            } else {
                Ok(None)
            }
        };
        let ranges = self.bounds(value)?.resolve(&fact.shape)?;
        let shape: Vec<usize> = ranges.iter().map(|range| range.len).collect();
        Ok(vec![Fact::tensor(fact.dtype, shape)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        moved(cx)
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let input = ins.get(0)?;
        let ranges = self
            .bounds(|at| Ok(ins.optional(at)))?
            .resolve(input.shape)?;
        let strides = row_major(input.shape);
        let mut start = 0;
        let mut steps = Vec::with_capacity(strides.len());
        for (range, stride) in ranges.iter().zip(&strides) {
            start += range.start as isize * stride;
            // A range of one element never takes its step, which may be as large as it likes.
            let step = if range.len > 1 {
                range.step as isize
            } else {
                0
            };
            steps.push(step.saturating_mul(*stride));
        }
        let out = &mut outs[0];
        let copy = Strided::into_rows(out.shape, (&steps, start));
        pair_kinds!(&mut *out.data, input.data, |to, from| copy.copy(to, from))
    }
}

fn slice(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    if cx.opset() >= 10 {
        cx.arity(3..=5, 1)?;
        return Ok(Box::new(Slice { stored: None }));
    }
    cx.arity(1..=1, 1)?;
    let list = |name| {
        cx.ints(name)?.ok_or(OpError::Attribute {
            name,
            why: "is missing",
        })
    };
    let (starts, ends) = (list("starts")?, list("ends")?);
    let stored = Some(Bounds {
        starts,
        ends,
        axes: cx.ints("axes")?,
        steps: None,
    });
    Ok(Box::new(Slice { stored }))
}

pub(crate) const TABLE: &[Entry] = &[Entry::onnx("Slice", 1, slice)];
