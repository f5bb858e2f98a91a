//! Normalisations: Layer, RMS, Group, Instance, Batch, MeanVariance, Lp, LRN (Spec: N-7, N-3).

use std::borrow::Cow;

use assay_numerics::Engine;
use assay_numerics::broadcast::Broadcast;
use assay_numerics::elementwise::{Arith, arith};
use assay_numerics::norm::{Affine, Centre, batch_factors, normalise, scale_channels};
use assay_numerics::reduce::{ReduceLayout, Reduction, divide_by_count, reduce};

use super::work::{Work, want_float, with_float};
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx, axis_in, broadcast};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Out, View};

/// Refuses a shape the operator cannot take.
fn refuse<T>(why: &'static str, shapes: Vec<Vec<usize>>) -> Result<T, OpError> {
    Err(OpError::Shape { why, shapes })
}

/// Counts about three passes over the input and one root for each row.
fn row_cost(cx: &CostCx<'_>, rows: u64) -> Result<Cost, OpError> {
    let elements = cx
        .input(0)?
        .count()
        .saturating_mul(4)
        .saturating_add(rows.saturating_mul(16));
    Ok(Cost {
        elements,
        ..cx.traffic()
    })
}

/// Spreads a parameter that broadcasts over the last axes of a row to one value for each element.
fn spread<'a, T: Work>(
    engine: &Engine,
    parameter: View<'a>,
    row: &[usize],
) -> Result<Cow<'a, [T]>, OpError> {
    let values = T::read(parameter)?;
    let len: usize = row.iter().product();
    if values.len() == len {
        return Ok(values);
    }
    let mut out = vec![T::ZERO; len];
    let plan = Broadcast::new(row, [parameter.shape, parameter.shape]);
    arith(engine, Arith::Max, &plan, &values, &values, &mut out)?;
    Ok(Cow::Owned(out))
}

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

/// Normalises groups of channels of each instance: GroupNormalization, InstanceNormalization.
struct Groups {
    /// Groups of channels; none makes every channel a group.
    groups: Option<usize>,
    epsilon: f32,
    /// Whether scale and bias have one value for each group (opset 18) rather than each channel.
    per_group: bool,
}

/// Returns the channels and the elements of each channel in one instance.
fn channels(shape: &[usize]) -> Result<(usize, usize), OpError> {
    match shape {
        [_, channels, spatial @ ..] => Ok((*channels, spatial.iter().product())),
        _ => refuse("needs at least two axes", vec![shape.to_vec()]),
    }
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

/// Divides by a power of the sum of squares of neighbouring channels.
struct Lrn {
    alpha: f32,
    beta: f32,
    bias: f32,
    size: usize,
}

impl Lrn {
    fn run_as<T: Work>(
        &self,
        cx: &RunCx<'_>,
        view: View<'_>,
        out: &mut Out<'_>,
    ) -> Result<(), OpError> {
        let (channels, run) = channels(view.shape)?;
        let x = T::read(view)?;
        let window = (self.size - 1) / 2;
        let after = self.size - 1 - window;
        let ratio = T::of(self.alpha) / T::from_count(self.size);
        let mut divisors = vec![T::ZERO; x.len()];
        let block = (channels * run).max(1);
        for (x, sums) in x.chunks_exact(block).zip(divisors.chunks_exact_mut(block)) {
            for (c, sums) in sums.chunks_exact_mut(run.max(1)).enumerate() {
                let last = (c + after).min(channels - 1);
                for other in c.saturating_sub(window)..=last {
                    // Product and sum round apart: a chain over a handful of channels.
                    for (sum, x) in sums.iter_mut().zip(&x[other * run..(other + 1) * run]) {
                        *sum = *sum + *x * *x;
                    }
                }
            }
        }
        for sum in &mut divisors {
            *sum = T::of(self.bias) + ratio * *sum;
        }
        T::power_in_place(cx.engine(), &mut divisors, T::of(self.beta));
        T::write(out, |out| {
            let plan = Broadcast::flat(x.len());
            Ok(arith(cx.engine(), Arith::Div, &plan, &x, &divisors, out)?)
        })
    }
}

impl Op for Lrn {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        channels(&x.shape)?;
        Ok(vec![Fact::tensor(want_float(x.dtype)?, x.shape.clone())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let x = cx.input(0)?;
        let (channels, _) = channels(&x.shape)?;
        let window = self.size.min(channels) as u64;
        Ok(Cost {
            elements: x.count().saturating_mul(window.saturating_add(3)),
            transcendentals: x.count(),
            ..cx.traffic()
        })
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let x = ins.get(0)?;
        with_float!(x.dtype(), T => self.run_as::<T>(cx, x, &mut outs[0]))
    }
}

fn layer(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=3, 3)?;
    // The first stage runs in the work type: f32 for f16 and bf16, as stash_type 1 asks.
    cx.int("stash_type")?;
    let (axis, epsilon) = (cx.int_or("axis", -1)?, cx.float_or("epsilon", 1e-5)?);
    Ok(Box::new(Rows {
        centre: Centre::Mean,
        axis,
        epsilon,
    }))
}

fn rms(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    cx.int("stash_type")?;
    let (axis, epsilon) = (cx.int_or("axis", -1)?, cx.float_or("epsilon", 1e-5)?);
    Ok(Box::new(Rows {
        centre: Centre::Zero,
        axis,
        epsilon,
    }))
}

fn group(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(3..=3, 1)?;
    let per_group = cx.opset() < 21;
    if !per_group {
        cx.int("stash_type")?;
    }
    let groups = cx
        .int("num_groups")?
        .and_then(|groups| usize::try_from(groups).ok())
        .filter(|groups| *groups > 0)
        .ok_or(OpError::Attribute {
            name: "num_groups",
            why: "must be given and positive",
        })?;
    let epsilon = cx.float_or("epsilon", 1e-5)?;
    Ok(Box::new(Groups {
        groups: Some(groups),
        epsilon,
        per_group,
    }))
}

fn instance(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(3..=3, 1)?;
    let epsilon = cx.float_or("epsilon", 1e-5)?;
    Ok(Box::new(Groups {
        groups: None,
        epsilon,
        per_group: false,
    }))
}

fn batch(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
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

fn mean_variance(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    let axes = cx.ints("axes")?.unwrap_or_else(|| vec![0, 2, 3]);
    Ok(Box::new(Lines::MeanVariance(axes)))
}

fn lp(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
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

fn lrn(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    let size = cx
        .int("size")?
        .and_then(|size| usize::try_from(size).ok())
        .filter(|size| *size > 0)
        .ok_or(OpError::Attribute {
            name: "size",
            why: "must be given and positive",
        })?;
    Ok(Box::new(Lrn {
        alpha: cx.float_or("alpha", 1e-4)?,
        beta: cx.float_or("beta", 0.75)?,
        bias: cx.float_or("bias", 1.0)?,
        size,
    }))
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("LayerNormalization", 17, layer),
    Entry::onnx("RMSNormalization", 23, rms),
    Entry::onnx("GroupNormalization", 18, group),
    Entry::onnx("InstanceNormalization", 6, instance),
    Entry::onnx("BatchNormalization", 7, batch),
    Entry::onnx("MeanVarianceNormalization", 9, mean_variance),
    Entry::onnx("LpNormalization", 1, lp),
    Entry::onnx("LRN", 1, lrn),
];
