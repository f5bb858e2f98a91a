//! Assay's own runtime.

use crate::case::Case;
use crate::{Options, Rival};
use assay_runtime::numerics::{Engine, Isa};
use assay_runtime::{Limits, Model, Tensor};
use std::error::Error;

struct Ours {
    engine: Engine,
    model: Model,
    inputs: Vec<Tensor>,
}

pub(crate) fn load(
    model: Vec<u8>,
    case: &Case,
    options: &Options,
) -> Result<Box<dyn Rival>, Box<dyn Error>> {
    Ok(Box::new(Ours {
        engine: Engine::new(Isa::detect(), options.threads),
        model: Model::from_onnx(model.into(), &Limits::default())?,
        inputs: case.inputs.clone(),
    }))
}

impl Rival for Ours {
    fn outputs(&mut self) -> Result<Vec<f32>, Box<dyn Error>> {
        let inputs: Vec<&Tensor> = self.inputs.iter().collect();
        let outputs = self.model.run_tensors(&self.engine, &inputs)?;
        let first = outputs.first().and_then(|value| value.as_tensor());
        Ok(first.ok_or("no output")?.as_slice::<f32>()?.to_vec())
    }

    fn run(&mut self) -> Result<(), Box<dyn Error>> {
        let inputs: Vec<&Tensor> = self.inputs.iter().collect();
        let done = self.model.run_with(&self.engine, &inputs, |view| {
            std::hint::black_box(view.data);
        })?;
        if !done {
            self.model.run_tensors(&self.engine, &inputs)?;
        }
        Ok(())
    }

    fn planned_bytes(&self) -> Option<u64> {
        let shapes: Vec<&[usize]> = self.inputs.iter().map(Tensor::shape).collect();
        self.model.plan(&shapes).ok()?.buffer_bytes()
    }
}
