//! The manifest: canonical JSON that commits to every byte of a model and to how it is called.
//!
//! Format and limits are specified in docs/spec/model.md. Parsing accepts canonical bytes only, so
//! `Manifest::parse(bytes)?.encode() == bytes` always holds.

mod fields;
pub mod schema;
#[cfg(test)]
pub(crate) mod tests;
mod validate;

use alloy_primitives::Address;
use thiserror::Error;

use crate::identity::ModelId;
use crate::json::{Json, JsonError};
use fields::Fields;
pub use schema::{Category, Column, Feature, FeatureSchema};

/// The version of the manifest's own format.
pub const MANIFEST_VERSION: i64 = 1;
/// Bytes of a manifest.
pub const MANIFEST_BYTES_MAX: usize = 256 << 10;
/// Bytes of one name, unit or label.
pub const TEXT_BYTES_MAX: usize = 128;
/// Files of one model.
pub const FILES_MAX: usize = 16;
/// Inputs or outputs of one model.
pub const VALUES_MAX: usize = 512;
/// Dimensions of one input or output.
pub const RANK_MAX: usize = 8;

/// Describes a model: what its files are, what goes in and what comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Name given by the publisher; means nothing in consensus.
    pub name: String,
    /// Version given by the publisher; means nothing in consensus.
    pub version: String,
    /// What kind of model the files hold.
    pub format: Format,
    /// Version of the numerics rules that run the model.
    pub numerics: u32,
    /// Licence of the model, as an SPDX expression.
    pub licence: String,
    /// Account that may register the model.
    pub publisher: Address,
    /// Whether the publisher states that outputs are calibrated; nothing when not stated.
    pub calibrated: Option<bool>,
    /// Name of the dimension that counts rows, if the model takes several at once.
    pub batch: Option<String>,
    /// Inputs in the order of the graph.
    pub inputs: Vec<Port>,
    /// Outputs in the order of the graph.
    pub outputs: Vec<Port>,
    /// Name of the output that predict answers.
    pub primary: String,
    /// Features and columns of predict; both empty when the model has only run.
    pub schema: FeatureSchema,
    /// Files in ascending order of their names.
    pub files: Vec<FileEntry>,
}

/// Names what the files of a model are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An ONNX graph in `model.onnx`.
    Onnx,
    /// Weights in `model.safetensors` with `config.json`.
    Safetensors,
}

impl Format {
    /// Returns the file that holds the model itself.
    pub fn main_file(self) -> &'static str {
        match self {
            Self::Onnx => "model.onnx",
            Self::Safetensors => "model.safetensors",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Onnx => "onnx",
            Self::Safetensors => "safetensors",
        }
    }
}

/// Declares one input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Name in the graph.
    pub name: String,
    /// ONNX TensorProto number of the element type.
    pub dtype: u8,
    /// Dimensions, outermost first.
    pub shape: Vec<Dim>,
}

/// Holds one declared dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    /// A fixed size.
    Size(u64),
    /// A named size, the same wherever the name stands.
    Name(String),
}

/// Commits to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Name inside the bundle.
    pub name: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// BLAKE3 hash of the bytes.
    pub blake3: [u8; 32],
}

