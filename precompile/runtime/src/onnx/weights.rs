//! Large weights, taken out of a file's buffer one after the other.
//!
//! A decoded message shares the file's buffer, which stays as long as any part of it: a model would
//! need its weights twice while it loads. So the large ones are converted from the end of the buffer,
//! which shrinks as they leave it.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;

use super::decode::DecodeError;
use super::proto::{GraphProto, ModelProto};
use super::tensor::import_from;
use crate::error::LoadError;
use crate::limits::Limits;
use crate::tensor::Tensor;

/// Bytes from which an initializer is taken out.
const LARGE_BYTES: usize = 64 << 10;

/// Is a file's buffer, whose end is given back once it has been read.
pub(super) enum Buffer {
    /// Belongs to nobody else.
    Own(Vec<u8>),
    /// Is held elsewhere too, so it stays whole.
    Shared(Bytes),
}

impl Buffer {
    /// Borrows what is left.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Buffer::Own(bytes) => bytes,
            Buffer::Shared(bytes) => bytes,
        }
    }

    /// Gives back everything from `len` on.
    pub(super) fn cut(&mut self, len: usize) {
        if let Buffer::Own(bytes) = self {
            bytes.truncate(len);
            bytes.shrink_to_fit();
        }
    }
}

/// Takes the large initializers of the main graph out of a message decoded from `file`: gives the
/// message without their bytes, and the tensors by their place in the graph's list.
pub(crate) fn take_weights(
    file: Bytes,
    mut proto: ModelProto,
    limits: &Limits,
) -> Result<(ModelProto, BTreeMap<usize, Tensor>), LoadError> {
    let mut tensors = BTreeMap::new();
    let Some(graph) = proto.graph.as_mut() else {
        return Ok((proto, tensors));
    };
    let mut found = large(&file, graph);
    if found.is_empty() {
        return Ok((proto, tensors));
    }
    // Written and read again, what is left no longer refers to the file.
    let rest = Bytes::from(proto.encode_to_vec());
    drop(proto);
    let proto = ModelProto::decode(rest).map_err(DecodeError::from)?;
    let mut buffer = if file.is_unique() {
        Buffer::Own(file.into())
    } else {
        Buffer::Shared(file)
    };
    found.sort_unstable();
    let list = proto.graph.as_ref().map(|graph| &graph.initializer);
    for (start, len, index) in found.into_iter().rev() {
        if let Some(header) = list.and_then(|list| list.get(index)) {
            let tensor = import_from(header, &mut buffer, start, len, limits)?;
            tensors.insert(index, tensor);
        }
    }
    Ok((proto, tensors))
}

/// Finds the large initializers: where their bytes start in the file, how many they are, and their
/// place in the list; their bytes leave the message.
fn large(file: &Bytes, graph: &mut GraphProto) -> Vec<(usize, usize, usize)> {
    let first = file.as_ptr().addr();
    let mut found = Vec::new();
    for (index, tensor) in graph.initializer.iter_mut().enumerate() {
        let Some(raw) = &tensor.raw_data else {
            continue;
        };
        let (start, len) = (raw.as_ptr().addr().checked_sub(first), raw.len());
        let start =
            start.filter(|start| start.checked_add(len).is_some_and(|end| end <= file.len()));
        if let Some(start) = start
            && len >= LARGE_BYTES
        {
            found.push((start, len, index));
            tensor.raw_data = None;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::onnx::proto::TensorProto;
    use crate::onnx::tensor::import_tensor;

    fn tensor(name: &str, dtype: DType, raw: Vec<u8>) -> TensorProto {
        TensorProto {
            name: Some(name.to_owned()),
            dims: vec![(raw.len() / dtype.size_bytes()) as i64],
            data_type: Some(i32::from(dtype.onnx())),
            raw_data: Some(raw.into()),
            ..Default::default()
        }
    }

    /// Numbers as bytes, more than one step of them, with a length of its own for each type.
    fn raw(seed: usize, count: usize) -> Vec<u8> {
        (0..count).map(|i| ((i * 31 + seed) % 251) as u8).collect()
    }

    fn file() -> (Bytes, Vec<TensorProto>) {
        let list = vec![
            tensor("first", DType::F32, raw(1, 3 << 20 | 8)),
            tensor("small", DType::F32, raw(2, 64)),
            tensor("half", DType::F16, raw(3, (1 << 20) + 6)),
            tensor("wide", DType::F64, raw(4, (2 << 20) + 16)),
            tensor("brain", DType::Bf16, raw(5, 1 << 20)),
            tensor("bytes", DType::I8, raw(6, LARGE_BYTES)),
        ];
        let graph = GraphProto {
            initializer: list.clone(),
            name: Some("graph".to_owned()),
            ..Default::default()
        };
        let model = ModelProto {
            graph: Some(graph),
            ..Default::default()
        };
        (model.encode_to_vec().into(), list)
    }

    #[test]
    fn large_weights_are_what_they_were_whoever_holds_the_file() {
        for shared in [false, true] {
            let (file, list) = file();
            let held = shared.then(|| file.clone());
            let proto = ModelProto::decode(file.clone()).expect("decodes");
            let limits = Limits::default();
            let (proto, tensors) = take_weights(file, proto, &limits).expect("converts");
            assert_eq!(tensors.keys().copied().collect::<Vec<_>>(), [0, 2, 3, 4, 5]);
            for (index, tensor) in &tensors {
                let want = import_tensor(&list[*index], &limits).expect("converts whole");
                assert_eq!(format!("{tensor:?}"), format!("{want:?}"), "{index}");
            }
            let graph = proto.graph.expect("a graph");
            assert_eq!(graph.initializer[1], list[1]);
            assert_eq!(graph.name(), "graph");
            drop(held);
        }
    }

    #[test]
    fn large_weights_of_the_wrong_size_are_refused_by_name() {
        let mut wrong = tensor("weights", DType::F32, raw(1, LARGE_BYTES));
        wrong.dims = vec![3];
        let graph = GraphProto {
            initializer: vec![wrong],
            ..Default::default()
        };
        let model = ModelProto {
            graph: Some(graph),
            ..Default::default()
        };
        let file = Bytes::from(model.encode_to_vec());
        let proto = ModelProto::decode(file.clone()).expect("decodes");
        let error = take_weights(file, proto, &Limits::default()).expect_err("must be refused");
        assert!(error.to_string().contains("weights"), "{error}");
    }
}
