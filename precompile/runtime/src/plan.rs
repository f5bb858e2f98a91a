//! Planning: for concrete input shapes, every value's shape, every node's cost, and the buffers.
//!
//! [`walk`] visits the graph once without computing tensors: it infers shapes, evaluates what shapes
//! alone decide (`Shape`, and small integer arithmetic on it) and counts work. [`Plan`] turns a walk
//! in which every shape is exact into a list of steps over buffers that are reused by lifetime.

use std::sync::Arc;

use assay_numerics::Engine;

use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::{ExecError, LimitKind, OpError};
use crate::exec;
use crate::graph::{Graph, Node, ValueId, fact_of};
use crate::limits::Limits;
use crate::ops::{CostCx, Fact, InferCx, Known, TensorFact};
use crate::tensor::{Value, View, element_count};

/// Elements up to which a value that shapes alone decide is computed while planning.
const SHAPE_VALUE_ELEMENTS: u64 = 4096;

/// Holds what one visit of the graph found.
pub(crate) struct Walk {
    /// By value number.
    facts: Vec<Option<Fact>>,
    /// Values known before the run besides the graph's constants.
    values: Vec<Option<Arc<Value>>>,
    /// By node: its cost, or why it has no bound.
    costs: Vec<Result<Cost, OpError>>,
    /// By node: its outputs, the unnamed ones included.
    written: Vec<Vec<Fact>>,
    /// By node: whether its outputs are all in `values`.
    evaluated: Vec<bool>,
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
    let (facts, cost, values) = {
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
                (facts, cost, values)
            }
            Err(OpError::Unknown { input }) => (
                vec![Fact::Unknown; wanted],
                Err(OpError::Unknown { input }),
                None,
            ),
            // A shape that is only an upper bound may not fit where the real one will.
            Err(error) if ins.iter().flatten().all(|known| is_exact(&known.fact)) => {
                return Err(error);
            }
            Err(error) => (vec![Fact::Unknown; wanted], Err(error), None),
        }
    };
    state.evaluated.push(values.is_some());
    state.costs.push(cost);
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

fn is_exact_tensor(fact: &Fact) -> bool {
    matches!(fact, Fact::Tensor(fact) if fact.exact)
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

/// Checks a tensor's rank, elements and bytes before it is allocated.
pub(crate) fn check_fact(fact: &TensorFact, limits: &Limits) -> Result<(), OpError> {
    if fact.shape.len() as u64 > limits.rank {
        return Err(OpError::Limit {
            kind: LimitKind::Rank,
            limit: limits.rank,
            got: fact.shape.len() as u64,
        });
    }
    // Zero dimensions do not excuse the others: strides are computed from all of them.
    let count = fact
        .shape
        .iter()
        .fold(1u64, |n, &d| n.saturating_mul((d as u64).max(1)));
    if count > limits.elements {
        return Err(OpError::Limit {
            kind: LimitKind::Elements,
            limit: limits.elements,
            got: count,
        });
    }
    let bytes = count.saturating_mul(fact.dtype.size_bytes() as u64);
    if bytes > limits.live_bytes {
        return Err(OpError::Limit {
            kind: LimitKind::LiveBytes,
            limit: limits.live_bytes,
            got: bytes,
        });
    }
    Ok(())
}

/// Checks the text that an operator may write before it copies any: each of its string outputs
/// could hold the longest string it reads in every element.
pub(crate) fn check_text<'v>(
    node: &Node,
    ins: impl Iterator<Item = View<'v>>,
    strings: usize,
    limits: &Limits,
) -> Result<(), OpError> {
    let longest = ins
        .filter_map(|view| view.as_slice::<String>().ok())
        .flatten()
        .map(String::len)
        .chain([node.longest_text])
        .max();
    let bytes = (strings as u64).saturating_mul(longest.unwrap_or(0) as u64);
    if bytes > limits.text_bytes {
        return Err(OpError::Limit {
            kind: LimitKind::TextBytes,
            limit: limits.text_bytes,
            got: bytes,
        });
    }
    Ok(())
}

