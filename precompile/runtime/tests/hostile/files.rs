//! Small ONNX files built by hand.

use assay_runtime::onnx::proto::attribute_proto::AttributeType;
use assay_runtime::onnx::proto::tensor_shape_proto::{Dimension, dimension};
use assay_runtime::onnx::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};
use bytes::Bytes;
use prost::Message as _;

/// A file, its name, and words its refusal must hold.
pub(crate) type Case = (&'static str, Bytes, &'static [&'static str]);

pub(crate) const FLOAT: i32 = 1;
pub(crate) const INT64: i32 = 7;
pub(crate) const STRING: i32 = 8;
pub(crate) const BOOL: i32 = 9;

pub(crate) fn own(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub(crate) fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    NodeProto {
        op_type: Some(op.to_owned()),
        name: Some(format!("the_{}", op.to_lowercase())),
        input: own(inputs),
        output: own(outputs),
        ..Default::default()
    }
}

pub(crate) fn attribute(name: &str, kind: AttributeType, rest: AttributeProto) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(kind as i32),
        ..rest
    }
}

pub(crate) fn with_ints(mut node: NodeProto, name: &str, values: &[i64]) -> NodeProto {
    let rest = AttributeProto {
        ints: values.to_vec(),
        ..Default::default()
    };
    node.attribute
        .push(attribute(name, AttributeType::Ints, rest));
    node
}

pub(crate) fn with_int(mut node: NodeProto, name: &str, value: i64) -> NodeProto {
    let rest = AttributeProto {
        i: Some(value),
        ..Default::default()
    };
    node.attribute
        .push(attribute(name, AttributeType::Int, rest));
    node
}

pub(crate) fn joined(inputs: &[&str], output: &str) -> NodeProto {
    with_int(node("Concat", inputs, &[output]), "axis", 0)
}

pub(crate) fn with_graph(mut node: NodeProto, name: &str, graph: GraphProto) -> NodeProto {
    let rest = AttributeProto {
        g: Some(Box::new(graph)),
        ..Default::default()
    };
    node.attribute
        .push(attribute(name, AttributeType::Graph, rest));
    node
}

pub(crate) fn value(name: &str, dtype: i32, dims: &[i64]) -> ValueInfoProto {
    let dim = |&size: &i64| Dimension {
        value: Some(dimension::Value::DimValue(size)),
    };
    let shape = TensorShapeProto {
        dim: dims.iter().map(dim).collect(),
    };
    let kind = type_proto::Tensor {
        elem_type: Some(dtype),
        shape: Some(shape),
    };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(kind)),
        }),
        ..Default::default()
    }
}

pub(crate) fn tensor(name: &str, dtype: i32, dims: &[i64], raw: &[u8]) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        data_type: Some(dtype),
        dims: dims.to_vec(),
        raw_data: Some(Bytes::copy_from_slice(raw)),
        ..Default::default()
    }
}

pub(crate) fn int64s(name: &str, values: &[i64]) -> TensorProto {
    let raw: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    tensor(name, INT64, &[values.len() as i64], &raw)
}

pub(crate) fn scalar(name: &str, value: i64) -> TensorProto {
    tensor(name, INT64, &[], &value.to_le_bytes())
}

/// Builds a graph from `x` (float [1, 4]) to `y`.
pub(crate) fn graph(nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> GraphProto {
    GraphProto {
        node: nodes,
        initializer: constants,
        input: vec![value("x", FLOAT, &[1, 4])],
        output: vec![ValueInfoProto {
            name: Some("y".to_owned()),
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub(crate) fn file(graph: GraphProto) -> Bytes {
    let proto = ModelProto {
        ir_version: Some(10),
        opset_import: vec![OperatorSetIdProto {
            version: Some(20),
            ..Default::default()
        }],
        graph: Some(graph),
        ..Default::default()
    };
    proto.encode_to_vec().into()
}

/// A branch inside a branch, so many levels deep.
pub(crate) fn nested(levels: usize) -> GraphProto {
    let output = || {
        vec![ValueInfoProto {
            name: Some("y".to_owned()),
            ..Default::default()
        }]
    };
    let mut inner = GraphProto {
        node: vec![node("Identity", &["x"], &["y"])],
        output: output(),
        ..Default::default()
    };
    for _ in 0..levels {
        let flat = GraphProto {
            node: vec![node("Identity", &["x"], &["y"])],
            output: output(),
            ..Default::default()
        };
        let branch = with_graph(node("If", &["go"], &["y"]), "then_branch", inner);
        let branch = with_graph(branch, "else_branch", flat);
        inner = GraphProto {
            node: vec![branch],
            output: output(),
            ..Default::default()
        };
    }
    inner.input = vec![value("go", BOOL, &[]), value("x", FLOAT, &[1])];
    inner
}

pub(crate) fn chain(op: &str, links: usize, twice: bool) -> Vec<NodeProto> {
    let name = |i: usize| match i {
        0 => "x".to_owned(),
        i if i == links => "y".to_owned(),
        i => format!("v{i}"),
    };
    let link = |i: usize| {
        let from = name(i);
        let inputs: &[&str] = if twice { &[&from, &from] } else { &[&from] };
        NodeProto {
            name: Some(format!("link{i}")),
            ..node(op, inputs, &[&name(i + 1)])
        }
    };
    (0..links).map(link).collect()
}
