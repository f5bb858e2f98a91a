//! Normalisations: Layer, RMS, Group, Instance, Batch, MeanVariance, Lp, LRN (Spec: N-7, N-3).

mod batch;
mod groups;
mod lines;
mod lrn;
mod rows;

use std::borrow::Cow;

use assay_numerics::Engine;
use assay_numerics::broadcast::Broadcast;
use assay_numerics::elementwise::{Arith, arith};

use super::work::Work;
use super::{CostCx, Entry};
use crate::cost::Cost;
use crate::error::OpError;
use crate::tensor::View;

/// Refuses a shape the operator cannot take.
fn refuse<T>(why: &'static str, shapes: Vec<Vec<usize>>) -> Result<T, OpError> {
    Err(OpError::Shape { why, shapes })
}

/// Counts about three passes over the input and one root for each row.
fn row_cost(cx: &CostCx<'_>, rows: u64) -> Result<Cost, OpError> {
    let elements = cx
        .input(0)?
        .count()
        .saturating_mul(4)
        .saturating_add(rows.saturating_mul(32));
    Ok(Cost {
        elements,
        ..cx.traffic()
    })
}

/// Spreads a parameter that broadcasts over the last axes of a row to one value for each element.
fn spread<'a, T: Work>(
    engine: &Engine,
    parameter: View<'a>,
    row: &[usize],
) -> Result<Cow<'a, [T]>, OpError> {
    let values = T::read(parameter)?;
    let len: usize = row.iter().product();
    if values.len() == len {
        return Ok(values);
    }
    let mut out = vec![T::ZERO; len];
    let plan = Broadcast::new(row, [parameter.shape, parameter.shape]);
    arith(engine, Arith::Max, &plan, &values, &values, &mut out)?;
    Ok(Cow::Owned(out))
}

/// Returns the channels and the elements of each channel in one instance.
fn channels(shape: &[usize]) -> Result<(usize, usize), OpError> {
    match shape {
        [_, channels, spatial @ ..] => Ok((*channels, spatial.iter().product())),
        _ => refuse("needs at least two axes", vec![shape.to_vec()]),
    }
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("LayerNormalization", 17, rows::layer),
    Entry::onnx("RMSNormalization", 23, rows::rms),
    Entry::onnx("GroupNormalization", 18, groups::group),
    Entry::onnx("InstanceNormalization", 6, groups::instance),
    Entry::onnx("BatchNormalization", 7, batch::batch),
    Entry::onnx("MeanVarianceNormalization", 9, lines::mean_variance),
    Entry::onnx("LpNormalization", 1, lines::lp),
    Entry::onnx("LRN", 1, lrn::lrn),
];
