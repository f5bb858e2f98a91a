//! Answers as ABI bytes: integers of `predict`, tensors of `run`.

use alloy_primitives::{Bytes, I256, U256};
use alloy_sol_types::SolCall;
use assay_runtime::{DType, Fact, Tensor, TensorFact, elements};

use crate::abi::{self, IInference};

/// Bytes a string of a tensor may take in an answer of `run`, on the average of the tensor.
pub(crate) const STRING_BYTES: u64 = 256;

/// Encodes the columns of `predict`.
pub(crate) fn integers(values: Vec<I256>) -> Bytes {
    IInference::predictCall::abi_encode_returns(&values).into()
}

/// Returns the bytes of an answer of `predict` with so many values.
pub(crate) fn integers_size(values: u64) -> u64 {
    values.saturating_add(2).saturating_mul(32)
}

/// Encodes the outputs of `run`.
pub(crate) fn tensors(outputs: &[&Tensor]) -> Bytes {
    let encode = |tensor: &&Tensor| {
        let mut data = Vec::new();
        elements::encode(tensor.data(), &mut data);
        abi::Tensor {
            dtype: tensor.dtype().onnx(),
            shape: tensor.shape().iter().map(|&size| size as u64).collect(),
            data: data.into(),
        }
    };
    let list: Vec<abi::Tensor> = outputs.iter().map(encode).collect();
    IInference::runCall::abi_encode_returns(&list).into()
}

/// Bounds the bytes of tensors as arguments or answers of `run`; `None` when one has no bound.
pub(crate) fn tensors_size(facts: &[Fact]) -> Option<u64> {
    let mut size = 64u64;
    for fact in facts {
        let Fact::Tensor(fact) = fact else {
            return None;
        };
        // Offset in the list, dtype, two offsets, length of the shape, the shape, length of the data.
        let words = 6u64.saturating_add(fact.shape.len() as u64);
        let data = data_bytes(fact).div_ceil(32).saturating_mul(32);
        size = size
            .saturating_add(words.saturating_mul(32))
            .saturating_add(data);
    }
    Some(size)
}

/// Bounds the bytes of a tensor's elements in their byte form.
pub(crate) fn data_bytes(fact: &TensorFact) -> u64 {
    match fact.dtype {
        DType::Str => fact.count().saturating_mul(STRING_BYTES),
        _ => fact.size_bytes(),
    }
}

/// Says whether a string tensor keeps to the bound its charge assumed.
pub(crate) fn text_fits(tensor: &Tensor) -> bool {
    let mut data = Vec::new();
    if tensor.dtype() != DType::Str {
        return true;
    }
    elements::encode(tensor.data(), &mut data);
    data.len() as u64 <= (tensor.data().len() as u64).saturating_mul(STRING_BYTES)
}

/// Encodes the two numbers of a quote.
pub(crate) fn quote(gas: u64, cold_extra: u64) -> Bytes {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend(U256::from(gas).to_be_bytes::<32>());
    bytes.extend(U256::from(cold_extra).to_be_bytes::<32>());
    bytes.into()
}
