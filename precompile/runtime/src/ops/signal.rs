//! Signal processing: window functions, DFT, STFT (Spec: N-21).

use assay_numerics::signal::{Twiddles, WindowFunction, transform, window};

use super::cast::{CastRule, convert};
use super::dense::macs;
use super::map::WIDE_FACTOR;
use super::work::{Work, want_float, want_same, with_float};
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx, axis_in};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Data, Out, View};

/// Counts a transform: its multiply-adds, and the wide sines and cosines of its points.
fn transform_cost(cx: &CostCx<'_>, dtype: DType, count: u64, points: u64) -> Cost {
    let cost = Cost {
        transcendentals: points.saturating_mul(2 * WIDE_FACTOR),
        ..cx.traffic()
    };
    macs(dtype, count, cost)
}

/// Reads an input of one whole number that is at least `least`.
pub(crate) fn extent(view: View<'_>, least: i64) -> Result<usize, OpError> {
    match view.to_i64s()?.as_slice() {
        [n] if *n >= least => Ok(*n as usize),
        [n] => Err(OpError::Value {
            what: "an extent is too small",
            got: *n,
        }),
        _ => Err(OpError::Shape {
            why: "an extent must be a scalar",
            shapes: vec![view.shape.to_vec()],
        }),
    }
}

/// Makes a window of the size given as an input.
struct Window {
    function: WindowFunction,
    periodic: bool,
    dtype: DType,
}

impl Op for Window {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        Ok(vec![Fact::tensor(self.dtype, [extent(cx.value(0)?, 0)?])])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let transcendentals = cx.output(0)?.count().saturating_mul(2 * WIDE_FACTOR);
        Ok(Cost {
            transcendentals,
            ..cx.traffic()
        })
    }

    fn run(&self, _: &mut RunCx<'_>, _: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let mut values = vec![0.0; outs[0].data.len()];
        window(self.function, self.periodic, &mut values);
        convert(CastRule::default(), &Data::F64(values), outs[0].data)
    }
}

/// Transforms lines of real or complex numbers along an axis.
struct Dft {
    inverse: bool,
    onesided: bool,
    /// The axis as an attribute (before opset 20); else input 2.
    axis: Option<i64>,
}

/// Holds the extents of a transform.
struct Extents {
    axis: usize,
    points: usize,
    outputs: usize,
    /// Real parts only come out of a one-sided inverse.
    parts: usize,
}

impl Dft {
    fn extents(
        &self,
        shape: &[usize],
        length: Option<View<'_>>,
        axis: Option<View<'_>>,
    ) -> Result<Extents, OpError> {
        let (axis, inner) = match (self.axis, axis) {
            (Some(axis), _) => (axis, shape.len()),
            (None, None) => (-2, shape.len()),
            (None, Some(view)) => match view.to_i64s()?.as_slice() {
                [axis] => (*axis, shape.len()),
                _ => {
                    return Err(OpError::Axis {
                        axis: 0,
                        rank: shape.len(),
                    });
                }
            },
        };
        let axis = axis_in(axis, inner)?;
        let last = shape.len().saturating_sub(1);
        let complex = shape.last().copied().unwrap_or(0);
        if axis == last || !(1..=2).contains(&complex) {
            return Err(OpError::Shape {
                why: "the last axis must hold 1 or 2 parts and is not transformed",
                shapes: vec![shape.to_vec()],
            });
        }
        let dim = shape.get(axis).copied().unwrap_or(0);
        let real = self.inverse && self.onesided;
        let points = match length {
            Some(view) => extent(view, 1)?,
            None if real => dim.saturating_sub(1).saturating_mul(2).max(1),
            None => dim,
        };
        if points == 0 {
            return Err(OpError::Value {
                what: "a transform needs at least one point",
                got: 0,
            });
        }
        let half = self.onesided && !self.inverse;
        let outputs = if half { points / 2 + 1 } else { points };
        Ok(Extents {
            axis,
            points,
            outputs,
            parts: if real { 1 } else { 2 },
        })
    }

