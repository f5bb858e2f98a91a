//! The `assay` command: wiring only; every subcommand has a file of its own.

mod cli;
mod dev;
mod model;
mod node;
mod serve;
mod table;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
