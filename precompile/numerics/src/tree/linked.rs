//! Trees of any shape: a node names its two neighbouring children by their distance.
//!
//! A leaf is a node that stays where it is: its distance is 0 and its slot holds NaN, so its test
//! fails. Lanes that reached a leaf wait there for the others.

use super::Real;
use super::aggregate::Sink;
use super::complete::SLOTS;
use super::normal::{Flat, FlatNode, Test};
use std::ops::Range;

/// Is how many trees are walked in step.
pub(super) const LANES: usize = 8;

/// Is how many steps are taken between looks at whether all lanes reached a leaf.
const STRIDE: usize = 4;

/// Is a row's slots; an array of [`SLOTS`] spares checking every index.
pub(super) trait Row<T>: Copy {
    /// Reads a slot.
    fn at(self, slot: usize) -> T;
}

impl<T: Copy> Row<T> for &[T] {
    #[inline(always)]
    fn at(self, slot: usize) -> T {
        self[slot]
    }
}

impl<T: Copy> Row<T> for &[T; SLOTS] {
    #[inline(always)]
    fn at(self, slot: usize) -> T {
        // Rows are this narrow only where every slot is below `SLOTS`: the mask changes nothing.
        self[slot % SLOTS]
    }
}

/// Is a node that knows how far the next one is.
pub(super) trait Link<T>: Copy {
    /// Makes a node; `None` when a number does not fit its fields, or the test is of another kind.
    fn branch(test: Test<T>, slot: u32, distance: u32, sets: &Sets<T>) -> Option<Self>;
    /// Makes a leaf.
    fn leaf(payload: T) -> Self;
    /// Returns the distance to the next node on the way of the row `x`, 0 from a leaf.
    fn distance<R: Row<T>>(&self, x: R, sets: &Sets<T>) -> usize;
    /// Tells whether the node is a leaf.
    fn is_leaf(&self) -> bool;
    /// Returns what a leaf holds.
    fn payload(&self) -> T;
}

/// Is a node that asks `x <= t`, with indices of type `I`.
#[derive(Clone, Copy, Debug)]
pub(super) struct AtMost<T, I> {
    value: T,
    slot: I,
    distance: I,
}

impl<T: Real, I: Copy + TryFrom<u32> + TryInto<usize> + PartialEq + Default> Link<T>
    for AtMost<T, I>
{
    fn branch(test: Test<T>, slot: u32, distance: u32, _sets: &Sets<T>) -> Option<Self> {
        let Test::Leq(value) = test else { return None };
        Some(Self {
            value,
            slot: I::try_from(slot).ok()?,
            distance: I::try_from(distance).ok()?,
        })
    }

    fn leaf(payload: T) -> Self {
        Self {
            value: payload,
            slot: I::default(),
            distance: I::default(),
        }
    }

    #[inline(always)]
    fn distance<R: Row<T>>(&self, x: R, _sets: &Sets<T>) -> usize {
        index(self.distance) + usize::from(x.at(index(self.slot)) <= self.value)
    }

    #[inline(always)]
    fn is_leaf(&self) -> bool {
        self.distance == I::default()
    }

    #[inline(always)]
    fn payload(&self) -> T {
        self.value
    }
}

#[inline(always)]
fn index<I: TryInto<usize>>(i: I) -> usize {
    // An index was at most u32::MAX when the node was made: this never takes the default.
    i.try_into().unwrap_or_default()
}

/// Is a node that asks any of the three questions.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnyTest<T> {
    value: T,
    slot: u32,
    distance: u32,
    ask: Ask,
}

#[derive(Clone, Copy, Debug)]
enum Ask {
    Leq,
    Eq { missing: bool },
    In { first: u32, end: u32, missing: bool },
}

/// Holds the values of all sets, each sorted.
#[derive(Clone, Debug)]
pub(super) struct Sets<T> {
    values: Vec<T>,
    ranges: Vec<Range<u32>>,
}

impl<T: Real> Sets<T> {
    /// Sorts the sets; their values were checked not to be NaN.
    pub(super) fn new(sets: &[Vec<T>]) -> Self {
        let mut values = Vec::new();
        let ranges = sets.iter().map(|set| {
            let first = values.len();
            values.extend_from_slice(set);
            values[first..].sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
            first as u32..values.len() as u32
        });
        let ranges = ranges.collect();
        Self { values, ranges }
    }

    fn holds(&self, first: u32, end: u32, x: T) -> bool {
        let set = &self.values[first as usize..end as usize];
        let at = set.partition_point(|value| *value < x);
        set.get(at).is_some_and(|value| *value == x)
    }
}

