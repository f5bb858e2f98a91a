//! Audits of an inference on honest and on faulty machines.

use alloy_primitives::{Address, I256};
use alloy_sol_types::SolCall as _;
use assay_precompile::{HostFault, abi::IInference, host::Answer};
use assay_runtime::{Tensor, bundle::HEADER_BYTES, published::Published};
use clap::Parser as _;
use tempfile::TempDir;

use super::*;

const VOLATILITY: &[u8] = include_bytes!("../../../precompile/runtime/models/volatility.assay");

/// The command's options, as a user gives them.
#[derive(clap::Parser)]
struct Flags {
    #[command(flatten)]
    traces: Traces,
}

fn traces(flags: &[&str]) -> Traces {
    let flags = [&["verify"], flags].concat();
    Flags::try_parse_from(flags).unwrap().traces
}

fn bundle() -> Bundle {
    Bundle::read(VOLATILITY.into(), u64::MAX).unwrap()
}

fn honest() -> Host {
    let source = One {
        id: bundle().model_id().0,
        bytes: VOLATILITY.into(),
    };
    Host::new(Box::new(source), Limits::default(), Engine::single())
}

/// A machine on which one bit of the model's weights in memory is wrong.
struct Faulty {
    honest: Host,
    altered: Arc<Published>,
}

impl Faulty {
    /// Flips bits of the graph's file until one changes the answer and nothing else.
    fn of(file: &File) -> Self {
        let bundle = bundle();
        let names = bundle.manifest().files.iter();
        let graph = names
            .map(|file| file.name.clone())
            .find(|name| name.ends_with(".onnx"));
        let graph = graph.unwrap();
        let size = bundle.file(&graph).unwrap().len();
        for at in 0..size {
            let files = bundle.manifest().files.iter().map(|one| {
                let mut bytes = bundle.file(&one.name).unwrap().to_vec();
                if one.name == graph {
                    bytes[at] ^= 1;
                }
                (one.name.clone(), bytes.into())
            });
            let Ok(altered) = Bundle::pack(bundle.manifest().clone(), files.collect()) else {
                continue;
            };
            let Ok(altered) = Published::open(altered, &Limits::default()) else {
                continue;
            };
            let faulty = Self {
                honest: honest(),
                altered: Arc::new(altered),
            };
            let answer = recompute(&faulty, &file.input, u64::MAX);
            if answer.is_ok_and(|answer| answer != file.output) {
                return faulty;
            }
        }
        panic!("no bit of {graph} changes the answer");
    }
}

impl Answers for Faulty {
    fn model(&self, _: B256) -> Result<Arc<Published>, HostFault> {
        Ok(Arc::clone(&self.altered))
    }

    fn infer(&self, published: &Published, inputs: &[Tensor]) -> Answer {
        self.honest.infer(published, inputs)
    }
}

/// An audit on a machine whose chosen path is faulty and whose portable path is not.
struct Torn<'a> {
    faulty: &'a Faulty,
}

impl Traced for Torn<'_> {
    fn trace(&self, path: assay_runtime::Path, input: &Bytes) -> Result<CallTrace, Failure> {
        match path {
            assay_runtime::Path::Chosen => bisect::of_models(self.faulty, path, input),
            assay_runtime::Path::Portable => bisect::of_models(&self.faulty.honest, path, input),
        }
    }
}

/// A call of the model with its answer, and what a chain records of it.
fn asked() -> (File, InferenceRecord) {
    let features = [21_000, 19_000, 17_000, -12_000, 9_000_i64];
    let call = IInference::predictCall {
        model: bundle().model_id().0,
        features: features.map(|f| I256::try_from(f).unwrap()).to_vec(),
    };
    let input = Bytes::from(call.abi_encode());
    let output = recompute(&honest(), &input, u64::MAX).unwrap();
    let record = InferenceRecord {
        transaction_index: 0,
        call_index: 0,
        caller: Address::ZERO,
        model_id: call.model,
        method: IInference::predictCall::SELECTOR,
        input_hash: keccak256(&input),
        output_hash: keccak256(&output),
        gas: 1,
        reverted: false,
    };
    let file = File {
        genesis_hash: B256::ZERO,
        chain_id: U64::from(1),
        receipt: Bytes::new(),
        input,
        output,
    };
    (file, record)
}

fn text(finding: &Finding) -> String {
    let texts: Vec<String> = finding.compared.iter().map(Compared::text).collect();
    texts.join("\n")
}

