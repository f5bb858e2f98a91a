//! Answers as ABI bytes: integers of `predict`, tensors of `run`.

use alloy_primitives::{Bytes, I256, U256};
use assay_runtime::{DType, Fact, Tensor, TensorFact, elements};

/// Bytes a string of a tensor may take in an answer of `run`, on the average of the tensor.
pub(crate) const STRING_BYTES: u64 = 256;

/// Encodes the columns of `predict`.
pub(crate) fn integers(values: &[I256]) -> Bytes {
    let mut bytes = Vec::with_capacity(64 + 32 * values.len());
    word(&mut bytes, 32);
    word(&mut bytes, values.len());
    for value in values {
        bytes.extend(value.to_be_bytes::<32>());
    }
    bytes.into()
}

fn word(bytes: &mut Vec<u8>, value: usize) {
    bytes.extend(U256::from(value).to_be_bytes::<32>());
}

/// Returns the bytes of an answer of `predict` with so many values.
pub(crate) fn integers_size(values: u64) -> u64 {
    values.saturating_add(2).saturating_mul(32)
}

/// Encodes the outputs of `run`, each element's bytes straight to their place: they can be megabytes.
pub(crate) fn tensors(outputs: &[&Tensor]) -> Bytes {
    let tails = outputs.iter().map(|tensor| tail_size(tensor));
    let size = 64 + 32 * outputs.len() + tails.clone().sum::<usize>();
    let mut bytes = Vec::with_capacity(size);
    word(&mut bytes, 32);
    word(&mut bytes, outputs.len());
    let mut offset = 32 * outputs.len();
    for tail in tails {
        word(&mut bytes, offset);
        offset += tail;
    }
    for tensor in outputs {
        let shape = tensor.shape();
        word(&mut bytes, tensor.dtype().onnx().into());
        word(&mut bytes, 96);
        word(&mut bytes, 128 + 32 * shape.len());
        word(&mut bytes, shape.len());
        for &size in shape {
            word(&mut bytes, size);
        }
        word(&mut bytes, elements::encoded_len(tensor.data()));
        elements::encode(tensor.data(), &mut bytes);
        bytes.resize(bytes.len().next_multiple_of(32), 0);
    }
    bytes.into()
}

/// Returns the bytes of a tensor in an answer, besides its offset.
fn tail_size(tensor: &Tensor) -> usize {
    let data = elements::encoded_len(tensor.data());
    160 + 32 * tensor.shape().len() + data.next_multiple_of(32)
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
    tensor.dtype() != DType::Str
        || elements::encoded_len(tensor.data()) as u64
            <= (tensor.data().len() as u64).saturating_mul(STRING_BYTES)
}

/// Encodes the two numbers of a quote.
pub(crate) fn quote(gas: u64, cold_extra: u64) -> Bytes {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend(U256::from(gas).to_be_bytes::<32>());
    bytes.extend(U256::from(cold_extra).to_be_bytes::<32>());
    bytes.into()
}

#[cfg(test)]
mod tests {
    use alloy_sol_types::SolCall;
    use assay_runtime::Data;

    use super::*;
    use crate::abi::{self, IInference};

    #[test]
    fn integers_are_encoded_as_solidity_does() {
        for count in 0..3 {
            let values = &[I256::MINUS_ONE, I256::MIN, I256::MAX][..count];
            let expected = IInference::predictCall::abi_encode_returns(&values.to_vec());
            assert_eq!(super::integers(values), expected);
        }
    }

    #[test]
    fn tensors_are_encoded_as_solidity_does() {
        let text = ["", "a", "a longer text than one word of thirty-two bytes"];
        let tensors = [
            Tensor::new(vec![2, 3], Data::F32(vec![1.0, -2.0, 3.5, 0.0, 9.0, 1e9])),
            Tensor::new(vec![], Data::U8(vec![255])),
            Tensor::new(vec![0, 4], Data::F64(vec![])),
            Tensor::new(vec![3], Data::Str(text.map(str::to_owned).to_vec())),
            Tensor::new(vec![4], Data::I64(vec![1, -1, i64::MIN, i64::MAX])),
        ]
        .map(|tensor| tensor.expect("a tensor"));
        for count in 0..=tensors.len() {
            let outputs: Vec<&Tensor> = tensors[..count].iter().collect();
            let list: Vec<abi::Tensor> = outputs.iter().map(|tensor| abi_tensor(tensor)).collect();
            let expected = IInference::runCall::abi_encode_returns(&list);
            assert_eq!(super::tensors(&outputs), expected);
        }
    }

    fn abi_tensor(tensor: &Tensor) -> abi::Tensor {
        let mut data = Vec::new();
        elements::encode(tensor.data(), &mut data);
        abi::Tensor {
            dtype: tensor.dtype().onnx(),
            shape: tensor.shape().iter().map(|&size| size as u64).collect(),
            data: data.into(),
        }
    }
}
