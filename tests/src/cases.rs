//! Sets of test cases on disk: one folder per case, `index.json` for the set (scripts/casefiles.py).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use assay_runtime::onnx::proto::TensorProto;
use assay_runtime::onnx::tensor::import_tensor;
use assay_runtime::{Limits, Value};
use bytes::Bytes;
use eyre::{Context as _, ensure, eyre};
use prost::Message;
use serde::Deserialize;

/// The layout this reader understands; the same number as in scripts/casefiles.py.
const FORMAT: u32 = 2;

/// Names a set of cases and the script that writes it.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// The folder inside `.cache`.
    pub folder: &'static str,
    /// The script inside `scripts`.
    pub script: &'static str,
}

/// The backend node tests of the pinned `onnx` package.
pub const ONNX_NODE_TESTS: Source = Source {
    folder: "onnx-cases",
    script: "gen_onnx_cases.py",
};

/// The whole models of the digests and benchmarks.
pub const MODELS: Source = Source {
    folder: "models",
    script: "gen_models.py",
};

/// Holds the index of a set that is on disk.
#[derive(Debug)]
pub struct CaseSet {
    /// The set's folder.
    pub folder: PathBuf,
    /// Its cases, in the order of the index.
    pub cases: Vec<Case>,
}

/// Describes one case of a set.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// The case's name, which is its folder's too.
    pub name: String,
    /// The operator under test.
    #[serde(default)]
    pub operator: String,
    /// How many input files there are.
    pub inputs: usize,
    /// How many output files there are.
    pub outputs: usize,
    /// The relative tolerance of every output.
    #[serde(default)]
    pub rtol: f64,
    /// The absolute tolerance of every output.
    #[serde(default)]
    pub atol: f64,
}

/// Returns the root of the repository.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_path_buf()
}

impl CaseSet {
    /// Opens a set; when it is not there, runs its script first.
    pub fn open(source: Source) -> eyre::Result<CaseSet> {
        // Tests of one program run at the same time, and one of them writes the set for all.
        static WRITING: Mutex<()> = Mutex::new(());
        let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = root().join(".cache").join(source.folder);
        if let Ok(set) = CaseSet::read(&folder) {
            return Ok(set);
        }
        generate(source).wrap_err_with(|| {
            format!(
                "the cases in .cache/{} are missing or of another format; write them with: \
                 $(scripts/python-env) scripts/{}",
                source.folder, source.script
            )
        })?;
        CaseSet::read(&folder)
    }

    /// Reads the index of a set.
    pub fn read(folder: &Path) -> eyre::Result<CaseSet> {
        #[derive(Deserialize)]
        struct Index {
            format: u32,
            cases: Vec<Case>,
        }
        let index: Index = read_json(&folder.join("index.json"))?;
        ensure!(
            index.format == FORMAT,
            "{} has the format {}, this reader needs {FORMAT}",
            folder.display(),
            index.format
        );
        Ok(CaseSet {
            folder: folder.to_path_buf(),
            cases: index.cases,
        })
    }

    /// Reads the model of a case.
    pub fn model(&self, case: &Case) -> eyre::Result<Bytes> {
        read(&self.folder.join(&case.name).join("model.onnx"))
    }

    /// Reads the inputs of a case; `kinds` are those the model declares.
    pub fn inputs(&self, case: &Case, kinds: &[Kind]) -> eyre::Result<Vec<Value>> {
        self.values(case, "input", case.inputs, kinds)
    }

    /// Reads the expected outputs of a case; `kinds` are those our outputs have.
    pub fn outputs(&self, case: &Case, kinds: &[Kind]) -> eyre::Result<Vec<Value>> {
        self.values(case, "output", case.outputs, kinds)
    }

    /// Reads one tensor file of a case.
    pub fn tensor(&self, case: &Case, file: &str) -> eyre::Result<Value> {
        decode(
            &read(&self.folder.join(&case.name).join(file))?,
            Kind::Tensor,
        )
    }

    fn values(
        &self,
        case: &Case,
        stem: &str,
        count: usize,
        kinds: &[Kind],
    ) -> eyre::Result<Vec<Value>> {
        (0..count)
            .map(|i| {
                let kind = kinds.get(i).copied().unwrap_or(Kind::Tensor);
                let path = self.folder.join(&case.name).join(format!("{stem}_{i}.pb"));
                decode(&read(&path)?, kind).wrap_err_with(|| path.display().to_string())
            })
            .collect()
    }
}

