//! candle-onnx: interprets the graph on candle tensors.

use crate::case::Case;
use crate::{Options, Rival};
use assay_runtime::Data;
use candle_core::{Device, Tensor};
use candle_onnx::onnx::ModelProto;
use prost::Message as _;
use std::collections::HashMap;
use std::error::Error;

struct Candle {
    model: ModelProto,
    inputs: HashMap<String, Tensor>,
    output: String,
}

pub(crate) fn load(
    model: Vec<u8>,
    case: &Case,
    _: &Options,
) -> Result<Box<dyn Rival>, Box<dyn Error>> {
    let model = ModelProto::decode(&model[..])?;
    let graph = model.graph.as_ref().ok_or("no graph")?;
    let mut inputs = HashMap::new();
    for (port, input) in graph.input.iter().zip(&case.inputs) {
        let tensor = match input.data() {
            Data::F32(data) => Tensor::from_slice(data, input.shape(), &Device::Cpu)?,
            Data::I64(data) => Tensor::from_slice(data, input.shape(), &Device::Cpu)?,
            other => return Err(format!("{} inputs are not fed", other.dtype()).into()),
        };
        inputs.insert(port.name.clone(), tensor);
    }
    let output = graph.output.first().ok_or("no output")?.name.clone();
    Ok(Box::new(Candle {
        model,
        inputs,
        output,
    }))
}

impl Rival for Candle {
    fn outputs(&mut self) -> Result<Vec<f32>, Box<dyn Error>> {
        let outputs = candle_onnx::simple_eval(&self.model, self.inputs.clone())?;
        let first = outputs.get(&self.output).ok_or("no output")?;
        Ok(first.flatten_all()?.to_vec1::<f32>()?)
    }

    fn run(&mut self) -> Result<(), Box<dyn Error>> {
        let outputs = candle_onnx::simple_eval(&self.model, self.inputs.clone())?;
        std::hint::black_box(outputs);
        Ok(())
    }
}
