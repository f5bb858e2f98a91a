//! Damaged models: whatever a change of bytes makes of a model, loading and running it ends in
//! outputs or a typed error, never in a panic.
//!
//! Every run makes the same changes. `MUTATION_SEEDS=<folder>` takes every `model.onnx` below a
//! folder as a seed too (the generated ONNX node tests, say), `MUTATIONS=<n>` sets the changes per
//! seed; scripts/fuzz goes further on a nightly compiler.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use assay_runtime::numerics::Engine;
use assay_runtime::onnx::proto::attribute_proto::AttributeType;
use assay_runtime::onnx::proto::tensor_shape_proto::{Dimension, dimension};
use assay_runtime::onnx::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};
use assay_runtime::{Dim, Limits, Model, PortKind, Tensor, Value};
use bytes::Bytes;
use prost::Message as _;

/// Changes of each built-in seed.
const MUTATIONS: usize = 2_000;

/// Small limits, so that a slow input is a finding and not merely a large model.
fn limits() -> Limits {
    Limits {
        elements: 1 << 16,
        live_bytes: 16 << 20,
        work: 1 << 22,
        text_bytes: 1 << 16,
        iterations: 64,
        ..Limits::default()
    }
}

/// Draws numbers that are the same in every run.
struct Draw(u64);

impl Draw {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % below.max(1)
    }
}

/// Changes a few bytes: flips, extremes, cuts, doublings.
fn mutate(seed: &[u8], draw: &mut Draw) -> Vec<u8> {
    const EXTREMES: [u8; 6] = [0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff];
    let mut bytes = seed.to_vec();
    for _ in 0..=draw.next(4) {
        let at = draw.next(bytes.len());
        match draw.next(6) {
            0 | 1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << draw.next(8);
                }
            }
            2 | 3 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = EXTREMES[draw.next(EXTREMES.len())];
                }
            }
            4 => bytes.truncate(at),
            _ => {
                let end = (at + 1 + draw.next(16)).min(bytes.len());
                let part = bytes[at.min(end)..end].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

/// Makes zeros for an input, symbols taken as 2.
fn zeros(kind: &PortKind) -> Option<Value> {
    match kind {
        PortKind::Tensor { dtype, dims } => {
            let size = |dim: &Dim| match dim {
                Dim::Fixed(size) => *size,
                _ => 2,
            };
            let shape: Vec<usize> = dims.as_ref()?.iter().map(size).collect();
            let count = shape
                .iter()
                .try_fold(1usize, |n, &dim| n.checked_mul(dim))?;
            let tensor = (count <= 1 << 16).then(|| Tensor::zeros(*dtype, shape))?;
            Some(tensor.ok()?.into())
        }
        PortKind::Sequence => Some(Value::Sequence(Vec::new())),
        PortKind::Optional => Some(Value::Optional(None)),
    }
}

/// Loads and, if that goes well, runs; tells whether the model loaded.
fn exercise(bytes: Bytes, engine: &Engine) -> bool {
    let Ok(model) = Model::from_onnx(bytes, &limits()) else {
        return false;
    };
    let inputs: Option<Vec<Value>> = model
        .inputs()
        .iter()
        .map(|port| zeros(&port.kind))
        .collect();
    if let Some(inputs) = inputs {
        let _ = model.run(engine, &inputs);
    }
    true
}

fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    NodeProto {
        op_type: Some(op.to_owned()),
        input: own(inputs),
        output: own(outputs),
        ..Default::default()
    }
}

fn with_ints(mut node: NodeProto, name: &str, ints: &[i64]) -> NodeProto {
    node.attribute.push(AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Ints as i32),
        ints: ints.to_vec(),
        ..Default::default()
    });
    node
}

fn list(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        data_type: Some(7),
        dims: vec![values.len() as i64],
        raw_data: Some(
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        ),
        ..Default::default()
    }
}

/// A model of moving operators with constant shapes: small changes turn it into greedy ones.
fn seed() -> Vec<u8> {
    let dims = [2, 3, 4].map(|size| Dimension {
        value: Some(dimension::Value::DimValue(size)),
    });
    let kind = type_proto::Tensor {
        elem_type: Some(1),
        shape: Some(TensorShapeProto { dim: dims.to_vec() }),
    };
    let input = ValueInfoProto {
        name: Some("x".to_owned()),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(kind)),
        }),
        ..Default::default()
    };
    let nodes = vec![
        with_ints(node("Transpose", &["x"], &["a"]), "perm", &[2, 0, 1]),
        node("Reshape", &["a", "sizes"], &["b"]),
        node("Slice", &["b", "starts", "ends"], &["c"]),
        node("Tile", &["c", "repeats"], &["d"]),
        node("Pad", &["d", "pads"], &["e"]),
        node("Gather", &["e", "picks"], &["f"]),
        node("Expand", &["f", "wide"], &["y"]),
    ];
    let graph = GraphProto {
        input: vec![input],
        output: vec![ValueInfoProto {
            name: Some("y".to_owned()),
            ..Default::default()
        }],
        initializer: vec![
            list("sizes", &[4, -1]),
            list("starts", &[0, 1]),
            list("ends", &[4, 6]),
            list("repeats", &[2, 1]),
            list("pads", &[0, 1, 1, 0]),
            list("picks", &[0, -1, 3]),
            list("wide", &[2, 3, 6]),
        ],
        node: nodes,
        ..Default::default()
    };
    let model = ModelProto {
        ir_version: Some(10),
        opset_import: vec![OperatorSetIdProto {
            version: Some(20),
            ..Default::default()
        }],
        graph: Some(graph),
        ..Default::default()
    };
    model.encode_to_vec()
}

/// Finds every `model.onnx` below a folder, in a fixed order.
fn models_below(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            models_below(&path, found);
        } else if path.file_name().is_some_and(|name| name == "model.onnx") {
            found.push(path);
        }
    }
}

#[test]
fn damaged_models_never_panic() {
    let mut seeds = vec![("built in".to_owned(), seed())];
    if let Some(folder) = std::env::var_os("MUTATION_SEEDS") {
        let mut paths = Vec::new();
        models_below(Path::new(&folder), &mut paths);
        for path in paths {
            let bytes = std::fs::read(&path).expect("a seed can be read");
            if bytes.len() < 1 << 14 {
                seeds.push((path.display().to_string(), bytes));
            }
        }
    }
    let count = std::env::var("MUTATIONS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(MUTATIONS);
    let engine = Engine::single();
    assert!(
        exercise(seeds[0].1.clone().into(), &engine),
        "the built-in seed is a model"
    );
    let (mut tried, mut loaded) = (0usize, 0usize);
    for (name, bytes) in &seeds {
        let mut draw = Draw(bytes.len() as u64);
        for round in 0..count {
            let mutated = Bytes::from(mutate(bytes, &mut draw));
            let copy = mutated.clone();
            let started = std::time::Instant::now();
            let result = catch_unwind(AssertUnwindSafe(|| exercise(mutated, &engine)));
            if started.elapsed().as_secs() >= 5 {
                println!("slow: {name}, change {round}, {:?}", started.elapsed());
            }
            let ok = result.unwrap_or_else(|_| {
                let hex: String = copy.iter().map(|byte| format!("{byte:02x}")).collect();
                panic!("{name}, change {round}: {hex}")
            });
            tried += 1;
            loaded += usize::from(ok);
        }
    }
    println!("{tried} damaged models, {loaded} of them still models");
    assert!(loaded > 0 && loaded < tried);
}
