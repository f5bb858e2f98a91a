//! Ordering and running along an axis: ArgMax, ArgMin, TopK, CumSum, CumProd.

use assay_numerics::scan::{Scan, scan};
use assay_numerics::sort::{End, SortKey, arg_extreme, top_k};

use super::work::{WorkFloat, is_work_float, with_float, with_integer, with_types};
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx, axis_in};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Element, Out, View};

/// Runs `$body` with `$T` an element type that has an order.
macro_rules! with_ordered {
    ($dtype:expr, $T:ident => $body:expr) => {
        with_types!($dtype, $T => $body; "a number tensor";
            I8: i8, I16: i16, I32: i32, I64: i64, U8: u8, U16: u16, U32: u32, U64: u64,
            F32: f32, F64: f64, F16: assay_numerics::half::F16, Bf16: assay_numerics::half::Bf16)
    };
}

/// Returns the length of an axis and the distance between its elements.
fn line(shape: &[usize], axis: usize) -> (usize, usize) {
    let inner = shape.iter().skip(axis + 1).product();
    (shape.get(axis).copied().unwrap_or(1), inner)
}

/// Finds the positions of extremes along an axis.
struct ArgExtreme {
    end: End,
    axis: i64,
    keep: bool,
    last: bool,
}

impl Op for ArgExtreme {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        with_ordered!(x.dtype, T => Ok(core::mem::size_of::<T>()))?;
        let axis = axis_in(self.axis, x.shape.len())?;
        let mut shape = x.shape.clone();
        let extent = shape.remove(axis);
        if extent == 0 && shape.iter().all(|dim| *dim > 0) {
            return Err(OpError::Shape {
                why: "an axis without elements has no extreme",
                shapes: vec![x.shape.clone()],
            });
        }
        if self.keep {
            shape.insert(axis, 1);
        }
        Ok(vec![Fact::tensor(DType::I64, shape)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        Ok(Cost {
            elements: cx.input(0)?.count().saturating_mul(6),
            ..cx.traffic()
        })
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let x = ins.get(0)?;
        let (n, inner) = line(x.shape, axis_in(self.axis, x.shape.len())?);
        let out = outs[0].as_mut::<i64>()?;
        with_ordered!(x.dtype(), T => {
            arg_extreme(self.end, self.last, n, inner, x.as_slice::<T>()?, out);
            Ok(())
        })
    }
}

/// Takes the first k elements in order along an axis; k is an attribute before opset 10.
struct TopK {
    axis: i64,
    k: Option<i64>,
    end: End,
}

impl TopK {
    fn wanted(&self, extent: usize, input: Option<View<'_>>) -> Result<usize, OpError> {
        let k = match (self.k, input) {
            (Some(k), _) => k,
            (None, Some(view)) => match view.to_i64s()?.as_slice() {
                [k] => *k,
                _ => {
                    return Err(OpError::Shape {
                        why: "K must have one element",
                        shapes: vec![view.shape.to_vec()],
                    });
                }
            },
            (None, None) => return Err(OpError::MissingInput { input: 1 }),
        };
        usize::try_from(k)
            .ok()
            .filter(|k| *k <= extent)
            .ok_or(OpError::Index {
                index: k,
                dim: extent,
            })
    }

