//! Scaler, Normalizer, Binarizer and Imputer: features in, features of the same shape out.

use assay_numerics::ml::scale::{Norm, normalise_rows, scale_f32, scale_f64};

use super::rows::{as_f32, check_numeric, rows_of};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::ops::{CostCx, Fact, InferCx, Ins, NodeCx, Op, RunCx, TensorFact};
use crate::tensor::{Data, Out};

/// Returns the columns of an input of any rank: its last dimension.
fn columns(fact: &[usize]) -> usize {
    fact.last().copied().unwrap_or(1)
}

/// Refuses per-column factors that are neither one nor as many as columns.
fn check_factors(name: &'static str, factors: usize, x: &TensorFact) -> Result<(), OpError> {
    let columns = columns(&x.shape);
    if factors == 1 || factors == columns {
        Ok(())
    } else {
        Err(OpError::Length {
            name,
            want: columns,
            got: factors,
        })
    }
}

struct Scaler {
    offset: Vec<f32>,
    scale: Vec<f32>,
}

impl Op for Scaler {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        check_numeric(x.dtype)?;
        check_factors("offset", self.offset.len(), x)?;
        check_factors("scale", self.scale.len(), x)?;
        Ok(vec![Fact::tensor(DType::F32, x.shape.clone())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        cx.elementwise()
    }

    // Spec: N-18
    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let x = ins.get(0)?;
        let columns = columns(x.shape);
        let out = outs[0].as_mut::<f32>()?;
        match x.data {
            Data::F64(x) => scale_f64(x, columns, &self.offset, &self.scale, out),
            _ => scale_f32(&as_f32(x)?, columns, &self.offset, &self.scale, out),
        }
        Ok(())
    }
}

struct Normalizer {
    norm: Norm,
}

impl Op for Normalizer {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        check_numeric(x.dtype)?;
        rows_of(&x.shape)?;
        Ok(vec![Fact::tensor(DType::F32, x.shape.clone())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let cost = cx.elementwise()?;
        Ok(Cost {
            elements: cost.elements.saturating_mul(5),
            ..cost
        })
    }

    // Spec: N-18
    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let x = ins.get(0)?;
        let (_, columns) = rows_of(x.shape)?;
        let out = outs[0].as_mut::<f32>()?;
        normalise_rows(cx.engine(), self.norm, columns, &as_f32(x)?, out);
        Ok(())
    }
}

struct Binarizer {
    threshold: f32,
}

