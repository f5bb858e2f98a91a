//! `assay node`: chains that others made: import their blocks, serve them.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use assay_chain::Chain;
use assay_pool::{Limits, Pool};
use assay_rpc::{Backend, CallLimits, ServerOptions, start};
use assay_state::Store;
use assay_types::Genesis;
use clap::{Args, Subcommand};

use crate::{cli::Failure, serve};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Execute and keep the blocks of a file.
    Import(Import),
    /// Answer JSON-RPC over a chain imported before.
    Serve(Serve),
}

#[derive(Args)]
pub(crate) struct Import {
    #[command(flatten)]
    place: Place,
    /// Blocks to import: their RLP, one after another.
    #[arg(long)]
    chain: PathBuf,
    /// Answer JSON-RPC once the blocks are in.
    #[arg(long)]
    serve: bool,
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
struct Place {
    /// Genesis in geth's format.
    #[arg(long)]
    genesis: PathBuf,
    /// Folder of the chain; without it the chain lives in memory.
    #[arg(long)]
    datadir: Option<PathBuf>,
}

#[derive(Args)]
struct Listen {
    /// Port to listen on; 0 takes any that is free.
    #[arg(long, default_value_t = 8545)]
    port: u16,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
}

/// Runs a subcommand.
pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Import(import) => {
            let chain = open(&import.place)?;
            let count = import_blocks(&chain, &import.chain)?;
            let head = chain.head();
            println!(
                "imported {count} blocks, head is {} ({})",
                head.header.number, head.hash
            );
            match import.serve {
                true => answer(chain, &import.listen),
                false => Ok(()),
            }
        }
        Command::Serve(serve) => answer(open(&serve.place)?, &serve.listen),
    }
}

fn open(place: &Place) -> Result<Chain, Failure> {
    let genesis = Genesis::from_json(&read_text(&place.genesis)?)
        .map_err(|error| Failure::failed(format!("{}: {error}", place.genesis.display())))?;
    let store = match &place.datadir {
        Some(folder) => Store::open(folder),
        None => Store::in_memory(),
    };
    Chain::open(&genesis, store.map_err(Failure::failed)?).map_err(Failure::failed)
}

/// Imports the blocks of a file; those the chain already has are passed over.
fn import_blocks(chain: &Chain, path: &Path) -> Result<u64, Failure> {
    let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    let mut rest: &[u8] = &bytes;
    let mut count = 0;
    while !rest.is_empty() {
        let offset = bytes.len() - rest.len();
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
    Ok(count)
}

fn answer(chain: Chain, listen: &Listen) -> Result<(), Failure> {
    let pool = Arc::new(Pool::new(Limits::default()));
    let backend = Arc::new(Backend::new(Arc::new(chain), pool, CallLimits::default()));
    serve::block_on(async {
        let options = ServerOptions::new((listen.host, listen.port).into());
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

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
}
