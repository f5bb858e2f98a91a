//! `assay localnet`: a network on one machine, each validator a process of its own.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use clap::Args;
use serde_json::{Value, json};

use super::{
    founding::{Member, Plan, found, reopen, temporary_folder, unusable},
    processes::Processes,
};
use crate::{
    cli::{Failure, say},
    client::Client,
    serve,
};

#[derive(Args)]
pub(crate) struct Options {
    /// Validators, each a process of its own.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    validators: u8,
    /// Folder of the network; without it a temporary one. A folder with a network goes on.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Keep the temporary folder when the network stops.
    #[arg(long)]
    keep: bool,
    /// Chain id.
    #[arg(long, default_value_t = assay_dev::DEFAULT_CHAIN_ID)]
    chain_id: u64,
    /// Milliseconds from one block to the next.
    #[arg(long, default_value_t = 1_000)]
    block_interval_ms: u64,
    /// Milliseconds a proposer has in the first round.
    #[arg(long, default_value_t = 3_000)]
    propose_timeout_ms: u64,
    /// Prepare the folder and stop: run the nodes yourself with `assay node run`.
    #[arg(long, requires = "dir")]
    prepare: bool,
    /// Print one line of JSON when the network decides blocks, instead of text.
    #[arg(long)]
    json: bool,
}

impl Options {
    const fn plan(&self) -> Plan {
        Plan {
            validators: self.validators,
            chain_id: self.chain_id,
            block_interval_ms: self.block_interval_ms,
            propose_timeout_ms: self.propose_timeout_ms,
            examples: true,
        }
    }
}

/// Runs a network until it is told to stop.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let (folder, temporary) = match &options.dir {
        Some(folder) => (folder.clone(), false),
        None => (temporary_folder("localnet")?, true),
    };
    let members = match folder.join("genesis.json").exists() {
        true => reopen(&folder)?,
        false => found(&options.plan(), &folder)?,
    };
    if options.prepare {
        for member in &members {
            println!(
                "assay node run --skip-doctor --examples --config {}",
                member.config().display()
            );
        }
        return Ok(());
    }
    let outcome = serve(&members, &folder, options.json);
    if temporary && !options.keep && outcome.is_ok() {
        std::fs::remove_dir_all(&folder).map_err(|error| unusable(&folder, &error))?;
    } else if !options.json {
        println!("kept {}", folder.display());
    }
    outcome
}

fn serve(members: &[Member], folder: &Path, json: bool) -> Result<(), Failure> {
    let mut network = Processes::start(members, true)?;
    let began = Instant::now();
    let text = !json;
    if text {
        println!("{} validators, logs in {}", members.len(), folder.display());
    }
    for member in members {
        let client = Client::new(&member.url())?;
        let head = network.first_block(&client, began)?;
        if text {
            println!("  {:<8} {}  block {head}", member.name(), member.url());
        }
    }
    let took = began.elapsed().as_secs_f64();
    let nodes = members.iter();
    let nodes: Vec<Value> = nodes
        .map(|member| json!({"name": member.name(), "rpc": member.url()}))
        .collect();
    say(
        json,
        &json!({"folder": folder, "nodes": nodes}),
        format!("deciding blocks after {took:.1} s; Ctrl-C stops"),
    );
    serve::block_on(async { network.wait().await })
}