/// Says why bytes are not an acceptable manifest.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ManifestError {
    /// The manifest is over [`MANIFEST_BYTES_MAX`].
    #[error("manifest has {found} bytes, the limit is {limit}")]
    TooLarge {
        /// Its size.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// The bytes are not canonical JSON.
    #[error("manifest is {0}")]
    Json(#[from] JsonError),
    /// A member is missing.
    #[error("manifest has no {path}")]
    Missing {
        /// The member.
        path: String,
    },
    /// A member is unknown.
    #[error("manifest has an unknown member {path}")]
    Unknown {
        /// The member.
        path: String,
    },
    /// A member is of another kind of JSON.
    #[error("{path} of the manifest must be {expected}")]
    WrongKind {
        /// The member.
        path: String,
        /// What belongs there.
        expected: &'static str,
    },
    /// A number, a count or the length of a text is outside its range.
    #[error("{path} of the manifest is {found}, allowed is {min}..={max}")]
    OutOfRange {
        /// The member.
        path: String,
        /// Its value, count or length in bytes.
        found: i64,
        /// The smallest allowed.
        min: i64,
        /// The largest allowed.
        max: i64,
    },
    /// A text is none of the allowed ones.
    #[error("{path} of the manifest is {found:?}, it must be {expected}")]
    BadText {
        /// The member.
        path: String,
        /// Its value.
        found: String,
        /// What belongs there.
        expected: &'static str,
    },
    /// Entries repeat or are out of order.
    #[error("{path} of the manifest repeats or is out of order")]
    Order {
        /// The entry that is not above the one before it.
        path: String,
    },
    /// Members contradict each other.
    #[error("the manifest contradicts itself: {0}")]
    Contradiction(#[from] Contradiction),
}

/// Names two members of a manifest that do not fit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Contradiction {
    /// The primary output is not among the outputs.
    #[error("primary output {name:?} is not among the outputs")]
    PrimaryUnknown {
        /// The primary output's name.
        name: String,
    },
    /// The batch dimension is not the first dimension of an input.
    #[error("batch dimension {name:?} is not the first dimension of every input")]
    BatchNotFirst {
        /// The batch dimension's name.
        name: String,
    },
    /// The format's main file is not among the files.
    #[error("file {name:?} is missing")]
    MainFileMissing {
        /// The file's name.
        name: &'static str,
    },
    /// There are features without columns, or columns without features.
    #[error("{features} features and {columns} columns: predict needs both")]
    HalfSchema {
        /// Number of features.
        features: usize,
        /// Number of columns.
        columns: usize,
    },
    /// An input's row has no fixed size, so features cannot be laid out.
    #[error("input {name:?} has no fixed row size, so it cannot take features")]
    OpenRow {
        /// The input's name.
        name: String,
    },
    /// The features do not fill the inputs.
    #[error("{features} features do not fill inputs of {elements} elements")]
    FeatureCount {
        /// Number of features.
        features: usize,
        /// Elements of one row of all inputs.
        elements: u64,
    },
    /// A feature may be missing but its input has no NaN.
    #[error("feature {name:?} is nullable but its input's dtype {dtype} has no NaN")]
    NullableInteger {
        /// The feature's name.
        name: String,
        /// The input's dtype.
        dtype: u8,
    },
    /// A feature of a string input lists no categories.
    #[error("feature {name:?} feeds a string input but lists no categories")]
    StringWithoutCategories {
        /// The feature's name.
        name: String,
    },
    /// A column's labels do not go with the primary output's type.
    #[error("column {name:?} must have labels exactly when the primary output holds strings")]
    LabelsMisplaced {
        /// The column's name.
        name: String,
    },
}

impl Manifest {
    /// Parses canonical bytes and checks every limit and agreement between members.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            let (found, limit) = (bytes.len(), MANIFEST_BYTES_MAX);
            return Err(ManifestError::TooLarge { found, limit });
        }
        let mut fields = Fields::root(Json::parse(bytes)?)?;
        // Members are taken in the order of their keys; any other is unknown or missing.
        let batch = fields.optional_text("batch")?;
        let calibrated = fields.optional_bool("calibrated")?;
        let files = fields.list("files", 1, FILES_MAX, file_from)?;
        let format = format_from(&mut fields)?;
        let inputs = fields.list("inputs", 1, VALUES_MAX, port_from)?;
        let licence = fields.text("licence")?;
        fields.integer("manifest", MANIFEST_VERSION, MANIFEST_VERSION)?;
        let name = fields.text("name")?;
        let numerics = fields.integer("numerics", 1, i64::from(u32::MAX))?;
        let outputs = fields.list("outputs", 1, VALUES_MAX, port_from)?;
        let primary = fields.text("primary")?;
        let publisher = Address::from(fields.hex::<20>("publisher", "0x")?);
        let schema = FeatureSchema::from_fields(fields.object("schema")?)?;
        let version = fields.text("version")?;
        fields.finish()?;
        let numerics = u32::try_from(numerics).unwrap_or(u32::MAX);
        let manifest = Self {
            name,
            version,
            format,
            numerics,
            licence,
            publisher,
            calibrated,
            batch,
            inputs,
            outputs,
            primary,
            schema,
            files,
        };
        manifest.validate()?;
        Ok(manifest)
    }

    /// Returns the canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let text = |text: &String| Json::Text(text.clone());
        Json::object([
            ("batch", self.batch.as_ref().map_or(Json::Null, text)),
            ("calibrated", self.calibrated.map_or(Json::Null, Json::Bool)),
            (
                "files",
                Json::List(self.files.iter().map(FileEntry::to_json).collect()),
            ),
            ("format", Json::Text(self.format.name().to_owned())),
            (
                "inputs",
                Json::List(self.inputs.iter().map(Port::to_json).collect()),
            ),
            ("licence", text(&self.licence)),
            ("manifest", Json::Int(MANIFEST_VERSION)),
            ("name", text(&self.name)),
            ("numerics", Json::Int(i64::from(self.numerics))),
            (
                "outputs",
                Json::List(self.outputs.iter().map(Port::to_json).collect()),
            ),
            ("primary", text(&self.primary)),
            (
                "publisher",
                Json::Text(format!("0x{}", hex_of(self.publisher.as_slice()))),
            ),
            ("schema", self.schema.to_json()),
            ("version", text(&self.version)),
        ])
        .encode()
    }

    /// Computes the model's id.
    pub fn model_id(&self) -> ModelId {
        ModelId::of_manifest(&self.encode())
    }

    /// Finds the file of this name.
    pub fn file(&self, name: &str) -> Option<&FileEntry> {
        self.files.iter().find(|file| file.name == name)
    }
}

