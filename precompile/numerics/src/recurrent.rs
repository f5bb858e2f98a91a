//! Recurrent layers: RNN, GRU and LSTM, one direction at a time.
//!
//! A step computes `x W^T` and `h R^T` by rule N-2, adds them, adds the bias (both parts joined,
//! rounded once), then the peephole's product where there is one, clips, and applies the gates.

use crate::engine::Engine;
use crate::gemm::{Epilogue, Matrix, PackedB, Rhs, gemm};
use crate::smooth::Smooth;

/// Is about how many rows of the input are multiplied by the weights at a time.
const BLOCK_ROWS: usize = 64;

/// Names an activation and its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gate<T> {
    /// x above zero, else +0.
    Relu,
    /// The hyperbolic tangent.
    Tanh,
    /// 1 / (1 + e^-x).
    Sigmoid,
    /// alpha * x + beta.
    Affine(T, T),
    /// x from zero on, else alpha * x.
    LeakyRelu(T),
    /// x from alpha on, else +0.
    ThresholdedRelu(T),
    /// alpha * tanh(beta * x).
    ScaledTanh(T, T),
    /// alpha * x + beta, clamped to 0 and 1.
    HardSigmoid(T, T),
    /// x from zero on, else alpha * (e^x - 1).
    Elu(T),
    /// x / (1 + |x|).
    Softsign,
    /// ln(1 + e^x).
    Softplus,
}

/// Names the cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// h = f(g).
    Rnn,
    /// Gates z, r, h.
    Gru {
        /// Multiplies by the recurrence weights before the reset gate.
        linear_before_reset: bool,
    },
    /// Gates i, o, f, c.
    Lstm {
        /// Takes 1 - i for the forget gate.
        input_forget: bool,
    },
}

impl Cell {
    /// Returns the number of gates.
    pub fn gates(self) -> usize {
        match self {
            Self::Rnn => 1,
            Self::Gru { .. } => 3,
            Self::Lstm { .. } => 4,
        }
    }
}

/// Holds one direction's weights and settings.
#[derive(Debug)]
pub struct Layer<T> {
    /// Names the cell.
    pub cell: Cell,
    /// Counts the hidden numbers.
    pub hidden: usize,
    /// Holds W transposed: `input x (gates * hidden)`.
    pub input_weights: PackedB<T>,
    /// Holds R transposed: `hidden x (gates * hidden)`; for a GRU the first two gates only.
    pub hidden_weights: PackedB<T>,
    /// Holds the hidden gate's part of a GRU's R, transposed.
    pub reset_weights: Option<PackedB<T>>,
    /// Holds the input's and the recurrence's biases, `gates * hidden` each.
    pub bias: Option<[Vec<T>; 2]>,
    /// Holds the peepholes of gates i, o, f.
    pub peephole: Option<Vec<T>>,
    /// Bounds the input of activations.
    pub clip: Option<T>,
    /// Gives the activations f, g and h.
    pub activations: [Gate<T>; 3],
}

/// Is the numbers one direction reads and writes; all row-major.
#[derive(Debug)]
pub struct Sequence<'a, T> {
    /// Counts the steps.
    pub steps: usize,
    /// Counts the samples.
    pub batch: usize,
    /// Holds `steps x batch x input` numbers.
    pub x: &'a [T],
    /// Gives each sample's number of steps.
    pub lengths: &'a [usize],
    /// Goes from each sample's last step to its first.
    pub reverse: bool,
    /// Holds `batch x hidden` numbers: the first state going in, the last coming out.
    pub h: &'a mut [T],
    /// Holds the LSTM's cell state likewise; empty for the other cells.
    pub c: &'a mut [T],
    /// Receives `steps x batch x hidden` states, +0 beyond a sample's length.
    pub y: &'a mut [T],
}

/// Applies an activation to every number.
// Spec: N-15
pub fn activate<T: Smooth>(engine: &Engine, gate: Gate<T>, x: &mut [T]) {
    let each = |x: &mut [T], f: &dyn Fn(T) -> T| x.iter_mut().for_each(|x| *x = f(*x).canonical());
    match gate {
        Gate::Tanh => T::tanh_in_place(engine, x),
        Gate::Sigmoid => T::sigmoid_in_place(engine, x),
        Gate::Elu(alpha) => T::elu_in_place(engine, alpha, x),
        Gate::Softplus => T::softplus_in_place(engine, x),
        Gate::Relu => each(x, &|x| if x <= T::ZERO { T::ZERO } else { x }),
        Gate::Affine(alpha, beta) => each(x, &|x| alpha.times(x).plus(beta)),
        Gate::LeakyRelu(alpha) => each(x, &|x| if x < T::ZERO { alpha.times(x) } else { x }),
        Gate::ThresholdedRelu(alpha) => each(x, &|x| if x < alpha { T::ZERO } else { x }),
        Gate::ScaledTanh(alpha, beta) => {
            x.iter_mut().for_each(|x| *x = beta.times(*x));
            T::tanh_in_place(engine, x);
            each(x, &|x| alpha.times(x));
        }
        Gate::HardSigmoid(alpha, beta) => each(x, &|x| {
            let line = alpha.times(x).plus(beta);
            let above = if line <= T::ZERO { T::ZERO } else { line };
            if above > T::ONE { T::ONE } else { above }
        }),
        Gate::Softsign => each(x, &|x| {
            let magnitude = if x < T::ZERO { x.negated() } else { x };
            x.over(T::ONE.plus(magnitude))
        }),
    }
}

