//! Group and instance normalisation: groups of channels of each instance.

use std::borrow::Cow;

use assay_numerics::norm::{Affine, Centre, normalise};

use super::{channels, refuse, row_cost};
use crate::cost::Cost;
use crate::error::OpError;
use crate::ops::work::{Work, want_float, with_float};
use crate::ops::{CostCx, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use crate::tensor::Out;

/// Normalises groups of channels of each instance: GroupNormalization, InstanceNormalization.
struct Groups {
    /// Groups of channels; none makes every channel a group.
    groups: Option<usize>,
    epsilon: f32,
    /// Whether scale and bias have one value for each group (opset 18) rather than each channel.
    per_group: bool,
}

impl Groups {
    fn run_as<T: Work>(
        &self,
        cx: &RunCx<'_>,
        ins: Ins<'_>,
        out: &mut Out<'_>,
    ) -> Result<(), OpError> {
        let view = ins.get(0)?;
        let (channels, run) = channels(view.shape)?;
        if view.is_empty() {
            return Ok(());
        }
        let groups = self.groups.unwrap_or(channels);
        let x = T::read(view)?;
        let (mut scale, mut shift) = (T::read(ins.get(1)?)?, T::read(ins.get(2)?)?);
        if self.per_group {
            let each = channels / groups.max(1);
            let repeat = |values: &[T]| -> Cow<'_, [T]> {
                values
                    .iter()
                    .flat_map(|v| std::iter::repeat_n(*v, each))
                    .collect()
            };
            (scale, shift) = (
                Cow::Owned(repeat(&scale).into_owned()),
                Cow::Owned(repeat(&shift).into_owned()),
            );
        }
        let row = channels / groups.max(1) * run;
        let affine = Affine::Channels {
            scale: &scale,
            shift: &shift,
            run,
        };
        let mut statistics = vec![[T::ZERO; 2]; x.len() / row.max(1)];
        T::write(out, |out| {
            let (engine, epsilon) = (cx.engine(), T::of(self.epsilon));
            normalise(
                engine,
                Centre::Mean,
                affine,
                epsilon,
                row,
                &x,
                out,
                &mut statistics,
            );
            Ok(())
        })
    }
}

impl Op for Groups {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        let (channels, _) = channels(&x.shape)?;
        let groups = self.groups.unwrap_or(channels);
        if groups == 0 && channels > 0 || groups > 0 && !channels.is_multiple_of(groups) {
            return refuse(
                "the channels must divide into the groups",
                vec![x.shape.clone()],
            );
        }
        let parameters = if self.per_group { groups } else { channels };
        for i in 1..3 {
            let parameter = cx.tensor(i)?;
            if parameter.shape != [parameters] {
                return refuse(
                    "scale and bias need one value for each channel (group before opset 21)",
                    vec![x.shape.clone(), parameter.shape.clone()],
                );
            }
        }
        Ok(vec![Fact::tensor(want_float(x.dtype)?, x.shape.clone())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let shape = &cx.input(0)?.shape;
        let rows = shape
            .iter()
            .take(2)
            .fold(1u64, |n, d| n.saturating_mul(*d as u64));
        row_cost(cx, rows)
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        with_float!(ins.get(0)?.dtype(), T => self.run_as::<T>(cx, ins, &mut outs[0]))
    }
}

pub(super) fn group(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(3..=3, 1)?;
    let per_group = cx.opset() < 21;
    if !per_group {
        cx.int("stash_type")?;
    }
    let groups = cx.positive("num_groups")?;
    let epsilon = cx.float_or("epsilon", 1e-5)?;
    Ok(Box::new(Groups {
        groups: Some(groups),
        epsilon,
        per_group,
    }))
}

pub(super) fn instance(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(3..=3, 1)?;
    let epsilon = cx.float_or("epsilon", 1e-5)?;
    Ok(Box::new(Groups {
        groups: None,
        epsilon,
        per_group: false,
    }))
}
