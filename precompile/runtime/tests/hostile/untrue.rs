//! Files that are not what they say.

use assay_runtime::onnx::proto::tensor_proto::DataLocation;
use assay_runtime::onnx::proto::{SparseTensorProto, StringStringEntryProto, TensorProto};

use crate::files::*;

/// Tensors that are not what they say.
pub(crate) fn false_tensors() -> Vec<Case> {
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
pub(crate) fn false_graphs() -> Vec<Case> {
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
