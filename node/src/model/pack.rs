//! `assay model pack`: an ONNX graph, a description and sample rows to one bundle.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use alloy_primitives::{Address, I256};
use assay_runtime::bundle::Bundle;
use assay_runtime::manifest::{
    Category, Column, Dim, Feature, FeatureSchema, Format, Manifest, Port,
};
use assay_runtime::numerics::Engine;
use assay_runtime::published::{NUMERICS_VERSION, Published, manifest_port};
use assay_runtime::samples::{EncodedTensor, SampleRow, Samples};
use assay_runtime::{DType, Limits, Model};
use bytes::Bytes;
use serde::Deserialize;

use super::{file, input};
use crate::cli::Failure;
use crate::table::size;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// ONNX file.
    onnx: PathBuf,
    /// Description (JSON): name, version, licence, publisher, features, columns, primary output.
    #[arg(long)]
    describe: Option<PathBuf>,
    /// Rows of features (.json, .csv) whose answers every validator will reproduce, at most 256.
    #[arg(long)]
    samples: Option<PathBuf>,
    /// Model card (Markdown) to put into the bundle.
    #[arg(long)]
    card: Option<PathBuf>,
    /// Name of the model.
    #[arg(long)]
    name: Option<String>,
    /// Version of the model.
    #[arg(long)]
    version: Option<String>,
    /// Account that may register the model.
    #[arg(long)]
    publisher: Option<Address>,
    /// Answer only the probability of this class of a binary classifier.
    #[arg(long, conflicts_with = "all_classes")]
    positive_class: Option<String>,
    /// Answer every column of the primary output.
    #[arg(long)]
    all_classes: bool,
    /// File to write [default: the ONNX file's name with .assay].
    #[arg(short, long)]
    output: Option<PathBuf>,
}

