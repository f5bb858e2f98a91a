//! Prints the digests of the self-test: `digest [portable|avx2|avx512] [threads] [--golden]`.
//!
//! Run on other machines (or emulators) to compare bits; `--golden` prints the table of
//! src/selftest/golden.rs instead and belongs to a change of the rules only.

use assay_numerics::{Engine, Isa, selftest};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let golden = arguments.iter().any(|a| a == "--golden");
    let isa = Isa::available()
        .into_iter()
        .find(|isa| arguments.iter().any(|a| isa.name().eq_ignore_ascii_case(a)))
        .unwrap_or_else(|| if golden { Isa::Portable } else { Isa::detect() });
    let threads = arguments.iter().find_map(|a| a.parse().ok()).unwrap_or(1);
    let outcomes = selftest::run(&Engine::new(isa, threads));
    if golden {
        println!(
            "//! The digests every machine must find. Regenerate: `cargo run --release --example digest -- --golden`.\n"
        );
        println!("pub(super) const GOLDEN: &[(&str, u64)] = &[");
        for outcome in &outcomes {
            println!("    ({:?}, {:#018x}),", outcome.name, outcome.found);
        }
        println!("];");
        return ExitCode::SUCCESS;
    }
    for outcome in &outcomes {
        let verdict = if outcome.passed() { "ok" } else { "WRONG" };
        println!(
            "{:5} {:22} {:016x} {verdict}",
            outcome.rule, outcome.name, outcome.found
        );
    }
    let all = selftest::digest(&outcomes);
    println!(
        "all   {:22} {all:016x} {} {threads} thread(s)",
        "",
        isa.name()
    );
    if outcomes.iter().all(selftest::Outcome::passed) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
