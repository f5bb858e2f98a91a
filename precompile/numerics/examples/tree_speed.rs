//! Times packed tree ensembles against a plain walk: `cargo run --release --example tree_speed`.

use assay_numerics::Engine;
use assay_numerics::tree::{Aggregate, Branch, Compare, Ensemble, EnsembleSpec, Node, Weight};
use std::hint::black_box;
use std::time::Instant;

const FEATURES: usize = 30;

/// Is a xorshift generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }
}

/// Grows a tree by splitting leaves at random (as leaf-wise learners do) or level by level.
fn grow(spec: &mut EnsembleSpec<f32>, leaves: usize, level_by_level: bool, random: &mut Random) {
    let root = spec.nodes.len();
    spec.roots.push(root);
    spec.nodes.push(Node::Leaf(0..0));
    let mut open = vec![root];
    while open.len() < leaves {
        let at = if level_by_level {
            open.remove(0)
        } else {
            let i = random.next() as usize % open.len();
            open.swap_remove(i)
        };
        let on_true = spec.nodes.len();
        spec.nodes.extend([Node::Leaf(0..0), Node::Leaf(0..0)]);
        open.extend([on_true, on_true + 1]);
        spec.nodes[at] = Node::Branch(Branch {
            compare: Compare::Leq,
            feature: random.next() as usize % FEATURES,
            threshold: random.unit(),
            set: 0,
            missing_true: random.unit() < 0.5,
            on_true,
            on_false: on_true + 1,
        });
    }
    for at in open {
        let first = spec.weights.len();
        spec.weights.push(Weight {
            target: 0,
            value: random.unit() - 0.5,
        });
        spec.nodes[at] = Node::Leaf(first..first + 1);
    }
}

fn plain(spec: &EnsembleSpec<f32>, x: &[f32]) -> f32 {
    let mut sum = 0.0;
    for root in &spec.roots {
        let mut at = *root;
        let leaf = loop {
            match &spec.nodes[at] {
                Node::Leaf(range) => break range.start,
                Node::Branch(b) => {
                    let x = x[b.feature];
                    let holds = x <= b.threshold || (b.missing_true && x.is_nan());
                    at = if holds { b.on_true } else { b.on_false };
                }
            }
        };
        sum += spec.weights[leaf].value;
    }
    sum
}

/// Returns the median time of a row, in microseconds.
fn time(rows_per_call: usize, mut call: impl FnMut(usize)) -> f64 {
    let mut times: Vec<f64> = (0..41)
        .map(|_| {
            let start = Instant::now();
            (0..200).for_each(&mut call);
            start.elapsed().as_secs_f64() * 1e6 / (200 * rows_per_call) as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let engine = Engine::single();
    let mut random = Random(88_172_645_463_325_252);
    println!("trees leaves shape        plain us   row us  ratio   row of 256 us  ratio");
    for (trees, leaves, level_by_level) in [
        (100, 64, true),
        (500, 64, true),
        (100, 31, false),
        (500, 31, false),
        (100, 2000, false),
    ] {
        let mut spec = EnsembleSpec {
            nodes: Vec::new(),
            roots: Vec::new(),
            weights: Vec::new(),
            sets: Vec::new(),
            targets: 1,
            aggregate: Aggregate::Sum,
            base: Vec::new(),
        };
        (0..trees).for_each(|_| grow(&mut spec, leaves, level_by_level, &mut random));
        let packed = Ensemble::pack(&spec).expect("grown trees are trees");
        let x: Vec<f32> = (0..256 * FEATURES).map(|_| random.unit()).collect();
        let rows: Vec<&[f32]> = x.chunks(FEATURES).collect();
        let plain_us = time(1, |i| {
            black_box(plain(&spec, black_box(rows[i % 256])));
        });
        let mut out = [0.0; 256];
        let row_us = time(1, |i| {
            packed.scores(
                &engine,
                black_box(rows[i % 256]),
                FEATURES,
                1,
                &mut out[..1],
            );
            black_box(&out);
        });
        let batch_us = time(256, |_| {
            packed.scores(&engine, black_box(&x), FEATURES, 256, &mut out);
            black_box(&out);
        });
        let shape = if level_by_level {
            "balanced"
        } else {
            "leaf-wise"
        };
        println!(
            "{trees:5} {leaves:6} {shape:10} {plain_us:10.2} {row_us:8.2} {:6.2} {batch_us:15.2} {:6.2}",
            plain_us / row_us,
            plain_us / batch_us
        );
    }
}
