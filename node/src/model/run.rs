//! `assay model run`: answers rows of features, or runs a graph on tensors.

use std::path::PathBuf;

use assay_runtime::numerics::{Engine, Isa};
use assay_runtime::published::Published;
use assay_runtime::{Limits, Tensor, Value as Output};
use serde_json::{Value, json};

use super::{file, input, json as tensor_json};
use crate::cli::Failure;
use crate::table::Table;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Bundle (.assay) or ONNX file.
    model: PathBuf,
    /// Rows of features (.json, .csv) for a bundle with a schema; tensors (.json, .npy) otherwise.
    #[arg(long)]
    input: PathBuf,
    /// Run the graph on tensors even when the bundle has a feature schema.
    #[arg(long)]
    raw: bool,
    /// Print a table instead of JSON.
    #[arg(long)]
    text: bool,
    /// Threads; the answer is the same for every number.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let opened = file::open(&args.model, &Limits::default())?;
    let engine = Engine::new(Isa::detect(), usize::from(args.threads));
    match opened.published() {
        Some(published) if !args.raw && !published.manifest().schema.features.is_empty() => {
            predict(args, published, &engine)
        }
        _ => raw(args, opened.model(), &engine),
    }
}

fn predict(args: &Args, published: &Published, engine: &Engine) -> Result<(), Failure> {
    let manifest = published.manifest();
    let columns = &manifest.schema.columns;
    let rows = input::rows(&args.input, manifest)?;
    let mut table = Table::new(&[">row", "column", ">answer", "unit"]);
    let mut list = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let answer = published
            .predict(engine, 1, row)
            .map_err(|error| Failure::failed(format!("row {}: {error}", at + 1)))?;
        let mut values = serde_json::Map::new();
        let mut fixed = Vec::new();
        for (column, value) in columns.iter().zip(&answer) {
            let text = input::format_decimal(*value, column.decimals);
            let unit = column.unit.clone().unwrap_or_default();
            table.row([
                (at + 1).to_string(),
                column.name.clone(),
                text.clone(),
                unit,
            ]);
            values.insert(column.name.clone(), Value::String(text));
            fixed.push(value.to_string());
        }
        list.push(json!({ "answer": values, "fixed": fixed }));
    }
    if args.text {
        print!("{}", table.render());
    } else {
        println!(
            "{}",
            json!({ "model": published.id().0.to_string(), "rows": list })
        );
    }
    Ok(())
}

fn raw(args: &Args, model: &assay_runtime::Model, engine: &Engine) -> Result<(), Failure> {
    let inputs: Vec<Tensor> = input::tensors(&args.input, model)?;
    let views: Vec<&Tensor> = inputs.iter().collect();
    let outputs = model.run_tensors(engine, &views).map_err(Failure::failed)?;
    let mut members = serde_json::Map::new();
    for (port, value) in model.outputs().iter().zip(&outputs) {
        members.insert(port.name.clone(), describe(value));
    }
    if args.text {
        for (name, value) in &members {
            println!("{name}  {value}");
        }
    } else {
        println!("{}", json!({ "outputs": members }));
    }
    Ok(())
}

fn describe(value: &Output) -> Value {
    match value {
        Output::Tensor(tensor) => tensor_json::describe(tensor.view()),
        Output::Sequence(values) => Value::Array(values.iter().map(describe).collect()),
        Output::Optional(inner) => inner.as_deref().map_or(Value::Null, describe),
    }
}
