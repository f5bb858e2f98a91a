//! `assay node`: chains that others made: import their blocks, serve them.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use alloy_primitives::B256;
use assay_chain::Chain;
use assay_pool::{Limits, Pool};
use assay_rpc::{Backend, start};
use assay_state::Store;
use assay_types::Genesis;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    cli::{Failure, say},
    file::write_whole,
    limits::RpcLimits,
    network::run::{self, Run},
    progress::Progress,
    serve, snapshot,
};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run a node of a network: follow, recompute and, with a key, vote.
    #[command(after_help = "Example: assay node run --config node-0/config.toml")]
    Run(Run),
    /// Execute and keep the blocks of a file, or begin with a snapshot.
    #[command(
        after_help = "Example: assay node import --genesis genesis.json --chain chain.rlp --datadir data"
    )]
    Import(Import),
    /// Answer JSON-RPC over a chain imported before.
    #[command(after_help = "Example: assay node serve --datadir data --port 8545")]
    Serve(Serve),
    /// Write a kept chain's blocks, its newest state as a genesis file, or a snapshot.
    #[command(after_help = "Example: assay node export --datadir data --blocks chain.rlp")]
    Export(Export),
}

#[derive(Args)]
pub(crate) struct Import {
    #[command(flatten)]
    place: Place,
    /// Blocks to import: their RLP, one after another.
    #[arg(
        long,
        required_unless_present = "snapshot",
        conflicts_with = "snapshot"
    )]
    chain: Option<PathBuf>,
    /// A snapshot to begin with in place of all blocks; needs --genesis and a new --datadir.
    #[arg(long, value_name = "FILE", requires_all = ["genesis", "datadir"])]
    snapshot: Option<PathBuf>,
    /// Refuse a snapshot of another block than this one.
    #[arg(long, value_name = "HASH", requires = "snapshot")]
    block: Option<B256>,
    /// Answer JSON-RPC once the blocks are in.
    #[arg(long)]
    serve: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    listen: Listen,
}

#[derive(Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    listen: Listen,
}

#[derive(Args)]
pub(crate) struct Export {
    /// Folder of the chain.
    #[arg(long)]
    datadir: PathBuf,
    /// File for the blocks, as `assay node import --chain` reads them.
    #[arg(long)]
    blocks: Option<PathBuf>,
    /// File for the newest state: a genesis of the same rules, also for `assay dev --state`.
    #[arg(long)]
    state: Option<PathBuf>,
    /// File for a snapshot: the newest state with its proof, as `assay node import --snapshot` reads it.
    #[arg(long)]
    snapshot: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Place {
    /// Genesis in geth's format; a chain in the data directory knows its own.
    #[arg(long)]
    genesis: Option<PathBuf>,
    /// Folder of the chain; without it the chain lives in memory.
    #[arg(long)]
    datadir: Option<PathBuf>,
    /// Blocks whose state stays readable; all of them when it is left out.
    #[arg(long, value_name = "BLOCKS")]
    history: Option<u64>,
}

#[derive(Args)]
struct Listen {
    /// Port to listen on; 0 takes any that is free.
    #[arg(long, default_value_t = 8545)]
    port: u16,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    #[command(flatten)]
    limits: RpcLimits,
}

/// Runs a subcommand.
pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(options) => run::run(&options),
        Command::Import(import) => {
            let chain = import_into(&import)?;
            match import.serve {
                true => answer(chain, &import.listen),
                false => Ok(()),
            }
        }
        Command::Export(options) => export(&options),
        Command::Serve(serve) => answer(open(&serve.place)?, &serve.listen),
    }
}

/// Imports what the options name; answers the chain.
fn import_into(import: &Import) -> Result<Chain, Failure> {
    let place = &import.place;
    if let (Some(file), Some(genesis), Some(datadir)) =
        (&import.snapshot, &place.genesis, &place.datadir)
    {
        snapshot::restore(
            file,
            &read_genesis(genesis)?,
            datadir,
            import.block,
            import.json,
        )?;
        return open(place);
    }
    let chain = open(place)?;
    // Without a snapshot the options hold the blocks.
    if let Some(file) = &import.chain {
        let count = import_blocks(&chain, file)?;
        let head = chain.head();
        let (number, hash) = (head.header.number, head.hash);
        say(
            import.json,
            &json!({"imported": count, "head": number, "hash": hash}),
            format!("imported {count} blocks, head is {number} ({hash})"),
        );
    }
    Ok(chain)
}

