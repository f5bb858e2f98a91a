//! The `assay` command: wiring only; every subcommand has a file of its own.

mod bisect;
mod cli;
mod client;
mod demo;
mod dev;
mod disk;
mod doctor;
mod file;
mod genesis;
mod infer;
mod keys;
mod limits;
mod model;
mod network;
mod node;
mod progress;
mod receipt;
mod replay;
mod serve;
mod snapshot;
mod table;
mod wallet;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
