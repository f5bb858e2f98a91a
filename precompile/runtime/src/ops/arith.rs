//! Arithmetic on two or more inputs that broadcast: Add to Pow, Max, Min, Sum, Mean, PRelu.

use std::borrow::Cow;

use assay_numerics::broadcast::Broadcast;
use assay_numerics::elementwise::{
    self, Arith, DivideByZero, arith, float_mod, integer_mod, prelu,
};

use super::dense::work_bytes;
use super::work::{Work, WorkFloat, is_work_float, want_same, with_float, with_integer};
use super::{CostCx, Entry, Epilogue, Fact, InferCx, Ins, NodeCx, Op, Pass, RunCx, broadcast};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Out, View};

impl From<DivideByZero> for OpError {
    fn from(_: DivideByZero) -> OpError {
        OpError::DivisionByZero
    }
}

/// Joins the shapes of inputs `0..count`, which must have one number type.
fn joined_fact(cx: &InferCx<'_>, count: usize) -> Result<Vec<Fact>, OpError> {
    let first = cx.tensor(0)?;
    let mut shape = first.shape.clone();
    for i in 1..count {
        let next = cx.tensor(i)?;
        want_same(first.dtype, next.dtype)?;
        shape = broadcast(&shape, &next.shape)?;
    }
    Ok(vec![Fact::tensor(want_number(first.dtype)?, shape)])
}

fn want_number(dtype: DType) -> Result<DType, OpError> {
    let integer = matches!(
        dtype,
        DType::I8
            | DType::I16
            | DType::I32
            | DType::I64
            | DType::U8
            | DType::U16
            | DType::U32
            | DType::U64
    );
    if integer || is_work_float(dtype) {
        Ok(dtype)
    } else {
        Err(OpError::Type {
            what: "a number tensor",
            got: dtype,
        })
    }
}

/// Computes one of [`Arith`] over two inputs.
struct Binary {
    op: Arith,
}

impl Op for Binary {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        joined_fact(cx, 2)
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        cx.elementwise()
    }

    fn epilogue(&self) -> Option<Epilogue> {
        (self.op == Arith::Add).then_some(Epilogue::Add)
    }

    fn pass(&self) -> Option<Pass<'_>> {
        Some(Pass::Combine(self.op))
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (a, b) = (ins.get(0)?, ins.get(1)?);
        let out = &mut outs[0];
        let plan = Broadcast::new(out.shape, [a.shape, b.shape]);
        if is_work_float(a.dtype()) {
            with_float!(a.dtype(), T => {
                let (a, b) = (T::read(a)?, T::read(b)?);
                T::write(out, |out| Ok(arith(cx.engine(), self.op, &plan, &a, &b, out)?))
            })
        } else {
            with_integer!(a.dtype(), T => {
                let (a, b) = (a.as_slice::<T>()?, b.as_slice::<T>()?);
                Ok(arith(cx.engine(), self.op, &plan, a, b, out.as_mut::<T>()?)?)
            })
        }
    }
}

/// Computes remainders by truncated division (`fmod`) or with the divisor's sign.
struct Mod {
    fmod: bool,
}

impl Op for Mod {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        joined_fact(cx, 2)
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        // A remainder of far exponents takes up to 32 divisions.
        Ok(Cost {
            elements: cx.output(0)?.count().saturating_mul(32),
            ..cx.traffic()
        })
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (a, b) = (ins.get(0)?, ins.get(1)?);
        let out = &mut outs[0];
        let plan = Broadcast::new(out.shape, [a.shape, b.shape]);
        if is_work_float(a.dtype()) {
            with_float!(a.dtype(), T => {
                let (a, b) = (T::read(a)?, T::read(b)?);
                T::write(out, |out| {
                    float_mod(cx.engine(), self.fmod, &plan, &a, &b, out);
                    Ok(())
                })
            })
        } else {
            with_integer!(a.dtype(), T => {
                let (a, b) = (a.as_slice::<T>()?, b.as_slice::<T>()?);
                Ok(integer_mod(cx.engine(), self.fmod, &plan, a, b, out.as_mut::<T>()?)?)
            })
        }
    }
}

/// Names what a variadic operator does with its inputs, from the first to the last.
#[derive(Clone, Copy, PartialEq)]
enum Variadic {
    Fold(Arith),
    Mean,
}

/// Folds any number of inputs: Sum, Mean, Max, Min.
struct Many {
    op: Variadic,
    inputs: usize,
}

impl Many {
    fn arith(&self) -> Arith {
        match self.op {
            Variadic::Fold(op) => op,
            Variadic::Mean => Arith::Add,
        }
    }

    fn run_float<T: Work>(
        &self,
        cx: &RunCx<'_>,
        ins: Ins<'_>,
        out: &mut Out<'_>,
    ) -> Result<(), OpError> {
        let shape = out.shape;
        T::write(out, |out| {
            self.fold(cx, ins, shape, out, |view| T::read(view))?;
            if self.op == Variadic::Mean {
                let count = T::from_count(self.inputs);
                for value in out {
                    *value = (*value / count).canonical();
                }
            }
            Ok(())
        })
    }