    fn run_as<T: Work>(
        &self,
        cx: &RunCx<'_>,
        view: View<'_>,
        extents: &Extents,
        out: &mut Out<'_>,
    ) -> Result<(), OpError> {
        let Extents {
            axis,
            points,
            outputs,
            parts,
        } = *extents;
        let parts_in = view.shape.last().copied().unwrap_or(1);
        let dim = view.shape.get(axis).copied().unwrap_or(0);
        let inner: usize = view
            .shape
            .iter()
            .take(view.shape.len() - 1)
            .skip(axis + 1)
            .product();
        let x = T::read(view)?;
        let twiddles = Twiddles::<T>::new(points, self.inverse);
        let scale = self.inverse.then(|| T::of(1.0) / T::from_count(points));
        let taken = if self.inverse && self.onesided {
            points / 2 + 1
        } else {
            points
        };
        let mut line: Vec<[T; 2]> = Vec::new();
        let mut result = vec![[T::of(0.0); 2]; outputs];
        T::write(out, |out| {
            let lines = out.len() / (outputs * parts).max(1);
            for i in 0..lines {
                let (block, column) = (i / inner, i % inner);
                line.clear();
                line.extend((0..dim.min(taken)).filter_map(|k| {
                    let at = ((block * dim + k) * inner + column) * parts_in;
                    let re = *x.get(at)?;
                    let im = if parts_in == 2 {
                        *x.get(at + 1)?
                    } else {
                        T::of(0.0)
                    };
                    Some([re, im])
                }));
                if self.inverse && self.onesided {
                    mirror(&mut line, points);
                }
                transform(cx.engine(), &twiddles, scale, &line, &mut result);
                for (k, value) in result.iter().enumerate() {
                    let at = ((block * outputs + k) * inner + column) * parts;
                    for (o, v) in out.iter_mut().skip(at).take(parts).zip(value) {
                        *o = *v;
                    }
                }
            }
            Ok(())
        })
    }
}

/// Completes a half spectrum by the conjugates of its other half.
fn mirror<T: Work>(line: &mut Vec<[T; 2]>, points: usize) {
    let given = line.len();
    line.resize(points, [T::of(0.0); 2]);
    for k in 1..given {
        if let (Some([re, im]), Some(target)) = (
            line.get(k).copied(),
            line.get_mut(points - k).filter(|_| points - k >= given),
        ) {
            *target = [re, -im];
        }
    }
}

impl Op for Dft {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        let value = |i: usize| {
            if cx.has(i) {
                cx.value(i).map(Some)
            } else {
                Ok(None)
            }
        };
        let extents = self.extents(&x.shape, value(1)?, value(2)?)?;
        let mut shape = x.shape.clone();
        if let Some(dim) = shape.get_mut(extents.axis) {
            *dim = extents.outputs;
        }
        if let Some(parts) = shape.last_mut() {
            *parts = extents.parts;
        }
        Ok(vec![Fact::tensor(want_float(x.dtype)?, shape)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let x = cx.input(0)?;
        let extents = self.extents(&x.shape, cx.value(1), cx.value(2))?;
        let points = extents.points as u64;
        let macs = cx
            .output(0)?
            .count()
            .saturating_mul(points)
            .saturating_mul(4);
        Ok(transform_cost(cx, x.dtype, macs, points))
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let x = ins.get(0)?;
        let extents = self.extents(x.shape, ins.optional(1), ins.optional(2))?;
        with_float!(x.dtype(), T => self.run_as::<T>(cx, x, &extents, &mut outs[0]))
    }
}

/// Transforms overlapping frames of a signal, weighted by a window.
struct Stft {
    onesided: bool,
}

/// Holds the frames of a short-time transform.
struct Frames {
    step: usize,
    length: usize,
    count: usize,
    outputs: usize,
}

impl Stft {
    fn frames(
        &self,
        shape: &[usize],
        step: View<'_>,
        window: Option<usize>,
        length: Option<View<'_>>,
    ) -> Result<Frames, OpError> {
        let refused = |why| OpError::Shape {
            why,
            shapes: vec![shape.to_vec()],
        };
        let [_, samples, 1 | 2] = shape else {
            return Err(refused("a signal has the shape [batch, samples, 1 or 2]"));
        };
        let length = match (length, window) {
            (Some(view), window) => {
                let length = extent(view, 1)?;
                if window.is_some_and(|window| window != length) {
                    return Err(refused("the window must be as long as a frame"));
                }
                length
            }
            (None, Some(window)) if window > 0 => window,
            _ => return Err(refused("needs a frame length or a window")),
        };
        let step = extent(step, 1)?;
        let room = samples.checked_sub(length);
        let count = room.ok_or_else(|| refused("the frame is longer than the signal"))? / step + 1;
        let outputs = if self.onesided {
            length / 2 + 1
        } else {
            length
        };
        Ok(Frames {
            step,
            length,
            count,
            outputs,
        })
    }

