//! A published model: a bundle whose graph, manifest and samples agree.

use std::borrow::Cow;

use assay_numerics::Engine;
use bytes::Bytes;
use thiserror::Error;

use crate::bundle::Bundle;
use crate::dtype::DType;
use crate::elements;
use crate::error::{ExecError, LoadError};
use crate::graph::{self, PortKind};
use crate::identity::{ModelId, SchemaHash};
use crate::limits::Limits;
use crate::manifest::{self, Format, Manifest};
use crate::model::Model;
use crate::samples::{self, EncodedTensor, SampleRow, Samples, SamplesError};
use crate::tensor::{Tensor, Value};

/// The version of docs/spec/numerics.md this runtime computes by.
pub const NUMERICS_VERSION: u32 = 1;

/// Says why a bundle is not a model that can be published.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum PublishError {
    /// The format is not run by this version.
    #[error("models of the format {0:?} are not run by this version, only ONNX models are")]
    Format(Format),
    /// The numerics version is unknown.
    #[error(
        "the manifest asks for numerics version {got}, this runtime computes version {}",
        NUMERICS_VERSION
    )]
    Numerics {
        /// The version asked for.
        got: u32,
    },
    /// The graph is refused.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The manifest declares other inputs or outputs than the graph has.
    #[error("the manifest declares {declared} as {what} {index}, the graph has {actual}")]
    Port {
        /// Input or output.
        what: &'static str,
        /// Its position.
        index: usize,
        /// What the manifest says.
        declared: String,
        /// What the graph has.
        actual: String,
    },
    /// The sample rows are malformed.
    #[error(transparent)]
    Samples(#[from] SamplesError),
    /// A sample row does not reproduce.
    #[error("sample row {row} does not reproduce: {why}")]
    Replay {
        /// The row.
        row: usize,
        /// What differs.
        why: ReplayFault,
    },
}

/// Says how a sample row failed to reproduce.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ReplayFault {
    /// The run failed.
    #[error(transparent)]
    Run(#[from] ExecError),
    /// An input is not a tensor of the model.
    #[error("input {0} is malformed")]
    Input(usize),
    /// The number of outputs differs.
    #[error("{got} outputs, the row has {expected}")]
    Count {
        /// Outputs of the row.
        expected: usize,
        /// Outputs of the model.
        got: usize,
    },
    /// An output has other bits.
    #[error("output {0} has other bits")]
    Bits(usize),
}

/// Holds a model with the manifest that names it.
pub struct Published {
    id: ModelId,
    schema_hash: SchemaHash,
    manifest: Manifest,
    model: Model,
    samples: Option<Bytes>,
    primary: usize,
}

impl Published {
    /// Prepares a bundle's model and checks that manifest and graph agree. Where nobody else holds the
    /// bundle's bytes, their memory is given back on the way.
    pub fn open(bundle: Bundle, limits: &Limits) -> Result<Published, PublishError> {
        let manifest = bundle.manifest().clone();
        if manifest.format != Format::Onnx {
            return Err(PublishError::Format(manifest.format));
        }
        if manifest.numerics != NUMERICS_VERSION {
            return Err(PublishError::Numerics {
                got: manifest.numerics,
            });
        }
        let file = bundle
            .file(manifest.format.main_file())
            .expect("invariant: a manifest lists its main file");
        let file = file.clone();
        let id = bundle.model_id();
        // A copy: a part of the bundle would keep all of it.
        let samples = bundle.file(samples::FILE_NAME);
        let samples = samples.map(|samples| Bytes::copy_from_slice(samples));
        drop(bundle);
        let model = Model::from_onnx(file, limits)?;
        check_ports("input", &manifest.inputs, model.inputs())?;
        check_ports("output", &manifest.outputs, model.outputs())?;
        let primary = manifest
            .outputs
            .iter()
            .position(|port| port.name == manifest.primary)
            .expect("invariant: a manifest's primary output is one of its outputs");
        Ok(Published {
            id,
            schema_hash: manifest.schema.hash(),
            samples,
            manifest,
            model,
            primary,
        })
    }

    /// Returns the model's id.
    pub fn id(&self) -> ModelId {
        self.id
    }

    /// Returns the hash of the feature schema.
    pub fn schema_hash(&self) -> SchemaHash {
        self.schema_hash
    }

    /// Returns the manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the graph, ready to run.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Returns the position of the output that predict answers.
    pub fn primary(&self) -> usize {
        self.primary
    }

    /// Runs every sample row and compares bits; returns the number of rows.
    pub fn replay(&self, engine: &Engine) -> Result<usize, PublishError> {
        let Some(file) = &self.samples else {
            return Ok(0);
        };
        let samples = Samples::parse(file)?;
        for (row, sample) in samples.rows.iter().enumerate() {
            self.replay_row(engine, sample)
                .map_err(|why| PublishError::Replay { row, why })?;
        }
        Ok(samples.rows.len())
    }

