//! What a plan joins into one step, and what it counts as alive.

use assay_numerics::Engine;
use bytes::Bytes;

use crate::exec;
use crate::model::tests::{load, model, node, port};
use crate::onnx::proto::attribute_proto::AttributeType;
use crate::onnx::proto::{AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto};
use crate::ops::Scratch;
use crate::{DType, ExecError, Limits, Model, Tensor, Value};

/// Gives numbers of both signs, with zeros of both signs, an infinity and a NaN among them.
fn numbers(count: usize) -> Vec<f32> {
    let number = |i: usize| match i % 97 {
        11 => -0.0,
        29 => f32::INFINITY,
        31 => f32::NAN,
        _ => ((i * 7919) % 1013) as f32 / 311.0 - 1.6,
    };
    (0..count).map(number).collect()
}

fn constant(name: &str, dtype: DType, dims: &[usize]) -> NodeProto {
    let numbers = numbers(dims.iter().product());
    // Weights are finite: an infinity in each row would leave nothing but NaN to compare.
    let finite = numbers.iter().map(|x| if x.is_finite() { *x } else { 0.5 });
    let raw: Vec<u8> = match dtype {
        DType::F64 => finite.flat_map(|x| f64::from(x).to_le_bytes()).collect(),
        _ => finite.flat_map(f32::to_le_bytes).collect(),
    };
    let tensor = TensorProto {
        dims: dims.iter().map(|dim| *dim as i64).collect(),
        data_type: Some(i32::from(dtype.onnx())),
        raw_data: Some(Bytes::from(raw)),
        ..Default::default()
    };
    let value = AttributeProto {
        name: Some("value".to_owned()),
        r#type: Some(AttributeType::Tensor as i32),
        t: Some(Box::new(tensor)),
        ..Default::default()
    };
    NodeProto {
        attribute: vec![value],
        ..node("Constant", &[], &[name])
    }
}

fn input(dtype: DType, shape: &[usize]) -> Tensor {
    let numbers = numbers(shape.iter().product());
    let tensor = match dtype {
        DType::F64 => Tensor::from_vec(shape, numbers.into_iter().map(f64::from).collect()),
        _ => Tensor::from_vec(shape, numbers),
    };
    tensor.expect("as many numbers as the shape has")
}

fn bits(value: &Value) -> Vec<u64> {
    let tensor = value.as_tensor().expect("a tensor");
    match tensor.dtype() {
        DType::F64 => tensor
            .as_slice::<f64>()
            .map(|v| v.iter().map(|x| x.to_bits()).collect()),
        _ => tensor
            .as_slice::<f32>()
            .map(|v| v.iter().map(|x| u64::from(x.to_bits())).collect()),
    }
    .expect("floats")
}

fn run_nodes(model: &Model, x: &Tensor, limits: &Limits) -> Result<Vec<Value>, ExecError> {
    let (mut scratch, mut work) = (Scratch::default(), limits.work);
    let inputs = [&Value::Tensor(x.clone())];
    let engine = Engine::single();
    exec::run_dynamic(
        model.graph(),
        &inputs,
        &engine,
        limits,
        &mut scratch,
        &mut work,
        0,
        &mut (),
    )
}

/// Runs a chain of nodes from `x` to `y` and checks its steps, its bits against the nodes run one by
/// one, and that its cost names every node.
fn check(
    what: &str,
    dtype: DType,
    shape: &[usize],
    nodes: Vec<NodeProto>,
    outputs: &[&str],
    steps: usize,
) {
    let count = nodes
        .iter()
        .filter(|node| node.op_type() != "Constant")
        .count();
    let dims: Vec<String> = shape.iter().map(usize::to_string).collect();
    let dims: Vec<&str> = dims.iter().map(String::as_str).collect();
    let model = load(model(vec![port("x", dtype, &dims)], nodes, outputs)).expect(what);
    let plan = model.plan(&[shape]).expect(what);
    let fixed = plan.fixed.as_ref().expect("every shape is known");
    assert_eq!(fixed.steps.len(), steps, "{what}");
    assert_eq!(plan.cost().expect("bounded").nodes, count as u64, "{what}");
    let x = input(dtype, shape);
    let joined = model.run_tensors(&Engine::single(), &[&x]).expect(what);
    let single = run_nodes(&model, &x, &Limits::default()).expect(what);
    for (joined, single) in joined.iter().zip(&single) {
        assert_eq!(bits(joined), bits(single), "{what}");
    }
}

