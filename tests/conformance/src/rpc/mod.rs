//! RPC tests: request and answer files replayed against a node that imported their chain.
//!
//! Compared as hive does: deep equality of results, equal codes of errors; the words of an error
//! are free. A file marked `speconly` pins the form of an answer alone.

mod form;
pub mod page;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use assay_chain::Chain;
use assay_pool::Pool;
use assay_rpc::{Backend, CallLimits, RpcError};
use assay_state::Store;
use assay_types::Genesis;
use eyre::{OptionExt as _, Result, WrapErr as _, bail};
use serde_json::Value;

use crate::Report;

/// What became of the files of a folder.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Files whose answers are equal to the last character.
    pub equal: usize,
    /// Files that pin only the form of an answer, and whose answers have it: hive compares no more.
    pub formed: Vec<String>,
    /// Files that failed, with the first difference.
    pub failed: BTreeMap<String, String>,
}

impl Replayed {
    /// Counts all files.
    #[must_use]
    pub fn total(&self) -> usize {
        self.equal + self.formed.len() + self.failed.len()
    }

    /// Sums up for a run that prints counts alone.
    #[must_use]
    pub fn report(&self) -> Report {
        Report {
            passed: self.equal + self.formed.len(),
            skipped: 0,
            failed: self.failed.clone().into_iter().collect(),
        }
    }
}

/// Replays every `.io` file under a folder that holds `genesis.json` and `chain.rlp`.
///
/// # Errors
/// When the folder cannot be read or its chain does not import.
pub fn run_folder(folder: &Path) -> Result<Replayed> {
    let backend = node(folder)?;
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            for file in std::fs::read_dir(&path)? {
                let file = file?.path();
                if file.extension().is_some_and(|extension| extension == "io") {
                    let name = file.strip_prefix(folder)?.display().to_string();
                    files.insert(name, file);
                }
            }
        }
    }
    let mut replayed = Replayed::default();
    for (name, file) in files {
        let text = std::fs::read_to_string(&file).wrap_err_with(|| name.clone())?;
        match replay(&backend, &text) {
            Ok(Match::Equal) => replayed.equal += 1,
            Ok(Match::Formed) => replayed.formed.push(name),
            Err(error) => {
                replayed.failed.insert(name, format!("{error:#}"));
            }
        }
    }
    Ok(replayed)
}

fn node(folder: &Path) -> Result<Backend> {
    let genesis = std::fs::read_to_string(folder.join("genesis.json"))?;
    let chain = Chain::open(&Genesis::from_json(&genesis)?, Store::in_memory()?)?;
    let rlp = std::fs::read(folder.join("chain.rlp"))?;
    let mut rest: &[u8] = &rlp;
    while !rest.is_empty() {
        chain.import(&mut rest)?;
    }
    Ok(Backend::new(
        Arc::new(chain),
        Arc::new(Pool::default()),
        CallLimits::default(),
    ))
}

/// How an answer agrees with the one on file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    Equal,
    Formed,
}

fn replay(backend: &Backend, text: &str) -> Result<Match> {
    // Such a file pins the form of the answer, not its content.
    let form_only = text.lines().any(|line| line.starts_with("// speconly:"));
    let mut request: Option<Value> = None;
    let mut matched = Match::Equal;
    for line in text.lines() {
        if let Some(sent) = line.strip_prefix(">> ") {
            request = Some(serde_json::from_str(sent)?);
        } else if let Some(wanted) = line.strip_prefix("<< ") {
            let request = request.take().ok_or_eyre("answer without a request")?;
            if compare(backend, &request, &serde_json::from_str(wanted)?, form_only)?
                == Match::Formed
            {
                matched = Match::Formed;
            }
        }
    }
    Ok(matched)
}

fn compare(backend: &Backend, request: &Value, wanted: &Value, form_only: bool) -> Result<Match> {
    let method = request
        .get("method")
        .and_then(Value::as_str)
        .ok_or_eyre("no method")?;
    let got = backend.call(method, request.get("params").cloned());
    match (got, wanted.get("error"), wanted.get("result")) {
        (Ok(got), None, Some(wanted)) => {
            // As it comes over the wire: what is read on both sides is read in the same way.
            let got: Value = serde_json::from_str(&got.to_string())?;
            match difference("result", &got, wanted) {
                None => Ok(Match::Equal),
                Some(_) if form_only => match form::difference("result", &got, wanted) {
                    None => Ok(Match::Formed),
                    Some(difference) => bail!(difference),
                },
                Some(difference) => bail!(difference),
            }
        }
        (Err(error), Some(wanted), _) => {
            compare_errors(&error, wanted)?;
            Ok(Match::Equal)
        }
        (Ok(got), Some(wanted), _) => bail!("answered {}, should be error {wanted}", short(&got)),
        (Err(error), ..) => bail!("error {} ({})", error.code, error.message),
        (Ok(_), None, None) => bail!("fixture has neither result nor error"),
    }
}

fn compare_errors(error: &RpcError, wanted: &Value) -> Result<()> {
    let code = wanted.get("code").and_then(Value::as_i64);
    if code != Some(error.code.into()) {
        let (code, message) = (error.code, &error.message);
        bail!("error {code} ({message}), should be {wanted}");
    }
    match wanted.get("data") {
        Some(data) if error.data.as_ref() != Some(data) => {
            bail!("error data {:?}, should be {data}", error.data)
        }
        _ => Ok(()),
    }
}

/// Names the first place where two values differ.
fn difference(path: &str, got: &Value, wanted: &Value) -> Option<String> {
    match (got, wanted) {
        (Value::Object(got), Value::Object(wanted)) => {
            let surplus = got.keys().find(|key| !wanted.contains_key(*key));
            if let Some(key) = surplus {
                return Some(format!("{path}.{key} should not be there"));
            }
            wanted.iter().find_map(|(key, wanted)| match got.get(key) {
                Some(got) => difference(&format!("{path}.{key}"), got, wanted),
                None => Some(format!(
                    "{path}.{key} is missing, should be {}",
                    short(wanted)
                )),
            })
        }
        (Value::Array(got), Value::Array(wanted)) if got.len() == wanted.len() => got
            .iter()
            .zip(wanted)
            .enumerate()
            .find_map(|(i, (got, wanted))| difference(&format!("{path}[{i}]"), got, wanted)),
        _ if got == wanted => None,
        _ => Some(format!(
            "{path} is {}, should be {}",
            short(got),
            short(wanted)
        )),
    }
}

pub(crate) fn short(value: &Value) -> String {
    const LONGEST: usize = 120;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
