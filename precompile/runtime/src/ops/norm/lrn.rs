//! Local response normalisation: an element by the squares of neighbouring channels.

use assay_numerics::broadcast::Broadcast;
use assay_numerics::elementwise::{Arith, arith};

use super::channels;
use crate::cost::Cost;
use crate::error::OpError;
use crate::ops::work::{Work, want_float, with_float};
use crate::ops::{CostCx, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use crate::tensor::{Out, View};

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

pub(super) fn lrn(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    Ok(Box::new(Lrn {
        alpha: cx.float_or("alpha", 1e-4)?,
        beta: cx.float_or("beta", 0.75)?,
        bias: cx.float_or("bias", 1.0)?,
        size: cx.positive("size")?,
    }))
}