#[test]
fn a_product_does_the_addition_and_the_relu_after_it_with_the_same_bits() {
    for dtype in [DType::F32, DType::F64] {
        let product = || {
            vec![
                constant("w", dtype, &[37, 19]),
                constant("b", dtype, &[19]),
                node("MatMul", &["x", "w"], &["p"]),
            ]
        };
        let then = |more: Vec<NodeProto>| [product(), more].concat();
        let shape = [3, 5, 37];
        let relu = vec![node("Relu", &["p"], &["y"])];
        check("MatMul, Relu", dtype, &shape, then(relu), &["y"], 1);
        let biased = vec![
            node("Add", &["b", "p"], &["s"]),
            node("Relu", &["s"], &["y"]),
        ];
        check("MatMul, Add, Relu", dtype, &shape, then(biased), &["y"], 1);
        let twice = vec![
            node("Add", &["p", "b"], &["s"]),
            node("Add", &["s", "b"], &["t"]),
            node("Relu", &["t"], &["y"]),
        ];
        check(
            "MatMul, Add, Add, Relu",
            dtype,
            &shape,
            then(twice),
            &["y"],
            3,
        );
        let gemm = |c: &[usize]| {
            vec![
                constant("w", dtype, &[37, 19]),
                constant("c", dtype, c),
                node("Gemm", &["x", "w", "c"], &["p"]),
                node("Relu", &["p"], &["y"]),
            ]
        };
        for c in [&[19][..], &[5, 19], &[5, 1], &[1]] {
            check("Gemm, Relu", dtype, &[5, 37], gemm(c), &["y"], 1);
        }
        let conv = vec![
            constant("w", dtype, &[8, 3, 3, 3]),
            constant("b", dtype, &[8]),
            node("Conv", &["x", "w", "b"], &["p"]),
            node("Relu", &["p"], &["y"]),
        ];
        check("Conv, Relu", dtype, &[2, 3, 9, 11], conv, &["y"], 1);
    }
}

#[test]
fn nodes_whose_values_others_see_or_whose_rounding_differs_stay_apart() {
    let shape = [5, 37];
    let product = || {
        vec![
            constant("w", DType::F32, &[37, 19]),
            node("MatMul", &["x", "w"], &["p"]),
        ]
    };
    let then = |more: Vec<NodeProto>| [product(), more].concat();
    let relu = || node("Relu", &["p"], &["y"]);
    check(
        "an output",
        DType::F32,
        &shape,
        then(vec![relu()]),
        &["y", "p"],
        2,
    );
    let two = vec![relu(), node("Neg", &["p"], &["z"])];
    check("two readers", DType::F32, &shape, then(two), &["y", "z"], 3);
    let column = vec![
        constant("b", DType::F32, &[5, 1]),
        node("Add", &["p", "b"], &["y"]),
    ];
    check("a column", DType::F32, &shape, then(column), &["y"], 2);
    let double = vec![node("Add", &["p", "p"], &["y"])];
    check(
        "a sum with itself",
        DType::F32,
        &shape,
        then(double),
        &["y"],
        2,
    );
    let computed = vec![
        node("ReduceSum", &["x"], &["r"]),
        node("Add", &["p", "r"], &["y"]),
    ];
    check(
        "a computed addend",
        DType::F32,
        &shape,
        then(computed),
        &["y"],
        3,
    );
    // Between nodes of half precision a value is rounded.
    let half = vec![
        node("Relu", &["x"], &["a"]),
        node("MatMul", &["a", "a"], &["p"]),
        node("Relu", &["p"], &["y"]),
    ];
    let model = load(model(
        vec![port("x", DType::F16, &["4", "4"])],
        half,
        &["y"],
    ))
    .unwrap();
    let plan = model.plan(&[&[4, 4]]).unwrap();
    assert_eq!(plan.fixed.as_ref().unwrap().steps.len(), 3);
}

