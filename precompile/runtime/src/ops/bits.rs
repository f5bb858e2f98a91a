//! Bitwise operators and shifts on integers.

use assay_numerics::broadcast::Broadcast;
use assay_numerics::elementwise::{self, Bitwise, Shift};

use super::work::{want_same, with_integer};
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx, broadcast};
use crate::cost::Cost;
use crate::error::OpError;
use crate::tensor::Out;

/// Combines the bits of two integer tensors that broadcast, or shifts one by the other.
enum Pair {
    Bits(Bitwise),
    Shift(Shift),
}

impl Op for Pair {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (a, b) = (cx.tensor(0)?, cx.tensor(1)?);
        want_same(a.dtype, b.dtype)?;
        with_integer!(a.dtype, T => Ok(core::mem::size_of::<T>()))?;
        Ok(vec![Fact::tensor(a.dtype, broadcast(&a.shape, &b.shape)?)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        cx.elementwise()
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (a, b) = (ins.get(0)?, ins.get(1)?);
        let plan = Broadcast::new(outs[0].shape, [a.shape, b.shape]);
        with_integer!(a.dtype(), T => {
            let (a, b) = (a.as_slice::<T>()?, b.as_slice::<T>()?);
            let out = outs[0].as_mut::<T>()?;
            match self {
                Pair::Bits(op) => elementwise::bitwise(cx.engine(), *op, &plan, a, b, out),
                Pair::Shift(to) => elementwise::shift(cx.engine(), *to, &plan, a, b, out),
            }
            Ok(())
        })
    }
}

/// Flips every bit.
struct Not;

impl Op for Not {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        with_integer!(x.dtype, T => Ok(core::mem::size_of::<T>()))?;
        Ok(vec![Fact::tensor(x.dtype, x.shape.clone())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        cx.elementwise()
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let x = ins.get(0)?;
        with_integer!(x.dtype(), T => {
            elementwise::bitwise_not(cx.engine(), x.as_slice::<T>()?, outs[0].as_mut::<T>()?);
            Ok(())
        })
    }
}

fn pair(cx: &NodeCx<'_>, op: Pair) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    Ok(Box::new(op))
}

fn shift(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    match cx.string("direction")?.as_deref() {
        Some("LEFT") => pair(cx, Pair::Shift(Shift::Left)),
        Some("RIGHT") => pair(cx, Pair::Shift(Shift::Right)),
        _ => Err(OpError::Attribute {
            name: "direction",
            why: "must be LEFT or RIGHT",
        }),
    }
}

fn not(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    Ok(Box::new(Not))
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("BitwiseAnd", 18, |cx| pair(cx, Pair::Bits(Bitwise::And))),
    Entry::onnx("BitwiseOr", 18, |cx| pair(cx, Pair::Bits(Bitwise::Or))),
    Entry::onnx("BitwiseXor", 18, |cx| pair(cx, Pair::Bits(Bitwise::Xor))),
    Entry::onnx("BitwiseNot", 18, not),
    Entry::onnx("BitShift", 11, shift),
];
