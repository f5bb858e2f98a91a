//! The sizes of one attention call: what fits together, and what a cache adds.

use assay_numerics::attention::HeadShape;

use super::Attention;
use super::mask::{check_mask, want_mask};
use crate::dtype::DType;
use crate::error::OpError;
use crate::ops::InferCx;
use crate::ops::dense::refuse;
use crate::ops::work::{want_float, want_same};

/// Is one call's sizes.
#[derive(Clone, Debug)]
pub(super) struct Sizes {
    pub(super) batch: usize,
    pub(super) q_heads: usize,
    pub(super) kv_heads: usize,
    pub(super) queries: usize,
    /// Counts the keys given now.
    pub(super) fresh: usize,
    /// Counts the keys in the cache.
    pub(super) past: usize,
    pub(super) size: usize,
    pub(super) value_size: usize,
    /// Says that heads lie inside the last dimension.
    pub(super) joined: bool,
}

impl Sizes {
    pub(super) fn keys(&self) -> usize {
        self.past + self.fresh
    }

    pub(super) fn scores(&self) -> [usize; 4] {
        [self.batch, self.q_heads, self.queries, self.keys()]
    }

    pub(super) fn head(&self) -> HeadShape {
        HeadShape {
            queries: self.queries,
            keys: self.keys(),
            size: self.size,
            value_size: self.value_size,
        }
    }
}

impl Attention {
    pub(super) fn sizes(
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

    pub(super) fn infer_sizes(&self, cx: &InferCx<'_>) -> Result<Sizes, OpError> {
        let (q, k, v) = (cx.tensor(0)?, cx.tensor(1)?, cx.tensor(2)?);
        want_float(q.dtype)?;
        want_same(q.dtype, k.dtype)?;
        want_float(v.dtype)?;
        if (v.dtype == DType::F64) != (q.dtype == DType::F64) {
            return Err(OpError::ElementType {
                expected: q.dtype,
                got: v.dtype,
            });
        }
        let past = match (cx.optional(4)?, cx.optional(5)?) {
            (Some(key), Some(value)) => {
                want_same(k.dtype, key.dtype)?;
                want_same(v.dtype, value.dtype)?;
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
            want_same(DType::I64, lengths.dtype)?;
            if lengths.shape != [sizes.batch] || past.is_some() {
                let why = "nonpad_kv_seqlen needs one length per batch and no cache";
                return Err(refuse(why, &[&lengths.shape]));
            }
        }
        Ok(sizes)
    }
}
