//! Shape, Size, Identity, Constant: values that the graph itself or the shapes alone decide.

use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx, Values};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Out, Tensor, Value};

/// Gives the dimensions `start..end` of its input.
struct Shape {
    start: i64,
    end: Option<i64>,
}

impl Shape {
    /// Clamps a bound that may count from the end into `0..=rank`.
    fn clamp(bound: i64, rank: usize) -> usize {
        let rank = rank as i64;
        let bound = if bound < 0 {
            bound.saturating_add(rank)
        } else {
            bound
        };
        bound.clamp(0, rank) as usize
    }

    fn slice<'s>(&self, shape: &'s [usize]) -> &'s [usize] {
        let start = Self::clamp(self.start, shape.len());
        let end = self
            .end
            .map_or(shape.len(), |end| Self::clamp(end, shape.len()));
        shape.get(start..end).unwrap_or_default()
    }
}

impl Op for Shape {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        Ok(vec![Fact::tensor(
            DType::I64,
            [self.slice(&cx.tensor(0)?.shape).len()],
        )])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        Ok(Cost {
            elements: cx.output(0)?.count(),
            ..Cost::default()
        })
    }

    fn known(&self, cx: &InferCx<'_>) -> Option<Vec<Value>> {
        let fact = cx.tensor(0).ok().filter(|fact| fact.exact)?;
        let dims: Vec<i64> = self.slice(&fact.shape).iter().map(|&d| d as i64).collect();
        Some(vec![Tensor::from_vec([dims.len()], dims).ok()?.into()])
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let dims = self.slice(ins.get(0)?.shape);
        for (out, &dim) in outs[0].as_mut::<i64>()?.iter_mut().zip(dims) {
            *out = dim as i64;
        }
        Ok(())
    }
}

/// Gives the number of elements of its input.
struct Size;

impl Op for Size {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        cx.tensor(0)?;
        Ok(vec![Fact::tensor(DType::I64, [])])
    }

    fn cost(&self, _: &CostCx<'_>) -> Result<Cost, OpError> {
        Ok(Cost {
            elements: 1,
            ..Cost::default()
        })
    }

    fn known(&self, cx: &InferCx<'_>) -> Option<Vec<Value>> {
        let fact = cx.tensor(0).ok().filter(|fact| fact.exact)?;
        Some(vec![Tensor::scalar(fact.count() as i64).into()])
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        outs[0].as_mut::<i64>()?.fill(ins.get(0)?.len() as i64);
        Ok(())
    }
}

/// Gives its input, whatever it is.
struct Identity;

impl Op for Identity {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        Ok(vec![cx.fact(0)?.clone()])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        Ok(cx.traffic())
    }

    fn is_dynamic(&self) -> bool {
        true
    }

    fn run_dynamic(&self, _: &mut RunCx<'_>, ins: Values<'_>) -> Result<Vec<Value>, OpError> {
        let value = ins
            .first()
            .copied()
            .flatten()
            .ok_or(OpError::MissingInput { input: 0 })?;
        Ok(vec![value.clone()])
    }

    fn is_alias(&self) -> bool {
        true
    }
}

/// Gives a value stored in the node.
struct Constant {
    tensor: Tensor,
}

impl Op for Constant {
    fn infer(&self, _: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        Ok(vec![Fact::tensor(self.tensor.dtype(), self.tensor.shape())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        Ok(cx.traffic())
    }

    fn run(&self, _: &mut RunCx<'_>, _: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        outs[0].data.copy_from(self.tensor.data())
    }
}

fn shape(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    let (start, end) = if cx.opset() >= 15 {
        (cx.int_or("start", 0)?, cx.int("end")?)
    } else {
        (0, None)
    };
    Ok(Box::new(Shape { start, end }))
}

fn size(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    Ok(Box::new(Size))
}

fn identity(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    Ok(Box::new(Identity))
}

fn constant(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(0..=0, 1)?;
    let tensor = if let Some(tensor) = cx.tensor("value")? {
        tensor
    } else if let Some(tensor) = cx.sparse_tensor("sparse_value")? {
        tensor
    } else if let Some(value) = cx.float("value_float")? {
        Tensor::scalar(value)
    } else if let Some(values) = cx.floats("value_floats")? {
        Tensor::from_vec([values.len()], values)?
    } else if let Some(value) = cx.int("value_int")? {
        Tensor::scalar(value)
    } else if let Some(values) = cx.ints("value_ints")? {
        Tensor::from_vec([values.len()], values)?
    } else if let Some(value) = cx.string("value_string")? {
        Tensor::scalar(value)
    } else if let Some(values) = cx.strings("value_strings")? {
        Tensor::from_vec([values.len()], values)?
    } else {
        return Err(OpError::Attribute {
            name: "value",
            why: "is missing",
        });
    };
    Ok(Box::new(Constant { tensor }))
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("Shape", 1, shape),
    Entry::onnx("Size", 1, size),
    Entry::onnx("Identity", 1, identity),
    Entry::onnx("Constant", 1, constant),
];
