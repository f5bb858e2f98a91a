//! CausalConvWithState: each channel convolved with what came before it (Spec: N-48).

use assay_numerics::conv::{ConvShape, ConvWeights, conv};
use assay_numerics::math::swish_in_place_f32;

use super::dense::{products, refuse};
use super::work::{WorkFloat as _, want_same};
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::Out;

/// Convolves channels with a past of one position less than the kernel.
struct Causal {
    silu: bool,
}

/// Is one call's sizes.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    channels: usize,
    length: usize,
    kernel: usize,
}

impl Sizes {
    fn new(x: &[usize], w: &[usize]) -> Result<Sizes, OpError> {
        match (x, w) {
            (&[batch, channels, length], &[given, 1, kernel])
                if given == channels && kernel > 0 && channels > 0 =>
            {
                Ok(Sizes {
                    batch,
                    channels,
                    length,
                    kernel,
                })
            }
            _ => Err(refuse(
                "needs (batch, channels, length) and weights of (channels, 1, kernel)",
                &[x, w],
            )),
        }
    }

    fn state(&self) -> [usize; 3] {
        [self.batch, self.channels, self.kernel - 1]
    }

    /// Returns the positions of a channel with its past.
    fn whole(&self) -> usize {
        self.kernel - 1 + self.length
    }

    fn shape(&self) -> ConvShape {
        ConvShape {
            groups: self.channels,
            group_channels: 1,
            input: vec![self.whole()],
            kernel: vec![self.kernel],
            strides: vec![1],
            dilations: vec![1],
            pads: vec![0],
            output: vec![self.length],
        }
    }
}

impl Op for Causal {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (x, w) = (cx.tensor(0)?, cx.tensor(1)?);
        if !matches!(x.dtype, DType::F32 | DType::F16 | DType::Bf16) {
            return Err(OpError::Type {
                what: "a float32, float16 or bfloat16 tensor",
                got: x.dtype,
            });
        }
        want_same(x.dtype, w.dtype)?;
        let sizes = Sizes::new(&x.shape, &w.shape)?;
        let wanted: [(usize, &[usize]); 2] = [(2, &[sizes.channels]), (3, &sizes.state())];
        for (input, shape) in wanted {
            if let Some(fact) = cx.optional(input)? {
                want_same(x.dtype, fact.dtype)?;
                if fact.shape != shape {
                    return Err(refuse(
                        "bias or past state does not fit the input and the weights",
                        &[&fact.shape, shape],
                    ));
                }
            }
        }
        Ok(vec![
            Fact::tensor(x.dtype, x.shape.clone()),
            Fact::tensor(x.dtype, sizes.state()),
        ])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let x = cx.input(0)?;
        let sizes = Sizes::new(&x.shape, &cx.input(1)?.shape)?;
        let macs = x.count().saturating_mul(sizes.kernel as u64);
        let rows = (sizes.batch as u64).saturating_mul(sizes.channels as u64);
        // The past and the positions are joined, then copied once more by the convolution.
        let copied = rows.saturating_mul(sizes.whole() as u64).saturating_mul(2);
        let mut cost = products(cx, x.dtype, macs, copied);
        if self.silu {
            cost.transcendentals = x.count();
        }
        Ok(cost)
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (x, w) = (ins.get(0)?, ins.get(1)?);
        let sizes = Sizes::new(x.shape, w.shape)?;
        let (x, w) = (f32::read(x)?, f32::read(w)?);
        let bias = ins.optional(2).map(f32::read).transpose()?;
        let past = ins.optional(3).map(f32::read).transpose()?;
        let before = sizes.kernel - 1;
        let mut whole = Vec::with_capacity(sizes.batch * sizes.channels * sizes.whole());
        for row in 0..sizes.batch * sizes.channels {
            match &past {
                Some(past) => whole.extend_from_slice(&past[row * before..(row + 1) * before]),
                None => whole.resize(whole.len() + before, 0.0),
            }
            whole.extend_from_slice(&x[row * sizes.length..(row + 1) * sizes.length]);
        }
        let weights = ConvWeights::new(&w, sizes.channels, 1, sizes.kernel);
        if let Some(state) = outs.get_mut(1) {
            f32::write(state, |state| {
                let rows = whole.chunks_exact(sizes.whole().max(1));
                for (into, row) in state.chunks_exact_mut(before.max(1)).zip(rows) {
                    into.copy_from_slice(&row[row.len() - before..]);
                }
                Ok(())
            })?;
        }
        f32::write(&mut outs[0], |out| {
            if out.is_empty() {
                return Ok(());
            }
            let (shape, bias) = (sizes.shape(), bias.as_deref());
            let (engine, scratch) = cx.scratch();
            conv(
                engine,
                &shape,
                &whole,
                &weights,
                bias,
                false,
                &mut scratch.f32,
                out,
            );
            if self.silu {
                swish_in_place_f32(cx.engine(), 1.0, out);
            }
            Ok(())
        })
    }
}

fn causal(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=4, 2)?;
    let silu = match cx.string_or("activation", "none")?.as_str() {
        "none" => false,
        "silu" | "swish" => true,
        _ => {
            return Err(OpError::Attribute {
                name: "activation",
                why: "must be none, silu or swish",
            });
        }
    };
    Ok(Box::new(Causal { silu }))
}

/// Lists the family.
pub(crate) const TABLE: &[Entry] = &[Entry::onnx("CausalConvWithState", 27, causal)];
