//! The options of `assay dev`: anvil's, where they mean the same.

use std::{net::IpAddr, path::PathBuf};

use clap::Args;

use crate::{cli::Failure, limits::RpcLimits};

/// Runs a chain for development: instant blocks, rich accounts, anvil's methods.
#[derive(Args)]
pub(crate) struct Options {
    /// Port to listen on; 0 takes any that is free.
    #[arg(long, short, default_value_t = 8545)]
    pub(crate) port: u16,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,
    /// Chain id [default: 31337].
    #[arg(long)]
    pub(crate) chain_id: Option<u64>,
    /// Number of accounts to make [default: 10].
    #[arg(long, short, value_parser = clap::value_parser!(u32).range(..=10_000))]
    pub(crate) accounts: Option<u32>,
    /// Balance of each account in ether [default: 10000].
    #[arg(long)]
    pub(crate) balance: Option<u64>,
    /// Mnemonic the accounts derive from [default: the one of anvil and Hardhat].
    #[arg(long, short)]
    pub(crate) mnemonic: Option<String>,
    /// Seconds between blocks, instead of a block per transaction.
    #[arg(long, short, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) block_time: Option<u64>,
    /// Mines only when asked to.
    #[arg(long, conflicts_with = "block_time")]
    pub(crate) no_mining: bool,
    /// Gas limit of a block [default: 60000000].
    #[arg(long)]
    pub(crate) gas_limit: Option<u64>,
    /// Base fee of the first block in wei [default: 1000000000].
    #[arg(long)]
    pub(crate) base_fee: Option<u64>,
    /// Time of the first block, seconds since 1970 [default: now].
    #[arg(long)]
    pub(crate) timestamp: Option<u64>,
    /// Folder to keep the chain in; without it the chain lives in memory. A chain that is there goes
    /// on as it was made: options that would make another are refused.
    #[arg(long)]
    pub(crate) datadir: Option<PathBuf>,
    /// Blocks whose state stays readable; all of them when it is left out.
    #[arg(long, value_name = "BLOCKS")]
    pub(crate) history: Option<u64>,
    /// File to read the state from at start, if it is there, and to write it to at stop.
    #[arg(long, conflicts_with_all = ["load_state", "dump_state"])]
    pub(crate) state: Option<PathBuf>,
    /// File to read the state from at start.
    #[arg(long)]
    pub(crate) load_state: Option<PathBuf>,
    /// File to write the state to at stop.
    #[arg(long)]
    pub(crate) dump_state: Option<PathBuf>,
    /// Bundle to publish at start; may be given again. A new chain has it active from the first
    /// block, one that goes on registers it.
    #[arg(long)]
    pub(crate) model: Vec<PathBuf>,
    /// Takes uploads of models although others reach the port.
    #[arg(long)]
    pub(crate) allow_upload: bool,
    /// Leaves the trained example models and the example contract out.
    #[arg(long)]
    pub(crate) no_examples: bool,
    /// Prints nothing at start.
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Prints the first screen as one line of JSON.
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,
    /// Not supported; named so that it is refused with a reason.
    #[arg(long, short, hide = true)]
    pub(crate) fork_url: Option<String>,
    #[command(flatten)]
    pub(crate) limits: RpcLimits,
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

    /// Returns the file the state is read from, and whether it must be there.
    pub(crate) fn state_to_load(&self) -> Option<(&PathBuf, bool)> {
        let optional = self.state.as_ref().map(|path| (path, false));
        optional.or(self.load_state.as_ref().map(|path| (path, true)))
    }

    /// Returns the file the state is written to.
    pub(crate) fn state_to_save(&self) -> Option<&PathBuf> {
        self.state.as_ref().or(self.dump_state.as_ref())
    }
}
