//! Batch normalisation: channels over a batch, by given statistics or its own.

use std::borrow::Cow;

use assay_numerics::broadcast::Broadcast;
use assay_numerics::elementwise::{Arith, arith};
use assay_numerics::norm::{batch_factors, scale_channels};
use assay_numerics::reduce::{ReduceLayout, Reduction, divide_by_count, reduce};

use super::refuse;
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::ops::work::{Work, want_float, with_float};
use crate::ops::{CostCx, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use crate::tensor::Out;

/// Normalises channels by given statistics or, when training, by those of the batch.
struct Batch {
    epsilon: f32,
    momentum: f32,
    training: bool,
}

impl Batch {
    fn run_as<T: Work>(
        &self,
        cx: &RunCx<'_>,
        ins: Ins<'_>,
        outs: &mut [Out<'_>],
    ) -> Result<(), OpError> {
        let view = ins.get(0)?;
        let (channels, run) = extent(view.shape);
        let x = T::read(view)?;
        let (scale, bias) = (T::read(ins.get(1)?)?, T::read(ins.get(2)?)?);
        let (mut mean, mut variance) = (T::read(ins.get(3)?)?, T::read(ins.get(4)?)?);
        if self.training {
            let batch = view.len() / (channels * run).max(1);
            let now = statistics::<T>(cx, &x, [batch, channels, run])?;
            let momentum = T::of(self.momentum);
            let rest = T::ONE - momentum;
            for (i, given) in [(1, &mean), (2, &variance)] {
                if let Some(out) = outs.get_mut(i) {
                    let current = if i == 1 { &now.0 } else { &now.1 };
                    T::write(out, |out| {
                        for ((o, old), new) in out.iter_mut().zip(given.iter()).zip(current) {
                            *o = (*old * momentum + *new * rest).canonical();
                        }
                        Ok(())
                    })?;
                }
            }
            (mean, variance) = (Cow::Owned(now.0), Cow::Owned(now.1));
        }
        let epsilon = T::of(self.epsilon);
        let (factors, shifts) = batch_factors(&scale, &bias, &mean, &variance, epsilon);
        T::write(&mut outs[0], |out| {
            scale_channels(cx.engine(), &factors, &shifts, run.max(1), &x, out);
            Ok(())
        })
    }
}

/// Returns the channels and the elements of each, where a vector has one channel.
fn extent(shape: &[usize]) -> (usize, usize) {
    match shape {
        [_, channels, spatial @ ..] => (*channels, spatial.iter().product()),
        _ => (1, 1),
    }
}

/// Computes mean and population variance of each channel of `[batch, channels, run]`.
fn statistics<T: Work>(
    cx: &RunCx<'_>,
    x: &[T],
    shape: [usize; 3],
) -> Result<(Vec<T>, Vec<T>), OpError> {
    let layout = ReduceLayout::new(&shape, &[true, false, true]);
    let mut mean = vec![T::ZERO; layout.output_len()];
    reduce(cx.engine(), Reduction::Sum, &layout, x, &mut mean);
    divide_by_count(&layout, &mut mean);
    let mut distance = vec![T::ZERO; x.len()];
    let plan = Broadcast::new(&shape, [&shape, &[shape[1], 1]]);
    arith(cx.engine(), Arith::Sub, &plan, x, &mean, &mut distance)?;
    let mut variance = vec![T::ZERO; layout.output_len()];
    reduce(
        cx.engine(),
        Reduction::SumSquare,
        &layout,
        &distance,
        &mut variance,
    );
    divide_by_count(&layout, &mut variance);
    Ok((mean, variance))
}

impl Op for Batch {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        let (channels, _) = extent(&x.shape);
        for i in 1..5 {
            let parameter = cx.tensor(i)?;
            want_float(parameter.dtype)?;
            if (parameter.dtype == DType::F64) != (x.dtype == DType::F64) {
                return Err(OpError::ElementType {
                    expected: x.dtype,
                    got: parameter.dtype,
                });
            }
            if parameter.shape != [channels] {
                return refuse(
                    "every parameter needs one value for each channel",
                    vec![x.shape.clone(), parameter.shape.clone()],
                );
            }
        }
        let mean = cx.tensor(3)?;
        let variance = cx.tensor(4)?;
        Ok(vec![
            Fact::tensor(want_float(x.dtype)?, x.shape.clone()),
            Fact::tensor(mean.dtype, mean.shape.clone()),
            Fact::tensor(variance.dtype, variance.shape.clone()),
        ])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let passes = if self.training { 5 } else { 1 };
        let parameters = cx.input(1)?.count().saturating_mul(8);
        let elements = cx
            .input(0)?
            .count()
            .saturating_mul(passes)
            .saturating_add(parameters);
        Ok(Cost {
            elements,
            ..cx.traffic()
        })
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        with_float!(ins.get(0)?.dtype(), T => self.run_as::<T>(cx, ins, outs))
    }
}

pub(super) fn batch(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    let training = cx.opset() >= 14 && cx.flag("training_mode", false)?;
    if cx.opset() < 9 && !cx.flag("spatial", true)? {
        return Err(OpError::Unsupported {
            what: "batch normalisation with spatial = 0".into(),
        });
    }
    cx.arity(5..=5, if training { 3 } else { 1 })?;
    let (epsilon, momentum) = (cx.float_or("epsilon", 1e-5)?, cx.float_or("momentum", 0.9)?);
    Ok(Box::new(Batch {
        epsilon,
        momentum,
        training,
    }))
}
