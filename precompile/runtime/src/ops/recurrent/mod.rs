//! RNN, GRU and LSTM.

mod build;

use assay_numerics::gemm::{Matrix, PackedB};
use assay_numerics::recurrent::{self, Cell, Gate, Layer, Sequence};
use assay_numerics::smooth::Smooth;

use super::dense::{Dense, macs, refuse};
use super::work::{want_float, want_same, with_float};
use super::{CostCx, Entry, Fact, InferCx, Ins, Op, RunCx};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Out, View};

/// Says which way a direction goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Forward,
    Reverse,
}

/// Holds a node's attributes and, when its weights are constants, the packed layers.
struct Recurrent {
    cell: Cell,
    ways: Vec<Way>,
    activations: Vec<[Gate<f32>; 3]>,
    clip: Option<f32>,
    hidden: Option<usize>,
    batch_first: bool,
    packed: Option<Packed>,
}

/// Holds one packed layer per direction.
enum Packed {
    F32(Vec<Layer<f32>>),
    F64(Vec<Layer<f64>>),
}

/// Is a type that layers are computed in.
trait Number: Dense + Smooth {
    fn layers(packed: &Packed) -> Option<&[Layer<Self>]>;
    fn wrap_layers(layers: Vec<Layer<Self>>) -> Packed;
}

impl Number for f32 {
    fn layers(packed: &Packed) -> Option<&[Layer<f32>]> {
        match packed {
            Packed::F32(layers) => Some(layers),
            Packed::F64(_) => None,
        }
    }
    fn wrap_layers(layers: Vec<Layer<f32>>) -> Packed {
        Packed::F32(layers)
    }
}

impl Number for f64 {
    fn layers(packed: &Packed) -> Option<&[Layer<f64>]> {
        match packed {
            Packed::F64(layers) => Some(layers),
            Packed::F32(_) => None,
        }
    }
    fn wrap_layers(layers: Vec<Layer<f64>>) -> Packed {
        Packed::F64(layers)
    }
}

/// Is one call's sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sizes {
    steps: usize,
    batch: usize,
    input: usize,
    hidden: usize,
}

impl Recurrent {
    fn sizes(&self, x: &[usize], w: &[usize], r: &[usize]) -> Result<Sizes, OpError> {
        let (&[a, b, input], &[dirs, width, w_input], &[r_dirs, r_width, hidden]) = (x, w, r)
        else {
            return Err(refuse("X, W and R need rank 3", &[x, w, r]));
        };
        let [steps, batch] = if self.batch_first { [b, a] } else { [a, b] };
        let fits = dirs == self.ways.len()
            && r_dirs == dirs
            && w_input == input
            && width == r_width
            && hidden.checked_mul(self.cell.gates()) == Some(width)
            && self.hidden.is_none_or(|declared| declared == hidden);
        if !fits {
            return Err(refuse(
                "X, W and R do not fit together or the attributes",
                &[x, w, r],
            ));
        }
        Ok(Sizes {
            steps,
            batch,
            input,
            hidden,
        })
    }

    /// Returns the shape of Y.
    fn y_shape(&self, s: Sizes) -> [usize; 4] {
        match self.batch_first {
            true => [s.batch, s.steps, self.ways.len(), s.hidden],
            false => [s.steps, self.ways.len(), s.batch, s.hidden],
        }
    }

    /// Returns the shape of a state.
    fn state_shape(&self, s: Sizes) -> [usize; 3] {
        match self.batch_first {
            true => [s.batch, self.ways.len(), s.hidden],
            false => [self.ways.len(), s.batch, s.hidden],
        }
    }

    fn is_lstm(&self) -> bool {
        matches!(self.cell, Cell::Lstm { .. })
    }

    /// Checks the optional inputs' types and shapes.
    fn check_options(&self, cx: &InferCx<'_>, s: Sizes, dtype: DType) -> Result<(), OpError> {
        let dirs = self.ways.len();
        let width = self.cell.gates() * s.hidden;
        let state = self.state_shape(s).to_vec();
        let mut wanted = vec![(3, vec![dirs, 2 * width]), (5, state.clone())];
        if self.is_lstm() {
            wanted.extend([(6, state), (7, vec![dirs, 3 * s.hidden])]);
        }
        for (input, shape) in wanted {
            if let Some(fact) = cx.optional(input)? {
                want_same(dtype, fact.dtype)?;
                if fact.shape != shape {
                    return Err(refuse(
                        "bias, state or peephole has the wrong shape",
                        &[&fact.shape, &shape],
                    ));
                }
            }
        }
        if let Some(lengths) = cx.optional(4)? {
            want_same(DType::I32, lengths.dtype)?;
            if lengths.shape != [s.batch] {
                return Err(refuse(
                    "sequence_lens needs one length per sample",
                    &[&lengths.shape],
                ));
            }
        }
        Ok(())
    }

