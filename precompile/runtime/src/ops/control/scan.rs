//! Scan: a subgraph over the slices of its scanned inputs.

use super::{ITERATION_WORK, carried_values, missing, steady};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::{LimitKind, OpError};
use crate::ops::select::tensor_in;
use crate::ops::stack::{Stack, slice_at};
use crate::ops::{CostCx, Fact, InferCx, NodeCx, Op, RunCx, Subgraph, Values, axis_in};
use crate::tensor::Value;

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
        let mut cost = cx
            .graph_cost(&self.body, formal)?
            .times(length as u64)
            .with_rounds(length as u64);
        cost += cx.traffic();
        Ok(cost)
    }

    fn is_dynamic(&self) -> bool {
        true
    }

    fn run_dynamic(&self, cx: &mut RunCx<'_>, ins: Values<'_>) -> Result<Vec<Value>, OpError> {
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
        let mut states = carried_values(ins, 0..self.states)?;
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

pub(super) fn build(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
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
