//! `assay model run`: answers rows of features, or runs a graph on tensors.

use std::path::PathBuf;

use alloy_primitives::{B256, I256};
use assay_runtime::manifest::Column;
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
    let rows = input::rows(&args.input, manifest)?;
    let answer = |(at, row): (usize, &Vec<I256>)| {
        let answer = published.predict(engine, 1, row);
        answer.map_err(|error| Failure::failed(format!("row {}: {error}", at + 1)))
    };
    let answers = rows.iter().enumerate().map(answer);
    let answers = answers.collect::<Result<Vec<_>, _>>()?;
    print_answers(
        published.id().0,
        &manifest.schema.columns,
        &answers,
        args.text,
    );
    Ok(())
}

/// Prints the answers of rows, as JSON or as a table.
pub(crate) fn print_answers(id: B256, columns: &[Column], answers: &[Vec<I256>], text: bool) {
    let mut table = Table::new(&[">row", "column", ">answer", "unit"]);
    let mut list = Vec::new();
    for (at, answer) in answers.iter().enumerate() {
        let mut values = serde_json::Map::new();
        let mut fixed = Vec::new();
        for (column, value) in columns.iter().zip(answer) {
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
    if text {
        print!("{}", table.render());
    } else {
        println!("{}", json!({ "model": id.to_string(), "rows": list }));
    }
}

fn raw(args: &Args, model: &assay_runtime::Model, engine: &Engine) -> Result<(), Failure> {
    let inputs: Vec<Tensor> = input::tensors(&args.input, &input::graph_ports(model))?;
    let views: Vec<&Tensor> = inputs.iter().collect();
    let outputs = model.run_tensors(engine, &views).map_err(Failure::failed)?;
    let mut members = serde_json::Map::new();
    for (port, value) in model.outputs().iter().zip(&outputs) {
        members.insert(port.name.clone(), describe(value));
    }
    print_outputs(&members, args.text);
    Ok(())
}

/// Prints the outputs of a graph, as JSON or one a line.
pub(crate) fn print_outputs(members: &serde_json::Map<String, Value>, text: bool) {
    if text {
        for (name, value) in members {
            println!("{name}  {value}");
        }
    } else {
        println!("{}", json!({ "outputs": members }));
    }
}

fn describe(value: &Output) -> Value {
    match value {
        Output::Tensor(tensor) => tensor_json::describe(tensor.view()),
        Output::Sequence(values) => Value::Array(values.iter().map(describe).collect()),
        Output::Optional(inner) => inner.as_deref().map_or(Value::Null, describe),
    }
}
