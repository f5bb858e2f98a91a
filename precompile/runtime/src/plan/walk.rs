//! One visit of the graph without computing tensors: shapes, what shapes alone decide, and work.

use std::sync::Arc;

use assay_numerics::Engine;

use super::bounds::check_fact;
use crate::cost::Cost;
use crate::error::{ExecError, OpError};
use crate::exec;
use crate::graph::{Graph, Node, ValueId, fact_of};
use crate::limits::Limits;
use crate::ops::{CostCx, Fact, InferCx, Known};
use crate::tensor::{Value, View};

/// Elements up to which a value that shapes alone decide is computed while planning.
const SHAPE_VALUE_ELEMENTS: u64 = 4096;

/// Holds what one visit of the graph found.
pub(crate) struct Walk {
    /// By value number.
    pub(super) facts: Vec<Option<Fact>>,
    /// Values known before the run besides the graph's constants.
    pub(super) values: Vec<Option<Arc<Value>>>,
    /// By node: its cost, or why it has no bound.
    costs: Vec<Result<Cost, OpError>>,
    /// By node: the bytes it holds while it runs, as far as they are known.
    pub(super) temporaries: Vec<u64>,
    /// By node: its outputs, the unnamed ones included.
    pub(super) written: Vec<Vec<Fact>>,
    /// By node: whether its outputs are all in `values`.
    pub(super) evaluated: Vec<bool>,
}

impl Walk {
    /// Describes the outputs of the graph.
    pub(crate) fn outputs(&self, graph: &Graph) -> Vec<Fact> {
        graph.outputs.iter().map(|(_, id)| self.fact(*id)).collect()
    }

    /// Returns what is known of a value.
    pub(crate) fn fact(&self, id: ValueId) -> Fact {
        self.facts
            .get(id.index())
            .cloned()
            .flatten()
            .unwrap_or(Fact::Unknown)
    }

    /// Returns one node's cost.
    pub(crate) fn node_cost(&self, node: usize) -> Result<Cost, OpError> {
        self.costs.get(node).cloned().unwrap_or(Ok(Cost::default()))
    }

    /// Adds up the cost of all nodes; fails with the first node that has no bound.
    pub(crate) fn cost(&self, graph: &Graph) -> Result<Cost, ExecError> {
        let mut total = Cost::default();
        for (node, cost) in graph.nodes.iter().zip(&self.costs) {
            match cost {
                Ok(cost) => total += *cost,
                Err(_) => {
                    return Err(ExecError::Unbounded {
                        node: node.name.clone(),
                        op: node.op_type.clone(),
                    });
                }
            }
        }
        Ok(total)
    }
}

/// Says what a walk is for. Operators with subgraphs walk those once for facts and once for costs:
/// a walk for facts that counted costs as well would double its work with every level.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// Types and shapes; every cost is left at zero.
    Facts,
    /// Types, shapes and costs.
    FactsAndCosts,
}

/// Visits the graph with facts about its inputs. Fails when an operator refuses its inputs; what is
/// merely not known yet is left open.
pub(crate) fn walk(
    graph: &Graph,
    inputs: Vec<Known<'_>>,
    limits: &Limits,
    want: Want,
) -> Result<Walk, OpError> {
    let count = graph.constants.len();
    let mut state = Walk {
        facts: vec![None; count],
        values: vec![None; count],
        costs: Vec::with_capacity(graph.nodes.len()),
        temporaries: Vec::with_capacity(graph.nodes.len()),
        written: Vec::with_capacity(graph.nodes.len()),
        evaluated: Vec::with_capacity(graph.nodes.len()),
    };
    for (index, constant) in graph.constants.iter().enumerate() {
        state.facts[index] = constant.as_deref().map(fact_of);
    }
    let mut input_values = vec![None; count];
    for (id, known) in graph.inputs.iter().zip(&inputs) {
        state.facts[id.index()] = Some(known.fact.clone());
        input_values[id.index()] = known.value;
    }
    for node in &graph.nodes {
        visit(graph, node, &input_values, &mut state, limits, want).map_err(|source| {
            OpError::Nested(Box::new(ExecError::Node {
                node: node.name.clone(),
                op: node.op_type.clone(),
                source,
            }))
        })?;
    }
    Ok(state)
}

