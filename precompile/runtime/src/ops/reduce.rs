//! Reductions over axes: ReduceSum to ReduceLogSumExp, in 16 lanes (Spec: N-4).

use assay_numerics::broadcast::Broadcast;
use assay_numerics::elementwise::{Arith, Number, arith};
use assay_numerics::reduce::{ReduceLayout, Reduction, divide_by_count, reduce, reduce_integer};

use super::map::wide_factor;
use super::work::{Work, is_work_float, with_float, with_integer};
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx, axis_in};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Out, View};

/// Names what a reduction computes.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Plain(Reduction),
    Mean,
    Norm2,
    LogSum,
    LogSumExp,
}

/// Holds where the axes to reduce come from.
enum Axes {
    Attribute(Option<Vec<i64>>),
    Input,
}

/// Reduces axes of a tensor.
struct Reduce {
    kind: Kind,
    axes: Axes,
    keep: bool,
    /// Whether no axes mean no reduction rather than all of them.
    noop: bool,
}

impl Reduce {
    /// Marks the axes to reduce.
    fn flags(&self, rank: usize, axes: Option<View<'_>>) -> Result<Vec<bool>, OpError> {
        let listed = match (&self.axes, axes) {
            (Axes::Attribute(list), _) => list.clone().unwrap_or_default(),
            (Axes::Input, Some(view)) => view.to_i64s()?,
            (Axes::Input, None) => Vec::new(),
        };
        let mut flags = vec![listed.is_empty() && !self.noop; rank];
        for axis in listed {
            let axis = axis_in(axis, rank)?;
            if let Some(flag) = flags.get_mut(axis) {
                *flag = true;
            }
        }
        Ok(flags)
    }

