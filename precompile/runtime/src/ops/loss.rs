//! Losses: NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss.
//!
//! Each element's loss is the rounded product -x * weight; sums run in 16 lanes (Spec: N-4).

use assay_numerics::Engine;
use assay_numerics::reduce::{ReduceLayout, Reduction, reduce};
use assay_numerics::softmax::Softmax;

use super::work::{Work, want_float, want_same, with_float};
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::Out;

/// Names what becomes of the elements' losses.
#[derive(Clone, Copy, PartialEq)]
enum Gather {
    Each,
    Sum,
    Mean,
}

/// Takes the scores of the target classes, weighted; with `scores` after a log-softmax.
struct Loss {
    gather: Gather,
    ignore: Option<i64>,
    scores: bool,
}

/// Adds numbers in 16 lanes.
fn sum<T: Work>(engine: &Engine, values: &[T]) -> T {
    let mut out = [T::ZERO];
    reduce(
        engine,
        Reduction::Sum,
        &ReduceLayout::rows(1, values.len()),
        values,
        &mut out,
    );
    out[0]
}

impl Loss {
    /// Computes the loss of every target and the weight it counts with.
    fn elements<T: Work>(
        &self,
        x: &[T],
        classes: usize,
        inner: usize,
        targets: &[i64],
        weights: Option<&[T]>,
    ) -> Result<(Vec<T>, Vec<T>), OpError> {
        let mut losses = Vec::with_capacity(targets.len());
        let mut counted = Vec::with_capacity(targets.len());
        for (i, target) in targets.iter().enumerate() {
            if Some(*target) == self.ignore {
                losses.push(T::ZERO);
                counted.push(T::ZERO);
                continue;
            }
            let outside = OpError::Index {
                index: *target,
                dim: classes,
            };
            let class = usize::try_from(*target)
                .ok()
                .filter(|class| *class < classes);
            let class = class.ok_or_else(|| outside.clone())?;
            let at = (i / inner * classes + class) * inner + i % inner;
            let score = *x.get(at).ok_or_else(|| outside.clone())?;
            let weight = match weights {
                Some(weights) => *weights.get(class).ok_or(outside)?,
                None => T::ONE,
            };
            losses.push((-score * weight).canonical());
            counted.push(weight);
        }
        Ok((losses, counted))
    }

    fn run_as<T: Work>(
        &self,
        cx: &RunCx<'_>,
        ins: Ins<'_>,
        outs: &mut [Out<'_>],
    ) -> Result<(), OpError> {
        let (view, targets) = (ins.get(0)?, ins.get(1)?.to_i64s()?);
        let classes = view.shape.get(1).copied().unwrap_or(1);
        let inner: usize = view.shape.iter().skip(2).product();
        let engine = cx.engine();
        let mut x = T::read(view)?;
        if self.scores && !x.is_empty() {
            let mut logarithms = vec![T::ZERO; x.len()];
            T::softmax(
                engine,
                Softmax::Logarithm,
                (classes, inner),
                &x,
                &mut logarithms,
            );
            x = logarithms.into();
        }
        let weights = ins.optional(2).map(T::read).transpose()?;
        let (losses, counted) =
            self.elements(&x, classes, inner.max(1), &targets, weights.as_deref())?;
        let Some((out, rest)) = outs.split_first_mut() else {
            return Ok(());
        };
        T::write(out, |out| {
            match self.gather {
                Gather::Each => out.copy_from_slice(&losses),
                Gather::Sum => out.fill(sum(engine, &losses)),
                Gather::Mean => {
                    let mean = sum(engine, &losses) / sum(engine, &counted);
                    out.fill(mean.canonical());
                }
            }
            Ok(())
        })?;
        for out in rest {
            T::write(out, |out| {
                out.copy_from_slice(&x);
                Ok(())
            })?;
        }
        Ok(())
    }
}

impl Op for Loss {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (x, target) = (cx.tensor(0)?, cx.tensor(1)?);
        want_float(x.dtype)?;
        if !matches!(target.dtype, DType::I32 | DType::I64) {
            return Err(OpError::Type {
                what: "int32 or int64 targets",
                got: target.dtype,
            });
        }
        let mut shape = x.shape.clone();
        if shape.len() < 2 {
            return Err(OpError::Shape {
                why: "needs batch and classes",
                shapes: vec![shape],
            });
        }
        let classes = shape.remove(1);
        if target.shape != shape {
            return Err(OpError::Shape {
                why: "targets need the shape of the scores without the classes",
                shapes: vec![x.shape.clone(), target.shape.clone()],
            });
        }
        if let Some(weight) = cx.optional(2)? {
            want_same(x.dtype, weight.dtype)?;
            if weight.shape != [classes] {
                return Err(OpError::Shape {
                    why: "needs one weight for each class",
                    shapes: vec![x.shape.clone(), weight.shape.clone()],
                });
            }
        }
        if self.gather != Gather::Each {
            shape.clear();
        }
        Ok(vec![
            Fact::tensor(x.dtype, shape),
            Fact::tensor(x.dtype, x.shape.clone()),
        ])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let x = cx.input(0)?;
        let factor = if x.dtype == DType::F64 {
            super::map::WIDE_FACTOR
        } else {
            1
        };
        let logarithms = if self.scores {
            x.count().saturating_mul(factor)
        } else {
            0
        };
        Ok(Cost {
            elements: cx.input(1)?.count().saturating_mul(4),
            transcendentals: logarithms,
            ..cx.traffic()
        })
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        with_float!(ins.get(0)?.dtype(), T => self.run_as::<T>(cx, ins, outs))
    }
}

fn loss(cx: &NodeCx<'_>, scores: bool) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=3, if scores { 2 } else { 1 })?;
    let gather = match cx.string_or("reduction", "mean")?.as_str() {
        "none" => Gather::Each,
        "sum" => Gather::Sum,
        "mean" => Gather::Mean,
        _ => {
            return Err(OpError::Attribute {
                name: "reduction",
                why: "must be none, sum or mean",
            });
        }
    };
    Ok(Box::new(Loss {
        gather,
        ignore: cx.int("ignore_index")?,
        scores,
    }))
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("NegativeLogLikelihoodLoss", 12, |cx| loss(cx, false)),
    Entry::onnx("SoftmaxCrossEntropyLoss", 12, |cx| loss(cx, true)),
];
