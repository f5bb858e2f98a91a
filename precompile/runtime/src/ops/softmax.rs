//! Softmax, LogSoftmax, Hardmax (Spec: N-6).

use assay_numerics::softmax::Softmax;
use assay_numerics::sort::{End, arg_extreme};

use super::map::wide_factor;
use super::work::{Work, WorkFloat, want_float, with_float};
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx, axis_in};
use crate::cost::Cost;
use crate::error::OpError;
use crate::tensor::Out;

/// Names what becomes of a line.
#[derive(Clone, Copy)]
enum Kind {
    Soft(Softmax),
    Hard,
}

/// Computes lines along an axis; before opset 13 the axis and everything after it is one line.
struct Lines {
    kind: Kind,
    axis: i64,
    flatten: bool,
}

impl Lines {
    /// Returns the length of a line and the distance between its elements.
    fn extent(&self, shape: &[usize]) -> Result<(usize, usize), OpError> {
        if self.flatten {
            // The axis may be the rank itself: then lines have one element.
            let rank = shape.len();
            let axis = if self.axis == rank as i64 {
                rank
            } else {
                axis_in(self.axis, rank)?
            };
            return Ok((shape.iter().skip(axis).product(), 1));
        }
        // A scalar is one line of one element, whatever the axis.
        if shape.is_empty() {
            return Ok((1, 1));
        }
        let axis = axis_in(self.axis, shape.len())?;
        let inner = shape.iter().skip(axis + 1).product();
        Ok((shape.get(axis).copied().unwrap_or(1), inner))
    }
}

impl Op for Lines {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        self.extent(&x.shape)?;
        Ok(vec![Fact::tensor(want_float(x.dtype)?, x.shape.clone())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let x = cx.input(0)?;
        let rows = x.count() / (self.extent(&x.shape)?.0 as u64).max(1);
        // A short row takes as long as a dozen exponentials before its first.
        let transcendentals = match self.kind {
            Kind::Soft(_) => x.count().saturating_add(rows.saturating_mul(12)),
            _ => 0,
        };
        Ok(Cost {
            transcendentals: transcendentals.saturating_mul(wide_factor(x.dtype)),
            elements: x.count().saturating_mul(6),
            ..cx.traffic()
        })
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let x = ins.get(0)?;
        if x.is_empty() {
            return Ok(());
        }
        let (n, inner) = self.extent(x.shape)?;
        match self.kind {
            Kind::Soft(kind) => with_float!(x.dtype(), T => {
                let x = T::read(x)?;
                T::write(&mut outs[0], |out| {
                    T::softmax(cx.engine(), kind, (n, inner), &x, out);
                    Ok(())
                })
            }),
            Kind::Hard => with_float!(x.dtype(), T => {
                let x = T::read(x)?;
                let mut winners = vec![0i64; x.len() / n];
                arg_extreme(End::Largest, false, n, inner, &x, &mut winners);
                T::write(&mut outs[0], |out| {
                    out.fill(T::of(0.0));
                    for (line, winner) in winners.iter().enumerate() {
                        let start = line / inner * n * inner + line % inner;
                        if let Some(o) = out.get_mut(start + *winner as usize * inner) {
                            *o = T::of(1.0);
                        }
                    }
                    Ok(())
                })
            }),
        }
    }
}

fn lines(cx: &NodeCx<'_>, kind: Kind) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    let flatten = cx.opset() < 13;
    let axis = cx.int_or("axis", if flatten { 1 } else { -1 })?;
    Ok(Box::new(Lines {
        kind,
        axis,
        flatten,
    }))
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("Softmax", 1, |cx| lines(cx, Kind::Soft(Softmax::Plain))),
    Entry::onnx("LogSoftmax", 1, |cx| {
        lines(cx, Kind::Soft(Softmax::Logarithm))
    }),
    Entry::onnx("Hardmax", 1, |cx| lines(cx, Kind::Hard)),
];