    /// Packs the weights of every direction.
    fn layers<T: Number>(
        &self,
        w: View<'_>,
        r: View<'_>,
        bias: Option<View<'_>>,
        peephole: Option<View<'_>>,
    ) -> Result<Vec<Layer<T>>, OpError> {
        let (&[dirs, width, input], &[_, _, hidden]) = (w.shape, r.shape) else {
            return Err(refuse("W and R need rank 3", &[w.shape, r.shape]));
        };
        let gates = self.cell.gates();
        if dirs != self.ways.len() || hidden.checked_mul(gates) != Some(width) || hidden == 0 {
            return Err(refuse(
                "W and R do not fit the attributes",
                &[w.shape, r.shape],
            ));
        }
        if r.shape != [dirs, width, hidden] {
            return Err(refuse("W and R do not fit together", &[w.shape, r.shape]));
        }
        let (w, r) = (T::read(w)?, T::read(r)?);
        let bias = bias.map(T::read).transpose()?;
        let peephole = peephole.map(T::read).transpose()?;
        let bias_fits = bias
            .as_ref()
            .is_none_or(|bias| bias.len() == 2 * dirs * width);
        let peephole_fits = peephole
            .as_ref()
            .is_none_or(|p| p.len() == 3 * dirs * hidden);
        if !bias_fits || !peephole_fits {
            return Err(OpError::Value {
                what: "bias or peephole does not fit the hidden size",
                got: hidden as i64,
            });
        }
        let part = |all: &[T], dir: usize| -> Vec<T> {
            let size = all.len() / dirs;
            all[dir * size..(dir + 1) * size].to_vec()
        };
        let pack = |data: &[T], columns: usize| {
            let rows = data.len().checked_div(columns).unwrap_or(width);
            PackedB::new(Matrix::row_major(data, rows, columns).transposed())
        };
        let gru = matches!(self.cell, Cell::Gru { .. });
        let layer = |dir: usize| {
            let (w, r) = (part(&w, dir), part(&r, dir));
            let split = if gru { 2 * hidden * hidden } else { r.len() };
            Layer {
                cell: self.cell,
                hidden,
                input_weights: pack(&w, input),
                hidden_weights: pack(&r[..split], hidden),
                reset_weights: gru.then(|| pack(&r[split..], hidden)),
                bias: bias.as_ref().map(|bias| {
                    let bias = part(bias, dir);
                    let (input, hidden) = bias.split_at(width);
                    [input.to_vec(), hidden.to_vec()]
                }),
                peephole: peephole.as_ref().map(|peephole| part(peephole, dir)),
                clip: self.clip.map(T::of),
                activations: self.activations[dir].map(widen::<T>),
            }
        };
        Ok((0..dirs).map(layer).collect())
    }

