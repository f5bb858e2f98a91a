//! Random ensembles of every kind against the naive walk, and every refusal.

use super::*;
use crate::engine::Engine;
use crate::isa::Isa;

/// Is a xorshift generator: tests must not change from run to run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// Draws from few values, so that equality and the special ones occur.
trait Draw: Real + Feature<Self> {
    fn draw(random: &mut Random) -> Self;
    fn bits(self) -> u64;
}

macro_rules! impl_draw {
    ($t:ty) => {
        impl Draw for $t {
            fn draw(random: &mut Random) -> Self {
                match random.below(40) {
                    0 => <$t>::NEG_INFINITY,
                    1 => <$t>::INFINITY,
                    2 => -0.0,
                    3 => <$t>::MIN_POSITIVE / 4.0,
                    4 => <$t>::MAX,
                    _ => (random.below(64) as $t - 32.0) / 8.0,
                }
            }

            fn bits(self) -> u64 {
                self.to_bits().into()
            }
        }
    };
}
impl_draw!(f32);
impl_draw!(f64);

#[derive(Clone, Copy)]
struct Kind {
    compares: &'static [Compare],
    features: usize,
    targets: usize,
    weights_per_leaf: usize,
    max_depth: usize,
    /// Is the chance, in percent, that a node above the maximal depth is a leaf.
    leaf_percent: usize,
}

const ORDERED: &[Compare] = &[Compare::Leq, Compare::Lt, Compare::Gte, Compare::Gt];
const ALL: &[Compare] = &[
    Compare::Leq,
    Compare::Lt,
    Compare::Gte,
    Compare::Gt,
    Compare::Eq,
    Compare::Neq,
    Compare::Member,
];

fn grow<T: Draw>(
    spec: &mut EnsembleSpec<T>,
    kind: Kind,
    depth: usize,
    random: &mut Random,
) -> usize {
    if depth >= kind.max_depth || random.below(100) < kind.leaf_percent {
        let first = spec.weights.len();
        for _ in 0..kind.weights_per_leaf {
            let target = random.below(kind.targets);
            let value = T::draw(random);
            spec.weights.push(Weight { target, value });
        }
        spec.nodes.push(Node::Leaf(first..spec.weights.len()));
        return spec.nodes.len() - 1;
    }
    let on_true = grow(spec, kind, depth + 1, random);
    let on_false = grow(spec, kind, depth + 1, random);
    let compare = kind.compares[random.below(kind.compares.len())];
    let set = spec.sets.len();
    if compare == Compare::Member {
        let len = random.below(6);
        spec.sets.push((0..len).map(|_| T::draw(random)).collect());
    }
    spec.nodes.push(Node::Branch(Branch {
        compare,
        feature: random.below(kind.features),
        threshold: T::draw(random),
        set,
        missing_true: random.below(2) == 0,
        on_true,
        on_false,
    }));
    spec.nodes.len() - 1
}

fn forest<T: Draw>(
    kind: Kind,
    trees: usize,
    aggregate: Aggregate,
    random: &mut Random,
) -> EnsembleSpec<T> {
    let mut spec = EnsembleSpec {
        nodes: Vec::new(),
        roots: Vec::new(),
        weights: Vec::new(),
        sets: Vec::new(),
        targets: kind.targets,
        aggregate,
        base: (0..kind.targets).map(|_| T::draw(random)).collect(),
    };
    for _ in 0..trees {
        let root = grow(&mut spec, kind, 0, random);
        spec.roots.push(root);
    }
    spec
}

fn check<T: Draw>(spec: &EnsembleSpec<T>, rows: usize, random: &mut Random) {
    let packed = Ensemble::pack(spec).expect("a tree grown here is a tree");
    let columns = packed.features() + 1;
    let x: Vec<T> = (0..rows * columns)
        .map(|_| {
            if random.below(9) == 0 {
                T::NAN
            } else {
                T::draw(random)
            }
        })
        .collect();
    let want: Vec<u64> = x
        .chunks(columns)
        .flat_map(|row| oracle::scores(spec, row))
        .map(Draw::bits)
        .collect();
    for engine in [Engine::new(Isa::Portable, 1), Engine::new(Isa::detect(), 3)] {
        let mut out = vec![T::NAN; rows * spec.targets];
        packed.scores(&engine, &x, columns, rows, &mut out);
        let got: Vec<u64> = out.into_iter().map(Draw::bits).collect();
        assert_eq!(got, want, "{rows} rows");
    }
}

fn check_kind(kind: Kind, trees: usize) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for aggregate in [
        Aggregate::Sum,
        Aggregate::Average,
        Aggregate::Min,
        Aggregate::Max,
    ] {
        let spec = forest::<f32>(kind, trees, aggregate, &mut random);
        for rows in [0, 1, 7, 8, 9, 70] {
            check(&spec, rows, &mut random);
        }
        let spec = forest::<f64>(kind, trees, aggregate, &mut random);
        for rows in [1, 19] {
            check(&spec, rows, &mut random);
        }
    }
}

