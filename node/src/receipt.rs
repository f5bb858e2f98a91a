//! `assay receipt` and `assay verify`: a proof of an inference, fetched from a node and checked anywhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy_primitives::{B256, Bytes, U64, keccak256};
use assay_chain::Chain;
use assay_precompile::{Answers, Host, ModelSource, recompute::recompute, trace::CallTrace};
use assay_runtime::{Limits, bundle::Bundle, numerics::Engine};
use assay_state::Store;
use assay_types::{
    Domain, Genesis, InferenceReceipt, InferenceRecord, StateView as _, digest::set_hash,
    validators::set_at,
};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    bisect::{self, Compared, Traced, Traces},
    cli::{Failure, say},
    client::{Client, parse},
    file::write_whole,
    table::Table,
};

/// Largest receipt file that is read.
const MAX_FILE_BYTES: u64 = 64 << 20;

#[derive(Args)]
pub(crate) struct Fetch {
    /// Transaction that asked the model.
    transaction: B256,
    /// Which of the transaction's inferences, from 0.
    #[arg(long, default_value_t = 0)]
    call: u32,
    /// RPC address of a node.
    #[arg(long, default_value = "http://127.0.0.1:8545")]
    rpc: String,
    /// File to write.
    #[arg(long)]
    out: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct Verify {
    /// Receipt, as `assay receipt` writes it.
    receipt: PathBuf,
    /// Genesis of the network: its first validators are trusted.
    #[arg(long, conflicts_with = "set")]
    genesis: Option<PathBuf>,
    /// Hash of the validator set that is trusted at the receipt's height.
    #[arg(long)]
    set: Option<B256>,
    /// Bundle of the model: the inference is computed again and its bits compared.
    #[arg(long)]
    model: Option<PathBuf>,
    #[command(flatten)]
    traces: Traces,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A receipt with what it is about, in one file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    genesis_hash: B256,
    chain_id: U64,
    /// The receipt, in the encoding contracts take.
    receipt: Bytes,
    /// Bytes of the call, selector included.
    input: Bytes,
    /// Bytes of the answer.
    output: Bytes,
}

/// One thing that was looked at.
struct Finding {
    what: &'static str,
    verdict: Verdict,
    detail: String,
    /// What the operators say, where they were looked at.
    compared: Vec<Compared>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Holds,
    Fails,
    /// What is missing to look at it.
    NotChecked,
}

/// Fetches a receipt from a node.
pub(crate) fn fetch(args: &Fetch) -> Result<(), Failure> {
    let client = Client::new(&args.rpc)?;
    let params = json!([args.transaction, U64::from(args.call)]);
    let receipt = client.call("assay_getReceipt", params.clone())?;
    if receipt.is_null() {
        return Err(Failure::failed(format!(
            "transaction {} has no inference {}, or is not in a block yet",
            args.transaction, args.call
        ))
        .hint("assay_getInferences lists a transaction's"));
    }
    let bytes = client.call("assay_traceInference", params)?;
    let file = File {
        genesis_hash: parse(&receipt["genesisHash"], "genesis hash")?,
        chain_id: parse(&receipt["chainId"], "chain id")?,
        receipt: parse(&receipt["abi"], "receipt")?,
        input: parse(&bytes["input"], "input")?,
        output: parse(&bytes["output"], "output")?,
    };
    let text = serde_json::to_string_pretty(&file).map_err(Failure::failed)?;
    write_whole(&args.out, text.as_bytes()).map_err(|error| unusable(&args.out, &error))?;
    say(
        args.json,
        &json!({"file": args.out}),
        format!("wrote {}", args.out.display()),
    );
    Ok(())
}

/// Checks a receipt, and says what was checked and what was not.
pub(crate) fn verify(args: &Verify) -> Result<(), Failure> {
    let file: File = serde_json::from_slice(&read(&args.receipt)?)
        .map_err(|error| Failure::usage(format!("{}: {error}", args.receipt.display())))?;
    let receipt = InferenceReceipt::decode(&file.receipt)
        .map_err(|error| Failure::failed(format!("{}: {error}", args.receipt.display())))?;
    let mut findings = vec![signatures(args, &file, &receipt)?];
    let record = &receipt.record;
    findings.push(same("input", &file.input, record.input_hash));
    findings.push(same("output", &file.output, record.output_hash));
    findings.push(inference(args, &file, &receipt)?);
    let failed = findings.iter().find(|one| one.verdict == Verdict::Fails);
    if args.json {
        println!("{}", as_json(&receipt, &findings));
    } else {
        print_text(&receipt, &findings);
    }
    match failed {
        None => Ok(()),
        Some(finding) => Err(Failure::failed(format!(
            "{}: {}",
            finding.what, finding.detail
        ))),
    }
}

/// Checks the header's certificate and the record's place under it.
fn signatures(args: &Verify, file: &File, receipt: &InferenceReceipt) -> Result<Finding, Failure> {
    let what = "signatures";
    let mut domain = Domain {
        genesis_hash: file.genesis_hash,
        chain_id: file.chain_id.to(),
    };
    let own = set_hash(&receipt.decision.validators);
    let trusted = match (&args.genesis, args.set) {
        (Some(path), _) => {
            let (genesis, set) = founders(path)?;
            domain = genesis;
            Some(set)
        }
        (None, set) => set,
    };
    let proven = receipt.verify(&domain, trusted.unwrap_or(own));
    let (verdict, detail) = match (proven, trusted) {
        (Err(error), _) => (Verdict::Fails, error.to_string()),
        (Ok(proven), Some(_)) => (
            Verdict::Holds,
            format!(
                "{} of {} power of the trusted set signed block {} at height {}",
                proven.signed, proven.total, proven.block_hash, proven.height
            ),
        ),
        (Ok(proven), None) => (
            Verdict::NotChecked,
            format!(
                "{} of {} power of set {own} signed; whether that is the network's set: give --genesis or --set",
                proven.signed, proven.total
            ),
        ),
    };
    Ok(Finding::new(what, verdict, detail))
}

fn same(what: &'static str, bytes: &Bytes, recorded: B256) -> Finding {
    let got = keccak256(bytes);
    let (verdict, detail) = match got == recorded {
        true => (
            Verdict::Holds,
            format!("{} bytes hash to the record's {what} hash", bytes.len()),
        ),
        false => (
            Verdict::Fails,
            format!("hashes to {got}, the record has {recorded}"),
        ),
    };
    Finding::new(what, verdict, detail)
}

/// Computes the inference again, when its model is given.
fn inference(args: &Verify, file: &File, receipt: &InferenceReceipt) -> Result<Finding, Failure> {
    let what = "inference";
    let id = receipt.record.model_id;
    let Some(path) = &args.model else {
        let detail = format!("give --model with the bundle of {id}");
        return Ok(Finding::new(what, Verdict::NotChecked, detail));
    };
    let bytes = bytes::Bytes::from(read(path)?);
    // A changed bundle is refused here: the error names the file whose hash is wrong.
    let bundle = Bundle::read(bytes.clone(), bytes.len() as u64)
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    let found = bundle.model_id().0;
    if found != id {
        let detail = format!(
            "{} is model {found}, the receipt is of {id}",
            path.display()
        );
        return Ok(Finding::new(what, Verdict::Fails, detail));
    }
    let source = Box::new(One { id, bytes });
    let host = Host::new(source, Limits::default(), Engine::single());
    recomputed(&args.traces, &Auditor(&host), file, &receipt.record)
}

/// Computes an inference again and compares its bits with the record's.
fn recomputed(
    traces: &Traces,
    auditor: &Auditor<'_>,
    file: &File,
    record: &InferenceRecord,
) -> Result<Finding, Failure> {
    let what = "inference";
    // Gas is no part of the output, and whoever checks pays.
    let output = match recompute(auditor.0, &file.input, u64::MAX) {
        Ok(output) => output,
        Err(error) => return Ok(Finding::new(what, Verdict::Fails, error.to_string())),
    };
    let (verdict, detail) = match keccak256(&output) == record.output_hash {
        true => (
            Verdict::Holds,
            "computed here: the same bits as the answer".to_owned(),
        ),
        false => (
            Verdict::Fails,
            format!(
                "computed here: {} bytes that differ from the answer at byte {}; check this machine with `assay model selftest`",
                output.len(),
                first_difference(&output, &file.output)
            ),
        ),
    };
    let mut finding = Finding::new(what, verdict, detail);
    if verdict == Verdict::Fails || traces.wanted() {
        finding.compared = traces.compare(auditor, &file.input)?;
    }
    Ok(finding)
}

/// Who computes the inference again: a host here.
struct Auditor<'a>(&'a dyn Answers);

