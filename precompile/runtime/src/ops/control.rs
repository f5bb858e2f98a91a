//! If, Loop, Scan: subgraphs that run by conditions and counts, within the metered limits.

use super::select::tensor_in;
use super::stack::{Stack, slice_at};
use super::{CostCx, Entry, Fact, InferCx, NodeCx, Op, RunCx, Subgraph, axis_in};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::{LimitKind, OpError};
use crate::tensor::{Tensor, Value, View};

/// Rounds of inference after which a loop's changing shapes are given up as unknown.
const INFER_ROUNDS: usize = 3;

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

    fn run_dynamic(
        &self,
        cx: &mut RunCx<'_>,
        ins: &[Option<&Value>],
    ) -> Result<Vec<Value>, OpError> {
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

/// Repeats a graph while a condition holds, at most a number of times.
struct Loop {
    body: Subgraph,
    carried: usize,
}

impl Loop {
    /// Returns how often the body can run; nothing when no count is given.
    fn trips(view: Option<View<'_>>) -> Result<Option<u64>, OpError> {
        let Some(view) = view else { return Ok(None) };
        match view.to_i64s()?.as_slice() {
            [count] => Ok(Some(u64::try_from(*count).unwrap_or(0))),
            other => Err(OpError::Value {
                what: "a trip count must be one integer; elements",
                got: other.len() as i64,
            }),
        }
    }

    fn formal(carried: &[Fact]) -> Vec<Fact> {
        let mut formal = vec![Fact::tensor(DType::I64, []), Fact::tensor(DType::Bool, [])];
        formal.extend_from_slice(carried);
        formal
    }

    fn steady(&self, cx: &InferCx<'_>) -> Result<(Vec<Fact>, Vec<Fact>), OpError> {
        let carried = (0..self.carried)
            .map(|at| cx.fact(at + 2).cloned())
            .collect::<Result<Vec<_>, _>>()?;
        steady(
            carried,
            |carried| cx.infer_graph(&self.body, Self::formal(carried)),
            1,
        )
    }
}

impl Op for Loop {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (mut facts, body) = self.steady(cx)?;
        let trips = match cx.has(0) {
            true => cx
                .value(0)
                .ok()
                .map(|view| Self::trips(Some(view)))
                .transpose()?
                .flatten(),
            false => None,
        };
        for fact in body.into_iter().skip(1 + self.carried) {
            facts.push(match (fact, trips) {
                (Fact::Tensor(fact), Some(trips)) if trips <= cx.limits().iterations => {
                    let mut shape = vec![trips as usize];
                    shape.extend(fact.shape);
                    Fact::at_most(fact.dtype, shape)
                }
                _ => Fact::Unknown,
            });
        }
        Ok(facts)
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let trips = Self::trips(cx.value(0))?.filter(|&trips| trips <= cx.limits().iterations);
        let trips = trips.ok_or(OpError::Unknown { input: 0 })?;
        // The outputs' facts hold for the carried values in every iteration.
        let carried = (0..self.carried)
            .map(|at| cx.output_fact(at).cloned().unwrap_or(Fact::Unknown))
            .collect::<Vec<_>>();
        Ok(cx
            .graph_cost(&self.body, Self::formal(&carried))?
            .times(trips))
    }

    fn is_dynamic(&self) -> bool {
        true
    }

    fn run_dynamic(
        &self,
        cx: &mut RunCx<'_>,
        ins: &[Option<&Value>],
    ) -> Result<Vec<Value>, OpError> {
        let given = |input: usize| ins.get(input).copied().flatten().is_some();
        let count = if given(0) {
            Some(tensor_in(ins, 0)?.view())
        } else {
            None
        };
        let trips = Self::trips(count)?.unwrap_or(u64::MAX);
        let mut go_on = !given(1) || condition(tensor_in(ins, 1)?.view())?;
        let mut carried = (2..2 + self.carried)
            .map(|at| {
                ins.get(at)
                    .copied()
                    .flatten()
                    .cloned()
                    .ok_or(OpError::MissingInput { input: at })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut stacks: Vec<Stack> = Vec::new();
        stacks.resize_with(self.body.outputs() - 1 - self.carried, Stack::default);
        let mut done: u64 = 0;
        while go_on && done < trips {
            let limit = cx.limits().iterations;
            if done >= limit {
                return Err(OpError::Limit {
                    kind: LimitKind::Iterations,
                    limit,
                    got: done + 1,
                });
            }
            cx.spend(ITERATION_WORK)?;
            let (number, test) = (
                Tensor::scalar(done as i64).into(),
                Tensor::scalar(go_on).into(),
            );
            let mut formal: Vec<&Value> = vec![&number, &test];
            formal.extend(&carried);
            let mut outputs = cx.run_graph(&self.body, &formal, ins)?.into_iter();
            let test = outputs.next().ok_or(OpError::MissingInput { input: 1 })?;
            go_on = condition(tensor_in(&[Some(&test)], 0)?.view())?;
            carried = outputs.by_ref().take(self.carried).collect();
            for (stack, value) in stacks.iter_mut().zip(outputs) {
                stack.push(value, cx)?;
            }
            done += 1;
        }
        let empty = self.empty_facts(&carried, cx, ins)?;
        for (stack, fact) in stacks.into_iter().zip(empty) {
            carried.push(stack.finish(cx, 0, false, &fact)?.into());
        }
        Ok(carried)
    }
}

impl Loop {
    /// Describes one element of each stacked output, for loops that do not run at all.
    fn empty_facts(
        &self,
        carried: &[Value],
        cx: &RunCx<'_>,
        ins: &[Option<&Value>],
    ) -> Result<Vec<Fact>, OpError> {
        let carried: Vec<Fact> = carried.iter().map(crate::graph::fact_of).collect();
        let outputs = cx.infer_graph(&self.body, Self::formal(&carried), ins);
        // A body that does not fit has run already if its outputs are needed.
        let outputs = outputs.unwrap_or_else(|_| vec![Fact::Unknown; self.body.outputs()]);
        Ok(outputs.into_iter().skip(1 + self.carried).collect())
    }
}

/// Work charged for an iteration besides the body's own.
const ITERATION_WORK: u64 = 64;

/// Runs a graph over the slices of its scanned inputs.
struct Scan {
    body: Subgraph,
    states: usize,
    /// For each scanned input: its axis and whether it is read backward.
    inputs: Vec<(i64, bool)>,
    /// For each stacked output: its axis and whether it is written backward.
    outputs: Vec<(i64, bool)>,
}

impl Scan {
    /// Returns the common length of the scanned axes and what one slice of each input looks like.
    fn lengths<'f>(
        &self,
        shape: impl Fn(usize) -> Result<(DType, &'f [usize]), OpError>,
    ) -> Result<(usize, Vec<Fact>), OpError> {
        let mut length = None;
        let mut slices = Vec::with_capacity(self.inputs.len());
        for (at, (axis, _)) in self.inputs.iter().enumerate() {
            let (dtype, shape) = shape(self.states + at)?;
            let axis = axis_in(*axis, shape.len())?;
            if length.is_some_and(|length| length != shape[axis]) {
                return Err(OpError::Shape {
                    why: "scanned inputs differ in length",
                    shapes: vec![vec![length.unwrap_or(0)], shape.to_vec()],
                });
            }
            length = Some(shape[axis]);
            let mut slice = shape.to_vec();
            slice.remove(axis);
            slices.push(Fact::tensor(dtype, slice));
        }
        let length = length.ok_or(OpError::Attribute {
            name: "num_scan_inputs",
            why: "must be at least 1",
        })?;
        Ok((length, slices))
    }
}

impl Op for Scan {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (length, slices) = self.lengths(|at| {
            cx.tensor(at)
                .map(|fact| (fact.dtype, fact.shape.as_slice()))
        })?;
        let states = (0..self.states)
            .map(|at| cx.fact(at).cloned())
            .collect::<Result<Vec<_>, _>>()?;
        let infer =
            |states: &[Fact]| cx.infer_graph(&self.body, [states, slices.as_slice()].concat());
        let (mut facts, body) = steady(states, infer, 0)?;
        for (fact, (axis, _)) in body.into_iter().skip(self.states).zip(&self.outputs) {
            facts.push(match fact {
                Fact::Tensor(mut fact) => {
                    let axis = axis_in(*axis, fact.shape.len() + 1)?;
                    fact.shape.insert(axis, length);
                    Fact::Tensor(fact)
                }
                _ => Fact::Unknown,
            });
        }
        Ok(facts)
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let (length, slices) =
            self.lengths(|at| cx.input(at).map(|fact| (fact.dtype, fact.shape.as_slice())))?;
        let mut formal: Vec<Fact> = (0..self.states)
            .map(|at| cx.output_fact(at).cloned().unwrap_or(Fact::Unknown))
            .collect();
        formal.extend(slices);
        let mut cost = cx.graph_cost(&self.body, formal)?.times(length as u64);
        cost += cx.traffic();
        Ok(cost)
    }

    fn is_dynamic(&self) -> bool {
        true
    }

    fn run_dynamic(
        &self,
        cx: &mut RunCx<'_>,
        ins: &[Option<&Value>],
    ) -> Result<Vec<Value>, OpError> {
        let tensors = (0..self.inputs.len())
            .map(|at| tensor_in(ins, self.states + at))
            .collect::<Result<Vec<_>, _>>()?;
        let shape = |at: usize| {
            let tensor = tensors.get(at - self.states).copied();
            tensor
                .map(|t| (t.dtype(), t.shape()))
                .ok_or(OpError::MissingInput { input: at })
        };
        let (length, slices) = self.lengths(shape)?;
        let limit = cx.limits().iterations;
        if length as u64 > limit {
            return Err(OpError::Limit {
                kind: LimitKind::Iterations,
                limit,
                got: length as u64,
            });
        }
        let mut states = (0..self.states)
            .map(|at| {
                ins.get(at)
                    .copied()
                    .flatten()
                    .cloned()
                    .ok_or(OpError::MissingInput { input: at })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut stacks: Vec<Stack> = Vec::new();
        stacks.resize_with(self.outputs.len(), Stack::default);
        for step in 0..length {
            cx.spend(ITERATION_WORK)?;
            let mut values: Vec<Value> = Vec::with_capacity(tensors.len());
            for (tensor, (axis, backward)) in tensors.iter().zip(&self.inputs) {
                let axis = axis_in(*axis, tensor.shape().len())?;
                let at = if *backward { length - 1 - step } else { step };
                values.push(slice_at(cx, tensor, axis, at)?.into());
            }
            let formal: Vec<&Value> = states.iter().chain(&values).collect();
            let mut outputs = cx.run_graph(&self.body, &formal, ins)?.into_iter();
            states = outputs.by_ref().take(self.states).collect();
            for (stack, value) in stacks.iter_mut().zip(outputs) {
                stack.push(value, cx)?;
            }
        }
        let mut formal: Vec<Fact> = states.iter().map(crate::graph::fact_of).collect();
        formal.extend(slices);
        let empty = match length {
            0 => cx
                .infer_graph(&self.body, formal, ins)?
                .split_off(self.states),
            _ => vec![Fact::Unknown; self.outputs.len()],
        };
        for ((stack, fact), (axis, backward)) in stacks.into_iter().zip(empty).zip(&self.outputs) {
            states.push(stack.finish(cx, *axis, *backward, &fact)?.into());
        }
        Ok(states)
    }
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

fn build_loop(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=usize::MAX, usize::MAX)?;
    let body = cx.subgraph("body")?.ok_or(missing("body"))?;
    let carried = cx.inputs() - 2;
    let fits = body.formal_inputs() == carried + 2
        && body.outputs() > carried
        && cx.outputs() < body.outputs();
    if !fits {
        let why = "must take a number, a condition and the carried values, and give them back";
        return Err(OpError::Attribute { name: "body", why });
    }
    Ok(Box::new(Loop { body, carried }))
}

fn build_scan(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    if cx.opset() < 9 {
        let what = "Scan before opset 9 (with a batch axis)".to_owned();
        return Err(OpError::Unsupported { what });
    }
    cx.arity(1..=usize::MAX, usize::MAX)?;
    let body = cx.subgraph("body")?.ok_or(missing("body"))?;
    let scanned = cx
        .int("num_scan_inputs")?
        .ok_or(missing("num_scan_inputs"))?;
    let scanned = usize::try_from(scanned)
        .ok()
        .filter(|&n| n > 0 && n <= cx.inputs());
    let scanned = scanned.ok_or(OpError::Attribute {
        name: "num_scan_inputs",
        why: "must be between 1 and the number of inputs",
    })?;
    let states = cx.inputs() - scanned;
    let fits = body.formal_inputs() == cx.inputs()
        && body.outputs() >= states
        && cx.outputs() <= body.outputs();
    if !fits {
        let why = "must take the node's inputs and give the states back";
        return Err(OpError::Attribute { name: "body", why });
    }
    let pairs = |axes: &'static str, directions: &'static str, count: usize| {
        let list = |name| match cx.ints(name)? {
            Some(list) if list.len() != count => Err(OpError::Attribute {
                name,
                why: "has the wrong length",
            }),
            Some(list) => Ok(list),
            None => Ok(vec![0; count]),
        };
        let backward = list(directions)?
            .into_iter()
            .map(|direction| direction != 0);
        Ok::<_, OpError>(list(axes)?.into_iter().zip(backward).collect::<Vec<_>>())
    };
    let inputs = pairs("scan_input_axes", "scan_input_directions", scanned)?;
    let stacked = body.outputs() - states;
    let outputs = pairs("scan_output_axes", "scan_output_directions", stacked)?;
    Ok(Box::new(Scan {
        body,
        states,
        inputs,
        outputs,
    }))
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("If", 1, build_if),
    Entry::onnx("Loop", 1, build_loop),
    Entry::onnx("Scan", 8, build_scan),
];