#[test]
fn heaps_of_every_depth_give_the_naive_scores() {
    for max_depth in 0..=9 {
        check_kind(
            Kind {
                compares: ORDERED,
                features: 12,
                targets: 1,
                weights_per_leaf: 1,
                max_depth,
                leaf_percent: 6,
            },
            21,
        );
    }
}

#[test]
fn links_give_the_naive_scores() {
    for features in [3, 200, 400] {
        check_kind(
            Kind {
                compares: ORDERED,
                features,
                targets: 1,
                weights_per_leaf: 1,
                max_depth: 25,
                leaf_percent: 42,
            },
            37,
        );
    }
}

#[test]
fn all_comparisons_together_give_the_naive_scores() {
    for max_depth in [3, 14] {
        check_kind(
            Kind {
                compares: ALL,
                features: 9,
                targets: 1,
                weights_per_leaf: 1,
                max_depth,
                leaf_percent: 20,
            },
            40,
        );
    }
}

#[test]
fn leaves_of_several_targets_give_the_naive_scores() {
    for (weights_per_leaf, max_depth) in [(0, 3), (1, 4), (3, 5), (4, 16)] {
        check_kind(
            Kind {
                compares: ORDERED,
                features: 9,
                targets: 3,
                weights_per_leaf,
                max_depth,
                leaf_percent: 20,
            },
            40,
        );
    }
}

#[test]
fn trees_of_one_target_each_give_the_naive_scores() {
    let mut random = Random(77);
    let kind = Kind {
        compares: ORDERED,
        features: 9,
        targets: 1,
        weights_per_leaf: 1,
        max_depth: 6,
        leaf_percent: 5,
    };
    let mut spec = forest::<f32>(kind, 30, Aggregate::Sum, &mut random);
    spec.targets = 4;
    spec.base = vec![0.5; 4];
    let mut first = 0;
    for (tree, root) in spec.roots.iter().enumerate() {
        // Nodes lie in post-order, so a tree is what lies up to its root.
        for node in &spec.nodes[first..=*root] {
            if let Node::Leaf(range) = node {
                spec.weights[range.start].target = tree % 4;
            }
        }
        first = root + 1;
    }
    for rows in [1, 8, 33] {
        check(&spec, rows, &mut random);
    }
}

fn leaf() -> Node<f32> {
    Node::Leaf(0..1)
}

fn branch(on_true: usize, on_false: usize) -> Branch<f32> {
    Branch {
        compare: Compare::Leq,
        feature: 0,
        threshold: 1.0,
        set: 0,
        missing_true: false,
        on_true,
        on_false,
    }
}

fn small(nodes: Vec<Node<f32>>, roots: Vec<usize>) -> EnsembleSpec<f32> {
    EnsembleSpec {
        nodes,
        roots,
        weights: vec![Weight {
            target: 0,
            value: 2.0,
        }],
        sets: Vec::new(),
        targets: 1,
        aggregate: Aggregate::Sum,
        base: Vec::new(),
    }
}

#[test]
fn refuses_what_is_no_tree() {
    let node = |on_true, on_false| Node::Branch(branch(on_true, on_false));
    let refuse = |nodes, roots| Ensemble::pack(&small(nodes, roots)).unwrap_err();
    assert_eq!(refuse(vec![leaf()], vec![]), SpecError::NoTrees);
    let cycle = refuse(vec![node(1, 2), node(0, 2), leaf()], vec![0]);
    assert!(matches!(cycle, SpecError::ReachedTwice { .. }), "{cycle}");
    let itself = refuse(vec![node(0, 1), leaf()], vec![0]);
    assert_eq!(itself, SpecError::ReachedTwice { node: 0 });
    let shared = refuse(vec![node(1, 1), leaf()], vec![0]);
    assert_eq!(shared, SpecError::ReachedTwice { node: 1 });
    let orphan = refuse(vec![leaf(), leaf()], vec![0]);
    assert_eq!(orphan, SpecError::Unreached { node: 1 });
    let outside = refuse(vec![node(1, 7), leaf()], vec![0]);
    assert!(matches!(outside, SpecError::OutOfRange { found: 7, .. }));
    let root = refuse(vec![leaf()], vec![3]);
    assert!(matches!(root, SpecError::OutOfRange { what: "root", .. }));
}

#[test]
fn refuses_a_tree_beyond_the_depth_limit() {
    let deep = |branches: usize| {
        let mut nodes: Vec<_> = (0..branches)
            .flat_map(|i| [Node::Branch(branch(2 * i + 1, 2 * i + 2)), leaf()])
            .collect();
        nodes.push(leaf());
        // Order: branch i at 2i, its true leaf at 2i + 1, the next branch at 2i + 2.
        Ensemble::pack(&small(nodes, vec![0]))
    };
    assert_eq!(deep(MAX_DEPTH).expect("at the limit").depth(), MAX_DEPTH);
    let error = deep(MAX_DEPTH + 1).unwrap_err();
    assert_eq!(error, SpecError::TooDeep { tree: 0 });
}

