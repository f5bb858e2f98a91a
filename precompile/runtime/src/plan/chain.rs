//! Finding elementwise nodes that can run together, piece by piece.

use super::Link;
use super::layout::Layout;
use crate::dtype::DType;
use crate::graph::ValueId;
use crate::ops::{Fact, Pass};

/// Nodes that one step runs at most.
pub(crate) const MAX_LINKS: usize = 8;

impl Layout<'_> {
    /// Finds the elementwise nodes after an elementwise one that can go on where it ends: each is the
    /// only reader of what comes before it, and joins to it one number or as many as there are, known
    /// by then. Only f32, which is not rounded between nodes, qualifies.
    pub(super) fn chain(&mut self, index: usize) -> Vec<Link> {
        let (mut links, mut last) = (Vec::new(), index);
        let Some(count) = self.chain_length(index) else {
            return links;
        };
        while links.len() + 1 < MAX_LINKS
            && let Some(link) = self.link(last, count)
        {
            last = link.node as usize;
            self.done[last] = true;
            links.push(link);
        }
        links
    }

    /// Returns how many elements run through a chain that begins with a node, if one can.
    fn chain_length(&self, node: usize) -> Option<u64> {
        let inputs = &self.graph.nodes[node].inputs;
        let wanted = match self.graph.nodes[node].op.pass()? {
            Pass::Combine(_) => 2,
            Pass::Map(_) => 1,
        };
        let count = self.floats(&self.walk.written[node].first()?.clone())?;
        let mut counts = Vec::new();
        for id in inputs {
            counts.push(self.floats(&self.walk.fact((*id)?))?);
        }
        let fits = counts.len() == wanted
            && counts.contains(&count)
            && counts.iter().all(|&n| n == count || n == 1);
        fits.then_some(count)
    }

    /// Counts the elements of an f32 tensor.
    fn floats(&self, fact: &Fact) -> Option<u64> {
        match fact {
            Fact::Tensor(fact) if fact.dtype == DType::F32 => Some(fact.count()),
            _ => None,
        }
    }

    /// Finds the node that goes on where another ends.
    fn link(&self, node: usize, count: u64) -> Option<Link> {
        let &[Some(value)] = self.graph.nodes[node].outputs.as_slice() else {
            return None;
        };
        let at = value.index();
        if self.readers[at] != 1 || self.owner[at] as usize != at {
            return None;
        }
        let next = self.reader[at]?;
        if self.chain_length(next)? != count {
            return None;
        }
        let inputs: Vec<ValueId> = self.graph.nodes[next]
            .inputs
            .iter()
            .flatten()
            .copied()
            .collect();
        let other = match inputs.as_slice() {
            [only] if *only == value => None,
            [first, second] if (*first == value) != (*second == value) => {
                let other = if *first == value { *second } else { *first };
                // What is computed between the two is not there yet.
                self.places[other.index()]?;
                Some(self.arg(other))
            }
            _ => return None,
        };
        Some(Link {
            node: next as u32,
            second: other.is_some() && inputs.last() == Some(&value),
            other,
        })
    }
}
