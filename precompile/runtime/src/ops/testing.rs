//! One-node models for the tests of operators.

use bytes::Bytes;
use prost::Message as _;

use crate::dtype::DType;
use crate::onnx::proto::attribute_proto::AttributeType;
use crate::onnx::proto::tensor_shape_proto::{Dimension, dimension};
use crate::onnx::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};
use crate::{Limits, Model, Tensor, Value};

/// Collects a node and its inputs; [`Case::run`] builds a model of it and runs that.
pub(crate) struct Case {
    node: NodeProto,
    opset: i64,
    inputs: Vec<Tensor>,
}

impl Case {
    /// Starts a case of one operator.
    pub(crate) fn new(op: &str, opset: i64, outputs: usize) -> Self {
        let output = (0..outputs).map(|i| format!("y{i}")).collect();
        let node = NodeProto {
            op_type: Some(op.to_owned()),
            output,
            ..Default::default()
        };
        Self {
            node,
            opset,
            inputs: Vec::new(),
        }
    }

    /// Adds an input.
    pub(crate) fn input(mut self, tensor: Tensor) -> Self {
        self.node.input.push(format!("x{}", self.inputs.len()));
        self.inputs.push(tensor);
        self
    }

    /// Leaves an input out.
    pub(crate) fn skip(mut self) -> Self {
        self.node.input.push(String::new());
        self
    }

    fn attribute(mut self, name: &str, kind: AttributeType, rest: AttributeProto) -> Self {
        let (name, kind) = (Some(name.to_owned()), Some(kind as i32));
        self.node.attribute.push(AttributeProto {
            name,
            r#type: kind,
            ..rest
        });
        self
    }

    /// Sets an integer attribute.
    pub(crate) fn int(self, name: &str, value: i64) -> Self {
        let rest = AttributeProto {
            i: Some(value),
            ..Default::default()
        };
        self.attribute(name, AttributeType::Int, rest)
    }

    /// Sets a list of integers.
    pub(crate) fn ints(self, name: &str, values: &[i64]) -> Self {
        let rest = AttributeProto {
            ints: values.to_vec(),
            ..Default::default()
        };
        self.attribute(name, AttributeType::Ints, rest)
    }

    /// Sets a text attribute.
    pub(crate) fn text(self, name: &str, value: &str) -> Self {
        let rest = AttributeProto {
            s: Some(Bytes::copy_from_slice(value.as_bytes())),
            ..Default::default()
        };
        self.attribute(name, AttributeType::String, rest)
    }

    /// Sets a list of floats.
    pub(crate) fn floats(self, name: &str, values: &[f32]) -> Self {
        let rest = AttributeProto {
            floats: values.to_vec(),
            ..Default::default()
        };
        self.attribute(name, AttributeType::Floats, rest)
    }

    /// Sets a list of texts.
    pub(crate) fn texts(self, name: &str, values: &[&str]) -> Self {
        let rest = AttributeProto {
            strings: values
                .iter()
                .map(|value| Bytes::copy_from_slice(value.as_bytes()))
                .collect(),
            ..Default::default()
        };
        self.attribute(name, AttributeType::Strings, rest)
    }

    /// Sets a number.
    pub(crate) fn float(self, name: &str, value: f32) -> Self {
        let rest = AttributeProto {
            f: Some(value),
            ..Default::default()
        };
        self.attribute(name, AttributeType::Float, rest)
    }

    /// Sets a tensor attribute of little-endian bytes.
    pub(crate) fn bytes(self, name: &str, dtype: DType, dims: &[i64], raw: Vec<u8>) -> Self {
        let tensor = TensorProto {
            dims: dims.to_vec(),
            data_type: Some(dtype.onnx().into()),
            raw_data: Some(raw.into()),
            ..Default::default()
        };
        let rest = AttributeProto {
            t: Some(Box::new(tensor)),
            ..Default::default()
        };
        self.attribute(name, AttributeType::Tensor, rest)
    }

    /// Takes the operator from ai.onnx.ml.
    pub(crate) fn ml(mut self) -> Self {
        self.node.domain = Some("ai.onnx.ml".to_owned());
        self
    }

    /// Loads and runs the model; the error's text tells what was refused.
    pub(crate) fn run(self) -> Result<Vec<Value>, String> {
        let names = self.node.input.clone();
        let named = names.iter().filter(|name| !name.is_empty());
        let input = named
            .zip(&self.inputs)
            .map(|(name, tensor)| port(name, tensor))
            .collect();
        let output = self.node.output.iter().map(|name| ValueInfoProto {
            name: Some(name.clone()),
            ..Default::default()
        });
        let graph = GraphProto {
            input,
            output: output.collect(),
            node: vec![self.node.clone()],
            ..Default::default()
        };
        let opset = OperatorSetIdProto {
            domain: self.node.domain.clone(),
            version: Some(self.opset),
        };
        let proto = ModelProto {
            ir_version: Some(10),
            opset_import: vec![opset],
            graph: Some(graph),
            ..Default::default()
        };
        let model = Model::from_onnx(proto.encode_to_vec().into(), &Limits::default())
            .map_err(|error| error.to_string())?;
        let inputs: Vec<Value> = self.inputs.into_iter().map(Value::Tensor).collect();
        let engine = assay_numerics::Engine::single();
        model
            .run(&engine, &inputs)
            .map_err(|error| error.to_string())
    }

    /// Runs and returns output 0.
    pub(crate) fn tensor(self) -> Tensor {
        match self.run().expect("runs").swap_remove(0) {
            Value::Tensor(tensor) => tensor,
            other => panic!("a {}", other.kind()),
        }
    }

    /// Runs and returns why it was refused.
    pub(crate) fn refusal(self) -> String {
        self.run().expect_err("must be refused")
    }
}

fn port(name: &str, tensor: &Tensor) -> ValueInfoProto {
    // Sizes stay open, so that what a shape depends on is decided when the model runs.
    let dim = tensor
        .shape()
        .iter()
        .enumerate()
        .map(|(axis, _)| Dimension {
            value: Some(dimension::Value::DimParam(format!("{name}_{axis}"))),
        });
    let kind = type_proto::Tensor {
        elem_type: Some(i32::from(tensor.dtype().onnx())),
        shape: Some(TensorShapeProto { dim: dim.collect() }),
    };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(kind)),
        }),
        ..Default::default()
    }
}

/// Makes an int64 list.
pub(crate) fn ints(values: &[i64]) -> Tensor {
    Tensor::from_vec([values.len()], values.to_vec()).expect("a list")
}

/// Makes a float tensor that counts from zero.
pub(crate) fn count(shape: &[usize]) -> Tensor {
    let values: Vec<f32> = (0..shape.iter().product::<usize>())
        .map(|i| i as f32)
        .collect();
    Tensor::from_vec(shape.to_vec(), values).expect("fills the shape")
}
