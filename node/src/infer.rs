//! `assay infer`: a node's model answers, without a transaction.

use std::path::{Path, PathBuf};

use alloy_primitives::{B256, Bytes, I256, keccak256};
use assay_runtime::{DType, Tensor, bundle::Bundle, element_count, elements, manifest::Manifest};
use serde_json::{Map, Value, json};

use crate::{
    cli::Failure,
    client::{Client, parse},
    model::{file, input, json as tensor_json, run as run_command},
};

/// Rows of one request.
const ROWS_AT_A_TIME: usize = 200;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model: its id, its name (owner/name or a title the node knows), or its bundle file.
    model: String,
    /// Rows of features (.json, .csv), or tensors (.json, .npy) for a model without a schema.
    #[arg(long)]
    input: PathBuf,
    /// RPC address of the node.
    #[arg(long, default_value = "http://127.0.0.1:8545")]
    rpc: String,
    /// Run the graph on tensors even when the model has a feature schema.
    #[arg(long)]
    raw: bool,
    /// Print a table instead of JSON.
    #[arg(long, conflicts_with = "json")]
    text: bool,
    /// Print JSON: the default.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let client = Client::new(&args.rpc)?;
    let name = match is_file(&args.model) {
        true => id_of_file(Path::new(&args.model))?.to_string(),
        false => args.model.clone(),
    };
    let model = client.call("assay_getModel", json!([name]))?;
    let id: B256 = parse(&model["id"], "model id")?;
    if model["held"] != true {
        return Err(Failure::failed(format!(
            "the node does not hold model {id}"
        )));
    }
    let bytes: Bytes = parse(&model["manifestBytes"], "manifest")?;
    if keccak256(&bytes) != id {
        return Err(Failure::failed("the node's manifest is not the model's"));
    }
    let manifest = Manifest::parse(&bytes).map_err(Failure::failed)?;
    match args.raw || manifest.schema.features.is_empty() {
        true => tensors(args, &client, id, &manifest),
        false => rows(args, &client, id, &manifest),
    }
}

fn is_file(text: &str) -> bool {
    !text.starts_with("0x") && Path::new(text).is_file()
}

/// Computes the id of a bundle's model; the file itself is not sent.
fn id_of_file(path: &Path) -> Result<B256, Failure> {
    let bundle = Bundle::read(file::read(path)?, u64::MAX);
    let at = |error| Failure::failed(format!("{}: {error}", path.display()));
    Ok(bundle.map_err(at)?.model_id().0)
}

fn rows(args: &Args, client: &Client, id: B256, manifest: &Manifest) -> Result<(), Failure> {
    let rows = input::rows(&args.input, manifest)?;
    let mut answers = Vec::new();
    for (part, rows) in rows.chunks(ROWS_AT_A_TIME).enumerate() {
        let texts: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().map(I256::to_string).collect())
            .collect();
        let answer = client.call("assay_infer", json!([id, {"rows": texts}]));
        let answer = answer.map_err(|error| match part {
            0 => error.into(),
            _ => Failure::failed(format!(
                "after row {}: {}",
                part * ROWS_AT_A_TIME,
                Failure::from(error)
            )),
        })?;
        let texts: Vec<Vec<String>> = parse(&answer["rows"], "rows")?;
        for row in texts {
            let values = row.iter().map(|text| text.parse::<I256>());
            let values = values.collect::<Result<Vec<_>, _>>();
            answers
                .push(values.map_err(|_| Failure::failed(format!("the node's row is {row:?}")))?);
        }
    }
    run_command::print_answers(id, &manifest.schema.columns, &answers, args.text);
    Ok(())
}

fn tensors(args: &Args, client: &Client, id: B256, manifest: &Manifest) -> Result<(), Failure> {
    let ports: Vec<input::InputPort<'_>> = manifest
        .inputs
        .iter()
        .map(|port| input::InputPort {
            name: &port.name,
            dtype: DType::from_onnx(i32::from(port.dtype)),
        })
        .collect();
    let inputs: Vec<Value> = input::tensors(&args.input, &ports)?
        .iter()
        .map(|tensor| {
            let mut data = Vec::new();
            elements::encode(tensor.data(), &mut data);
            let (dtype, shape) = (tensor.dtype().onnx(), tensor.shape());
            json!({"dtype": dtype, "shape": shape, "data": Bytes::from(data)})
        })
        .collect();
    let answer = client.call("assay_infer", json!([id, {"inputs": inputs}]))?;
    let outputs: Vec<Value> = parse(&answer["outputs"], "outputs")?;
    let mut members = Map::new();
    for (port, output) in manifest.outputs.iter().zip(&outputs) {
        let tensor = read_tensor(output)?;
        members.insert(port.name.clone(), tensor_json::describe(tensor.view()));
    }
    run_command::print_outputs(&members, args.text);
    Ok(())
}

fn read_tensor(output: &Value) -> Result<Tensor, Failure> {
    let bad = || Failure::failed(format!("the node's output is {output}"));
    let dtype: u8 = parse(&output["dtype"], "output type")?;
    let shape: Vec<usize> = parse(&output["shape"], "output shape")?;
    let data: Bytes = parse(&output["data"], "output")?;
    let dtype = DType::from_onnx(i32::from(dtype)).ok_or_else(bad)?;
    let count = element_count(&shape).ok_or_else(bad)?;
    let data = elements::decode(dtype, count, &data).map_err(|_| bad())?;
    Tensor::new(shape, data).map_err(|_| bad())
}
