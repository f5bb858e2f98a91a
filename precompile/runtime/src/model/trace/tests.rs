//! Traces of runs, honest ones and ones with a flipped bit.

use super::*;
use crate::dtype::DType;
use crate::model::tests::{load, model, node, port};
use crate::tensor::Data;

/// Flips the lowest bit of the first element that one operator writes.
struct Flipped {
    at: u32,
    digests: Digests,
}

impl Watch for Flipped {
    const WATCHES: bool = true;

    fn ran(&mut self, at: usize, node: &Node, before: &[u32]) {
        self.digests.ran(at, node, before);
    }

    fn wrote(&mut self, output: usize, tensor: Out<'_>) {
        let last = self.digests.operators.last().expect("an operator ran");
        if last.index == self.at {
            flip(tensor.data);
        }
        let (shape, data) = (tensor.shape, &mut *tensor.data);
        self.digests.wrote(output, Out { shape, data });
    }
}

fn flip(data: &mut Data) {
    match data {
        Data::F32(values) => values[0] = f32::from_bits(values[0].to_bits() ^ 1),
        Data::I64(values) => values[0] ^= 1,
        Data::Bool(values) => values[0] = !values[0],
        other => panic!("the models here have no {:?}", other.dtype()),
    }
}

/// A model of fixed shapes: a product, three elementwise operators that run as one step,
/// an alias, and a reduction.
fn planned() -> Model {
    let nodes = vec![
        node("Transpose", &["x"], &["t"]),
        node("MatMul", &["x", "t"], &["p"]),
        node("Exp", &["p"], &["e"]),
        node("Sigmoid", &["e"], &["n"]),
        node("Relu", &["n"], &["r"]),
        node("Identity", &["r"], &["i"]),
        node("Add", &["i", "p"], &["s"]),
        node("Softmax", &["s"], &["y"]),
    ];
    load(model(
        vec![port("x", DType::F32, &["3", "4"])],
        nodes,
        &["y"],
    ))
    .expect("a model")
}

/// A model whose shapes depend on values: its nodes run one by one on both paths.
fn dynamic() -> Model {
    let nodes = vec![
        node("Relu", &["x"], &["r"]),
        node("NonZero", &["r"], &["at"]),
        node("Transpose", &["at"], &["rows"]),
        node("GatherND", &["r", "rows"], &["y"]),
    ];
    load(model(
        vec![port("x", DType::F32, &["3", "4"])],
        nodes,
        &["y"],
    ))
    .expect("a model")
}

fn input() -> Tensor {
    let numbers = (0..12u8).map(|n| f32::from(n) / 8.0 - 0.5).collect();
    Tensor::from_vec([3, 4], numbers).expect("twelve numbers")
}

#[test]
fn both_paths_write_the_same_bits_operator_by_operator() {
    let x = input();
    for model in [planned(), dynamic()] {
        let run = model.run_tensors(&Engine::single(), &[&x]).unwrap();
        let chosen = model.trace(Path::Chosen, &[&x]).unwrap();
        let portable = model.trace(Path::Portable, &[&x]).unwrap();
        assert_eq!(run, chosen.outputs);
        assert_eq!(run, portable.outputs);
        assert_eq!(portable.operators.len(), model.graph().nodes.len());
        let difference = first_difference(&chosen.operators, &portable.operators);
        assert_eq!(difference, Ok(None));
        assert!(portable.operators.iter().all(|one| one.opset == 17));
    }
}

#[test]
fn step_names_the_operators_it_joins() {
    let chosen = planned().trace(Path::Chosen, &[&input()]).unwrap();
    let names: Vec<(&str, &[u32])> = chosen
        .operators
        .iter()
        .map(|one| (one.name.as_str(), one.joined.as_slice()))
        .collect();
    assert_eq!(
        names,
        [
            ("t", &[][..]),
            ("p", &[]),
            ("r", &[2, 3]),
            ("s", &[]),
            ("y", &[]),
        ]
    );
}

#[test]
fn flipped_bit_of_any_operator_is_traced_to_it() {
    let x = input();
    for model in [planned(), dynamic()] {
        let honest = model.trace(Path::Portable, &[&x]).unwrap().operators;
        for path in [Path::Chosen, Path::Portable] {
            let ran = model.trace(path, &[&x]).unwrap().operators;
            for operator in ran {
                let mut faulty = Flipped {
                    at: operator.index,
                    digests: Digests::default(),
                };
                model.run_along(path, &[&x], &mut faulty).unwrap();
                let found = first_difference(&faulty.digests.finish(), &honest).unwrap();
                let found = found.expect("a bit differs");
                assert_eq!(found.operator.index, operator.index);
                assert_eq!((found.operator.name, found.output), (operator.name, 0));
            }
        }
    }
}

#[test]
fn traces_of_other_models_are_not_compared() {
    let x = input();
    let one = planned().trace(Path::Chosen, &[&x]).unwrap().operators;
    let other = dynamic().trace(Path::Chosen, &[&x]).unwrap().operators;
    assert_eq!(first_difference(&one, &other), Err(NotComparable));
    assert_eq!(first_difference(&one, &[]), Err(NotComparable));
}

#[test]
fn sequence_is_digested_with_every_element() {
    let nodes = |first: &str| {
        vec![
            node("Relu", &["x"], &["r"]),
            node("SequenceConstruct", &[first, "x"], &["q"]),
            node("ConcatFromSequence", &["q"], &["y"]),
        ]
    };
    let digest = |first| {
        let mut nodes = nodes(first);
        nodes[2].attribute = vec![crate::onnx::proto::AttributeProto {
            name: Some("axis".to_owned()),
            r#type: Some(crate::onnx::proto::attribute_proto::AttributeType::Int as i32),
            i: Some(0),
            ..Default::default()
        }];
        let model = load(model(
            vec![port("x", DType::F32, &["3", "4"])],
            nodes,
            &["y"],
        ))
        .unwrap();
        let ran = model.trace(Path::Chosen, &[&input()]).unwrap().operators;
        ran.into_iter().find(|one| one.name == "q").unwrap().outputs
    };
    assert_eq!(digest("x").len(), 1);
    assert_ne!(digest("x"), digest("r"));
}
