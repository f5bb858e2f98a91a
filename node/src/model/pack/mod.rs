//! `assay model pack`: an ONNX graph, a description and sample rows to one bundle.

mod description;
mod schema;

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use alloy_primitives::Address;
use assay_runtime::bundle::Bundle;
use assay_runtime::manifest::{Dim, Format, Manifest, Port};
use assay_runtime::numerics::Engine;
use assay_runtime::published::{NUMERICS_VERSION, Published, manifest_port};
use assay_runtime::samples::{EncodedTensor, SampleRow, Samples};
use assay_runtime::{Limits, Model};
use bytes::Bytes;
use serde_json::json;

use self::description::Description;
use self::schema::schema;
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
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let limits = Limits::default();
    let graph = file::read(&args.onnx)?;
    let at = |e: &dyn std::fmt::Display| Failure::failed(format!("{}: {e}", args.onnx.display()));
    let model =
        Model::from_onnx(graph.clone(), &limits).map_err(|e| at(&e).hint(file::EXPORT_HINT))?;
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
    let published = Published::open(bundle.clone(), &limits).map_err(Failure::failed)?;
    published
        .replay(&Engine::single())
        .map_err(Failure::failed)?;
    let output = args
        .output
        .clone()
        .unwrap_or_else(|| args.onnx.with_extension("assay"));
    write(&output, &bundle)?;
    let schema = &bundle.manifest().schema;
    if args.json {
        let (id, schema_hash) = (bundle.model_id().0, published.schema_hash().0);
        println!(
            "{}",
            json!({
                "file": output, "bytes": bundle.size_bytes(), "modelId": id, "schemaHash": schema_hash,
                "features": schema.features.len(), "columns": schema.columns.len(), "samples": rows,
            })
        );
        return Ok(());
    }
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

fn sample_rows(path: &Path, bundle: &Bundle, limits: &Limits) -> Result<Samples, Failure> {
    let published = Published::open(bundle.clone(), limits).map_err(Failure::failed)?;
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
