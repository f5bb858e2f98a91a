//! Malformed and greedy ONNX files, safetensors files and manifests: each is refused with a typed
//! error that names node, value or limit, within a second of processor time and 256 MB for all of
//! them together.

mod files;
mod greedy;
mod manifests;
mod untrue;
mod weights;

use std::fmt::Display;
use std::time::Instant;

use assay_runtime::candle::read_safetensors;
use assay_runtime::manifest::Manifest;
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

/// Checks that a file is refused in time, with words that say why.
fn check<T, E: Display>(what: &str, words: &[&str], load: impl FnOnce() -> Result<T, E>) {
    let (before, started) = (thread_nanos(), Instant::now());
    let loaded = load();
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

fn check_all(cases: Vec<Case>) {
    for (what, bytes, words) in cases {
        check(what, words, || Model::from_onnx(bytes, &Limits::default()));
    }
}

/// Checks the most memory this process ever held: its peak bounds every file it read.
fn check_peak() {
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
fn hostile_models_are_refused_by_name_in_time_and_memory() {
    check_all(greedy());
    check_all(false_tensors());
    check_all(false_graphs());
    check_peak();
}

#[test]
fn hostile_weights_are_refused_by_name_in_time_and_memory() {
    for (what, bytes, words) in weights::cases() {
        check(what, words, || read_safetensors(&bytes, &Limits::default()));
    }
    check_peak();
}

#[test]
fn hostile_manifests_are_refused_by_name_in_time_and_memory() {
    for (what, bytes, words) in manifests::cases() {
        check(what, words, || Manifest::parse(&bytes));
    }
    check_peak();
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
