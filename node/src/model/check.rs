//! `assay model check`: what a model is and what a call of it costs.

use std::path::PathBuf;

use assay_runtime::numerics::Engine;
use assay_runtime::published::Published;
use assay_runtime::{Cost, DType, Fact, Limits, Model, Plan, Port, PortKind, display_dims};
use serde_json::{Value, json};

use super::file::{self, Opened};
use crate::cli::Failure;
use crate::table::{Table, count, size};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Bundle (.assay) or ONNX file.
    file: PathBuf,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
    /// Show every node, however many there are.
    #[arg(long)]
    all: bool,
}

/// Nodes shown without `--all`.
const SHOWN_NODES: usize = 40;

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let opened = file::open(&args.file, &Limits::default())?;
    let replayed = match opened.published() {
        Some(published) => Some(
            published
                .replay(&Engine::single())
                .map_err(Failure::failed)?,
        ),
        None => None,
    };
    if args.json {
        println!("{}", report(&opened, replayed));
    } else {
        print_text(&opened, replayed, args.all);
    }
    Ok(())
}

fn print_text(opened: &Opened, replayed: Option<usize>, all: bool) {
    let model = opened.model();
    match opened {
        Opened::Bundle(published, bytes) => print_bundle(published, *bytes, replayed),
        Opened::Onnx(_, bytes) => println!("ONNX model, {}", size(*bytes)),
    }
    let mut ports = Table::new(&["", "name", "type", "shape"]);
    for (what, list) in [("input", model.inputs()), ("output", model.outputs())] {
        for port in list {
            let (dtype, shape) = kind_text(&port.kind);
            ports.row([what.to_owned(), port.name.clone(), dtype, shape]);
        }
    }
    println!("\n{}", ports.render().trim_end());
    for (port, declared) in corrected(model) {
        println!(
            "note: the file declares {} as {declared}; the inferred shape holds",
            port.name
        );
    }
    let Some(plan) = model.trial_plan() else {
        println!("\nThe inputs have no declared rank: shapes and cost are known at the call only.");
        return;
    };
    print_cost(model, plan, all);
}

fn print_bundle(published: &Published, bytes: u64, replayed: Option<usize>) {
    let manifest = published.manifest();
    println!(
        "{} {}, {}, licence {}",
        manifest.name,
        manifest.version,
        size(bytes),
        manifest.licence
    );
    println!("model id     {}", published.id().0);
    println!("schema hash  {}", published.schema_hash().0);
    println!("publisher    {}", manifest.publisher);
    println!(
        "samples      {} rows reproduced bit for bit",
        replayed.unwrap_or(0)
    );
    let mut table = Table::new(&["", "name", ">decimals", "unit", "notes"]);
    for feature in &manifest.schema.features {
        let notes = [
            feature.nullable.then(|| "nullable".to_owned()),
            (!feature.categories.is_empty())
                .then(|| format!("{} categories", feature.categories.len())),
        ];
        table.row([
            "feature".to_owned(),
            feature.name.clone(),
            feature.decimals.to_string(),
            feature.unit.clone().unwrap_or_default(),
            notes.into_iter().flatten().collect::<Vec<_>>().join(", "),
        ]);
    }
    for column in &manifest.schema.columns {
        table.row([
            "column".to_owned(),
            column.name.clone(),
            column.decimals.to_string(),
            column.unit.clone().unwrap_or_default(),
            column
                .class
                .as_ref()
                .map(|class| format!("class {class}"))
                .unwrap_or_default(),
        ]);
    }
    if !manifest.schema.features.is_empty() {
        println!("\n{}", table.render().trim_end());
    }
}

fn print_cost(model: &Model, plan: &Plan, all: bool) {
    let mut table = Table::new(&[
        "node",
        "operator",
        ">MACs",
        ">transc.",
        ">elements",
        ">tree steps",
        ">bytes",
    ]);
    let nodes = &model.graph().nodes;
    let shown = if all {
        nodes.len()
    } else {
        nodes.len().min(SHOWN_NODES)
    };
    for (node, cost) in nodes.iter().zip(plan.node_costs()).take(shown) {
        let cells = match cost {
            Ok(cost) => cost_cells(cost),
            Err(_) => std::array::from_fn(|_| "?".to_owned()),
        };
        let name: String = node.name.chars().take(32).collect();
        table.row([name, node.op_type.clone()].into_iter().chain(cells));
    }
    match plan.cost() {
        Ok(cost) => {
            table.row(
                ["total".to_owned(), String::new()]
                    .into_iter()
                    .chain(cost_cells(&cost)),
            );
        }
        Err(error) => println!("\nnote: {error}"),
    }
    println!("\n{}", table.render().trim_end());
    if shown < nodes.len() {
        println!("({} more nodes; --all shows them)", nodes.len() - shown);
    }
    println!("\ncost of one call with every free dimension at its smallest trial size");
}

