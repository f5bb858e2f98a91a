//! Pad and CenterCropPad: elements added around a tensor, or taken away.

use super::super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use super::strided::{Strided, row_major};
use super::{axes_in, moved, size_from};
use crate::cost::Cost;
use crate::error::OpError;
use crate::tensor::{Data, Out, Tensor, View};

/// Says where the elements outside the tensor come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Constant,
    Edge,
    Reflect,
    Wrap,
}

/// Pads or, with negative counts, crops every axis.
struct Pad {
    mode: Mode,
    /// Counts and value written into the node (opsets before 11).
    stored: Option<(Vec<i64>, f32)>,
}

/// Holds the counts of one axis.
#[derive(Clone, Copy, Default)]
struct Margin {
    before: i64,
    after: i64,
}

impl Pad {
    fn margins<'v>(
        &self,
        rank: usize,
        value: impl Fn(usize) -> Result<Option<View<'v>>, OpError>,
    ) -> Result<Vec<Margin>, OpError> {
        let list = |input| value(input)?.map(|view| view.to_i64s()).transpose();
        let (pads, axes) = match &self.stored {
            Some((pads, _)) => (pads.clone(), None),
            None => (
                list(1)?.ok_or(OpError::MissingInput { input: 1 })?,
                list(3)?,
            ),
        };
        let axes = match axes {
            Some(axes) => axes_in(&axes, rank)?,
            None => (0..rank).collect(),
        };
        if pads.len() != 2 * axes.len() {
            let got = pads.len() as i64;
            return Err(OpError::Value {
                what: "pads must have two entries for each axis",
                got,
            });
        }
        let mut margins = vec![Margin::default(); rank];
        for (at, &axis) in axes.iter().enumerate() {
            margins[axis] = Margin {
                before: pads[at],
                after: pads[at + axes.len()],
            };
        }
        Ok(margins)
    }

    fn size(&self, dim: usize, margin: Margin) -> Result<usize, OpError> {
        let size = (dim as i64)
            .saturating_add(margin.before)
            .saturating_add(margin.after);
        let size = size_from(size, "cropping takes more than there is")?;
        // What is cropped away is not there to be repeated.
        let kept = (dim as i64)
            .saturating_add(margin.before.min(0))
            .saturating_add(margin.after.min(0))
            .max(0);
        if kept == 0 && size > 0 && self.mode != Mode::Constant {
            return Err(OpError::Value {
                what: "there is no element to pad with",
                got: 0,
            });
        }
        Ok(size)
    }
}

impl Op for Pad {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let fact = cx.tensor(0)?;
        let value = |input| {
            if cx.has(input) {
                cx.value(input).map(Some)
            } else {
                Ok(None)
            }
        };
        let margins = self.margins(fact.shape.len(), value)?;
        let sizes = fact
            .shape
            .iter()
            .zip(margins)
            .map(|(&dim, margin)| self.size(dim, margin));
        if let Some(constant) = cx.optional(2)?
            && (constant.dtype != fact.dtype || constant.count() > 1)
        {
            return Err(OpError::ElementType {
                expected: fact.dtype,
                got: constant.dtype,
            });
        }
        Ok(vec![Fact::tensor(
            fact.dtype,
            sizes.collect::<Result<Vec<_>, _>>()?,
        )])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let cost = moved(cx)?;
        let elements = match self.mode {
            Mode::Constant => cost.elements,
            _ => cost.elements.saturating_mul(2),
        };
        Ok(Cost { elements, ..cost })
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let input = ins.get(0)?;
        let margins = self.margins(input.shape.len(), |at| Ok(ins.optional(at)))?;
        if self.mode == Mode::Constant {
            let value = match (&self.stored, ins.optional(2)) {
                (Some((_, value)), _) => Some(stored_value(*value, input)?),
                (None, Some(view)) if !view.is_empty() => Some(view.to_tensor()),
                _ => None,
            };
            return pad_constant(input, &margins, value.as_ref(), &mut outs[0]);
        }
        let maps: Vec<Vec<usize>> = input
            .shape
            .iter()
            .zip(&margins)
            .zip(outs[0].shape)
            .map(|((&dim, &margin), &size)| sources(self.mode, dim, margin, size))
            .collect();
        let out = &mut outs[0];
        pair_kinds!(&mut *out.data, input.data, |to, from| {
            pick(to, from, input.shape, &maps);
            Ok(())
        })
    }
}

/// Gives the pad value of an old node the type of the input.
fn stored_value(value: f32, input: View<'_>) -> Result<Tensor, OpError> {
    match input.data {
        Data::F32(_) => Ok(Tensor::scalar(value)),
        Data::F64(_) => Ok(Tensor::scalar(f64::from(value))),
        Data::F16(_) => Ok(Tensor::scalar(assay_numerics::half::F16::from_f32(value))),
        other => Err(OpError::Type {
            what: "floats in opsets before 11",
            got: other.dtype(),
        }),
    }
}

