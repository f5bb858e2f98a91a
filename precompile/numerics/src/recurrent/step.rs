//! One step of a recurrent layer: the gates of each cell.

use super::{Cell, Layer, activate};
use crate::engine::Engine;
use crate::gemm::{Epilogue, Matrix, Rhs, gemm};
use crate::smooth::Smooth;

/// Holds one step's numbers.
pub(super) struct Step<T> {
    /// Holds, gate by gate, `batch x hidden` numbers.
    gates: Vec<Vec<T>>,
    recurrent: Vec<T>,
    reset: Vec<T>,
    pub(super) h: Vec<T>,
    pub(super) c: Vec<T>,
    bias: Option<Vec<T>>,
}

impl<T: Smooth> Step<T> {
    pub(super) fn new(layer: &Layer<T>, batch: usize) -> Self {
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
    pub(super) fn advance(
        &mut self,
        engine: &Engine,
        layer: &Layer<T>,
        products: &[T],
        h: &[T],
        c: &[T],
    ) {
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
