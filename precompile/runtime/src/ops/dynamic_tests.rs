//! Rules of the operators whose outputs the values decide: loops, sequences, text, selections.

use prost::Message as _;

use super::testing::{Case, count, ints};
use crate::onnx::proto::attribute_proto::AttributeType;
use crate::onnx::proto::type_proto;
use crate::onnx::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TypeProto,
    ValueInfoProto,
};
use crate::{Limits, Model, Tensor, Value};
use assay_numerics::Engine;

fn texts(values: &[&str]) -> Tensor {
    let values: Vec<String> = values.iter().map(|text| (*text).to_owned()).collect();
    Tensor::from_vec([values.len()], values).expect("a list")
}

fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    NodeProto {
        op_type: Some(op.to_owned()),
        input: own(inputs),
        output: own(outputs),
        ..Default::default()
    }
}

fn value(name: &str) -> ValueInfoProto {
    ValueInfoProto {
        name: Some(name.to_owned()),
        ..Default::default()
    }
}

fn typed(name: &str, dtype: i32) -> ValueInfoProto {
    let kind = type_proto::Tensor {
        elem_type: Some(dtype),
        shape: None,
    };
    let kind = TypeProto {
        value: Some(type_proto::Value::TensorType(kind)),
    };
    ValueInfoProto {
        r#type: Some(kind),
        ..value(name)
    }
}

fn graph(inputs: &[&str], nodes: Vec<NodeProto>, outputs: &[&str]) -> GraphProto {
    GraphProto {
        input: inputs.iter().map(|name| value(name)).collect(),
        node: nodes,
        output: outputs.iter().map(|name| value(name)).collect(),
        ..Default::default()
    }
}

fn with_graph(mut node: NodeProto, name: &str, graph: GraphProto) -> NodeProto {
    node.attribute.push(AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Graph as i32),
        g: Some(Box::new(graph)),
        ..Default::default()
    });
    node
}

fn with_int(mut node: NodeProto, name: &str, value: i64) -> NodeProto {
    node.attribute.push(AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Int as i32),
        i: Some(value),
        ..Default::default()
    });
    node
}

fn load(graph: GraphProto, limits: &Limits) -> Result<Model, String> {
    let proto = ModelProto {
        ir_version: Some(10),
        opset_import: vec![OperatorSetIdProto {
            version: Some(20),
            ..Default::default()
        }],
        graph: Some(graph),
        ..Default::default()
    };
    Model::from_onnx(proto.encode_to_vec().into(), limits).map_err(|error| error.to_string())
}

/// A loop whose body doubles its carried value by joining it with itself, and stacks its number.
fn doubling() -> GraphProto {
    let body = graph(
        &["i", "go", "x"],
        vec![
            node("Identity", &["go"], &["again"]),
            with_int(node("Concat", &["x", "x"], &["longer"]), "axis", 0),
            node("Identity", &["i"], &["number"]),
        ],
        &["again", "longer", "number"],
    );
    let mut main = graph(
        &[],
        vec![with_graph(
            node("Loop", &["count", "go", "x"], &["y", "numbers"]),
            "body",
            body,
        )],
        &["y", "numbers"],
    );
    main.input = vec![typed("count", 7), typed("go", 9), typed("x", 1)];
    main
}

fn run(model: &Model, inputs: &[Value]) -> Result<Vec<Tensor>, String> {
    let outputs = model
        .run(&Engine::single(), inputs)
        .map_err(|error| error.to_string())?;
    Ok(outputs
        .iter()
        .filter_map(Value::as_tensor)
        .cloned()
        .collect())
}

fn loop_inputs(count: i64, go: bool) -> Vec<Value> {
    vec![
        Tensor::scalar(count).into(),
        Tensor::scalar(go).into(),
        super::testing::count(&[1]).into(),
    ]
}

#[test]
fn loops_carry_values_and_stack_others() {
    let model = load(doubling(), &Limits::default()).expect("loads");
    let outputs = run(&model, &loop_inputs(3, true)).expect("runs");
    assert_eq!(outputs[0].shape(), [8]);
    assert_eq!(outputs[1], ints(&[0, 1, 2]));
    let outputs = run(&model, &loop_inputs(3, false)).expect("runs");
    assert_eq!(outputs[0].shape(), [1]);
    assert_eq!(outputs[1].shape(), [0]);
    let outputs = run(&model, &loop_inputs(-1, true)).expect("runs");
    assert_eq!(outputs[1].shape(), [0]);
}

