//! What failed, as the ABI's custom errors.

use alloy_primitives::{B256, Bytes, U256};
use alloy_sol_types::SolError;
use assay_runtime::predict::PredictError;
use assay_runtime::{Dim, ExecError, LimitKind, Model, OpError, PortKind};

use crate::abi::IInference;

/// Encodes a custom error.
pub(crate) fn revert(error: impl SolError) -> Bytes {
    error.abi_encode().into()
}

/// Writes a short ASCII name as bytes32.
pub(crate) fn name(text: &str) -> B256 {
    let mut bytes = [0u8; 32];
    for (to, from) in bytes.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    B256::from(bytes)
}

/// Says why a run was refused or failed. The result is a function of model and inputs.
pub(crate) fn of_exec(model: &Model, error: &ExecError) -> Bytes {
    match error {
        ExecError::InputCount { expected, got } => wrong_count(*expected as u64, *got as u64),
        ExecError::InputType {
            input,
            expected,
            got,
            ..
        } => revert(IInference::WrongType {
            input: U256::from(*input),
            expected: expected.onnx(),
            got: got.onnx(),
        }),
        ExecError::InputShape { input, got, .. } => wrong_shape(model, *input, got),
        ExecError::InputKind { input, .. } => failed(*input, "input is no tensor"),
        ExecError::Limit { kind, limit, got } => limit_exceeded(*kind, *limit, *got),
        ExecError::Unbounded { node, op } => failed(position(model, node, op), "unbounded cost"),
        ExecError::Node { node, op, source } => of_op(position(model, node, op), source),
    }
}

/// Says why rows were not answered.
pub(crate) fn of_predict(id: B256, model: &Model, error: &PredictError) -> Bytes {
    let index = |index: usize| U256::from(index);
    match error {
        PredictError::NoSchema => revert(IInference::PredictUnsupported { model: id }),
        PredictError::Count { expected, got } => wrong_count(*expected, *got),
        PredictError::Rows { got } => limit_exceeded_named("rows", 1, *got),
        PredictError::NotInteger { index: at } => {
            revert(IInference::NotInteger { index: index(*at) })
        }
        PredictError::Missing { index: at } => {
            revert(IInference::MissingNotAllowed { index: index(*at) })
        }
        PredictError::InputOutOfRange { index: at } => {
            revert(IInference::InputOutOfRange { index: index(*at) })
        }
        PredictError::Run(error) => of_exec(model, error),
        PredictError::Output { .. } => failed(model.graph().nodes.len(), "output shape"),
        PredictError::NonFinite { index: at } => {
            revert(IInference::NonFinite { output: index(*at) })
        }
        PredictError::OutOfRange { index: at } => {
            revert(IInference::OutOfRange { output: index(*at) })
        }
    }
}

/// Says that the number of features or tensors is wrong.
pub(crate) fn wrong_count(expected: u64, got: u64) -> Bytes {
    revert(IInference::WrongInputCount {
        expected: U256::from(expected),
        got: U256::from(got),
    })
}

/// Says that a limit does not allow the call.
pub(crate) fn limit_exceeded_named(what: &str, limit: u64, got: u64) -> Bytes {
    revert(IInference::LimitExceeded {
        what: name(what),
        limit: U256::from(limit),
        got: U256::from(got),
    })
}

/// Says that a node failed.
pub(crate) fn failed(node: usize, what: &str) -> Bytes {
    revert(IInference::ExecutionFailed {
        node: U256::from(node),
        what: name(what),
    })
}

fn wrong_shape(model: &Model, input: usize, got: &[usize]) -> Bytes {
    let dims = match model.inputs().get(input).map(|port| &port.kind) {
        Some(PortKind::Tensor {
            dims: Some(dims), ..
        }) => dims.as_slice(),
        _ => &[],
    };
    let expected = dims.iter().map(|dim| {
        if let Dim::Fixed(n) = dim {
            *n as u64
        } else {
            u64::MAX
        }
    });
    revert(IInference::WrongShape {
        input: U256::from(input),
        expected: expected.collect(),
        got: got.iter().map(|&size| size as u64).collect(),
    })
}

fn of_op(node: usize, error: &OpError) -> Bytes {
    match error {
        OpError::Limit { kind, limit, got } => limit_exceeded(*kind, *limit, *got),
        // The innermost node speaks, at the position of the outermost.
        OpError::Nested(inner) => match inner.as_ref() {
            ExecError::Node { source, .. } => of_op(node, source),
            ExecError::Limit { kind, limit, got } => limit_exceeded(*kind, *limit, *got),
            _ => failed(node, "subgraph"),
        },
        other => failed(node, op_name(other)),
    }
}

fn op_name(error: &OpError) -> &'static str {
    match error {
        OpError::Unknown { .. } => "unknown value",
        OpError::MissingInput { .. } => "missing input",
        OpError::Kind { .. } | OpError::Type { .. } | OpError::ElementType { .. } => "type",
        OpError::Shape { .. } | OpError::DataLength { .. } | OpError::Length { .. } => "shape",
        OpError::Trees(_) => "trees",
        OpError::Axis { .. } => "axis",
        OpError::Value { .. } | OpError::Attribute { .. } => "value",
        OpError::Index { .. } => "index out of range",
        OpError::DivisionByZero => "division by zero",
        OpError::Text { .. } => "text",
        OpError::Unsupported { .. } => "unsupported",
        OpError::Limit { .. } => "limit",
        OpError::Nested(_) | OpError::NestedLoad(_) => "subgraph",
    }
}

fn limit_exceeded(kind: LimitKind, limit: u64, got: u64) -> Bytes {
    limit_exceeded_named(&kind.to_string(), limit, got)
}

fn position(model: &Model, node: &str, op: &str) -> usize {
    let nodes = &model.graph().nodes;
    let same = |n: &assay_runtime::Node| n.name == node && n.op_type == op;
    nodes.iter().position(same).unwrap_or(nodes.len())
}
