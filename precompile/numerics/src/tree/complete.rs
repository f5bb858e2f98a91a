//! Shallow trees as heaps: node `i` has the children `2 i` (test failed) and `2 i + 1` (held).
//!
//! A tree that is not complete is filled up with nodes that always fail, above copies of its leaf.
//! Every array has a constant length and every index is masked to it, so the compiler drops all
//! bounds checks, and the walk of several lanes becomes straight-line code.

use super::Real;
use super::aggregate::Sink;
use super::linked::LANES;
use super::normal::{Flat, FlatNode, FlatTree, Test};

/// Is the greatest depth laid out as heaps.
const MAX_HEAP_DEPTH: usize = 8;

/// Is the number of slots a row may have here: a slot's number fits a byte.
pub(super) const SLOTS: usize = 256;

/// Limits how much larger than the trees themselves their heaps may be.
const MAX_FILL: usize = 4;

/// Holds trees of at most the same depth as heaps of equal size, one after the other.
#[derive(Debug)]
pub(super) struct Complete<T> {
    depth: usize,
    thresholds: Vec<T>,
    slots: Vec<u8>,
    leaves: Vec<T>,
}

impl<T: Real> Complete<T> {
    /// Lays trees out, unless they are too deep, too sparse, or use other tests than "at most".
    pub(super) fn new(flat: &Flat<T>) -> Option<Self> {
        let depth = flat.trees.iter().map(|tree| tree.depth).max()?.max(1);
        let nodes: usize = flat.trees.iter().map(|tree| tree.nodes.len()).sum();
        let size = 1usize << depth.min(usize::BITS as usize - 1);
        let fits = depth <= MAX_HEAP_DEPTH
            && flat.sources.len() < SLOTS
            && flat.trees.len().checked_mul(size)? <= nodes.checked_mul(MAX_FILL)?
            && flat.trees.iter().all(only_at_most);
        if !fits {
            return None;
        }
        let len = flat.trees.len() * size;
        let mut heaps = Self {
            depth,
            thresholds: vec![T::ZERO; len],
            slots: vec![0; len],
            leaves: vec![T::ZERO; len],
        };
        for (tree, start) in flat.trees.iter().zip((0..).step_by(size)) {
            heaps.fill(flat, tree, start, size);
        }
        Some(heaps)
    }

    fn fill(&mut self, flat: &Flat<T>, tree: &FlatTree<T>, start: usize, size: usize) {
        // Which node of the tree each heap position stands for.
        let mut stands_for = vec![0usize; 2 * size];
        for at in 1..2 * size {
            let node = stands_for[at];
            let (below, test) = match tree.nodes[node] {
                FlatNode::Branch {
                    test: Test::Leq(threshold),
                    slot,
                    child,
                } => {
                    let child = child as usize;
                    ([child, child + 1], Some((threshold, slot)))
                }
                _ => ([node, node], None),
            };
            if at < size {
                stands_for[2 * at] = below[0];
                stands_for[2 * at + 1] = below[1];
                if let Some((threshold, slot)) = test {
                    self.thresholds[start + at] = threshold;
                    self.slots[start + at] = slot as u8;
                }
            } else if let FlatNode::Leaf(leaf) = tree.nodes[node] {
                self.leaves[start + at - size] = flat.payload[leaf];
            }
        }
    }

    /// Walks all trees with every row; a few trees stay in the cache for all rows.
    pub(super) fn walk<S: Sink<T>>(&self, rows: &[[T; SLOTS]], sink: &mut S) {
        match self.depth {
            1 => self.walk_deep::<1, 2, S>(rows, sink),
            2 => self.walk_deep::<2, 4, S>(rows, sink),
            3 => self.walk_deep::<3, 8, S>(rows, sink),
            4 => self.walk_deep::<4, 16, S>(rows, sink),
            5 => self.walk_deep::<5, 32, S>(rows, sink),
            6 => self.walk_deep::<6, 64, S>(rows, sink),
            7 => self.walk_deep::<7, 128, S>(rows, sink),
            _ => self.walk_deep::<8, 256, S>(rows, sink),
        }
    }

    fn walk_deep<const DEPTH: usize, const SIZE: usize, S: Sink<T>>(
        &self,
        rows: &[[T; SLOTS]],
        sink: &mut S,
    ) {
        let (thresholds, _) = self.thresholds.as_chunks::<SIZE>();
        let (slots, _) = self.slots.as_chunks::<SIZE>();
        let (leaves, _) = self.leaves.as_chunks::<SIZE>();
        let (thresholds, last_thresholds) = thresholds.as_chunks::<LANES>();
        let (slots, last_slots) = slots.as_chunks::<LANES>();
        let (leaves, last_leaves) = leaves.as_chunks::<LANES>();
        let mut tree = 0;
        for ((thresholds, slots), leaves) in thresholds.iter().zip(slots).zip(leaves) {
            for (row, x) in rows.iter().enumerate() {
                let mut at = [1usize; LANES];
                for _ in 0..DEPTH {
                    for lane in 0..LANES {
                        at[lane] = step(&thresholds[lane], &slots[lane], x, at[lane]);
                    }
                }
                for lane in 0..LANES {
                    sink.take(row, tree + lane, leaves[lane][at[lane] & (SIZE - 1)]);
                }
            }
            tree += LANES;
        }
        for ((thresholds, slots), leaves) in last_thresholds.iter().zip(last_slots).zip(last_leaves)
        {
            for (row, x) in rows.iter().enumerate() {
                let at = (0..DEPTH).fold(1, |at, _| step(thresholds, slots, x, at));
                sink.take(row, tree, leaves[at & (SIZE - 1)]);
            }
            tree += 1;
        }
    }
}

/// Goes down one level of a heap.
#[inline(always)]
fn step<T: Real, const SIZE: usize>(
    thresholds: &[T; SIZE],
    slots: &[u8; SIZE],
    x: &[T; SLOTS],
    at: usize,
) -> usize {
    let at = at & (SIZE - 1);
    2 * at + usize::from(x[usize::from(slots[at])] <= thresholds[at])
}

fn only_at_most<T>(tree: &FlatTree<T>) -> bool {
    tree.nodes.iter().all(|node| {
        matches!(
            node,
            FlatNode::Leaf(_)
                | FlatNode::Branch {
                    test: Test::Leq(_),
                    ..
                }
        )
    })
}
