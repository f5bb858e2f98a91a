//! LinearAttention: a matrix of state for each head, decayed, corrected and read token by token
//! (Spec: N-49).

use assay_numerics::float::Float as _;
use assay_numerics::math::exp_f32;

use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::ops::dense::{products, refuse};
use crate::ops::work::WorkFloat as _;
use crate::ops::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use crate::tensor::Out;

/// Updates a state by each token and reads it with the token's queries.
struct Linear {
    q_heads: usize,
    kv_heads: usize,
    scale: f32,
    /// Multiplies the state by e^decay first.
    gated: bool,
    /// Writes only what the state does not give already, at a rate.
    delta: bool,
}

/// Is one call's sizes.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    tokens: usize,
    /// Elements of a key, and of a value.
    key: usize,
    value: usize,
    /// Numbers of decay for a token: one for each head, or for each element of its key.
    decays: usize,
    /// Rates for a token: one, or one for each head.
    rates: usize,
}

impl Linear {
    fn sizes(&self, shapes: [&[usize]; 3]) -> Result<Sizes, OpError> {
        let wrong = |why| refuse(why, &shapes);
        let (&[batch, tokens, q], &[kb, kt, k], &[vb, vt, v]) = (shapes[0], shapes[1], shapes[2])
        else {
            return Err(wrong("query, key and value need rank 3"));
        };
        let divides = q % self.q_heads == 0 && k % self.kv_heads == 0 && v % self.kv_heads == 0;
        let fits = [kb, vb] == [batch; 2] && [kt, vt] == [tokens; 2];
        if !fits || !divides || q / self.q_heads != k / self.kv_heads {
            return Err(wrong("query, key and value do not fit together"));
        }
        Ok(Sizes {
            batch,
            tokens,
            key: k / self.kv_heads,
            value: v / self.kv_heads,
            decays: 0,
            rates: 0,
        })
    }

    fn state(&self, s: Sizes) -> [usize; 4] {
        [s.batch, self.kv_heads, s.key, s.value]
    }

    /// Checks an input that a rule needs and the others refuse; returns its numbers for a token.
    fn gate(
        &self,
        shape: Option<&[usize]>,
        s: Sizes,
        needed: (usize, bool),
        allowed: [usize; 2],
    ) -> Result<usize, OpError> {
        let (input, needed) = needed;
        match (shape, needed) {
            (None, false) => Ok(0),
            (None, true) => Err(OpError::MissingInput { input }),
            (Some(shape), false) => Err(refuse("update_rule does not take this input", &[shape])),
            (Some(shape), true) => match *shape {
                [batch, tokens, count]
                    if [batch, tokens] == [s.batch, s.tokens] && allowed.contains(&count) =>
                {
                    Ok(count)
                }
                _ => Err(refuse("decay or rate does not fit the keys", &[shape])),
            },
        }
    }

    /// Finds all sizes of a call.
    fn fit(&self, shapes: [&[usize]; 3], gates: [Option<&[usize]>; 2]) -> Result<Sizes, OpError> {
        let s = self.sizes(shapes)?;
        let heads = self.kv_heads;
        let decays = self.gate(gates[0], s, (4, self.gated), [heads, heads * s.key])?;
        let rates = self.gate(gates[1], s, (5, self.delta), [heads, 1])?;
        Ok(Sizes { decays, rates, ..s })
    }

    /// Runs one key head of one sample through all tokens; `state` holds key rows of values.
    fn head(
        &self,
        s: Sizes,
        at: (usize, usize),
        call: &Call<'_>,
        state: &mut [f32],
        y: &mut [f32],
    ) {
        let (sample, head) = at;
        let group = self.q_heads / self.kv_heads;
        let mut written = vec![0.0f32; s.value];
        for token in 0..s.tokens {
            let row = sample * s.tokens + token;
            let k = &call.k[(row * self.kv_heads + head) * s.key..][..s.key];
            let v = &call.v[(row * self.kv_heads + head) * s.value..][..s.value];
            if self.gated {
                for (i, state) in state.chunks_exact_mut(s.value.max(1)).enumerate() {
                    let of = if s.decays == self.kv_heads {
                        head
                    } else {
                        head * s.key + i
                    };
                    let kept = call.kept[row * s.decays + of];
                    state.iter_mut().for_each(|x| *x *= kept);
                }
            }
            written.copy_from_slice(v);
            if self.delta {
                let rate = call.rate[row * s.rates + if s.rates == 1 { 0 } else { head }];
                let mut given = vec![0.0f32; s.value];
                chain(k, state, &mut given);
                for (x, given) in written.iter_mut().zip(&given) {
                    *x = rate * (*x - *given);
                }
            }
            for (k, state) in k.iter().zip(state.chunks_exact_mut(s.value.max(1))) {
                for (state, x) in state.iter_mut().zip(&written) {
                    *state += *k * *x;
                }
            }
            for query in head * group..(head + 1) * group {
                let place = row * self.q_heads + query;
                let q = &call.q[place * s.key..][..s.key];
                let out = &mut y[place * s.value..][..s.value];
                out.fill(0.0);
                chain(q, state, out);
                out.iter_mut()
                    .for_each(|x| *x = (self.factor(s) * *x).canonical());
            }
        }
    }

