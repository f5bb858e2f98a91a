//! If, Loop, Scan: subgraphs that run by conditions and counts, within the metered limits.

mod repeat;
mod scan;

use std::ops::Range;

use super::select::tensor_in;
use super::{CostCx, Entry, Fact, InferCx, NodeCx, Op, RunCx, Subgraph, Values};
use crate::cost::Cost;
use crate::error::OpError;
use crate::tensor::{Value, View};

/// Rounds of inference after which a loop's changing shapes are given up as unknown.
const INFER_ROUNDS: usize = 3;

/// Work charged for an iteration besides the body's own.
const ITERATION_WORK: u64 = 64;

/// Reads a condition: one boolean, of any rank.
fn condition(view: View<'_>) -> Result<bool, OpError> {
    match view.as_slice::<bool>()? {
        [value] => Ok(*value),
        other => Err(OpError::Value {
            what: "a condition must be one boolean; elements",
            got: other.len() as i64,
        }),
    }
}

/// Runs one of two graphs.
struct If {
    then: Subgraph,
    other: Subgraph,
}

impl If {
    fn branch(&self, condition: bool) -> &Subgraph {
        if condition { &self.then } else { &self.other }
    }
}

/// Joins what two branches give: equal facts, or the larger of each dimension as a bound.
fn join(a: Fact, b: Fact) -> Fact {
    match (a, b) {
        (a, b) if a == b => a,
        (Fact::Tensor(a), Fact::Tensor(b))
            if a.dtype == b.dtype && a.shape.len() == b.shape.len() =>
        {
            let shape: Vec<usize> = a
                .shape
                .iter()
                .zip(&b.shape)
                .map(|(a, b)| *a.max(b))
                .collect();
            Fact::at_most(a.dtype, shape)
        }
        _ => Fact::Unknown,
    }
}

impl Op for If {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        match cx.value(0) {
            Ok(view) => cx.infer_graph(self.branch(condition(view)?), Vec::new()),
            Err(OpError::Unknown { .. }) => {
                // A branch that does not fit these shapes may never be taken with them.
                let then = cx.infer_graph(&self.then, Vec::new());
                let other = cx.infer_graph(&self.other, Vec::new());
                match (then, other) {
                    (Ok(then), Ok(other)) => Ok(then
                        .into_iter()
                        .zip(other)
                        .map(|(a, b)| join(a, b))
                        .collect()),
                    _ => Ok(vec![Fact::Unknown; self.then.outputs()]),
                }
            }
            Err(error) => Err(error),
        }
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        match cx.value(0) {
            Some(view) => cx.graph_cost(self.branch(condition(view)?), Vec::new()),
            None => {
                let then = cx.graph_cost(&self.then, Vec::new())?;
                Ok(then.max(cx.graph_cost(&self.other, Vec::new())?))
            }
        }
    }

    fn is_dynamic(&self) -> bool {
        true
    }

    fn run_dynamic(&self, cx: &mut RunCx<'_>, ins: Values<'_>) -> Result<Vec<Value>, OpError> {
        let branch = self.branch(condition(tensor_in(ins, 0)?.view())?);
        cx.run_graph(branch, &[], ins)
    }
}

/// Finds facts of carried values that hold in every iteration, and what the body then gives.
fn steady(
    carried: Vec<Fact>,
    infer: impl Fn(&[Fact]) -> Result<Vec<Fact>, OpError>,
    first: usize,
) -> Result<(Vec<Fact>, Vec<Fact>), OpError> {
    let mut carried = carried;
    for round in 0.. {
        let outputs = infer(&carried)?;
        let mut changed = false;
        for (before, after) in carried.iter_mut().zip(outputs.iter().skip(first)) {
            if before != after && *before != Fact::Unknown {
                *before = Fact::Unknown;
                changed = true;
            }
        }
        if !changed {
            return Ok((carried, outputs));
        }
        if round + 1 == INFER_ROUNDS {
            carried.fill(Fact::Unknown);
        }
    }
    Ok((carried, Vec::new()))
}

/// Copies the values that a loop carries from one iteration to the next.
fn carried_values(ins: &[Option<&Value>], at: Range<usize>) -> Result<Vec<Value>, OpError> {
    at.map(|input| {
        let value = ins.get(input).copied().flatten().cloned();
        value.ok_or(OpError::MissingInput { input })
    })
    .collect()
}

fn missing(name: &'static str) -> OpError {
    OpError::Attribute {
        name,
        why: "is missing",
    }
}

fn build_if(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, usize::MAX)?;
    let then = cx.subgraph("then_branch")?.ok_or(missing("then_branch"))?;
    let other = cx.subgraph("else_branch")?.ok_or(missing("else_branch"))?;
    let fits = |branch: &Subgraph| branch.formal_inputs() == 0 && branch.outputs() == cx.outputs();
    if !fits(&then) || !fits(&other) {
        let why = "must have no inputs and as many outputs as the node";
        return Err(OpError::Attribute {
            name: "then_branch and else_branch",
            why,
        });
    }
    Ok(Box::new(If { then, other }))
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("If", 1, build_if),
    Entry::onnx("Loop", 1, repeat::build),
    Entry::onnx("Scan", 8, scan::build),
];
