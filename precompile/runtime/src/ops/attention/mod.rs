//! Attention: scaled dot products with masks, windows, grouped heads and a cache of keys and values.

mod linear;
mod mask;
mod sizes;

use std::borrow::Cow;

use assay_numerics::attention::{Attention as Numbers, Head, Probe, attend};
use assay_numerics::smooth::Smooth;

use self::mask::Mask;
use self::sizes::Sizes;
use super::dense::{Dense, macs, product, work_bytes};
use super::work::with_float;
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use crate::cost::Cost;
use crate::error::OpError;
use crate::tensor::Out;

/// Computes attention.
struct Attention {
    causal: bool,
    heads: Option<[usize; 2]>,
    probe: Probe,
    scale: Option<f32>,
    softcap: f32,
    wide_softmax: bool,
    /// Bounds how far a query sees to the left and to the right.
    window: [Option<usize>; 2],
}

impl Attention {
    fn run_in<T: Dense + Smooth>(
        &self,
        cx: &RunCx<'_>,
        ins: Ins<'_>,
        outs: &mut [Out<'_>],
    ) -> Result<(), OpError> {
        let (q, k, v) = (ins.get(0)?, ins.get(1)?, ins.get(2)?);
        let past = match (ins.optional(4), ins.optional(5)) {
            (Some(key), Some(value)) => Some([key, value]),
            _ => None,
        };
        let shapes = past.map(|[key, value]| [key.shape, value.shape]);
        let s = self.sizes(q.shape, k.shape, v.shape, shapes)?;
        let mask = Mask::<T>::read(&s, ins.optional(3))?;
        let lengths = ins.optional(6).map(|view| view.to_i64s()).transpose()?;
        let joined = s.joined;
        let q = by_heads(T::read(q)?, joined, s.batch, s.queries, s.q_heads, s.size);
        let k = by_heads(T::read(k)?, joined, s.batch, s.fresh, s.kv_heads, s.size);
        let v = by_heads(
            T::read(v)?,
            joined,
            s.batch,
            s.fresh,
            s.kv_heads,
            s.value_size,
        );
        let keys = append(
            past.map(|[key, _]| T::read(key)).transpose()?,
            k,
            s.past,
            s.fresh,
            s.size,
        );
        let past_values = past.map(|[_, value]| T::read(value)).transpose()?;
        let values = append(past_values, v, s.past, s.fresh, s.value_size);
        let numbers = Numbers {
            root_scale: self.root_scale::<T>(s.size),
            softcap: T::of(self.softcap),
            wide_softmax: self.wide_softmax,
        };
        let call = Call {
            op: self,
            sizes: &s,
            q: &q,
            keys: &keys,
            values: &values,
            mask,
            lengths,
        };
        let size = s.queries * s.value_size;
        let mut y = vec![T::ZERO; s.batch * s.q_heads * size];
        let scores = s.queries * s.keys();
        let mut probe = match outs.len() {
            4.. => vec![T::ZERO; s.batch * s.q_heads * scores],
            _ => Vec::new(),
        };
        if probe.is_empty() && size > 0 {
            cx.engine()
                .pool()
                .run_pieces(&mut y, size, |i, y| call.head(cx, numbers, i, None, y));
        } else {
            for i in 0..s.batch * s.q_heads {
                let probe = probe.get_mut(i * scores..(i + 1) * scores);
                let probe = probe.map(|into| (self.probe, into));
                call.head(cx, numbers, i, probe, &mut y[i * size..(i + 1) * size]);
            }
        }
        let y = if joined { by_tokens(&y, &s) } else { y };
        for (i, out) in outs.iter_mut().enumerate() {
            let from: &[T] = match i {
                0 => &y,
                1 => &keys,
                2 => &values,
                _ => &probe,
            };
            if out.data.len() == from.len() {
                T::write(out, |out| {
                    out.copy_from_slice(from);
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    fn cost_sizes(&self, cx: &CostCx<'_>) -> Result<Sizes, OpError> {
        let past = match (cx.optional(4)?, cx.optional(5)?) {
            (Some(key), Some(value)) => Some([key.shape.as_slice(), value.shape.as_slice()]),
            _ => None,
        };
        let (q, k, v) = (cx.input(0)?, cx.input(1)?, cx.input(2)?);
        self.sizes(&q.shape, &k.shape, &v.shape, past)
    }

    /// Returns the square root of the scale, each step rounded.
    fn root_scale<T: Dense + Smooth>(&self, size: usize) -> T {
        let scale = match self.scale {
            Some(scale) => T::of(scale),
            None => T::ONE.over(T::rounded(size as f64).root()),
        };
        scale.root()
    }
}

/// Holds what every head of one call reads.
struct Call<'a, T: Clone> {
    op: &'a Attention,
    sizes: &'a Sizes,
    q: &'a [T],
    keys: &'a [T],
    values: &'a [T],
    mask: Mask<'a, T>,
    lengths: Option<Vec<i64>>,
}

impl<T: Dense + Smooth> Call<'_, T> {
    /// Computes one head of one sample.
    fn head(
        &self,
        cx: &RunCx<'_>,
        numbers: Numbers<T>,
        index: usize,
        probe: Option<(Probe, &mut [T])>,
        out: &mut [T],
    ) {
        let s = self.sizes;
        let (sample, head) = (index / s.q_heads, index % s.q_heads);
        let shared = sample * s.kv_heads + head / (s.q_heads / s.kv_heads);
        let piece = |of: &[T], i: usize, len: usize| i * len..((i + 1) * len).min(of.len());
        let bias = self.bias(sample, head);
        let head = Head {
            q: &self.q[piece(self.q, index, s.queries * s.size)],
            k: &self.keys[piece(self.keys, shared, s.keys() * s.size)],
            v: &self.values[piece(self.values, shared, s.keys() * s.value_size)],
            bias: &bias,
        };
        attend(cx.engine(), numbers, s.head(), head, probe, out);
    }

    /// Makes what is added to the scores: the mask's numbers, minus infinity where a key is hidden.
    fn bias(&self, sample: usize, head: usize) -> Vec<T> {
        let s = self.sizes;
        let length = self.lengths.as_ref().and_then(|l| l.get(sample)).copied();
        let offset = match length {
            Some(length) => i128::from(length) - s.queries as i128,
            None => s.past as i128,
        };
        let hidden = T::rounded(f64::NEG_INFINITY);
        let mut bias = Vec::with_capacity(s.queries * s.keys());
        for query in 0..s.queries {
            let at = query as i128 + offset;
            for key in 0..s.keys() {
                let key_at = key as i128;
                let [left, right] = self.op.window;
                let seen = !(self.op.causal && key_at > at)
                    && left.is_none_or(|left| at - key_at <= left as i128)
                    && right.is_none_or(|right| key_at - at <= right as i128)
                    && length.is_none_or(|length| key_at < i128::from(length));
                let number = self.mask.at(sample, head, query, key);
                bias.push(if seen {
                    number.unwrap_or(hidden)
                } else {
                    hidden
                });
            }
        }
        bias
    }
}

/// Moves heads from inside the last dimension before the positions.
fn by_heads<T: Copy>(
    x: Cow<'_, [T]>,
    joined: bool,
    batch: usize,
    positions: usize,
    heads: usize,
    size: usize,
) -> Cow<'_, [T]> {
    if !joined {
        return x;
    }
    let mut out = Vec::with_capacity(x.len());
    for sample in 0..batch {
        for head in 0..heads {
            for position in 0..positions {
                let from = ((sample * positions + position) * heads + head) * size;
                out.extend_from_slice(&x[from..from + size]);
            }
        }
    }
    Cow::Owned(out)
}

/// Moves heads back inside the last dimension.
fn by_tokens<T: Copy>(y: &[T], s: &Sizes) -> Vec<T> {
    let mut out = Vec::with_capacity(y.len());
    for sample in 0..s.batch {
        for query in 0..s.queries {
            for head in 0..s.q_heads {
                let from = ((sample * s.q_heads + head) * s.queries + query) * s.value_size;
                out.extend_from_slice(&y[from..from + s.value_size]);
            }
        }
    }
    out
}

/// Puts the keys (or values) of the cache before the new ones, head by head.
fn append<'a, T: Copy>(
    past: Option<Cow<'a, [T]>>,
    fresh: Cow<'a, [T]>,
    past_len: usize,
    fresh_len: usize,
    size: usize,
) -> Cow<'a, [T]> {
    let Some(past) = past else { return fresh };
    let (past_size, fresh_size) = (past_len * size, fresh_len * size);
    if past_size == 0 {
        return fresh;
    }
    let mut out = Vec::with_capacity(past.len() + fresh.len());
    for (i, head) in past.chunks_exact(past_size).enumerate() {
        out.extend_from_slice(head);
        out.extend_from_slice(&fresh[i * fresh_size..(i + 1) * fresh_size]);
    }
    Cow::Owned(out)
}

impl Op for Attention {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let s = self.infer_sizes(cx)?;
        let (dtype, value) = (cx.tensor(0)?.dtype, cx.tensor(2)?.dtype);
        let y = match s.joined {
            true => vec![s.batch, s.queries, s.q_heads * s.value_size],
            false => vec![s.batch, s.q_heads, s.queries, s.value_size],
        };
        let cache = |size| [s.batch, s.kv_heads, s.keys(), size];
        let mut facts = vec![
            Fact::tensor(dtype, y),
            Fact::tensor(dtype, cache(s.size)),
            Fact::tensor(value, cache(s.value_size)),
            Fact::tensor(dtype, s.scores()),
        ];
        facts.truncate(cx.outputs().max(1));
        Ok(facts)
    }