#[test]
fn the_wide_copies_of_half_precision_count_as_alive() {
    const COUNT: u64 = 1000;
    for dtype in [DType::F16, DType::Bf16] {
        let nodes = vec![node("Sigmoid", &["x"], &["y"])];
        let bytes = model(vec![port("x", dtype, &["1000"])], nodes, &["y"]);
        // Two bytes for each output, four for the copy of each input and of each output.
        let needed = (2 + 4 + 4) * COUNT;
        let limited = |live_bytes| Limits {
            live_bytes,
            ..Limits::default()
        };
        assert!(Model::from_onnx(bytes.clone(), &limited(needed)).is_ok());
        let refused = Model::from_onnx(bytes.clone(), &limited(needed - 1)).err();
        let text = refused.expect("one byte too few").to_string();
        assert!(text.contains(&needed.to_string()), "{text}");
        // Node by node the same copies count.
        let model = load(bytes).unwrap();
        let x = Tensor::zeros(dtype, vec![COUNT as usize]).unwrap();
        assert!(run_nodes(&model, &x, &limited(8 * COUNT)).is_ok());
        let error = run_nodes(&model, &x, &limited(8 * COUNT - 1)).err();
        let text = error.expect("one byte too few").to_string();
        assert!(text.contains("8000"), "{text}");
    }
}

#[test]
fn the_padded_copy_of_a_convolution_counts_as_alive() {
    let pads = AttributeProto {
        name: Some("pads".to_owned()),
        r#type: Some(AttributeType::Ints as i32),
        ints: vec![1; 4],
        ..Default::default()
    };
    let conv = NodeProto {
        attribute: vec![pads],
        ..node("Conv", &["x", "w"], &["y"])
    };
    let nodes = vec![constant("w", DType::F32, &[1, 1, 3, 3]), conv];
    let inputs = vec![port("x", DType::F32, &["1", "1", "8", "8"])];
    let model = load(model(inputs, nodes, &["y"])).expect("loads");
    let plan = model.plan(&[&[1, 1, 8, 8]]).expect("plans");
    assert_eq!(plan.buffer_bytes(), Some(4 * (8 * 8 + 10 * 10)));
}

#[test]
fn a_right_hand_side_that_is_packed_for_one_call_counts_as_alive() {
    for op in ["MatMul", "Gemm"] {
        // From 24 rows on all columns are packed, before that only those that fill no panel.
        for (rows, packed) in [(24, 40 + 16), (23, 32 + 16)] {
            let shapes = [[rows, 4], [4, 40]];
            let named = shapes.map(|shape| shape.map(|dim| dim.to_string()));
            let [a, b] = named
                .each_ref()
                .map(|[rows, columns]| [rows.as_str(), columns]);
            let inputs = vec![port("a", DType::F32, &a), port("b", DType::F32, &b)];
            let nodes = vec![node(op, &["a", "b"], &["y"])];
            let model = load(model(inputs, nodes, &["y"])).expect("loads");
            let plan = model.plan(&[&shapes[0], &shapes[1]]).expect("plans");
            let numbers = rows * 40 + 4 * packed;
            assert_eq!(plan.buffer_bytes(), Some(4 * numbers as u64), "{op}");
        }
    }
}