    fn run_as<T: SortKey + Element>(
        &self,
        x: View<'_>,
        k: usize,
        axis: usize,
        outs: &mut [Out<'_>],
    ) -> Result<(), OpError> {
        let (n, inner) = line(x.shape, axis);
        let x = x.as_slice::<T>()?;
        match outs {
            [values, positions] => {
                top_k(
                    self.end,
                    k,
                    n,
                    inner,
                    x,
                    values.as_mut()?,
                    positions.as_mut()?,
                );
            }
            [values] => {
                let values = values.as_mut::<T>()?;
                let mut positions = vec![0; values.len()];
                top_k(self.end, k, n, inner, x, values, &mut positions);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Op for TopK {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        with_ordered!(x.dtype, T => Ok(core::mem::size_of::<T>()))?;
        let axis = axis_in(self.axis, x.shape.len())?;
        let input = if self.k.is_none() {
            Some(cx.value(1)?)
        } else {
            None
        };
        let mut shape = x.shape.clone();
        if let Some(dim) = shape.get_mut(axis) {
            *dim = self.wanted(*dim, input)?;
        }
        Ok(vec![
            Fact::tensor(x.dtype, shape.clone()),
            Fact::tensor(DType::I64, shape),
        ])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let x = cx.input(0)?;
        let axis = axis_in(self.axis, x.shape.len())?;
        let (n, _) = line(&x.shape, axis);
        let depth = u64::from(usize::BITS - n.leading_zeros());
        Ok(Cost {
            sort_steps: x.count().saturating_mul(depth.max(1)),
            ..cx.traffic()
        })
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let x = ins.get(0)?;
        let axis = axis_in(self.axis, x.shape.len())?;
        let k = self.wanted(line(x.shape, axis).0, ins.optional(1))?;
        with_ordered!(x.dtype(), T => self.run_as::<T>(x, k, axis, outs))
    }
}

/// Accumulates along an axis given as an input.
struct Cumulative {
    op: Scan,
    exclusive: bool,
    reverse: bool,
}

impl Op for Cumulative {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (x, axis) = (cx.tensor(0)?, cx.tensor(1)?);
        if !is_work_float(x.dtype) {
            with_integer!(x.dtype, T => Ok(core::mem::size_of::<T>()))?;
        }
        if axis.count() != 1 {
            return Err(OpError::Shape {
                why: "the axis must be a scalar",
                shapes: vec![axis.shape.clone()],
            });
        }
        Ok(vec![Fact::tensor(x.dtype, x.shape.clone())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        cx.elementwise()
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let x = ins.get(0)?;
        let axis = ins.get(1)?.to_i64s()?.first().copied().unwrap_or(0);
        let (n, inner) = line(x.shape, axis_in(axis, x.shape.len())?);
        let (op, exclusive, reverse) = (self.op, self.exclusive, self.reverse);
        if is_work_float(x.dtype()) {
            return with_float!(x.dtype(), T => {
                let x = T::read(x)?;
                T::write(&mut outs[0], |out| {
                    scan(op, exclusive, reverse, n, inner, &x, out);
                    Ok(())
                })
            });
        }
        with_integer!(x.dtype(), T => {
            scan(op, exclusive, reverse, n, inner, x.as_slice::<T>()?, outs[0].as_mut()?);
            Ok(())
        })
    }
}

fn arg(cx: &NodeCx<'_>, end: End) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    let last = cx.opset() >= 12 && cx.flag("select_last_index", false)?;
    let (axis, keep) = (cx.int_or("axis", 0)?, cx.flag("keepdims", true)?);
    Ok(Box::new(ArgExtreme {
        end,
        axis,
        keep,
        last,
    }))
}

fn top_k_op(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    let axis = cx.int_or("axis", -1)?;
    if cx.opset() < 10 {
        cx.arity(1..=1, 2)?;
        let k = cx.int("k")?.ok_or(OpError::Attribute {
            name: "k",
            why: "is missing",
        })?;
        return Ok(Box::new(TopK {
            axis,
            k: Some(k),
            end: End::Largest,
        }));
    }
    cx.arity(2..=2, 2)?;
    let largest = cx.opset() < 11 || cx.flag("largest", true)?;
    if cx.opset() >= 11 {
        // Unsorted results may have any order: the sorted one serves too.
        cx.flag("sorted", true)?;
    }
    let end = if largest { End::Largest } else { End::Smallest };
    Ok(Box::new(TopK { axis, k: None, end }))
}

fn cumulative(cx: &NodeCx<'_>, op: Scan) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    let (exclusive, reverse) = (cx.flag("exclusive", false)?, cx.flag("reverse", false)?);
    Ok(Box::new(Cumulative {
        op,
        exclusive,
        reverse,
    }))
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("ArgMax", 1, |cx| arg(cx, End::Largest)),
    Entry::onnx("ArgMin", 1, |cx| arg(cx, End::Smallest)),
    Entry::onnx("TopK", 1, top_k_op),
    Entry::onnx("CumSum", 11, |cx| cumulative(cx, Scan::Sum)),
    Entry::onnx("CumProd", 26, |cx| cumulative(cx, Scan::Product)),
];