impl Op for Binarizer {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        check_numeric(x.dtype)?;
        Ok(vec![Fact::tensor(x.dtype, x.shape.clone())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        cx.elementwise()
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        fn put<T: Copy>(x: &[T], out: &mut [T], above: impl Fn(T) -> bool, [no, yes]: [T; 2]) {
            for (x, out) in x.iter().zip(out) {
                *out = if above(*x) { yes } else { no };
            }
        }
        let t = self.threshold;
        // Every i32 and f32 is exactly an f64; an i64 is compared as the f64 nearest to it.
        match (ins.get(0)?.data, &mut *outs[0].data) {
            (Data::F32(x), Data::F32(out)) => put(x, out, |x| x > t, [0.0, 1.0]),
            (Data::F64(x), Data::F64(out)) => put(x, out, |x| x > t.into(), [0.0, 1.0]),
            (Data::I32(x), Data::I32(out)) => {
                put(x, out, |x| f64::from(x) > t.into(), [0, 1]);
            }
            (Data::I64(x), Data::I64(out)) => put(x, out, |x| x as f64 > t.into(), [0, 1]),
            (other, _) => return check_numeric(other.dtype()),
        }
        Ok(())
    }
}

/// Replaces missing values, column by column.
enum Imputer {
    Floats { missing: f32, values: Vec<f32> },
    Ints { missing: i64, values: Vec<i64> },
}

impl Op for Imputer {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        let (what, fits, name, values) = match self {
            Imputer::Floats { values, .. } => (
                "float or double features",
                matches!(x.dtype, DType::F32 | DType::F64),
                "imputed_value_floats",
                values.len(),
            ),
            Imputer::Ints { values, .. } => (
                "integer features",
                matches!(x.dtype, DType::I32 | DType::I64),
                "imputed_value_int64s",
                values.len(),
            ),
        };
        if !fits {
            return Err(OpError::Type { what, got: x.dtype });
        }
        check_factors(name, values, x)?;
        Ok(vec![Fact::tensor(x.dtype, x.shape.clone())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        cx.elementwise()
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        fn put<T: Copy>(x: &[T], out: &mut [T], is_missing: impl Fn(T) -> bool, values: &[T]) {
            let values = values.iter().cycle();
            for ((x, out), value) in x.iter().zip(out).zip(values) {
                *out = if is_missing(*x) { *value } else { *x };
            }
        }
        match (self, ins.get(0)?.data, &mut *outs[0].data) {
            (Imputer::Floats { missing, values }, Data::F32(x), Data::F32(out)) => {
                let is_missing = |x: f32| x == *missing || (x.is_nan() && missing.is_nan());
                put(x, out, is_missing, values);
            }
            (Imputer::Floats { missing, values }, Data::F64(x), Data::F64(out)) => {
                let missing = f64::from(*missing);
                let values: Vec<f64> = values.iter().copied().map(f64::from).collect();
                let is_missing = |x: f64| x == missing || (x.is_nan() && missing.is_nan());
                put(x, out, is_missing, &values);
            }
            (Imputer::Ints { missing, values }, Data::I64(x), Data::I64(out)) => {
                put(x, out, |x| x == *missing, values);
            }
            (Imputer::Ints { missing, values }, Data::I32(x), Data::I32(out)) => {
                let narrow = |value: &i64| {
                    i32::try_from(*value).map_err(|_| OpError::Value {
                        what: "an imputed value does not fit int32",
                        got: *value,
                    })
                };
                let values = values.iter().map(narrow).collect::<Result<Vec<_>, _>>()?;
                put(x, out, |x| i64::from(x) == *missing, &values);
            }
            (_, other, _) => return check_numeric(other.dtype()),
        }
        Ok(())
    }
}

/// Builds Scaler.
pub(super) fn scaler(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    let offset = cx.floats("offset")?.filter(|list| !list.is_empty());
    let scale = cx.floats("scale")?.filter(|list| !list.is_empty());
    Ok(Box::new(Scaler {
        offset: offset.unwrap_or_else(|| vec![0.0]),
        scale: scale.unwrap_or_else(|| vec![1.0]),
    }))
}

/// Builds Normalizer.
pub(super) fn normalizer(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    let norm = match cx.string_or("norm", "MAX")?.as_str() {
        "MAX" => Norm::Max,
        "L1" => Norm::L1,
        "L2" => Norm::L2,
        _ => {
            return Err(OpError::Attribute {
                name: "norm",
                why: "must be MAX, L1 or L2",
            });
        }
    };
    Ok(Box::new(Normalizer { norm }))
}

/// Builds Binarizer.
pub(super) fn binarizer(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    Ok(Box::new(Binarizer {
        threshold: cx.float_or("threshold", 0.0)?,
    }))
}

/// Builds Imputer.
pub(super) fn imputer(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    let floats = cx.floats("imputed_value_floats")?.unwrap_or_default();
    let ints = cx.ints("imputed_value_int64s")?.unwrap_or_default();
    let missing_float = cx.float_or("replaced_value_float", 0.0)?;
    let missing_int = cx.int_or("replaced_value_int64", 0)?;
    match (floats.is_empty(), ints.is_empty()) {
        (false, true) => Ok(Box::new(Imputer::Floats {
            missing: missing_float,
            values: floats,
        })),
        (true, false) => Ok(Box::new(Imputer::Ints {
            missing: missing_int,
            values: ints,
        })),
        _ => Err(OpError::Attribute {
            name: "imputed_value_floats",
            why: "exactly one list of imputed values must be given",
        }),
    }
}
