//! Whole models built by hand: planning, folding, reuse of buffers, refusals.

use bytes::Bytes;
use prost::Message as _;

use super::*;
use crate::onnx::proto::tensor_shape_proto::{Dimension, dimension};
use crate::onnx::proto::{
    GraphProto, NodeProto, OperatorSetIdProto, TensorShapeProto, TypeProto, ValueInfoProto,
    type_proto,
};

pub(crate) fn port(name: &str, dtype: DType, dims: &[&str]) -> ValueInfoProto {
    let dim = |dim: &&str| {
        let value = match dim.parse::<i64>() {
            Ok(size) => dimension::Value::DimValue(size),
            Err(_) => dimension::Value::DimParam((*dim).to_owned()),
        };
        Dimension { value: Some(value) }
    };
    let tensor = type_proto::Tensor {
        elem_type: Some(i32::from(dtype.onnx())),
        shape: Some(TensorShapeProto {
            dim: dims.iter().map(dim).collect(),
        }),
    };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
        }),
        ..Default::default()
    }
}

pub(crate) fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    NodeProto {
        op_type: Some(op.to_owned()),
        input: inputs.iter().map(|s| (*s).to_owned()).collect(),
        output: outputs.iter().map(|s| (*s).to_owned()).collect(),
        ..Default::default()
    }
}

pub(crate) fn model(inputs: Vec<ValueInfoProto>, nodes: Vec<NodeProto>, outputs: &[&str]) -> Bytes {
    let output = |name: &&str| ValueInfoProto {
        name: Some((*name).to_owned()),
        ..Default::default()
    };
    let graph = GraphProto {
        input: inputs,
        node: nodes,
        output: outputs.iter().map(output).collect(),
        ..Default::default()
    };
    let proto = ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto {
            version: Some(17),
            ..Default::default()
        }],
        graph: Some(graph),
        ..Default::default()
    };
    proto.encode_to_vec().into()
}

pub(crate) fn load(bytes: Bytes) -> Result<Model, LoadError> {
    Model::from_onnx(bytes, &Limits::default())
}

fn refused(bytes: Bytes) -> LoadError {
    load(bytes).err().expect("must be refused")
}

#[test]
fn names_output_dimensions_after_the_symbols_they_follow() {
    let model = load(model(
        vec![port("x", DType::F32, &["batch", "3"])],
        vec![
            node("Identity", &["x"], &["y"]),
            node("Shape", &["y"], &["s"]),
        ],
        &["y", "s"],
    ))
    .unwrap();
    let kinds: Vec<_> = model
        .outputs()
        .iter()
        .map(|port| port.kind.clone())
        .collect();
    let batch = Dim::Symbol("batch".to_owned());
    assert_eq!(
        kinds,
        [
            PortKind::Tensor {
                dtype: DType::F32,
                dims: Some(vec![batch, Dim::Fixed(3)])
            },
            PortKind::Tensor {
                dtype: DType::I64,
                dims: Some(vec![Dim::Fixed(2)])
            },
        ]
    );
}

#[test]
fn runs_aliases_and_values_that_shapes_decide() {
    let model = load(model(
        vec![port("x", DType::F32, &["n"])],
        vec![
            node("Identity", &["x"], &["y"]),
            node("Size", &["y"], &["s"]),
        ],
        &["y", "s"],
    ))
    .unwrap();
    for n in [1usize, 5, 2] {
        let values: Vec<f32> = (0..n).map(|i| i as f32).collect();
        let x = Tensor::from_vec([n], values.clone()).unwrap();
        let outputs = model.run(&Engine::single(), &[x.clone().into()]).unwrap();
        assert_eq!(outputs, [x.into(), Tensor::scalar(n as i64).into()]);
    }
    assert!(model.plan(&[&[7]]).unwrap().is_fixed());
}

#[test]
fn refuses_inputs_that_do_not_match_their_declaration() {
    let model = load(model(
        vec![
            port("x", DType::F32, &["n", "2"]),
            port("z", DType::F32, &["n"]),
        ],
        vec![node("Identity", &["x"], &["y"])],
        &["y"],
    ))
    .unwrap();
    let tensor = |shape: &[usize]| Value::from(Tensor::zeros(DType::F32, shape).unwrap());
    let engine = Engine::single();
    assert!(model.run(&engine, &[tensor(&[3, 2]), tensor(&[3])]).is_ok());
    let error = model
        .run(&engine, &[tensor(&[3, 2]), tensor(&[4])])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "input 1 (\"z\") must have the shape [n], got [4]"
    );
    let error = model.run(&engine, &[tensor(&[3, 2])]).unwrap_err();
    assert_eq!(
        error,
        ExecError::InputCount {
            expected: 2,
            got: 1
        }
    );
    let wrong = Value::from(Tensor::zeros(DType::F64, [3, 2]).unwrap());
    let error = model.run(&engine, &[wrong, tensor(&[3])]).unwrap_err();
    assert!(matches!(
        error,
        ExecError::InputType {
            input: 0,
            got: DType::F64,
            ..
        }
    ));
}

#[test]
fn lists_every_unsupported_node_at_once() {
    let error = refused(model(
        vec![port("x", DType::F32, &["2"])],
        vec![node("Warp", &["x"], &["y"]), node("Weft", &["y"], &["z"])],
        &["z"],
    ));
    let LoadError::Unsupported(nodes) = &error else {
        panic!("wrong error: {error}")
    };
    let names: Vec<_> = nodes
        .iter()
        .map(|n| (n.op.as_str(), n.node.as_str(), n.opset))
        .collect();
    assert_eq!(names, [("Warp", "y", 17), ("Weft", "z", 17)]);
}

#[test]
fn refuses_attributes_no_builder_reads() {
    let mut odd = node("Size", &["x"], &["y"]);
    odd.attribute.push(crate::onnx::proto::AttributeProto {
        name: Some("twist".to_owned()),
        ..Default::default()
    });
    let error = refused(model(
        vec![port("x", DType::F32, &["2"])],
        vec![odd],
        &["y"],
    ));
    assert!(
        error
            .to_string()
            .contains("attribute \"twist\" is not supported"),
        "{error}"
    );
}

#[test]
fn refuses_cycles_duplicates_and_unknown_names() {
    let x = || vec![port("x", DType::F32, &["2"])];
    let cycle = vec![
        node("Identity", &["b"], &["a"]),
        node("Identity", &["a"], &["b"]),
    ];
    assert!(
        matches!(refused(model(x(), cycle, &["b"])), LoadError::Undefined { name, .. } if name == "b")
    );
    let twice = vec![
        node("Identity", &["x"], &["a"]),
        node("Identity", &["x"], &["a"]),
    ];
    assert!(
        matches!(refused(model(x(), twice, &["a"])), LoadError::Duplicate { name } if name == "a")
    );
    let nowhere = vec![node("Identity", &["x"], &["a"])];
    assert!(
        matches!(refused(model(x(), nowhere, &["q"])), LoadError::Undefined { name, .. } if name == "q")
    );
}

#[test]
fn answers_a_long_chain_in_linear_time() {
    let mut nodes = Vec::new();
    let mut last = "x".to_owned();
    for i in 0..50_000 {
        let next = format!("v{i}");
        nodes.push(node("Identity", &[&last], &[&next]));
        last = next;
    }
    let model = load(model(vec![port("x", DType::F32, &["2"])], nodes, &[&last])).unwrap();
    let x = Tensor::from_vec([2], vec![1f32, 2.0]).unwrap();
    assert_eq!(
        model.run(&Engine::single(), &[x.clone().into()]).unwrap(),
        [x.into()]
    );
}
