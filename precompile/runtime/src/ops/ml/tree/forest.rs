//! A packed ensemble of either number type, and the scores of an input tensor.

use assay_numerics::cast::cast;
use assay_numerics::tree::{Ensemble, EnsembleSpec, Feature, Real};

use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::ops::ml::rows::{check_numeric, rows_of};
use crate::ops::{RunCx, TensorFact};
use crate::tensor::{Data, View};

/// Holds an ensemble of f32 or f64.
#[derive(Debug)]
pub(super) enum Forest {
    F32(Ensemble<f32>),
    F64(Ensemble<f64>),
}

/// Lists the numbers of an attribute that may be given as floats or as a tensor.
#[derive(Debug)]
pub(super) enum Numbers {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// Is a number type that lists of numbers can be read as.
pub(super) trait FromNumbers: Real {
    /// Reads a list; exact, because an ensemble has the widest type of its lists.
    fn list(numbers: &Numbers) -> Result<Vec<Self>, OpError>;
    /// Wraps the packed ensemble.
    fn forest(ensemble: Ensemble<Self>) -> Forest;
}

impl FromNumbers for f32 {
    fn list(numbers: &Numbers) -> Result<Vec<f32>, OpError> {
        match numbers {
            Numbers::F32(values) => Ok(values.clone()),
            Numbers::F64(_) => Err(OpError::ElementType {
                expected: DType::F32,
                got: DType::F64,
            }),
        }
    }

    fn forest(ensemble: Ensemble<f32>) -> Forest {
        Forest::F32(ensemble)
    }
}

impl FromNumbers for f64 {
    fn list(numbers: &Numbers) -> Result<Vec<f64>, OpError> {
        Ok(match numbers {
            Numbers::F32(values) => values.iter().copied().map(f64::from).collect(),
            Numbers::F64(values) => values.clone(),
        })
    }

    fn forest(ensemble: Ensemble<f64>) -> Forest {
        Forest::F64(ensemble)
    }
}

impl Numbers {
    /// Returns the number of entries.
    pub(super) fn len(&self) -> usize {
        match self {
            Numbers::F32(values) => values.len(),
            Numbers::F64(values) => values.len(),
        }
    }

    /// Says whether the entries are doubles.
    pub(super) fn is_wide(&self) -> bool {
        matches!(self, Numbers::F64(_))
    }

    /// Says whether no entry is negative.
    pub(super) fn none_negative(&self) -> bool {
        match self {
            Numbers::F32(values) => values.iter().all(|v| *v >= 0.0),
            Numbers::F64(values) => values.iter().all(|v| *v >= 0.0),
        }
    }
}

impl Forest {
    /// Checks and packs an ensemble.
    pub(super) fn pack<T: FromNumbers>(spec: &EnsembleSpec<T>) -> Result<Forest, OpError> {
        Ok(T::forest(Ensemble::pack(spec)?))
    }

    fn features(&self) -> usize {
        match self {
            Forest::F32(trees) => trees.features(),
            Forest::F64(trees) => trees.features(),
        }
    }

    /// Returns the number of scores of a row.
    pub(super) fn targets(&self) -> usize {
        match self {
            Forest::F32(trees) => trees.targets(),
            Forest::F64(trees) => trees.targets(),
        }
    }

    /// Returns the type of the scores.
    pub(super) fn dtype(&self) -> DType {
        match self {
            Forest::F32(_) => DType::F32,
            Forest::F64(_) => DType::F64,
        }
    }

    /// Checks an input and returns its number of rows.
    pub(super) fn check(&self, x: &TensorFact) -> Result<usize, OpError> {
        check_numeric(x.dtype)?;
        let (rows, columns) = rows_of(&x.shape)?;
        if columns < self.features() {
            return Err(OpError::Shape {
                why: "the trees read more features than a row has",
                shapes: vec![x.shape.clone(), vec![self.features()]],
            });
        }
        match self {
            Forest::F32(trees) if x.dtype == DType::F64 && trees.asks_equality() => {
                Err(OpError::Unsupported {
                    what: "equality of double features with float thresholds".into(),
                })
            }
            _ => Ok(rows),
        }
    }

    /// Counts the steps and the leaf weights of some rows, which all take their worst way.
    pub(super) fn cost(&self, x: &TensorFact) -> Result<Cost, OpError> {
        let rows = self.check(x)? as u64;
        let (steps, weights) = match self {
            Forest::F32(trees) => (trees.steps_per_row(), trees.weights_per_row()),
            Forest::F64(trees) => (trees.steps_per_row(), trees.weights_per_row()),
        };
        Ok(Cost {
            tree_steps: rows.saturating_mul(steps as u64),
            elements: x
                .count()
                .saturating_add(rows.saturating_mul(weights as u64)),
            ..Cost::default()
        })
    }

    /// Computes scores of the ensemble's own type when that is f32.
    pub(super) fn scores_f32(
        &self,
        cx: &RunCx<'_>,
        x: View<'_>,
        out: &mut [f32],
    ) -> Result<(), OpError> {
        match self {
            Forest::F32(trees) => run(trees, cx, x, out),
            Forest::F64(trees) => {
                let mut wide = vec![0.0; out.len()];
                run(trees, cx, x, &mut wide)?;
                cast(&wide, out);
                Ok(())
            }
        }
    }

    /// Computes scores of an ensemble of f64.
    pub(super) fn scores_f64(
        &self,
        cx: &RunCx<'_>,
        x: View<'_>,
        out: &mut [f64],
    ) -> Result<(), OpError> {
        match self {
            Forest::F64(trees) => run(trees, cx, x, out),
            Forest::F32(_) => Err(OpError::ElementType {
                expected: DType::F64,
                got: DType::F32,
            }),
        }
    }
}

fn run<T: Real>(
    trees: &Ensemble<T>,
    cx: &RunCx<'_>,
    x: View<'_>,
    out: &mut [T],
) -> Result<(), OpError>
where
    f32: Feature<T>,
    f64: Feature<T>,
    i32: Feature<T>,
    i64: Feature<T>,
{
    let (rows, columns) = rows_of(x.shape)?;
    let engine = cx.engine();
    match x.data {
        Data::F32(x) => trees.scores(engine, x, columns, rows, out),
        Data::F64(x) => trees.scores(engine, x, columns, rows, out),
        Data::I32(x) => trees.scores(engine, x, columns, rows, out),
        Data::I64(x) => trees.scores(engine, x, columns, rows, out),
        other => return check_numeric(other.dtype()),
    }
    Ok(())
}
