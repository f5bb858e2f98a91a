//! A packed ensemble and the computation of its scores.

use super::aggregate::{AddSingle, Aggregate, Combine, Sink};
use super::complete::{Complete, SLOTS};
use super::linked::{AnyTest, AtMost, Linked, Sets};
use super::normal::{Flat, Source};
use super::spec::MAX_INDEX;
use super::{EnsembleSpec, Feature, Leaves, Node, Real, SpecError};
use crate::engine::Engine;

/// Is the number of steps below which rows are not handed to other threads.
const STEPS_PER_THREAD: usize = 1 << 14;

/// Is how many rows are walked while a few trees are in the cache.
const BLOCK: usize = 16;

/// Holds an ensemble that was checked and laid out for walking.
#[derive(Debug)]
pub struct Ensemble<T> {
    layout: Layout<T>,
    sources: Vec<Source>,
    leaves: Leaves<T>,
    trees: usize,
    depth: usize,
    steps: usize,
    weights: usize,
    asks_equality: bool,
    features: usize,
    targets: usize,
    aggregate: Aggregate,
    base: Vec<T>,
}

#[derive(Debug)]
enum Layout<T> {
    Complete(Complete<T>),
    Compact(Linked<T, AtMost<T, u16>>),
    Wide(Linked<T, AtMost<T, u32>>),
    Any(Linked<T, AnyTest<T>>),
}

impl<T: Real> Ensemble<T> {
    /// Checks an ensemble and lays it out.
    pub fn pack(spec: &EnsembleSpec<T>) -> Result<Self, SpecError> {
        let flat = Flat::new(spec)?;
        let trees = flat.trees.len();
        let depth = flat.trees.iter().map(|tree| tree.depth).max().unwrap_or(0);
        let features = flat.sources.iter().map(|source| source.feature + 1).max();
        let largest_set = spec.sets.iter().map(Vec::len).max().unwrap_or(0);
        let steps_per_branch = 1 + (usize::BITS - largest_set.leading_zeros()) as usize;
        let largest_leaf = spec.nodes.iter().map(Node::weights).max().unwrap_or(0);
        Ok(Self {
            layout: Layout::new(&flat, spec)?,
            steps: trees
                .saturating_mul(depth.max(1))
                .saturating_mul(steps_per_branch),
            weights: trees.saturating_mul(largest_leaf),
            asks_equality: spec.nodes.iter().any(Node::asks_equality),
            depth,
            trees,
            features: features.unwrap_or(0),
            sources: flat.sources,
            leaves: flat.leaves,
            targets: spec.targets,
            aggregate: spec.aggregate,
            base: spec.base.clone(),
        })
    }

    /// Returns the number of columns a row must have at least.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Returns the number of scores of a row.
    pub fn targets(&self) -> usize {
        self.targets
    }

    /// Tells whether some branch asks for equality or membership. f64 features can be compared
    /// with f32 thresholds only where none does.
    pub fn asks_equality(&self) -> bool {
        self.asks_equality
    }

    /// Returns the number of trees.
    pub fn trees(&self) -> usize {
        self.trees
    }

    /// Returns the branches on the longest way from a root to a leaf.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Returns the steps a row may take at most: what its computation is charged by. A search in a
    /// set counts as the steps of its bisection.
    pub fn steps_per_row(&self) -> usize {
        self.steps
    }

    /// Returns the leaf weights a row may add at most.
    pub fn weights_per_row(&self) -> usize {
        self.weights
    }

    /// Computes the scores of rows of `columns` features each.
    ///
    /// # Panics
    /// Panics when a row has too few columns or a slice is not `rows` rows long.
    // Spec: N-13
    pub fn scores<X: Feature<T>>(
        &self,
        engine: &Engine,
        x: &[X],
        columns: usize,
        rows: usize,
        out: &mut [T],
    ) {
        assert!(columns >= self.features, "rows have too few columns");
        assert!(x.len() == columns * rows, "the input is not `rows` rows");
        assert!(
            out.len() == self.targets * rows,
            "the output is not `rows` rows"
        );
        if rows == 0 || self.targets == 0 {
            return;
        }
        let threads = engine.pool().threads();
        let rows_per_piece = if self.steps_per_row().saturating_mul(rows) < STEPS_PER_THREAD {
            rows
        } else {
            rows.div_ceil(threads).next_multiple_of(BLOCK)
        };
        let piece = rows_per_piece * self.targets;
        engine.pool().run_pieces(out, piece, |i, out| {
            let first = i * rows_per_piece;
            let rows = out.len() / self.targets;
            self.piece(&x[first * columns..(first + rows) * columns], columns, out);
        });
    }