impl<T: Real> Link<T> for AnyTest<T> {
    fn branch(test: Test<T>, slot: u32, distance: u32, sets: &Sets<T>) -> Option<Self> {
        let (value, ask) = match test {
            Test::Leq(value) => (value, Ask::Leq),
            Test::Eq(value, missing) => (value, Ask::Eq { missing }),
            Test::In(set, missing) => {
                let range = match set {
                    Some(set) => sets.ranges.get(set)?.clone(),
                    None => 0..0,
                };
                let (first, end) = (range.start, range.end);
                (
                    T::NAN,
                    Ask::In {
                        first,
                        end,
                        missing,
                    },
                )
            }
        };
        Some(Self {
            value,
            slot,
            distance,
            ask,
        })
    }

    fn leaf(payload: T) -> Self {
        Self {
            value: payload,
            slot: 0,
            distance: 0,
            ask: Ask::Leq,
        }
    }

    #[inline(always)]
    fn distance<R: Row<T>>(&self, x: R, sets: &Sets<T>) -> usize {
        let x = x.at(self.slot as usize);
        let holds = match self.ask {
            Ask::Leq => x <= self.value,
            Ask::Eq { missing } => x == self.value || (missing && x.is_nan()),
            Ask::In {
                first,
                end,
                missing,
            } => sets.holds(first, end, x) || (missing && x.is_nan()),
        };
        self.distance as usize + usize::from(holds)
    }

    #[inline(always)]
    fn is_leaf(&self) -> bool {
        self.distance == 0
    }

    #[inline(always)]
    fn payload(&self) -> T {
        self.value
    }
}

/// Holds trees, their nodes one after the other.
#[derive(Debug)]
pub(super) struct Linked<T, N> {
    nodes: Vec<N>,
    roots: Vec<u32>,
    depths: Vec<u32>,
    sets: Sets<T>,
}

impl<T: Real, N: Link<T>> Linked<T, N> {
    /// Lays trees out; `None` when a node cannot be said as an `N`.
    pub(super) fn new(flat: &Flat<T>, sets: Sets<T>) -> Option<Self> {
        let mut packed = Self {
            nodes: Vec::with_capacity(flat.trees.iter().map(|tree| tree.nodes.len()).sum()),
            roots: Vec::with_capacity(flat.trees.len()),
            depths: flat.trees.iter().map(|tree| tree.depth as u32).collect(),
            sets,
        };
        for tree in &flat.trees {
            packed.roots.push(u32::try_from(packed.nodes.len()).ok()?);
            for (at, node) in tree.nodes.iter().enumerate() {
                packed.nodes.push(match *node {
                    FlatNode::Leaf(leaf) => N::leaf(flat.payload[leaf]),
                    FlatNode::Branch { test, slot, child } => {
                        N::branch(test, slot, child - at as u32, &packed.sets)?
                    }
                });
            }
        }
        Some(packed)
    }

    /// Walks all trees with every row, each `width` slots long; a few trees stay in the cache for
    /// all rows.
    pub(super) fn walk<S: Sink<T>>(&self, rows: &[T], width: usize, sink: &mut S) {
        if width == SLOTS {
            self.walk_rows(rows.as_chunks::<SLOTS>().0.iter(), sink);
        } else {
            self.walk_rows(rows.chunks_exact(width), sink);
        }
    }

    fn walk_rows<R: Row<T>, S: Sink<T>>(
        &self,
        rows: impl Iterator<Item = R> + Clone,
        sink: &mut S,
    ) {
        let (roots, last_roots) = self.roots.as_chunks::<LANES>();
        let (depths, last_depths) = self.depths.as_chunks::<LANES>();
        let mut tree = 0;
        for (roots, depths) in roots.iter().zip(depths) {
            let depth = depths.iter().copied().max().unwrap_or(0);
            for (row, x) in rows.clone().enumerate() {
                let leaves = self.descend(*roots, x, depth);
                for (lane, leaf) in leaves.into_iter().enumerate() {
                    sink.take(row, tree + lane, leaf);
                }
            }
            tree += LANES;
        }
        for (root, depth) in last_roots.iter().zip(last_depths) {
            for (row, x) in rows.clone().enumerate() {
                let [leaf] = self.descend([*root], x, *depth);
                sink.take(row, tree, leaf);
            }
            tree += 1;
        }
    }

    /// Goes from each lane's root to its leaf in at most `depth` steps.
    #[inline(always)]
    fn descend<R: Row<T>, const L: usize>(&self, roots: [u32; L], x: R, depth: u32) -> [T; L] {
        let mut at = roots.map(|root| root as usize);
        let mut left = depth as usize;
        while left > STRIDE {
            for _ in 0..STRIDE {
                self.step(&mut at, x);
            }
            left -= STRIDE;
            if at.iter().all(|at| self.nodes[*at].is_leaf()) {
                left = 0;
            }
        }
        for _ in 0..left {
            self.step(&mut at, x);
        }
        at.map(|at| self.nodes[at].payload())
    }

    #[inline(always)]
    fn step<R: Row<T>, const L: usize>(&self, at: &mut [usize; L], x: R) {
        for at in at {
            *at += self.nodes[*at].distance(x, &self.sets);
        }
    }
}
