//! Planning: for concrete input shapes, every value's shape, every node's cost, and the buffers.
//!
//! [`walk`] visits the graph once without computing tensors: it infers shapes, evaluates what shapes
//! alone decide (`Shape`, and small integer arithmetic on it) and counts work. [`Plan`] turns a walk
//! in which every shape is exact into a list of steps over buffers that are reused by lifetime.

mod bounds;
mod chain;
mod layout;
#[cfg(test)]
mod tests;
mod walk;

use std::sync::Arc;

pub(crate) use self::bounds::{check_fact, check_live, check_text, string_count, widened_bytes};
pub(crate) use self::chain::MAX_LINKS;
use self::layout::fix;
pub(crate) use self::walk::{Want, walk};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::{ExecError, OpError};
use crate::graph::Graph;
use crate::limits::Limits;
use crate::ops::{Fact, Known};
use crate::tensor::Value;

/// Says where a step finds a value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// A model input.
    Input(u32),
    /// A constant of the graph.
    Constant(u32),
    /// A value decided by the shapes.
    Local(u32),
    /// A buffer.
    Slot(u32),
}

/// Names a value a step reads.
pub(crate) struct Arg {
    pub(crate) place: Place,
    pub(crate) shape: Box<[usize]>,
}

/// Names a buffer a step writes.
pub(crate) struct Target {
    pub(crate) slot: u32,
    pub(crate) len: usize,
    pub(crate) shape: Box<[usize]>,
}

/// Says what a step does to its finished elements in place of the nodes after it.
#[derive(Default)]
pub(crate) struct Finish {
    /// Adds a constant vector, one number for each column.
    pub(crate) add: Option<Arg>,
    /// Replaces negative values by zero.
    pub(crate) relu: bool,
}

/// Is an elementwise node that runs with the one before it, piece by piece.
pub(crate) struct Link {
    pub(crate) node: u32,
    /// What it joins to the value that runs through, if it joins two.
    pub(crate) other: Option<Arg>,
    /// Whether that value is its second operand.
    pub(crate) second: bool,
}

/// Runs one node, and those after it that it can finish.
pub(crate) struct Step {
    /// Elementwise nodes that go on where this one ends.
    pub(crate) chain: Box<[Link]>,
    pub(crate) node: u32,
    /// The nodes after it whose work it does, in their order; the last one's outputs it writes.
    pub(crate) joined: Box<[u32]>,
    pub(crate) ins: Box<[Option<Arg>]>,
    pub(crate) outs: Box<[Target]>,
    pub(crate) finish: Finish,
}

/// Holds everything decided before the run for one set of input shapes.
pub struct Plan {
    pub(crate) shapes: Vec<Vec<usize>>,
    /// `None` when some shape depends on computed values: the nodes then run one by one.
    pub(crate) fixed: Option<Fixed>,
    cost: Result<Cost, ExecError>,
    node_costs: Vec<Result<Cost, OpError>>,
    output_facts: Vec<Fact>,
}

/// Holds the steps and buffers of a graph whose shapes are all exact.
pub(crate) struct Fixed {
    pub(crate) steps: Vec<Step>,
    pub(crate) slots: Vec<DType>,
    /// The bytes of all slots, and the most that one step holds besides them.
    pub(crate) bytes: u64,
    pub(crate) locals: Vec<Arc<Value>>,
    pub(crate) outputs: Vec<Arg>,
}

impl Plan {
    /// Returns the work of one run, or why it has no bound.
    pub fn cost(&self) -> Result<Cost, ExecError> {
        self.cost.clone()
    }

    /// Returns each node's work, in execution order.
    pub fn node_costs(&self) -> &[Result<Cost, OpError>] {
        &self.node_costs
    }

    /// Describes the outputs.
    pub fn outputs(&self) -> &[Fact] {
        &self.output_facts
    }

    /// Says whether all shapes were decided before the run.
    pub fn is_fixed(&self) -> bool {
        self.fixed.is_some()
    }

    /// Returns the bytes a run holds besides weights; `None` when some shape depends on values.
    pub fn buffer_bytes(&self) -> Option<u64> {
        self.fixed.as_ref().map(|fixed| fixed.bytes)
    }

    /// Plans one set of input facts.
    pub(crate) fn new(graph: &Graph, facts: &[Fact], limits: &Limits) -> Result<Plan, ExecError> {
        let known = facts
            .iter()
            .map(|fact| Known {
                fact: fact.clone(),
                value: None,
            })
            .collect();
        let walk = walk(graph, known, limits, Want::FactsAndCosts).map_err(unwrap_nested)?;
        let fixed = fix(graph, &walk, limits)?;
        let shapes = facts
            .iter()
            .map(|fact| match fact {
                Fact::Tensor(fact) => fact.shape.clone(),
                _ => Vec::new(),
            })
            .collect();
        Ok(Plan {
            shapes,
            fixed,
            cost: walk.cost(graph),
            output_facts: walk.outputs(graph),
            node_costs: (0..graph.nodes.len()).map(|i| walk.node_cost(i)).collect(),
        })
    }
}

/// Takes the node error out of the wrapping that [`walk`] gives it for subgraphs' sake.
pub(crate) fn unwrap_nested(error: OpError) -> ExecError {
    match error {
        OpError::Nested(inner) => *inner,
        source => ExecError::Node {
            node: String::new(),
            op: "graph".to_owned(),
            source,
        },
    }
}