impl Traced for Auditor<'_> {
    fn trace(&self, path: assay_runtime::Path, input: &Bytes) -> Result<CallTrace, Failure> {
        bisect::of_models(self.0, path, input)
    }
}

fn first_difference(one: &[u8], other: &[u8]) -> usize {
    let same = one
        .iter()
        .zip(other)
        .take_while(|(one, other)| one == other);
    same.count()
}

/// The one bundle an auditor has.
struct One {
    id: B256,
    bytes: bytes::Bytes,
}

impl ModelSource for One {
    fn bundle(&self, model: B256) -> std::io::Result<Option<bytes::Bytes>> {
        Ok((model == self.id).then(|| self.bytes.clone()))
    }
}

/// Finds a network's name and its first validators in its genesis.
fn founders(path: &Path) -> Result<(Domain, B256), Failure> {
    let text = String::from_utf8(read(path)?)
        .map_err(|_| Failure::usage(format!("{}: not text", path.display())))?;
    let at =
        |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", path.display()));
    let genesis = Genesis::from_json(&text).map_err(|error| at(&error))?;
    let store = Store::in_memory().map_err(|error| at(&error))?;
    let chain = Arc::new(Chain::open(&genesis, store).map_err(|error| at(&error))?);
    let reader = chain.reader().map_err(|error| at(&error))?;
    let params = genesis.spec.assay.as_ref();
    let params = params.ok_or_else(|| at(&"no section config.assay"))?;
    let state = reader.state(0).map_err(|error| at(&error))?;
    let mut set =
        set_at(1, |slot| state.storage(params.validator_set, slot)).map_err(|error| at(&error))?;
    set.sort_by_key(|one| one.account);
    let domain = Domain {
        genesis_hash: reader
            .hash(0)
            .map_err(|error| at(&error))?
            .unwrap_or_default(),
        chain_id: genesis.spec.chain_id,
    };
    Ok((domain, set_hash(&set)))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let size = std::fs::metadata(path)
        .map_err(|error| unusable(path, &error))?
        .len();
    // A bundle is as large as its model; a receipt never comes near this.
    if path.extension().is_some_and(|kind| kind == "json") && size > MAX_FILE_BYTES {
        return Err(Failure::usage(format!(
            "{} has {size} bytes, at most {MAX_FILE_BYTES}",
            path.display()
        )));
    }
    std::fs::read(path).map_err(|error| unusable(path, &error))
}

