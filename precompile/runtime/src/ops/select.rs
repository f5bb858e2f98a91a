//! NonZero, Compress, Unique: outputs whose size the elements decide.

use std::cmp::Ordering;

use assay_numerics::half::{Bf16, F16};

use super::moves::product;
use super::moves::strided::{Strided, row_major};
use super::{CostCx, Entry, Fact, InferCx, NodeCx, Op, RunCx, TensorFact, Values, axis_in};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Data, Tensor, Value};

/// Borrows a tensor among the inputs of a dynamic operator.
pub(crate) fn tensor_in<'a>(
    ins: &[Option<&'a Value>],
    input: usize,
) -> Result<&'a Tensor, OpError> {
    let value = ins
        .get(input)
        .copied()
        .flatten()
        .ok_or(OpError::MissingInput { input })?;
    let kind = OpError::Kind {
        input,
        expected: "tensor",
        got: value.kind(),
    };
    value.as_tensor().ok_or(kind)
}

/// Describes a tensor about to be allocated.
pub(crate) fn exactly(dtype: DType, shape: &[usize]) -> TensorFact {
    TensorFact {
        dtype,
        shape: shape.to_vec(),
        exact: true,
    }
}

/// Lists the coordinates of elements that are not zero.
struct NonZero;

/// Counts choosing some of the first input's elements: a branch for each that no machine foresees.
fn chosen(cx: &CostCx<'_>) -> Result<Cost, OpError> {
    Ok(Cost {
        elements: cx.input(0)?.count().saturating_mul(8),
        ..cx.traffic()
    })
}

impl Op for NonZero {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let fact = cx.tensor(0)?;
        let count = product(&fact.shape);
        Ok(vec![Fact::at_most(
            DType::I64,
            [fact.shape.len().max(1), count],
        )])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        chosen(cx)
    }

    fn is_dynamic(&self) -> bool {
        true
    }

    fn run_dynamic(&self, cx: &mut RunCx<'_>, ins: Values<'_>) -> Result<Vec<Value>, OpError> {
        let input = tensor_in(ins, 0)?;
        let found = positions(input.data())?;
        // A tensor of rank 0 counts as one of rank 1.
        let shape: &[usize] = if input.shape().is_empty() {
            &[1]
        } else {
            input.shape()
        };
        cx.check(&exactly(DType::I64, &[shape.len(), found.len()]))?;
        let mut coordinates = Vec::with_capacity(shape.len() * found.len());
        for (&dim, &stride) in shape.iter().zip(&row_major(shape)) {
            coordinates.extend(found.iter().map(|at| (at / stride as usize % dim) as i64));
        }
        Ok(vec![
            Tensor::from_vec([shape.len(), found.len()], coordinates)?.into(),
        ])
    }
}

/// Finds the elements that are not zero; NaN is not zero.
fn positions(data: &Data) -> Result<Vec<usize>, OpError> {
    fn of<T: Clone>(values: &[T], zero: impl Fn(&T) -> bool) -> Vec<usize> {
        values
            .iter()
            .enumerate()
            .filter(|(_, value)| !zero(value))
            .map(|(at, _)| at)
            .collect()
    }
    Ok(match data {
        Data::F32(v) => of(v, |x| *x == 0.0),
        Data::F64(v) => of(v, |x| *x == 0.0),
        Data::F16(v) => of(v, |x| x.0 & 0x7fff == 0),
        Data::Bf16(v) => of(v, |x| x.0 & 0x7fff == 0),
        Data::I8(v) => of(v, |x| *x == 0),
        Data::I16(v) => of(v, |x| *x == 0),
        Data::I32(v) => of(v, |x| *x == 0),
        Data::I64(v) => of(v, |x| *x == 0),
        Data::U8(v) => of(v, |x| *x == 0),
        Data::U16(v) => of(v, |x| *x == 0),
        Data::U32(v) => of(v, |x| *x == 0),
        Data::U64(v) => of(v, |x| *x == 0),
        Data::Bool(v) => of(v, |x| !*x),
        Data::Str(v) => of(v, String::is_empty),
        other => {
            return Err(OpError::Type {
                what: "numbers",
                got: other.dtype(),
            });
        }
    })
}

/// Keeps the slices along an axis whose condition holds; without an axis, of the flat tensor.
struct Compress {
    axis: Option<i64>,
}

impl Compress {
    /// Splits a shape into what stands before the axis, the axis, and what stands after.
    fn split(&self, shape: &[usize]) -> Result<(usize, usize, usize), OpError> {
        match self.axis {
            None => Ok((1, product(shape), 1)),
            Some(axis) => {
                let axis = axis_in(axis, shape.len())?;
                Ok((
                    product(&shape[..axis]),
                    shape[axis],
                    product(&shape[axis + 1..]),
                ))
            }
        }
    }

