//! Range, ConstantOfShape, OneHot, EyeLike, Trilu: elements made from a few numbers.

use assay_numerics::cast::cast;
use assay_numerics::half::{Bf16, F16};
use assay_numerics::range;

use super::moves::{index_in, picked, product, size_from};
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx, axis_in};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Data, Out, Tensor, View};

/// Counts writing the output, an operation for each element.
fn written(cx: &CostCx<'_>) -> Result<Cost, OpError> {
    let fact = cx.output(0)?;
    Ok(Cost {
        elements: fact.count(),
        bytes_written: fact.size_bytes(),
        ..Cost::default()
    })
}

/// Borrows the one element of a tensor that stands for a number.
fn only<T: Clone>(values: &[T]) -> Result<T, OpError> {
    match values {
        [value] => Ok(value.clone()),
        _ => Err(OpError::Value {
            what: "needs exactly one element",
            got: values.len() as i64,
        }),
    }
}

/// Gives evenly spaced numbers.
struct Range;

/// Counts the elements of an integer range without overflow.
fn integer_count(start: i64, limit: i64, delta: i64) -> Result<usize, OpError> {
    if delta == 0 {
        return Err(OpError::Value {
            what: "the step of a range cannot be zero",
            got: 0,
        });
    }
    let distance = i128::from(limit) - i128::from(start);
    let distance = if delta > 0 { distance } else { -distance };
    let steps = distance
        .max(0)
        .unsigned_abs()
        .div_ceil(u128::from(delta.unsigned_abs()));
    Ok(usize::try_from(steps).unwrap_or(usize::MAX))
}

fn float_count(start: f64, limit: f64, delta: f64) -> Result<usize, OpError> {
    let count = range::count(start, limit, delta).ok_or(OpError::Value {
        what: "a range needs numbers and a step that is not zero",
        got: 0,
    })?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

fn range_count(views: [View<'_>; 3]) -> Result<usize, OpError> {
    macro_rules! count {
        ([$($int:ident)*] [$($float:ident => $wide:expr),*]) => {
            match views.map(|view| view.data) {
                $([Data::$int(a), Data::$int(b), Data::$int(c)] => {
                    integer_count(only(a)?.into(), only(b)?.into(), only(c)?.into())
                })*
                $([Data::$float(a), Data::$float(b), Data::$float(c)] => {
                    float_count($wide(only(a)?), $wide(only(b)?), $wide(only(c)?))
                })*
                [a, _, _] => Err(OpError::Type {
                    what: "three numbers of one type (int16, int32, int64 or a float)",
                    got: a.dtype(),
                }),
            }
        };
    }
    count!([I16 I32 I64] [
        F32 => f64::from, F64 => std::convert::identity, F16 => F16::to_f64, Bf16 => Bf16::to_f64
    ])
}

impl Op for Range {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let dtype = cx.tensor(0)?.dtype;
        let count = range_count([cx.value(0)?, cx.value(1)?, cx.value(2)?])?;
        Ok(vec![Fact::tensor(dtype, [count])])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        written(cx)
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        macro_rules! integers {
            ($out:expr, $start:expr, $delta:expr) => {{
                let (mut value, delta) = (only($start)?, only($delta)?);
                for out in $out.iter_mut() {
                    *out = value;
                    value = value.wrapping_add(delta);
                }
                Ok(())
            }};
        }
        macro_rules! halves {
            ($out:expr, $start:expr, $delta:expr) => {{
                let mut wide = vec![0f32; $out.len()];
                range::fill(only($start)?.to_f32(), only($delta)?.to_f32(), &mut wide);
                cast(&wide, $out);
                Ok(())
            }};
        }
        match (&mut *outs[0].data, ins.get(0)?.data, ins.get(2)?.data) {
            (Data::F32(out), Data::F32(start), Data::F32(delta)) => {
                range::fill(only(start)?, only(delta)?, out);
                Ok(())
            }
            (Data::F64(out), Data::F64(start), Data::F64(delta)) => {
                range::fill(only(start)?, only(delta)?, out);
                Ok(())
            }
            (Data::F16(out), Data::F16(start), Data::F16(delta)) => halves!(out, start, delta),
            (Data::Bf16(out), Data::Bf16(start), Data::Bf16(delta)) => halves!(out, start, delta),
            (Data::I16(out), Data::I16(start), Data::I16(delta)) => integers!(out, start, delta),
            (Data::I32(out), Data::I32(start), Data::I32(delta)) => integers!(out, start, delta),
            (Data::I64(out), Data::I64(start), Data::I64(delta)) => integers!(out, start, delta),
            (out, ..) => Err(OpError::Type {
                what: "a numeric range",
                got: out.dtype(),
            }),
        }
    }
}

/// Fills a shape given by input 0 with one value.
struct ConstantOfShape {
    value: Tensor,
}

impl Op for ConstantOfShape {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let sizes = cx
            .ints(0)?
            .into_iter()
            .map(|size| size_from(size, "a size cannot be negative"));
        Ok(vec![Fact::tensor(
            self.value.dtype(),
            sizes.collect::<Result<Vec<_>, _>>()?,
        )])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        written(cx)
    }

    fn run(&self, _: &mut RunCx<'_>, _: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        pair_kinds!(&mut *outs[0].data, self.value.data(), |to, from| {
            to.fill(only(from)?);
            Ok(())
        })
    }
}

