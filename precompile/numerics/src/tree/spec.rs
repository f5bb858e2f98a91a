//! What an ensemble is before it is packed, and what may be wrong with it.

use super::{Aggregate, Real};
use std::fmt;
use std::ops::Range;

/// Limits the branches on a way from a root to a leaf.
pub const MAX_DEPTH: usize = 1024;

/// Limits the nodes, the leaf weights and the features of an ensemble: indices fit 31 bits.
pub(super) const MAX_INDEX: usize = i32::MAX as usize;

/// Names how a branch compares the feature `x` with its threshold `t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// Asks `x <= t`.
    Leq,
    /// Asks `x < t`.
    Lt,
    /// Asks `x >= t`.
    Gte,
    /// Asks `x > t`.
    Gt,
    /// Asks `x == t`.
    Eq,
    /// Asks `x != t`, which also holds for a missing `x`.
    Neq,
    /// Asks whether `x` equals a value of the branch's set.
    Member,
}

/// Describes one inner node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Branch<T> {
    /// Says how the feature is compared.
    pub compare: Compare,
    /// Is the column of the input.
    pub feature: usize,
    /// Is what the feature is compared with; unused by `Member`.
    pub threshold: T,
    /// Is the index of the set of a `Member` branch; unused by the others.
    pub set: usize,
    /// Sends a NaN feature to the true child even where the comparison does not hold.
    pub missing_true: bool,
    /// Is the index of the node to go to when the comparison holds.
    pub on_true: usize,
    /// Is the index of the node to go to otherwise.
    pub on_false: usize,
}

/// Describes one node.
#[derive(Clone, Debug, PartialEq)]
pub enum Node<T> {
    /// Chooses between two nodes.
    Branch(Branch<T>),
    /// Ends the walk: these weights of the list are added.
    Leaf(Range<usize>),
}

impl<T> Node<T> {
    pub(super) fn weights(&self) -> usize {
        match self {
            Node::Branch(_) => 0,
            Node::Leaf(range) => range.len(),
        }
    }

    pub(super) fn asks_equality(&self) -> bool {
        match self {
            Node::Branch(branch) => {
                matches!(branch.compare, Compare::Eq | Compare::Neq | Compare::Member)
            }
            Node::Leaf(_) => false,
        }
    }
}

/// Is what a leaf adds to one target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weight<T> {
    /// Is the target's index.
    pub target: usize,
    /// Is the value added.
    pub value: T,
}

/// Lists an ensemble as a model file does, unchecked.
#[derive(Clone, Debug)]
pub struct EnsembleSpec<T> {
    /// Lists the nodes of all trees.
    pub nodes: Vec<Node<T>>,
    /// Names the root of each tree, in the order in which leaves are added.
    pub roots: Vec<usize>,
    /// Lists the weights that leaves refer to.
    pub weights: Vec<Weight<T>>,
    /// Lists the sets that `Member` branches refer to.
    pub sets: Vec<Vec<T>>,
    /// Counts the outputs of a row.
    pub targets: usize,
    /// Says how the leaves of a row are combined.
    pub aggregate: Aggregate,
    /// Is added to the targets at the end; empty or one value per target.
    pub base: Vec<T>,
}

