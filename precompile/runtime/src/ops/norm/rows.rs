//! Layer and RMS normalisation: the last axes of a tensor together.

use assay_numerics::norm::{Affine, Centre, normalise};

use super::{refuse, row_cost, spread};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::ops::work::{Work, want_float, with_float};
use crate::ops::{CostCx, Fact, InferCx, Ins, NodeCx, Op, RunCx, axis_in, broadcast};
use crate::tensor::Out;

/// Normalises the last axes together: LayerNormalization and RMSNormalization.
struct Rows {
    centre: Centre,
    axis: i64,
    epsilon: f32,
}

impl Rows {
    fn split<'s>(&self, shape: &'s [usize]) -> Result<(&'s [usize], &'s [usize]), OpError> {
        Ok(shape.split_at(axis_in(self.axis, shape.len())?))
    }

    fn run_as<T: Work>(
        &self,
        cx: &RunCx<'_>,
        ins: Ins<'_>,
        outs: &mut [Out<'_>],
    ) -> Result<(), OpError> {
        let view = ins.get(0)?;
        let (_, row) = self.split(view.shape)?;
        let len: usize = row.iter().product();
        let x = T::read(view)?;
        let scale = spread::<T>(cx.engine(), ins.get(1)?, row)?;
        let shift = ins
            .optional(2)
            .map(|shift| spread::<T>(cx.engine(), shift, row))
            .transpose()?;
        let affine = Affine::Elements {
            scale: &scale,
            shift: shift.as_deref(),
        };
        let mut statistics = vec![[T::ZERO; 2]; x.len() / len.max(1)];
        let Some((out, rest)) = outs.split_first_mut() else {
            return Ok(());
        };
        if !x.is_empty() {
            T::write(out, |out| {
                let epsilon = T::of(self.epsilon);
                let engine = cx.engine();
                normalise(
                    engine,
                    self.centre,
                    affine,
                    epsilon,
                    len,
                    &x,
                    out,
                    &mut statistics,
                );
                Ok(())
            })?;
        }
        for (which, out) in rest.iter_mut().enumerate() {
            T::write(out, |out| {
                for (o, both) in out.iter_mut().zip(&statistics) {
                    *o = if which == 0 { both[0] } else { both[1] };
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

impl Op for Rows {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        want_float(x.dtype)?;
        let (kept, row) = self.split(&x.shape)?;
        for i in 1..cx.inputs() {
            if let Some(parameter) = cx.optional(i)?
                && broadcast(row, &parameter.shape)? != row
            {
                return refuse(
                    "scale and bias must broadcast to the normalised axes",
                    vec![x.shape.clone(), parameter.shape.clone()],
                );
            }
        }
        let mut reduced = kept.to_vec();
        reduced.resize(x.shape.len(), 1);
        let statistics = if x.dtype == DType::F64 {
            DType::F64
        } else {
            DType::F32
        };
        Ok(vec![
            Fact::tensor(x.dtype, x.shape.clone()),
            Fact::tensor(statistics, reduced.clone()),
            Fact::tensor(statistics, reduced),
        ])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let (kept, _) = self.split(&cx.input(0)?.shape)?;
        row_cost(
            cx,
            kept.iter().fold(1u64, |n, d| n.saturating_mul(*d as u64)),
        )
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        with_float!(ins.get(0)?.dtype(), T => self.run_as::<T>(cx, ins, outs))
    }
}

/// Makes the operator; the first stage runs in the work type: f32 for f16 and bf16, as
/// stash_type 1 asks.
fn rows(cx: &NodeCx<'_>, centre: Centre) -> Result<Box<dyn Op>, OpError> {
    cx.int("stash_type")?;
    Ok(Box::new(Rows {
        centre,
        axis: cx.int_or("axis", -1)?,
        epsilon: cx.float_or("epsilon", 1e-5)?,
    }))
}

pub(super) fn layer(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=3, 3)?;
    rows(cx, Centre::Mean)
}

pub(super) fn rms(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    rows(cx, Centre::Zero)
}