    fn run_float<T: Work>(
        &self,
        cx: &RunCx<'_>,
        layout: &ReduceLayout,
        (x, flags): (View<'_>, &[bool]),
        out: &mut Out<'_>,
    ) -> Result<(), OpError> {
        let shape = x.shape;
        let x = T::read(x)?;
        let engine = cx.engine();
        T::write(out, |out| {
            let op = match self.kind {
                Kind::Plain(op) => op,
                Kind::Mean | Kind::LogSum => Reduction::Sum,
                Kind::Norm2 => Reduction::SumSquare,
                Kind::LogSumExp => return log_sum_exp(cx, layout, (shape, flags), &x, out),
            };
            reduce(engine, op, layout, &x, out);
            match self.kind {
                Kind::Mean => divide_by_count(layout, out),
                Kind::Norm2 => {
                    for value in out {
                        *value = value.square_root().canonical();
                    }
                }
                Kind::LogSum => T::ln_in_place(engine, out),
                _ => {}
            }
            Ok(())
        })
    }
}

/// Computes ln(sum(exp(x - m))) + m with m the largest element of each output.
fn log_sum_exp<T: Work>(
    cx: &RunCx<'_>,
    layout: &ReduceLayout,
    (shape, flags): (&[usize], &[bool]),
    x: &[T],
    out: &mut [T],
) -> Result<(), OpError> {
    let engine = cx.engine();
    let mut largest = vec![T::ZERO; out.len()];
    reduce(engine, Reduction::Max, layout, x, &mut largest);
    // Around an infinity there is no distance; zero leaves the exponentials as they are.
    for value in &mut largest {
        if value.magnitude() >= T::INFINITY {
            *value = T::ZERO;
        }
    }
    let kept: Vec<usize> = shape
        .iter()
        .zip(flags)
        .map(|(dim, flag)| if *flag { 1 } else { *dim })
        .collect();
    let plan = Broadcast::new(shape, [shape, &kept]);
    let mut e = vec![T::ZERO; x.len()];
    arith(engine, Arith::Sub, &plan, x, &largest, &mut e)?;
    T::exp_in_place(engine, &mut e);
    reduce(engine, Reduction::Sum, layout, &e, out);
    T::ln_in_place(engine, out);
    for (o, largest) in out.iter_mut().zip(&largest) {
        *o = o.plus(*largest);
    }
    Ok(())
}

/// Reads bools as bytes, whose largest and smallest are those of bools.
fn run_bool(cx: &RunCx<'_>, op: Reduction, layout: &ReduceLayout, x: &[bool], out: &mut [bool]) {
    let bytes: Vec<u8> = x.iter().map(|b| u8::from(*b)).collect();
    let mut reduced = vec![0u8; out.len()];
    reduce_integer(cx.engine(), op, (0, 1), layout, &bytes, &mut reduced);
    for (o, byte) in out.iter_mut().zip(reduced) {
        *o = byte != 0;
    }
}

impl Op for Reduce {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        let supported = match self.kind {
            _ if is_work_float(x.dtype) => true,
            Kind::Plain(Reduction::Max | Reduction::Min) if x.dtype == DType::Bool => true,
            Kind::Plain(_) | Kind::Mean => {
                with_integer!(x.dtype, T => Ok(core::mem::size_of::<T>() > 0))?
            }
            _ => false,
        };
        if !supported {
            return Err(OpError::Type {
                what: "a float tensor",
                got: x.dtype,
            });
        }
        let axes = if matches!(self.axes, Axes::Input) && cx.has(1) {
            Some(cx.value(1)?)
        } else {
            None
        };
        let flags = self.flags(x.shape.len(), axes)?;
        let shape: Vec<usize> = x
            .shape
            .iter()
            .zip(&flags)
            .filter(|(_, flag)| self.keep || !**flag)
            .map(|(dim, flag)| if *flag { 1 } else { *dim })
            .collect();
        Ok(vec![Fact::tensor(x.dtype, shape)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let (inputs, outputs) = (cx.input(0)?.count(), cx.output(0)?.count());
        let transcendentals = match self.kind {
            Kind::LogSum => outputs,
            Kind::LogSumExp => inputs.saturating_add(outputs.saturating_mul(4)),
            _ => 0,
        }
        .saturating_mul(wide_factor(cx.input(0)?.dtype));
        let elements = inputs.saturating_add(outputs.saturating_mul(16));
        Ok(Cost {
            elements,
            transcendentals,
            ..cx.traffic()
        })
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let x = ins.get(0)?;
        let axes = if matches!(self.axes, Axes::Input) {
            ins.optional(1)
        } else {
            None
        };
        let flags = self.flags(x.shape.len(), axes)?;
        let layout = ReduceLayout::new(x.shape, &flags);
        let out = &mut outs[0];
        if is_work_float(x.dtype()) {
            return with_float!(x.dtype(), T => {
                self.run_float::<T>(cx, &layout, (x, &flags), out)
            });
        }
        let op = match self.kind {
            Kind::Plain(op) => op,
            _ => Reduction::Sum,
        };
        if x.dtype() == DType::Bool {
            run_bool(cx, op, &layout, x.as_slice()?, out.as_mut()?);
            return Ok(());
        }
        with_integer!(x.dtype(), T => {
            let out = out.as_mut::<T>()?;
            reduce_integer(cx.engine(), op, (T::MIN, T::MAX), &layout, x.as_slice()?, out);
            if self.kind == Kind::Mean {
                // The wrapped sum, divided towards zero by the count as it is in this type.
                let count = layout.count() as T;
                if count == 0 && !out.is_empty() {
                    return Err(OpError::DivisionByZero);
                }
                for value in out {
                    *value = value.over(count);
                }
            }
            Ok(())
        })
    }
}

/// Builds a reduction whose axes became an input in opset `input_since`.
fn build(cx: &NodeCx<'_>, kind: Kind, input_since: i64) -> Result<Box<dyn Op>, OpError> {
    let keep = cx.flag("keepdims", true)?;
    if cx.opset() < input_since {
        cx.arity(1..=1, 1)?;
        let axes = Axes::Attribute(cx.ints("axes")?);
        return Ok(Box::new(Reduce {
            kind,
            axes,
            keep,
            noop: false,
        }));
    }
    cx.arity(1..=2, 1)?;
    let noop = cx.flag("noop_with_empty_axes", false)?;
    Ok(Box::new(Reduce {
        kind,
        axes: Axes::Input,
        keep,
        noop,
    }))
}

macro_rules! entry {
    ($name:literal, $kind:expr, $input_since:literal) => {
        Entry::onnx($name, 1, |cx| build(cx, $kind, $input_since))
    };
}

pub(crate) const TABLE: &[Entry] = &[
    entry!("ReduceSum", Kind::Plain(Reduction::Sum), 13),
    entry!("ReduceProd", Kind::Plain(Reduction::Product), 18),
    entry!("ReduceSumSquare", Kind::Plain(Reduction::SumSquare), 18),
    entry!("ReduceL1", Kind::Plain(Reduction::SumMagnitude), 18),
    entry!("ReduceMax", Kind::Plain(Reduction::Max), 18),
    entry!("ReduceMin", Kind::Plain(Reduction::Min), 18),
    entry!("ReduceMean", Kind::Mean, 18),
    entry!("ReduceL2", Kind::Norm2, 18),
    entry!("ReduceLogSum", Kind::LogSum, 18),
    entry!("ReduceLogSumExp", Kind::LogSumExp, 18),
];
