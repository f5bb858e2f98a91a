//! Pooling: MaxPool, AveragePool, LpPool, their global forms, MaxUnpool.

use assay_numerics::float::Float;
use assay_numerics::math::Transcendental;
use assay_numerics::pooling::{Pooling, Window, max_pool_integer, max_pool_with_indices, pool};
use assay_numerics::reduce::{ReduceLayout, Reduction, divide_by_count, reduce};

use super::pool_window::WindowAttributes;
use super::work::{Work, WorkFloat, want_float, with_float};
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Data, Out, View};

/// Names what a window becomes.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Max {
        column_major: bool,
    },
    Average {
        padded: bool,
    },
    /// The p-norm of the window.
    Norm {
        p: i64,
    },
}

/// Pools windows along the spatial axes.
struct Pool {
    kind: Kind,
    windows: WindowAttributes,
}

impl Pool {
    fn run_as<T: Work>(
        &self,
        cx: &RunCx<'_>,
        axes: &[Window],
        x: View<'_>,
        out: &mut Out<'_>,
    ) -> Result<(), OpError> {
        let mut x = T::read(x)?;
        let (op, root) = match self.kind {
            Kind::Max { .. } => (Pooling::Max, None),
            Kind::Average { padded } => (Pooling::Average { padded }, None),
            Kind::Norm { p: 1 } => (Pooling::SumMagnitude, None),
            Kind::Norm { p: 2 } => (Pooling::RootSumSquare, None),
            Kind::Norm { p } => {
                let p = T::of(p as f32);
                for value in x.to_mut() {
                    *value = value.magnitude();
                }
                T::power_in_place(cx.engine(), x.to_mut(), p);
                (Pooling::Sum, Some(T::ONE / p))
            }
        };
        T::write(out, |out| {
            pool(cx.engine(), op, axes, &x, out);
            if let Some(root) = root {
                T::power_in_place(cx.engine(), out, root);
            }
            Ok(())
        })
    }

    /// Pools with positions; f16 and bf16 keep their values, which are only chosen among.
    fn run_with_indices(
        &self,
        axes: &[Window],
        x: View<'_>,
        outs: &mut [Out<'_>],
    ) -> Result<(), OpError> {
        let column_major = self.kind == Kind::Max { column_major: true };
        let [out, positions] = outs else {
            return Err(OpError::MissingInput { input: 1 });
        };
        let positions = positions.as_mut::<i64>()?;
        match (x.data, &mut *out.data) {
            (Data::U8(x), Data::U8(out)) => {
                max_pool_with_indices(0, axes, column_major, x, out, positions);
                Ok(())
            }
            (Data::I8(x), Data::I8(out)) => {
                max_pool_with_indices(i8::MIN, axes, column_major, x, out, positions);
                Ok(())
            }
            _ => with_float!(x.dtype(), T => {
                let x = T::read(x)?;
                T::write(out, |out| {
                    let least = -T::INFINITY;
                    max_pool_with_indices(least, axes, column_major, &x, out, positions);
                    Ok(())
                })
            }),
        }
    }
}

impl Op for Pool {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        let bytes = matches!(x.dtype, DType::I8 | DType::U8);
        if !(bytes && matches!(self.kind, Kind::Max { .. })) {
            want_float(x.dtype)?;
        }
        let axes = self.windows.windows(&x.shape)?;
        let mut shape: Vec<usize> = x.shape.iter().take(2).copied().collect();
        shape.extend(axes.iter().map(|axis| axis.output));
        Ok(vec![
            Fact::tensor(x.dtype, shape.clone()),
            Fact::tensor(DType::I64, shape),
        ])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let (inputs, outputs) = (cx.input(0)?.count(), cx.output(0)?.count());
        let window = self
            .windows
            .kernel()
            .iter()
            .fold(1u64, |n, k| n.saturating_mul(*k as u64));
        let powers = match self.kind {
            Kind::Norm { p } if p > 2 => inputs.saturating_add(outputs),
            _ => 0,
        };
        // The position of the largest is found by comparing one by one.
        let each = if cx.output(1).is_ok() { 8 } else { 1 };
        Ok(Cost {
            elements: outputs
                .saturating_mul(window.saturating_add(4))
                .saturating_mul(each),
            transcendentals: powers,
            ..cx.traffic()
        })
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let x = ins.get(0)?;
        let axes = self.windows.windows(x.shape)?;
        if outs.len() > 1 {
            return self.run_with_indices(&axes, x, outs);
        }
        let Some(out) = outs.first_mut() else {
            return Ok(());
        };
        match (x.data, &mut *out.data) {
            (Data::U8(x), Data::U8(out)) => max_pool_integer(cx.engine(), 0, &axes, x, out),
            (Data::I8(x), Data::I8(out)) => {
                max_pool_integer(cx.engine(), i8::MIN, &axes, x, out);
            }
            _ => return with_float!(x.dtype(), T => self.run_as::<T>(cx, &axes, x, out)),
        }
        Ok(())
    }
}

