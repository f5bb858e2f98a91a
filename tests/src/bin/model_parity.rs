//! Compares the models of the parity list with onnxruntime and with the libraries that trained them.

use std::process::ExitCode;

use assay_tests::cases::{self, CaseSet};
use assay_tests::parity::{self, PARITY};
use clap::Parser;

/// Compares exported models with onnxruntime and prints one line per model.
#[derive(Parser)]
struct Args {
    /// Compare only the models whose name contains this text.
    #[arg(long, default_value = "")]
    filter: String,
    /// Write docs/model-parity.md from this run of every model.
    #[arg(long, conflicts_with = "filter")]
    write: bool,
}

fn main() -> eyre::Result<ExitCode> {
    let args = Args::parse();
    let set = CaseSet::open(PARITY)?;
    let rows = parity::run(&set, &args.filter)?;
    for row in &rows {
        let word = if row.agrees() { "agrees" } else { "DIFFERS" };
        match &row.result {
            Ok(f) => println!(
                "{word:8} {:28} ort {:.1e}, {} label flips; library {:.1e} (ort {:.1e}), {} leaf flips, \
                 {} label flips{}",
                row.entry.case.name,
                f.onnxruntime,
                f.onnxruntime_labels,
                f.native,
                f.onnxruntime_native,
                f.flips,
                f.native_labels,
                if f.batch_invariant {
                    ""
                } else {
                    "; a row alone differs"
                },
            ),
            Err(why) => println!("refused  {:28} {why}", row.entry.case.name),
        }
    }
    let agreeing = rows.iter().filter(|row| row.agrees()).count();
    println!("{agreeing} of {} models agree", rows.len());
    if args.write {
        let path = cases::root().join("docs").join("model-parity.md");
        std::fs::write(&path, parity::table(&rows))?;
        println!("wrote {}", path.display());
    }
    let sound = rows.iter().all(|row| row.agrees() || row.result.is_err());
    Ok(if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
