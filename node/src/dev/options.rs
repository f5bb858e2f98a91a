//! The options of `assay dev`: anvil's, where they mean the same.

use std::{net::IpAddr, path::PathBuf};

use assay_dev::{DEFAULT_CHAIN_ID, DEFAULT_MNEMONIC};
use assay_types::spec::DEFAULT_BLOCK_GAS_LIMIT;
use clap::Args;

use crate::cli::Failure;

/// Runs a chain for development: instant blocks, rich accounts, anvil's methods.
#[derive(Args)]
pub(crate) struct Options {
    /// Port to listen on; 0 takes any that is free.
    #[arg(long, short, default_value_t = 8545)]
    pub(crate) port: u16,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,
    /// Chain id.
    #[arg(long, default_value_t = DEFAULT_CHAIN_ID)]
    pub(crate) chain_id: u64,
    /// Number of accounts to make.
    #[arg(long, short, default_value_t = 10, value_parser = clap::value_parser!(u32).range(..=10_000))]
    pub(crate) accounts: u32,
    /// Balance of each account in ether.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) balance: u64,
    /// Mnemonic the accounts derive from.
    #[arg(long, short, default_value = DEFAULT_MNEMONIC)]
    pub(crate) mnemonic: String,
    /// Seconds between blocks, instead of a block per transaction.
    #[arg(long, short, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) block_time: Option<u64>,
    /// Mines only when asked to.
    #[arg(long, conflicts_with = "block_time")]
    pub(crate) no_mining: bool,
    /// Gas limit of a block.
    #[arg(long, default_value_t = DEFAULT_BLOCK_GAS_LIMIT)]
    pub(crate) gas_limit: u64,
    /// Base fee of the first block in wei.
    #[arg(long, default_value_t = 1_000_000_000)]
    pub(crate) base_fee: u64,
    /// Time of the first block, seconds since 1970.
    #[arg(long)]
    pub(crate) timestamp: Option<u64>,
    /// Folder to keep the chain in; without it the chain lives in memory.
    #[arg(long)]
    pub(crate) datadir: Option<PathBuf>,
    /// File to read the state from at start and to write it to at stop.
    #[arg(long)]
    pub(crate) state: Option<PathBuf>,
    /// Bundle to publish at start, active from the first block; may be given again.
    #[arg(long)]
    pub(crate) model: Vec<PathBuf>,
    /// Takes uploads of models although others reach the port.
    #[arg(long)]
    pub(crate) allow_upload: bool,
    /// Leaves the trained example models out.
    #[arg(long)]
    pub(crate) no_examples: bool,
    /// Prints nothing at start.
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Not supported; named so that it is refused with a reason.
    #[arg(long, short, hide = true)]
    pub(crate) fork_url: Option<String>,
}

impl Options {
    /// Refuses options other tools have and this one cannot honour.
    pub(crate) fn refuse_unsupported(&self) -> Result<(), Failure> {
        match &self.fork_url {
            Some(_) => Err(Failure::usage(
                "--fork-url is not supported: a chain whose validators recompute every answer \
                 cannot take its state from another chain's RPC",
            )
            .hint("--state FILE, to start from a state you saved")),
            None => Ok(()),
        }
    }
}
