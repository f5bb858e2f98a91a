//! Tree operators against onnxruntime's answers, and hostile node lists.

use crate::dtype::DType;
use crate::ops::testing::Case;
use crate::tensor::{Tensor, Value};

/// One branch x0 <= 0 over two leaves, without weights.
fn stump(op: &str, outputs: usize) -> Case {
    Case::new(op, 3, outputs)
        .ml()
        .ints("nodes_treeids", &[0, 0, 0])
        .ints("nodes_nodeids", &[0, 1, 2])
        .ints("nodes_featureids", &[0, 0, 0])
        .texts("nodes_modes", &["BRANCH_LEQ", "LEAF", "LEAF"])
        .floats("nodes_values", &[0.0, 0.0, 0.0])
        .ints("nodes_truenodeids", &[1, 0, 0])
        .ints("nodes_falsenodeids", &[2, 0, 0])
}

/// Weighs leaves: (node, class or target, weight).
fn weigh(case: Case, prefix: &str, weights: &[(i64, i64, f32)]) -> Case {
    let name = |what: &str| format!("{prefix}_{what}");
    let nodes: Vec<i64> = weights.iter().map(|w| w.0).collect();
    let ids: Vec<i64> = weights.iter().map(|w| w.1).collect();
    let values: Vec<f32> = weights.iter().map(|w| w.2).collect();
    case.ints(&name("treeids"), &vec![0; weights.len()])
        .ints(&name("nodeids"), &nodes)
        .ints(&name("ids"), &ids)
        .floats(&name("weights"), &values)
}

fn two_rows() -> Tensor {
    Tensor::from_vec([2, 1], vec![-1.0f32, 1.0]).expect("two rows")
}

fn classify(
    weights: &[(i64, i64, f32)],
    labels: &[i64],
    post: &str,
    base: &[f32],
) -> (Vec<i64>, Vec<f32>) {
    let mut case = weigh(stump("TreeEnsembleClassifier", 2), "class", weights)
        .ints("classlabels_int64s", labels)
        .text("post_transform", post)
        .input(two_rows());
    if !base.is_empty() {
        case = case.floats("base_values", base);
    }
    let outputs = case.run().expect("runs");
    match &outputs[..] {
        [Value::Tensor(labels), Value::Tensor(scores)] => (
            labels.as_slice::<i64>().expect("labels").to_vec(),
            scores.as_slice::<f32>().expect("scores").to_vec(),
        ),
        other => panic!("{other:?}"),
    }
}

fn close(got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() <= 1e-6, "{got} {want}");
    }
}

#[test]
fn one_column_with_negative_weights_is_a_margin() {
    let weights = [(1, 0, -0.7), (2, 0, 0.9)];
    let (labels, scores) = classify(&weights, &[10, 20], "NONE", &[]);
    assert_eq!(labels, [10, 20]);
    assert_eq!(scores, [0.7, -0.7, -0.9, 0.9]);
    let (labels, scores) = classify(&weights, &[10, 20], "LOGISTIC", &[0.25]);
    assert_eq!(labels, [10, 20]);
    close(
        &scores,
        &[0.610_639_3, 0.389_360_7, 0.240_489_1, 0.759_510_9],
    );
}

#[test]
fn one_column_without_negative_weights_is_a_probability() {
    let weights = [(1, 0, 0.3), (2, 0, 0.9)];
    let (labels, scores) = classify(&weights, &[10, 20], "NONE", &[]);
    assert_eq!(labels, [10, 20]);
    close(&scores, &[0.7, 0.3, 0.1, 0.9]);
    let (labels, _) = classify(&weights, &[10, 20], "NONE", &[0.25]);
    assert_eq!(labels, [20, 20]);
}

