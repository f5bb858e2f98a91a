//! Attention: scaled dot products with masks, windows, grouped heads and a cache of keys and values.

use std::borrow::Cow;

use assay_numerics::attention::{Attention as Numbers, Head, HeadShape, Probe, attend};
use assay_numerics::smooth::Smooth;

use super::dense::{Dense, macs, product, refuse, want_dense, want_equal, with_dense};
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx, broadcast};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Data, Out, View};

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

/// Is one call's sizes.
#[derive(Clone, Debug)]
struct Sizes {
    batch: usize,
    q_heads: usize,
    kv_heads: usize,
    queries: usize,
    /// Counts the keys given now.
    fresh: usize,
    /// Counts the keys in the cache.
    past: usize,
    size: usize,
    value_size: usize,
    /// Says that heads lie inside the last dimension.
    joined: bool,
}

impl Sizes {
    fn keys(&self) -> usize {
        self.past + self.fresh
    }

    fn scores(&self) -> [usize; 4] {
        [self.batch, self.q_heads, self.queries, self.keys()]
    }

    fn head(&self) -> HeadShape {
        HeadShape {
            queries: self.queries,
            keys: self.keys(),
            size: self.size,
            value_size: self.value_size,
        }
    }
}

impl Attention {
    fn sizes(
        &self,
        q: &[usize],
        k: &[usize],
        v: &[usize],
        past: Option<[&[usize]; 2]>,
    ) -> Result<Sizes, OpError> {
        let wrong = |why| refuse(why, &[q, k, v]);
        let mut sizes = match (q, k, v) {
            (&[b, hq, sq, d], &[kb, hk, sk, kd], &[vb, hv, sv, dv]) => {
                if [kb, vb] != [b, b] || hk != hv || sk != sv || kd != d {
                    return Err(wrong("query, key and value do not fit together"));
                }
                Sizes {
                    batch: b,
                    q_heads: hq,
                    kv_heads: hk,
                    queries: sq,
                    fresh: sk,
                    past: 0,
                    size: d,
                    value_size: dv,
                    joined: false,
                }
            }
            (&[b, sq, dq], &[kb, sk, dk], &[vb, sv, dv]) => {
                let Some([hq, hk]) = self.heads else {
                    return Err(OpError::Attribute {
                        name: "q_num_heads",
                        why: "and kv_num_heads are needed for inputs of rank 3",
                    });
                };
                let divides = dq % hq == 0 && dk % hk == 0 && dv % hk == 0;
                if [kb, vb] != [b, b] || sk != sv || !divides || dq / hq != dk / hk {
                    return Err(wrong("query, key and value do not fit together"));
                }
                Sizes {
                    batch: b,
                    q_heads: hq,
                    kv_heads: hk,
                    queries: sq,
                    fresh: sk,
                    past: 0,
                    size: dq / hq,
                    value_size: dv / hk,
                    joined: true,
                }
            }
            _ => return Err(wrong("query, key and value need rank 3 or rank 4 alike")),
        };
        if sizes.kv_heads == 0 || sizes.q_heads % sizes.kv_heads != 0 {
            return Err(wrong("query heads are not a multiple of key heads"));
        }
        if let Some([key, value]) = past {
            let (&[b, h, s, d], &[vb, vh, vs, vd]) = (key, value) else {
                return Err(refuse("the cache needs rank 4", &[key, value]));
            };
            let want = (sizes.batch, sizes.kv_heads);
            let fits = (b, h) == want && (vb, vh) == want && s == vs;
            if !fits || d != sizes.size || vd != sizes.value_size {
                return Err(refuse("the cache does not fit the keys", &[key, value, k]));
            }
            sizes.past = s;
        }
        Ok(sizes)
    }