/// Counts the elements of string outputs.
pub(crate) fn string_count(facts: &[Fact]) -> usize {
    let strings = facts.iter().filter_map(|fact| match fact {
        Fact::Tensor(fact) if fact.dtype == DType::Str => Some(fact.count() as usize),
        _ => None,
    });
    strings.fold(0, usize::saturating_add)
}

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

/// Runs one node.
pub(crate) struct Step {
    pub(crate) node: u32,
    pub(crate) ins: Box<[Option<Arg>]>,
    pub(crate) outs: Box<[Target]>,
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

/// Lays out steps and buffers, or gives `None` when a shape is not exact.
fn fix(graph: &Graph, walk: &Walk, limits: &Limits) -> Result<Option<Fixed>, ExecError> {
    let fixed = graph.nodes.iter().enumerate().all(|(i, node)| {
        walk.evaluated[i]
            || ((!node.op.is_dynamic() || node.op.is_alias())
                && walk.written[i].iter().all(is_exact_tensor)
                && node
                    .inputs
                    .iter()
                    .flatten()
                    .all(|id| is_exact_tensor(&walk.fact(*id))))
    });
    let tensors = graph
        .inputs
        .iter()
        .chain(graph.outputs.iter().map(|(_, id)| id))
        .all(|id| matches!(walk.fact(*id), Fact::Tensor(_)));
    if !fixed || !tensors {
        return Ok(None);
    }
    Layout::new(graph, walk).build(limits).map(Some)
}

/// Assigns buffers by lifetime.
struct Layout<'a> {
    graph: &'a Graph,
    walk: &'a Walk,
    places: Vec<Option<Place>>,
    /// By value: readers left; aliases count for the value whose buffer they share.
    readers: Vec<u32>,
    /// By value: the value whose buffer it shares.
    owner: Vec<u32>,
    slots: Vec<(DType, usize)>,
    free: Vec<u32>,
    locals: Vec<Arc<Value>>,
}

impl<'a> Layout<'a> {
    fn new(graph: &'a Graph, walk: &'a Walk) -> Self {
        let count = graph.constants.len();
        let mut layout = Layout {
            graph,
            walk,
            places: vec![None; count],
            readers: vec![0; count],
            owner: (0..count as u32).collect(),
            slots: Vec::new(),
            free: Vec::new(),
            locals: Vec::new(),
        };
        for (i, id) in graph.inputs.iter().enumerate() {
            layout.places[id.index()] = Some(Place::Input(i as u32));
        }
        for index in 0..count {
            if graph.constants[index].is_some() {
                layout.places[index] = Some(Place::Constant(index as u32));
            } else if let Some(value) = &walk.values[index] {
                layout.places[index] = Some(Place::Local(layout.locals.len() as u32));
                layout.locals.push(value.clone());
            }
        }
        layout
    }

    fn build(mut self, limits: &Limits) -> Result<Fixed, ExecError> {
        for (i, node) in self.graph.nodes.iter().enumerate() {
            if !self.walk.evaluated[i] && node.op.is_alias() {
                self.share(node);
            }
        }
        for (i, node) in self.graph.nodes.iter().enumerate() {
            if !self.walk.evaluated[i] && !node.op.is_alias() {
                for id in node.inputs.iter().flatten() {
                    self.readers[self.owner[id.index()] as usize] += 1;
                }
            }
        }
        for (_, id) in &self.graph.outputs {
            // Outputs stay until they are copied out.
            self.readers[self.owner[id.index()] as usize] += 1;
        }
        let mut steps = Vec::new();
        for (i, node) in self.graph.nodes.iter().enumerate() {
            if self.walk.evaluated[i] {
                continue;
            }
            if node.op.is_alias() {
                self.alias(node);
            } else {
                steps.push(self.step(i, node));
            }
        }
        let live = self.slots.iter().fold(0u64, |sum, (dtype, len)| {
            sum.saturating_add((*len as u64).saturating_mul(dtype.size_bytes() as u64))
        });
        if live > limits.live_bytes {
            return Err(ExecError::Limit {
                kind: LimitKind::LiveBytes,
                limit: limits.live_bytes,
                got: live,
            });
        }
        let outputs = self
            .graph
            .outputs
            .iter()
            .map(|(_, id)| self.arg(*id))
            .collect();
        Ok(Fixed {
            steps,
            slots: self.slots.iter().map(|(dtype, _)| *dtype).collect(),
            locals: self.locals,
            outputs,
        })
    }