    /// Computes rows in blocks.
    fn piece<X: Feature<T>>(&self, x: &[X], columns: usize, out: &mut [T]) {
        let rows = out.len() / self.targets;
        let width = self.sources.len() + 1;
        if width <= SLOTS && rows == 1 {
            let mut slots = [T::NAN; SLOTS];
            self.load(x, &mut slots);
            return self.combine(&slots, SLOTS, out);
        }
        let width = width.max(SLOTS);
        let mut slots = vec![T::NAN; width * rows.min(BLOCK)];
        for first in (0..rows).step_by(BLOCK) {
            let block = first..(first + BLOCK).min(rows);
            let slots = &mut slots[..width * block.len()];
            for (row, slots) in block.clone().zip(slots.chunks_mut(width)) {
                self.load(&x[row * columns..(row + 1) * columns], slots);
            }
            let out = &mut out[block.start * self.targets..block.end * self.targets];
            self.combine(slots, width, out);
        }
    }

    /// Fills the slots of a row from its features; slot 0 stays NaN.
    fn load<X: Feature<T>>(&self, x: &[X], slots: &mut [T]) {
        for (slot, source) in slots[1..].iter_mut().zip(&self.sources) {
            let value = x[source.feature].slot(source.strict);
            *slot = if source.missing_low && value.is_nan() {
                T::NEG_INFINITY
            } else {
                value
            };
        }
    }

    /// Walks rows, each `width` slots long, and adds up what they reach.
    fn combine(&self, rows: &[T], width: usize, out: &mut [T]) {
        out.fill(T::ZERO);
        let sums = matches!(self.aggregate, Aggregate::Sum | Aggregate::Average);
        if sums && matches!(self.leaves, Leaves::Single) {
            self.layout.walk(rows, width, &mut AddSingle(out));
        } else {
            let mut seen = vec![false; if sums { 0 } else { out.len() }];
            let mut sink = Combine {
                aggregate: self.aggregate,
                leaves: &self.leaves,
                targets: self.targets,
                scores: out,
                seen: &mut seen,
            };
            self.layout.walk(rows, width, &mut sink);
        }
        self.finish(out);
    }

    /// Divides by the number of trees, adds the base values, and makes NaN canonical.
    fn finish(&self, out: &mut [T]) {
        for row in out.chunks_mut(self.targets) {
            for (target, score) in row.iter_mut().enumerate() {
                if self.aggregate == Aggregate::Average {
                    *score = score.div_count(self.trees);
                }
                if let Some(base) = self.base.get(target) {
                    *score = score.add(*base);
                }
                if score.is_nan() {
                    *score = T::NAN;
                }
            }
        }
    }
}

impl<T: Real> Layout<T> {
    /// Chooses the fastest layout that can say the trees.
    fn new(flat: &Flat<T>, spec: &EnsembleSpec<T>) -> Result<Self, SpecError> {
        if let Some(trees) = Complete::new(flat) {
            return Ok(Self::Complete(trees));
        }
        if let Some(trees) = Linked::new(flat, Sets::new(&[])) {
            return Ok(Self::Compact(trees));
        }
        if let Some(trees) = Linked::new(flat, Sets::new(&[])) {
            return Ok(Self::Wide(trees));
        }
        Linked::new(flat, Sets::new(&spec.sets))
            .map(Self::Any)
            .ok_or(SpecError::TooMany {
                what: "nodes",
                found: spec.nodes.len(),
                limit: MAX_INDEX,
            })
    }

    fn walk<S: Sink<T>>(&self, rows: &[T], width: usize, sink: &mut S) {
        match self {
            // Heaps read at most `SLOTS` slots, so their rows are exactly that wide.
            Self::Complete(trees) => trees.walk(rows.as_chunks().0, sink),
            Self::Compact(trees) => trees.walk(rows, width, sink),
            Self::Wide(trees) => trees.walk(rows, width, sink),
            Self::Any(trees) => trees.walk(rows, width, sink),
        }
    }
}
