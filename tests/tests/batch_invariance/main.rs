//! A row's bits depend neither on the rows beside it nor on the number of threads: every backend
//! node case is run again with twice the batch, the added rows holding other numbers.

mod table;

use std::collections::BTreeMap;

use assay_runtime::numerics::{Engine, Isa};
use assay_runtime::onnx::proto::{ModelProto, type_proto};
use assay_runtime::samples::EncodedTensor;
use assay_runtime::{Limits, Model, Value};
use assay_tests::cases::{Case, CaseSet, Kind, ONNX_NODE_TESTS};
use assay_tests::coverage::kind;
use bytes::Bytes;
use eyre::{Context as _, eyre};
use prost::Message as _;

use crate::table::{BATCHED, Batch, NO_BATCH};

/// A case with the positions of its node's inputs among the graph's.
struct Node {
    proto: ModelProto,
    /// By input of the node: its place among the graph's inputs.
    places: Vec<Option<usize>>,
    /// By output of the graph: its place among the node's outputs.
    outputs: Vec<usize>,
}

impl Node {
    /// Reads a case of one node; `None` for functions written out as several.
    fn read(set: &CaseSet, case: &Case) -> eyre::Result<Option<Node>> {
        let mut proto = ModelProto::decode(set.model(case)?)?;
        let Some(graph) = proto.graph.as_mut() else {
            return Ok(None);
        };
        let [node] = graph.node.as_slice() else {
            return Ok(None);
        };
        let place = |name: &String| graph.input.iter().position(|port| port.name() == name);
        let places = node.input.iter().map(place).collect();
        let from = |name: &str| node.output.iter().position(|output| output == name);
        let outputs = graph
            .output
            .iter()
            .filter_map(|port| from(port.name()))
            .collect();
        graph.output.iter_mut().for_each(|port| port.r#type = None);
        Ok(Some(Node {
            proto,
            places,
            outputs,
        }))
    }

    /// Leaves the size of an input's axis open.
    fn open(&mut self, place: usize, axis: usize) {
        let graph = self.proto.graph.as_mut();
        let port = graph.and_then(|graph| graph.input.get_mut(place));
        let kind = port.and_then(|port| port.r#type.as_mut()?.value.as_mut());
        if let Some(type_proto::Value::TensorType(tensor)) = kind
            && let Some(shape) = &mut tensor.shape
            && let Some(dim) = shape.dim.get_mut(axis)
        {
            *dim = Default::default();
        }
    }

    fn attribute(&self, name: &str) -> Option<Vec<i64>> {
        let node = self.proto.graph.as_ref()?.node.first()?;
        let attribute = node.attribute.iter().find(|a| a.name() == name)?;
        Some(match attribute.i {
            Some(value) => vec![value],
            None => attribute.ints.clone(),
        })
    }

    /// Says whether the operator works along the axis of the batch.
    fn crosses(&self, axis: usize, rank: usize) -> bool {
        ["axis", "axes"].iter().any(|name| {
            self.attribute(name).is_some_and(|axes| {
                axes.iter()
                    .any(|&at| at == axis as i64 || at + rank as i64 == axis as i64)
            })
        })
    }
}

/// Takes `count` rows of a tensor from `first` along an axis.
fn rows(tensor: &EncodedTensor, axis: usize, first: usize, count: usize) -> EncodedTensor {
    let (outer, dim, row) = strides(tensor, axis);
    let mut data = Vec::with_capacity(outer * count * row);
    for block in 0..outer {
        let start = (block * dim + first) * row;
        data.extend_from_slice(&tensor.data[start..start + count * row]);
    }
    let mut shape = tensor.shape.clone();
    shape[axis] = count as u64;
    EncodedTensor {
        dtype: tensor.dtype,
        shape,
        data: data.into(),
    }
}

/// Counts the blocks before an axis, the axis, and the bytes of one step along it.
fn strides(tensor: &EncodedTensor, axis: usize) -> (usize, usize, usize) {
    let size = |dims: &[u64]| dims.iter().product::<u64>() as usize;
    let (outer, dim) = (size(&tensor.shape[..axis]), tensor.shape[axis] as usize);
    (outer, dim, tensor.data.len() / (outer * dim).max(1))
}

/// Doubles a tensor along an axis. The added rows are the same ones, last first; where there is only
/// one, it is its elements that come last first.
fn doubled(tensor: &EncodedTensor, axis: usize) -> EncodedTensor {
    let (outer, dim, row) = strides(tensor, axis);
    let mut data = Vec::with_capacity(2 * tensor.data.len());
    let count: u64 = tensor.shape.iter().product();
    let element = tensor.data.len() / (count as usize).max(1);
    let step = if dim == 1 { element } else { row };
    for block in 0..outer {
        let block = &tensor.data[block * dim * row..(block + 1) * dim * row];
        data.extend_from_slice(block);
        let steps = block.chunks(step.max(1)).rev();
        steps.for_each(|step| data.extend_from_slice(step));
    }
    let mut shape = tensor.shape.clone();
    shape[axis] *= 2;
    EncodedTensor {
        dtype: tensor.dtype,
        shape,
        data: data.into(),
    }
}

/// Chooses the inputs that hold the batch: (place, axis).
fn batched(batch: &Batch, node: &Node, inputs: &[Option<EncodedTensor>]) -> Vec<(usize, usize)> {
    let given = |input: usize| -> Option<(usize, &EncodedTensor)> {
        let place = (*node.places.get(input)?)?;
        Some((place, inputs.get(place)?.as_ref()?))
    };
    match batch {
        Batch::Elements => {
            let all = (0..node.places.len()).filter_map(given);
            let Some(rank) = all.clone().map(|(_, x)| x.shape.len()).max() else {
                return Vec::new();
            };
            let whole = all.filter(|(_, x)| x.shape.len() == rank && rank > 0);
            let Some(dim) = whole.clone().map(|(_, x)| x.shape[0]).max() else {
                return Vec::new();
            };
            let whole = whole.filter(|(_, x)| x.shape[0] == dim);
            whole.map(|(place, _)| (place, 0)).collect()
        }
        Batch::Inputs(list) | Batch::Layers(list, _) => {
            let Some((first, axis)) = list.first().and_then(|&(i, axis)| Some((given(i)?, axis)))
            else {
                return Vec::new();
            };
            let dim = first.1.shape.get(axis).copied();
            list.iter()
                .filter_map(|&(input, axis)| Some((given(input)?, axis)))
                .filter(|((_, x), axis)| x.shape.get(*axis).copied() == dim)
                .map(|((place, _), axis)| (place, axis))
                .collect()
        }
    }
}

fn encode(value: &Value) -> Option<EncodedTensor> {
    value.as_tensor().map(EncodedTensor::from_tensor)
}

fn run(model: &Model, inputs: &[Value]) -> Option<Vec<Value>> {
    model.run(&Engine::single(), inputs).ok()
}

/// Doubles the batch of a case; gives `None` when the case has no batch to double.
fn check(set: &CaseSet, case: &Case, batch: &Batch) -> eyre::Result<Option<()>> {
    let Some(mut node) = Node::read(set, case)? else {
        return Ok(None);
    };
    let kinds = vec![Kind::Tensor; case.inputs];
    let Ok(inputs) = set.inputs(case, &kinds) else {
        return Ok(None);
    };
    let encoded: Vec<Option<EncodedTensor>> = inputs.iter().map(encode).collect();
    let chosen = batched(batch, &node, &encoded);
    let Some(&(place, axis)) = chosen.first() else {
        return Ok(None);
    };
    let Some(first) = encoded[place].as_ref() else {
        return Ok(None);
    };
    let (count, rank) = (first.shape[axis] as usize, first.shape.len());
    if count == 0 || node.crosses(axis, rank) {
        return Ok(None);
    }
    for &(place, axis) in &chosen {
        node.open(place, axis);
    }
    let bytes = Bytes::from(node.proto.encode_to_vec());
    let Ok(model) = Model::from_onnx(bytes, &Limits::default()) else {
        return Ok(None);
    };
    let mut wide = inputs.clone();
    for &(place, axis) in &chosen {
        let tensor = encoded[place].as_ref().ok_or_else(|| eyre!("chosen"))?;
        wide[place] = doubled(tensor, axis)
            .to_tensor()
            .ok_or_else(|| eyre!("fills its shape"))?
            .into();
    }
    let (Some(alone), Some(beside)) = (run(&model, &inputs), run(&model, &wide)) else {
        return Ok(None);
    };
    let mut compared = None;
    for (at, (alone, beside)) in alone.iter().zip(&beside).enumerate() {
        let (Some(alone), Some(beside)) = (encode(alone), encode(beside)) else {
            continue;
        };
        let axis = match batch {
            Batch::Layers(_, axes) => {
                let output = node.outputs.get(at);
                output.and_then(|output| axes.get(*output)).copied()
            }
            _ => Some(0),
        };
        let Some(axis) = axis.filter(|axis| *axis < alone.shape.len()) else {
            continue;
        };
        let dims = [alone.shape[axis], beside.shape[axis]];
        if dims != [count as u64, 2 * count as u64] {
            continue;
        }
        let same = rows(&beside, axis, 0, count);
        eyre::ensure!(
            same == alone,
            "{}: output {at} depends on the batch",
            case.name
        );
        for row in (0..count).filter(|_| count > 1) {
            let (one, mirror) = (rows(&beside, axis, row, 1), 2 * count - 1 - row);
            let again = rows(&beside, axis, mirror, 1);
            eyre::ensure!(
                one == again,
                "{}: output {at}, row {row} depends on its place",
                case.name
            );
        }
        compared = Some(());
    }
    Ok(compared)
}

#[test]
fn a_row_has_the_bits_it_has_in_any_batch() -> eyre::Result<()> {
    let set = CaseSet::open(ONNX_NODE_TESTS)?;
    let table: BTreeMap<&str, &Batch> = BATCHED
        .iter()
        .flat_map(|(names, batch)| names.iter().map(move |name| (*name, batch)))
        .collect();
    let mut checked: BTreeMap<&str, usize> = BTreeMap::new();
    let mut failed = Vec::new();
    for case in &set.cases {
        let operator = case.operator.as_str();
        let Some(batch) = table.get(operator) else {
            eyre::ensure!(
                NO_BATCH.iter().any(|(names, _)| names.contains(&operator)),
                "{operator} is in neither list: has it a batch?"
            );
            continue;
        };
        match check(&set, case, batch).wrap_err_with(|| case.name.clone()) {
            Ok(Some(())) => *checked.entry(operator).or_default() += 1,
            Ok(None) => {}
            Err(error) => failed.push(format!("{error:#}")),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let unchecked: Vec<_> = table
        .keys()
        .filter(|name| !checked.contains_key(*name))
        .collect();
    assert!(
        unchecked.is_empty(),
        "no case has a batch to double: {unchecked:?}"
    );
    Ok(())
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() -> eyre::Result<()> {
    let set = CaseSet::open(ONNX_NODE_TESTS)?;
    let engines = [2, 8].map(|threads| Engine::new(Isa::detect(), threads));
    let mut compared = 0;
    for case in &set.cases {
        let Ok(model) = Model::from_onnx(set.model(case)?, &Limits::default()) else {
            continue;
        };
        let kinds: Vec<Kind> = model.inputs().iter().map(|port| kind(&port.kind)).collect();
        let inputs = set.inputs(case, &kinds)?;
        let Some(one) = run(&model, &inputs) else {
            continue;
        };
        let one: Vec<_> = one.iter().map(encode).collect();
        for engine in &engines {
            let many = model.run(engine, &inputs)?;
            let many: Vec<_> = many.iter().map(encode).collect();
            assert_eq!(one, many, "{}", case.name);
        }
        compared += 1;
    }
    assert!(compared >= 1_800, "only {compared} cases ran");
    Ok(())
}