    fn shape(&self, shape: &[usize], kept: usize) -> Result<Vec<usize>, OpError> {
        match self.axis {
            None => Ok(vec![kept]),
            Some(axis) => {
                let axis = axis_in(axis, shape.len())?;
                let mut shape = shape.to_vec();
                shape[axis] = kept;
                Ok(shape)
            }
        }
    }
}

impl Op for Compress {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (fact, condition) = (cx.tensor(0)?, cx.tensor(1)?);
        if condition.dtype != DType::Bool || condition.shape.len() != 1 {
            return Err(OpError::Type {
                what: "a list of booleans",
                got: condition.dtype,
            });
        }
        let (_, dim, _) = self.split(&fact.shape)?;
        let shape = self.shape(&fact.shape, dim.min(condition.shape[0]))?;
        Ok(vec![Fact::at_most(fact.dtype, shape)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        chosen(cx)
    }

    fn is_dynamic(&self) -> bool {
        true
    }

    fn run_dynamic(&self, cx: &mut RunCx<'_>, ins: Values<'_>) -> Result<Vec<Value>, OpError> {
        let (input, condition) = (tensor_in(ins, 0)?, tensor_in(ins, 1)?.as_slice::<bool>()?);
        let (outer, dim, inner) = self.split(input.shape())?;
        let kept: Vec<usize> = condition
            .iter()
            .take(dim)
            .enumerate()
            .filter(|(_, keep)| **keep)
            .map(|(at, _)| at)
            .collect();
        let mut out = cx.allocate(&exactly(
            input.dtype(),
            &self.shape(input.shape(), kept.len())?,
        ))?;
        let out_data = out.out().data;
        pair_kinds!(out_data, input.data(), |to, from| {
            let mut to = to.chunks_exact_mut(inner.max(1));
            for block in 0..outer {
                for &at in &kept {
                    let start = (block * dim + at) * inner;
                    if let Some(to) = to.next() {
                        to.clone_from_slice(&from[start..start + inner]);
                    }
                }
            }
            Ok(())
        })?;
        Ok(vec![out.into()])
    }
}

/// Orders elements: numbers by value with -0 equal to +0 and NaN last, text by its bytes.
// Spec: N-5
trait Ordered {
    fn order(&self, other: &Self) -> Ordering;
}

macro_rules! ordered {
    ([$($int:ty)*] [$($float:ty => $wide:expr),*]) => {
        $(impl Ordered for $int {
            fn order(&self, other: &Self) -> Ordering {
                self.cmp(other)
            }
        })*
        $(impl Ordered for $float {
            fn order(&self, other: &Self) -> Ordering {
                let (a, b) = ($wide(*self), $wide(*other));
                // Only NaN has no order: it stands last, and equals itself.
                a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
            }
        })*
    };
}

ordered!([i8 i16 i32 i64 u8 u16 u32 u64 bool String] [
    f32 => std::convert::identity, f64 => std::convert::identity,
    F16 => F16::to_f32, Bf16 => Bf16::to_f32
]);

/// Finds the different elements, or the different slices along an axis.
struct Unique {
    axis: Option<i64>,
    sorted: bool,
}

/// Groups equal rows: for each group its first row, and for each row its group.
struct Groups {
    firsts: Vec<usize>,
    group_of: Vec<usize>,
    counts: Vec<i64>,
}

fn group<T: Ordered>(values: &[T], rows: usize, width: usize, sorted: bool) -> Groups {
    let row = |at: usize| &values[at * width..(at + 1) * width];
    let compare = |a: &usize, b: &usize| {
        let pairs = row(*a).iter().zip(row(*b)).map(|(a, b)| a.order(b));
        pairs.fold(Ordering::Equal, Ordering::then)
    };
    let mut order: Vec<usize> = (0..rows).collect();
    // Stable, so the first of equal rows is the one with the lowest index.
    order.sort_by(compare);
    let mut firsts: Vec<usize> = Vec::new();
    let mut group_of = vec![0; rows];
    for &at in &order {
        if firsts
            .last()
            .is_none_or(|first| compare(first, &at) != Ordering::Equal)
        {
            firsts.push(at);
        }
        group_of[at] = firsts.len() - 1;
    }
    if !sorted {
        // By first appearance: renumber the groups in the order of their first rows.
        let mut by_first: Vec<usize> = (0..firsts.len()).collect();
        by_first.sort_by_key(|&group| firsts[group]);
        let mut rank = vec![0; firsts.len()];
        by_first
            .iter()
            .enumerate()
            .for_each(|(at, &group)| rank[group] = at);
        group_of.iter_mut().for_each(|group| *group = rank[*group]);
        firsts.sort_unstable();
    }
    let mut counts = vec![0i64; firsts.len()];
    group_of.iter().for_each(|&group| counts[group] += 1);
    Groups {
        firsts,
        group_of,
        counts,
    }
}

impl Unique {
    /// Splits a shape into rows to compare and their elements.
    fn rows(&self, shape: &[usize]) -> Result<(usize, usize), OpError> {
        match self.axis {
            None => Ok((product(shape), 1)),
            Some(axis) => {
                let axis = axis_in(axis, shape.len())?;
                let width = product(&shape[..axis]) * product(&shape[axis + 1..]);
                Ok((shape[axis], width))
            }
        }
    }

