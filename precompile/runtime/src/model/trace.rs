//! Traces: a digest of what every operator of a run has written, and where two runs part.
//!
//! Two machines that disagree about an answer find the operator to blame by comparing traces: the
//! first whose digests differ read the same bits on both and wrote others.

use alloy_primitives::B256;
use assay_numerics::{Engine, isa::Isa};
use serde::{Deserialize, Serialize};

use super::Model;
use crate::elements;
use crate::error::ExecError;
use crate::exec::Watch;
use crate::graph::Node;
use crate::tensor::{Out, Tensor, Value};

/// Says how a run that is traced comes by its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// As every call runs: planned, nodes joined into steps, on the widest instruction set here.
    Chosen,
    /// As plainly as this binary can: node by node, on the instruction set every machine has.
    Portable,
}

/// Tells what one operator has written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Operator {
    /// Its place in the order of execution.
    pub index: u32,
    /// The node's name.
    pub name: String,
    /// The operator's name with its domain.
    pub op: String,
    /// The version of the domain.
    pub opset: i64,
    /// Operators that ran as one step with it, whose own outputs were never written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<u32>,
    /// BLAKE3 of each output: type, rank, sizes, elements. Zero for one that is not wanted.
    pub outputs: Vec<B256>,
}

/// Holds a run's outputs and what its operators wrote on the way.
#[derive(Clone, Debug)]
pub struct Traced {
    /// The outputs.
    pub outputs: Vec<Value>,
    /// The operators in the order they ran.
    pub operators: Vec<Operator>,
}

/// Names the first operator whose outputs differ between two traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The operator, as the first trace has it.
    pub operator: Operator,
    /// The output that differs.
    pub output: usize,
    /// Its digest in the first trace, if it is there.
    pub one: Option<B256>,
    /// Its digest in the second trace, if it is there.
    pub other: Option<B256>,
}

/// Says that two traces are not of the same model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the traces share no operator: they are of other models, or of other versions of assay")]
pub struct NotComparable;

/// Finds the first operator that both traces have and whose outputs differ; `None` when there is none.
///
/// An operator that ran inside a step on one side only is passed over: the step's end is on both.
///
/// # Errors
/// When the traces share no operator.
pub fn first_difference(
    one: &[Operator],
    other: &[Operator],
) -> Result<Option<Difference>, NotComparable> {
    let mut rest = other.iter().peekable();
    let mut shared = one.is_empty() && other.is_empty();
    for ours in one {
        while rest.next_if(|theirs| theirs.index < ours.index).is_some() {}
        let same = |theirs: &&Operator| theirs.index == ours.index && theirs.name == ours.name;
        let Some(theirs) = rest.peek().copied().filter(same) else {
            continue;
        };
        shared = true;
        let count = ours.outputs.len().max(theirs.outputs.len());
        for output in 0..count {
            let digest = |operator: &Operator| operator.outputs.get(output).copied();
            let (one, other) = (digest(ours), digest(theirs));
            if one != other {
                let operator = ours.clone();
                return Ok(Some(Difference {
                    operator,
                    output,
                    one,
                    other,
                }));
            }
        }
    }
    if shared { Ok(None) } else { Err(NotComparable) }
}

impl Path {
    /// Returns the name that traces carry.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Path::Chosen => "chosen",
            Path::Portable => "portable",
        }
    }

    /// Returns the instruction set the path runs on.
    #[must_use]
    pub fn isa(self) -> Isa {
        match self {
            Path::Chosen => Isa::detect(),
            Path::Portable => Isa::Portable,
        }
    }
}

impl Model {
    /// Runs the model on tensors as [`Model::run_tensors`] does, along a path, and notes what every
    /// operator writes.
    ///
    /// # Errors
    /// When the inputs do not fit, or an operator fails.
    pub fn trace(&self, path: Path, inputs: &[&Tensor]) -> Result<Traced, ExecError> {
        let mut digests = Digests::default();
        let outputs = self.run_along(path, inputs, &mut digests)?;
        Ok(Traced {
            outputs,
            operators: digests.finish(),
        })
    }

    /// Runs the model along a path, under a watch.
    fn run_along<W: Watch>(
        &self,
        path: Path,
        inputs: &[&Tensor],
        watch: &mut W,
    ) -> Result<Vec<Value>, ExecError> {
        let engine = Engine::new(path.isa(), 1);
        let mut outputs = Vec::new();
        let planned = path == Path::Chosen
            && self.run_watched(
                &engine,
                inputs,
                |view| outputs.push(view.to_tensor().into()),
                watch,
            )?;
        if planned {
            return Ok(outputs);
        }
        let values: Vec<Value> = inputs.iter().map(|t| Value::Tensor((*t).clone())).collect();
        self.check_values(&values)?;
        self.run_nodes(&engine, &values.iter().collect::<Vec<_>>(), watch)
    }
}

/// Takes the digests while a model runs.
#[derive(Default)]
struct Digests {
    operators: Vec<Operator>,
    /// The output under way: a sequence arrives in parts.
    open: Option<(usize, blake3::Hasher)>,
    bytes: Vec<u8>,
}

impl Digests {
    fn close(&mut self) {
        let Some((output, hasher)) = self.open.take() else {
            return;
        };
        if let Some(operator) = self.operators.last_mut() {
            operator.outputs.resize(output, B256::ZERO);
            operator
                .outputs
                .push(B256::from(*hasher.finalize().as_bytes()));
        }
    }

    fn finish(mut self) -> Vec<Operator> {
        self.close();
        self.operators
    }
}

impl Watch for Digests {
    const WATCHES: bool = true;

    fn ran(&mut self, at: usize, node: &Node, before: &[u32]) {
        self.close();
        self.operators.push(Operator {
            index: u32::try_from(at).unwrap_or(u32::MAX),
            name: node.name.clone(),
            op: node.op_type.clone(),
            opset: node.opset,
            joined: before.to_vec(),
            outputs: Vec::new(),
        });
    }

    fn wrote(&mut self, output: usize, tensor: Out<'_>) {
        if self.open.as_ref().is_none_or(|(open, _)| *open != output) {
            self.close();
        }
        let (_, hasher) = self
            .open
            .get_or_insert_with(|| (output, blake3::Hasher::new()));
        hasher.update(&[tensor.data.dtype().onnx()]);
        hasher.update(&(tensor.shape.len() as u64).to_le_bytes());
        for &size in tensor.shape {
            hasher.update(&(size as u64).to_le_bytes());
        }
        self.bytes.clear();
        elements::encode(tensor.data, &mut self.bytes);
        hasher.update(&self.bytes);
    }
}

#[cfg(test)]
mod tests;
