//! Bytes of an ONNX file to messages, bounded before anything is built.
//!
//! A few bytes on the wire can stand for many in memory (an empty node takes two bytes there and
//! hundreds here), so the file is first walked without building: depth, counts and the memory the
//! decoded objects will take are checked against [`DecodeLimits`]. Only then does prost run.

use bytes::Bytes;
use prost::Message as _;
use thiserror::Error;

use super::layout::{Field, Message};
use super::proto::ModelProto;
use super::wire::{Reader, WIRE_BYTES, WIRE_FIXED32, WIRE_FIXED64, WIRE_VARINT};

/// Bounds what an ONNX file may contain before it is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Bytes of the file.
    pub file_bytes: usize,
    /// Messages inside one another, the model itself included.
    pub depth: usize,
    /// Nodes in all graphs and functions together.
    pub nodes: usize,
    /// Constant tensors, in initializers and attributes together.
    pub tensors: usize,
    /// Graphs, the main graph included, and functions.
    pub graphs: usize,
    /// Memory of the decoded objects beyond the file's own bytes.
    pub overhead_bytes: usize,
    /// Memory of the lists of tree ensembles beyond the file's own bytes.
    pub list_bytes: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            file_bytes: 1 << 30,
            depth: 64,
            nodes: 100_000,
            tensors: 100_000,
            graphs: 4_096,
            overhead_bytes: 64 << 20,
            list_bytes: 128 << 20,
        }
    }
}

/// Names the bound that an ONNX file broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// [`DecodeLimits::file_bytes`].
    FileBytes,
    /// [`DecodeLimits::depth`].
    Depth,
    /// [`DecodeLimits::nodes`].
    Nodes,
    /// [`DecodeLimits::tensors`].
    Tensors,
    /// [`DecodeLimits::graphs`].
    Graphs,
    /// [`DecodeLimits::overhead_bytes`].
    OverheadBytes,
    /// [`DecodeLimits::list_bytes`].
    ListBytes,
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::FileBytes => "file bytes",
            Self::Depth => "nested messages",
            Self::Nodes => "nodes",
            Self::Tensors => "constant tensors",
            Self::Graphs => "graphs and functions",
            Self::OverheadBytes => "bytes of decoded objects beyond the file's size",
            Self::ListBytes => "bytes of tree ensembles' lists beyond the file's size",
        })
    }
}

/// Says why a file is not an acceptable ONNX model.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// A count or size is over its limit.
    #[error("ONNX file has {found} {bound}, the limit is {limit}")]
    TooMany {
        /// What was counted.
        bound: Bound,
        /// The count at which reading stopped.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// The bytes end inside a value that started at `offset`.
    #[error("ONNX file ends inside the value at byte {offset}")]
    Truncated {
        /// Where the value begins in the file.
        offset: usize,
    },
    /// A key or a variable-length integer is not valid protobuf.
    #[error("byte {offset} of the ONNX file is not valid protobuf")]
    BadWire {
        /// Where the value begins in the file.
        offset: usize,
    },
    /// The wire format is sound but a value does not fit the ONNX schema.
    #[error("ONNX file does not match the ONNX schema: {0}")]
    Schema(#[from] prost::DecodeError),
}

/// Decodes an ONNX model, or says which bound or rule it breaks.
///
/// Byte fields of the result (weights above all) share `file`'s buffer.
pub fn decode(file: Bytes, limits: &DecodeLimits) -> Result<ModelProto, DecodeError> {
    check(&file, limits)?;
    Ok(ModelProto::decode(file)?)
}

/// Checks a file against the limits without building anything.
pub fn check(file: &[u8], limits: &DecodeLimits) -> Result<(), DecodeError> {
    bounded(Bound::FileBytes, file.len(), limits.file_bytes)?;
    let mut scan = Scan {
        limits,
        depth: 0,
        nodes: 0,
        tensors: 0,
        graphs: 0,
        overhead_bytes: 0,
    };
    scan.message(&mut Reader::new(file, 0), Message::ModelProto)
}

pub(super) fn bounded(bound: Bound, found: usize, limit: usize) -> Result<(), DecodeError> {
    if found > limit {
        return Err(DecodeError::TooMany {
            bound,
            found,
            limit,
        });
    }
    Ok(())
}

/// Counts what decoding will build.
struct Scan<'a> {
    limits: &'a DecodeLimits,
    depth: usize,
    nodes: usize,
    tensors: usize,
    graphs: usize,
    overhead_bytes: usize,
}

