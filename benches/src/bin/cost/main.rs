//! Compares time with gas over every operator class in the shapes that cost most, slowest first.
//!
//! `cost FOLDER [--evm] [--isa avx2] [--only TEXT] [--rows N]`: FOLDER is written by scripts/gen_cost_cases.py; `--evm` measures
//! calls from a contract instead of the model alone.
//! The schedule promises that no call runs below 60 Mgas/s on one core with AVX2. Time is the shortest
//! of several runs, so that other work on the machine does not make an operator look dear.

mod evm;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use assay_precompile::gas;
use assay_runtime::numerics::half::{Bf16, F16};
use assay_runtime::numerics::{Engine, Isa};
use assay_runtime::{DType, Data, Dim, Limits, Model, Port, PortKind, Tensor};

/// What the schedule promises, in million gas a second.
const FLOOR_MGAS: f64 = 60.0;
/// Time spent on one case at least.
const CASE_TIME: Duration = Duration::from_millis(60);

/// What one case measured: gas and time, or why it was not.
type Measured = Result<(u64, Duration), Box<dyn Error>>;

struct Options {
    folder: PathBuf,
    /// Whether to go through an EVM.
    evm: bool,
    isa: Isa,
    only: String,
    rows: usize,
}

/// Holds what one case measured.
struct Outcome {
    name: String,
    gas: u64,
    time: Duration,
}

impl Outcome {
    fn mgas(&self) -> f64 {
        self.gas as f64 / self.time.as_secs_f64() / 1e6
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let engine = Engine::new(options.isa, 1);
    let mut paths: Vec<PathBuf> = fs::read_dir(&options.folder)
        .map_err(|e| {
            format!(
                "{}: {e}; write it with scripts/gen_cost_cases.py",
                options.folder.display()
            )
        })?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()?;
    paths.sort();
    let mut outcomes = Vec::new();
    for path in &paths {
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if !name.contains(&options.only) {
            continue;
        }
        let measure = if options.evm { evm::measure } else { measure };
        match measure(&engine, path) {
            Ok((gas, time)) => outcomes.push(Outcome { name, gas, time }),
            Err(error) => println!("not measured: {name}: {error}"),
        }
    }
    report(outcomes, options.rows, engine.isa());
    Ok(())
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options = Options {
        folder: PathBuf::new(),
        evm: false,
        isa: Isa::detect(),
        only: String::new(),
        rows: 40,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--isa" => {
                let name = value()?;
                options.isa = Isa::available()
                    .into_iter()
                    .find(|isa| isa.name().eq_ignore_ascii_case(&name))
                    .ok_or(format!("this machine has no {name}"))?;
            }
            "--evm" => options.evm = true,
            "--only" => options.only = value()?,
            "--rows" => options.rows = value()?.parse()?,
            _ => options.folder = argument.into(),
        }
    }
    Ok(options)
}

/// Returns the gas a warm call pays for running a model, and the shortest time the run took.
fn measure(engine: &Engine, path: &Path) -> Measured {
    let model = Model::from_onnx(fs::read(path)?.into(), &Limits::default())?;
    let inputs = model
        .inputs()
        .iter()
        .map(made)
        .collect::<Result<Vec<_>, _>>()?;
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let shapes: Vec<&[usize]> = inputs.iter().map(|t| t.shape()).collect();
    let plan = model.plan(&shapes)?;
    let gas = gas::BASE + gas::walk(model.graph().nodes.len()) + gas::run(&plan)?;

    let begun = Instant::now();
    let mut best = Duration::MAX;
    let mut calls = 1u32;
    while begun.elapsed() < CASE_TIME || calls < 4 {
        let start = Instant::now();
        model.run_tensors(engine, &inputs)?;
        best = best.min(start.elapsed());
        calls += 1;
    }
    Ok((gas, best))
}

