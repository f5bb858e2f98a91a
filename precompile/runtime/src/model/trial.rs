//! Trial shapes: sizes for the free dimensions under which a model fits, and what it then gives.

use std::sync::Arc;

use crate::error::{ExecError, LoadError};
use crate::graph::{Dim, Graph, Port, PortKind};
use crate::limits::Limits;
use crate::ops::Fact;
use crate::plan::Plan;

/// Sizes that symbols are tried with when a model is checked at load.
const TRIAL_SIZES: [usize; 10] = [1, 2, 3, 4, 5, 8, 16, 32, 64, 128];

/// Infers all shapes with trial sizes for the free dimensions: the first size that fits everywhere
/// serves, and a second round finds which output dimensions vary with which symbol. Every call is
/// checked again with its own sizes; here a model is refused that fits no size at all.
pub(super) fn try_shapes(
    graph: &Graph,
    limits: &Limits,
) -> Result<(Option<Arc<Plan>>, Vec<Port>), LoadError> {
    let free = graph.ports.iter().any(
        |port| matches!(&port.kind, PortKind::Tensor { dims: Some(d), .. } if d.iter().any(|d| !matches!(d, Dim::Fixed(_)))),
    );
    let mut first_error = None;
    for size in TRIAL_SIZES {
        match Plan::new(graph, &trial_facts(graph, |_| size), limits) {
            Ok(plan) => {
                let ports = describe_outputs(graph, &plan, size, limits);
                return Ok((Some(Arc::new(plan)), ports));
            }
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
        if !free {
            break;
        }
    }
    match first_error {
        Some(ExecError::Node { node, op, source }) => Err(LoadError::Node { node, op, source }),
        Some(ExecError::Limit { kind, limit, got }) => Err(LoadError::Limit {
            what: "one run".to_owned(),
            kind,
            limit,
            got,
        }),
        _ => {
            // Inputs of any rank: nothing can be said of the outputs before a call.
            let port = |(name, _): &(String, _)| Port {
                name: name.clone(),
                kind: PortKind::Optional,
            };
            Ok((None, graph.outputs.iter().map(port).collect()))
        }
    }
}

/// Names the free dimensions: symbols by their name, others by their place.
fn dim_key(input: usize, axis: usize, dim: &Dim) -> Option<String> {
    match dim {
        Dim::Fixed(_) => None,
        Dim::Symbol(name) => Some(name.clone()),
        Dim::Any => Some(format!("?{input}.{axis}")),
    }
}

fn trial_facts(graph: &Graph, size_of: impl Fn(&str) -> usize) -> Vec<Fact> {
    let fact = |(input, port): (usize, &Port)| match &port.kind {
        PortKind::Tensor {
            dtype,
            dims: Some(dims),
        } => {
            let size = |(axis, dim): (usize, &Dim)| match dim {
                Dim::Fixed(size) => *size,
                free => dim_key(input, axis, free).map_or(1, |key| size_of(&key)),
            };
            Fact::tensor(
                *dtype,
                dims.iter().enumerate().map(size).collect::<Vec<_>>(),
            )
        }
        PortKind::Tensor { dims: None, .. } => Fact::Unknown,
        PortKind::Sequence => Fact::Sequence,
        PortKind::Optional => Fact::Optional,
    };
    graph.ports.iter().enumerate().map(fact).collect()
}

fn describe_outputs(graph: &Graph, base: &Plan, size: usize, limits: &Limits) -> Vec<Port> {
    let mut keys = Vec::new();
    for (input, port) in graph.ports.iter().enumerate() {
        if let PortKind::Tensor {
            dims: Some(dims), ..
        } = &port.kind
        {
            for (axis, dim) in dims.iter().enumerate() {
                if let Some(key) = dim_key(input, axis, dim)
                    && !keys.contains(&key)
                {
                    keys.push(key);
                }
            }
        }
    }
    let bumped: Vec<(String, Option<Plan>)> = keys
        .into_iter()
        .take(16)
        .map(|key| {
            let facts = trial_facts(graph, |k| if k == key { size + 1 } else { size });
            let plan = Plan::new(graph, &facts, limits).ok();
            (key, plan)
        })
        .collect();
    let describe = |(at, (name, _)): (usize, &(String, _))| {
        let kind = match &base.outputs()[at] {
            Fact::Tensor(fact) => PortKind::Tensor {
                dtype: fact.dtype,
                dims: fact.exact.then(|| {
                    let dim = |axis| describe_dim(at, axis, fact.shape[axis], size, &bumped);
                    (0..fact.shape.len()).map(dim).collect()
                }),
            },
            Fact::Sequence => PortKind::Sequence,
            Fact::Optional | Fact::Unknown => PortKind::Optional,
        };
        Port {
            name: name.clone(),
            kind,
        }
    };
    graph.outputs.iter().enumerate().map(describe).collect()
}

fn describe_dim(
    output: usize,
    axis: usize,
    base: usize,
    size: usize,
    bumped: &[(String, Option<Plan>)],
) -> Dim {
    let mut dim = Dim::Fixed(base);
    for (key, plan) in bumped {
        let Some(Fact::Tensor(fact)) = plan.as_ref().and_then(|p| p.outputs().get(output)) else {
            continue;
        };
        let grown = fact.shape.get(axis).copied();
        if grown == Some(base) {
            continue;
        }
        let same = base == size && grown == Some(size + 1) && !key.starts_with('?');
        dim = if same && dim == Dim::Fixed(base) {
            Dim::Symbol(key.clone())
        } else {
            Dim::Any
        };
    }
    dim
}