#[test]
fn what_lives_around_a_branch_counts_inside_it() {
    let branch = |name: &str| {
        let graph = GraphProto {
            name: Some("branch".to_owned()),
            node: vec![node("Neg", &["a"], &["n"]), node("Abs", &["n"], &["b"])],
            output: vec![ValueInfoProto {
                name: Some("b".to_owned()),
                ..Default::default()
            }],
            ..Default::default()
        };
        AttributeProto {
            name: Some(name.to_owned()),
            r#type: Some(AttributeType::Graph as i32),
            g: Some(Box::new(graph)),
            ..Default::default()
        }
    };
    let choose = NodeProto {
        attribute: vec![branch("then_branch"), branch("else_branch")],
        ..node("If", &["c"], &["y"])
    };
    let nodes = vec![node("Neg", &["x"], &["a"]), choose];
    let inputs = vec![port("x", DType::F32, &["64"]), port("c", DType::Bool, &[])];
    let bytes = model(inputs, nodes, &["y"]);
    let x = input(DType::F32, &[64]);
    let c = Tensor::from_vec(vec![], vec![true]).expect("a scalar");
    // a lives around the branch, in which n and b live.
    for (live_bytes, fits) in [(3 * 256, true), (3 * 256 - 1, false)] {
        let limits = Limits {
            live_bytes,
            ..Limits::default()
        };
        let model = Model::from_onnx(bytes.clone(), &limits).expect("loads");
        let run = model.run_tensors(&Engine::single(), &[&x, &c]);
        assert_eq!(run.is_ok(), fits, "{live_bytes}: {run:?}");
    }
}

#[test]
fn elementwise_nodes_that_follow_each_other_run_as_one_step_with_the_same_bits() {
    let shape = [3, 5, 37];
    let one = |name: &str| constant(name, DType::F32, &[1]);
    let gelu = vec![
        one("r"),
        one("s"),
        constant("h", DType::F32, &[]),
        node("Div", &["x", "r"], &["a"]),
        node("Erf", &["a"], &["b"]),
        node("Add", &["b", "s"], &["c"]),
        node("Mul", &["x", "c"], &["d"]),
        node("Mul", &["d", "h"], &["y"]),
    ];
    check("GELU", DType::F32, &shape, gelu, &["y"], 1);
    let residual = |third: &str| {
        vec![
            node("Exp", &["x"], &["e"]),
            node("Neg", &["x"], &["n"]),
            node("Add", &["n", "e"], &["s"]),
            node("Sub", &["s", third], &["t"]),
            node("Relu", &["t"], &["y"]),
        ]
    };
    check(
        "a sum, then Relu",
        DType::F32,
        &shape,
        residual("x"),
        &["y"],
        3,
    );
    check(
        "a value read twice",
        DType::F32,
        &shape,
        residual("e"),
        &["y"],
        3,
    );
    check(
        "a value read by itself",
        DType::F32,
        &shape,
        residual("s"),
        &["y"],
        4,
    );
    check(
        "an output inside",
        DType::F32,
        &shape,
        residual("x"),
        &["s", "y"],
        4,
    );
    check("doubles", DType::F64, &shape, residual("x"), &["y"], 5);
    let column = vec![
        constant("b", DType::F32, &[37]),
        node("Exp", &["x"], &["e"]),
        node("Add", &["e", "b"], &["s"]),
        node("Relu", &["s"], &["y"]),
    ];
    check("a column", DType::F32, &shape, column, &["y"], 3);
    // What the second joins is computed after the first.
    let late = vec![
        node("Exp", &["x"], &["e"]),
        node("Softmax", &["x"], &["m"]),
        node("Mul", &["e", "m"], &["y"]),
    ];
    check("a later operand", DType::F32, &shape, late, &["y"], 3);
    let long: Vec<NodeProto> = (0..20)
        .map(|i| {
            let from = if i == 0 {
                "x".to_owned()
            } else {
                format!("v{i}")
            };
            let to = if i == 19 {
                "y".to_owned()
            } else {
                format!("v{}", i + 1)
            };
            node("Sigmoid", &[&from], &[&to])
        })
        .collect();
    check("a long chain", DType::F32, &shape, long, &["y"], 3);
}