/// Describes a model as its author writes it; what is left out is taken from the graph.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Description {
    name: Option<String>,
    version: Option<String>,
    licence: Option<String>,
    publisher: Option<Address>,
    batch: Option<String>,
    primary: Option<String>,
    calibrated: Option<bool>,
    features: Option<Vec<FeatureText>>,
    columns: Option<Vec<ColumnText>>,
    classes: Option<Vec<String>>,
    positive_class: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FeatureText {
    name: String,
    unit: Option<String>,
    decimals: Option<u8>,
    min: Option<serde_json::Value>,
    max: Option<serde_json::Value>,
    #[serde(default)]
    nullable: bool,
    #[serde(default)]
    categories: Vec<CategoryText>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum CategoryText {
    Label(String),
    Coded { code: i64, label: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnText {
    name: String,
    class: Option<String>,
    unit: Option<String>,
    decimals: Option<u8>,
    index: Option<u32>,
    #[serde(default)]
    labels: Vec<String>,
}

/// Decimals of a float feature or column that does not state them.
const DEFAULT_DECIMALS: u8 = 18;

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let limits = Limits::default();
    let graph = file::read(&args.onnx)?;
    let at = |e: &dyn std::fmt::Display| Failure::failed(format!("{}: {e}", args.onnx.display()));
    let model = Model::from_onnx(graph.clone(), &limits).map_err(|e| at(&e))?;
    let manifest = describe(args, &model)?;
    let mut files = vec![(Format::Onnx.main_file().to_owned(), graph)];
    if let Some(card) = &args.card {
        files.push(("card.md".to_owned(), file::read(card)?));
    }
    let mut bundle = pack(&manifest, files.clone())?;
    let mut rows = 0;
    if let Some(path) = &args.samples {
        let samples = sample_rows(path, &bundle, &limits)?;
        rows = samples.rows.len();
        let encoded = samples
            .encode()
            .map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?;
        files.push((assay_runtime::samples::FILE_NAME.to_owned(), encoded));
        bundle = pack(&manifest, files)?;
    }
    // What is written must open: the validators' own check decides.
    let published = Published::open(&bundle, &limits).map_err(Failure::failed)?;
    published
        .replay(&Engine::single())
        .map_err(Failure::failed)?;
    let output = args
        .output
        .clone()
        .unwrap_or_else(|| args.onnx.with_extension("assay"));
    write(&output, &bundle)?;
    let schema = &bundle.manifest().schema;
    println!(
        "wrote        {} ({})",
        output.display(),
        size(bundle.size_bytes())
    );
    println!("model id     {}", bundle.model_id().0);
    println!("schema hash  {}", published.schema_hash().0);
    println!("features     {}", schema.features.len());
    println!("columns      {}", schema.columns.len());
    println!("samples      {rows}");
    Ok(())
}

fn pack(manifest: &Manifest, files: Vec<(String, Bytes)>) -> Result<Bundle, Failure> {
    Bundle::pack(manifest.clone(), files)
        .map_err(|error| Failure::usage(error).hint("mend the description given with --describe"))
}

/// Writes beside the target and renames, so that a full disk never leaves half a bundle.
fn write(path: &Path, bundle: &Bundle) -> Result<(), Failure> {
    let fail = |error: std::io::Error| Failure::failed(format!("{}: {error}", path.display()));
    let partial = path.with_extension("assay.partial");
    let result = (|| {
        let mut out = BufWriter::new(fs::File::create(&partial)?);
        bundle.write_to(&mut out)?;
        out.flush()?;
        out.get_ref().sync_all()?;
        fs::rename(&partial, path)
    })();
    if result.is_err() {
        // Nothing depends on the leftover; the first error is what the user needs.
        let _ = fs::remove_file(&partial);
    }
    result.map_err(fail)
}

fn describe(args: &Args, model: &Model) -> Result<Manifest, Failure> {
    let mut text = match &args.describe {
        Some(path) => serde_json::from_slice(&file::read(path)?)
            .map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?,
        None => Description::default(),
    };
    let stem = args
        .onnx
        .file_stem()
        .map(|s| s.to_string_lossy().into_owned());
    let inputs = ports(model.inputs(), "input")?;
    let outputs = ports(model.outputs(), "output")?;
    let batch = text.batch.take().or_else(|| common_batch(&inputs));
    let inputs = named_batch(inputs, batch.as_deref());
    let primary = primary(&text, &outputs)?;
    let schema = schema(args, &text, &inputs, primary)?;
    let primary = primary.name.clone();
    Ok(Manifest {
        name: args
            .name
            .clone()
            .or(text.name)
            .or(stem)
            .unwrap_or_else(|| "model".to_owned()),
        version: args
            .version
            .clone()
            .or(text.version)
            .unwrap_or_else(|| "1".to_owned()),
        format: Format::Onnx,
        numerics: NUMERICS_VERSION,
        licence: text.licence.unwrap_or_else(|| "NOASSERTION".to_owned()),
        publisher: args.publisher.or(text.publisher).unwrap_or_default(),
        calibrated: text.calibrated,
        batch,
        inputs,
        outputs,
        primary,
        schema,
        files: Vec::new(),
    })
}

fn ports(list: &[assay_runtime::Port], what: &str) -> Result<Vec<Port>, Failure> {
    list.iter()
        .map(|port| {
            manifest_port(port).ok_or_else(|| {
                Failure::failed(format!(
                    "the {what} {:?} is not a tensor of known rank",
                    port.name
                ))
                .hint("export the model with tensor inputs and outputs of a declared rank")
            })
        })
        .collect()
}

/// Finds the name that is the first dimension of every input and the only free one.
fn common_batch(inputs: &[Port]) -> Option<String> {
    let first = |port: &Port| match port.shape.first() {
        Some(Dim::Name(name)) => Some(name.clone()),
        _ => None,
    };
    let batch = inputs.first().and_then(first)?;
    inputs
        .iter()
        .all(|port| first(port).is_some())
        .then_some(batch)
}

/// Exporters name each input's free dimension anew; the manifest needs one name.
fn named_batch(mut inputs: Vec<Port>, batch: Option<&str>) -> Vec<Port> {
    if let Some(batch) = batch {
        for port in &mut inputs {
            if let Some(first @ Dim::Name(_)) = port.shape.first_mut() {
                *first = Dim::Name(batch.to_owned());
            }
        }
    }
    inputs
}

/// Chooses the output that predict answers: the one named, the only one, or a classifier's scores.
fn primary<'p>(text: &Description, outputs: &'p [Port]) -> Result<&'p Port, Failure> {
    if let Some(name) = &text.primary {
        return outputs
            .iter()
            .find(|port| port.name == *name)
            .ok_or_else(|| {
                let names: Vec<&str> = outputs.iter().map(|port| port.name.as_str()).collect();
                Failure::usage(format!(
                    "the graph has no output {name:?}; it has {}",
                    names.join(", ")
                ))
            });
    }
    match outputs {
        [only] => Ok(only),
        // A classifier's labels come first, its scores second.
        [_, scores] => Ok(scores),
        _ => Err(
            Failure::usage(format!("the graph has {} outputs", outputs.len()))
                .hint("name one as \"primary\" in the file given with --describe"),
        ),
    }
}