impl FileEntry {
    fn to_json(&self) -> Json {
        // Sizes are bounded by the integer range on parsing and by the file system on packing.
        let size = i64::try_from(self.size_bytes).unwrap_or(i64::MAX);
        Json::object([
            ("blake3", Json::Text(hex_of(&self.blake3))),
            ("name", Json::Text(self.name.clone())),
            ("size", Json::Int(size)),
        ])
    }
}

impl Port {
    fn to_json(&self) -> Json {
        let dims = self.shape.iter().map(|dim| match dim {
            Dim::Size(size) => Json::Int(i64::try_from(*size).unwrap_or(i64::MAX)),
            Dim::Name(name) => Json::Text(name.clone()),
        });
        Json::object([
            ("dtype", Json::Int(i64::from(self.dtype))),
            ("name", Json::Text(self.name.clone())),
            ("shape", Json::List(dims.collect())),
        ])
    }
}

fn file_from(mut fields: Fields) -> Result<FileEntry, ManifestError> {
    let blake3 = fields.hex::<32>("blake3", "")?;
    let name = fields.text("name")?;
    let size = fields.integer("size", 0, crate::json::INTEGER_MAX)?;
    fields.finish()?;
    Ok(FileEntry {
        name,
        size_bytes: size.unsigned_abs(),
        blake3,
    })
}

fn format_from(fields: &mut Fields) -> Result<Format, ManifestError> {
    let found = fields.text("format")?;
    match found.as_str() {
        "onnx" => Ok(Format::Onnx),
        "safetensors" => Ok(Format::Safetensors),
        _ => {
            let expected = "\"onnx\" or \"safetensors\"";
            Err(ManifestError::BadText {
                path: "format".to_owned(),
                found,
                expected,
            })
        }
    }
}

fn port_from(mut fields: Fields) -> Result<Port, ManifestError> {
    let dtype = fields.integer("dtype", 1, 255)?;
    let name = fields.text("name")?;
    let shape = fields.values("shape", 0, RANK_MAX, fields::dimension)?;
    fields.finish()?;
    Ok(Port {
        name,
        dtype: u8::try_from(dtype).unwrap_or(u8::MAX),
        shape,
    })
}

fn hex_of(bytes: &[u8]) -> String {
    alloy_primitives::hex::encode(bytes)
}