impl Scan<'_> {
    fn message(&mut self, reader: &mut Reader<'_>, message: Message) -> Result<(), DecodeError> {
        self.depth += 1;
        bounded(Bound::Depth, self.depth, self.limits.depth)?;
        self.count(message)?;
        while let Some((tag, wire)) = reader.key()? {
            match wire {
                WIRE_VARINT => self.varint(reader, message.field(tag))?,
                WIRE_FIXED64 => self.fixed(reader, message.field(tag), 8)?,
                WIRE_BYTES => self.bytes(reader, message.field(tag))?,
                WIRE_FIXED32 => self.fixed(reader, message.field(tag), 4)?,
                // Groups are not part of ONNX's schema.
                _ => return Err(reader.bad_wire()),
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn count(&mut self, message: Message) -> Result<(), DecodeError> {
        let limits = self.limits;
        match message {
            Message::NodeProto => {
                self.nodes += 1;
                bounded(Bound::Nodes, self.nodes, limits.nodes)?;
            }
            Message::TensorProto => {
                self.tensors += 1;
                bounded(Bound::Tensors, self.tensors, limits.tensors)?;
            }
            Message::GraphProto | Message::FunctionProto => {
                self.graphs += 1;
                bounded(Bound::Graphs, self.graphs, limits.graphs)?;
            }
            _ => {}
        }
        self.charge(message.size_bytes())
    }

    /// Adds memory that decoding takes beyond the wire bytes it reads.
    fn charge(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.overhead_bytes = self.overhead_bytes.saturating_add(bytes);
        bounded(
            Bound::OverheadBytes,
            self.overhead_bytes,
            self.limits.overhead_bytes,
        )
    }

    fn varint(&mut self, reader: &mut Reader<'_>, field: Field) -> Result<(), DecodeError> {
        let start = reader.at();
        reader.varint()?;
        if let Field::Varint(width) = field {
            self.charge(usize::from(width).saturating_sub(reader.at() - start))?;
        }
        Ok(())
    }

    fn fixed(
        &mut self,
        reader: &mut Reader<'_>,
        field: Field,
        width: usize,
    ) -> Result<(), DecodeError> {
        reader.take(width)?;
        match field {
            // The key on the wire pays for part of the growth of the list; a wrong width fails in
            // prost before it allocates.
            Field::Fixed(_) | Field::Plain => Ok(()),
            _ => Err(reader.bad_wire()),
        }
    }

    fn bytes(&mut self, reader: &mut Reader<'_>, field: Field) -> Result<(), DecodeError> {
        let length = reader.length()?;
        let base = reader.offset();
        let bytes = reader.take(length)?;
        match field {
            Field::Message(message) => self.message(&mut Reader::new(bytes, base), message),
            Field::Text => self.charge(TEXT_BYTES),
            Field::Varint(width) => {
                // Every packed integer ends with the one byte whose high bit is clear.
                let values = bytes.iter().filter(|byte| **byte < 0x80).count();
                self.charge(
                    values
                        .saturating_mul(usize::from(width))
                        .saturating_sub(length),
                )
            }
            Field::Fixed(_) | Field::Plain => Ok(()),
        }
    }
}

/// The larger of a `String` and a `Bytes` in a list, with the heap block behind it.
pub(super) const TEXT_BYTES: usize = 48;

#[cfg(test)]
mod tests {
    use super::super::proto::{
        AttributeProto, GraphProto, NodeProto, TensorProto, attribute_proto::AttributeType,
    };
    use super::*;
    use proptest::prelude::*;

    fn encode(model: &ModelProto) -> Bytes {
        Bytes::from(model.encode_to_vec())
    }

    fn model_of(graph: GraphProto) -> ModelProto {
        ModelProto {
            ir_version: Some(10),
            graph: Some(graph),
            ..Default::default()
        }
    }

    fn sample() -> ModelProto {
        let weight = TensorProto {
            dims: vec![3],
            data_type: Some(1),
            raw_data: Some(Bytes::from_static(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])),
            int64_data: vec![-1, 1, i64::MIN],
            ..Default::default()
        };
        let attribute = AttributeProto {
            name: Some("axes".into()),
            r#type: Some(AttributeType::Ints as i32),
            ints: vec![-1, 0, 7],
            floats: vec![0.5],
            ..Default::default()
        };
        let node = NodeProto {
            input: vec!["x".into()],
            output: vec!["y".into()],
            op_type: Some("Identity".into()),
            attribute: vec![attribute],
            ..Default::default()
        };
        model_of(GraphProto {
            node: vec![node],
            initializer: vec![weight],
            ..Default::default()
        })
    }

    fn nested(levels: usize) -> ModelProto {
        let mut graph = GraphProto::default();
        for _ in 0..levels {
            let attribute = AttributeProto {
                g: Some(Box::new(graph)),
                ..Default::default()
            };
            let node = NodeProto {
                attribute: vec![attribute],
                ..Default::default()
            };
            graph = GraphProto {
                node: vec![node],
                ..Default::default()
            };
        }
        model_of(graph)
    }

    #[test]
    fn decodes_what_was_encoded() {
        let model = sample();
        assert_eq!(decode(encode(&model), &DecodeLimits::default()), Ok(model));
    }

    #[test]
    fn weights_share_the_file_buffer() {
        let file = encode(&sample());
        let range = file.as_ptr_range();
        let model = decode(file.clone(), &DecodeLimits::default()).expect("sample");
        let raw = model.graph.expect("graph").initializer[0]
            .raw_data
            .clone()
            .expect("raw");
        assert!(range.contains(&raw.as_ptr()));
    }

    #[test]
    fn refuses_deep_subgraphs() {
        assert!(decode(encode(&nested(20)), &DecodeLimits::default()).is_ok());
        let error = decode(encode(&nested(21)), &DecodeLimits::default());
        let expected = DecodeError::TooMany {
            bound: Bound::Depth,
            found: 65,
            limit: 64,
        };
        assert_eq!(error, Err(expected));
    }

    #[test]
    fn refuses_empty_objects_by_their_decoded_size() {
        // Two bytes on the wire for each node: 200 KB would become tens of megabytes.
        let mut graph = Vec::new();
        for _ in 0..100_001 {
            graph.extend_from_slice(&[0x0a, 0x00]);
        }
        let mut file = vec![0x3a];
        prost::encoding::encode_varint(graph.len() as u64, &mut file);
        file.extend_from_slice(&graph);
        let error = check(&file, &DecodeLimits::default());
        let found = DecodeError::TooMany {
            bound: Bound::Nodes,
            found: 100_001,
            limit: 100_000,
        };
        assert_eq!(error, Err(found));
    }

    #[test]
    fn refuses_packed_integers_that_grow_in_memory() {
        let mut tensor = vec![0x3a];
        prost::encoding::encode_varint(10 << 20, &mut tensor);
        tensor.resize(tensor.len() + (10 << 20), 0);
        let mut graph = vec![0x2a];
        prost::encoding::encode_varint(tensor.len() as u64, &mut graph);
        graph.extend_from_slice(&tensor);
        let mut file = vec![0x3a];
        prost::encoding::encode_varint(graph.len() as u64, &mut file);
        file.extend_from_slice(&graph);
        let error = check(&file, &DecodeLimits::default()).expect_err("grows eightfold");
        assert!(matches!(
            error,
            DecodeError::TooMany {
                bound: Bound::OverheadBytes,
                ..
            }
        ));
    }

    #[test]
    fn names_the_byte_where_a_file_is_cut() {
        assert_eq!(
            check(&[0x3a, 0x05, 0x00], &DecodeLimits::default()).err(),
            { Some(DecodeError::Truncated { offset: 2 }) }
        );
        assert_eq!(check(&[0x03], &DecodeLimits::default()).err(), {
            Some(DecodeError::BadWire { offset: 0 })
        });
        assert_eq!(check(&[0xff; 11], &DecodeLimits::default()).err(), {
            Some(DecodeError::BadWire { offset: 0 })
        });
    }

    proptest! {
        #[test]
        fn never_panics_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = decode(Bytes::from(bytes), &DecodeLimits::default());
        }

        #[test]
        fn never_panics_on_damaged_models(
            at in 0usize..200, byte in any::<u8>(), cut in 0usize..200,
        ) {
            let mut file = sample().encode_to_vec();
            if let Some(slot) = file.get_mut(at) {
                *slot = byte;
            }
            file.truncate(cut.max(at + 1));
            let _ = decode(Bytes::from(file), &DecodeLimits::default());
        }
    }
}
