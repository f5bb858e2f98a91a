//! Files that ask for more than any machine has.

use assay_runtime::onnx::proto::TensorProto;
use bytes::Bytes;

use crate::files::*;

/// Sizes and values that no machine could hold.
pub(crate) fn greedy() -> Vec<Case> {
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
