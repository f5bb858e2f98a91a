//! Loop: a subgraph repeated while a condition holds, at most a number of times.

use super::{ITERATION_WORK, carried_values, condition, missing, steady};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::{LimitKind, OpError};
use crate::ops::select::tensor_in;
use crate::ops::stack::Stack;
use crate::ops::{CostCx, Fact, InferCx, NodeCx, Op, RunCx, Subgraph, Values};
use crate::tensor::{Tensor, Value, View};

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
            .times(trips)
            .with_rounds(trips))
    }

    fn is_dynamic(&self) -> bool {
        true
    }

    fn run_dynamic(&self, cx: &mut RunCx<'_>, ins: Values<'_>) -> Result<Vec<Value>, OpError> {
        let given = |input: usize| ins.get(input).copied().flatten().is_some();
        let count = if given(0) {
            Some(tensor_in(ins, 0)?.view())
        } else {
            None
        };
        let trips = Self::trips(count)?.unwrap_or(u64::MAX);
        let mut go_on = !given(1) || condition(tensor_in(ins, 1)?.view())?;
        let mut carried = carried_values(ins, 2..2 + self.carried)?;
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

pub(super) fn build(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
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