    fn infer_sizes(&self, cx: &InferCx<'_>) -> Result<Sizes, OpError> {
        let (q, k, v) = (cx.tensor(0)?, cx.tensor(1)?, cx.tensor(2)?);
        want_dense(q.dtype)?;
        want_equal(q.dtype, k.dtype)?;
        want_dense(v.dtype)?;
        if (v.dtype == DType::F64) != (q.dtype == DType::F64) {
            return Err(OpError::ElementType {
                expected: q.dtype,
                got: v.dtype,
            });
        }
        let past = match (cx.optional(4)?, cx.optional(5)?) {
            (Some(key), Some(value)) => {
                want_equal(k.dtype, key.dtype)?;
                want_equal(v.dtype, value.dtype)?;
                Some([key.shape.as_slice(), value.shape.as_slice()])
            }
            (None, None) => None,
            (None, _) => return Err(OpError::MissingInput { input: 4 }),
            (_, None) => return Err(OpError::MissingInput { input: 5 }),
        };
        let sizes = self.sizes(&q.shape, &k.shape, &v.shape, past)?;
        if let Some(mask) = cx.optional(3)? {
            want_mask(mask.dtype)?;
            check_mask(&mask.shape, &sizes)?;
        }
        if let Some(lengths) = cx.optional(6)? {
            want_equal(DType::I64, lengths.dtype)?;
            if lengths.shape != [sizes.batch] || past.is_some() {
                let why = "nonpad_kv_seqlen needs one length per batch and no cache";
                return Err(refuse(why, &[&lengths.shape]));
            }
        }
        Ok(sizes)
    }

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

/// Holds a mask broadcast to (sample, head, query, key).
enum Mask<'a, T: Clone> {
    None,
    Bool([usize; 4], usize, &'a [bool]),
    Number([usize; 4], usize, Cow<'a, [T]>),
}

impl<'a, T: Dense + Smooth> Mask<'a, T> {
    fn read(sizes: &Sizes, view: Option<View<'a>>) -> Result<Self, OpError> {
        let Some(view) = view else {
            return Ok(Mask::None);
        };
        let (strides, keys) = (
            mask_strides(view.shape, sizes),
            mask_keys(view.shape, sizes),
        );
        match view.data {
            Data::Bool(bits) => Ok(Mask::Bool(strides, keys, bits)),
            _ => Ok(Mask::Number(strides, keys, T::read(view)?)),
        }
    }

    /// Returns the number added, `None` where the mask hides the key.
    fn at(&self, sample: usize, head: usize, query: usize, key: usize) -> Option<T> {
        let index = |strides: &[usize; 4]| {
            sample * strides[0] + head * strides[1] + query * strides[2] + key * strides[3]
        };
        match self {
            Mask::None => Some(T::ZERO),
            Mask::Bool(strides, keys, bits) => {
                let seen = key < *keys && bits.get(index(strides)).copied().unwrap_or(false);
                seen.then_some(T::ZERO)
            }
            Mask::Number(strides, keys, numbers) if key < *keys => {
                numbers.get(index(strides)).copied()
            }
            Mask::Number(..) => None,
        }
    }
}

/// Returns how many keys a mask speaks of: one number stands for all.
fn mask_keys(shape: &[usize], sizes: &Sizes) -> usize {
    match shape.last() {
        None => sizes.keys(),
        Some(1) if sizes.keys() == 1 || shape.len() == 1 => sizes.keys(),
        Some(keys) => *keys,
    }
}

/// Returns the strides of a mask over (sample, head, query, key), 0 where it is broadcast.
fn mask_strides(shape: &[usize], sizes: &Sizes) -> [usize; 4] {
    let mut strides = [0; 4];
    let mut stride = 1;
    for (d, &dim) in shape.iter().rev().enumerate().take(4) {
        let whole = d == 0 && mask_keys(shape, sizes) == dim;
        strides[3 - d] = if dim == 1 && !whole { 0 } else { stride };
        stride *= dim;
    }
    strides
}

/// Refuses a mask that does not broadcast to the scores; it may have fewer keys.
fn check_mask(shape: &[usize], sizes: &Sizes) -> Result<(), OpError> {
    let wrong = || {
        refuse(
            "the mask does not broadcast to the scores",
            &[shape, &sizes.scores()],
        )
    };
    let mut filled = shape.to_vec();
    if let Some(keys) = filled.last_mut() {
        if *keys > sizes.keys() {
            return Err(wrong());
        }
        *keys = sizes.keys();
    }
    match broadcast(&filled, &sizes.scores()) {
        Ok(joined) if joined == sizes.scores() => Ok(()),
        _ => Err(wrong()),
    }
}

/// Refuses masks that are neither booleans nor floats.
fn want_mask(dtype: DType) -> Result<(), OpError> {
    if dtype == DType::Bool {
        return Ok(());
    }
    want_dense(dtype).map(|_| ())
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

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let past = match (cx.optional(4)?, cx.optional(5)?) {
            (Some(key), Some(value)) => Some([key.shape.as_slice(), value.shape.as_slice()]),
            _ => None,
        };
        let (q, k, v) = (cx.input(0)?, cx.input(1)?, cx.input(2)?);
        let s = self.sizes(&q.shape, &k.shape, &v.shape, past)?;
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
        with_dense!(ins.get(0)?.dtype(), T => self.run_in::<T>(cx, ins, outs))
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
pub(crate) const TABLE: &[Entry] = &[Entry::onnx("Attention", 23, build)];
