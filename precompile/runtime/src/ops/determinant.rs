//! Det: determinants of a stack of square matrices.

use assay_numerics::det::determinant;

use super::work::{WorkFloat, want_float, with_float};
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use crate::cost::Cost;
use crate::error::OpError;
use crate::tensor::Out;

/// Computes the determinant of every matrix in the last two axes.
struct Det;

/// Splits a shape into the stack's axes and the extent of its square matrices.
fn square(shape: &[usize]) -> Result<(&[usize], usize), OpError> {
    match shape {
        [stack @ .., rows, columns] if rows == columns => Ok((stack, *rows)),
        _ => Err(OpError::Shape {
            why: "the last two axes must be equal",
            shapes: vec![shape.to_vec()],
        }),
    }
}

impl Op for Det {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        Ok(vec![Fact::tensor(
            want_float(x.dtype)?,
            square(&x.shape)?.0,
        )])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let x = cx.input(0)?;
        let (_, n) = square(&x.shape)?;
        let elements = x.count().saturating_mul(n as u64).saturating_mul(2);
        // The fused steps run in software where the machine has none: counted as doubles.
        Ok(Cost {
            macs_f64: elements,
            elements,
            ..cx.traffic()
        })
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let view = ins.get(0)?;
        let (_, n) = square(view.shape)?;
        with_float!(view.dtype(), T => {
            let mut x = T::read(view)?.into_owned();
            T::write(&mut outs[0], |out| {
                if n == 0 {
                    out.fill(T::of(1.0));
                }
                for (o, matrix) in out.iter_mut().zip(x.chunks_exact_mut((n * n).max(1))) {
                    *o = determinant(n, matrix);
                }
                Ok(())
            })
        })
    }
}

fn det(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    Ok(Box::new(Det))
}

pub(crate) const TABLE: &[Entry] = &[Entry::onnx("Det", 11, det)];
