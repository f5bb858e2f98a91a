//! MeanVariance and Lp normalisation: lines of elements by their statistics over axes.

use assay_numerics::broadcast::Broadcast;
use assay_numerics::elementwise::{Arith, arith};
use assay_numerics::reduce::{ReduceLayout, Reduction, divide_by_count, reduce};

use super::row_cost;
use crate::cost::Cost;
use crate::error::OpError;
use crate::ops::work::{Work, want_float, with_float};
use crate::ops::{CostCx, Fact, InferCx, Ins, NodeCx, Op, RunCx, axis_in};
use crate::tensor::{Out, View};

/// Names a normalisation of lines by their statistics over axes.
enum Lines {
    /// (x - mean) / (deviation + 1e-9).
    MeanVariance(Vec<i64>),
    /// x / (sum |x|^p)^(1/p), zero where the norm is zero.
    Lp { axis: i64, square: bool },
}

impl Lines {
    fn flags(&self, rank: usize) -> Result<Vec<bool>, OpError> {
        let mut flags = vec![false; rank];
        let axes = match self {
            Lines::MeanVariance(axes) => axes.as_slice(),
            Lines::Lp { axis, .. } => std::slice::from_ref(axis),
        };
        for axis in axes {
            let axis = axis_in(*axis, rank)?;
            if let Some(flag) = flags.get_mut(axis) {
                *flag = true;
            }
        }
        Ok(flags)
    }

    fn run_as<T: Work>(
        &self,
        cx: &RunCx<'_>,
        view: View<'_>,
        out: &mut Out<'_>,
    ) -> Result<(), OpError> {
        let engine = cx.engine();
        let flags = self.flags(view.shape.len())?;
        let layout = ReduceLayout::new(view.shape, &flags);
        let kept: Vec<usize> = view
            .shape
            .iter()
            .zip(&flags)
            .map(|(d, f)| if *f { 1 } else { *d })
            .collect();
        let plan = Broadcast::new(view.shape, [view.shape, &kept]);
        let x = T::read(view)?;
        let mut line = vec![T::ZERO; layout.output_len()];
        T::write(out, |out| match self {
            Lines::MeanVariance(_) => {
                reduce(engine, Reduction::Sum, &layout, &x, &mut line);
                divide_by_count(&layout, &mut line);
                let mut distance = vec![T::ZERO; x.len()];
                arith(engine, Arith::Sub, &plan, &x, &line, &mut distance)?;
                reduce(engine, Reduction::SumSquare, &layout, &distance, &mut line);
                divide_by_count(&layout, &mut line);
                let tiny = T::from_f64(1e-9);
                for value in &mut line {
                    *value = value.square_root() + tiny;
                }
                Ok(arith(engine, Arith::Div, &plan, &distance, &line, out)?)
            }
            Lines::Lp { square, .. } => {
                let op = if *square {
                    Reduction::SumSquare
                } else {
                    Reduction::SumMagnitude
                };
                reduce(engine, op, &layout, &x, &mut line);
                for value in &mut line {
                    let norm = if *square { value.square_root() } else { *value };
                    // Every element of a zero line is zero, and zero over infinity is zero.
                    *value = if norm.is_zero() { T::INFINITY } else { norm };
                }
                Ok(arith(engine, Arith::Div, &plan, &x, &line, out)?)
            }
        })
    }
}

impl Op for Lines {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        self.flags(x.shape.len())?;
        Ok(vec![Fact::tensor(want_float(x.dtype)?, x.shape.clone())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        row_cost(cx, cx.input(0)?.count())
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let x = ins.get(0)?;
        with_float!(x.dtype(), T => self.run_as::<T>(cx, x, &mut outs[0]))
    }
}

pub(super) fn mean_variance(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    let axes = cx.ints("axes")?.unwrap_or_else(|| vec![0, 2, 3]);
    Ok(Box::new(Lines::MeanVariance(axes)))
}

pub(super) fn lp(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    let square = match cx.int_or("p", 2)? {
        1 => false,
        2 => true,
        _ => {
            return Err(OpError::Attribute {
                name: "p",
                why: "must be 1 or 2",
            });
        }
    };
    Ok(Box::new(Lines::Lp {
        axis: cx.int_or("axis", -1)?,
        square,
    }))
}