#[test]
fn refuses_numbers_that_are_none_and_indices_out_of_range() {
    let refuse = |change: &dyn Fn(&mut EnsembleSpec<f32>)| {
        let mut spec = small(vec![Node::Branch(branch(1, 2)), leaf(), leaf()], vec![0]);
        Ensemble::pack(&spec).expect("right before the change");
        change(&mut spec);
        Ensemble::pack(&spec).unwrap_err()
    };
    let with = |change: fn(&mut Branch<f32>)| {
        refuse(&|spec| {
            let mut changed = branch(1, 2);
            change(&mut changed);
            spec.nodes[0] = Node::Branch(changed);
        })
    };
    let threshold = with(|branch| branch.threshold = f32::NAN);
    assert!(matches!(threshold, SpecError::NotANumber { at: 0, .. }));
    let feature = with(|branch| branch.feature = usize::MAX);
    assert!(matches!(
        feature,
        SpecError::OutOfRange {
            what: "feature",
            ..
        }
    ));
    let set = with(|branch| branch.compare = Compare::Member);
    assert!(matches!(set, SpecError::OutOfRange { what: "set", .. }));
    let weight = refuse(&|spec| spec.weights[0].value = f32::NAN);
    assert!(matches!(weight, SpecError::NotANumber { .. }));
    let target = refuse(&|spec| spec.weights[0].target = 1);
    assert!(matches!(
        target,
        SpecError::OutOfRange { what: "target", .. }
    ));
    let range = refuse(&|spec| spec.nodes[1] = Node::Leaf(0..2));
    assert!(matches!(range, SpecError::OutOfRange { found: 2, .. }));
    let base = refuse(&|spec| spec.base = vec![0.0; 2]);
    assert_eq!(
        base,
        SpecError::BaseCount {
            found: 2,
            targets: 1
        }
    );
}

#[test]
fn charges_trees_times_depth() {
    let spec = small(
        vec![Node::Branch(branch(1, 2)), leaf(), leaf(), leaf()],
        vec![0, 3],
    );
    let packed = Ensemble::pack(&spec).expect("two trees");
    assert_eq!(
        (packed.trees(), packed.depth(), packed.features()),
        (2, 1, 1)
    );
    assert_eq!(packed.steps_per_row(), 2);
}

#[test]
fn doubles_meet_the_thresholds_of_an_f32_ensemble_exactly() {
    let mut random = Random(5);
    let kind = Kind {
        compares: ORDERED,
        features: 4,
        targets: 1,
        weights_per_leaf: 1,
        max_depth: 5,
        leaf_percent: 10,
    };
    let narrow = forest::<f32>(kind, 12, Aggregate::Sum, &mut random);
    let widen = |node: &Node<f32>| match node {
        Node::Leaf(range) => Node::Leaf(range.clone()),
        Node::Branch(b) => Node::Branch(Branch {
            compare: b.compare,
            feature: b.feature,
            threshold: f64::from(b.threshold),
            set: b.set,
            missing_true: b.missing_true,
            on_true: b.on_true,
            on_false: b.on_false,
        }),
    };
    // Whole leaves, so that sums are exact in both types.
    let value = |i: usize| i as f32;
    let weigh = |i| Weight {
        target: 0,
        value: value(i),
    };
    let narrow = EnsembleSpec {
        weights: (0..narrow.weights.len()).map(weigh).collect(),
        base: Vec::new(),
        ..narrow
    };
    let wide = EnsembleSpec {
        nodes: narrow.nodes.iter().map(widen).collect(),
        roots: narrow.roots.clone(),
        weights: (0..narrow.weights.len())
            .map(|i| Weight {
                target: 0,
                value: f64::from(value(i)),
            })
            .collect(),
        sets: Vec::new(),
        targets: 1,
        aggregate: Aggregate::Sum,
        base: Vec::new(),
    };
    let packed = Ensemble::pack(&narrow).expect("trees");
    assert!(!packed.asks_equality());
    let (columns, rows) = (packed.features(), 50);
    let x: Vec<f64> = (0..columns * rows)
        .map(|i| {
            let x = f64::draw(&mut random);
            [x, x.next_up(), x.next_down(), f64::NAN][i % 4]
        })
        .collect();
    let mut out = vec![0.0; rows];
    packed.scores(&Engine::single(), &x, columns, rows, &mut out);
    for (row, got) in x.chunks(columns).zip(out) {
        assert_eq!(f64::from(got), oracle::scores(&wide, row)[0]);
    }
}
