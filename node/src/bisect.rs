//! Where two answers to a call part: its operators, compared one by one.
//!
//! This binary's chosen path is compared with its own portable path, with a trace written earlier or
//! elsewhere, and with a node's trace. Equal traces say that the answers differ for another reason.

use std::path::{Path as FilePath, PathBuf};

use alloy_primitives::{B256, Bytes};
use assay_precompile::{
    Answers,
    trace::{CallTrace, trace_call},
};
use assay_runtime::{Difference, Path, first_difference};
use clap::Args;
use serde_json::{Value, json};

use crate::{cli::Failure, client::Client, file::write_whole};

/// Largest trace file that is read.
const MAX_FILE_BYTES: u64 = 256 << 20;

#[derive(Args, Default)]
pub(crate) struct Traces {
    /// Compare the operators with a trace that was written before, here or elsewhere.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Compare the operators with those of a node, by its RPC address.
    #[arg(long, value_name = "URL")]
    trace_from: Option<String>,
    /// Write what every operator gave into a file, to be compared elsewhere.
    #[arg(long, value_name = "FILE")]
    write_trace: Option<PathBuf>,
}

/// Answers a call again and tells what every operator wrote.
pub(crate) trait Traced {
    /// Answers input bytes along a path.
    fn trace(&self, path: Path, input: &Bytes) -> Result<CallTrace, Failure>;
}

/// Two traces of a call, compared.
#[derive(Debug)]
pub(crate) struct Compared {
    /// Whose trace the chosen path's was compared with.
    with: String,
    /// Operators that were compared, or why none were.
    outcome: Result<(usize, Option<Difference>), String>,
}

impl Traces {
    /// Says whether operators are to be looked at even where the answers agree.
    pub(crate) const fn wanted(&self) -> bool {
        self.trace.is_some() || self.trace_from.is_some() || self.write_trace.is_some()
    }

    /// Traces a call along the chosen path and compares it with everything at hand.
    pub(crate) fn compare(
        &self,
        runs: &dyn Traced,
        input: &Bytes,
    ) -> Result<Vec<Compared>, Failure> {
        let ours = runs.trace(Path::Chosen, input)?;
        if let Some(path) = &self.write_trace {
            let text = serde_json::to_vec_pretty(&ours).map_err(Failure::failed)?;
            write_whole(path, &text).map_err(|error| unusable(path, &error))?;
        }
        let portable = runs.trace(Path::Portable, input)?;
        let mut compared = vec![Compared::of(
            "this binary's portable path",
            &ours,
            &portable,
        )];
        if let Some(path) = &self.trace {
            compared.push(Compared::of(
                &path.display().to_string(),
                &ours,
                &read(path)?,
            ));
        }
        if let Some(url) = &self.trace_from {
            let theirs = of_node(&Client::new(url)?, Path::Chosen, input)?;
            compared.push(Compared::of(url, &ours, &theirs));
        }
        Ok(compared)
    }
}

/// Asks a node to answer a call again.
pub(crate) fn of_node(client: &Client, path: Path, input: &Bytes) -> Result<CallTrace, Failure> {
    let answer = client.call("assay_traceOperators", json!([input, path.name()]))?;
    parse(answer)
}

/// Answers a call on models that are here.
pub(crate) fn of_models(
    models: &dyn Answers,
    path: Path,
    input: &Bytes,
) -> Result<CallTrace, Failure> {
    // Whoever asks pays: an inference of any size may be looked at.
    let traced = trace_call(models, path, input, u64::MAX);
    traced.map(|(_, trace)| trace).map_err(Failure::failed)
}

/// Reads the JSON form of a trace.
pub(crate) fn parse(trace: Value) -> Result<CallTrace, Failure> {
    serde_json::from_value(trace)
        .map_err(|error| Failure::failed(format!("not the trace of a call: {error}")))
}

impl Compared {
    fn of(with: &str, ours: &CallTrace, theirs: &CallTrace) -> Self {
        let outcome = match (ours.model, ours.input_hash) == (theirs.model, theirs.input_hash) {
            true => first_difference(&ours.operators, &theirs.operators)
                .map(|found| (ours.operators.len(), found))
                .map_err(|error| error.to_string()),
            false => Err(format!(
                "the trace is of another call: model {}, input {}",
                theirs.model, theirs.input_hash
            )),
        };
        Self {
            with: with.to_owned(),
            outcome,
        }
    }

    /// Says in words where the traces part.
    pub(crate) fn text(&self) -> String {
        let with = &self.with;
        match &self.outcome {
            Err(why) => format!("not compared with {with}: {why}"),
            Ok((count, None)) => format!("no operator of {count} differs from {with}"),
            Ok((_, Some(difference))) => {
                let operator = &difference.operator;
                let joined = match operator.joined.len() {
                    0 => String::new(),
                    count => format!(", one step with {count} before it"),
                };
                format!(
                    "first differs from {with} at operator {} {:?}: {}, opset {}, output {}{joined}",
                    operator.index, operator.name, operator.op, operator.opset, difference.output
                )
            }
        }
    }

    /// Shows the same to programs.
    pub(crate) fn json(&self) -> Value {
        let found = match &self.outcome {
            Err(why) => return json!({"with": self.with, "error": why}),
            Ok((_, found)) => found.as_ref(),
        };
        let differs = found.map(|difference| {
            let operator = &difference.operator;
            let digest = |digest: Option<B256>| digest.map(|digest| digest.to_string());
            json!({
                "index": operator.index,
                "name": operator.name,
                "op": operator.op,
                "opset": operator.opset,
                "joined": operator.joined,
                "output": difference.output,
                "here": digest(difference.one),
                "there": digest(difference.other),
            })
        });
        json!({"with": self.with, "differs": differs})
    }
}

fn read(path: &FilePath) -> Result<CallTrace, Failure> {
    let size = std::fs::metadata(path).map_err(|error| unusable(path, &error))?;
    if size.len() > MAX_FILE_BYTES {
        return Err(Failure::usage(format!(
            "{} has {} bytes, a trace at most {MAX_FILE_BYTES}",
            path.display(),
            size.len()
        )));
    }
    let bytes = std::fs::read(path).map_err(|error| unusable(path, &error))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Failure::usage(format!("{}: {error}", path.display()))
            .hint("a file that --write-trace wrote")
    })
}

fn unusable(path: &FilePath, error: &std::io::Error) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
}

/// Shortens a digest for a table.
pub(crate) fn short(digest: B256) -> String {
    let mut text = digest.to_string();
    text.truncate(12);
    text
}
