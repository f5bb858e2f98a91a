//! RPC tests: request and answer files replayed against a node that imported their chain.
//!
//! Compared as hive does: deep equality of results, equal codes of errors; the words of an error
//! are free.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use assay_chain::Chain;
use assay_pool::Pool;
use assay_rpc::{Backend, CallLimits};
use assay_state::Store;
use assay_types::Genesis;
use eyre::{OptionExt as _, Result, WrapErr as _, bail};
use serde_json::Value;

use crate::Report;

/// Replays every `.io` file under a folder that holds `genesis.json` and `chain.rlp`.
///
/// # Errors
/// When the folder cannot be read or its chain does not import.
pub fn run_folder(folder: &Path) -> Result<Report> {
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
    let mut report = Report::default();
    for (name, file) in files {
        let text = std::fs::read_to_string(&file).wrap_err_with(|| name.clone())?;
        match replay(&backend, &text) {
            Ok(()) => report.passed += 1,
            Err(error) => report.failed.push((name, format!("{error:#}"))),
        }
    }
    Ok(report)
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

fn replay(backend: &Backend, text: &str) -> Result<()> {
    let mut request: Option<Value> = None;
    for line in text.lines() {
        if let Some(sent) = line.strip_prefix(">> ") {
            request = Some(serde_json::from_str(sent)?);
        } else if let Some(wanted) = line.strip_prefix("<< ") {
            let request = request.take().ok_or_eyre("answer without a request")?;
            compare(backend, &request, &serde_json::from_str(wanted)?)?;
        }
    }
    Ok(())
}

fn compare(backend: &Backend, request: &Value, wanted: &Value) -> Result<()> {
    let method = request
        .get("method")
        .and_then(Value::as_str)
        .ok_or_eyre("no method")?;
    let got = backend.call(method, request.get("params").cloned());
    match (got, wanted.get("error"), wanted.get("result")) {
        (Ok(got), None, Some(wanted)) => match difference("result", &got, wanted) {
            Some(difference) => bail!(difference),
            None => Ok(()),
        },
        (Err(error), Some(wanted), _) => {
            let code = wanted.get("code").and_then(Value::as_i64);
            if code != Some(error.code.into()) {
                bail!(
                    "error {} ({}), should be {wanted}",
                    error.code,
                    error.message
                );
            }
            match wanted.get("data") {
                Some(data) if error.data.as_ref() != Some(data) => {
                    bail!("error data {:?}, should be {data}", error.data)
                }
                _ => Ok(()),
            }
        }
        (Ok(got), Some(wanted), _) => bail!("answered {}, should be error {wanted}", short(&got)),
        (Err(error), ..) => bail!("error {} ({})", error.code, error.message),
        (Ok(_), None, None) => bail!("fixture has neither result nor error"),
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

fn short(value: &Value) -> String {
    const LONGEST: usize = 120;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
