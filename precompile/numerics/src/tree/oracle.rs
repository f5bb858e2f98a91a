//! The naive walk that tests compare with: one row, one tree, one node at a time.

use super::{Aggregate, Branch, Compare, EnsembleSpec, Node, Real};

/// Computes the scores of one row straight from the specification.
pub(super) fn scores<T: Real>(spec: &EnsembleSpec<T>, x: &[T]) -> Vec<T> {
    let mut scores = vec![None; spec.targets];
    for root in &spec.roots {
        let mut at = *root;
        let range = loop {
            match &spec.nodes[at] {
                Node::Branch(branch) => at = follow(spec, branch, x[branch.feature]),
                Node::Leaf(range) => break range.clone(),
            }
        };
        for weight in &spec.weights[range] {
            let score = &mut scores[weight.target];
            *score = Some(match (spec.aggregate, *score) {
                (Aggregate::Sum | Aggregate::Average, old) => {
                    old.unwrap_or(T::ZERO).add(weight.value)
                }
                (Aggregate::Min, Some(old)) if weight.value < old => weight.value,
                (Aggregate::Max, Some(old)) if weight.value > old => weight.value,
                (_, Some(old)) => old,
                (_, None) => weight.value,
            });
        }
    }
    let finish = |(target, score): (usize, Option<T>)| {
        let mut score = score.unwrap_or(T::ZERO);
        if spec.aggregate == Aggregate::Average {
            score = score.div_count(spec.roots.len());
        }
        let score = spec.base.get(target).map_or(score, |base| score.add(*base));
        if score.is_nan() { T::NAN } else { score }
    };
    scores.into_iter().enumerate().map(finish).collect()
}

fn follow<T: Real>(spec: &EnsembleSpec<T>, branch: &Branch<T>, x: T) -> usize {
    let t = branch.threshold;
    let holds = match branch.compare {
        Compare::Leq => x <= t,
        Compare::Lt => x < t,
        Compare::Gte => x >= t,
        Compare::Gt => x > t,
        Compare::Eq => x == t,
        Compare::Neq => x != t,
        Compare::Member => spec.sets[branch.set].contains(&x),
    };
    if holds || (branch.missing_true && x.is_nan()) {
        branch.on_true
    } else {
        branch.on_false
    }
}