    fn replay_row(&self, engine: &Engine, row: &SampleRow) -> Result<(), ReplayFault> {
        let inputs = row
            .inputs
            .iter()
            .enumerate()
            .map(|(i, tensor)| {
                tensor
                    .to_tensor()
                    .map(Value::Tensor)
                    .ok_or(ReplayFault::Input(i))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let outputs = self.model.run(engine, &inputs)?;
        if outputs.len() != row.outputs.len() {
            return Err(ReplayFault::Count {
                expected: row.outputs.len(),
                got: outputs.len(),
            });
        }
        for (i, (got, expected)) in outputs.iter().zip(&row.outputs).enumerate() {
            let same = got
                .as_tensor()
                .is_some_and(|tensor| EncodedTensor::from_tensor(tensor) == *expected);
            if !same {
                return Err(ReplayFault::Bits(i));
            }
        }
        Ok(())
    }
}

impl EncodedTensor {
    /// Converts to a tensor; `None` when the bytes do not fill the shape.
    pub fn to_tensor(&self) -> Option<Tensor> {
        let dtype = DType::from_onnx(i32::from(self.dtype))?;
        let shape = self
            .shape
            .iter()
            .map(|&size| usize::try_from(size).ok())
            .collect::<Option<Vec<_>>>()?;
        let count = crate::tensor::element_count(&shape)?;
        Tensor::new(shape, elements::decode(dtype, count, &self.data).ok()?).ok()
    }

    /// Converts from a tensor.
    pub fn from_tensor(tensor: &Tensor) -> EncodedTensor {
        let mut data = Vec::new();
        elements::encode(tensor.data(), &mut data);
        EncodedTensor {
            dtype: tensor.dtype().onnx(),
            shape: tensor.shape().iter().map(|&size| size as u64).collect(),
            data: data.into(),
        }
    }
}

/// Describes a graph's port as a manifest does; `None` for sequences and free ranks.
pub fn manifest_port(port: &graph::Port) -> Option<manifest::Port> {
    let PortKind::Tensor {
        dtype,
        dims: Some(dims),
    } = &port.kind
    else {
        return None;
    };
    let shape = dims
        .iter()
        .enumerate()
        .map(|(axis, dim)| match dim {
            graph::Dim::Fixed(size) => manifest::Dim::Size(*size as u64),
            graph::Dim::Symbol(name) => manifest::Dim::Name(name.clone()),
            graph::Dim::Any => manifest::Dim::Name(format!("dim_{axis}")),
        })
        .collect();
    Some(manifest::Port {
        name: port.name.clone(),
        dtype: dtype.onnx(),
        shape,
    })
}

fn check_ports(
    what: &'static str,
    declared: &[manifest::Port],
    actual: &[graph::Port],
) -> Result<(), PublishError> {
    for index in 0..declared.len().max(actual.len()) {
        let (left, right) = (declared.get(index), actual.get(index));
        let agree = match (left, right) {
            (Some(left), Some(right)) => agrees(left, right),
            _ => false,
        };
        if !agree {
            let nothing = || Cow::Borrowed("nothing");
            return Err(PublishError::Port {
                what,
                index,
                declared: left
                    .map_or_else(nothing, |p| display_declared(p).into())
                    .into_owned(),
                actual: right
                    .map_or_else(nothing, |p| display_actual(p).into())
                    .into_owned(),
            });
        }
    }
    Ok(())
}

/// A manifest may fix a dimension the graph leaves free, and name it as it likes.
fn agrees(declared: &manifest::Port, actual: &graph::Port) -> bool {
    let PortKind::Tensor { dtype, dims } = &actual.kind else {
        return false;
    };
    let dims_agree = dims.as_ref().is_none_or(|dims| {
        dims.len() == declared.shape.len()
            && dims
                .iter()
                .zip(&declared.shape)
                .all(|(have, say)| match (have, say) {
                    (graph::Dim::Fixed(have), manifest::Dim::Size(say)) => *have as u64 == *say,
                    (graph::Dim::Fixed(_), manifest::Dim::Name(_)) => false,
                    _ => true,
                })
    });
    declared.name == actual.name && declared.dtype == dtype.onnx() && dims_agree
}

fn display_declared(port: &manifest::Port) -> String {
    let dims: Vec<String> = port
        .shape
        .iter()
        .map(|dim| match dim {
            manifest::Dim::Size(size) => size.to_string(),
            manifest::Dim::Name(name) => name.clone(),
        })
        .collect();
    let dtype = DType::from_onnx(i32::from(port.dtype)).map_or("unknown", DType::name);
    format!("{} {dtype}[{}]", port.name, dims.join(", "))
}

fn display_actual(port: &graph::Port) -> String {
    match &port.kind {
        PortKind::Tensor {
            dtype,
            dims: Some(dims),
        } => {
            format!("{} {dtype}{}", port.name, crate::model::display_dims(dims))
        }
        PortKind::Tensor { dtype, dims: None } => format!("{} {dtype} of any rank", port.name),
        PortKind::Sequence => format!("{} sequence", port.name),
        PortKind::Optional => format!("{} of unknown type", port.name),
    }
}