    /// Brings the axis to the front of the steps, so that its slices become rows.
    fn front<T: Copy>(&self, list: &[T]) -> Result<Vec<T>, OpError> {
        let mut list = list.to_vec();
        if let Some(axis) = self.axis {
            let axis = axis_in(axis, list.len())?;
            list[..=axis].rotate_right(1);
        }
        Ok(list)
    }
}

impl Op for Unique {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let fact = cx.tensor(0)?;
        let (rows, _) = self.rows(&fact.shape)?;
        let shape = if self.axis.is_none() {
            vec![rows]
        } else {
            fact.shape.clone()
        };
        Ok(vec![
            Fact::at_most(fact.dtype, shape),
            Fact::at_most(DType::I64, [rows]),
            Fact::tensor(DType::I64, [rows]),
            Fact::at_most(DType::I64, [rows]),
        ])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let fact = cx.input(0)?;
        let rows = self.rows(&fact.shape)?.0 as u64;
        let levels = u64::from(u64::BITS - rows.leading_zeros());
        Ok(Cost {
            sort_steps: fact.count().saturating_mul(levels),
            ..cx.traffic()
        })
    }

    fn is_dynamic(&self) -> bool {
        true
    }

    fn run_dynamic(&self, cx: &mut RunCx<'_>, ins: Values<'_>) -> Result<Vec<Value>, OpError> {
        let input = tensor_in(ins, 0)?;
        let (rows, width) = self.rows(input.shape())?;
        let turned = self.front(input.shape())?;
        let steps = self.front(&row_major(input.shape()))?;
        let mut matrix = cx.allocate(&exactly(input.dtype(), &turned))?;
        let copy = Strided::into_rows(&turned, (&steps, 0));
        pair_kinds!(matrix.out().data, input.data(), |to, from| copy
            .copy(to, from))?;
        macro_rules! grouped {
            ($($kind:ident)*) => {
                match matrix.data() {
                    $(Data::$kind(values) => group(values, rows, width, self.sorted),)*
                    other => {
                        return Err(OpError::Type { what: "numbers or text", got: other.dtype() });
                    }
                }
            };
        }
        let groups = grouped!(F32 F64 F16 Bf16 I8 I16 I32 I64 U8 U16 U32 U64 Bool Str);
        let found = groups.firsts.len();
        // Gather the first row of each group, written back with the axis where it was.
        let mut shape = if self.axis.is_none() {
            vec![rows]
        } else {
            input.shape().to_vec()
        };
        shape[self
            .axis
            .map_or(Ok(0), |axis| axis_in(axis, input.shape().len()))?] = found;
        let mut picked = Tensor::zeros(input.dtype(), [found, width])?;
        pair_kinds!(picked.out().data, matrix.data(), |to, from| {
            for (to, &first) in to.chunks_exact_mut(width.max(1)).zip(&groups.firsts) {
                to.clone_from_slice(&from[first * width..(first + 1) * width]);
            }
            Ok(())
        })?;
        let mut y = Tensor::zeros(input.dtype(), shape.clone())?;
        let (turned, steps) = if self.axis.is_none() {
            (vec![found], vec![1])
        } else {
            (self.front(&shape)?, self.front(&row_major(&shape))?)
        };
        let copy = Strided::new(&turned, (&steps, 0), (&row_major(&turned), 0));
        pair_kinds!(y.out().data, picked.data(), |to, from| copy.copy(to, from))?;
        let list = |list: Vec<i64>| Tensor::from_vec([list.len()], list).map(Value::from);
        let firsts = groups.firsts.iter().map(|&at| at as i64).collect();
        let inverse = groups.group_of.iter().map(|&group| group as i64).collect();
        Ok(vec![
            y.into(),
            list(firsts)?,
            list(inverse)?,
            list(groups.counts)?,
        ])
    }
}

fn non_zero(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    Ok(Box::new(NonZero))
}

fn compress(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    Ok(Box::new(Compress {
        axis: cx.int("axis")?,
    }))
}

fn unique(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 4)?;
    Ok(Box::new(Unique {
        axis: cx.int("axis")?,
        sorted: cx.flag("sorted", true)?,
    }))
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("NonZero", 9, non_zero),
    Entry::onnx("Compress", 9, compress),
    Entry::onnx("Unique", 11, unique),
];
