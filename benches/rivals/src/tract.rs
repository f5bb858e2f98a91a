//! tract, with its optimiser, in plain Rust.

use crate::case::Case;
use crate::{Options, Rival};
use assay_runtime::Data;
use std::error::Error;
use tract_onnx::prelude::*;

struct Tract {
    model: Arc<TypedRunnableModel>,
    inputs: TVec<TValue>,
}

pub(crate) fn load(
    model: Vec<u8>,
    case: &Case,
    _: &Options,
) -> Result<Box<dyn Rival>, Box<dyn Error>> {
    let mut model = tract_onnx::onnx().model_for_read(&mut &model[..])?;
    let mut inputs = tvec!();
    for (i, input) in case.inputs.iter().enumerate() {
        let tensor = match input.data() {
            Data::F32(data) => tract_onnx::prelude::Tensor::from_shape(input.shape(), data)?,
            Data::I64(data) => tract_onnx::prelude::Tensor::from_shape(input.shape(), data)?,
            other => return Err(format!("{} inputs are not fed", other.dtype()).into()),
        };
        model = model.with_input_fact(
            i,
            InferenceFact::dt_shape(tensor.datum_type(), tensor.shape()),
        )?;
        inputs.push(tensor.into());
    }
    Ok(Box::new(Tract {
        model: model.into_optimized()?.into_runnable()?,
        inputs,
    }))
}

impl Rival for Tract {
    fn outputs(&mut self) -> Result<Vec<f32>, Box<dyn Error>> {
        let outputs = self.model.run(self.inputs.clone())?;
        let first = outputs.first().ok_or("no output")?;
        Ok(first
            .to_plain_array_view::<f32>()?
            .iter()
            .copied()
            .collect())
    }

    fn run(&mut self) -> Result<(), Box<dyn Error>> {
        std::hint::black_box(self.model.run(self.inputs.clone())?);
        Ok(())
    }
}
