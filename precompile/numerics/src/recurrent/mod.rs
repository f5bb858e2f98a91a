//! Recurrent layers: RNN, GRU and LSTM, one direction at a time.
//!
//! A step computes `x W^T` and `h R^T` by rule N-2, adds them, adds the bias (both parts joined,
//! rounded once), then the peephole's product where there is one, clips, and applies the gates.

mod gate;
mod step;
#[cfg(test)]
mod tests;

pub use gate::{Gate, activate};

use step::Step;

use crate::engine::Engine;
use crate::gemm::{Epilogue, Matrix, PackedB, Rhs, gemm};
use crate::smooth::Smooth;

/// Is about how many rows of the input are multiplied by the weights at a time.
const BLOCK_ROWS: usize = 64;

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