fn schema(
    args: &Args,
    text: &Description,
    inputs: &[Port],
    primary: &Port,
) -> Result<FeatureSchema, Failure> {
    let free = |port: &Port| {
        port.shape
            .iter()
            .skip(1)
            .any(|dim| matches!(dim, Dim::Name(_)))
    };
    if inputs.iter().any(free) || free(primary) && text.columns.is_none() {
        if text.features.is_some() || text.columns.is_some() {
            return Err(Failure::usage(
                "features need inputs whose only free dimension is the batch",
            ));
        }
        // Sequences and images of any size: the model answers `run` only.
        return Ok(FeatureSchema::default());
    }
    let features = match &text.features {
        Some(list) => list.iter().map(feature).collect::<Result<Vec<_>, _>>()?,
        None => default_features(inputs),
    };
    let columns = match &text.columns {
        Some(list) => list
            .iter()
            .enumerate()
            .map(|(i, c)| column(i, c, primary))
            .collect(),
        None => default_columns(args, text, primary)?,
    };
    Ok(FeatureSchema { features, columns })
}

fn feature(text: &FeatureText) -> Result<Feature, Failure> {
    let decimals = text.decimals.unwrap_or(if text.categories.is_empty() {
        DEFAULT_DECIMALS
    } else {
        0
    });
    let bound = |value: &Option<serde_json::Value>| -> Result<Option<I256>, Failure> {
        let Some(value) = value else { return Ok(None) };
        let number = match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        input::parse_decimal(&number, decimals)
            .map(Some)
            .ok_or_else(|| {
                Failure::usage(format!("feature {:?}: {number} is not a number", text.name))
            })
    };
    let category = |(at, category): (usize, &CategoryText)| match category {
        CategoryText::Label(label) => Category {
            code: at as i64,
            label: label.clone(),
        },
        CategoryText::Coded { code, label } => Category {
            code: *code,
            label: label.clone(),
        },
    };
    Ok(Feature {
        name: text.name.clone(),
        unit: text.unit.clone(),
        decimals,
        min: bound(&text.min)?,
        max: bound(&text.max)?,
        nullable: text.nullable,
        categories: text.categories.iter().enumerate().map(category).collect(),
    })
}

fn default_features(inputs: &[Port]) -> Vec<Feature> {
    let mut features = Vec::new();
    for port in inputs {
        let width: u64 = port.shape.iter().skip(1).map(size_of_dim).product();
        for at in 0..width {
            let name = if width == 1 {
                port.name.clone()
            } else {
                format!("{}_{at}", port.name)
            };
            let decimals = if is_float(port.dtype) {
                DEFAULT_DECIMALS
            } else {
                0
            };
            features.push(Feature {
                name,
                unit: None,
                decimals,
                min: None,
                max: None,
                nullable: false,
                categories: Vec::new(),
            });
        }
    }
    features
}