#[test]
fn several_columns_are_scores_per_class() {
    let weights = [(1, 0, 0.2), (1, 1, 0.0), (2, 2, 0.9), (2, 1, -0.3)];
    let (labels, scores) = classify(&weights, &[10, 20, 30], "SOFTMAX", &[0.1, 0.2, 0.3]);
    assert_eq!(labels, [10, 30]);
    close(
        &scores,
        &[
            0.344_253_36,
            0.311_493_3,
            0.344_253_36,
            0.207_344_28,
            0.169_759_12,
            0.622_896_6,
        ],
    );
    let weights = [(1, 0, 0.7), (1, 1, 0.3), (2, 0, 0.1), (2, 1, 0.9)];
    let (labels, scores) = classify(&weights, &[10, 20], "NONE", &[]);
    assert_eq!(labels, [10, 20]);
    assert_eq!(scores, [0.7, 0.3, 0.1, 0.9]);
}

#[test]
fn string_labels_come_back_as_strings() {
    let weights = [(1, 0, 0.3), (2, 0, 0.9)];
    let outputs = weigh(stump("TreeEnsembleClassifier", 2), "class", &weights)
        .texts("classlabels_strings", &["low", "high"])
        .input(two_rows())
        .run()
        .expect("runs");
    let labels = outputs[0].as_tensor().expect("labels");
    assert_eq!(labels.as_slice::<String>().expect("text"), ["low", "high"]);
}

#[test]
fn regressors_average_and_add_the_base_value() {
    let weights = [(1, 0, -0.7), (2, 0, 0.9)];
    let y = weigh(stump("TreeEnsembleRegressor", 1), "target", &weights)
        .int("n_targets", 1)
        .floats("base_values", &[0.5])
        .text("aggregate_function", "AVERAGE")
        .input(two_rows())
        .tensor();
    assert_eq!(y.shape(), [2, 1]);
    assert_eq!(
        y.as_slice::<f32>().expect("floats"),
        [-0.7 + 0.5, 0.9 + 0.5]
    );
}

#[test]
fn double_features_are_compared_as_doubles() {
    let weights = [(1, 0, 1.0), (2, 0, 2.0)];
    let x = Tensor::from_vec([2, 1], vec![1e-300f64, -1e-300]).expect("two rows");
    let y = weigh(stump("TreeEnsembleRegressor", 1), "target", &weights)
        .int("n_targets", 1)
        .input(x)
        .tensor();
    assert_eq!(y.as_slice::<f32>().expect("floats"), [2.0, 1.0]);
}

