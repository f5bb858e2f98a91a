//! One form for all branches, and trees flattened so that siblings are neighbours.

use super::spec::{Branch, Compare, EnsembleSpec, MAX_DEPTH, Node, SpecError};
use super::{Leaves, Real};
use std::collections::BTreeMap;

/// Is what a flattened branch asks of its feature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Test<T> {
    /// Asks `x <= t`; a missing `x` was replaced where it shall pass.
    Leq(T),
    /// Asks `x == t`, or whether `x` is missing where the flag is set.
    Eq(T, bool),
    /// Asks for membership in a set (`None`: an empty one), or as above.
    In(Option<usize>, bool),
}

/// Is a node of a flattened tree.
#[derive(Clone, Copy, Debug)]
pub(super) enum FlatNode<T> {
    /// Goes to `child` when the test fails and to `child + 1` when it holds.
    Branch {
        test: Test<T>,
        slot: u32,
        child: u32,
    },
    /// Is this node of the specification.
    Leaf(usize),
}

/// Is one tree, root first, siblings side by side, children behind their parents.
#[derive(Clone, Debug)]
pub(super) struct FlatTree<T> {
    pub(super) nodes: Vec<FlatNode<T>>,
    pub(super) depth: usize,
}

/// Says what a row's slot holds: a feature as it is, or with -infinity in place of NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source {
    pub(super) feature: usize,
    pub(super) missing_low: bool,
    /// Says that the branches ask `x < t` (or its opposite).
    pub(super) strict: bool,
}

/// Is a checked ensemble in one form, ready to be laid out.
#[derive(Debug)]
pub(super) struct Flat<T> {
    pub(super) trees: Vec<FlatTree<T>>,
    /// Says what slots 1 and up hold; slot 0 is NaN.
    pub(super) sources: Vec<Source>,
    pub(super) leaves: Leaves<T>,
    /// Says what the leaf of each node of the specification holds.
    pub(super) payload: Vec<T>,
}

struct Normal<T> {
    test: Test<T>,
    source: Source,
    on_true: usize,
    on_false: usize,
}

/// Turns a branch into one of three tests, swapping its children where needed.
///
/// `x < t` is `x <= t'` with the next smaller number `t'`; `x > t` is the opposite of `x <= t`. A
/// missing feature that shall pass `x <= t` is read as -infinity, one that shall not stays NaN.
// Spec: N-13
fn normalise<T: Real>(branch: &Branch<T>) -> Normal<T> {
    let at_most = |missing| (Test::Leq(branch.threshold), missing);
    let below = |missing| {
        if branch.threshold > T::NEG_INFINITY {
            (Test::Leq(branch.threshold.next_down()), missing)
        } else {
            (Test::In(None, missing), false)
        }
    };
    let missing = branch.missing_true;
    let ((test, missing_low), swapped) = match branch.compare {
        Compare::Leq => (at_most(missing), false),
        Compare::Gt => (at_most(!missing), true),
        Compare::Lt => (below(missing), false),
        Compare::Gte => (below(!missing), true),
        Compare::Eq => ((Test::Eq(branch.threshold, missing), false), false),
        Compare::Neq => ((Test::Eq(branch.threshold, false), false), true),
        Compare::Member => ((Test::In(Some(branch.set), missing), false), false),
    };
    let (on_true, on_false) = if swapped {
        (branch.on_false, branch.on_true)
    } else {
        (branch.on_true, branch.on_false)
    };
    let source = Source {
        feature: branch.feature,
        missing_low,
        strict: matches!(branch.compare, Compare::Lt | Compare::Gte),
    };
    Normal {
        test,
        source,
        on_true,
        on_false,
    }
}

