//! The command line: parses arguments, dispatches, and turns errors into exit codes.
//!
//! Exit codes: 0 done, 1 the work failed (a model is refused, rows differ), 2 wrong use.

use std::fmt;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{demo, dev, genesis, infer, keys, model, network::localnet, node, receipt};

/// On-chain inference that every validator recomputes.
#[derive(Parser)]
#[command(name = "assay", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check, pack, run and measure models.
    #[command(subcommand)]
    Model(model::Command),
    /// Ask a node's model, without a transaction.
    #[command(after_help = "Example: assay infer volatility --input rows.csv --text")]
    Infer(infer::Args),
    /// Show all of it in a minute: four validators, a model, a loan, a proof, a lie that fails.
    #[command(after_help = "Example: assay demo --once")]
    Demo(demo::Options),
    /// Run a chain for development, with anvil's methods.
    Dev(Box<dev::Options>),
    /// Run a node of a network; import, serve and export chains.
    #[command(subcommand)]
    Node(node::Command),
    /// Run a network on this machine, each validator a process of its own.
    #[command(after_help = "Example: assay localnet --validators 4")]
    Localnet(localnet::Options),
    /// Fetch the proof of an inference from a node.
    #[command(after_help = "Example: assay receipt 0x8f1c... --out receipt.json")]
    Receipt(receipt::Fetch),
    /// Check the proof of an inference: signatures, bytes, and with the model the bits themselves.
    #[command(
        after_help = "Example: assay verify receipt.json --genesis genesis.json --model volatility.assay"
    )]
    Verify(receipt::Verify),
    /// Make and show validators' keys.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Write the genesis of a network.
    #[command(
        after_help = "Example: assay genesis --chain-id 7171 --validator a.json --validator b.json --out genesis.json"
    )]
    Genesis(genesis::Options),
}

/// Says what went wrong and what to do about it: one line each.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    hint: Option<String>,
    code: u8,
}

impl Failure {
    /// Reports work that failed.
    pub(crate) fn failed(what: impl fmt::Display) -> Failure {
        Failure {
            what: what.to_string(),
            hint: None,
            code: 1,
        }
    }

    /// Reports wrong use of the command.
    pub(crate) fn usage(what: impl fmt::Display) -> Failure {
        Failure {
            what: what.to_string(),
            hint: None,
            code: 2,
        }
    }

    /// Adds what to do next, where nothing better is known.
    pub(crate) fn or_hint(self, hint: impl fmt::Display) -> Failure {
        if self.hint.is_some() {
            self
        } else {
            self.hint(hint)
        }
    }

    /// Adds what to do next.
    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Failure {
        self.hint = Some(hint.to_string());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Runs the command line of this process.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Model(command) => model::run(command),
        Command::Infer(args) => infer::run(&args),
        Command::Demo(options) => demo::run(&options),
        Command::Dev(options) => dev::run(&options),
        Command::Node(command) => node::run(command),
        Command::Localnet(options) => localnet::run(&options),
        Command::Receipt(args) => receipt::fetch(&args),
        Command::Verify(args) => receipt::verify(&args),
        Command::Keys(command) => keys::run(command),
        Command::Genesis(options) => genesis::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", failure.what);
            if let Some(hint) = failure.hint {
                eprintln!("  try: {hint}");
            }
            ExitCode::from(failure.code)
        }
    }
}
