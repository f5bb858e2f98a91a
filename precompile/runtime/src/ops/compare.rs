//! Comparisons, logic on bools, Where, IsNaN and IsInf.

use assay_numerics::broadcast::Broadcast;
use assay_numerics::elementwise::{self, Comparison, Logic, is_infinite, is_nan, select};

use super::work::{Work, WorkFloat, is_work_float, want_float, want_same, with_float, with_plain};
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx, broadcast};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Data, Out};

/// Compares two tensors that broadcast.
struct Compare {
    op: Comparison,
}

impl Op for Compare {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (a, b) = (cx.tensor(0)?, cx.tensor(1)?);
        want_same(a.dtype, b.dtype)?;
        with_plain!(a.dtype, T => Ok(core::mem::size_of::<T>()))?;
        Ok(vec![Fact::tensor(
            DType::Bool,
            broadcast(&a.shape, &b.shape)?,
        )])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        cx.elementwise()
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (a, b) = (ins.get(0)?, ins.get(1)?);
        let plan = Broadcast::new(outs[0].shape, [a.shape, b.shape]);
        let out = outs[0].as_mut::<bool>()?;
        if is_work_float(a.dtype()) {
            return with_float!(a.dtype(), T => {
                let (a, b) = (T::read(a)?, T::read(b)?);
                elementwise::compare(cx.engine(), self.op, &plan, &a, &b, out);
                Ok(())
            });
        }
        if let (Data::Str(a), Data::Str(b)) = (a.data, b.data) {
            // Text is compared through numbers that order alike: strings are not copied per pair.
            let (a, b) = ranks(a, b);
            elementwise::compare(cx.engine(), self.op, &plan, &a, &b, out);
            return Ok(());
        }
        macro_rules! same {
            ($($kind:ident),*) => {
                match (a.data, b.data) {
                    $((Data::$kind(a), Data::$kind(b)) => {
                        elementwise::compare(cx.engine(), self.op, &plan, a, b, out);
                        Ok(())
                    })*
                    _ => Err(OpError::ElementType { expected: a.dtype(), got: b.dtype() }),
                }
            };
        }
        same!(I8, I16, I32, I64, U8, U16, U32, U64, Bool)
    }
}

/// Replaces strings by their ranks in byte order.
fn ranks(a: &[String], b: &[String]) -> (Vec<usize>, Vec<usize>) {
    let mut all: Vec<&String> = a.iter().chain(b).collect();
    all.sort_unstable();
    all.dedup();
    let rank = |text: &String| all.partition_point(|other| *other < text);
    (a.iter().map(rank).collect(), b.iter().map(rank).collect())
}

/// Combines two bool tensors that broadcast.
struct Logical {
    op: Logic,
}

impl Op for Logical {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (a, b) = (cx.tensor(0)?, cx.tensor(1)?);
        want_same(DType::Bool, a.dtype)?;
        want_same(DType::Bool, b.dtype)?;
        Ok(vec![Fact::tensor(
            DType::Bool,
            broadcast(&a.shape, &b.shape)?,
        )])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        cx.elementwise()
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (a, b) = (ins.get(0)?, ins.get(1)?);
        let plan = Broadcast::new(outs[0].shape, [a.shape, b.shape]);
        let (a, b) = (a.as_slice::<bool>()?, b.as_slice::<bool>()?);
        elementwise::logic(cx.engine(), self.op, &plan, a, b, outs[0].as_mut::<bool>()?);
        Ok(())
    }
}

/// Inverts bools.
struct Not;