fn as_json(receipt: &InferenceReceipt, findings: &[Finding]) -> Value {
    let findings: Vec<Value> = findings.iter().map(Finding::json).collect();
    json!({
        "model": receipt.record.model_id,
        "caller": receipt.record.caller,
        "reverted": receipt.record.reverted,
        "findings": findings,
    })
}

fn print_text(receipt: &InferenceReceipt, findings: &[Finding]) {
    let record = &receipt.record;
    println!("model   {}", record.model_id);
    println!("caller  {}", record.caller);
    if record.reverted {
        println!("the call's transaction reverted later: nothing came of the answer");
    }
    let mut table = Table::new(&["what", "verdict", "detail"]);
    for one in findings {
        table.row([
            one.what.to_owned(),
            one.verdict.word().to_owned(),
            one.detail.clone(),
        ]);
    }
    print!("{}", table.render());
    for one in findings.iter().flat_map(|finding| &finding.compared) {
        println!("{}", one.text());
    }
}

impl Finding {
    const fn new(what: &'static str, verdict: Verdict, detail: String) -> Self {
        Self {
            what,
            verdict,
            detail,
            compared: Vec::new(),
        }
    }

    /// Shows the finding to programs.
    fn json(&self) -> Value {
        let mut json =
            json!({"what": self.what, "verdict": self.verdict.word(), "detail": self.detail});
        if !self.compared.is_empty() {
            json["compared"] = self.compared.iter().map(Compared::json).collect();
        }
        json
    }
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Fails => "FAILS",
            Self::NotChecked => "not checked",
        }
    }
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
