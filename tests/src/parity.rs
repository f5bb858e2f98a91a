//! Model parity: our answers beside onnxruntime's and the training library's own, on 10,000 rows.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use assay_runtime::numerics::Engine;
use assay_runtime::{Data, Limits, Model, Tensor, Value};
use eyre::{Context as _, ensure, eyre};
use serde::Deserialize;

use crate::cases::{Case, CaseSet, Source, read_json};
use crate::compare::floats;

/// The exported models of scripts/parity_list.py.
pub const PARITY: Source = Source {
    folder: "parity",
    script: "parity_models.py",
};

/// The largest relative error against onnxruntime that counts as agreement.
pub const RELATIVE_MAX: f64 = 1e-5;
/// A row that differs from the library by more than this took another leaf in some tree: rounding
/// alone stays well below it.
const FLIP: f64 = 1e-4;
/// Rows run at once; bits do not depend on it.
const CHUNK: usize = 500;
/// Rows run alone, to show that bits do not depend on the batch.
const ALONE: usize = 20;

/// Describes a model of the list.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    /// What every case has.
    #[serde(flatten)]
    pub case: Case,
    /// The library the estimator comes from.
    pub library: String,
    /// The estimator's class.
    pub estimator: String,
    /// Trees in the ensemble, 0 for other models.
    pub trees: usize,
    /// Whether the model is a pipeline with encoders.
    pub encoders: bool,
    /// The output that the library's own answer belongs to.
    pub native_output: usize,
    /// Whether there are labels to compare.
    pub labels: bool,
    /// Whether onnxruntime gave the same bits for the table and for single rows.
    pub onnxruntime_reproducible: bool,
    /// Why the graph has no better agreement in binary32, for models that have their own tolerance.
    pub conditioning: Option<String>,
}

/// Holds the figures of one model, or why it was refused.
#[derive(Clone, Debug)]
pub struct Row {
    /// The model.
    pub entry: Entry,
    /// The figures.
    pub result: Result<Figures, String>,
}

/// Compares our answers with the two others.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The largest relative error against onnxruntime, over all float outputs.
    pub onnxruntime: f64,
    /// Rows whose label differs from onnxruntime's.
    pub onnxruntime_labels: usize,
    /// The largest relative error against the library.
    pub native: f64,
    /// The largest relative error of onnxruntime against the library.
    pub onnxruntime_native: f64,
    /// Rows that took another leaf than in the library.
    pub flips: usize,
    /// Rows whose label differs from the library's.
    pub native_labels: usize,
    /// Whether single rows gave the bits they have in the table.
    pub batch_invariant: bool,
}

impl Row {
    /// Says whether the model meets the list's requirement.
    pub fn agrees(&self) -> bool {
        self.result.as_ref().is_ok_and(|figures| {
            figures.onnxruntime <= self.entry.case.rtol
                && figures.onnxruntime_labels == 0
                && figures.batch_invariant
        })
    }
}

/// Compares every model of the list whose name contains `filter`.
pub fn run(set: &CaseSet, filter: &str) -> eyre::Result<Vec<Row>> {
    #[derive(Deserialize)]
    struct Index {
        cases: Vec<Entry>,
    }
    let index: Index = read_json(&set.folder.join("index.json"))?;
    let chosen = index
        .cases
        .into_iter()
        .filter(|entry| entry.case.name.contains(filter));
    chosen
        .map(|entry| {
            let result = compare(set, &entry).wrap_err_with(|| entry.case.name.clone())?;
            Ok(Row { entry, result })
        })
        .collect()
}