    fn temporary_bytes(&self, cx: &CostCx<'_>) -> Result<u64, OpError> {
        let s = self.cost_sizes(cx)?;
        let q = cx.input(0)?;
        let per_key = (s.size + s.value_size) as u64;
        let cached = product(&[s.batch, s.kv_heads, s.keys()]).saturating_mul(per_key);
        let outputs = product(&[s.batch, s.q_heads, s.queries, s.value_size]);
        // Heads are moved, then joined with the cache; the output is computed, then moved back.
        let moved = q
            .count()
            .saturating_add(cached.saturating_mul(2))
            .saturating_add(outputs.saturating_mul(2));
        let kept = if cx.output(3).is_ok() {
            product(&s.scores())
        } else {
            0
        };
        // One head: scaled queries and keys, keys packed, values packed; bias, scores, weights, and
        // both of these in doubles.
        let head = product(&[s.queries, s.size])
            .saturating_add(product(&[s.keys() + 32, s.size + s.value_size + 64]).saturating_mul(3))
            .saturating_add(product(&[s.queries, s.keys()]).saturating_mul(7));
        let numbers = moved.saturating_add(kept).saturating_add(head);
        Ok(work_bytes(q.dtype, numbers))
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let (q, k, v) = (cx.input(0)?, cx.input(1)?, cx.input(2)?);
        let s = self.cost_sizes(cx)?;
        let scores = product(&s.scores());
        let count = scores.saturating_mul((s.size + s.value_size) as u64);
        let capped = if self.softcap == 0.0 { 1 } else { 2 };
        let repeats = (s.q_heads / s.kv_heads) as u64;
        let elements = scores
            .saturating_mul(6)
            .saturating_add(q.count())
            .saturating_add(k.count().saturating_mul(repeats))
            .saturating_add(v.count());
        let transcendentals = scores.saturating_mul(capped);
        Ok(macs(
            q.dtype,
            count,
            Cost {
                elements,
                transcendentals,
                ..cx.traffic()
            },
        ))
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        with_float!(ins.get(0)?.dtype(), T => self.run_in::<T>(cx, ins, outs))
    }
}