impl Op for Not {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        want_same(DType::Bool, x.dtype)?;
        Ok(vec![Fact::tensor(DType::Bool, x.shape.clone())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        cx.elementwise()
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let x = ins.get(0)?.as_slice::<bool>()?;
        elementwise::not(cx.engine(), x, outs[0].as_mut::<bool>()?);
        Ok(())
    }
}

/// Names what IsNaN and IsInf look for.
enum Special {
    Nan,
    Infinite { positive: bool, negative: bool },
}

impl Op for Special {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        if super::cast::tiny_float(x.dtype).is_none() {
            want_float(x.dtype)?;
        }
        Ok(vec![Fact::tensor(DType::Bool, x.shape.clone())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        cx.elementwise()
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let x = ins.get(0)?;
        let out = outs[0].as_mut::<bool>()?;
        if let (Some(format), Some(codes)) = (super::cast::tiny_float(x.dtype()), x.data.codes()) {
            let wide: Vec<f64> = codes.iter().map(|code| format.decode(*code)).collect();
            self.find(cx, &wide, out);
            return Ok(());
        }
        with_float!(x.dtype(), T => {
            self.find(cx, &T::read(x)?, out);
            Ok(())
        })
    }
}

impl Special {
    fn find<T: Work>(&self, cx: &RunCx<'_>, x: &[T], out: &mut [bool]) {
        match *self {
            Special::Nan => is_nan(cx.engine(), x, out),
            Special::Infinite { positive, negative } => {
                is_infinite(cx.engine(), positive, negative, x, out);
            }
        }
    }
}

/// Chooses between two tensors by a condition; all three broadcast.
struct Where;

impl Op for Where {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (condition, yes, no) = (cx.tensor(0)?, cx.tensor(1)?, cx.tensor(2)?);
        want_same(DType::Bool, condition.dtype)?;
        want_same(yes.dtype, no.dtype)?;
        let shape = broadcast(&condition.shape, &broadcast(&yes.shape, &no.shape)?)?;
        Ok(vec![Fact::tensor(yes.dtype, shape)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        // Three operands, each with its own strides.
        Ok(Cost {
            elements: cx.output(0)?.count().saturating_mul(4),
            ..cx.traffic()
        })
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (condition, yes, no) = (ins.get(0)?, ins.get(1)?, ins.get(2)?);
        let out = &mut outs[0];
        let plan = Broadcast::new(out.shape, [condition.shape, yes.shape, no.shape]);
        let condition = condition.as_slice::<bool>()?;
        macro_rules! same {
            ($($kind:ident),*) => {
                match (yes.data, no.data, &mut *out.data) {
                    $((Data::$kind(yes), Data::$kind(no), Data::$kind(out)) => {
                        select(&plan, condition, yes, no, out);
                        Ok(())
                    })*
                    (_, _, out) => Err(OpError::ElementType {
                        expected: yes.dtype(),
                        got: out.dtype(),
                    }),
                }
            };
        }
        same!(
            F32, F64, F16, Bf16, I8, I16, I32, I64, U8, U16, U32, U64, Bool, Str, F8E4M3Fn,
            F8E4M3Fnuz, F8E5M2, F8E5M2Fnuz, U4, I4, F4E2M1, F8E8M0, U2, I2
        )
    }
}

fn compare(cx: &NodeCx<'_>, op: Comparison) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    Ok(Box::new(Compare { op }))
}

fn logical(cx: &NodeCx<'_>, op: Logic) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    Ok(Box::new(Logical { op }))
}

fn not(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    Ok(Box::new(Not))
}

fn nan(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    Ok(Box::new(Special::Nan))
}

fn infinite(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    let positive = cx.flag("detect_positive", true)?;
    let negative = cx.flag("detect_negative", true)?;
    Ok(Box::new(Special::Infinite { positive, negative }))
}

fn where_op(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(3..=3, 1)?;
    Ok(Box::new(Where))
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("Equal", 7, |cx| compare(cx, Comparison::Equal)),
    Entry::onnx("Less", 7, |cx| compare(cx, Comparison::Less)),
    Entry::onnx("LessOrEqual", 12, |cx| compare(cx, Comparison::LessOrEqual)),
    Entry::onnx("Greater", 7, |cx| compare(cx, Comparison::Greater)),
    Entry::onnx("GreaterOrEqual", 12, |cx| {
        compare(cx, Comparison::GreaterOrEqual)
    }),
    Entry::onnx("And", 7, |cx| logical(cx, Logic::And)),
    Entry::onnx("Or", 7, |cx| logical(cx, Logic::Or)),
    Entry::onnx("Xor", 7, |cx| logical(cx, Logic::Xor)),
    Entry::onnx("Not", 1, not),
    Entry::onnx("IsNaN", 9, nan),
    Entry::onnx("IsInf", 10, infinite),
    Entry::onnx("Where", 9, where_op),
];