fn visit(
    graph: &Graph,
    node: &Node,
    input_values: &[Option<View<'_>>],
    state: &mut Walk,
    limits: &Limits,
    want: Want,
) -> Result<(), OpError> {
    let wanted = node.outputs.len();
    let (facts, cost, temporary, values) = {
        let ins: Vec<Option<Known<'_>>> = node
            .inputs
            .iter()
            .map(|id| id.map(|id| known_of(graph, state, input_values, id)))
            .collect();
        let cx = InferCx::new(&ins, wanted, limits);
        match node.op.infer(&cx) {
            Ok(mut facts) => {
                facts.truncate(wanted);
                let inexact = ins
                    .iter()
                    .flatten()
                    .any(|known| matches!(&known.fact, Fact::Tensor(fact) if !fact.exact));
                for fact in &mut facts {
                    if let Fact::Tensor(fact) = fact {
                        check_fact(fact, limits)?;
                        fact.exact &= !inexact;
                    }
                }
                let values = evaluate(node, &ins, &facts, &cx, limits)?;
                let cost = if want == Want::Facts {
                    Ok(Cost::default())
                } else if values.is_some() {
                    Ok(Cost {
                        nodes: 1,
                        ..Cost::default()
                    })
                } else {
                    node.op
                        .cost(&CostCx::new(&ins, &facts, limits))
                        .map(|mut cost| {
                            cost.nodes = cost.nodes.saturating_add(1);
                            cost
                        })
                };
                let temporary = match want {
                    Want::Facts => 0,
                    Want::FactsAndCosts => {
                        let cx = CostCx::new(&ins, &facts, limits);
                        node.op.temporary_bytes(&cx).unwrap_or(0)
                    }
                };
                (facts, cost, temporary, values)
            }
            Err(OpError::Unknown { input }) => (
                vec![Fact::Unknown; wanted],
                Err(OpError::Unknown { input }),
                0,
                None,
            ),
            // A shape that is only an upper bound may not fit where the real one will.
            Err(error) if ins.iter().flatten().all(|known| is_exact(&known.fact)) => {
                return Err(error);
            }
            Err(error) => (vec![Fact::Unknown; wanted], Err(error), 0, None),
        }
    };
    state.evaluated.push(values.is_some());
    state.costs.push(cost);
    state.temporaries.push(temporary);
    state.written.push(facts.clone());
    let mut values = values.map(|values| values.into_iter());
    for (id, fact) in node.outputs.iter().zip(facts) {
        let value = values.as_mut().and_then(Iterator::next).map(Arc::new);
        if let Some(id) = id {
            state.facts[id.index()] = Some(fact);
            state.values[id.index()] = value;
        }
    }
    Ok(())
}

fn is_exact(fact: &Fact) -> bool {
    match fact {
        Fact::Tensor(fact) => fact.exact,
        Fact::Unknown => false,
        _ => true,
    }
}

/// Computes a small node whose inputs are all known while planning, as shape arithmetic is.
fn evaluate(
    node: &Node,
    ins: &[Option<Known<'_>>],
    facts: &[Fact],
    cx: &InferCx<'_>,
    limits: &Limits,
) -> Result<Option<Vec<Value>>, OpError> {
    if let Some(values) = node.op.known(cx) {
        return Ok(Some(values));
    }
    let small = |fact: &Fact| matches!(fact, Fact::Tensor(f) if f.exact && f.count() <= SHAPE_VALUE_ELEMENTS);
    let ready = (!node.op.is_dynamic() || node.op.is_alias())
        && !ins.is_empty()
        && ins
            .iter()
            .flatten()
            .all(|known| known.value.is_some() && small(&known.fact))
        && facts.iter().all(small);
    if !ready {
        return Ok(None);
    }
    let views: Vec<_> = ins
        .iter()
        .map(|known| known.as_ref().and_then(|k| k.value))
        .collect();
    let mut work = limits.work;
    exec::run_op(node, &views, facts, &Engine::single(), limits, &mut work).map(Some)
}

fn known_of<'k>(
    graph: &'k Graph,
    state: &'k Walk,
    input_values: &[Option<View<'k>>],
    id: ValueId,
) -> Known<'k> {
    let index = id.index();
    let value = graph.constants[index]
        .as_deref()
        .or(state.values[index].as_deref());
    let view = match value {
        Some(Value::Tensor(tensor)) if !tensor.is_husk() => Some(tensor.view()),
        _ => input_values[index],
    };
    Known {
        fact: state.fact(id),
        value: view,
    }
}
