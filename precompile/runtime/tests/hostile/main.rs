//! Malformed and greedy ONNX files: each is refused with a typed error that names node, value or
//! limit, within a second of processor time and 256 MB for all of them together.

mod files;
mod greedy;
mod untrue;

use std::time::Instant;

use assay_runtime::numerics::Engine;
use assay_runtime::{Limits, LoadError, Model};
use bytes::Bytes;

use crate::files::{Case, chain, file, graph};
use crate::greedy::greedy;
use crate::untrue::{false_graphs, false_tensors};

/// Returns the processor time this thread has used, where the system tells.
fn thread_nanos() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

fn check_all(cases: Vec<Case>) {
    for (what, bytes, words) in cases {
        let (before, started) = (thread_nanos(), Instant::now());
        let loaded = Model::from_onnx(bytes, &Limits::default());
        let nanos = match (before, thread_nanos()) {
            (Some(before), Some(after)) => u128::from(after - before),
            _ => started.elapsed().as_nanos(),
        };
        assert!(nanos < 1_000_000_000, "{what} took {nanos} ns");
        let Err(error) = loaded else {
            panic!("{what} was accepted")
        };
        let text = error.to_string();
        for word in words {
            assert!(text.contains(word), "{what}: {word:?} is not in {text:?}");
        }
    }
}

#[test]
fn hostile_models_are_refused_by_name_in_time_and_memory() {
    check_all(greedy());
    check_all(false_tensors());
    check_all(false_graphs());
    // One process held all of them in turn: its peak bounds every one.
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        assert!(
            peak.is_none_or(|kb| kb < 256 * 1024),
            "{peak:?} kB at the peak"
        );
    }
}

#[test]
fn bytes_that_are_no_model_are_refused() {
    for bytes in [
        &b""[..],
        b"\x00",
        b"GIF89a",
        &[0xff; 64],
        &[0x3a, 0xff, 0xff, 0xff, 0x7f],
    ] {
        let loaded = Model::from_onnx(Bytes::copy_from_slice(bytes), &Limits::default());
        let Err(error) = loaded else {
            panic!("{bytes:?} was accepted")
        };
        assert!(matches!(
            error,
            LoadError::Decode(_) | LoadError::NoGraph | LoadError::Opset { .. }
        ));
    }
}

#[test]
fn long_chains_load_and_run() {
    let bytes = file(graph(chain("Identity", 10_000, false), vec![]));
    let model = Model::from_onnx(bytes, &Limits::default()).expect("a chain is a model");
    let x = assay_runtime::Tensor::from_vec([1, 4], vec![1f32, 2.0, 3.0, 4.0]).expect("fills");
    let outputs = model
        .run(&Engine::single(), &[x.clone().into()])
        .expect("runs");
    assert_eq!(outputs[0].as_tensor(), Some(&x));
}
