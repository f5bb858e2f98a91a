//! Inputs as rows of features: [N, C], or [C] for one row.

use std::borrow::Cow;

use assay_numerics::cast::cast;

use crate::dtype::DType;
use crate::error::OpError;
use crate::ops::TensorFact;
use crate::tensor::{Data, View};

/// Reads a shape as (rows, columns).
pub(super) fn rows_of(shape: &[usize]) -> Result<(usize, usize), OpError> {
    match *shape {
        [columns] => Ok((1, columns)),
        [rows, columns] => Ok((rows, columns)),
        _ => Err(OpError::Shape {
            why: "the input must be one row or rows of features",
            shapes: vec![shape.to_vec()],
        }),
    }
}

/// Refuses a type that the models of ai.onnx.ml do not take.
pub(super) fn check_numeric(dtype: DType) -> Result<(), OpError> {
    match dtype {
        DType::F32 | DType::F64 | DType::I32 | DType::I64 => Ok(()),
        got => Err(OpError::Type {
            what: "float, double, int32 or int64 features",
            got,
        }),
    }
}

/// Checks the features of a model and returns the number of rows.
pub(super) fn check_features(fact: &TensorFact, features: usize) -> Result<usize, OpError> {
    check_numeric(fact.dtype)?;
    let (rows, columns) = rows_of(&fact.shape)?;
    if columns != features {
        return Err(OpError::Shape {
            why: "the model was made for another number of features",
            shapes: vec![fact.shape.clone(), vec![features]],
        });
    }
    Ok(rows)
}

/// Reads features as f32, rounded to nearest even where they are not.
pub(super) fn as_f32(view: View<'_>) -> Result<Cow<'_, [f32]>, OpError> {
    let mut rounded = Vec::new();
    match view.data {
        Data::F32(values) => return Ok(Cow::Borrowed(values)),
        Data::F64(values) => {
            rounded.resize(values.len(), 0.0);
            cast(values, &mut rounded);
        }
        Data::I32(values) => {
            rounded.resize(values.len(), 0.0);
            cast(values, &mut rounded);
        }
        Data::I64(values) => {
            rounded.resize(values.len(), 0.0);
            cast(values, &mut rounded);
        }
        other => check_numeric(other.dtype())?,
    }
    Ok(Cow::Owned(rounded))
}

/// Refuses lists of different lengths that describe the same things.
pub(super) fn check_len(name: &'static str, got: usize, want: usize) -> Result<(), OpError> {
    if got == want {
        Ok(())
    } else {
        Err(OpError::Length { name, want, got })
    }
}