/// Reduces all spatial axes in 16 lanes (Spec: N-20: global pooling is a reduction).
struct Global {
    kind: Kind,
}

impl Op for Global {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        if x.shape.len() < 2 {
            return Err(OpError::Shape {
                why: "needs batch and channels",
                shapes: vec![x.shape.clone()],
            });
        }
        let shape: Vec<usize> = x
            .shape
            .iter()
            .enumerate()
            .map(|(i, dim)| if i < 2 { *dim } else { 1 })
            .collect();
        Ok(vec![Fact::tensor(want_float(x.dtype)?, shape)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let (inputs, outputs) = (cx.input(0)?.count(), cx.output(0)?.count());
        let transcendentals = match self.kind {
            Kind::Norm { p } if p > 2 => inputs.saturating_add(outputs),
            _ => 0,
        };
        let elements = inputs.saturating_add(outputs.saturating_mul(16));
        Ok(Cost {
            elements,
            transcendentals,
            ..cx.traffic()
        })
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let view = ins.get(0)?;
        let flags: Vec<bool> = (0..view.shape.len()).map(|i| i >= 2).collect();
        let layout = ReduceLayout::new(view.shape, &flags);
        let engine = cx.engine();
        with_float!(view.dtype(), T => {
            let mut x = T::read(view)?;
            let op = match self.kind {
                Kind::Max { .. } => Reduction::Max,
                Kind::Average { .. } => Reduction::Sum,
                Kind::Norm { p: 1 } => Reduction::SumMagnitude,
                Kind::Norm { p: 2 } => Reduction::SumSquare,
                Kind::Norm { p } => {
                    for value in x.to_mut() {
                        *value = value.magnitude();
                    }
                    T::power_in_place(engine, x.to_mut(), T::of(p as f32));
                    Reduction::Sum
                }
            };
            T::write(&mut outs[0], |out| {
                reduce(engine, op, &layout, &x, out);
                match self.kind {
                    Kind::Average { .. } => divide_by_count(&layout, out),
                    Kind::Norm { p: 2 } => {
                        for value in out {
                            *value = value.square_root().canonical();
                        }
                    }
                    Kind::Norm { p } if p > 2 => {
                        T::power_in_place(engine, out, T::of(1.0) / T::of(p as f32));
                    }
                    _ => {}
                }
                Ok(())
            })
        })
    }
}

/// Writes pooled values back to the positions they came from, zero elsewhere.
struct MaxUnpool {
    windows: WindowAttributes,
}

impl MaxUnpool {
    /// Returns the shape that the attributes give.
    fn inferred(&self, shape: &[usize]) -> Result<Vec<usize>, OpError> {
        let refused = || OpError::Shape {
            why: "the unpooled extents must be positive",
            shapes: vec![shape.to_vec()],
        };
        if shape.len() != self.windows.rank() + 2 {
            return Err(refused());
        }
        let mut out: Vec<usize> = shape.iter().take(2).copied().collect();
        for (axis, dim) in shape.iter().skip(2).enumerate() {
            let at = |list: &[usize]| list.get(axis).copied().unwrap_or(1);
            let (begin, end) = self.windows.pads(axis);
            let extent = dim
                .checked_sub(1)
                .and_then(|steps| steps.checked_mul(at(self.windows.strides())))
                .and_then(|span| span.checked_add(at(self.windows.kernel())))
                .and_then(|span| span.checked_sub(begin + end))
                .ok_or_else(refused)?;
            out.push(extent);
        }
        Ok(out)
    }
}

impl Op for MaxUnpool {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (x, positions) = (cx.tensor(0)?, cx.tensor(1)?);
        if positions.dtype != DType::I64 || positions.shape != x.shape {
            return Err(OpError::Shape {
                why: "the positions must be int64 and as many as the values",
                shapes: vec![x.shape.clone(), positions.shape.clone()],
            });
        }
        let inferred = self.inferred(&x.shape)?;
        let shape = if cx.has(2) {
            let asked = cx.ints(2)?;
            let asked: Vec<usize> = asked
                .iter()
                .map(|d| usize::try_from(*d).unwrap_or(0))
                .collect();
            // The positions count in the inferred shape, which must fit into the one asked for.
            if asked.len() != inferred.len() || asked.iter().zip(&inferred).any(|(a, i)| a < i) {
                return Err(OpError::Shape {
                    why: "the output shape must hold the unpooled one",
                    shapes: vec![asked, inferred],
                });
            }
            asked
        } else {
            inferred
        };
        Ok(vec![Fact::tensor(want_float(x.dtype)?, shape)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        cx.elementwise()
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (x, positions) = (ins.get(0)?, ins.get(1)?.as_slice::<i64>()?);
        let inferred = self.inferred(x.shape)?;
        let total: usize = inferred.iter().product();
        let out = &mut outs[0];
        let shape = out.shape;
        with_float!(x.dtype(), T => {
            let x = T::read(x)?;
            T::write(out, |out| {
                out.fill(T::of(0.0));
                for (value, position) in x.iter().zip(positions) {
                    let at = usize::try_from(*position)
                        .ok()
                        .filter(|at| *at < total)
                        .ok_or(OpError::Index { index: *position, dim: total })?;
                    if let Some(o) = out.get_mut(moved(at, &inferred, shape)) {
                        *o = *value;
                    }
                }
                Ok(())
            })
        })
    }
}

/// Converts a flat position in one shape to the same coordinates in a larger one.
fn moved(mut at: usize, from: &[usize], to: &[usize]) -> usize {
    let (mut flat, mut step) = (0, 1);
    for (from, to) in from.iter().zip(to).rev() {
        flat += at % from * step;
        at /= from;
        step *= to;
    }
    flat
}

fn max(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 2)?;
    let windows = WindowAttributes::read(cx, cx.opset() >= 10, cx.opset() >= 10)?;
    let column_major = cx.flag("storage_order", false)?;
    Ok(Box::new(Pool {
        kind: Kind::Max { column_major },
        windows,
    }))
}

fn average(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    let windows = WindowAttributes::read(cx, cx.opset() >= 19, cx.opset() >= 10)?;
    let padded = cx.flag("count_include_pad", false)?;
    Ok(Box::new(Pool {
        kind: Kind::Average { padded },
        windows,
    }))
}

fn norm(cx: &NodeCx<'_>) -> Result<Kind, OpError> {
    let p = cx.int_or("p", 2)?;
    if !(1..=64).contains(&p) {
        return Err(OpError::Attribute {
            name: "p",
            why: "must be 1 to 64",
        });
    }
    Ok(Kind::Norm { p })
}

fn lp(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    let windows = WindowAttributes::read(cx, cx.opset() >= 18, cx.opset() >= 18)?;
    Ok(Box::new(Pool {
        kind: norm(cx)?,
        windows,
    }))
}

fn global(cx: &NodeCx<'_>, kind: Kind) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    Ok(Box::new(Global { kind }))
}

fn unpool(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=3, 1)?;
    Ok(Box::new(MaxUnpool {
        windows: WindowAttributes::read(cx, false, false)?,
    }))
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("MaxPool", 1, max),
    Entry::onnx("AveragePool", 7, average),
    Entry::onnx("LpPool", 2, lp),
    Entry::onnx("GlobalMaxPool", 1, |cx| {
        global(
            cx,
            Kind::Max {
                column_major: false,
            },
        )
    }),
    Entry::onnx("GlobalAveragePool", 1, |cx| {
        global(cx, Kind::Average { padded: false })
    }),
    Entry::onnx("GlobalLpPool", 2, |cx| global(cx, norm(cx)?)),
    Entry::onnx("MaxUnpool", 9, unpool),
];