/// Writes one value at the index and another everywhere else along a new axis.
struct OneHot {
    axis: i64,
}

impl OneHot {
    /// Finds where the new axis stands among the indices' dimensions.
    fn axis(&self, rank: usize) -> Result<usize, OpError> {
        axis_in(self.axis, rank + 1)
    }
}

/// Reads a number of any numeric type as an integer, truncating floats (Spec: N-11).
fn integers(view: View<'_>) -> Result<Vec<i64>, OpError> {
    let mut wide = vec![0i64; view.len()];
    macro_rules! convert {
        ($($kind:ident)*) => {
            match view.data {
                $(Data::$kind(values) => cast(values, &mut wide),)*
                other => return Err(OpError::Type { what: "numbers", got: other.dtype() }),
            }
        };
    }
    convert!(F32 F64 F16 Bf16 I8 I16 I32 I64 U8 U16 U32 U64);
    Ok(wide)
}

impl Op for OneHot {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (indices, values) = (cx.tensor(0)?, cx.tensor(2)?);
        let depth = only(&integers(cx.value(1)?)?)?;
        let depth = match size_from(depth, "depth must be positive")? {
            0 => {
                return Err(OpError::Value {
                    what: "depth must be positive",
                    got: 0,
                });
            }
            depth => depth,
        };
        if values.shape != [2] {
            let (why, shapes) = ("needs an off and an on value", vec![values.shape.clone()]);
            return Err(OpError::Shape { why, shapes });
        }
        let mut shape = indices.shape.clone();
        shape.insert(self.axis(indices.shape.len())?, depth);
        Ok(vec![Fact::tensor(values.dtype, shape)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        written(cx)
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let indices = ins.get(0)?;
        let axis = self.axis(indices.shape.len())?;
        let list = integers(indices)?;
        let out = &mut outs[0];
        let depth = out.shape[axis];
        let inner = product(&indices.shape[axis..]);
        pair_kinds!(&mut *out.data, ins.get(2)?.data, |to, from| {
            write_hot(to, from, &list, depth, inner)
        })
    }
}

/// Writes the off value everywhere and the on value at each index.
fn write_hot<T: Clone>(
    to: &mut [T],
    values: &[T],
    list: &[i64],
    depth: usize,
    inner: usize,
) -> Result<(), OpError> {
    let [off, on] = values else {
        return Err(OpError::Value {
            what: "needs two values",
            got: values.len() as i64,
        });
    };
    to.fill(off.clone());
    for (at, &index) in list.iter().enumerate() {
        // An index outside the depth leaves its whole row off.
        if let Ok(index) = index_in(index, depth) {
            to[(at / inner * depth + index) * inner + at % inner] = on.clone();
        }
    }
    Ok(())
}

/// Writes ones on a diagonal and zeros elsewhere.
struct EyeLike {
    dtype: Option<DType>,
    diagonal: i64,
}

impl Op for EyeLike {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let fact = cx.tensor(0)?;
        if fact.shape.len() != 2 {
            let shapes = vec![fact.shape.clone()];
            return Err(OpError::Shape {
                why: "needs two dimensions",
                shapes,
            });
        }
        Ok(vec![Fact::tensor(
            self.dtype.unwrap_or(fact.dtype),
            fact.shape.clone(),
        )])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        written(cx)
    }

