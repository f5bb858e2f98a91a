//! RotaryEmbedding.

use assay_numerics::grid::rotate;

use super::dense::refuse;
use super::work::{WorkFloat, want_float, want_same, with_float};
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::Out;

/// Rotates the halves (or pairs) of every head by angles that depend on the position.
struct RotaryEmbedding {
    heads: Option<usize>,
    dim: usize,
    interleaved: bool,
}

/// Is one call's sizes.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    batch: usize,
    heads: usize,
    positions: usize,
    size: usize,
    /// Counts the numbers of a head that are rotated.
    rotated: usize,
    /// Says that heads lie inside the last dimension.
    joined: bool,
}

impl RotaryEmbedding {
    fn sizes(&self, x: &[usize]) -> Result<Sizes, OpError> {
        let (batch, heads, positions, size, joined) = match *x {
            [batch, heads, positions, size] => (batch, heads, positions, size, false),
            [batch, positions, hidden] => {
                let heads = self.heads.ok_or(OpError::Attribute {
                    name: "num_heads",
                    why: "is needed for an input of rank 3",
                })?;
                if hidden % heads != 0 {
                    return Err(refuse("heads do not divide the last dimension", &[x]));
                }
                (batch, heads, positions, hidden / heads, true)
            }
            _ => return Err(refuse("the input needs rank 3 or 4", &[x])),
        };
        let rotated = if self.dim == 0 { size } else { self.dim };
        if rotated % 2 != 0 || rotated > size {
            return Err(refuse(
                "the rotated part must be even and within a head",
                &[x],
            ));
        }
        Ok(Sizes {
            batch,
            heads,
            positions,
            size,
            rotated,
            joined,
        })
    }
}

impl Op for RotaryEmbedding {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        want_float(x.dtype)?;
        let s = self.sizes(&x.shape)?;
        let ids = cx.optional(3)?;
        if let Some(ids) = ids {
            want_same(DType::I64, ids.dtype)?;
            if ids.shape != [s.batch, s.positions] {
                return Err(refuse(
                    "position_ids need one id per position",
                    &[&ids.shape],
                ));
            }
        }
        for input in [1, 2] {
            let cache = cx.tensor(input)?;
            want_same(x.dtype, cache.dtype)?;
            let half = s.rotated / 2;
            let fits = match (ids, cache.shape.as_slice()) {
                (Some(_), &[_, size]) => size == half,
                (None, &[batch, positions, size]) => {
                    [batch, positions, size] == [s.batch, s.positions, half]
                }
                _ => false,
            };
            if !fits {
                return Err(refuse(
                    "the cache does not fit the input",
                    &[&cache.shape, &x.shape],
                ));
            }
        }
        Ok(vec![Fact::tensor(x.dtype, x.shape.clone())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let elements = cx.output(0)?.count().saturating_mul(3);
        Ok(Cost {
            elements,
            ..cx.traffic()
        })
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (x, cos, sin) = (ins.get(0)?, ins.get(1)?, ins.get(2)?);
        let s = self.sizes(x.shape)?;
        let rows = cos.shape.first().copied().unwrap_or(0);
        let ids = match ins.optional(3) {
            None => None,
            Some(ids) => Some(
                ids.to_i64s()?
                    .into_iter()
                    .map(|id| match usize::try_from(id) {
                        Ok(row) if row < rows => Ok(row),
                        _ => Err(OpError::Index {
                            index: id,
                            dim: rows,
                        }),
                    })
                    .collect::<Result<Vec<usize>, _>>()?,
            ),
        };
        let half = s.rotated / 2;
        with_float!(x.dtype(), T => {
            let (x, cos, sin) = (T::read(x)?, T::read(cos)?, T::read(sin)?);
            T::write(&mut outs[0], |out| {
                out.copy_from_slice(&x);
                for sample in 0..s.batch {
                    for position in 0..s.positions {
                        let token = sample * s.positions + position;
                        let row = ids.as_ref().map_or(token, |ids| ids[token]) * half;
                        for head in 0..s.heads {
                            let at = if s.joined {
                                token * s.heads + head
                            } else {
                                (sample * s.heads + head) * s.positions + position
                            } * s.size;
                            let (x, out) = (&x[at..at + s.size], &mut out[at..at + s.size]);
                            let (cos, sin) = (&cos[row..row + half], &sin[row..row + half]);
                            rotate(x, cos, sin, self.interleaved, out);
                        }
                    }
                }
                Ok(())
            })
        })
    }
}

fn build(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(3..=4, 1)?;
    let heads = match cx.int_or("num_heads", 0)? {
        0 => None,
        heads @ 1..=0xffff => Some(heads as usize),
        _ => {
            return Err(OpError::Attribute {
                name: "num_heads",
                why: "is out of range",
            });
        }
    };
    let dim = match cx.int_or("rotary_embedding_dim", 0)? {
        dim @ 0..=0x7fff_ffff => dim as usize,
        _ => {
            return Err(OpError::Attribute {
                name: "rotary_embedding_dim",
                why: "is out of range",
            });
        }
    };
    let interleaved = cx.int_or("interleaved", 0)? != 0;
    Ok(Box::new(RotaryEmbedding {
        heads,
        dim,
        interleaved,
    }))
}

/// Lists the family.
pub(crate) const TABLE: &[Entry] = &[Entry::onnx("RotaryEmbedding", 23, build)];
