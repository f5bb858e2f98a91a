//! Malformed and greedy ONNX files: each is refused with a typed error that names node, value or
//! limit, within a second of processor time and 256 MB for all of them together.

use std::time::Instant;

use assay_runtime::numerics::Engine;
use assay_runtime::onnx::proto::attribute_proto::AttributeType;
use assay_runtime::onnx::proto::tensor_proto::DataLocation;
use assay_runtime::onnx::proto::tensor_shape_proto::{Dimension, dimension};
use assay_runtime::onnx::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, SparseTensorProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};
use assay_runtime::{Limits, LoadError, Model};
use bytes::Bytes;
use prost::Message as _;

const FLOAT: i32 = 1;
const INT64: i32 = 7;
const STRING: i32 = 8;
const BOOL: i32 = 9;

fn own(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    NodeProto {
        op_type: Some(op.to_owned()),
        name: Some(format!("the_{}", op.to_lowercase())),
        input: own(inputs),
        output: own(outputs),
        ..Default::default()
    }
}

fn attribute(name: &str, kind: AttributeType, rest: AttributeProto) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(kind as i32),
        ..rest
    }
}

fn with_ints(mut node: NodeProto, name: &str, values: &[i64]) -> NodeProto {
    let rest = AttributeProto {
        ints: values.to_vec(),
        ..Default::default()
    };
    node.attribute
        .push(attribute(name, AttributeType::Ints, rest));
    node
}

fn with_int(mut node: NodeProto, name: &str, value: i64) -> NodeProto {
    let rest = AttributeProto {
        i: Some(value),
        ..Default::default()
    };
    node.attribute
        .push(attribute(name, AttributeType::Int, rest));
    node
}

fn joined(inputs: &[&str], output: &str) -> NodeProto {
    with_int(node("Concat", inputs, &[output]), "axis", 0)
}

fn with_graph(mut node: NodeProto, name: &str, graph: GraphProto) -> NodeProto {
    let rest = AttributeProto {
        g: Some(Box::new(graph)),
        ..Default::default()
    };
    node.attribute
        .push(attribute(name, AttributeType::Graph, rest));
    node
}

fn value(name: &str, dtype: i32, dims: &[i64]) -> ValueInfoProto {
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

fn tensor(name: &str, dtype: i32, dims: &[i64], raw: &[u8]) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        data_type: Some(dtype),
        dims: dims.to_vec(),
        raw_data: Some(Bytes::copy_from_slice(raw)),
        ..Default::default()
    }
}

fn int64s(name: &str, values: &[i64]) -> TensorProto {
    let raw: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    tensor(name, INT64, &[values.len() as i64], &raw)
}

fn scalar(name: &str, value: i64) -> TensorProto {
    tensor(name, INT64, &[], &value.to_le_bytes())
}