    fn run_as<T: Work>(
        &self,
        cx: &RunCx<'_>,
        view: View<'_>,
        frames: &Frames,
        window: Option<View<'_>>,
        out: &mut Out<'_>,
    ) -> Result<(), OpError> {
        let (samples, parts) = match view.shape {
            [_, samples, parts] => (*samples, *parts),
            _ => (0, 1),
        };
        let x = T::read(view)?;
        let weights = window.map(T::read).transpose()?;
        let twiddles = Twiddles::<T>::new(frames.length, false);
        let mut line: Vec<[T; 2]> = Vec::with_capacity(frames.length);
        let mut result = vec![[T::of(0.0); 2]; frames.outputs];
        T::write(out, |out| {
            for (i, out) in out.chunks_exact_mut(frames.outputs * 2).enumerate() {
                let start = i / frames.count * samples + i % frames.count * frames.step;
                line.clear();
                line.extend((0..frames.length).filter_map(|k| {
                    let at = (start + k) * parts;
                    let weight = match &weights {
                        Some(weights) => *weights.get(k)?,
                        None => T::of(1.0),
                    };
                    let re = *x.get(at)? * weight;
                    let im = if parts == 2 {
                        *x.get(at + 1)? * weight
                    } else {
                        T::of(0.0)
                    };
                    Some([re, im])
                }));
                transform(cx.engine(), &twiddles, None, &line, &mut result);
                for (o, v) in out.iter_mut().zip(result.iter().flatten()) {
                    *o = *v;
                }
            }
            Ok(())
        })
    }
}

impl Op for Stft {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        let window = cx.optional(2)?;
        if let Some(window) = window {
            want_same(x.dtype, window.dtype)?;
        }
        let length = if cx.has(3) { Some(cx.value(3)?) } else { None };
        let window = window.map(|window| window.count() as usize);
        let frames = self.frames(&x.shape, cx.value(1)?, window, length)?;
        let batch = x.shape.first().copied().unwrap_or(0);
        let shape = [batch, frames.count, frames.outputs, 2];
        Ok(vec![Fact::tensor(want_float(x.dtype)?, shape)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let (x, out) = (cx.input(0)?, cx.output(0)?);
        // A frame is never longer than the signal.
        let longest = x.shape.get(1).copied().unwrap_or(0) as u64;
        let bins = out.shape.get(2).copied().unwrap_or(0) as u64;
        let points = bins.saturating_mul(2).min(longest);
        let macs = out.count().saturating_mul(points).saturating_mul(4);
        Ok(transform_cost(cx, x.dtype, macs, points))
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (x, window) = (ins.get(0)?, ins.optional(2));
        let length = window.map(|window| window.len());
        let frames = self.frames(x.shape, ins.get(1)?, length, ins.optional(3))?;
        with_float!(x.dtype(), T => self.run_as::<T>(cx, x, &frames, window, &mut outs[0]))
    }
}

/// Reads the number type that an operator without float inputs is asked for.
pub(crate) fn number_type(cx: &NodeCx<'_>) -> Result<DType, OpError> {
    let number = i32::try_from(cx.int_or("output_datatype", 1)?).ok();
    let dtype = number
        .and_then(DType::from_onnx)
        .filter(|dtype| *dtype != DType::Str);
    dtype.ok_or(OpError::Attribute {
        name: "output_datatype",
        why: "is not a supported number type",
    })
}

fn window_op(cx: &NodeCx<'_>, function: WindowFunction) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    Ok(Box::new(Window {
        function,
        periodic: cx.flag("periodic", true)?,
        dtype: number_type(cx)?,
    }))
}

fn dft(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    let (inverse, onesided) = (cx.flag("inverse", false)?, cx.flag("onesided", false)?);
    let axis = if cx.opset() < 20 {
        cx.arity(1..=2, 1)?;
        Some(cx.int_or("axis", 1)?)
    } else {
        cx.arity(1..=3, 1)?;
        None
    };
    Ok(Box::new(Dft {
        inverse,
        onesided,
        axis,
    }))
}

fn stft(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=4, 1)?;
    Ok(Box::new(Stft {
        onesided: cx.flag("onesided", true)?,
    }))
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("HannWindow", 17, |cx| window_op(cx, WindowFunction::Hann)),
    Entry::onnx("HammingWindow", 17, |cx| {
        window_op(cx, WindowFunction::Hamming)
    }),
    Entry::onnx("BlackmanWindow", 17, |cx| {
        window_op(cx, WindowFunction::Blackman)
    }),
    Entry::onnx("DFT", 17, dft),
    Entry::onnx("STFT", 17, stft),
];
