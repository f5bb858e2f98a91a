//! Times whole models against onnxruntime, tract and candle-onnx: one process, one run.
//!
//! ```text
//! rivals [--models DIR] [--ort LIBRARY] [--threads N] [--seconds S] [--memory] [MODEL...]
//! ```
//! Engines take turns in short bursts, so that a change of clock speed or a busy neighbour hits all
//! of them; the medians of the bursts are compared. Every engine's first output is compared with
//! ours before anything is timed. `--memory` prints load times and peak memory instead, each
//! measured in a process of its own.

#[cfg(feature = "candle")]
mod candle;
mod case;
mod memory;
mod onnxruntime;
mod ours;
mod speed;
mod timing;
#[cfg(feature = "tract")]
mod tract;

use case::Case;
use std::error::Error;
use std::path::PathBuf;

/// Computes one model on one input, again and again.
trait Rival {
    /// Runs the model and gives the first output's numbers.
    fn outputs(&mut self) -> Result<Vec<f32>, Box<dyn Error>>;
    /// Runs the model and drops what it gives.
    fn run(&mut self) -> Result<(), Box<dyn Error>>;
    /// Returns the bytes of buffers planned for a run, where the engine says so.
    fn planned_bytes(&self) -> Option<u64> {
        None
    }
}

/// Loads a model's bytes for the inputs of a case.
type Load = fn(Vec<u8>, &Case, &Options) -> Result<Box<dyn Rival>, Box<dyn Error>>;

/// Lists the engines; ours is the first.
const ENGINES: &[(&str, Load)] = &[
    ("assay", ours::load),
    ("onnxruntime", onnxruntime::load),
    #[cfg(feature = "tract")]
    ("tract", tract::load),
    #[cfg(feature = "candle")]
    ("candle-onnx", candle::load),
];

/// Holds the command line.
struct Options {
    models: PathBuf,
    ort: Option<PathBuf>,
    threads: usize,
    seconds: f64,
    memory: bool,
    /// Names the engine that a measuring process of `--memory` loads.
    alone: Option<String>,
    names: Vec<String>,
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options = Options {
        models: ".cache/models".into(),
        ort: None,
        threads: 1,
        seconds: 4.0,
        memory: false,
        alone: None,
        names: Vec::new(),
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        match arg.as_str() {
            "--models" => options.models = value()?.into(),
            "--ort" => options.ort = Some(value()?.into()),
            "--threads" => options.threads = value()?.parse()?,
            "--seconds" => options.seconds = value()?.parse()?,
            "--memory" => options.memory = true,
            "--alone" => options.alone = Some(value()?),
            flag if flag.starts_with("--") => return Err(format!("unknown flag {flag}").into()),
            _ => options.names.push(arg),
        }
    }
    Ok(options)
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let names = case::names(&options.models, &options.names)?;
    match &options.alone {
        Some(engine) => names
            .iter()
            .try_for_each(|name| memory::measure(engine, name, &options)),
        None if options.memory => memory::compare(&names, &options),
        None => speed::compare(&names, &options),
    }
}

/// Shortens an error: candle-onnx prints whole models.
fn brief(error: &dyn Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(100).collect()
}
