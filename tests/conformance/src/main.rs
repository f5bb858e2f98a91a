//! `conformance FOLDER...`: runs Ethereum's test suites and prints what failed.
//!
//! A folder with a `chain.rlp` holds RPC tests, any other state and blockchain tests.

use std::{path::PathBuf, process::ExitCode};

use assay_conformance::{rpc, run_folder};

/// Failures printed in full; the rest is only counted.
const SHOWN_FAILURES: usize = 100;

fn main() -> eyre::Result<ExitCode> {
    let folders: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if folders.is_empty() {
        eprintln!("usage: conformance FOLDER... (folders of state and blockchain tests)");
        return Ok(ExitCode::FAILURE);
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut ok = true;
    for folder in folders {
        let report = match folder.join("chain.rlp").exists() {
            true => rpc::run_folder(&folder)?,
            false => run_folder(&folder, threads)?,
        };
        for (name, reason) in report.failed.iter().take(SHOWN_FAILURES) {
            println!("FAIL {name}: {reason}");
        }
        println!(
            "{}: {} passed, {} failed, {} skipped",
            folder.display(),
            report.passed,
            report.failed.len(),
            report.skipped
        );
        ok &= report.failed.is_empty();
    }
    Ok(if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