fn cost_cells(cost: &Cost) -> [String; 5] {
    let macs = cost
        .macs_f32
        .saturating_add(cost.macs_f64)
        .saturating_add(cost.macs_int);
    let bytes = cost.bytes_read.saturating_add(cost.bytes_written);
    [
        macs,
        cost.transcendentals,
        cost.elements,
        cost.tree_steps,
        bytes,
    ]
    .map(count)
}

fn kind_text(kind: &PortKind) -> (String, String) {
    match kind {
        PortKind::Tensor {
            dtype,
            dims: Some(dims),
        } => (dtype.to_string(), display_dims(dims)),
        PortKind::Tensor { dtype, dims: None } => (dtype.to_string(), "any".to_owned()),
        PortKind::Sequence => ("sequence".to_owned(), String::new()),
        PortKind::Optional => ("known at the call".to_owned(), String::new()),
    }
}

/// Finds outputs whose declared type or fixed dimensions contradict the inferred ones.
fn corrected(model: &Model) -> Vec<(&Port, String)> {
    let mut found = Vec::new();
    for (port, declared) in model.outputs().iter().zip(model.declared_outputs()) {
        let PortKind::Tensor {
            dtype,
            dims: Some(dims),
        } = &port.kind
        else {
            continue;
        };
        let Some(declared) = declared else { continue };
        let agrees = match declared {
            PortKind::Tensor {
                dtype: said,
                dims: Some(said_dims),
            } => {
                use assay_runtime::Dim::Fixed;
                said == dtype
                    && said_dims.len() == dims.len()
                    && said_dims
                        .iter()
                        .zip(dims)
                        .all(|(said, is)| match (said, is) {
                            (Fixed(a), Fixed(b)) => a == b,
                            (Fixed(_), _) => false,
                            _ => true,
                        })
            }
            PortKind::Tensor {
                dtype: said,
                dims: None,
            } => said == dtype,
            _ => false,
        };
        if !agrees {
            let (dtype, shape) = kind_text(declared);
            found.push((port, format!("{dtype}{shape}")));
        }
    }
    found
}

fn report(opened: &Opened, replayed: Option<usize>) -> Value {
    let model = opened.model();
    let port = |port: &Port| {
        let (dtype, shape) = kind_text(&port.kind);
        json!({ "name": port.name, "type": dtype, "shape": shape })
    };
    let cost = |cost: &Cost| {
        json!({
            "nodes": cost.nodes, "macs_f32": cost.macs_f32, "macs_f64": cost.macs_f64,
            "macs_int": cost.macs_int, "bytes_read": cost.bytes_read,
            "bytes_written": cost.bytes_written, "transcendentals": cost.transcendentals,
            "elements": cost.elements, "tree_steps": cost.tree_steps,
            "sort_steps": cost.sort_steps,
        })
    };
    let plan = model.trial_plan();
    let nodes: Vec<Value> = plan.map_or_else(Vec::new, |plan| {
        let row = |(node, c): (&assay_runtime::Node, &Result<Cost, _>)| {
            json!({ "name": node.name, "op": node.op_type, "cost": c.as_ref().ok().map(cost) })
        };
        model.graph().nodes.iter().zip(plan.node_costs()).map(row).collect()
    });
    let total = plan.and_then(|plan| plan.cost().ok()).as_ref().map(cost);
    let outputs: Vec<Value> = plan.map_or_else(Vec::new, |plan| {
        plan.outputs().iter().map(fact_json).collect()
    });
    let published = opened.published();
    json!({
        "modelId": published.map(|p| p.id().0.to_string()),
        "schemaHash": published.map(|p| p.schema_hash().0.to_string()),
        "samples": replayed,
        "inputs": model.inputs().iter().map(port).collect::<Vec<_>>(),
        "outputs": model.outputs().iter().map(port).collect::<Vec<_>>(),
        "corrected": corrected(model).iter().map(|(p, d)| json!({ "name": p.name, "declared": d })).collect::<Vec<_>>(),
        "trialOutputs": outputs,
        "cost": total,
        "nodes": nodes,
    })
}

fn fact_json(fact: &Fact) -> Value {
    match fact {
        Fact::Tensor(fact) => {
            let dtype: DType = fact.dtype;
            json!({ "type": dtype.name(), "shape": fact.shape, "exact": fact.exact })
        }
        Fact::Sequence => json!("sequence"),
        Fact::Optional => json!("optional"),
        Fact::Unknown => Value::Null,
    }
}
