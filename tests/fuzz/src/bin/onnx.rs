//! Any bytes as an ONNX model: loading ends in a model or a typed error, and a model that takes
//! fixed shapes runs to outputs or a typed error.
#![no_main]

use assay_runtime::numerics::Engine;
use assay_runtime::{Dim, Limits, Model, PortKind, Tensor, Value};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

/// Small limits, so that a slow input is a finding and not merely a large model.
fn limits() -> Limits {
    Limits {
        elements: 1 << 16,
        live_bytes: 16 << 20,
        work: 1 << 24,
        text_bytes: 1 << 16,
        iterations: 64,
        ..Limits::default()
    }
}

/// Makes zeros for an input, symbols taken as 2.
fn zeros(kind: &PortKind) -> Option<Value> {
    match kind {
        PortKind::Tensor { dtype, dims } => {
            let size = |dim: &Dim| match dim {
                Dim::Fixed(size) => *size,
                _ => 2,
            };
            let shape: Vec<usize> = dims.as_ref()?.iter().map(size).collect();
            let count = shape.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim))?;
            let tensor = (count <= 1 << 16).then(|| Tensor::zeros(*dtype, shape))?;
            Some(tensor.ok()?.into())
        }
        PortKind::Sequence => Some(Value::Sequence(Vec::new())),
        PortKind::Optional => Some(Value::Optional(None)),
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(model) = Model::from_onnx(Bytes::copy_from_slice(data), &limits()) else { return };
    let inputs: Option<Vec<Value>> = model.inputs().iter().map(|port| zeros(&port.kind)).collect();
    if let Some(inputs) = inputs {
        let _ = model.run(&Engine::single(), &inputs);
    }
});