#[test]
fn a_doubling_loop_meets_the_limits() {
    let limits = Limits {
        elements: 1 << 16,
        ..Limits::default()
    };
    let model = load(doubling(), &limits).expect("loads");
    let refusal = run(&model, &loop_inputs(i64::MAX, true)).expect_err("doubles 17 times");
    assert!(
        refusal.contains("elements of one tensor: 131072 exceeds the limit of 65536"),
        "{refusal}"
    );
}

/// A loop that does nothing, as often as it is told.
fn idle() -> GraphProto {
    let nodes = vec![
        node("Identity", &["go"], &["again"]),
        node("Identity", &["x"], &["same"]),
    ];
    let body = graph(&["i", "go", "x"], nodes, &["again", "same"]);
    let mut main = graph(
        &[],
        vec![with_graph(
            node("Loop", &["count", "go", "x"], &["y"]),
            "body",
            body,
        )],
        &["y"],
    );
    main.input = vec![typed("count", 7), typed("go", 9), typed("x", 1)];
    main
}

#[test]
fn endless_loops_end_at_the_iteration_limit_and_the_work_limit() {
    let limits = Limits {
        iterations: 1000,
        ..Limits::default()
    };
    let model = load(idle(), &limits).expect("loads");
    let refusal = run(&model, &loop_inputs(i64::MAX, true)).expect_err("never ends");
    assert!(
        refusal.contains("loop iterations: 1001 exceeds the limit of 1000"),
        "{refusal}"
    );
    let limits = Limits {
        work: 10_000,
        ..Limits::default()
    };
    let model = load(idle(), &limits).expect("loads");
    let refusal = run(&model, &loop_inputs(i64::MAX, true)).expect_err("costs too much");
    assert!(refusal.contains("work units"), "{refusal}");
}

#[test]
fn deeply_nested_branches_are_inferred_in_little_time() {
    // Counting costs at every level anew would visit the innermost branch 2^14 times or more.
    let mut inner = graph(&[], vec![node("Identity", &["x"], &["y0"])], &["y0"]);
    for level in 1..15 {
        let name = format!("y{level}");
        let branch = with_graph(node("If", &["go"], &[&name]), "then_branch", inner.clone());
        let flat = graph(&[], vec![node("Identity", &["x"], &["z"])], &["z"]);
        let branch = with_graph(branch, "else_branch", flat);
        inner = graph(&[], vec![branch], &[&name]);
    }
    inner.input = vec![typed("go", 9), typed("x", 1)];
    let started = std::time::Instant::now();
    let model = load(inner, &Limits::default()).expect("loads");
    let inputs = [Tensor::scalar(true).into(), count(&[2]).into()];
    assert_eq!(run(&model, &inputs).expect("runs")[0], count(&[2]));
    assert!(started.elapsed().as_secs() < 1);
}

#[test]
fn branches_that_do_not_fit_are_no_error_until_they_are_taken() {
    let squeeze = graph(&[], vec![node("Squeeze", &["x", "axis"], &["s"])], &["s"]);
    let keep = graph(&[], vec![node("Identity", &["x"], &["k"])], &["k"]);
    let branch = with_graph(node("If", &["go"], &["y"]), "then_branch", squeeze);
    let mut main = graph(&[], vec![with_graph(branch, "else_branch", keep)], &["y"]);
    main.input = vec![typed("go", 9), typed("x", 1), typed("axis", 7)];
    let model = load(main, &Limits::default()).expect("loads");
    let inputs = |go: bool, dim: usize| {
        [
            Tensor::scalar(go).into(),
            count(&[dim, 2]).into(),
            ints(&[0]).into(),
        ]
    };
    assert_eq!(run(&model, &inputs(true, 1)).expect("runs")[0].shape(), [2]);
    assert_eq!(
        run(&model, &inputs(false, 3)).expect("runs")[0].shape(),
        [3, 2]
    );
    assert!(
        run(&model, &inputs(true, 3))
            .expect_err("does not fit")
            .contains("squeezed")
    );
}