/// Says why a list of nodes is no ensemble.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpecError {
    /// There is no tree.
    NoTrees,
    /// A count is beyond what indices can say.
    TooMany {
        /// Names what is counted.
        what: &'static str,
        /// Is the count found.
        found: usize,
        /// Is the largest allowed.
        limit: usize,
    },
    /// An index names nothing.
    OutOfRange {
        /// Names what the index should name.
        what: &'static str,
        /// Is the node (for a root, the tree) that holds the index.
        node: usize,
        /// Is the index found.
        found: usize,
        /// Is the number of things there are.
        len: usize,
    },
    /// Two branches, or two roots, lead to the same node: a cycle, or no tree.
    ReachedTwice {
        /// Is the node.
        node: usize,
    },
    /// No root leads to a node.
    Unreached {
        /// Is the node.
        node: usize,
    },
    /// A tree is deeper than [`MAX_DEPTH`].
    TooDeep {
        /// Is the tree's number.
        tree: usize,
    },
    /// A threshold, a set's value, a leaf's weight or a base value is NaN.
    NotANumber {
        /// Names what is NaN.
        what: &'static str,
        /// Is the node (or the set, weight or base value) where it was found.
        at: usize,
    },
    /// The base values are neither none nor one per target.
    BaseCount {
        /// Is the number of base values found.
        found: usize,
        /// Is the number of targets.
        targets: usize,
    },
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTrees => write!(f, "the ensemble has no tree"),
            Self::TooMany { what, found, limit } => {
                write!(f, "the ensemble has {found} {what}, the limit is {limit}")
            }
            Self::OutOfRange {
                what,
                node,
                found,
                len,
            } => write!(f, "node {node} names {what} {found}, there are {len}"),
            Self::ReachedTwice { node } => {
                write!(f, "node {node} is reached twice: the nodes form no tree")
            }
            Self::Unreached { node } => write!(f, "node {node} is reached from no root"),
            Self::TooDeep { tree } => {
                write!(f, "tree {tree} is deeper than {MAX_DEPTH} branches")
            }
            Self::NotANumber { what, at } => write!(f, "{what} {at} is NaN"),
            Self::BaseCount { found, targets } => {
                write!(f, "there are {found} base values for {targets} targets")
            }
        }
    }
}

impl std::error::Error for SpecError {}

impl<T: Real> EnsembleSpec<T> {
    /// Checks all but the shape of the trees, which packing checks on its way.
    pub(super) fn check(&self) -> Result<(), SpecError> {
        if self.roots.is_empty() {
            return Err(SpecError::NoTrees);
        }
        let counts = [
            ("nodes", self.nodes.len()),
            ("trees", self.roots.len()),
            ("leaf weights", self.weights.len()),
            ("targets", self.targets),
            ("set values", self.sets.iter().map(Vec::len).sum()),
        ];
        for (what, found) in counts {
            if found > MAX_INDEX {
                let limit = MAX_INDEX;
                return Err(SpecError::TooMany { what, found, limit });
            }
        }
        if !self.base.is_empty() && self.base.len() != self.targets {
            return Err(SpecError::BaseCount {
                found: self.base.len(),
                targets: self.targets,
            });
        }
        refuse_nan("base value", self.base.iter().copied())?;
        refuse_nan("leaf weight", self.weights.iter().map(|w| w.value))?;
        for set in &self.sets {
            refuse_nan("set value", set.iter().copied())?;
        }
        let targets = self.targets;
        if let Some(at) = self.weights.iter().position(|w| w.target >= targets) {
            return Err(SpecError::OutOfRange {
                what: "target",
                node: at,
                found: self.weights.get(at).map_or(0, |w| w.target),
                len: targets,
            });
        }
        (0..self.nodes.len()).try_for_each(|node| self.check_node(node))
    }

    fn check_node(&self, node: usize) -> Result<(), SpecError> {
        let within = |what, found, len| {
            if found < len {
                Ok(())
            } else {
                Err(SpecError::OutOfRange {
                    what,
                    node,
                    found,
                    len,
                })
            }
        };
        match &self.nodes[node] {
            Node::Branch(branch) => {
                within("feature", branch.feature, MAX_INDEX)?;
                within("child", branch.on_true, self.nodes.len())?;
                within("child", branch.on_false, self.nodes.len())?;
                if branch.compare == Compare::Member {
                    within("set", branch.set, self.sets.len())
                } else if branch.threshold.is_nan() {
                    Err(SpecError::NotANumber {
                        what: "the threshold of node",
                        at: node,
                    })
                } else {
                    Ok(())
                }
            }
            Node::Leaf(range) => {
                within("leaf weight", range.start, range.end.saturating_add(1))?;
                within("leaf weight", range.end, self.weights.len() + 1)
            }
        }
    }
}

fn refuse_nan<T: Real>(
    what: &'static str,
    mut values: impl Iterator<Item = T>,
) -> Result<(), SpecError> {
    match values.position(Real::is_nan) {
        Some(at) => Err(SpecError::NotANumber { what, at }),
        None => Ok(()),
    }
}
