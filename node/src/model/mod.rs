//! `assay model`: what a modeller does before publishing.

mod bench;
mod check;
mod du;
pub(crate) mod file;
pub(crate) mod input;
pub(crate) mod json;
mod pack;
pub(crate) mod publish;
pub(crate) mod run;
mod selftest;

use clap::Subcommand;

use crate::cli::Failure;

/// Check, pack, run and measure models.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show what a model is: inputs, outputs, cost of every node, memory, id.
    #[command(after_help = "Example: assay model check credit.onnx")]
    Check(check::Args),
    /// Make a bundle with a manifest from an ONNX model.
    #[command(
        after_help = "Example: assay model pack credit.onnx --positive-class 1 -o credit.assay"
    )]
    Pack(pack::Args),
    /// Run a model on rows of features or on tensors.
    #[command(after_help = "Example: assay model run credit.assay --input rows.csv --text")]
    Run(run::Args),
    /// Measure latency and throughput.
    #[command(after_help = "Example: assay model bench credit.assay --threads 2")]
    Bench(bench::Args),
    /// Upload a bundle to a node, register it, and wait until contracts can call it.
    #[command(after_help = "Example: assay model publish credit.assay --rpc http://127.0.0.1:8545")]
    Publish(publish::Args),
    /// Show what models take on a node's disk, and how much the chain allows.
    #[command(after_help = "Example: assay model du --rpc http://127.0.0.1:8545")]
    Du(du::Args),
    /// Compare this machine's bits with the golden digests of every rule.
    #[command(after_help = "Example: assay model selftest --json")]
    Selftest(selftest::Args),
}

/// Runs one of the commands.
pub(crate) fn run(command: Command) -> Result<(), Failure> {
    let (done, hint) = match command {
        Command::Check(args) => (check::run(&args), "assay model check --help"),
        Command::Pack(args) => (pack::run(&args), "assay model pack --help"),
        Command::Run(args) => (
            run::run(&args),
            "`assay model check MODEL` lists the inputs it takes",
        ),
        Command::Bench(args) => (bench::run(&args), "assay model bench --help"),
        Command::Publish(args) => (publish::run(&args), "assay model publish --help"),
        Command::Du(args) => (du::run(&args), "assay model du --help"),
        Command::Selftest(args) => (selftest::run(&args), "assay model selftest --help"),
    };
    done.map_err(|failure| failure.or_hint(hint))
}
