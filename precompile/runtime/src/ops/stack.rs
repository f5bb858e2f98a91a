//! Tensors put together along a new axis, and taken apart again.

use super::moves::strided::{Strided, row_major};
use super::select::exactly;
use super::{Fact, RunCx, axis_in};
use crate::error::{LimitKind, OpError};
use crate::tensor::{Tensor, Value};

/// Collects equal tensors, one for each iteration.
#[derive(Default)]
pub(crate) struct Stack {
    items: Vec<Tensor>,
    bytes: u64,
}

impl Stack {
    /// Adds a tensor; refuses another shape or type, and more than the limits allow.
    pub(crate) fn push(&mut self, value: Value, cx: &mut RunCx<'_>) -> Result<(), OpError> {
        let Value::Tensor(tensor) = value else {
            return Err(OpError::Kind {
                input: 0,
                expected: "tensor",
                got: value.kind(),
            });
        };
        if let Some(first) = self.items.first() {
            if first.dtype() != tensor.dtype() {
                let (expected, got) = (first.dtype(), tensor.dtype());
                return Err(OpError::ElementType { expected, got });
            }
            if first.shape() != tensor.shape() {
                return Err(OpError::Shape {
                    why: "a stacked output changes its shape between iterations",
                    shapes: vec![first.shape().to_vec(), tensor.shape().to_vec()],
                });
            }
        }
        let bytes = tensor.data().size_bytes() as u64;
        cx.spend(bytes / 4)?;
        self.bytes = self.bytes.saturating_add(bytes);
        let limit = cx.limits().live_bytes;
        if self.bytes > limit {
            return Err(OpError::Limit {
                kind: LimitKind::LiveBytes,
                limit,
                got: self.bytes,
            });
        }
        self.items.push(tensor);
        Ok(())
    }

    /// Joins the tensors along a new axis; `empty` describes one of them when there are none.
    pub(crate) fn finish(
        self,
        cx: &RunCx<'_>,
        axis: i64,
        backward: bool,
        empty: &Fact,
    ) -> Result<Tensor, OpError> {
        let (dtype, inner) = match (self.items.first(), empty) {
            (Some(first), _) => (first.dtype(), first.shape().to_vec()),
            (None, Fact::Tensor(fact)) => (fact.dtype, fact.shape.clone()),
            (None, _) => {
                let what = "without an iteration the type of a stacked output is not known";
                return Err(OpError::Value { what, got: 0 });
            }
        };
        let axis = axis_in(axis, inner.len() + 1)?;
        let count = self.items.len();
        let mut shape = inner.clone();
        shape.insert(axis, count);
        let mut out = cx.allocate(&exactly(dtype, &shape))?;
        let mut steps = row_major(&shape);
        let step = steps.remove(axis);
        let from = row_major(&inner);
        for (at, item) in self.items.iter().enumerate() {
            let at = if backward { count - 1 - at } else { at };
            let copy = Strided::new(&inner, (&steps, at as isize * step), (&from, 0));
            pair_kinds!(out.out().data, item.data(), |to, from| copy.copy(to, from))?;
        }
        Ok(out)
    }
}

/// Takes one slice along an axis, which the slice no longer has.
pub(crate) fn slice_at(
    cx: &mut RunCx<'_>,
    tensor: &Tensor,
    axis: usize,
    at: usize,
) -> Result<Tensor, OpError> {
    let mut shape = tensor.shape().to_vec();
    let mut steps = row_major(&shape);
    shape.remove(axis);
    let step = steps.remove(axis);
    let fact = exactly(tensor.dtype(), &shape);
    cx.spend(fact.size_bytes() / 4)?;
    let mut out = cx.allocate(&fact)?;
    let copy = Strided::into_rows(&shape, (&steps, at as isize * step));
    pair_kinds!(out.out().data, tensor.data(), |to, from| copy
        .copy(to, from))?;
    Ok(out)
}