fn column(at: usize, text: &ColumnText, primary: &Port) -> Column {
    let decimals = if is_float(primary.dtype) {
        DEFAULT_DECIMALS
    } else {
        0
    };
    Column {
        name: text.name.clone(),
        class: text.class.clone(),
        unit: text.unit.clone(),
        decimals: text.decimals.unwrap_or(decimals),
        index: text.index.unwrap_or(at as u32),
        labels: text.labels.clone(),
    }
}

/// Names the columns of the primary output. More than one column needs a decision by the author:
/// a contract that reads column 0 of a binary classifier reads the wrong class.
fn default_columns(
    args: &Args,
    text: &Description,
    primary: &Port,
) -> Result<Vec<Column>, Failure> {
    let width: u64 = primary.shape.iter().skip(1).map(size_of_dim).product();
    let decimals = if is_float(primary.dtype) {
        DEFAULT_DECIMALS
    } else {
        0
    };
    let plain = |index: u64, class: Option<&String>| Column {
        name: match class {
            Some(class) => format!("class {class}"),
            None if width == 1 => primary.name.clone(),
            None => format!("{}_{index}", primary.name),
        },
        class: class.cloned(),
        unit: None,
        decimals,
        index: index as u32,
        labels: Vec::new(),
    };
    if width == 1 {
        return Ok(vec![plain(0, None)]);
    }
    let numbered: Vec<String> = (0..width).map(|i| i.to_string()).collect();
    let classes = text.classes.as_ref().unwrap_or(&numbered);
    if classes.len() as u64 != width {
        return Err(Failure::usage(format!(
            "{} classes for {width} columns of the output {:?}",
            classes.len(),
            primary.name
        )));
    }
    let positive = args
        .positive_class
        .as_ref()
        .or(text.positive_class.as_ref());
    if let Some(positive) = positive {
        let index = classes
            .iter()
            .position(|class| class == positive)
            .ok_or_else(|| {
                Failure::usage(format!(
                    "no class {positive:?}; the classes are {}",
                    classes.join(", ")
                ))
            })?;
        return Ok(vec![plain(index as u64, Some(positive))]);
    }
    if args.all_classes {
        return Ok(classes
            .iter()
            .enumerate()
            .map(|(i, c)| plain(i as u64, Some(c)))
            .collect());
    }
    Err(Failure::usage(format!(
        "the output {:?} has {width} columns: say which a contract shall read",
        primary.name
    ))
    .hint("--positive-class CLASS for one of them, --all-classes for all"))
}

fn size_of_dim(dim: &Dim) -> u64 {
    match dim {
        Dim::Size(size) => *size,
        Dim::Name(_) => 1,
    }
}

fn is_float(dtype: u8) -> bool {
    DType::from_onnx(i32::from(dtype)).is_some_and(DType::is_float)
}

fn sample_rows(path: &Path, bundle: &Bundle, limits: &Limits) -> Result<Samples, Failure> {
    let published = Published::open(bundle, limits).map_err(Failure::failed)?;
    let engine = Engine::single();
    let mut samples = Samples::default();
    for (at, row) in input::rows(path, published.manifest())?.iter().enumerate() {
        let fail = |e: &dyn std::fmt::Display| {
            Failure::failed(format!("{}: row {}: {e}", path.display(), at + 1))
        };
        let inputs = published.feature_tensors(1, row).map_err(|e| fail(&e))?;
        let outputs = published
            .model()
            .run_tensors(&engine, &inputs.iter().collect::<Vec<_>>())
            .map_err(|e| fail(&e))?;
        let outputs = outputs
            .iter()
            .map(|value| value.as_tensor().map(EncodedTensor::from_tensor))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| fail(&"an output is not a tensor"))?;
        let inputs = inputs.iter().map(EncodedTensor::from_tensor).collect();
        samples.rows.push(SampleRow { inputs, outputs });
    }
    Ok(samples)
}
