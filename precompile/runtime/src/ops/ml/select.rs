//! ArrayFeatureExtractor, FeatureVectorizer and ZipMap: columns chosen, joined, or named.

use std::borrow::Cow;

use super::rows::{as_f32, check_len, check_numeric, rows_of};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::ops::{CostCx, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use crate::tensor::{Data, Out};

struct ArrayFeatureExtractor;

/// Finds an index in its dimension.
fn place(index: i64, dim: usize) -> Result<usize, OpError> {
    usize::try_from(index)
        .ok()
        .filter(|i| *i < dim)
        .ok_or(OpError::Index { index, dim })
}

impl Op for ArrayFeatureExtractor {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        let indices = cx.tensor(1)?;
        if indices.dtype != DType::I64 {
            return Err(OpError::ElementType {
                expected: DType::I64,
                got: indices.dtype,
            });
        }
        if !matches!(
            x.dtype,
            DType::F32 | DType::F64 | DType::I32 | DType::I64 | DType::Str
        ) {
            return Err(OpError::Type {
                what: "float, double, int32, int64 or string features",
                got: x.dtype,
            });
        }
        let Some((_, leading)) = x.shape.split_last() else {
            return Err(OpError::Shape {
                why: "the input must have columns",
                shapes: vec![x.shape.clone()],
            });
        };
        let mut shape = if leading.is_empty() {
            vec![1]
        } else {
            leading.to_vec()
        };
        shape.push(usize::try_from(indices.count()).unwrap_or(usize::MAX));
        Ok(vec![Fact::tensor(x.dtype, shape)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        cx.elementwise()
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        fn put<T: Clone>(
            x: &[T],
            columns: usize,
            indices: &[i64],
            out: &mut [T],
        ) -> Result<(), OpError> {
            for index in indices {
                place(*index, columns)?;
            }
            if x.is_empty() || indices.is_empty() {
                return Ok(());
            }
            for (row, out) in x
                .chunks_exact(columns)
                .zip(out.chunks_exact_mut(indices.len()))
            {
                for (out, index) in out.iter_mut().zip(indices) {
                    out.clone_from(&row[place(*index, columns)?]);
                }
            }
            Ok(())
        }
        let x = ins.get(0)?;
        let indices = ins.get(1)?.as_slice::<i64>()?;
        let columns = x.shape.last().copied().unwrap_or(0);
        match (x.data, &mut *outs[0].data) {
            (Data::F32(x), Data::F32(out)) => put(x, columns, indices, out),
            (Data::F64(x), Data::F64(out)) => put(x, columns, indices, out),
            (Data::I32(x), Data::I32(out)) => put(x, columns, indices, out),
            (Data::I64(x), Data::I64(out)) => put(x, columns, indices, out),
            (Data::Str(x), Data::Str(out)) => put(x, columns, indices, out),
            (other, _) => check_numeric(other.dtype()),
        }
    }
}

/// Joins the columns of all inputs.
struct FeatureVectorizer {
    dimensions: Option<Vec<i64>>,
}

impl Op for FeatureVectorizer {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        if let Some(dimensions) = &self.dimensions {
            check_len("inputdimensions", dimensions.len(), cx.inputs())?;
        }
        let mut total = 0usize;
        let mut count = None;
        for input in 0..cx.inputs() {
            let x = cx.tensor(input)?;
            check_numeric(x.dtype)?;
            let (rows, columns) = rows_of(&x.shape)?;
            if *count.get_or_insert(rows) != rows {
                return Err(OpError::Shape {
                    why: "inputs have different numbers of rows",
                    shapes: vec![vec![rows], count.into_iter().collect()],
                });
            }
            let declared = self.dimensions.as_ref().and_then(|list| list.get(input));
            if let Some(declared) = declared
                && usize::try_from(*declared) != Ok(columns)
            {
                return Err(OpError::Value {
                    what: "inputdimensions differs from the columns of its input",
                    got: *declared,
                });
            }
            total = total.saturating_add(columns);
        }
        Ok(vec![Fact::tensor(DType::F32, [count.unwrap_or(0), total])])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        cx.elementwise()
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let total = outs[0].shape.last().copied().unwrap_or(0);
        let out = outs[0].as_mut::<f32>()?;
        if out.is_empty() {
            return Ok(());
        }
        let mut first = 0;
        for input in 0..ins.len() {
            let view = ins.get(input)?;
            let (_, columns) = rows_of(view.shape)?;
            let x: Cow<'_, [f32]> = as_f32(view)?;
            if columns > 0 {
                for (row, out) in x.chunks_exact(columns).zip(out.chunks_exact_mut(total)) {
                    out[first..first + columns].copy_from_slice(row);
                }
            }
            first += columns;
        }
        Ok(())
    }
}

/// Gives the probabilities as the tensor they are. The maps ONNX makes of them (label to
/// probability) hold the same numbers; the labels are the classifier's, in the order of columns.
struct ZipMap {
    labels: usize,
}

impl Op for ZipMap {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        let (rows, columns) = rows_of(&x.shape)?;
        check_len("classlabels", self.labels, columns)?;
        Ok(vec![Fact::tensor(x.dtype, [rows, columns])])
    }

    fn cost(&self, _: &CostCx<'_>) -> Result<Cost, OpError> {
        Ok(Cost::default())
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        outs[0].data.copy_from(ins.get(0)?.data)
    }

    fn is_alias(&self) -> bool {
        true
    }
}

/// Builds ArrayFeatureExtractor.
pub(super) fn array_feature_extractor(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    Ok(Box::new(ArrayFeatureExtractor))
}

/// Builds FeatureVectorizer.
pub(super) fn feature_vectorizer(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=usize::MAX, 1)?;
    Ok(Box::new(FeatureVectorizer {
        dimensions: cx.ints("inputdimensions")?.filter(|list| !list.is_empty()),
    }))
}

/// Builds ZipMap.
pub(super) fn zip_map(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    let labels = super::labels::Labels::read(cx, "classlabels_int64s", "classlabels_strings")?;
    Ok(Box::new(ZipMap {
        labels: labels.len(),
    }))
}
