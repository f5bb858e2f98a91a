//! Finds the fixtures of a folder, runs them on all cores and counts.

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use eyre::{Result, WrapErr as _};
use serde_json::Value;

use crate::{blockchain, state};

/// What became of the cases of a folder.
#[derive(Debug, Default)]
pub struct Report {
    /// Cases that passed.
    pub passed: usize,
    /// Cases of a kind this program does not run.
    pub skipped: usize,
    /// Cases that failed, with the reason.
    pub failed: Vec<(String, String)>,
}

impl Report {
    fn merge(&mut self, other: Self) {
        self.passed += other.passed;
        self.skipped += other.skipped;
        self.failed.extend(other.failed);
    }

    fn record(&mut self, name: String, outcome: Result<()>) {
        match outcome {
            Ok(()) => self.passed += 1,
            Err(error) => self.failed.push((name, format!("{error:#}"))),
        }
    }
}

/// Runs every state and blockchain test under a folder, on `threads` threads.
///
/// # Errors
/// When the folder cannot be read or a file is not JSON.
pub fn run_folder(folder: &Path, threads: usize) -> Result<Report> {
    let mut files = Vec::new();
    find(folder, &mut files)?;
    files.sort();
    let next = AtomicUsize::new(0);
    let total = Mutex::new((Report::default(), Ok(())));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = run_file(file);
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    match outcome {
                        Ok(report) => total.0.merge(report),
                        Err(error) => total.1 = Err(error),
                    }
                }
            });
        }
    });
    let (mut report, outcome) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcome?;
    report.failed.sort();
    Ok(report)
}

fn run_file(file: &Path) -> Result<Report> {
    let text = std::fs::read_to_string(file).wrap_err_with(|| file.display().to_string())?;
    let cases: serde_json::Map<String, Value> =
        serde_json::from_str(&text).wrap_err_with(|| file.display().to_string())?;
    let mut report = Report::default();
    for (name, case) in cases {
        if case.get("post").is_some() && case.get("transaction").is_some() {
            state::run(&name, case, &mut |name, outcome| {
                report.record(name, outcome)
            });
        } else if case.get("genesisRLP").is_some() && case.get("blocks").is_some() {
            let outcome = blockchain::run(case);
            report.record(name, outcome);
        } else {
            report.skipped += 1;
        }
    }
    Ok(report)
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(folder).wrap_err_with(|| folder.display().to_string())?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
    }
    Ok(())
}