/// Says which protobuf message a value file holds: the file itself does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A `TensorProto`.
    Tensor,
    /// A `SequenceProto`.
    Sequence,
    /// An `OptionalProto`.
    Optional,
}

impl Kind {
    /// Returns the kind of a value.
    pub fn of(value: &Value) -> Kind {
        match value {
            Value::Tensor(_) => Kind::Tensor,
            Value::Sequence(_) => Kind::Sequence,
            Value::Optional(_) => Kind::Optional,
        }
    }
}

/// Decodes the bytes of a value file.
pub fn decode(bytes: &[u8], kind: Kind) -> eyre::Result<Value> {
    match kind {
        Kind::Tensor => tensor(&TensorProto::decode(bytes)?),
        Kind::Sequence => sequence(&SequenceProto::decode(bytes)?),
        Kind::Optional => optional(&OptionalProto::decode(bytes)?),
    }
}

/// `elem_type` of a sequence or an optional, as ONNX numbers them.
const ELEM_NONE: i32 = 0;
const ELEM_TENSOR: i32 = 1;
const ELEM_SEQUENCE: i32 = 3;

/// Mirrors ONNX's `SequenceProto`, which only files of test values use.
#[derive(Clone, PartialEq, Message)]
struct SequenceProto {
    #[prost(int32, optional, tag = "2")]
    elem_type: Option<i32>,
    #[prost(message, repeated, tag = "3")]
    tensor_values: Vec<TensorProto>,
    #[prost(message, repeated, tag = "5")]
    sequence_values: Vec<SequenceProto>,
}

/// Mirrors ONNX's `OptionalProto`, which only files of test values use.
#[derive(Clone, PartialEq, Message)]
struct OptionalProto {
    #[prost(int32, optional, tag = "2")]
    elem_type: Option<i32>,
    #[prost(message, optional, tag = "3")]
    tensor_value: Option<TensorProto>,
    #[prost(message, optional, tag = "5")]
    sequence_value: Option<SequenceProto>,
}

fn tensor(proto: &TensorProto) -> eyre::Result<Value> {
    Ok(Value::Tensor(import_tensor(proto, &Limits::default())?))
}

fn sequence(proto: &SequenceProto) -> eyre::Result<Value> {
    let values: eyre::Result<Vec<Value>> = match proto.elem_type() {
        ELEM_NONE | ELEM_TENSOR => proto.tensor_values.iter().map(tensor).collect(),
        ELEM_SEQUENCE => proto.sequence_values.iter().map(sequence).collect(),
        other => Err(eyre!("a sequence of the element type {other}")),
    };
    Ok(Value::Sequence(values?))
}

fn optional(proto: &OptionalProto) -> eyre::Result<Value> {
    let inner = match (&proto.tensor_value, &proto.sequence_value) {
        (Some(value), _) => Some(Box::new(tensor(value)?)),
        (None, Some(value)) => Some(Box::new(sequence(value)?)),
        (None, None) => None,
    };
    Ok(Value::Optional(inner))
}

/// Reads a JSON file.
pub fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> eyre::Result<T> {
    serde_json::from_slice(&read(path)?).wrap_err_with(|| path.display().to_string())
}

fn read(path: &Path) -> eyre::Result<Bytes> {
    Ok(std::fs::read(path)
        .wrap_err_with(|| path.display().to_string())?
        .into())
}

/// Runs the script of a set in the pinned Python environment.
fn generate(source: Source) -> eyre::Result<()> {
    let scripts = root().join("scripts");
    let found = Command::new(scripts.join("python-env")).output()?;
    ensure!(
        found.status.success(),
        "scripts/python-env failed: {}",
        String::from_utf8_lossy(&found.stderr).trim()
    );
    let python = String::from_utf8(found.stdout)?;
    let status = Command::new(python.trim())
        .arg(scripts.join(source.script))
        .status()?;
    ensure!(
        status.success(),
        "scripts/{} failed: {status}",
        source.script
    );
    Ok(())
}
