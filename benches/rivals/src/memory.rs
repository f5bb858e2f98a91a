//! The table of load times and peak memory: one process for each model and engine.

use crate::{Case, ENGINES, Options, brief, case};
use std::error::Error;
use std::process::Command;
use std::time::Instant;

/// Is how many runs the peak of running is taken over.
const RUNS: usize = 3;

/// Names the small model that is loaded and run first, so that what an engine needs for itself (code,
/// thread stacks, tables) is not counted as a model's.
const FIRST: &str = "mlp";

/// Holds what one process measured, in bytes above what the process held before.
struct Measured {
    load_ms: f64,
    load_peak: u64,
    run_peak: u64,
    planned: Option<u64>,
}

/// Prints one line for each model and engine.
pub(crate) fn compare(names: &[String], options: &Options) -> Result<(), Box<dyn Error>> {
    println!("MiB above a process that has run the mlp; needed = weights + buffers planned for a run");
    println!(
        "{:<10} {:<12} {:>9} {:>10} {:>10} {:>10} {:>13} {:>12}",
        "model",
        "engine",
        "load ms",
        "load peak",
        "run peak",
        "needed",
        "load / needed",
        "run / needed"
    );
    for name in names {
        let weights = case::model(&options.models, name)?.len() as u64;
        let mut needed = None;
        for (engine, _) in ENGINES {
            let mut measured = match spawn(engine, name, options) {
                Ok(measured) => measured,
                Err(error) => {
                    eprintln!("{name}: {engine} is left out: {}", brief(error.as_ref()));
                    continue;
                }
            };
            if let Some(planned) = measured.planned.take() {
                needed = Some(weights + planned);
            }
            let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            let needed = needed.ok_or("the first engine names its planned bytes")?;
            println!(
                "{name:<10} {engine:<12} {:>9.1} {:>10.1} {:>10.1} {:>10.1} {:>13.2} {:>12.2}",
                measured.load_ms,
                mib(measured.load_peak),
                mib(measured.run_peak),
                mib(needed),
                measured.load_peak as f64 / needed as f64,
                measured.run_peak as f64 / needed as f64,
            );
        }
    }
    Ok(())
}

/// Measures in a process of its own.
fn spawn(engine: &str, name: &str, options: &Options) -> Result<Measured, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["--alone", engine])
        .arg("--models")
        .arg(&options.models);
    if let Some(ort) = &options.ort {
        command.arg("--ort").arg(ort);
    }
    command.args(["--threads", &options.threads.to_string(), name]);
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [load_ms, load_peak, run_peak, planned] = fields[..] else {
        return Err(format!("the measuring process said {text:?}").into());
    };
    Ok(Measured {
        load_ms: load_ms.parse()?,
        load_peak: load_peak.parse()?,
        run_peak: run_peak.parse()?,
        planned: planned.parse().ok(),
    })
}

/// Loads and runs a model in this process and prints what [`spawn`] reads.
pub(crate) fn measure(engine: &str, name: &str, options: &Options) -> Result<(), Box<dyn Error>> {
    let (_, load) = ENGINES
        .iter()
        .find(|(known, _)| *known == engine)
        .ok_or("no such engine")?;
    let first = Case::read(&options.models, FIRST)?;
    let mut warm = load(case::model(&options.models, FIRST)?, &first, options)?;
    warm.run()?;
    let case = Case::read(&options.models, name)?;
    let before = kib("VmRSS:")?;
    // From here on the mark follows the model alone (proc(5), clear_refs).
    std::fs::write("/proc/self/clear_refs", "5")?;
    let start = Instant::now();
    let mut rival = load(case::model(&options.models, name)?, &case, options)?;
    let load_ms = start.elapsed().as_secs_f64() * 1e3;
    let load_peak = kib("VmHWM:")?;
    std::fs::write("/proc/self/clear_refs", "5")?;
    for _ in 0..RUNS {
        rival.run()?;
    }
    let run_peak = kib("VmHWM:")?;
    let above = |kib: u64| kib.saturating_sub(before) * 1024;
    let planned = rival
        .planned_bytes()
        .map_or("-".to_owned(), |bytes| bytes.to_string());
    println!(
        "{load_ms} {} {} {planned}",
        above(load_peak),
        above(run_peak)
    );
    Ok(())
}

/// Reads one size of this process.
fn kib(field: &str) -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(field));
    let size = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(size.ok_or("no such field in /proc/self/status")?.parse()?)
}