    fn run_in<T: Number>(
        &self,
        cx: &RunCx<'_>,
        ins: Ins<'_>,
        outs: &mut [Out<'_>],
    ) -> Result<(), OpError> {
        let (x, w, r) = (ins.get(0)?, ins.get(1)?, ins.get(2)?);
        let s = self.sizes(x.shape, w.shape, r.shape)?;
        let fresh;
        let layers = match self.packed.as_ref().and_then(T::layers) {
            Some(layers) => layers,
            None => {
                let peephole = if self.is_lstm() {
                    ins.optional(7)
                } else {
                    None
                };
                fresh = self.layers::<T>(w, r, ins.optional(3), peephole)?;
                &fresh
            }
        };
        let lengths = lengths(ins.optional(4), s)?;
        let x = T::read(x)?;
        let x = if self.batch_first {
            swapped(&x, s.batch, s.steps, s.input)
        } else {
            x.to_vec()
        };
        let dirs = layers.len();
        let size = s.batch * s.hidden;
        let state = |input: usize| -> Result<Vec<T>, OpError> {
            match ins.optional(input) {
                None => Ok(vec![T::ZERO; dirs * size]),
                Some(view) => {
                    let state = T::read(view)?;
                    Ok(match self.batch_first {
                        true => swapped(&state, s.batch, dirs, s.hidden),
                        false => state.to_vec(),
                    })
                }
            }
        };
        let mut h = state(5)?;
        let mut c = if self.is_lstm() {
            state(6)?
        } else {
            Vec::new()
        };
        let mut y = vec![T::ZERO; dirs * s.steps * size];
        for (dir, layer) in layers.iter().enumerate() {
            let c_range = if c.is_empty() {
                0..0
            } else {
                dir * size..(dir + 1) * size
            };
            let mut sequence = Sequence {
                steps: s.steps,
                batch: s.batch,
                x: &x,
                lengths: &lengths,
                reverse: self.ways[dir] == Way::Reverse,
                h: &mut h[dir * size..(dir + 1) * size],
                c: &mut c[c_range],
                y: &mut y[dir * s.steps * size..(dir + 1) * s.steps * size],
            };
            recurrent::run(cx.engine(), layer, &mut sequence);
        }
        for (i, out) in outs.iter_mut().enumerate() {
            let from = match i {
                0 => self.joined(&y, s),
                1 if self.batch_first => swapped(&h, dirs, s.batch, s.hidden),
                1 => h.clone(),
                _ if self.batch_first => swapped(&c, dirs, s.batch, s.hidden),
                _ => c.clone(),
            };
            T::write(out, |out| {
                out.copy_from_slice(&from);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Joins the directions' states (direction, step, sample, number) in the order of Y.
    fn joined<T: Copy>(&self, y: &[T], s: Sizes) -> Vec<T> {
        let dirs = self.ways.len();
        let mut out = Vec::with_capacity(y.len());
        let mut push = |dir: usize, step: usize, sample: usize| {
            let from = ((dir * s.steps + step) * s.batch + sample) * s.hidden;
            out.extend_from_slice(&y[from..from + s.hidden]);
        };
        if self.batch_first {
            for sample in 0..s.batch {
                for step in 0..s.steps {
                    (0..dirs).for_each(|dir| push(dir, step, sample));
                }
            }
        } else {
            for step in 0..s.steps {
                for dir in 0..dirs {
                    (0..s.batch).for_each(|sample| push(dir, step, sample));
                }
            }
        }
        out
    }
}

/// Swaps the first two of three dimensions.
fn swapped<T: Copy>(x: &[T], first: usize, second: usize, size: usize) -> Vec<T> {
    let mut out = Vec::with_capacity(x.len());
    for j in 0..second {
        for i in 0..first {
            let from = (i * second + j) * size;
            out.extend_from_slice(&x[from..from + size]);
        }
    }
    out
}

/// Reads every sample's length.
fn lengths(view: Option<View<'_>>, s: Sizes) -> Result<Vec<usize>, OpError> {
    let Some(view) = view else {
        return Ok(vec![s.steps; s.batch]);
    };
    view.to_i64s()?
        .into_iter()
        .map(|length| match usize::try_from(length) {
            Ok(length) if length <= s.steps => Ok(length),
            _ => Err(OpError::Index {
                index: length,
                dim: s.steps,
            }),
        })
        .collect()
}

/// Converts an activation's numbers to the type it is computed in.
fn widen<T: Dense>(gate: Gate<f32>) -> Gate<T> {
    match gate {
        Gate::Relu => Gate::Relu,
        Gate::Tanh => Gate::Tanh,
        Gate::Sigmoid => Gate::Sigmoid,
        Gate::Affine(a, b) => Gate::Affine(T::of(a), T::of(b)),
        Gate::LeakyRelu(a) => Gate::LeakyRelu(T::of(a)),
        Gate::ThresholdedRelu(a) => Gate::ThresholdedRelu(T::of(a)),
        Gate::ScaledTanh(a, b) => Gate::ScaledTanh(T::of(a), T::of(b)),
        Gate::HardSigmoid(a, b) => Gate::HardSigmoid(T::of(a), T::of(b)),
        Gate::Elu(a) => Gate::Elu(T::of(a)),
        Gate::Softsign => Gate::Softsign,
        Gate::Softplus => Gate::Softplus,
    }
}

impl Op for Recurrent {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (x, w, r) = (cx.tensor(0)?, cx.tensor(1)?, cx.tensor(2)?);
        want_float(x.dtype)?;
        want_same(x.dtype, w.dtype)?;
        want_same(x.dtype, r.dtype)?;
        let s = self.sizes(&x.shape, &w.shape, &r.shape)?;
        self.check_options(cx, s, x.dtype)?;
        let state = Fact::tensor(x.dtype, self.state_shape(s));
        let mut facts = vec![Fact::tensor(x.dtype, self.y_shape(s)), state.clone(), state];
        facts.truncate(cx.outputs());
        Ok(facts)
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let (x, w, r) = (cx.input(0)?, cx.input(1)?, cx.input(2)?);
        let s = self.sizes(&x.shape, &w.shape, &r.shape)?;
        let states = [s.steps, s.batch, self.ways.len(), s.hidden]
            .iter()
            .fold(1u64, |n, &dim| n.saturating_mul(dim as u64));
        let gates = self.cell.gates() as u64;
        let count = states
            .saturating_mul(gates)
            .saturating_mul((s.input + s.hidden) as u64);
        // A step is a small product and a dozen passes over short rows: as much as four nodes.
        let steps = (s.steps as u64).saturating_mul(self.ways.len() as u64);
        let cost = Cost {
            nodes: steps.saturating_mul(4),
            transcendentals: states.saturating_mul(gates + 1),
            elements: states.saturating_mul(4 * gates),
            ..cx.traffic()
        };
        Ok(macs(x.dtype, count, cost))
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        with_float!(ins.get(0)?.dtype(), T => self.run_in::<T>(cx, ins, outs))
    }

    fn releases(&self, input: usize) -> bool {
        self.packed.is_some() && matches!(input, 1 | 2)
    }
}

/// Lists the family.
pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("RNN", 7, build::rnn),
    Entry::onnx("GRU", 7, build::gru),
    Entry::onnx("LSTM", 7, build::lstm),
];