    fn factor(&self, s: Sizes) -> f32 {
        if self.scale == 0.0 {
            1.0 / (s.key as f32).sqrt()
        } else {
            self.scale
        }
    }
}

/// Holds what every head of one call reads.
struct Call<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    /// e^decay.
    kept: Vec<f32>,
    rate: &'a [f32],
}

/// Adds rows of the state weighed by a key or query, rows ascending, each step rounded twice.
fn chain(weights: &[f32], state: &[f32], sums: &mut [f32]) {
    for (weight, row) in weights.iter().zip(state.chunks_exact(sums.len().max(1))) {
        for (sum, x) in sums.iter_mut().zip(row) {
            *sum += *weight * *x;
        }
    }
}

impl Op for Linear {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (q, k, v) = (cx.tensor(0)?, cx.tensor(1)?, cx.tensor(2)?);
        for input in (0..6).filter(|input| cx.has(*input)) {
            let got = cx.tensor(input)?.dtype;
            if !matches!(got, DType::F32 | DType::F16 | DType::Bf16) {
                let what = "a float32, float16 or bfloat16 tensor";
                return Err(OpError::Type { what, got });
            }
        }
        let gate = |input| Ok::<_, OpError>(cx.optional(input)?.map(|fact| fact.shape.as_slice()));
        let s = self.fit([&q.shape, &k.shape, &v.shape], [gate(4)?, gate(5)?])?;
        let mut state = q.dtype;
        if let Some(past) = cx.optional(3)? {
            state = past.dtype;
            if past.shape != self.state(s) {
                return Err(refuse(
                    "the past state does not fit the keys and values",
                    &[&past.shape, &self.state(s)],
                ));
            }
        }
        Ok(vec![
            Fact::tensor(q.dtype, [s.batch, s.tokens, self.q_heads * s.value]),
            Fact::tensor(state, self.state(s)),
        ])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let (q, k, v) = (cx.input(0)?, cx.input(1)?, cx.input(2)?);
        let s = self.sizes([&q.shape, &k.shape, &v.shape])?;
        let state = self
            .state(s)
            .iter()
            .fold(1u64, |n, &dim| n.saturating_mul(dim as u64));
        let steps = state.saturating_mul(s.tokens as u64);
        let group = (self.q_heads / self.kv_heads) as u64;
        let reads = steps.saturating_mul(group.saturating_add(2));
        let mut cost = products(cx, DType::F32, reads, steps.saturating_add(q.count()));
        if self.gated {
            cost.transcendentals = cx.optional(4)?.map_or(0, |decay| decay.count());
        }
        Ok(cost)
    }

    // Spec: N-49
    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let views = [ins.get(0)?, ins.get(1)?, ins.get(2)?];
        let gates = [ins.optional(4), ins.optional(5)];
        let s = self.fit(
            views.map(|view| view.shape),
            gates.map(|gate| gate.map(|g| g.shape)),
        )?;
        let (q, k, v) = (
            f32::read(views[0])?,
            f32::read(views[1])?,
            f32::read(views[2])?,
        );
        let decay = gates[0].map(f32::read).transpose()?.unwrap_or_default();
        let rate = gates[1].map(f32::read).transpose()?.unwrap_or_default();
        let mut kept = vec![0.0; decay.len()];
        exp_f32(cx.engine(), &decay, &mut kept);
        let mut state = match ins.optional(3) {
            Some(past) => f32::read(past)?.into_owned(),
            None => vec![0.0; self.state(s).iter().product()],
        };
        let call = Call {
            q: &q,
            k: &k,
            v: &v,
            kept,
            rate: &rate,
        };
        f32::write(&mut outs[0], |y| {
            let each = s.key * s.value;
            for at in 0..s.batch * self.kv_heads {
                let state = &mut state[at * each..(at + 1) * each];
                self.head(s, (at / self.kv_heads, at % self.kv_heads), &call, state, y);
            }
            Ok(())
        })?;
        let Some(present) = outs.get_mut(1) else {
            return Ok(());
        };
        f32::write(present, |present| {
            for (out, x) in present.iter_mut().zip(&state) {
                *out = x.canonical();
            }
            Ok(())
        })
    }
}

fn build(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(3..=6, 2)?;
    // A hint for splitting the work; here tokens are taken one by one.
    cx.ignore("chunk_size");
    let (q_heads, kv_heads) = (cx.positive("q_num_heads")?, cx.positive("kv_num_heads")?);
    if q_heads % kv_heads != 0 {
        return Err(OpError::Attribute {
            name: "q_num_heads",
            why: "must be a multiple of kv_num_heads",
        });
    }
    let (gated, delta) = match cx.string_or("update_rule", "gated_delta")?.as_str() {
        "linear" => (false, false),
        "gated" => (true, false),
        "delta" => (false, true),
        "gated_delta" => (true, true),
        _ => {
            return Err(OpError::Attribute {
                name: "update_rule",
                why: "must be linear, gated, delta or gated_delta",
            });
        }
    };
    Ok(Box::new(Linear {
        q_heads,
        kv_heads,
        scale: cx.float_or("scale", 0.0)?,
        gated,
        delta,
    }))
}

/// Lists the operator.
pub(super) const ENTRY: Entry = Entry::onnx("LinearAttention", 27, build);