/// Builds a graph from `x` (float [1, 4]) to `y`.
fn graph(nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> GraphProto {
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

fn file(graph: GraphProto) -> Bytes {
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
fn nested(levels: usize) -> GraphProto {
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

fn chain(op: &str, links: usize, twice: bool) -> Vec<NodeProto> {
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

/// Sizes and values that no machine could hold.
fn greedy() -> Vec<(&'static str, Bytes, &'static [&'static str])> {
    let huge = i64::MAX;
    let one = |op: &str, constants: Vec<TensorProto>| {
        let names: Vec<&str> = std::iter::once("x")
            .chain(constants.iter().map(|t| t.name()))
            .collect();
        file(graph(vec![node(op, &names, &["y"])], constants.clone()))
    };
    let doubling = chain("Concat", 60, true)
        .into_iter()
        .map(|node| with_int(node, "axis", 0));
    let constant = |nodes, constants| file(graph(nodes, constants));
    vec![
        (
            "expand",
            one("Expand", vec![int64s("s", &[huge, 4])]),
            &["the_expand", "limit"],
        ),
        (
            "tile",
            one("Tile", vec![int64s("s", &[huge, huge])]),
            &["the_tile", "limit"],
        ),
        (
            "pad",
            one("Pad", vec![int64s("s", &[0, huge, 0, huge])]),
            &["the_pad", "limit"],
        ),
        (
            "center crop pad",
            one("CenterCropPad", vec![int64s("s", &[huge, huge])]),
            &["limit"],
        ),
        (
            "constant of shape",
            constant(
                vec![node("ConstantOfShape", &["s"], &["y"])],
                vec![int64s("s", &[1 << 32, 1 << 32])],
            ),
            &["the_constantofshape", "limit"],
        ),
        (
            "range",
            constant(
                vec![node("Range", &["a", "b", "c"], &["y"])],
                vec![scalar("a", i64::MIN), scalar("b", huge), scalar("c", 1)],
            ),
            &["the_range", "limit"],
        ),
        (
            "one hot",
            constant(
                vec![node("OneHot", &["i", "d", "v"], &["y"])],
                vec![
                    int64s("i", &[0, 1]),
                    scalar("d", huge),
                    int64s("v", &[0, 1]),
                ],
            ),
            &["the_onehot", "limit"],
        ),
        (
            "resize",
            one(
                "Resize",
                vec![tensor("r", FLOAT, &[0], &[]), {
                    let raw: Vec<u8> = [1e9f32, 1e9].iter().flat_map(|s| s.to_le_bytes()).collect();
                    tensor("s", FLOAT, &[2], &raw)
                }],
            ),
            &["the_resize", "limit"],
        ),
        (
            "doubling concat",
            constant(doubling.collect(), vec![]),
            &["limit of 268435456"],
        ),
        (
            "doubling text",
            {
                let mut nodes = chain("StringConcat", 60, true);
                nodes[0].input = own(&["t", "t"]);
                let text = TensorProto {
                    string_data: vec![Bytes::from_static(b"0123456789abcdef")],
                    raw_data: None,
                    ..tensor("t", STRING, &[1], &[])
                };
                constant(nodes, vec![text])
            },
            &["StringConcat", "bytes of text"],
        ),
        (
            "repeated text",
            {
                let text = TensorProto {
                    string_data: vec![Bytes::from("x".repeat(1 << 16))],
                    raw_data: None,
                    ..tensor("t", STRING, &[1], &[])
                };
                let nodes = vec![node("Expand", &["t", "s"], &["y"])];
                constant(nodes, vec![text, int64s("s", &[1 << 20])])
            },
            &["the_expand", "bytes of text"],
        ),
    ]
}

/// Tensors that are not what they say.
fn false_tensors() -> Vec<(&'static str, Bytes, &'static [&'static str])> {
    let with = |constant: TensorProto| file(graph(vec![joined(&["x", "c"], "y")], vec![constant]));
    let external = TensorProto {
        data_location: Some(DataLocation::External as i32),
        external_data: vec![StringStringEntryProto {
            key: Some("location".to_owned()),
            value: Some("../../../etc/passwd".to_owned()),
        }],
        ..tensor("c", FLOAT, &[4], &[])
    };
    let sparse = SparseTensorProto {
        values: Some(tensor("c", FLOAT, &[1], &[0; 4])),
        indices: Some(int64s("", &[1 << 40])),
        dims: vec![4],
    };
    let mut with_sparse = graph(vec![joined(&["x", "c"], "y")], vec![]);
    with_sparse.sparse_initializer = vec![sparse];
    vec![
        (
            "wrapping dims",
            with(tensor("c", FLOAT, &[1 << 32, 1 << 32], &[])),
            &["\"c\"", "limit"],
        ),
        (
            "dims that wrap to zero",
            with(tensor("c", FLOAT, &[1 << 62, 4], &[])),
            &["limit"],
        ),
        (
            "huge dims beside a zero",
            with(tensor("c", FLOAT, &[0, 1 << 62], &[])),
            &["limit"],
        ),
        (
            "a negative dim",
            with(tensor("c", FLOAT, &[-1], &[])),
            &["negative"],
        ),
        (
            "too few bytes",
            with(tensor("c", FLOAT, &[4], &[0; 15])),
            &["\"c\"", "15"],
        ),
        (
            "too many bytes",
            with(tensor("c", FLOAT, &[4], &[0; 17])),
            &["\"c\"", "17"],
        ),
        (
            "an unknown type",
            with(tensor("c", 99, &[4], &[0; 16])),
            &["99"],
        ),
        ("external data", with(external), &["external"]),
        (
            "too many dimensions",
            with(tensor("c", FLOAT, &[1; 100], &[0; 4])),
            &["rank", "16"],
        ),
        ("sparse index outside", file(with_sparse), &["sparse"]),
    ]
}

/// Graphs that do not hang together.
fn false_graphs() -> Vec<(&'static str, Bytes, &'static [&'static str])> {
    let twice = vec![
        node("Identity", &["x"], &["y"]),
        node("Identity", &["x"], &["y"]),
    ];
    let cycle = vec![joined(&["x", "b"], "a"), joined(&["x", "a"], "b")];
    let conv = with_ints(node("Conv", &["i", "w"], &["y"]), "strides", &[0, 0]);
    let mut conv = graph(vec![conv], vec![tensor("w", FLOAT, &[1, 1, 1, 1], &[0; 4])]);
    conv.input = vec![value("i", FLOAT, &[1, 1, 4, 4])];
    let many = (0..300).fold(node("Identity", &["x"], &["y"]), |node, i| {
        with_int(node, &format!("a{i}"), 1)
    });
    let mut long = node("Identity", &["x"], &["y"]);
    long.output = vec!["n".repeat(10_000)];
    vec![
        (
            "a name defined twice",
            file(graph(twice, vec![])),
            &["\"y\"", "twice"],
        ),
        (
            "a cycle",
            file(graph(cycle, vec![])),
            &["\"b\"", "topological"],
        ),
        (
            "a node that reads itself",
            file(graph(vec![node("Identity", &["y"], &["y"])], vec![])),
            &["\"y\""],
        ),
        ("no output", file(graph(vec![], vec![])), &["\"y\""]),
        ("strides of zero", file(conv), &["the_conv", "stride"]),
        (
            "an unknown operator",
            file(graph(vec![node("Fly", &["x"], &["y"])], vec![])),
            &["Fly", "the_fly", "20"],
        ),
        (
            "too many attributes",
            file(graph(vec![many], vec![])),
            &["300", "256"],
        ),
        (
            "a name too long",
            file(graph(vec![long], vec![])),
            &["4096"],
        ),
        (
            "a node without outputs",
            file(graph(vec![node("Identity", &["x"], &[])], vec![])),
            &["the_identity", "must have an output"],
        ),
        (
            "a missing input",
            file(graph(vec![node("Gather", &["x"], &["y"])], vec![])),
            &["the_gather"],
        ),
        ("branches 17 deep", file(nested(17)), &["depth", "16"]),
        (
            "branches 30 deep",
            file(nested(30)),
            &["nested messages", "64"],
        ),
        (
            "100,001 nodes",
            file(graph(chain("Identity", 100_001, false), vec![])),
            &["nodes", "100000"],
        ),
    ]
}

/// Returns the processor time this thread has used, where the system tells.
fn thread_nanos() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

fn check_all(cases: Vec<(&'static str, Bytes, &'static [&'static str])>) {
    for (what, bytes, words) in cases {
        let (before, started) = (thread_nanos(), Instant::now());
        let loaded = Model::from_onnx(bytes, &Limits::default());
        let nanos = match (before, thread_nanos()) {
            (Some(before), Some(after)) => u128::from(after - before),
            _ => started.elapsed().as_nanos(),
        };
        assert!(nanos < 1_000_000_000, "{what} took {nanos} ns");
        let Err(error) = loaded else {
            panic!("{what} was accepted")
        };
        let text = error.to_string();
        for word in words {
            assert!(text.contains(word), "{what}: {word:?} is not in {text:?}");
        }
    }
}

#[test]
fn hostile_models_are_refused_by_name_in_time_and_memory() {
    check_all(greedy());
    check_all(false_tensors());
    check_all(false_graphs());
    // One process held all of them in turn: its peak bounds every one.
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        assert!(
            peak.is_none_or(|kb| kb < 256 * 1024),
            "{peak:?} kB at the peak"
        );
    }
}

#[test]
fn bytes_that_are_no_model_are_refused() {
    for bytes in [
        &b""[..],
        b"\x00",
        b"GIF89a",
        &[0xff; 64],
        &[0x3a, 0xff, 0xff, 0xff, 0x7f],
    ] {
        let loaded = Model::from_onnx(Bytes::copy_from_slice(bytes), &Limits::default());
        let Err(error) = loaded else {
            panic!("{bytes:?} was accepted")
        };
        assert!(matches!(
            error,
            LoadError::Decode(_) | LoadError::NoGraph | LoadError::Opset { .. }
        ));
    }
}

#[test]
fn long_chains_load_and_run() {
    let bytes = file(graph(chain("Identity", 10_000, false), vec![]));
    let model = Model::from_onnx(bytes, &Limits::default()).expect("a chain is a model");
    let x = assay_runtime::Tensor::from_vec([1, 4], vec![1f32, 2.0, 3.0, 4.0]).expect("fills");
    let outputs = model
        .run(&Engine::single(), &[x.clone().into()])
        .expect("runs");
    assert_eq!(outputs[0].as_tensor(), Some(&x));
}