    fn run(&self, _: &mut RunCx<'_>, _: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let out = &mut outs[0];
        let (rows, columns) = (out.shape[0], out.shape[1]);
        let diagonal = (0..rows).filter_map(|row| {
            let column = (row as i64).checked_add(self.diagonal)?;
            let column = usize::try_from(column)
                .ok()
                .filter(|&column| column < columns)?;
            Some(row * columns + column)
        });
        macro_rules! ones {
            ($($kind:ident => $one:expr),*) => {
                match &mut *out.data {
                    $(Data::$kind(values) => {
                        values.fill(Default::default());
                        diagonal.for_each(|at| values[at] = $one);
                    })*
                    other => return Err(OpError::Type { what: "numbers", got: other.dtype() }),
                }
            };
        }
        ones!(
            F32 => 1.0, F64 => 1.0, F16 => F16::from_f32(1.0), Bf16 => Bf16::from_f32(1.0), I8 => 1,
            I16 => 1, I32 => 1, I64 => 1, U8 => 1, U16 => 1, U32 => 1, U64 => 1, Bool => true
        );
        Ok(())
    }
}

/// Keeps the triangle above or below a diagonal and zeroes the rest.
struct Trilu {
    upper: bool,
}

impl Op for Trilu {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let fact = cx.tensor(0)?;
        if fact.shape.len() < 2 {
            let shapes = vec![fact.shape.clone()];
            return Err(OpError::Shape {
                why: "needs at least two dimensions",
                shapes,
            });
        }
        Ok(vec![Fact::tensor(fact.dtype, fact.shape.clone())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        picked(cx)
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let input = ins.get(0)?;
        let k = match ins.optional(1) {
            Some(view) => only(&view.to_i64s()?)?,
            None => 0,
        };
        let &[.., rows, columns] = input.shape else {
            return Err(OpError::Axis {
                axis: -2,
                rank: input.shape.len(),
            });
        };
        let out = &mut outs[0];
        if columns == 0 {
            return Ok(());
        }
        pair_kinds!(&mut *out.data, input.data, |to, from| {
            for (at, (to, from)) in to
                .chunks_exact_mut(columns)
                .zip(from.chunks_exact(columns))
                .enumerate()
            {
                // Upper keeps columns from row + k on, lower keeps those up to it.
                let edge = ((at % rows) as i64).saturating_add(k);
                let edge = edge
                    .saturating_add(i64::from(!self.upper))
                    .clamp(0, columns as i64);
                let (left, right) = to.split_at_mut(edge as usize);
                let (kept, zeroed, start) = if self.upper {
                    (right, left, edge as usize)
                } else {
                    (left, right, 0)
                };
                zeroed.fill(Default::default());
                let end = start + kept.len();
                kept.clone_from_slice(&from[start..end]);
            }
            Ok(())
        })
    }
}

fn build_range(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(3..=3, 1)?;
    if cx.opset() >= 27 && cx.int_or("stash_type", 1)? != 1 {
        return Err(OpError::Unsupported {
            what: "a stash_type other than float".to_owned(),
        });
    }
    Ok(Box::new(Range))
}

fn constant_of_shape(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    let value = cx.tensor("value")?.unwrap_or_else(|| Tensor::scalar(0f32));
    if value.data().len() != 1 {
        return Err(OpError::Attribute {
            name: "value",
            why: "must have one element",
        });
    }
    Ok(Box::new(ConstantOfShape { value }))
}

fn one_hot(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(3..=3, 1)?;
    Ok(Box::new(OneHot {
        axis: cx.int_or("axis", -1)?,
    }))
}

fn eye_like(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    let unknown = OpError::Attribute {
        name: "dtype",
        why: "is not a known element type",
    };
    let dtype = match cx.int("dtype")? {
        Some(number) => {
            let number = i32::try_from(number).ok();
            Some(number.and_then(DType::from_onnx).ok_or(unknown)?)
        }
        None => None,
    };
    Ok(Box::new(EyeLike {
        dtype,
        diagonal: cx.int_or("k", 0)?,
    }))
}

fn trilu(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=2, 1)?;
    Ok(Box::new(Trilu {
        upper: cx.flag("upper", true)?,
    }))
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("Range", 11, build_range),
    Entry::onnx("ConstantOfShape", 9, constant_of_shape),
    Entry::onnx("OneHot", 9, one_hot),
    Entry::onnx("EyeLike", 9, eye_like),
    Entry::onnx("Trilu", 14, trilu),
];