#[test]
fn honest_machine_agrees_and_its_paths_do() {
    let (file, record) = asked();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("trace.json");
    let write = traces(&["--write-trace", path.to_str().unwrap()]);
    let host = honest();
    let finding = recomputed(&write, &Auditor(&host), &file, &record).unwrap();
    assert!(finding.verdict == Verdict::Holds);
    let read = traces(&["--trace", path.to_str().unwrap()]);
    let finding = recomputed(&read, &Auditor(&host), &file, &record).unwrap();
    assert_eq!(finding.compared.len(), 2);
    assert_eq!(
        text(&finding).matches("no operator of").count(),
        2,
        "{}",
        text(&finding)
    );
    let finding = recomputed(&Traces::default(), &Auditor(&host), &file, &record).unwrap();
    assert!(finding.compared.is_empty());
}

#[test]
fn faulty_machine_is_told_which_operator_differs_from_an_honest_trace() {
    let (file, record) = asked();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("trace.json");
    let write = traces(&["--write-trace", path.to_str().unwrap()]);
    recomputed(&write, &Auditor(&honest()), &file, &record).unwrap();
    let faulty = Faulty::of(&file);
    let read = traces(&["--trace", path.to_str().unwrap()]);
    let finding = recomputed(&read, &Auditor(&faulty), &file, &record).unwrap();
    assert!(finding.verdict == Verdict::Fails);
    // The same wrong weight is read on both paths of this machine.
    assert!(
        text(&finding).starts_with("no operator of"),
        "{}",
        text(&finding)
    );
    let found = &finding.compared[1].json()["differs"];
    assert!(
        found["op"].is_string() && found["opset"].is_i64(),
        "{found}"
    );
    assert_ne!(found["here"], found["there"]);
}

#[test]
fn path_that_is_faulty_alone_is_told_by_the_other() {
    let (file, _) = asked();
    let faulty = Faulty::of(&file);
    let torn = Torn { faulty: &faulty };
    let compared = Traces::default().compare(&torn, &file.input).unwrap();
    let text = compared[0].text();
    assert!(
        text.starts_with("first differs from this binary's portable path at operator"),
        "{text}"
    );
}

#[test]
fn one_altered_digest_of_a_trace_names_its_operator() {
    let (file, record) = asked();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("trace.json");
    let flags = ["--write-trace", path.to_str().unwrap()];
    let host = honest();
    recomputed(&traces(&flags), &Auditor(&host), &file, &record).unwrap();
    let trace: CallTrace = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for at in 0..trace.operators.len() {
        let mut altered = trace.clone();
        altered.operators[at].outputs[0].0[31] ^= 1;
        std::fs::write(&path, serde_json::to_vec(&altered).unwrap()).unwrap();
        let read = traces(&["--trace", path.to_str().unwrap()]);
        let finding = recomputed(&read, &Auditor(&host), &file, &record).unwrap();
        let found = &finding.compared[1].json()["differs"];
        let operator = &trace.operators[at];
        assert_eq!(found["index"], operator.index);
        assert_eq!(found["name"], operator.name);
        assert_eq!(
            (&found["op"], &found["opset"]),
            (&json!(operator.op), &json!(operator.opset))
        );
    }
}

#[test]
fn trace_of_another_call_is_not_compared() {
    let (file, record) = asked();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("trace.json");
    let host = honest();
    let flags = ["--write-trace", path.to_str().unwrap()];
    recomputed(&traces(&flags), &Auditor(&host), &file, &record).unwrap();
    let mut other = file;
    let mut input = other.input.to_vec();
    *input.last_mut().unwrap() ^= 1;
    other.input = input.into();
    let read = traces(&["--trace", path.to_str().unwrap()]);
    let finding = recomputed(&read, &Auditor(&host), &other, &record).unwrap();
    assert!(
        text(&finding).contains("the trace is of another call"),
        "{}",
        text(&finding)
    );
}

#[test]
fn flipped_weight_bit_in_the_bundle_names_the_file() {
    let mut bytes = VOLATILITY.to_vec();
    let last = bytes.len() - 1;
    let names: Vec<String> = bundle()
        .manifest()
        .files
        .iter()
        .map(|f| f.name.clone())
        .collect();
    let first = HEADER_BYTES + bundle().manifest_bytes().len();
    for (at, name) in [(first, names.first()), (last, names.last())] {
        bytes[at] ^= 1;
        let error = Bundle::read(bytes.clone().into(), u64::MAX).unwrap_err();
        bytes[at] ^= 1;
        let text = error.to_string();
        assert!(
            text.contains(&format!("file {:?} has BLAKE3", name.unwrap())),
            "{text}"
        );
    }
}