/// Makes the input a port's name asks for (scripts/gen_cost_cases.py lists the names).
fn made(port: &Port) -> Result<Tensor, Box<dyn Error>> {
    let PortKind::Tensor {
        dtype,
        dims: Some(dims),
    } = &port.kind
    else {
        return Err(format!("the input {} has no shape", port.name).into());
    };
    let shape = dims
        .iter()
        .map(|dim| {
            if let Dim::Fixed(n) = dim {
                Ok(*n)
            } else {
                Err("a free dimension")
            }
        })
        .collect::<Result<Vec<usize>, _>>()?;
    let count = assay_runtime::element_count(&shape).ok_or("too many elements")?;
    let below = port
        .name
        .split_once("below")
        .map_or(Ok(2), |(_, n)| n.parse::<u64>())?;
    let mut state = 1u64;
    let mut random = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let unit = |bits: u64| bits as f64 / f64::from(1u32 << 31);
    let mut number = || -> f64 {
        let value = unit(random());
        match port.name.split_once('_').map(|(_, kind)| kind) {
            Some("pos") => value * 0.998 + 0.001,
            Some("huge") => (value + 1.0) * 1e30,
            Some("tiny") => value * 1e-38,
            Some("same") => 0.75,
            _ => value * 1.998 - 0.999,
        }
    };
    let data = match dtype {
        DType::F32 => Data::F32((0..count).map(|_| number() as f32).collect()),
        DType::F64 => Data::F64((0..count).map(|_| number()).collect()),
        DType::F16 | DType::Bf16 => narrow(*dtype, (0..count).map(|_| number() as f32).collect()),
        _ if port.name.ends_with("same") => whole(*dtype, count, &mut || 1)?,
        _ => whole(*dtype, count, &mut || random() % below.max(1))?,
    };
    Ok(Tensor::new(shape, data)?)
}

/// Makes integers, booleans or words.
fn whole(
    dtype: DType,
    count: usize,
    next: &mut dyn FnMut() -> u64,
) -> Result<Data, Box<dyn Error>> {
    Ok(match dtype {
        DType::I64 => Data::I64((0..count).map(|_| next() as i64).collect()),
        DType::I32 => Data::I32((0..count).map(|_| next() as i32).collect()),
        DType::I8 => Data::I8((0..count).map(|_| next() as i8).collect()),
        DType::U8 => Data::U8((0..count).map(|_| next() as u8).collect()),
        DType::Bool => Data::Bool((0..count).map(|_| next() & 1 == 1).collect()),
        DType::Str => Data::Str(
            (0..count)
                .map(|_| format!("word-{}", next() % 1000))
                .collect(),
        ),
        other => return Err(format!("no made-up input of {}", other.name()).into()),
    })
}

/// Rounds numbers to a 16-bit float.
fn narrow(dtype: DType, values: Vec<f32>) -> Data {
    match dtype {
        DType::F16 => Data::F16(values.into_iter().map(F16::from_f32).collect()),
        _ => Data::Bf16(values.into_iter().map(Bf16::from_f32).collect()),
    }
}

/// Prints the slowest cases, then the slowest and the median of each operator. Subnormal operands,
/// which the schedule does not price, stand apart.
fn report(outcomes: Vec<Outcome>, rows: usize, isa: Isa) {
    let (mut tiny, mut priced): (Vec<_>, Vec<_>) = outcomes
        .into_iter()
        .partition(|outcome| outcome.name.ends_with("-tiny"));
    println!(
        "{} cases on {}, one thread; floor {FLOOR_MGAS} Mgas/s\n",
        priced.len(),
        isa.name()
    );
    table("slowest cases", &mut priced, rows);
    let mut operators: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for outcome in &priced {
        let operator = outcome.name.split('-').next().unwrap_or_default();
        operators.entry(operator).or_default().push(outcome.mgas());
    }
    println!(
        "\n{:<36} {:>6} {:>12} {:>10} {:>10}",
        "operator", "cases", "slowest", "median", "fastest"
    );
    let mut operators: Vec<_> = operators.into_iter().collect();
    operators.sort_by(|a, b| a.1[0].total_cmp(&b.1[0]));
    for (operator, mgas) in operators {
        let (first, middle, last) = (mgas[0], mgas[mgas.len() / 2], mgas[mgas.len() - 1]);
        println!(
            "{operator:<36} {:>6} {first:>12.1} {middle:>10.1} {last:>10.1}",
            mgas.len()
        );
    }
    println!();
    table("subnormal operands, not priced", &mut tiny, rows);
    let below = priced
        .iter()
        .filter(|outcome| outcome.mgas() < FLOOR_MGAS)
        .count();
    println!("\n{below} of {} cases below the floor", priced.len());
}

/// Sorts outcomes, slowest first, and prints some.
fn table(title: &str, outcomes: &mut [Outcome], rows: usize) {
    outcomes.sort_by(|a, b| a.mgas().total_cmp(&b.mgas()));
    println!(
        "{title:<36} {:>12} {:>12} {:>10}",
        "gas", "time us", "Mgas/s"
    );
    for outcome in outcomes.iter().take(rows) {
        let micros = outcome.time.as_secs_f64() * 1e6;
        println!(
            "{:<36} {:>12} {:>12.1} {:>10.1}",
            outcome.name,
            outcome.gas,
            micros,
            outcome.mgas()
        );
    }
}