    /// Accumulates input after input into `out` (f16 and bf16 round only at the end).
    fn fold<T: elementwise::Number>(
        &self,
        cx: &RunCx<'_>,
        ins: Ins<'_>,
        shape: &[usize],
        out: &mut [T],
        read: impl for<'v> Fn(View<'v>) -> Result<Cow<'v, [T]>, OpError>,
    ) -> Result<(), OpError> {
        let first = ins.get(0)?;
        let values = read(first)?;
        // The larger of a value with itself: its copy, spread over the output, NaNs made canonical.
        let spread = Broadcast::new(shape, [first.shape, first.shape]);
        arith(cx.engine(), Arith::Max, &spread, &values, &values, out)?;
        for i in 1..self.inputs {
            let next = ins.get(i)?;
            let values = read(next)?;
            let before = out.to_vec();
            let plan = Broadcast::new(shape, [shape, next.shape]);
            arith(cx.engine(), self.arith(), &plan, &before, &values, out)?;
        }
        Ok(())
    }
}

impl Op for Many {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        joined_fact(cx, self.inputs)
    }

    fn temporary_bytes(&self, cx: &CostCx<'_>) -> Result<u64, OpError> {
        // What was folded so far is copied before the next input joins it.
        let out = cx.output(0)?;
        Ok(work_bytes(out.dtype, out.count()))
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        // Each input is one pass over the output, and broadcasts take the slow path.
        let elements = cx.output(0)?.count().saturating_mul(2 * self.inputs as u64);
        Ok(Cost {
            elements,
            ..cx.traffic()
        })
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let dtype = ins.get(0)?.dtype();
        let out = &mut outs[0];
        if is_work_float(dtype) {
            return with_float!(dtype, T => self.run_float::<T>(cx, ins, out));
        }
        let shape = out.shape;
        with_integer!(dtype, T => {
            let out = out.as_mut::<T>()?;
            self.fold(cx, ins, shape, out, |view| view.as_slice::<T>().map(Cow::Borrowed))
        })
    }
}

/// Computes x where it is not negative, else x times a slope that broadcasts to it.
struct PRelu;

impl Op for PRelu {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (x, slope) = (cx.tensor(0)?, cx.tensor(1)?);
        want_same(x.dtype, slope.dtype)?;
        if broadcast(&x.shape, &slope.shape)? != x.shape {
            return Err(OpError::Shape {
                why: "the slope must broadcast to the input's shape",
                shapes: vec![x.shape.clone(), slope.shape.clone()],
            });
        }
        Ok(vec![Fact::tensor(want_number(x.dtype)?, x.shape.clone())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        cx.elementwise()
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (x, slope) = (ins.get(0)?, ins.get(1)?);
        let out = &mut outs[0];
        let plan = Broadcast::new(out.shape, [x.shape, slope.shape]);
        if is_work_float(x.dtype()) {
            with_float!(x.dtype(), T => {
                let (x, slope) = (T::read(x)?, T::read(slope)?);
                T::write(out, |out| {
                    prelu(cx.engine(), &plan, &x, &slope, out);
                    Ok(())
                })
            })
        } else {
            with_integer!(x.dtype(), T => {
                let (x, slope) = (x.as_slice::<T>()?, slope.as_slice::<T>()?);
                prelu(cx.engine(), &plan, x, slope, out.as_mut::<T>()?);
                Ok(())
            })
        }
    }
}

fn binary(cx: &NodeCx<'_>, op: Arith) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    Ok(Box::new(Binary { op }))
}

fn many(cx: &NodeCx<'_>, op: Variadic) -> Result<Box<dyn Op>, OpError> {
    let inputs = cx.inputs();
    if inputs == 0 {
        return Err(OpError::MissingInput { input: 0 });
    }
    cx.arity(1..=inputs, 1)?;
    Ok(Box::new(Many { op, inputs }))
}

fn modulo(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    Ok(Box::new(Mod {
        fmod: cx.flag("fmod", false)?,
    }))
}

fn prelu_op(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    Ok(Box::new(PRelu))
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("Add", 7, |cx| binary(cx, Arith::Add)),
    Entry::onnx("Sub", 7, |cx| binary(cx, Arith::Sub)),
    Entry::onnx("Mul", 7, |cx| binary(cx, Arith::Mul)),
    Entry::onnx("Div", 7, |cx| binary(cx, Arith::Div)),
    Entry::onnx("Max", 6, |cx| many(cx, Variadic::Fold(Arith::Max))),
    Entry::onnx("Min", 6, |cx| many(cx, Variadic::Fold(Arith::Min))),
    Entry::onnx("Sum", 6, |cx| many(cx, Variadic::Fold(Arith::Add))),
    Entry::onnx("Mean", 6, |cx| many(cx, Variadic::Mean)),
    Entry::onnx("Mod", 10, modulo),
    Entry::onnx("PRelu", 7, prelu_op),
];
