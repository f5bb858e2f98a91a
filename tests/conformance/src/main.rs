//! `conformance [--at-least N] [--page FILE] FOLDER...`: runs Ethereum's test suites and prints what
//! failed.
//!
//! A folder with a `chain.rlp` holds RPC tests, any other state and blockchain tests. `--at-least`
//! allows failures as long as so many files pass; `--page` writes down what the RPC tests gave.

use std::{path::PathBuf, process::ExitCode};

use assay_conformance::{Report, rpc, run_folder};
use eyre::{OptionExt as _, WrapErr as _};

/// Failures printed in full; the rest is only counted.
const SHOWN_FAILURES: usize = 100;

#[derive(Default)]
struct Options {
    at_least: Option<usize>,
    page: Option<PathBuf>,
    folders: Vec<PathBuf>,
}

fn options() -> eyre::Result<Options> {
    let mut options = Options::default();
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--at-least") => {
                let number = arguments.next().ok_or_eyre("--at-least needs a number")?;
                let number = number.to_str().ok_or_eyre("--at-least needs a number")?;
                options.at_least = Some(number.parse().wrap_err("--at-least")?);
            }
            Some("--page") => {
                let file = arguments.next().ok_or_eyre("--page needs a file")?;
                options.page = Some(file.into());
            }
            _ => options.folders.push(argument.into()),
        }
    }
    Ok(options)
}

fn main() -> eyre::Result<ExitCode> {
    let options = options()?;
    if options.folders.is_empty() {
        eprintln!(
            "usage: conformance [--at-least N] [--page FILE] FOLDER...\n\
             (folders of state and blockchain tests, or of RPC tests with their chain.rlp)"
        );
        return Ok(ExitCode::FAILURE);
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut ok = true;
    for folder in &options.folders {
        let report = if folder.join("chain.rlp").exists() {
            let replayed = rpc::run_folder(folder)?;
            if let Some(file) = &options.page {
                std::fs::write(file, rpc::page::render(&replayed))?;
            }
            let (equal, formed) = (replayed.equal, replayed.formed.len());
            println!("{equal} equal, {formed} of the form asked for");
            replayed.report()
        } else {
            run_folder(folder, threads)?
        };
        print(folder, &report);
        // A folder without cases shows nothing: it is the wrong folder.
        ok &= report.passed > 0
            && match options.at_least {
                Some(least) => report.passed >= least,
                None => report.failed.is_empty(),
            };
    }
    Ok(if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn print(folder: &std::path::Path, report: &Report) {
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
}
