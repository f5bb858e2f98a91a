//! `assay replay`: a block or transaction executed again from stored state, inference by inference.

use std::{path::PathBuf, sync::Arc};

use alloy_primitives::{B256, Bytes, U64};
use assay_chain::{Chain, Models};
use assay_dev::pin_examples;
use assay_pool::{Limits, Pool};
use assay_precompile::trace::CallTrace;
use assay_rpc::{Backend, CallLimits};
use assay_runtime::{Limits as ModelLimits, Path, bundle::Bundle};
use assay_state::{ModelStore, Store};
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    bisect::{self, Compared, Traced, Traces, short},
    cli::Failure,
    client::Client,
    table::{Table, count},
};

#[derive(Args)]
pub(crate) struct Options {
    /// Number or hash of a block, `latest`, or the hash of a transaction.
    what: String,
    /// Data directory of a node that is stopped: this program executes.
    #[arg(long, conflicts_with = "rpc", required_unless_present = "rpc")]
    datadir: Option<PathBuf>,
    /// RPC address of a node that runs: the node executes, with nothing remembered.
    #[arg(long)]
    rpc: Option<String>,
    /// Which inference the operators are traced of, from 0; needed where there are several.
    #[arg(long)]
    call: Option<usize>,
    /// Bundle of a model that is not in the data directory; the examples are known.
    #[arg(long, value_name = "FILE", requires = "datadir")]
    model: Vec<PathBuf>,
    #[command(flatten)]
    traces: Traces,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What executes: a node that runs, or this program over a node's files.
enum Source {
    Node(Client),
    Files(Box<Backend>),
}

/// What an execution gave, as `assay_replay` tells it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Replayed {
    block_number: U64,
    block_hash: B256,
    /// Records the chain holds of what was asked for.
    stored: usize,
    /// Why the outcome is not the header's, if it is not.
    header: Option<String>,
    inferences: Vec<Inference>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inference {
    transaction_index: U64,
    call_index: U64,
    model: B256,
    model_name: Option<String>,
    milliseconds: f64,
    gas: U64,
    input_hash: B256,
    output_hash: B256,
    same: bool,
    input: Bytes,
}

/// Executes again and compares with what is stored.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let source = match (&options.datadir, &options.rpc) {
        (Some(folder), _) => Source::Files(Box::new(open(folder, &options.model)?)),
        (None, Some(url)) => Source::Node(Client::new(url)?),
        (None, None) => return Err(Failure::usage("give --datadir or --rpc")),
    };
    let answer = source.call("assay_replay", json!([place(&options.what), true]))?;
    let replayed = Replayed::deserialize(&answer)
        .map_err(|error| Failure::failed(format!("the node's answer: {error}")))?;
    let compared = compare(options, &source, &replayed)?;
    if options.json {
        println!("{}", as_json(answer, &compared));
    } else {
        print_text(&replayed, &compared);
    }
    verdict(&replayed)
}

/// Compares operators where an inference differs, or where the user asks for it.
fn compare(
    options: &Options,
    source: &Source,
    replayed: &Replayed,
) -> Result<Vec<(usize, Vec<Compared>)>, Failure> {
    let list = &replayed.inferences;
    let first = list.iter().position(|one| !one.same);
    let at = match (options.call, first) {
        (Some(at), _) => at,
        (None, Some(first)) => first,
        (None, None) if !options.traces.wanted() => return Ok(Vec::new()),
        (None, None) if list.len() == 1 => 0,
        (None, None) => {
            return Err(
                Failure::usage(format!("{} inferences: which one is traced?", list.len()))
                    .hint("--call with its number in the table"),
            );
        }
    };
    let inference = list.get(at).ok_or_else(|| {
        Failure::usage(format!("--call {at}: there are {} inferences", list.len()))
    })?;
    let compared = options.traces.compare(source, &inference.input)?;
    Ok(vec![(at, compared)])
}

fn verdict(replayed: &Replayed) -> Result<(), Failure> {
    let hint = "assay model selftest, which checks this machine's arithmetic";
    if let Some(at) = replayed.inferences.iter().position(|one| !one.same) {
        let what = format!("inference {at} is not what its record says");
        return Err(Failure::failed(what).hint(hint));
    }
    if replayed.inferences.len() != replayed.stored {
        return Err(Failure::failed(format!(
            "{} inferences were executed, {} are recorded",
            replayed.inferences.len(),
            replayed.stored
        ))
        .hint(hint));
    }
    match &replayed.header {
        None => Ok(()),
        Some(why) => Err(Failure::failed(why).hint(hint)),
    }
}

