//! Bounds on what a node may write, checked before any of it is allocated.

use crate::dtype::DType;
use crate::error::{LimitKind, OpError};
use crate::graph::Node;
use crate::limits::Limits;
use crate::ops::{Fact, TensorFact};
use crate::tensor::View;

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
    check_live(bytes, limits)
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

/// Bounds the f32 copies that a node makes of half-precision inputs and outputs while it runs; weights
/// packed at load are not read again.
// Spec: N-10
pub(crate) fn widened_bytes<'f>(
    node: &Node,
    ins: impl Iterator<Item = (usize, &'f Fact)>,
    outs: &'f [Fact],
) -> u64 {
    if node.op.is_alias() {
        return 0;
    }
    let read = ins.filter(|(position, _)| !node.op.releases(*position));
    read.map(|(_, fact)| fact)
        .chain(outs)
        .map(|fact| match fact {
            Fact::Tensor(fact) if matches!(fact.dtype, DType::F16 | DType::Bf16) => {
                fact.count().saturating_mul(DType::F32.size_bytes() as u64)
            }
            _ => 0,
        })
        .fold(0, u64::saturating_add)
}

/// Refuses more bytes alive at once than the limit.
pub(crate) fn check_live(live: u64, limits: &Limits) -> Result<(), OpError> {
    if live > limits.live_bytes {
        return Err(OpError::Limit {
            kind: LimitKind::LiveBytes,
            limit: limits.live_bytes,
            got: live,
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