/// Compares one model; the inner error is a refusal by the runtime, the outer one a broken file.
fn compare(set: &CaseSet, entry: &Entry) -> eyre::Result<Result<Figures, String>> {
    let case = &entry.case;
    let model = match Model::from_onnx(set.model(case)?, &Limits::default()) {
        Ok(model) => model,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let inputs = tensors(set.inputs(case, &[])?)?;
    let ours = match answer(&model, &inputs, CHUNK, usize::MAX)? {
        Ok(ours) => ours,
        Err(why) => return Ok(Err(why)),
    };
    let alone = match answer(&model, &inputs, 1, ALONE)? {
        Ok(alone) => alone,
        Err(why) => return Ok(Err(why)),
    };
    let theirs = tensors(set.outputs(case, &[])?)?;
    ensure!(
        ours.len() == theirs.len(),
        "{} outputs, expected {}",
        ours.len(),
        theirs.len()
    );

    let mut figures = Figures {
        onnxruntime: 0.0,
        onnxruntime_labels: 0,
        native: 0.0,
        onnxruntime_native: 0.0,
        flips: 0,
        native_labels: 0,
        batch_invariant: ours
            .iter()
            .zip(&alone)
            .all(|(all, few)| begins_with(all, few)),
    };
    for (i, (our, their)) in ours.iter().zip(&theirs).enumerate() {
        match (floats(our), floats(their.data())) {
            (Some(our), Some(their)) => {
                let errors = relative(&our, &their).wrap_err_with(|| format!("output {i}"))?;
                figures.onnxruntime = larger(figures.onnxruntime, largest(&errors));
            }
            _ => figures.onnxruntime_labels += differing(our, their.data())?,
        }
    }
    let native = wide(&tensor(set.tensor(case, "native.pb")?)?)?;
    let column =
        |data: &Data| -> eyre::Result<Vec<f64>> { margins(&wide_data(data)?, native.len()) };
    let our = ours
        .get(entry.native_output)
        .ok_or_else(|| eyre!("no native output"))?;
    let their = theirs
        .get(entry.native_output)
        .ok_or_else(|| eyre!("no native output"))?;
    let errors = relative(&column(our)?, &native)?;
    figures.flips = rows_above(
        &errors,
        inputs.first().and_then(|t| t.shape().first()).copied(),
    );
    figures.native = largest(&errors);
    figures.onnxruntime_native = largest(&relative(&column(their.data())?, &native)?);
    if entry.labels {
        let labels = tensor(set.tensor(case, "labels.pb")?)?;
        let first = ours.first().ok_or_else(|| eyre!("no outputs"))?;
        figures.native_labels = differing(first, labels.data())?;
    }
    Ok(Ok(figures))
}

/// Runs the model over the rows, `chunk` at a time, up to `limit` rows; joins the outputs.
fn answer(
    model: &Model,
    inputs: &[Tensor],
    chunk: usize,
    limit: usize,
) -> eyre::Result<Result<Vec<Data>, String>> {
    let rows = inputs
        .first()
        .and_then(|t| t.shape().first())
        .copied()
        .unwrap_or(0)
        .min(limit);
    let engine = Engine::single();
    let mut joined: Vec<Data> = Vec::new();
    let mut from = 0;
    while from < rows {
        let to = rows.min(from + chunk);
        let part: eyre::Result<Vec<Value>> = inputs
            .iter()
            .map(|t| Ok(Value::Tensor(slice(t, from, to)?)))
            .collect();
        let outputs = match model.run(&engine, &part?) {
            Ok(outputs) => outputs,
            Err(error) => return Ok(Err(format!("at run time, {error}"))),
        };
        for (i, output) in tensors(outputs)?.into_iter().enumerate() {
            let (_, data) = output.into_parts();
            match joined.get_mut(i) {
                Some(whole) => append(whole, data)?,
                None => joined.push(data),
            }
        }
        from = to;
    }
    Ok(Ok(joined))
}

macro_rules! each_kind {
    ($($kind:ident)*) => {
        /// Copies some rows of a tensor.
        fn slice(tensor: &Tensor, from: usize, to: usize) -> eyre::Result<Tensor> {
            let mut shape = tensor.shape().to_vec();
            let width: usize = shape.iter().skip(1).product();
            if let Some(first) = shape.first_mut() {
                *first = to - from;
            }
            let data = match tensor.data() {
                $(Data::$kind(values) => Data::$kind(
                    values.get(from * width..to * width).ok_or_else(|| eyre!("too few rows"))?.to_vec(),
                ),)*
                other => return Err(eyre!("inputs of {}", other.dtype())),
            };
            Ok(Tensor::new(shape, data)?)
        }

        fn append(whole: &mut Data, part: Data) -> eyre::Result<()> {
            match (whole, part) {
                $((Data::$kind(whole), Data::$kind(part)) => whole.extend(part),)*
                (whole, part) => return Err(eyre!("{} after {}", part.dtype(), whole.dtype())),
            }
            Ok(())
        }

        /// Compares bits, so that NaN equals itself.
        fn begins_with(whole: &Data, start: &Data) -> bool {
            match (whole, start) {
                $((Data::$kind(whole), Data::$kind(start)) => whole
                    .get(..start.len())
                    .is_some_and(|head| format!("{head:?}") == format!("{start:?}")),)*
                _ => false,
            }
        }
    };
}

each_kind!(F32 F64 I32 I64 Str Bool);

fn tensors(values: Vec<Value>) -> eyre::Result<Vec<Tensor>> {
    values.into_iter().map(tensor).collect()
}

fn tensor(value: Value) -> eyre::Result<Tensor> {
    match value {
        Value::Tensor(tensor) => Ok(tensor),
        other => Err(eyre!("a {} where a tensor belongs", other.kind())),
    }
}

/// Returns |got - want| relative to the larger of |want| and the column's root mean square, so that a
/// value that happens to be near zero does not count as an error.
fn relative(got: &[f64], want: &[f64]) -> eyre::Result<Vec<f64>> {
    ensure!(
        got.len() == want.len(),
        "{} values, expected {}",
        got.len(),
        want.len()
    );
    let squares: f64 = want.iter().map(|v| v * v).sum();
    let rms = (squares / want.len().max(1) as f64).sqrt();
    let scaled = got.iter().zip(want).map(|(got, want)| {
        let scale = larger(larger(want.abs(), rms), f64::MIN_POSITIVE);
        if got.total_cmp(want).is_eq() {
            0.0
        } else {
            (got - want).abs() / scale
        }
    });
    Ok(scaled
        .map(|error| if error.is_nan() { f64::INFINITY } else { error })
        .collect())
}

fn larger(a: f64, b: f64) -> f64 {
    if a.total_cmp(&b).is_ge() { a } else { b }
}

fn largest(errors: &[f64]) -> f64 {
    errors.iter().fold(0.0, |most, error| larger(most, *error))
}

fn rows_above(errors: &[f64], rows: Option<usize>) -> usize {
    let width = errors.len() / rows.unwrap_or(errors.len()).max(1);
    errors
        .chunks(width.max(1))
        .filter(|row| row.iter().any(|error| *error > FLIP))
        .count()
}

/// Counts labels that differ; the library's integers may be wider than the graph's.
fn differing(got: &Data, want: &Data) -> eyre::Result<usize> {
    if let (Data::Str(got), Data::Str(want)) = (got, want) {
        ensure!(
            got.len() == want.len(),
            "{} labels, expected {}",
            got.len(),
            want.len()
        );
        return Ok(got
            .iter()
            .zip(want)
            .filter(|(got, want)| got != want)
            .count());
    }
    let (got, want) = (wide_data(got)?, wide_data(want)?);
    ensure!(
        got.len() == want.len(),
        "{} labels, expected {}",
        got.len(),
        want.len()
    );
    Ok(got
        .iter()
        .zip(&want)
        .filter(|(got, want)| !got.total_cmp(want).is_eq())
        .count())
}

fn wide(tensor: &Tensor) -> eyre::Result<Vec<f64>> {
    wide_data(tensor.data())
}

fn wide_data(data: &Data) -> eyre::Result<Vec<f64>> {
    match data {
        Data::I32(values) => Ok(values.iter().map(|v| f64::from(*v)).collect()),
        // Labels are small whole numbers, exact in binary64.
        Data::I64(values) => Ok(values.iter().map(|v| *v as f64).collect()),
        Data::Bool(values) => Ok(values.iter().map(|v| f64::from(u8::from(*v))).collect()),
        other => floats(other).ok_or_else(|| eyre!("an output of {}", other.dtype())),
    }
}

/// Takes the first of two columns when the library answers one margin and the graph two: skl2onnx
/// writes a binary SVC's margin first and its negation second.
fn margins(values: &[f64], count: usize) -> eyre::Result<Vec<f64>> {
    if values.len() == count {
        return Ok(values.to_vec());
    }
    ensure!(
        values.len() == 2 * count,
        "{} values for {count} answers",
        values.len()
    );
    Ok(values.iter().step_by(2).copied().collect())
}

/// Writes the parity list as a table.
pub fn table(rows: &[Row]) -> String {
    let agreeing = rows.iter().filter(|row| row.agrees()).count();
    let ensembles = rows
        .iter()
        .filter(|row| row.agrees() && row.entry.trees >= 100)
        .count();
    let pipelines = rows
        .iter()
        .filter(|row| row.agrees() && row.entry.encoders)
        .count();
    let libraries: BTreeSet<&str> = rows.iter().map(|row| row.entry.library.as_str()).collect();
    let libraries: Vec<&str> = libraries.into_iter().collect();
    let mut text = String::new();
    let _ = write!(
        text,
        "# Model parity\n\n\
         <!-- Written by `scripts/parity --write`. -->\n\n\
         {} models of {}, exported with the stock converters (versions: scripts/requirements.txt) and run \
         on 10,000 rows each: **{agreeing} agree with onnxruntime** (labels equal, relative error at most \
         1e-5 unless the note says otherwise), among them {ensembles} ensembles of 100 or more trees and \
         {pipelines} pipelines with encoders. An error is relative to the larger of the value and the \
         root mean square of the output. The second group of columns compares with the library itself, \
         which computes in binary64 or in another order: *leaf flips* are rows that differ by more than \
         1e-4, because a tree took another branch at a threshold. *ort stable* says whether onnxruntime \
         gave the same bits for a row alone and in the table; ours always does, and the run fails \
         otherwise.\n\n\
         | model | estimator | trees | error to ort | label flips | error to library | ort to library | \
         leaf flips | label flips | ort stable | note |\n\
         |---|---|--:|--:|--:|--:|--:|--:|--:|---|---|\n",
        rows.len(),
        libraries.join(", "),
    );
    for row in rows {
        let entry = &row.entry;
        let trees = if entry.trees > 0 {
            entry.trees.to_string()
        } else {
            String::new()
        };
        let _ = write!(
            text,
            "| {} | {} | {trees} | ",
            entry.case.name, entry.estimator
        );
        let _ = match &row.result {
            Ok(f) => writeln!(
                text,
                "{:.1e} | {} | {:.1e} | {:.1e} | {} | {} | {} | {} |",
                f.onnxruntime,
                f.onnxruntime_labels,
                f.native,
                f.onnxruntime_native,
                if entry.trees > 0 {
                    f.flips.to_string()
                } else {
                    String::new()
                },
                if entry.labels {
                    f.native_labels.to_string()
                } else {
                    String::new()
                },
                if entry.onnxruntime_reproducible {
                    "yes"
                } else {
                    "no"
                },
                note(row),
            ),
            Err(why) => writeln!(text, "| | | | | | | refused: {} |", why.replace('|', "\\|")),
        };
    }
    text
}

fn note(row: &Row) -> String {
    let own = row.entry.conditioning.as_deref().unwrap_or_default();
    match (row.agrees(), own) {
        (true, own) => own.to_owned(),
        (false, "") => "does not agree".to_owned(),
        (false, own) => format!("does not agree; {own}"),
    }
}
