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