/// Runs one direction over a sequence.
///
/// # Panics
/// Panics when a slice does not hold what the sizes say.
// Spec: N-15
pub fn run<T: Smooth>(engine: &Engine, layer: &Layer<T>, s: &mut Sequence<'_, T>) {
    let (hidden, batch) = (layer.hidden, s.batch);
    let width = layer.cell.gates() * hidden;
    let [input, _] = layer.input_weights.shape();
    assert_eq!(s.x.len(), s.steps * batch * input, "input numbers");
    assert_eq!(s.y.len(), s.steps * batch * hidden, "output numbers");
    assert!(
        s.lengths.len() == batch && s.lengths.iter().all(|len| *len <= s.steps),
        "lengths"
    );
    s.y.fill(T::ZERO);
    if batch * hidden == 0 {
        return;
    }
    let block = (BLOCK_ROWS / batch).max(1);
    let mut rows = vec![T::ZERO; block * batch * input];
    let mut products = vec![T::ZERO; block * batch * width];
    let mut step = Step::new(layer, batch);
    for first in (0..s.steps).step_by(block) {
        let count = (s.steps - first).min(block);
        for (i, row) in rows
            .chunks_exact_mut(input.max(1))
            .enumerate()
            .take(count * batch)
        {
            let at = position(s, first + i / batch, i % batch).unwrap_or(0);
            row.copy_from_slice(&s.x[(at * batch + i % batch) * input..][..input]);
        }
        let left = Matrix::row_major(&rows[..count * batch * input], count * batch, input);
        let right = Rhs::Packed(&layer.input_weights);
        let out = &mut products[..count * batch * width];
        gemm(engine, left, right, &Epilogue::default(), out, width);
        for (i, product) in products.chunks_exact(batch * width).enumerate().take(count) {
            step.advance(engine, layer, product, s.h, s.c);
            for sample in 0..batch {
                let Some(at) = position(s, first + i, sample) else {
                    continue;
                };
                let range = sample * hidden..(sample + 1) * hidden;
                s.h[range.clone()].copy_from_slice(&step.h[range.clone()]);
                if !s.c.is_empty() {
                    s.c[range.clone()].copy_from_slice(&step.c[range.clone()]);
                }
                let to = (at * batch + sample) * hidden;
                s.y[to..to + hidden].copy_from_slice(&step.h[range]);
            }
        }
    }
}

/// Returns which step of a sample comes `step`-th, none beyond its length.
fn position<T>(s: &Sequence<'_, T>, step: usize, sample: usize) -> Option<usize> {
    let length = s.lengths[sample];
    if step >= length {
        return None;
    }
    Some(if s.reverse { length - 1 - step } else { step })
}

/// Holds one step's numbers.
struct Step<T> {
    /// Holds, gate by gate, `batch x hidden` numbers.
    gates: Vec<Vec<T>>,
    recurrent: Vec<T>,
    reset: Vec<T>,
    h: Vec<T>,
    c: Vec<T>,
    bias: Option<Vec<T>>,
}

impl<T: Smooth> Step<T> {
    fn new(layer: &Layer<T>, batch: usize) -> Self {
        let size = batch * layer.hidden;
        let gates = layer.cell.gates();
        let bias = layer
            .bias
            .as_ref()
            .map(|[input, hidden]| input.iter().zip(hidden).map(|(a, b)| a.plus(*b)).collect());
        Self {
            gates: vec![vec![T::ZERO; size]; gates],
            recurrent: vec![T::ZERO; size * gates],
            reset: vec![T::ZERO; size],
            h: vec![T::ZERO; size],
            c: vec![T::ZERO; size],
            bias,
        }
    }

    /// Computes the next state from the input's products and the last state.
    fn advance(&mut self, engine: &Engine, layer: &Layer<T>, products: &[T], h: &[T], c: &[T]) {
        let hidden = layer.hidden;
        let batch = h.len() / hidden;
        let width = layer.cell.gates() * hidden;
        let [_, recurrent_width] = layer.hidden_weights.shape();
        let left = Matrix::row_major(h, batch, hidden);
        let out = &mut self.recurrent[..batch * recurrent_width];
        let right = Rhs::Packed(&layer.hidden_weights);
        gemm(
            engine,
            left,
            right,
            &Epilogue::default(),
            out,
            recurrent_width,
        );
        for (g, gate) in self.gates.iter_mut().enumerate() {
            for (i, x) in gate.iter_mut().enumerate() {
                let (row, column) = (i / hidden, g * hidden + i % hidden);
                *x = products[row * width + column];
                // A GRU's hidden gate gets its recurrence after the reset gate is known.
                if column < recurrent_width {
                    *x = x.plus(self.recurrent[row * recurrent_width + column]);
                    if let Some(bias) = &self.bias {
                        *x = x.plus(bias[column]);
                    }
                }
            }
        }
        match layer.cell {
            Cell::Rnn => self.rnn(engine, layer),
            Cell::Gru {
                linear_before_reset,
            } => {
                self.gru(engine, layer, linear_before_reset, h);
            }
            Cell::Lstm { input_forget } => self.lstm(engine, layer, input_forget, c),
        }
    }

