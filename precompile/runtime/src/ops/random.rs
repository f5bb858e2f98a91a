//! Operators that draw random numbers: refused (Spec: N-14), but for Dropout where it draws none.

use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Data, Out, View};

/// Passes its input through; the mask says that everything was kept.
struct Dropout {
    /// Whether the mask has the input's type (before opset 10) rather than bool.
    typed_mask: bool,
    outputs: usize,
    /// Whether inputs may ask for training, which drops at random unless the ratio is 0.
    inputs: bool,
}

impl Dropout {
    /// Refuses training with a ratio other than 0; the default ratio is 1/2.
    fn refuse_random(ratio: Option<View<'_>>, training: Option<View<'_>>) -> Result<(), OpError> {
        let trains = match training.map(|view| view.data) {
            Some(Data::Bool(v)) => v.contains(&true),
            _ => false,
        };
        let zero = match ratio.map(|view| view.data) {
            Some(Data::F32(v)) => v.iter().all(|r| r.abs() <= 0.0),
            Some(Data::F64(v)) => v.iter().all(|r| r.abs() <= 0.0),
            Some(Data::F16(v)) => v.iter().all(|r| r.0 & 0x7fff == 0),
            Some(Data::Bf16(v)) => v.iter().all(|r| r.0 & 0x7fff == 0),
            _ => false,
        };
        if trains && !zero {
            return Err(refused("Dropout in training mode with a ratio above 0"));
        }
        Ok(())
    }
}

fn refused(what: &str) -> OpError {
    OpError::Unsupported {
        what: format!("{what} draws random numbers, which"),
    }
}

impl Op for Dropout {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        if let (true, Ok(training)) = (self.inputs && cx.has(2), cx.value(2)) {
            let ratio = if cx.has(1) { Some(cx.value(1)?) } else { None };
            Dropout::refuse_random(ratio, Some(training))?;
        }
        let mask = if self.typed_mask {
            x.dtype
        } else {
            DType::Bool
        };
        Ok(vec![
            Fact::tensor(x.dtype, x.shape.clone()),
            Fact::tensor(mask, x.shape.clone()),
        ])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        Ok(cx.traffic())
    }

    fn is_alias(&self) -> bool {
        self.outputs == 1 && !self.inputs
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        if self.inputs {
            Dropout::refuse_random(ins.optional(1), ins.optional(2))?;
        }
        let Some((out, rest)) = outs.split_first_mut() else {
            return Ok(());
        };
        out.data.copy_from(ins.get(0)?.data)?;
        for mask in rest {
            let ones = Data::Bool(vec![true; mask.data.len()]);
            super::cast::convert(super::cast::CastRule::default(), &ones, mask.data)?;
        }
        Ok(())
    }
}

fn dropout(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    if cx.opset() < 12 {
        cx.arity(1..=1, 2)?;
        cx.ignore("ratio");
        let typed_mask = cx.opset() < 10;
        return Ok(Box::new(Dropout {
            typed_mask,
            outputs: cx.outputs(),
            inputs: false,
        }));
    }
    cx.arity(1..=3, 2)?;
    cx.ignore("seed");
    let inputs = cx.has_input(2);
    Ok(Box::new(Dropout {
        typed_mask: false,
        outputs: cx.outputs(),
        inputs,
    }))
}

fn random(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    Err(refused(cx.op_type()))
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("Dropout", 7, dropout),
    Entry::onnx("Bernoulli", 15, random),
    Entry::onnx("Multinomial", 7, random),
    Entry::onnx("RandomNormal", 1, random),
    Entry::onnx("RandomNormalLike", 1, random),
    Entry::onnx("RandomUniform", 1, random),
    Entry::onnx("RandomUniformLike", 1, random),
];
