//! Runs the ONNX backend node tests against the runtime and prints what does not pass.

use std::process::ExitCode;

use assay_tests::cases::{self, CaseSet, ONNX_NODE_TESTS};
use assay_tests::coverage::{self, Outcome, Summary};
use clap::Parser;

/// Runs the ONNX backend node tests and prints one line per case that does not pass.
#[derive(Parser)]
struct Args {
    /// Run only the cases whose name contains this text.
    #[arg(long, default_value = "")]
    filter: String,
    /// Print the cases that pass too.
    #[arg(long)]
    all: bool,
    /// Write docs/onnx-coverage.md from this run of every case.
    #[arg(long, conflicts_with = "filter")]
    write: bool,
}

fn main() -> eyre::Result<ExitCode> {
    let args = Args::parse();
    let set = CaseSet::open(ONNX_NODE_TESTS)?;
    let verdicts = coverage::run(&set, &args.filter)?;
    for verdict in &verdicts {
        let (word, why) = match &verdict.outcome {
            Outcome::Passed if !args.all => continue,
            Outcome::Passed => ("passed", ""),
            Outcome::Rounded(why) => ("rounded", why.as_str()),
            Outcome::Refused(why) => ("refused", why.as_str()),
            Outcome::Wrong(why) => ("WRONG", why.as_str()),
            Outcome::Panicked(why) => ("PANIC", why.as_str()),
        };
        println!("{word:8} {} {why}", verdict.case.name);
    }
    let summary = Summary::of(&verdicts);
    println!("{summary}");
    if args.write {
        let path = cases::root().join("docs").join("onnx-coverage.md");
        std::fs::write(&path, coverage::table(&verdicts))?;
        println!("wrote {}", path.display());
    }
    let sound = summary.wrong == 0 && summary.panicked == 0;
    Ok(if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