    fn rnn(&mut self, engine: &Engine, layer: &Layer<T>) {
        let gate = &mut self.gates[0];
        clip(layer.clip, gate);
        activate(engine, layer.activations[0], gate);
        self.h.copy_from_slice(gate);
    }

    fn gru(&mut self, engine: &Engine, layer: &Layer<T>, linear_first: bool, h: &[T]) {
        let hidden = layer.hidden;
        let [z, r, candidate] = &mut self.gates[..] else {
            return;
        };
        for gate in [&mut *z, &mut *r] {
            clip(layer.clip, gate);
            activate(engine, layer.activations[0], gate);
        }
        let Some(weights) = &layer.reset_weights else {
            return;
        };
        let bias = layer
            .bias
            .as_ref()
            .map(|[input, hidden_bias]| (&input[2 * hidden..], &hidden_bias[2 * hidden..]));
        let product = &mut self.recurrent[..h.len()];
        let batch = h.len() / hidden;
        for ((reset, r), h) in self.reset.iter_mut().zip(r.iter()).zip(h) {
            *reset = if linear_first { *h } else { r.times(*h) };
        }
        let left = Matrix::row_major(&self.reset, batch, hidden);
        let none = Epilogue::default();
        gemm(engine, left, Rhs::Packed(weights), &none, product, hidden);
        for (i, x) in candidate.iter_mut().enumerate() {
            let mut term = product[i];
            let column = i % hidden;
            if linear_first {
                if let Some((_, hidden_bias)) = bias {
                    term = term.plus(hidden_bias[column]);
                }
                *x = x.plus(r[i].times(term));
                if let Some((input_bias, _)) = bias {
                    *x = x.plus(input_bias[column]);
                }
            } else {
                *x = x.plus(term);
                if let Some((input_bias, hidden_bias)) = bias {
                    *x = x.plus(input_bias[column].plus(hidden_bias[column]));
                }
            }
        }
        clip(layer.clip, candidate);
        activate(engine, layer.activations[1], candidate);
        for (i, next) in self.h.iter_mut().enumerate() {
            let keep = T::ONE.plus(z[i].negated());
            *next = keep.times(candidate[i]).plus(z[i].times(h[i])).canonical();
        }
    }

    fn lstm(&mut self, engine: &Engine, layer: &Layer<T>, input_forget: bool, c: &[T]) {
        let hidden = layer.hidden;
        let [i, o, f, candidate] = &mut self.gates[..] else {
            return;
        };
        let peep = |gate: &mut [T], which: usize, c: &[T]| {
            if let Some(peephole) = &layer.peephole {
                for (n, (x, c)) in gate.iter_mut().zip(c).enumerate() {
                    *x = x.plus(peephole[which * hidden + n % hidden].times(*c));
                }
            }
        };
        peep(i, 0, c);
        peep(f, 2, c);
        for gate in [&mut *i, &mut *f] {
            clip(layer.clip, gate);
            activate(engine, layer.activations[0], gate);
        }
        if input_forget {
            f.iter_mut()
                .zip(i.iter())
                .for_each(|(f, i)| *f = T::ONE.plus(i.negated()));
        }
        clip(layer.clip, candidate);
        activate(engine, layer.activations[1], candidate);
        for (n, next) in self.c.iter_mut().enumerate() {
            *next = f[n].times(c[n]).plus(i[n].times(candidate[n])).canonical();
        }
        peep(o, 1, &self.c);
        clip(layer.clip, o);
        activate(engine, layer.activations[0], o);
        self.h.copy_from_slice(&self.c);
        activate(engine, layer.activations[2], &mut self.h);
        for (h, o) in self.h.iter_mut().zip(o.iter()) {
            *h = o.times(*h).canonical();
        }
    }
}

/// Clamps to plus and minus the threshold; NaN stays.
fn clip<T: Smooth>(threshold: Option<T>, x: &mut [T]) {
    let Some(most) = threshold else { return };
    let least = most.negated();
    for x in x {
        *x = if *x > most { most } else { *x };
        *x = if *x < least { least } else { *x };
    }
}

#[cfg(test)]
mod tests {
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
                    let (one, last) =
                        outputs(&Engine::single(), &layer, &alone, &[length], reverse);
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
}
