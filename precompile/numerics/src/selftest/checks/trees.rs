//! Checks of tree ensembles.

use super::super::seed::{Digest, Seed};
use crate::engine::Engine;
use crate::tree::{Aggregate, Branch, Compare, Ensemble, EnsembleSpec, Node, Weight};

/// Grows a random tree below `depth` branches and returns its root.
fn grow(spec: &mut EnsembleSpec<f32>, seed: &mut Seed, depth: usize) -> usize {
    let at = spec.nodes.len();
    spec.nodes.push(Node::Leaf(0..0));
    if depth == 0 || seed.below(8) == 0 {
        let first = spec.weights.len();
        spec.weights.push(Weight {
            target: seed.below(spec.targets),
            value: seed.f32(),
        });
        spec.nodes[at] = Node::Leaf(first..first + 1);
        return at;
    }
    let compare = [Compare::Leq, Compare::Lt, Compare::Gte, Compare::Gt][seed.below(4)];
    let (feature, threshold) = (seed.below(12), seed.f32());
    let missing_true = seed.below(2) == 0;
    let on_true = grow(spec, seed, depth - 1);
    let on_false = grow(spec, seed, depth - 1);
    spec.nodes[at] = Node::Branch(Branch {
        compare,
        feature,
        threshold,
        set: 0,
        missing_true,
        on_true,
        on_false,
    });
    at
}

pub(super) fn trees(engine: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(17), Digest::new());
    for targets in [1, 3] {
        let mut spec = EnsembleSpec {
            nodes: Vec::new(),
            roots: Vec::new(),
            weights: Vec::new(),
            sets: Vec::new(),
            targets,
            aggregate: Aggregate::Sum,
            base: vec![0.25; targets],
        };
        for _ in 0..50 {
            let root = grow(&mut spec, &mut seed, 6);
            spec.roots.push(root);
        }
        let Ok(ensemble) = Ensemble::pack(&spec) else {
            return 0;
        };
        let mut x = seed.f32s(70 * 12);
        x.iter_mut().step_by(17).for_each(|v| *v = f32::NAN);
        let mut out = vec![0.0; 70 * targets];
        ensemble.scores(engine, &x, 12, 70, &mut out);
        digest.add_f32(&out);
        ensemble.scores(engine, &x[..12], 12, 1, &mut out[..targets]);
        digest.add_f32(&out[..targets]);
    }
    digest.value()
}
