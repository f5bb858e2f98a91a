//! Folding: nodes whose inputs are all constants, computed once while a model loads.

use std::sync::Arc;

use super::{check_dynamic_text, run_fixed_op};
use crate::error::LoadError;
use crate::graph::{Node, Shared, fact_of};
use crate::ops::{CostCx, Fact, InferCx, Known, RunCx, Scratch};
use crate::plan::check_fact;
use crate::tensor::{Tensor, Value, View};

/// Computes a node whose inputs are all constants, when that is cheap enough at load.
pub(crate) fn fold(
    node: &Node,
    constants: &[Option<Arc<Value>>],
    wanted: usize,
    shared: &Shared<'_>,
) -> Result<Option<Vec<Value>>, LoadError> {
    let at_node = |source| LoadError::Node {
        node: node.name.clone(),
        op: node.op_type.clone(),
        source,
    };
    let ins: Vec<Option<&Value>> = constants.iter().map(Option::as_deref).collect();
    let known: Vec<Option<Known<'_>>> = ins
        .iter()
        .map(|value| {
            value.map(|value| Known {
                fact: fact_of(value),
                value: value.as_tensor().map(Tensor::view),
            })
        })
        .collect();
    let mut facts = node
        .op
        .infer(&InferCx::new(&known, wanted, shared.limits))
        .map_err(at_node)?;
    facts.truncate(wanted);
    let mut bytes: u64 = 0;
    for fact in &facts {
        let Fact::Tensor(fact) = fact else {
            return Ok(None);
        };
        check_fact(fact, shared.limits).map_err(at_node)?;
        bytes = bytes.saturating_add(fact.size_bytes());
    }
    let Ok(cost) = node.op.cost(&CostCx::new(&known, &facts, shared.limits)) else {
        return Ok(None);
    };
    let work = cost.work().saturating_add(64);
    if bytes > shared.fold_bytes.get() || work > shared.fold_work.get() {
        return Ok(None);
    }
    shared.fold_bytes.set(shared.fold_bytes.get() - bytes);
    shared.fold_work.set(shared.fold_work.get() - work);
    let mut scratch = Scratch::default();
    let mut left = shared.limits.work;
    let mut run = RunCx::new(shared.engine, shared.limits, &mut scratch, &mut left);
    if node.op.is_dynamic() {
        check_dynamic_text(node, &ins, &facts, shared.limits).map_err(at_node)?;
        return node
            .op
            .run_dynamic(&mut run, &ins)
            .map(Some)
            .map_err(at_node);
    }
    let views: Vec<Option<View<'_>>> = ins
        .iter()
        .map(|value| value.and_then(Value::as_tensor).map(Tensor::view))
        .collect();
    run_fixed_op(node, &mut run, &views, &facts)
        .map(Some)
        .map_err(at_node)
}
