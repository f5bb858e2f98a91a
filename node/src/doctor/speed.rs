//! Whether this machine computes fast enough to vote: worst cases of the gas schedule, in seconds.
//!
//! A block is executed twice within the propose timeout, by its proposer and then by everybody else,
//! so a validator must do its gas limit in half of that time. The cases are those of the cost sweep
//! (`scripts/bench cost`) that run slowest for their gas, one or two of each kind of work.

use std::time::{Duration, Instant};

use alloy_primitives::Bytes;
use assay_precompile::gas;
use assay_runtime::{
    DType, Data, Dim, Limits, Model, Port, PortKind, Tensor,
    numerics::{Engine, half::F16},
};

use crate::cli::Failure;

/// How often a block is executed, one after another, before it is decided.
const EXECUTIONS: f64 = 2.0;
/// Time spent on one case at least.
const CASE_TIME: Duration = Duration::from_millis(60);
/// Models of one operator each, written by scripts/gen_cost_cases.py.
const CASES: &[(&str, &[u8])] = &[
    ("abs-f16", include_bytes!("cases/abs-f16.onnx")),
    ("div-f64", include_bytes!("cases/div-f64.onnx")),
    ("lstm-small", include_bytes!("cases/lstm-small.onnx")),
    (
        "matmul-f32-512x512x512",
        include_bytes!("cases/matmul-f32-512x512x512.onnx"),
    ),
    (
        "matmulinteger-1x1024x1024",
        include_bytes!("cases/matmulinteger-1x1024x1024.onnx"),
    ),
    (
        "reducesumsquare-f16",
        include_bytes!("cases/reducesumsquare-f16.onnx"),
    ),
    ("sin-f64-huge", include_bytes!("cases/sin-f64-huge.onnx")),
    ("softmax-thin", include_bytes!("cases/softmax-thin.onnx")),
    ("topk-1-axis0", include_bytes!("cases/topk-1-axis0.onnx")),
];

/// What this machine did, and what the chain asks for.
#[derive(Debug, Clone)]
pub(crate) struct Speed {
    /// Cases with their million gas a second, slowest first.
    pub(crate) cases: Vec<(&'static str, f64)>,
    /// Million gas a second that a validator must do.
    pub(crate) required: f64,
}

impl Speed {
    /// Measures this machine on one thread, as a block's calls run one after another.
    pub(crate) fn measure(gas_limit: u64, propose_timeout: Duration) -> Result<Self, Failure> {
        let engine = Engine::single();
        let cases = CASES.iter().map(|(name, onnx)| {
            let speed = measure(&engine, onnx);
            speed.map(|speed| (*name, speed)).map_err(|error| {
                Failure::failed(format!("speed of {name} is not measured: {error}"))
            })
        });
        let mut cases: Vec<(&str, f64)> = cases.collect::<Result<_, _>>()?;
        cases.sort_by(|one, other| one.1.total_cmp(&other.1));
        Ok(Self {
            cases,
            required: required(gas_limit, propose_timeout),
        })
    }

    /// Returns the slowest case.
    pub(crate) fn slowest(&self) -> (&'static str, f64) {
        self.cases.first().copied().unwrap_or(("none", 0.0))
    }

    /// Tells whether this machine is fast enough.
    pub(crate) fn suffices(&self) -> bool {
        self.slowest().1 >= self.required
    }

    /// Says in one line what was found.
    pub(crate) fn summary(&self) -> String {
        let (name, speed) = self.slowest();
        format!(
            "{speed:.0} Mgas/s in the worst case ({name}), the chain asks for {:.0}",
            self.required
        )
    }
}

/// Computes the million gas a second a validator must do.
fn required(gas_limit: u64, propose_timeout: Duration) -> f64 {
    let seconds = propose_timeout.max(Duration::from_millis(1)).as_secs_f64();
    gas_limit as f64 * EXECUTIONS / seconds / 1e6
}

/// Returns the million gas a second of a warm call; the shortest of several runs counts, so that
/// other work on the machine does not make it look slow.
fn measure(engine: &Engine, onnx: &'static [u8]) -> Result<f64, Box<dyn std::error::Error>> {
    let model = Model::from_onnx(Bytes::from_static(onnx).0, &Limits::default())?;
    let inputs: Vec<Tensor> = model.inputs().iter().map(fill).collect::<Result<_, _>>()?;
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let shapes: Vec<&[usize]> = inputs.iter().map(|tensor| tensor.shape()).collect();
    let plan = model.plan(&shapes)?;
    let gas = gas::BASE + gas::walk(model.graph().nodes.len()) + gas::run(&plan)?;
    let (began, mut best) = (Instant::now(), Duration::MAX);
    while began.elapsed() < CASE_TIME || best == Duration::MAX {
        let start = Instant::now();
        model.run_tensors(engine, &inputs)?;
        best = best.min(start.elapsed());
    }
    Ok(gas as f64 / best.max(Duration::from_nanos(1)).as_secs_f64() / 1e6)
}

/// Makes an input: a fixed walk through (-1, 1), times 1e30 where the case's name asks for it.
fn fill(port: &Port) -> Result<Tensor, Box<dyn std::error::Error>> {
    let PortKind::Tensor {
        dtype,
        dims: Some(dims),
    } = &port.kind
    else {
        return Err("an input without a shape".into());
    };
    let fixed = dims.iter().map(|dim| match dim {
        Dim::Fixed(count) => Ok(*count),
        _ => Err("a free dimension"),
    });
    let shape: Vec<usize> = fixed.collect::<Result<_, _>>()?;
    let count = assay_runtime::element_count(&shape).ok_or("too many elements")?;
    let scale = if port.name.ends_with("huge") {
        1e30
    } else {
        1.0
    };
    let walk = (0..count).map(|at| (at.wrapping_mul(40_503) % 65_536) as f64);
    let numbers = walk.map(|step| (step / 32_768.0 - 0.999) * scale);
    let data = match dtype {
        DType::F32 => Data::F32(numbers.map(|x| x as f32).collect()),
        DType::F64 => Data::F64(numbers.collect()),
        DType::F16 => Data::F16(numbers.map(|x| F16::from_f32(x as f32)).collect()),
        DType::I8 => Data::I8(numbers.map(|x| (x * 127.0) as i8).collect()),
        DType::U8 => Data::U8(numbers.map(|x| (x.abs() * 255.0) as u8).collect()),
        other => return Err(format!("no input of {}", other.name()).into()),
    };
    Ok(Tensor::new(shape, data)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_measured_and_the_slowest_comes_first() {
        let speed = Speed::measure(60_000_000, Duration::from_secs(3)).unwrap();
        assert_eq!(speed.cases.len(), CASES.len());
        assert!(speed.cases.iter().all(|(_, mgas)| *mgas > 0.0));
        assert!(speed.cases.is_sorted_by(|one, other| one.1 <= other.1));
    }

    #[test]
    fn a_block_is_executed_twice_within_the_propose_timeout() {
        assert!((required(60_000_000, Duration::from_secs(3)) - 40.0).abs() < 1e-9);
        let slow = Speed {
            cases: vec![("abs-f16", 39.9), ("div-f64", 90.0)],
            required: 40.0,
        };
        assert!(!slow.suffices());
        assert!(slow.summary().contains("abs-f16"));
    }
}
