//! Prints the digests of whole models: `models FOLDER [portable|avx2|avx512] [threads]`.
//!
//! FOLDER holds one folder for each model, with `model.onnx` and `input_<i>.pb` (scripts/gen_models.py).
//! The digest covers dtype, shape and bytes of every output, so that two machines that print the same
//! line computed the same bits. scripts/check-bits runs it on every instruction set and emulator.

use std::error::Error;
use std::path::Path;

use assay_runtime::numerics::{Engine, Isa};
use assay_runtime::onnx::proto::TensorProto;
use assay_runtime::onnx::tensor::import_tensor;
use assay_runtime::{Limits, Model, Value, elements};
use prost::Message as _;

/// The models whose bits are compared: a network, trees, a recurrence, an encoder, convolutions.
const MODELS: [&str; 5] = ["mlp", "xgb-500", "lstm", "minilm", "resnet18"];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = Path::new(
        arguments
            .first()
            .ok_or("usage: models FOLDER [isa] [threads]")?,
    );
    let isa = Isa::available()
        .into_iter()
        .find(|isa| arguments.iter().any(|a| isa.name().eq_ignore_ascii_case(a)))
        .unwrap_or_else(Isa::detect);
    let threads = arguments
        .iter()
        .skip(1)
        .find_map(|a| a.parse().ok())
        .unwrap_or(1);
    let engine = Engine::new(isa, threads);

    let mut all = blake3::Hasher::new();
    for name in MODELS {
        let digest = digest(&engine, &folder.join(name))?;
        println!("      {name:22} {}", short(&digest));
        all.update(digest.as_bytes());
    }
    println!(
        "all   {:22} {} {} {threads} thread(s)",
        "",
        short(&all.finalize()),
        isa.name()
    );
    Ok(())
}

/// Runs one model on its input files and hashes what it answers.
fn digest(engine: &Engine, folder: &Path) -> Result<blake3::Hash, Box<dyn Error>> {
    let limits = Limits::default();
    let read = |file: &str| {
        let path = folder.join(file);
        std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let model = Model::from_onnx(read("model.onnx")?.into(), &limits)?;
    let mut inputs = Vec::new();
    for i in 0..model.inputs().len() {
        let proto = TensorProto::decode(read(&format!("input_{i}.pb"))?.as_slice())?;
        inputs.push(Value::from(import_tensor(&proto, &limits)?));
    }
    let mut hasher = blake3::Hasher::new();
    for output in model.run(engine, &inputs)? {
        let tensor = output.as_tensor().ok_or("an output is not a tensor")?;
        hasher.update(&tensor.dtype().onnx().to_le_bytes());
        for &dim in tensor.shape() {
            hasher.update(&(dim as u64).to_le_bytes());
        }
        let mut bytes = Vec::new();
        elements::encode(tensor.data(), &mut bytes);
        hasher.update(&bytes);
    }
    Ok(hasher.finalize())
}

/// Shortens a hash to the sixteen digits that fit a line.
fn short(hash: &blake3::Hash) -> String {
    hash.to_hex()[..16].to_owned()
}
