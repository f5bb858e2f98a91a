//! DepthToSpace, SpaceToDepth, ReverseSequence: elements rearranged within a tensor.

use super::super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use super::gather::copy_slices;
use super::strided::{Strided, row_major};
use super::{moved, product, size_from};
use crate::cost::Cost;
use crate::error::OpError;
use crate::tensor::Out;

/// Moves blocks of channels into the plane, or back.
struct Blocks {
    block: usize,
    rule: BlockRule,
}

/// Says which way the movement goes and how the channels are ordered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BlockRule {
    /// To the plane; channels are (row, column, depth).
    DepthColumnRow,
    /// To the plane; channels are (depth, row, column).
    ColumnRowDepth,
    /// To the depth; channels become (row, column, depth).
    BlocksFirst,
    /// To the depth; channels become (depth, row, column).
    DepthFirst,
}

impl BlockRule {
    fn to_depth(self) -> bool {
        matches!(self, Self::BlocksFirst | Self::DepthFirst)
    }
}

impl Blocks {
    fn shape(&self, shape: &[usize]) -> Result<[usize; 4], OpError> {
        let refuse = |why| OpError::Shape {
            why,
            shapes: vec![shape.to_vec(), vec![self.block]],
        };
        let &[n, c, h, w] = shape else {
            return Err(refuse("needs four dimensions"));
        };
        let b = self.block;
        let square = b
            .checked_mul(b)
            .ok_or_else(|| refuse("the block is too large"))?;
        if self.rule.to_depth() {
            if h % b != 0 || w % b != 0 {
                return Err(refuse("the block must divide height and width"));
            }
            return Ok([n, c.saturating_mul(square), h / b, w / b]);
        }
        if c % square != 0 {
            return Err(refuse("the block's square must divide the channels"));
        }
        Ok([n, c / square, h.saturating_mul(b), w.saturating_mul(b)])
    }
}

impl Op for Blocks {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let fact = cx.tensor(0)?;
        Ok(vec![Fact::tensor(fact.dtype, self.shape(&fact.shape)?)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        moved(cx)
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let input = ins.get(0)?;
        let out = &mut outs[0];
        let b = self.block;
        // Six dimensions on both sides; `shape` names them in the order of the source.
        let (deep, plane) = if self.rule.to_depth() {
            (input.shape, out.shape)
        } else {
            (out.shape, input.shape)
        };
        let (n, c, h, w) = (deep[0], deep[1], plane[2], plane[3]);
        let (shape, perm): ([usize; 6], [usize; 6]) = match self.rule {
            BlockRule::DepthColumnRow => ([n, b, b, c, h, w], [0, 3, 4, 1, 5, 2]),
            BlockRule::ColumnRowDepth => ([n, c, b, b, h, w], [0, 1, 4, 2, 5, 3]),
            BlockRule::BlocksFirst => ([n, c, h, b, w, b], [0, 3, 5, 1, 2, 4]),
            BlockRule::DepthFirst => ([n, c, h, b, w, b], [0, 1, 3, 5, 2, 4]),
        };
        let strides = row_major(&shape);
        let target = perm.map(|axis| shape[axis]);
        let steps = perm.map(|axis| strides[axis]);
        let copy = Strided::into_rows(&target, (&steps, 0));
        pair_kinds!(&mut *out.data, input.data, |to, from| copy.copy(to, from))
    }
}

/// Reverses the first elements of every sequence in a batch.
struct ReverseSequence {
    batch: usize,
    time: usize,
}

impl Op for ReverseSequence {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (fact, lens) = (cx.tensor(0)?, cx.tensor(1)?);
        if fact.shape.len() < 2 || lens.shape != fact.shape[self.batch..=self.batch] {
            return Err(OpError::Shape {
                why: "needs a batch, a time axis and a length for each sequence",
                shapes: vec![fact.shape.clone(), lens.shape.clone()],
            });
        }
        Ok(vec![Fact::tensor(fact.dtype, fact.shape.clone())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        moved(cx)
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (input, lens) = (ins.get(0)?, ins.get(1)?.to_i64s()?);
        let shape = input.shape;
        let steps = shape[self.time];
        let slice = product(&shape[2..]);
        let strides = row_major(shape);
        let mut offsets = Vec::with_capacity(shape[0] * shape[1]);
        for first in 0..shape[0] {
            for second in 0..shape[1] {
                let (batch, time) = if self.batch == 0 {
                    (first, second)
                } else {
                    (second, first)
                };
                let len = lens[batch];
                let count = size_from(len, "a length cannot be negative")?;
                if count > steps {
                    return Err(OpError::Index {
                        index: len,
                        dim: steps,
                    });
                }
                let time = if time < count { count - 1 - time } else { time };
                let at = batch as isize * strides[self.batch] + time as isize * strides[self.time];
                offsets.push(at as usize);
            }
        }
        pair_kinds!(&mut *outs[0].data, input.data, |to, from| {
            copy_slices(to, from, &offsets, slice);
            Ok(())
        })
    }
}

fn block_size(cx: &NodeCx<'_>) -> Result<usize, OpError> {
    cx.arity(1..=1, 1)?;
    match cx.int("blocksize")? {
        Some(block @ 1..) => size_from(block, "blocksize"),
        _ => Err(OpError::Attribute {
            name: "blocksize",
            why: "must be positive",
        }),
    }
}

/// Reads whether depth comes first among the channels.
fn depth_first(cx: &NodeCx<'_>, since: i64) -> Result<bool, OpError> {
    if cx.opset() < since {
        return Ok(false);
    }
    match cx.string_or("mode", "DCR")?.as_str() {
        "DCR" => Ok(false),
        "CRD" => Ok(true),
        _ => Err(OpError::Attribute {
            name: "mode",
            why: "must be DCR or CRD",
        }),
    }
}

fn depth_to_space(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    let first = depth_first(cx, 11)?;
    let rule = if first {
        BlockRule::ColumnRowDepth
    } else {
        BlockRule::DepthColumnRow
    };
    Ok(Box::new(Blocks {
        block: block_size(cx)?,
        rule,
    }))
}

fn space_to_depth(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    let first = depth_first(cx, 28)?;
    let rule = if first {
        BlockRule::DepthFirst
    } else {
        BlockRule::BlocksFirst
    };
    Ok(Box::new(Blocks {
        block: block_size(cx)?,
        rule,
    }))
}

fn reverse_sequence(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    match (cx.int_or("batch_axis", 1)?, cx.int_or("time_axis", 0)?) {
        (0, 1) => Ok(Box::new(ReverseSequence { batch: 0, time: 1 })),
        (1, 0) => Ok(Box::new(ReverseSequence { batch: 1, time: 0 })),
        _ => Err(OpError::Attribute {
            name: "batch_axis",
            why: "must be 0 or 1, time_axis the other",
        }),
    }
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("DepthToSpace", 1, depth_to_space),
    Entry::onnx("SpaceToDepth", 1, space_to_depth),
    Entry::onnx("ReverseSequence", 10, reverse_sequence),
];