fn pad_constant(
    input: View<'_>,
    margins: &[Margin],
    value: Option<&Tensor>,
    out: &mut Out<'_>,
) -> Result<(), OpError> {
    match value {
        Some(value) => pair_kinds!(&mut *out.data, value.data(), |to, from| fill(to, from))?,
        None => {
            out.data.resize(0);
            out.data.resize(super::product(out.shape));
        }
    }
    let (to, from) = (row_major(out.shape), row_major(input.shape));
    let mut kept = Vec::with_capacity(to.len());
    let (mut to_at, mut from_at) = (0isize, 0isize);
    for (axis, margin) in margins.iter().enumerate() {
        let crop = (-margin.before).max(0);
        let lost = crop.saturating_add((-margin.after).max(0));
        kept.push(input.shape[axis].saturating_sub(lost as usize));
        to_at = to_at.saturating_add(to[axis].saturating_mul(margin.before.max(0) as isize));
        from_at = from_at.saturating_add(from[axis].saturating_mul(crop as isize));
    }
    let copy = Strided::new(&kept, (&to, to_at), (&from, from_at));
    pair_kinds!(&mut *out.data, input.data, |to, from| copy.copy(to, from))
}

fn fill<T: Clone>(to: &mut [T], value: &[T]) -> Result<(), OpError> {
    if let Some(value) = value.first() {
        to.fill(value.clone());
    }
    Ok(())
}

/// Finds, for every position of a padded axis, the position of the input it repeats.
fn sources(mode: Mode, dim: usize, margin: Margin, size: usize) -> Vec<usize> {
    // Positions count from the first kept element: cropping comes before padding.
    let first = (-margin.before).max(0);
    let kept = dim as i64 - first - (-margin.after).max(0);
    let source = |at: usize| {
        let at = at as i64 - margin.before.max(0);
        let at = match mode {
            Mode::Wrap => at.rem_euclid(kept),
            Mode::Reflect if kept > 1 => {
                let period = 2 * (kept - 1);
                let at = at.rem_euclid(period);
                at.min(period - at)
            }
            _ => at.clamp(0, kept - 1),
        };
        (first + at) as usize
    };
    // Without output elements there is no source, and none is asked for.
    if kept <= 0 {
        Vec::new()
    } else {
        (0..size).map(source).collect()
    }
}

/// Fills the output by one map of positions for each axis.
pub(crate) fn pick<T: Clone>(to: &mut [T], from: &[T], shape: &[usize], maps: &[Vec<usize>]) {
    let strides = row_major(shape);
    let Some((inner, outer)) = maps.split_last() else {
        to.clone_from_slice(from);
        return;
    };
    if to.is_empty() {
        return;
    }
    let mut at = vec![0usize; outer.len()];
    for row in to.chunks_exact_mut(inner.len()) {
        let base: usize = outer
            .iter()
            .zip(&at)
            .zip(&strides)
            .map(|((map, &i), &s)| map[i] * s as usize)
            .sum();
        for (to, &source) in row.iter_mut().zip(inner) {
            *to = from[base + source].clone();
        }
        for (map, at) in outer.iter().zip(&mut at).rev() {
            *at += 1;
            if *at < map.len() {
                break;
            }
            *at = 0;
        }
    }
}

/// Crops or pads some axes around their centre to given sizes, with zeros.
struct CenterCropPad {
    axes: Option<Vec<i64>>,
}

impl CenterCropPad {
    fn margins(&self, shape: &[usize], sizes: &[i64]) -> Result<Vec<Margin>, OpError> {
        let axes = match &self.axes {
            Some(axes) => axes_in(axes, shape.len())?,
            None => (0..shape.len()).collect(),
        };
        if axes.len() != sizes.len() {
            let got = sizes.len() as i64;
            return Err(OpError::Value {
                what: "sizes and axes differ in number",
                got,
            });
        }
        let mut margins = vec![Margin::default(); shape.len()];
        for (&axis, &size) in axes.iter().zip(sizes) {
            let size = size_from(size, "a size cannot be negative")? as i64;
            let more = size.saturating_sub(shape[axis] as i64);
            // An odd element is added or taken at the end.
            let before = more / 2;
            margins[axis] = Margin {
                before,
                after: more - before,
            };
        }
        Ok(margins)
    }
}

impl Op for CenterCropPad {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let fact = cx.tensor(0)?;
        let margins = self.margins(&fact.shape, &cx.ints(1)?)?;
        let size = |(&dim, margin): (&usize, Margin)| {
            size_from(
                dim as i64 + margin.before + margin.after,
                "a size cannot be negative",
            )
        };
        let shape = fact
            .shape
            .iter()
            .zip(margins)
            .map(size)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(vec![Fact::tensor(fact.dtype, shape)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        moved(cx)
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let input = ins.get(0)?;
        let margins = self.margins(input.shape, &ins.get(1)?.to_i64s()?)?;
        pad_constant(input, &margins, None, &mut outs[0])
    }
}

fn pad(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    let mode = match cx.string_or("mode", "constant")?.as_str() {
        "constant" => Mode::Constant,
        "edge" => Mode::Edge,
        "reflect" => Mode::Reflect,
        "wrap" if cx.opset() >= 19 => Mode::Wrap,
        _ => {
            return Err(OpError::Attribute {
                name: "mode",
                why: "is not a known mode",
            });
        }
    };
    if cx.opset() >= 11 {
        cx.arity(2..=if cx.opset() >= 18 { 4 } else { 3 }, 1)?;
        return Ok(Box::new(Pad { mode, stored: None }));
    }
    cx.arity(1..=1, 1)?;
    let pads = cx.ints("pads")?.ok_or(OpError::Attribute {
        name: "pads",
        why: "is missing",
    })?;
    let value = cx.float_or("value", 0.0)?;
    Ok(Box::new(Pad {
        mode,
        stored: Some((pads, value)),
    }))
}

fn center_crop_pad(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    Ok(Box::new(CenterCropPad {
        axes: cx.ints("axes")?,
    }))
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("Pad", 2, pad),
    Entry::onnx("CenterCropPad", 18, center_crop_pad),
];