/// Reads a number of heads.
fn head_count(cx: &NodeCx<'_>, name: &'static str) -> Result<Option<usize>, OpError> {
    match cx.int(name)? {
        None => Ok(None),
        Some(heads @ 1..=0xffff) => Ok(Some(heads as usize)),
        Some(_) => Err(OpError::Attribute {
            name,
            why: "must be from 1 to 65535",
        }),
    }
}

/// Reads one side of the window; -1 leaves it open.
fn side(cx: &NodeCx<'_>, name: &'static str) -> Result<Option<usize>, OpError> {
    match cx.int_or(name, -1)? {
        -1 => Ok(None),
        width @ 0.. => Ok(Some(width as usize)),
        _ => Err(OpError::Attribute {
            name,
            why: "must be -1 or not negative",
        }),
    }
}

fn build(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(3..=7, 4)?;
    let heads = match (
        head_count(cx, "q_num_heads")?,
        head_count(cx, "kv_num_heads")?,
    ) {
        (Some(q), Some(kv)) => Some([q, kv]),
        _ => None,
    };
    let probe = match cx.int_or("qk_matmul_output_mode", 0)? {
        0 => Probe::Scores,
        1 => Probe::Capped,
        2 => Probe::Biased,
        3 => Probe::Weights,
        _ => {
            let why = "must be from 0 to 3";
            return Err(OpError::Attribute {
                name: "qk_matmul_output_mode",
                why,
            });
        }
    };
    let wide_softmax = match cx.int("softmax_precision")? {
        None | Some(1) => false,
        Some(11) => true,
        Some(_) => {
            let what = "softmax_precision other than float and double".into();
            return Err(OpError::Unsupported { what });
        }
    };
    let softcap = cx.float_or("softcap", 0.0)?;
    if softcap.is_nan() || softcap < 0.0 {
        return Err(OpError::Attribute {
            name: "softcap",
            why: "must not be negative",
        });
    }
    let window = match cx.opset() {
        25.. => [
            side(cx, "left_window_size")?,
            side(cx, "right_window_size")?,
        ],
        _ => [None; 2],
    };
    Ok(Box::new(Attention {
        causal: cx.flag("is_causal", false)?,
        heads,
        probe,
        scale: cx.float("scale")?,
        softcap,
        wide_softmax,
        window,
    }))
}

/// Lists the family.
pub(crate) const TABLE: &[Entry] = &[Entry::onnx("Attention", 23, build), linear::ENTRY];
