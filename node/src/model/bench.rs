//! `assay model bench`: latency distribution and throughput of one model on this machine.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use assay_runtime::numerics::{Engine, Isa};
use assay_runtime::{DType, Data, Dim, Limits, Model, PortKind, Tensor};
use serde_json::json;

use super::file;
use crate::cli::Failure;
use crate::table::Table;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Bundle (.assay) or ONNX file.
    model: PathBuf,
    /// Size of every free dimension (batch, sequence length).
    #[arg(long, default_value_t = 1)]
    size: usize,
    /// Threads of one call.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Seconds to measure.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// Calls measured at most, so that the list of times stays small.
const MOST_CALLS: usize = 200_000;

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if !(args.seconds > 0.0 && args.seconds <= 3600.0) {
        return Err(Failure::usage(format!(
            "--seconds {} is not in (0, 3600]",
            args.seconds
        )));
    }
    let started = Instant::now();
    let opened = file::open(&args.model, &Limits::default())?;
    let load = started.elapsed();
    let model = opened.model();
    let inputs = seeded_inputs(model, args.size)?;
    let tensors: Vec<&Tensor> = inputs.iter().collect();
    let engine = Engine::new(Isa::detect(), usize::from(args.threads));
    let call = || {
        model
            .run_tensors(&engine, &tensors)
            .map_err(Failure::failed)
    };
    for _ in 0..3 {
        black_box(call()?);
    }
    let budget = Duration::from_secs_f64(args.seconds);
    let begun = Instant::now();
    let mut times = Vec::new();
    while begun.elapsed() < budget && times.len() < MOST_CALLS {
        let at = Instant::now();
        black_box(call()?);
        times.push(at.elapsed());
    }
    times.sort_unstable();
    let at = |permille: usize| times[(times.len() - 1) * permille / 1000].as_secs_f64() * 1e6;
    let per_second = times.len() as f64 / times.iter().sum::<Duration>().as_secs_f64();
    if args.json {
        let report = json!({
            "calls": times.len(), "threads": args.threads, "isa": engine.isa().name(),
            "loadMs": load.as_secs_f64() * 1e3, "p50Us": at(500), "p90Us": at(900),
            "p99Us": at(990), "minUs": at(0), "callsPerSecond": per_second,
        });
        println!("{report}");
        return Ok(());
    }
    let mut table = Table::new(&["measure", ">value"]);
    let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
    row("instruction set", engine.isa().name().to_owned());
    row("threads", args.threads.to_string());
    row("load", format!("{:.1} ms", load.as_secs_f64() * 1e3));
    row("calls", times.len().to_string());
    row("fastest", format!("{:.2} us", at(0)));
    row("median", format!("{:.2} us", at(500)));
    row("p90", format!("{:.2} us", at(900)));
    row("p99", format!("{:.2} us", at(990)));
    row("throughput", format!("{per_second:.0} calls/s"));
    print!("{}", table.render());
    Ok(())
}

/// Fills the inputs with small seeded numbers, the same on every run.
fn seeded_inputs(model: &Model, size: usize) -> Result<Vec<Tensor>, Failure> {
    let mut state: u64 = 1;
    let mut next = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as u32
    };
    let limit = Limits::default().elements;
    let mut tensors = Vec::new();
    for port in model.inputs() {
        let PortKind::Tensor {
            dtype,
            dims: Some(dims),
        } = &port.kind
        else {
            return Err(Failure::failed(format!(
                "the input {:?} has no declared shape",
                port.name
            )));
        };
        let shape: Vec<usize> = dims
            .iter()
            .map(|dim| if let Dim::Fixed(n) = dim { *n } else { size })
            .collect();
        let count = assay_runtime::element_count(&shape)
            .filter(|count| *count as u64 <= limit)
            .ok_or_else(|| Failure::usage(format!("--size {size} makes an input too large")))?;
        let data = match dtype {
            DType::F32 => Data::F32(
                (0..count)
                    .map(|_| next() as f32 / (1 << 24) as f32 - 0.5)
                    .collect(),
            ),
            DType::F64 => Data::F64(
                (0..count)
                    .map(|_| f64::from(next()) / f64::from(1 << 24) - 0.5)
                    .collect(),
            ),
            DType::I64 => Data::I64((0..count).map(|_| i64::from(next() % 2)).collect()),
            DType::I32 => Data::I32((0..count).map(|_| (next() % 2) as i32).collect()),
            other => Data::zeros(*other, count),
        };
        tensors.push(Tensor::new(shape, data).map_err(Failure::failed)?);
    }
    Ok(tensors)
}
