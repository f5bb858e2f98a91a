//! Who still reads a constant while a graph is built.
//!
//! Operators pack their weights. What every reader has packed is given back before the next node is
//! built, so that a model needs its weights once while it loads, not twice.

use std::collections::BTreeMap;

use super::Node;
use super::build::Scope;
use crate::onnx::proto::{GraphProto, NodeProto};

/// Counts the readers that are not built yet, by name; names that must keep their values are left
/// out.
pub(super) struct Readers<'p>(BTreeMap<&'p str, usize>);

impl<'p> Readers<'p> {
    /// Counts the readers of a graph's values.
    pub(super) fn count(proto: &'p GraphProto) -> Self {
        let mut readers = BTreeMap::new();
        for tensor in &proto.initializer {
            readers.insert(tensor.name(), 0);
        }
        for node in &proto.node {
            for name in &node.input {
                *readers.entry(name.as_str()).or_insert(0) += 1;
            }
        }
        let mut readers = Readers(readers);
        readers.keep_outputs(proto);
        for graph in proto.node.iter().flat_map(subgraphs) {
            readers.keep_all(graph);
        }
        readers
    }

    /// Gives back the constants that nothing reads.
    pub(super) fn release_unread(&self, scope: &mut Scope<'_>) {
        for (name, readers) in &self.0 {
            if *readers == 0 {
                scope.release(name);
            }
        }
    }

    /// Notes that a node was built, or folded into constants, and gives back what nobody needs.
    pub(super) fn note(
        &mut self,
        proto: &'p NodeProto,
        built: Option<&Node>,
        scope: &mut Scope<'_>,
    ) {
        for (position, name) in proto.input.iter().enumerate() {
            if built.is_some_and(|node| !node.op.releases(position)) {
                self.0.remove(name.as_str());
            } else if let Some(readers) = self.0.get_mut(name.as_str()) {
                *readers = readers.saturating_sub(1);
                if *readers == 0 {
                    scope.release(name);
                }
            }
        }
    }

    fn keep_outputs(&mut self, proto: &GraphProto) {
        for output in &proto.output {
            self.0.remove(output.name());
        }
    }

    /// Keeps whatever a graph inside a node reads: it may be a value of this one.
    fn keep_all(&mut self, proto: &GraphProto) {
        self.keep_outputs(proto);
        for node in &proto.node {
            for name in &node.input {
                self.0.remove(name.as_str());
            }
            subgraphs(node).for_each(|graph| self.keep_all(graph));
        }
    }
}

/// Lists the graphs inside a node.
fn subgraphs(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute
        .iter()
        .flat_map(|attribute| attribute.g.as_deref().into_iter().chain(&attribute.graphs))
}

#[cfg(test)]
mod tests {
    use assay_numerics::Engine;
    use bytes::Bytes;

    use super::*;
    use crate::model::tests::{load, model, node, port};
    use crate::onnx::proto::attribute_proto::AttributeType;
    use crate::onnx::proto::{AttributeProto, TensorProto, ValueInfoProto};
    use crate::tensor::Tensor;
    use crate::{DType, Model};

    fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
        AttributeProto {
            name: Some(name.to_owned()),
            r#type: Some(kind as i32),
            ..Default::default()
        }
    }

    /// Makes a 2 x 2 constant named w.
    fn weights() -> NodeProto {
        let numbers = [1.0f32, 2.0, 3.0, 4.0];
        let raw: Vec<u8> = numbers.into_iter().flat_map(f32::to_le_bytes).collect();
        let tensor = TensorProto {
            dims: vec![2, 2],
            data_type: Some(i32::from(DType::F32.onnx())),
            raw_data: Some(Bytes::from(raw)),
            ..Default::default()
        };
        let value = AttributeProto {
            t: Some(Box::new(tensor)),
            ..attribute("value", AttributeType::Tensor)
        };
        NodeProto {
            attribute: vec![value],
            ..node("Constant", &[], &["w"])
        }
    }

    /// Loads a model of the weights and these nodes, and tells whether the weights' memory is kept.
    fn loaded(nodes: Vec<NodeProto>, outputs: &[&str]) -> (Model, bool) {
        let nodes = [vec![weights()], nodes].concat();
        let inputs = vec![port("x", DType::F32, &["1", "2"])];
        let model = load(model(inputs, nodes, outputs)).expect("loads");
        let constants = model.graph().constants.iter().flatten();
        let kept = constants
            .filter_map(|value| value.as_tensor())
            .any(|tensor| tensor.shape() == [2, 2] && !tensor.is_husk());
        (model, kept)
    }

    fn run(model: &Model) -> Vec<Vec<f32>> {
        let x = Tensor::from_vec(vec![1, 2], vec![1.0f32, 10.0]).expect("two numbers");
        let outputs = model.run_tensors(&Engine::single(), &[&x]).expect("runs");
        let numbers = |value: &crate::Value| {
            let tensor = value.as_tensor().expect("a tensor");
            tensor.as_slice::<f32>().expect("floats").to_vec()
        };
        outputs.iter().map(numbers).collect()
    }

    #[test]
    fn weights_that_every_reader_packs_are_given_back() {
        let nodes = vec![
            node("MatMul", &["x", "w"], &["p"]),
            node("MatMul", &["p", "w"], &["y"]),
        ];
        let (model, kept) = loaded(nodes, &["y"]);
        assert!(!kept);
        assert_eq!(run(&model), [vec![157.0, 230.0]]);
    }

    #[test]
    fn weights_that_someone_reads_when_the_model_runs_stay() {
        let product = || node("MatMul", &["x", "w"], &["p"]);
        let (model, kept) = loaded(vec![product(), node("Add", &["p", "w"], &["y"])], &["y"]);
        assert!(kept);
        assert_eq!(run(&model), [vec![32.0, 44.0, 34.0, 46.0]]);
        let (model, kept) = loaded(
            vec![node("Add", &["x", "w"], &["s"]), product()],
            &["s", "p"],
        );
        assert!(kept);
        assert_eq!(run(&model)[1], [31.0, 42.0]);
        let (model, kept) = loaded(vec![product()], &["p", "w"]);
        assert!(kept);
        assert_eq!(run(&model)[1], [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn weights_that_a_branch_reads_stay() {
        let branch = |name: &str, op: &str| {
            let output = ValueInfoProto {
                name: Some("b".to_owned()),
                ..Default::default()
            };
            let graph = GraphProto {
                name: Some("branch".to_owned()),
                node: vec![node(op, &["p", "w"], &["b"])],
                output: vec![output],
                ..Default::default()
            };
            AttributeProto {
                g: Some(Box::new(graph)),
                ..attribute(name, AttributeType::Graph)
            }
        };
        let choose = NodeProto {
            attribute: vec![branch("then_branch", "Add"), branch("else_branch", "Sub")],
            ..node("If", &["c"], &["y"])
        };
        let nodes = vec![
            node("MatMul", &["x", "w"], &["p"]),
            node("ReduceSum", &["x"], &["t"]),
            node("IsNaN", &["t"], &["n"]),
            node("Squeeze", &["n"], &["c"]),
            choose,
        ];
        let (model, kept) = loaded(nodes, &["y"]);
        assert!(kept);
        assert_eq!(run(&model), [vec![30.0, 40.0, 28.0, 38.0]]);
    }
}
