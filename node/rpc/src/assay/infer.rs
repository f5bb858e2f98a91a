//! `assay_`: quotes, and answers without a transaction.

use alloy_primitives::{Bytes, I256, U256};
use assay_precompile::abi::IInference;
use assay_runtime::{DType, Tensor, Value as Output, element_count, elements, predict::MISSING};
use serde::Deserialize;
use serde_json::{Value, json};

use super::registry::{ask, find_model, models};
use crate::{
    Backend, RpcError,
    arguments::Arguments,
    json::quantity,
    method::{Method, heavy},
};

pub(crate) const METHODS: &[Method] = &[heavy("assay_quote", quote), heavy("assay_infer", infer)];

/// Most rows of one call.
const MAX_ROWS: usize = 10_000;

/// What a quote is asked for: rows of features, or shapes of tensors.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Quoted {
    rows: Option<u64>,
    shapes: Option<Vec<Vec<u64>>>,
}

/// What a model is asked: rows of features, or tensors.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    rows: Option<Vec<Vec<Value>>>,
    inputs: Option<Vec<TensorArgument>>,
}

/// A tensor as in IInference: ONNX type number, shape, little-endian bytes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TensorArgument {
    dtype: u8,
    shape: Vec<u64>,
    data: Bytes,
}

/// Quotes a call exactly as the precompile does.
fn quote(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let text: String = arguments.next()?;
    let asked: Quoted = arguments.optional()?.unwrap_or_default();
    let at = backend.at(arguments.optional()?)?;
    let model = find_model(backend, &at, &text)?;
    let assay = backend.chain.spec().assay.as_ref();
    let precompile = assay.map(|assay| assay.inference).unwrap_or_default();
    let (gas, cold) = match asked.shapes {
        Some(shapes) => {
            let call = IInference::quoteRunCall { model, shapes };
            let quote = ask(backend, &at, precompile, &call)?;
            (quote.gas, quote.coldExtra)
        }
        None => {
            let rows = U256::from(asked.rows.unwrap_or(1));
            let call = IInference::quotePredictCall { model, rows };
            let quote = ask(backend, &at, precompile, &call)?;
            (quote.gas, quote.coldExtra)
        }
    };
    Ok(json!({
        "id": model,
        "gas": quantity(gas),
        "coldExtra": quantity(cold),
        "total": quantity(gas.saturating_add(cold)),
    }))
}

/// Runs a held model: the bits a contract would get, without a transaction.
fn infer(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let text: String = arguments.next()?;
    let asked: Asked = arguments.next()?;
    let model = find_model(backend, &backend.at(None)?, &text)?;
    let (models, limit) = (models(backend)?, backend.limits.gas);
    match (asked.rows, asked.inputs) {
        (Some(rows), None) => {
            let rows = features(&rows)?;
            let (answers, gas) = models.predict(model, &rows, limit)?;
            let held = models.find(model)?;
            let columns = held.iter().flat_map(|held| &held.manifest.schema.columns);
            let columns: Vec<Value> = columns
                .map(|c| json!({"name": c.name, "decimals": c.decimals, "unit": c.unit}))
                .collect();
            let rows: Vec<Vec<String>> = answers
                .iter()
                .map(|row| row.iter().map(I256::to_string).collect())
                .collect();
            Ok(json!({"id": model, "gas": quantity(gas), "columns": columns, "rows": rows}))
        }
        (None, Some(inputs)) => {
            let inputs = inputs
                .iter()
                .enumerate()
                .map(|(index, input)| tensor(index, input))
                .collect::<Result<Vec<_>, _>>()?;
            let (outputs, gas) = models.run(model, &inputs, limit)?;
            let outputs: Vec<Value> = outputs.iter().map(described).collect();
            Ok(json!({"id": model, "gas": quantity(gas), "outputs": outputs}))
        }
        _ => Err(RpcError::params(
            "give either rows (fixed-point features) or inputs (tensors)",
        )),
    }
}

fn features(rows: &[Vec<Value>]) -> Result<Vec<Vec<I256>>, RpcError> {
    if rows.len() > MAX_ROWS {
        return Err(RpcError::params(format!(
            "rows has {} rows, at most {MAX_ROWS} a call",
            rows.len()
        )));
    }
    let cell = |row: usize, column: usize, value: &Value| {
        let parsed = match value {
            Value::Null => Some(MISSING),
            Value::Number(number) => number.to_string().parse().ok(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        parsed.ok_or_else(|| {
            RpcError::params(format!(
                "rows[{row}][{column}] is {value}, no integer of 256 bits"
            ))
        })
    };
    let row = |(at, row): (usize, &Vec<Value>)| {
        let cells = row.iter().enumerate();
        cells
            .map(|(column, value)| cell(at, column, value))
            .collect()
    };
    rows.iter().enumerate().map(row).collect()
}

fn tensor(index: usize, argument: &TensorArgument) -> Result<Tensor, RpcError> {
    let refuse = |why: String| RpcError::params(format!("inputs[{index}]: {why}"));
    let dtype = DType::from_onnx(i32::from(argument.dtype))
        .ok_or_else(|| refuse(format!("dtype {} is no ONNX type", argument.dtype)))?;
    let shape = argument
        .shape
        .iter()
        .map(|size| usize::try_from(*size))
        .collect::<Result<Vec<usize>, _>>()
        .map_err(|_| refuse("shape is too large".into()))?;
    let count = element_count(&shape).ok_or_else(|| refuse("shape is too large".into()))?;
    let data = elements::decode(dtype, count, &argument.data)
        .map_err(|error| refuse(error.to_string()))?;
    Tensor::new(shape, data).map_err(|error| refuse(error.to_string()))
}

fn described(output: &Output) -> Value {
    let Output::Tensor(tensor) = output else {
        return Value::Null;
    };
    let mut data = Vec::new();
    elements::encode(tensor.data(), &mut data);
    json!({"dtype": tensor.dtype().onnx(), "shape": tensor.shape(), "data": Bytes::from(data)})
}
