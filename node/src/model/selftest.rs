//! `assay model selftest`: does this machine compute the bits that every other machine computes?

use assay_runtime::numerics::{Engine, Isa, selftest};
use serde_json::json;

use crate::cli::Failure;
use crate::table::Table;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Threads of the widest instruction set; the others are checked with one.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let mut table = Table::new(&["instruction set", ">threads", "digest", "wrong"]);
    let mut reports = Vec::new();
    let mut broken = Vec::new();
    for isa in Isa::available() {
        let threads = if isa == Isa::detect() {
            usize::from(args.threads)
        } else {
            1
        };
        let outcomes = selftest::run(&Engine::new(isa, threads));
        let digest = format!("{:016x}", selftest::digest(&outcomes));
        let wrong: Vec<String> = outcomes
            .iter()
            .filter(|outcome| !outcome.passed())
            .map(|outcome| format!("{} {}", outcome.rule, outcome.name))
            .collect();
        let verdict = if wrong.is_empty() {
            "none".to_owned()
        } else {
            wrong.join(", ")
        };
        table.row([
            isa.name().to_owned(),
            threads.to_string(),
            digest.clone(),
            verdict,
        ]);
        reports.push(json!({
            "isa": isa.name(), "threads": threads, "digest": digest, "wrong": wrong,
        }));
        broken.extend(
            wrong
                .into_iter()
                .map(|rule| format!("{rule} ({})", isa.name())),
        );
    }
    if args.json {
        println!(
            "{}",
            json!({ "passed": broken.is_empty(), "runs": reports })
        );
    } else {
        print!("{}", table.render());
    }
    if broken.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "this machine computes other bits: {}",
        broken.join("; ")
    ))
    .hint("do not validate on it; check memory and CPU, and rebuild the binary"))
}
