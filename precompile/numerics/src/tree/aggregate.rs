//! How the leaves of a row become its scores.

use super::{Real, Weight};
use std::ops::Range;

/// Says how the leaves that a row reaches are combined, per target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// Adds them, in the order of the trees.
    Sum,
    /// Adds them, then divides by the number of trees.
    Average,
    /// Takes the smallest.
    Min,
    /// Takes the largest.
    Max,
}

/// Says what the leaves of an ensemble hold.
#[derive(Clone, Debug)]
pub(super) enum Leaves<T> {
    /// One value each, all for the only target.
    Single,
    /// One value each, for the target of the leaf's tree.
    PerTree(Vec<u32>),
    /// An index into `ranges`, which names the weights of the leaf.
    Listed {
        ranges: Vec<Range<usize>>,
        weights: Vec<Weight<T>>,
    },
}

/// Takes the leaves that rows reach, tree by tree in order.
pub(super) trait Sink<T> {
    /// Takes the leaf that a row reached in a tree.
    fn take(&mut self, row: usize, tree: usize, leaf: T);
}

/// Adds leaves of one target.
pub(super) struct AddSingle<'a, T>(pub(super) &'a mut [T]);

impl<T: Real> Sink<T> for AddSingle<'_, T> {
    #[inline(always)]
    fn take(&mut self, row: usize, _tree: usize, leaf: T) {
        self.0[row] = self.0[row].add(leaf);
    }
}

/// Combines leaves in the general case; `seen` is empty for sums.
pub(super) struct Combine<'a, T> {
    pub(super) aggregate: Aggregate,
    pub(super) leaves: &'a Leaves<T>,
    pub(super) targets: usize,
    pub(super) scores: &'a mut [T],
    pub(super) seen: &'a mut [bool],
}

impl<T: Real> Combine<'_, T> {
    #[inline(always)]
    fn put(&mut self, at: usize, value: T) {
        let score = self.scores[at];
        let smaller = match self.aggregate {
            Aggregate::Sum | Aggregate::Average => {
                self.scores[at] = score.add(value);
                return;
            }
            Aggregate::Min => value < score,
            Aggregate::Max => value > score,
        };
        // Spec: N-13. Equal values keep the earlier one, so -0 and +0 keep tree order.
        if smaller || !self.seen[at] {
            self.scores[at] = value;
            self.seen[at] = true;
        }
    }
}

impl<T: Real> Sink<T> for Combine<'_, T> {
    #[inline(always)]
    fn take(&mut self, row: usize, tree: usize, leaf: T) {
        let first = row * self.targets;
        match self.leaves {
            Leaves::Single => self.put(first, leaf),
            Leaves::PerTree(targets) => self.put(first + targets[tree] as usize, leaf),
            Leaves::Listed { ranges, weights } => {
                let range = ranges[leaf.to_index() as usize].clone();
                for weight in &weights[range] {
                    self.put(first + weight.target, weight.value);
                }
            }
        }
    }
}
