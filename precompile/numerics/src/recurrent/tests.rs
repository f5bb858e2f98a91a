use super::*;
use crate::gemm::test_numbers as numbers;
use crate::isa::Isa;

const INPUT: usize = 5;
const HIDDEN: usize = 19;

fn small(seed: u32, len: usize) -> Vec<f32> {
    numbers(seed, len)
        .iter()
        .map(|x| (x / 100.0).clamp(-2.0, 2.0))
        .collect()
}

fn layer(cell: Cell) -> Layer<f32> {
    let width = cell.gates() * HIDDEN;
    let (w, r) = (small(1, width * INPUT), small(2, width * HIDDEN));
    let pack = |data: &[f32], columns: usize| {
        let rows = data.len() / columns;
        PackedB::new(Matrix::row_major(data, rows, columns).transposed())
    };
    let gru = matches!(cell, Cell::Gru { .. });
    let split = if gru { 2 * HIDDEN * HIDDEN } else { r.len() };
    let sigmoid_first = if cell == Cell::Rnn {
        Gate::Tanh
    } else {
        Gate::Sigmoid
    };
    Layer {
        cell,
        hidden: HIDDEN,
        input_weights: pack(&w, INPUT),
        hidden_weights: pack(&r[..split], HIDDEN),
        reset_weights: gru.then(|| pack(&r[split..], HIDDEN)),
        bias: Some([small(3, width), small(4, width)]),
        peephole: matches!(cell, Cell::Lstm { .. }).then(|| small(5, 3 * HIDDEN)),
        clip: Some(1.5),
        activations: [sigmoid_first, Gate::Tanh, Gate::Tanh],
    }
}

fn outputs(
    engine: &Engine,
    layer: &Layer<f32>,
    x: &[f32],
    lengths: &[usize],
    reverse: bool,
) -> (Vec<f32>, Vec<f32>) {
    let batch = lengths.len();
    let steps = x.len() / (batch * INPUT);
    let mut h = vec![0.25; batch * HIDDEN];
    let lstm = matches!(layer.cell, Cell::Lstm { .. });
    let mut c = vec![0.5; if lstm { batch * HIDDEN } else { 0 }];
    let mut y = vec![f32::NAN; steps * batch * HIDDEN];
    let (h_out, y_out) = (&mut h, &mut y);
    let mut s = Sequence {
        steps,
        batch,
        x,
        lengths,
        reverse,
        h: h_out,
        c: &mut c,
        y: y_out,
    };
    run(engine, layer, &mut s);
    (y, h)
}

const CELLS: [Cell; 5] = [
    Cell::Rnn,
    Cell::Gru {
        linear_before_reset: false,
    },
    Cell::Gru {
        linear_before_reset: true,
    },
    Cell::Lstm {
        input_forget: false,
    },
    Cell::Lstm { input_forget: true },
];

#[test]
fn instruction_sets_and_threads_agree() {
    let x = small(9, 7 * 3 * INPUT);
    for cell in CELLS {
        let layer = layer(cell);
        let want = outputs(&Engine::single(), &layer, &x, &[7, 4, 0], false);
        for isa in Isa::available() {
            let got = outputs(&Engine::new(isa, 2), &layer, &x, &[7, 4, 0], false);
            assert_eq!(got, want, "{cell:?} {}", isa.name());
        }
    }
}

#[test]
fn a_sample_alone_equals_the_sample_in_a_batch() {
    let x = small(9, 7 * 3 * INPUT);
    for cell in CELLS {
        let layer = layer(cell);
        let lengths = [7, 4, 6];
        for reverse in [false, true] {
            let (y, h) = outputs(&Engine::single(), &layer, &x, &lengths, reverse);
            for (sample, length) in lengths.into_iter().enumerate() {
                let alone: Vec<f32> = x
                    .chunks_exact(INPUT)
                    .skip(sample)
                    .step_by(3)
                    .take(length)
                    .flatten()
                    .copied()
                    .collect();
                let (one, last) = outputs(&Engine::single(), &layer, &alone, &[length], reverse);
                assert_eq!(last, h[sample * HIDDEN..][..HIDDEN]);
                for (step, y) in y.chunks_exact(3 * HIDDEN).enumerate() {
                    let y = &y[sample * HIDDEN..][..HIDDEN];
                    if step < length {
                        assert_eq!(y, &one[step * HIDDEN..][..HIDDEN]);
                    } else {
                        assert!(y.iter().all(|y| y.to_bits() == 0));
                    }
                }
            }
        }
    }
}

#[test]
fn a_cell_of_one_follows_its_equations() {
    let one = |x: f32| PackedB::new(Matrix::row_major(&[x], 1, 1));
    let layer = Layer {
        cell: Cell::Rnn,
        hidden: 1,
        input_weights: one(0.5),
        hidden_weights: one(0.25),
        reset_weights: None,
        bias: Some([vec![0.125], vec![0.0625]]),
        peephole: None,
        clip: None,
        activations: [Gate::Affine(2.0, 1.0); 3],
    };
    let (mut h, mut y) = (vec![4.0], vec![0.0; 2]);
    let mut s = Sequence {
        steps: 2,
        batch: 1,
        x: &[1.0, -1.0],
        lengths: &[2],
        reverse: false,
        h: &mut h,
        c: &mut [],
        y: &mut y,
    };
    run(&Engine::single(), &layer, &mut s);
    // 2 * (0.5 + 1 + 0.1875) + 1 = 4.375, then 2 * (-0.5 + 1.09375 + 0.1875) + 1 = 2.5625.
    assert_eq!(y, [4.375, 2.5625]);
}