impl<T: Real> Flat<T> {
    /// Checks an ensemble and flattens its trees.
    pub(super) fn new(spec: &EnsembleSpec<T>) -> Result<Self, SpecError> {
        spec.check()?;
        let mut slots = BTreeMap::new();
        for node in &spec.nodes {
            if let Node::Branch(branch) = node {
                slots.insert(normalise(branch).source, 0u32);
            }
        }
        for (slot, number) in slots.values_mut().zip(1u32..) {
            *slot = number;
        }
        let mut reached = vec![false; spec.nodes.len()];
        let trees = (0..spec.roots.len())
            .map(|tree| flatten(spec, tree, &slots, &mut reached))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(node) = reached.iter().position(|reached| !reached) {
            return Err(SpecError::Unreached { node });
        }
        let (leaves, payload) = arrange_leaves(spec, &trees);
        Ok(Self {
            trees,
            sources: slots.into_keys().collect(),
            leaves,
            payload,
        })
    }
}

fn flatten<T: Real>(
    spec: &EnsembleSpec<T>,
    tree: usize,
    slots: &BTreeMap<Source, u32>,
    reached: &mut [bool],
) -> Result<FlatTree<T>, SpecError> {
    let root = spec.roots[tree];
    if root >= spec.nodes.len() {
        return Err(SpecError::OutOfRange {
            what: "root",
            node: tree,
            found: root,
            len: spec.nodes.len(),
        });
    }
    // Breadth first: where each node of `nodes` comes from, and its depth.
    let mut origin = vec![(root, 0usize)];
    let mut nodes = Vec::new();
    let mut depth = 0;
    while let Some(&(node, level)) = origin.get(nodes.len()) {
        if std::mem::replace(&mut reached[node], true) {
            return Err(SpecError::ReachedTwice { node });
        }
        if level > MAX_DEPTH {
            return Err(SpecError::TooDeep { tree });
        }
        depth = depth.max(level);
        nodes.push(match &spec.nodes[node] {
            Node::Branch(branch) => {
                let normal = normalise(branch);
                let child = origin.len() as u32;
                origin.push((normal.on_false, level + 1));
                origin.push((normal.on_true, level + 1));
                FlatNode::Branch {
                    test: normal.test,
                    slot: slots[&normal.source],
                    child,
                }
            }
            Node::Leaf(_) => FlatNode::Leaf(node),
        });
    }
    Ok(FlatTree { nodes, depth })
}

/// Chooses what leaves hold, and says it for every node (branches hold nothing).
fn arrange_leaves<T: Real>(spec: &EnsembleSpec<T>, trees: &[FlatTree<T>]) -> (Leaves<T>, Vec<T>) {
    if let Some(targets) = trees.iter().map(|tree| only_target(spec, tree)).collect() {
        let payload = spec.nodes.iter().map(|node| match node {
            Node::Branch(_) => T::NAN,
            Node::Leaf(range) => spec.weights[range.start].value,
        });
        let leaves = if spec.targets == 1 {
            Leaves::Single
        } else {
            Leaves::PerTree(targets)
        };
        return (leaves, payload.collect());
    }
    let mut ranges = Vec::new();
    let mut payload = Vec::with_capacity(spec.nodes.len());
    for node in &spec.nodes {
        payload.push(match node {
            Node::Branch(_) => T::NAN,
            Node::Leaf(range) => {
                ranges.push(range.clone());
                T::from_index(ranges.len() as u32 - 1)
            }
        });
    }
    let weights = spec.weights.clone();
    (Leaves::Listed { ranges, weights }, payload)
}

/// Returns the target of all leaves of a tree, if each has one weight and the target is the same.
fn only_target<T: Real>(spec: &EnsembleSpec<T>, tree: &FlatTree<T>) -> Option<u32> {
    let mut targets = tree.nodes.iter().filter_map(|node| match node {
        FlatNode::Branch { .. } => None,
        FlatNode::Leaf(node) => Some(match &spec.nodes[*node] {
            Node::Leaf(range) if range.len() == 1 => Some(spec.weights[range.start].target as u32),
            _ => None,
        }),
    });
    let first = targets.next()??;
    targets.all(|target| target == Some(first)).then_some(first)
}