#[test]
fn set_members_take_the_true_branch() {
    let floats = |values: &[f32]| {
        values
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    let nan = f32::NAN;
    let y = Case::new("TreeEnsemble", 5, 1)
        .ml()
        .int("n_targets", 4)
        .int("aggregate_function", 1)
        .int("post_transform", 0)
        .ints("tree_roots", &[0])
        .bytes("nodes_modes", DType::U8, &[3], vec![0, 6, 6])
        .ints("nodes_featureids", &[0, 0, 0])
        .bytes(
            "nodes_splits",
            DType::F32,
            &[3],
            floats(&[11.0, 232_344.0, nan]),
        )
        .ints("nodes_truenodeids", &[1, 0, 1])
        .ints("nodes_trueleafs", &[0, 1, 1])
        .ints("nodes_falsenodeids", &[2, 2, 3])
        .ints("nodes_falseleafs", &[1, 0, 1])
        .ints("leaf_targetids", &[0, 1, 2, 3])
        .bytes(
            "leaf_weights",
            DType::F32,
            &[4],
            floats(&[1.0, 10.0, 1000.0, 100.0]),
        )
        .bytes(
            "membership_values",
            DType::F32,
            &[8],
            floats(&[1.2, 3.7, 8.0, 9.0, nan, 12.0, 7.0, nan]),
        )
        .input(Tensor::from_vec([5, 1], vec![1.2f32, 3.4, -0.12, nan, 7.0]).expect("rows"))
        .run();
    // Branch 1 leads to branch 2 on its false side: 2 is reached once, leaf 2 is its own.
    let y = y.expect("runs");
    let y = y[0]
        .as_tensor()
        .expect("scores")
        .as_slice::<f32>()
        .expect("floats")
        .to_vec();
    let row = |target: Option<(usize, f32)>| {
        let mut row = [0.0f32; 4];
        if let Some((target, value)) = target {
            row[target] = value;
        }
        row
    };
    let want = [
        row(Some((0, 1.0))),
        row(Some((3, 100.0))),
        row(Some((3, 100.0))),
        row(Some((2, 1000.0))),
        row(Some((1, 10.0))),
    ];
    assert_eq!(y, want.concat());
}

#[test]
fn hostile_lists_are_refused_with_what_was_found() {
    let build = |case: Case| {
        weigh(case, "target", &[(1, 0, 1.0)])
            .int("n_targets", 1)
            .input(two_rows())
            .refusal()
    };
    let lists = |modes: &[&str], nodes: &[i64], on_true: &[i64], on_false: &[i64]| {
        Case::new("TreeEnsembleRegressor", 3, 1)
            .ml()
            .ints("nodes_treeids", &vec![0; nodes.len()])
            .ints("nodes_nodeids", nodes)
            .ints("nodes_featureids", &vec![0; nodes.len()])
            .texts("nodes_modes", modes)
            .floats("nodes_values", &vec![0.0; nodes.len()])
            .ints("nodes_truenodeids", on_true)
            .ints("nodes_falsenodeids", on_false)
    };
    let branch = ["BRANCH_LEQ", "LEAF", "LEAF"];
    for (case, text) in [
        (
            lists(&branch, &[0, 1, 1], &[1, 0, 0], &[2, 0, 0]),
            "occurs twice in its tree: 1",
        ),
        (
            lists(&branch, &[0, 1, 2], &[1, 0, 0], &[9, 0, 0]),
            "not in its tree: 9",
        ),
        (
            lists(&branch, &[0, 1, 2], &[1, 0, 0], &[1, 0, 0]),
            "reached twice",
        ),
        (
            lists(&branch, &[0, 1, 2], &[0, 0, 0], &[2, 0, 0]),
            "reached from no root",
        ),
        (
            lists(&branch, &[0, 1, 2], &[1, 0], &[2, 0, 0]),
            "nodes_truenodeids: 2 entries, 3 needed",
        ),
        (
            lists(
                &["BRANCH_GE", "LEAF", "LEAF"],
                &[0, 1, 2],
                &[1, 0, 0],
                &[2, 0, 0],
            ),
            "BRANCH_GE",
        ),
        (
            lists(&["LEAF"], &[0], &[0], &[0]),
            "a node that does not exist: 1",
        ),
    ] {
        let refusal = build(case);
        assert!(refusal.contains(text), "{refusal} should say {text}");
    }
}

#[test]
fn hostile_numbers_are_refused_with_what_was_found() {
    let with = |weights: &[(i64, i64, f32)], targets: i64| {
        weigh(stump("TreeEnsembleRegressor", 1), "target", weights)
            .int("n_targets", targets)
            .input(two_rows())
            .refusal()
    };
    let weight = with(&[(0, 0, 1.0)], 1);
    assert!(weight.contains("no leaf: 0"), "{weight}");
    let target = with(&[(1, 5, 1.0)], 2);
    assert!(target.contains("target 5, there are 2"), "{target}");
    let negative = with(&[(1, -5, 1.0)], 2);
    assert!(negative.contains("out of range: -5"), "{negative}");
    let targets = with(&[(1, 0, 1.0)], 0);
    assert!(
        targets.contains("n_targets must be positive: 0"),
        "{targets}"
    );
    let nan = with(&[(1, 0, f32::NAN)], 1);
    assert!(nan.contains("leaf weight 0 is NaN"), "{nan}");
}
