//! Transpose: permuted dimensions.

use super::super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use super::strided::{Strided, row_major};
use super::{axes_in, moved};
use crate::cost::Cost;
use crate::error::OpError;
use crate::tensor::Out;

/// Permutes the dimensions; without a permutation, reverses them.
struct Transpose {
    perm: Option<Vec<i64>>,
}

impl Transpose {
    fn perm(&self, shape: &[usize]) -> Result<Vec<usize>, OpError> {
        let rank = shape.len();
        match &self.perm {
            None => Ok((0..rank).rev().collect()),
            Some(perm) if perm.len() == rank => axes_in(perm, rank),
            Some(perm) => Err(OpError::Value {
                what: "perm must name every axis once; it has another length",
                got: perm.len() as i64,
            }),
        }
    }
}

impl Op for Transpose {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let fact = cx.tensor(0)?;
        let perm = self.perm(&fact.shape)?;
        let shape: Vec<usize> = perm.iter().map(|&axis| fact.shape[axis]).collect();
        Ok(vec![Fact::tensor(fact.dtype, shape)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        moved(cx)
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let input = ins.get(0)?;
        let strides = row_major(input.shape);
        let perm = self.perm(input.shape)?;
        let strides: Vec<isize> = perm.iter().map(|&axis| strides[axis]).collect();
        let out = &mut outs[0];
        let copy = Strided::into_rows(out.shape, (&strides, 0));
        let engine = cx.engine();
        pair_kinds!(&mut *out.data, input.data, |to, from| copy
            .copy_on(engine, to, from))
    }
}

fn transpose(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    Ok(Box::new(Transpose {
        perm: cx.ints("perm")?,
    }))
}

pub(crate) const TABLE: &[Entry] = &[Entry::onnx("Transpose", 1, transpose)];