/// Writes a block or transaction as JSON-RPC takes it.
fn place(what: &str) -> Value {
    match what.parse::<u64>() {
        Ok(number) => json!(U64::from(number)),
        Err(_) => json!(what),
    }
}

/// Opens the files of a node that is stopped.
fn open(folder: &std::path::Path, bundles: &[PathBuf]) -> Result<Backend, Failure> {
    let at = |error: &dyn std::fmt::Display| {
        Failure::failed(format!("{}: {error}", folder.display()))
            .hint("the data directory of a node that is stopped; --rpc for one that runs")
    };
    // Opening would make it.
    std::fs::metadata(folder).map_err(|error| at(&error))?;
    let store = Store::open(folder).map_err(|error| at(&error))?;
    let chain = Chain::reopen(store).map_err(|error| at(&error))?;
    let params = chain.spec().assay.clone();
    let params = params.ok_or_else(|| at(&"a chain without inference"))?;
    let models = ModelStore::open(folder).map_err(|error| at(&error))?;
    let models = Models::new(models, ModelLimits::default(), params);
    pin_examples(&models).map_err(|error| at(&error))?;
    for path in bundles {
        let refuse =
            |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", path.display()));
        let bytes = bytes::Bytes::from(std::fs::read(path).map_err(|error| refuse(&error))?);
        let bundle = Bundle::read(bytes.clone(), bytes.len() as u64);
        let id = bundle.map_err(|error| refuse(&error))?.model_id().0;
        models.store().pin(id, bytes);
    }
    let chain = Arc::new(chain.with_models(Arc::new(models)));
    // This program's own work: no client's share of it is to be bounded.
    let limits = CallLimits {
        gas: u64::MAX,
        ..CallLimits::default()
    };
    Ok(Backend::new(
        chain,
        Arc::new(Pool::new(Limits::default())),
        limits,
    ))
}

impl Source {
    fn call(&self, method: &str, params: Value) -> Result<Value, Failure> {
        match self {
            Self::Node(client) => Ok(client.call(method, params)?),
            Self::Files(backend) => backend
                .call(method, Some(params))
                .map_err(|error| Failure::failed(error.message)),
        }
    }
}

impl Traced for Source {
    fn trace(&self, path: Path, input: &Bytes) -> Result<CallTrace, Failure> {
        bisect::parse(self.call("assay_traceOperators", json!([input, path.name()]))?)
    }
}

fn as_json(mut answer: Value, compared: &[(usize, Vec<Compared>)]) -> Value {
    for (at, compared) in compared {
        let list: Vec<Value> = compared.iter().map(Compared::json).collect();
        if let Some(inference) = answer["inferences"].get_mut(at) {
            inference["compared"] = list.into();
        }
    }
    answer
}

fn print_text(replayed: &Replayed, compared: &[(usize, Vec<Compared>)]) {
    let number: u64 = replayed.block_number.to();
    println!("block {number} {}", replayed.block_hash);
    match &replayed.header {
        None => println!("gas, receipts, logs and inference records are the header's"),
        Some(why) => println!("FAILS: {why}"),
    }
    let mut table = Table::new(&[
        ">inference",
        ">tx",
        ">call",
        "model",
        ">ms",
        ">gas",
        "input",
        "output",
        "verdict",
    ]);
    for (at, one) in replayed.inferences.iter().enumerate() {
        let verdict = if one.same { "same" } else { "DIFFERS" };
        table.row([
            at.to_string(),
            one.transaction_index.to_string(),
            one.call_index.to_string(),
            one.model_name.clone().unwrap_or_else(|| short(one.model)),
            format!("{:.3}", one.milliseconds),
            count(one.gas.to()),
            short(one.input_hash),
            short(one.output_hash),
            verdict.to_owned(),
        ]);
    }
    print!("{}", table.render());
    for (at, compared) in compared {
        for one in compared {
            println!("inference {at}: {}", one.text());
        }
    }
}