    /// Lets output 0 of an alias share its input's buffer.
    fn share(&mut self, node: &Node) {
        if let (Some(Some(from)), Some(Some(to))) = (node.inputs.first(), node.outputs.first()) {
            self.owner[to.index()] = self.owner[from.index()];
        }
    }

    fn alias(&mut self, node: &Node) {
        if let (Some(Some(from)), Some(Some(to))) = (node.inputs.first(), node.outputs.first()) {
            self.places[to.index()] = self.places[from.index()];
        }
    }

    fn step(&mut self, index: usize, node: &Node) -> Step {
        let ins = node
            .inputs
            .iter()
            .map(|id| id.map(|id| self.arg(id)))
            .collect();
        let outs: Box<[Target]> = self.walk.written[index]
            .iter()
            .zip(&node.outputs)
            .map(|(fact, id)| self.target(fact, *id))
            .collect();
        // Outputs nobody reads give their buffers back at once, inputs when their last reader ran.
        for (id, target) in node.outputs.iter().zip(&outs) {
            if id.is_none_or(|id| self.readers[id.index()] == 0) {
                self.free.push(target.slot);
            }
        }
        for id in node.inputs.iter().flatten() {
            let owner = self.owner[id.index()] as usize;
            self.readers[owner] -= 1;
            if self.readers[owner] == 0 {
                self.release(owner);
            }
        }
        Step {
            node: index as u32,
            ins,
            outs,
        }
    }

    fn arg(&self, id: ValueId) -> Arg {
        let shape = match self.walk.fact(id) {
            Fact::Tensor(fact) => fact.shape.into_boxed_slice(),
            _ => Box::default(),
        };
        let place = self.places[id.index()].expect("invariant: values are placed before readers");
        Arg { place, shape }
    }

    fn target(&mut self, fact: &Fact, id: Option<ValueId>) -> Target {
        let Fact::Tensor(fact) = fact else {
            unreachable!("invariant: a fixed plan has tensors only")
        };
        let len = element_count(&fact.shape).expect("invariant: checked by the walk");
        let slot = self.take_slot(fact.dtype, len);
        if let Some(id) = id {
            self.places[id.index()] = Some(Place::Slot(slot));
        }
        Target {
            slot,
            len,
            shape: fact.shape.clone().into_boxed_slice(),
        }
    }

    /// Takes the free buffer of the type that fits best, or adds one.
    fn take_slot(&mut self, dtype: DType, len: usize) -> u32 {
        let best = self
            .free
            .iter()
            .enumerate()
            .filter(|(_, slot)| self.slots[**slot as usize].0 == dtype)
            .min_by_key(|(_, slot)| self.slots[**slot as usize].1.abs_diff(len))
            .map(|(at, _)| at);
        match best {
            Some(at) => {
                let slot = self.free.swap_remove(at);
                let size = &mut self.slots[slot as usize].1;
                *size = (*size).max(len);
                slot
            }
            None => {
                self.slots.push((dtype, len));
                (self.slots.len() - 1) as u32
            }
        }
    }

    fn release(&mut self, value: usize) {
        if let Some(Place::Slot(slot)) = self.places[value] {
            self.free.push(slot);
        }
    }
}