#[test]
fn joining_text_doubles_no_further_than_the_limit() {
    let names: Vec<String> = (0..60).map(|i| format!("t{i}")).collect();
    let nodes = (1..60).map(|i| {
        let (from, to) = (names[i - 1].as_str(), names[i].as_str());
        node("StringConcat", &[from, from], &[to])
    });
    let mut main = graph(&[], nodes.collect(), &["t59"]);
    main.input = vec![typed("t0", 8)];
    let limits = Limits {
        text_bytes: 1 << 16,
        ..Limits::default()
    };
    let model = load(main, &limits).expect("loads");
    let refusal = run(&model, &[texts(&["abcd"]).into()]).expect_err("2^61 bytes");
    assert!(
        refusal.contains("bytes of text: 131072 exceeds the limit of 65536"),
        "{refusal}"
    );
}

#[test]
fn repeating_long_text_meets_the_limit_before_it_is_copied() {
    let long = "x".repeat(1 << 20);
    let case = Case::new("Expand", 13, 1)
        .input(texts(&[&long]))
        .input(ints(&[1 << 20]));
    let refusal = case.refusal();
    assert!(refusal.contains("bytes of text"), "{refusal}");
}

#[test]
fn unique_orders_zeros_as_equal_and_nan_last() {
    let x = Tensor::from_vec([6], vec![f32::NAN, 0.0, -1.0, -0.0, f32::NAN, 2.0]).expect("a list");
    let outputs = Case::new("Unique", 11, 4).input(x).run().expect("runs");
    let tensors: Vec<&Tensor> = outputs.iter().filter_map(Value::as_tensor).collect();
    let y = tensors[0].as_slice::<f32>().expect("floats");
    assert_eq!(y[..3], [-1.0, 0.0, 2.0]);
    assert!(y[3].is_nan() && y.len() == 4 && y[1].is_sign_positive());
    assert_eq!(tensors[1], &ints(&[2, 1, 5, 0]));
    assert_eq!(tensors[2], &ints(&[3, 1, 0, 1, 3, 2]));
    assert_eq!(tensors[3], &ints(&[1, 2, 1, 2]));
}

#[test]
fn unsorted_unique_keeps_the_order_of_first_appearance() {
    let x = texts(&["b", "a", "b", "c", "a"]);
    let outputs = Case::new("Unique", 11, 4)
        .int("sorted", 0)
        .input(x)
        .run()
        .expect("runs");
    let tensors: Vec<&Tensor> = outputs.iter().filter_map(Value::as_tensor).collect();
    assert_eq!(tensors[0], &texts(&["b", "a", "c"]));
    assert_eq!(tensors[2], &ints(&[0, 1, 0, 2, 1]));
}

#[test]
fn resize_refuses_scales_that_are_not_positive_and_sizes_beyond_the_limit() {
    let scales = |list: &[f32]| {
        let scales = Tensor::from_vec([list.len()], list.to_vec()).expect("a list");
        Case::new("Resize", 13, 1)
            .input(count(&[1, 2]))
            .skip()
            .input(scales)
    };
    assert_eq!(scales(&[1.0, 2.0]).tensor().shape(), [1, 4]);
    for bad in [
        [1.0, 0.0],
        [1.0, -2.0],
        [1.0, f32::NAN],
        [1.0, f32::INFINITY],
    ] {
        assert!(scales(&bad).refusal().contains("positive"), "{bad:?}");
    }
    assert!(scales(&[1e9, 1e9]).refusal().contains("limit"));
    assert!(
        scales(&[1.0])
            .refusal()
            .contains("one scale or size for each axis")
    );
    let tiny = scales(&[1.0, 1e-30])
        .text("mode", "linear")
        .int("antialias", 1);
    assert!(
        tiny.refusal().contains("antialias"),
        "opset 13 has no antialias"
    );
}

#[test]
fn resize_to_nothing_needs_no_filter() {
    let scales = Tensor::from_vec([2], vec![1.0f32, 1e-30]).expect("a list");
    let case = Case::new("Resize", 18, 1)
        .text("mode", "linear")
        .int("antialias", 1);
    let out = case.input(count(&[1, 2])).skip().input(scales).tensor();
    assert_eq!(out.shape(), [1, 0]);
}
