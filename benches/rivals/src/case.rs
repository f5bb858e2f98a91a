//! Cases of scripts/gen_models.py: a model and its inputs.

use assay_runtime::onnx::proto::TensorProto;
use assay_runtime::onnx::tensor::import_tensor;
use assay_runtime::{Limits, Tensor};
use prost::Message as _;
use std::error::Error;
use std::path::Path;

/// Lists the models that are compared when none is named, with the ratio onnxruntime / ours that
/// each is to reach on one thread.
const USUAL: &[(&str, f64)] = &[
    ("mlp", 1.5),
    ("xgb-100", 1.3),
    ("xgb-500", 1.3),
    ("lgbm-100", 1.3),
    ("lgbm-500", 1.3),
    ("minilm", 1.0),
    ("resnet18", 0.9),
];

/// Is the length of the sentences.
const TOKENS: usize = 32;

/// Holds one input of a model.
pub(crate) struct Case {
    pub(crate) inputs: Vec<Tensor>,
}

/// Chooses the models: those named, or the usual ones.
pub(crate) fn names(folder: &Path, names: &[String]) -> Result<Vec<String>, Box<dyn Error>> {
    let usual: Vec<String> = USUAL.iter().map(|(name, _)| name.to_string()).collect();
    let names = if names.is_empty() { &usual } else { names };
    for name in names {
        if !folder.join(name).join("model.onnx").is_file() {
            let folder = folder.display();
            return Err(format!("no {folder}/{name}/model.onnx: run scripts/gen_models.py").into());
        }
    }
    Ok(names.to_vec())
}

/// Returns the ratio a model is to reach.
pub(crate) fn target(name: &str) -> Option<f64> {
    let found = USUAL.iter().find(|(usual, _)| *usual == name);
    found.map(|(_, target)| *target)
}

/// Reads a model's file.
pub(crate) fn model(folder: &Path, name: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    Ok(std::fs::read(folder.join(name).join("model.onnx"))?)
}

impl Case {
    /// Reads a case. Images become 224 x 224 and sentences 32 tokens long: the files hold small ones,
    /// for tests.
    pub(crate) fn read(folder: &Path, name: &str) -> Result<Self, Box<dyn Error>> {
        let folder = folder.join(name);
        let mut inputs = Vec::new();
        while let Ok(bytes) = std::fs::read(folder.join(format!("input_{}.pb", inputs.len()))) {
            let proto = TensorProto::decode(&bytes[..])?;
            inputs.push(import_tensor(&proto, &Limits::default())?);
        }
        if name.starts_with("resnet") {
            let shape = [1, 3, 224, 224];
            let count: usize = shape.iter().product();
            let pixels = (0..count).map(|i| ((i * 7919 % 1009) as f32 - 504.0) / 250.0);
            inputs = vec![Tensor::from_vec(shape.to_vec(), pixels.collect())?];
        }
        if name.starts_with("minilm") {
            for input in &mut inputs {
                let tokens = input.as_slice::<i64>()?;
                let repeated = tokens.iter().copied().cycle().take(TOKENS).collect();
                *input = Tensor::from_vec(vec![1, TOKENS], repeated)?;
            }
        }
        Ok(Case { inputs })
    }
}

/// Returns the largest difference, relative to the largest number.
pub(crate) fn difference(got: &[f32], want: &[f32]) -> f32 {
    if got.len() != want.len() {
        return f32::INFINITY;
    }
    let size = want.iter().fold(1e-6f32, |size, x| size.max(x.abs()));
    let far = got.iter().zip(want).map(|(a, b)| (a - b).abs());
    far.fold(0.0f32, f32::max) / size
}