fn open(place: &Place) -> Result<Chain, Failure> {
    let store = match &place.datadir {
        Some(folder) => Store::open(folder),
        None => Store::scratch(),
    };
    let store = store.map_err(Failure::failed)?.with_history(place.history);
    let Some(path) = &place.genesis else {
        return Chain::reopen(store).map_err(|error| Failure::failed(error).hint("--genesis FILE"));
    };
    Chain::open(&read_genesis(path)?, store).map_err(Failure::failed)
}

fn read_genesis(path: &Path) -> Result<Genesis, Failure> {
    Genesis::from_json(&read_text(path)?)
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}

/// Writes blocks and state of a chain into files.
fn export(export: &Export) -> Result<(), Failure> {
    if export.blocks.is_none() && export.state.is_none() && export.snapshot.is_none() {
        return Err(Failure::usage(
            "nothing to write: give --blocks FILE, --state FILE or --snapshot FILE",
        ));
    }
    let store = Store::open(&export.datadir).map_err(Failure::failed)?;
    let chain = Chain::reopen(store).map_err(Failure::failed)?;
    if let Some(path) = &export.blocks {
        let mut bytes = Vec::new();
        let count = chain
            .export_blocks(&mut bytes)
            .map_err(|error| unreadable(path, &error))?;
        let count = count.map_err(Failure::failed)?;
        write_whole(path, &bytes).map_err(|error| unreadable(path, &error))?;
        say(
            export.json,
            &json!({"file": path, "blocks": count}),
            format!("wrote {count} blocks to {}", path.display()),
        );
    }
    if let Some(path) = &export.snapshot {
        snapshot::take(&chain, path, export.json)?;
    }
    if let Some(path) = &export.state {
        let state = chain.export_state().map_err(Failure::failed)?;
        let bytes = serde_json::to_vec(&state).map_err(Failure::failed)?;
        write_whole(path, &bytes).map_err(|error| unreadable(path, &error))?;
        let head = chain.head();
        let number = head.header.number;
        say(
            export.json,
            &json!({"file": path, "stateOf": number}),
            format!("wrote the state of block {number} to {}", path.display()),
        );
    }
    Ok(())
}

/// Imports the blocks of a file; those the chain already has are passed over.
fn import_blocks(chain: &Chain, path: &Path) -> Result<u64, Failure> {
    let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    let mut rest: &[u8] = &bytes;
    let mut count = 0;
    let progress = Progress::new("importing", bytes.len() as u64);
    while !rest.is_empty() {
        let offset = bytes.len() - rest.len();
        progress.set(offset as u64);
        let at = |error| Failure::failed(format!("{} at byte {offset}: {error}", path.display()));
        let block = chain.decode(&mut rest).map_err(at)?;
        if block.header().number <= chain.head().header.number {
            continue;
        }
        let number = block.header().number;
        let executed = chain.execute(block);
        let executed = executed
            .map_err(|error| Failure::failed(format!("block {number} is refused: {error}")))?;
        chain.commit(&executed).map_err(Failure::failed)?;
        count += 1;
    }
    progress.set(bytes.len() as u64);
    Ok(count)
}

fn answer(chain: Chain, listen: &Listen) -> Result<(), Failure> {
    let pool = Arc::new(Pool::new(Limits::default()));
    let backend = Arc::new(Backend::new(Arc::new(chain), pool, listen.limits.calls()));
    serve::block_on(async {
        let options = listen.limits.server(listen.host, listen.port);
        let (address, handle) = start(backend, options).await.map_err(Failure::failed)?;
        println!("Listening on {address}");
        serve::stopped().await?;
        let _ = handle.stop();
        Ok(())
    })
}

fn read_text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))
}

pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
}
