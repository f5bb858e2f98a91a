//! The program itself: a chain is started, a model published and asked, the process killed, the
//! chain goes on.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use alloy_primitives::{B256, Bytes, I256, U256, address};
use alloy_sol_types::SolCall as _;
use assay_precompile::{abi::IInference::predictCall, registry::Record};
use assay_runtime::bundle::Bundle;
use assay_state::Store;
use assay_types::{AssayParams, StateView as _};
use serde_json::{Value, json};

const VOLATILITY: &[u8] = include_bytes!("../../precompile/runtime/models/volatility.assay");
const ROWS: &str = r#"[[0.021, 0.019, 0.017, -0.012, 0.009], [0.03, 0.03, 0.03, 0.01, 0.01]]"#;

/// A node that is killed when the test is done with it.
struct Node {
    process: Child,
    url: String,
    _screen: BufReader<ChildStdout>,
}

impl Node {
    fn start(options: &[&str]) -> Self {
        let mut process = assay(&["dev", "--port", "0"])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut screen = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert_ne!(
                screen.read_line(&mut line).unwrap(),
                0,
                "the node did not start"
            );
            if let Some(address) = line.trim().strip_prefix("Listening on ") {
                break address.to_owned();
            }
        };
        Self {
            process,
            url: format!("http://{address}"),
            _screen: screen,
        }
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn assay(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    assay(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    let streams = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(streams).unwrap()
}

/// Writes the example model under another name and for the first developer account.
fn write_bundle(path: &Path) {
    let example = Bundle::read(VOLATILITY.into(), u64::MAX).unwrap();
    let mut manifest = example.manifest().clone();
    manifest.publisher = address!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
    manifest.name = "fresh".to_owned();
    let files = manifest.files.iter().map(|file| {
        let bytes = example.file(&file.name).unwrap().clone();
        (file.name.clone(), bytes)
    });
    let bundle = Bundle::pack(manifest.clone(), files.collect()).unwrap();
    bundle
        .write_to(&mut std::fs::File::create(path).unwrap())
        .unwrap();
}

#[test]
fn published_model_answers_like_its_file_and_outlives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let (bundle, rows) = (
        folder.path().join("fresh.assay"),
        folder.path().join("rows.json"),
    );
    write_bundle(&bundle);
    std::fs::write(&rows, ROWS).unwrap();
    let (bundle, rows) = (bundle.to_str().unwrap(), rows.to_str().unwrap());
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();

    let mut node = Node::start(&["--datadir", data, "--accounts", "3"]);
    let publish = [
        "model", "publish", bundle, "--name", "me/fresh", "--rpc", &node.url,
    ];
    let published = run(&publish);
    assert!(published.status.success(), "{}", said(&published));
    assert!(
        said(&published).contains("cast call"),
        "{}",
        said(&published)
    );
    let again = run(&["model", "publish", bundle, "--rpc", &node.url]);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        said(&again).contains("already registered and active"),
        "{}",
        said(&again)
    );
    let taken = run(&["model", "du", "--rpc", &node.url, "--json"]);
    let taken: Value = serde_json::from_slice(&taken.stdout).unwrap();
    let models = taken["models"].as_array().unwrap();
    let fresh = models.iter().find(|one| one["name"] == "fresh").unwrap();
    assert_eq!(
        (&fresh["status"], &fresh["held"]),
        (&"active".into(), &true.into())
    );
    let of_active = |one: &Value| {
        let hex = one["size"].as_str().unwrap().trim_start_matches("0x");
        u64::from_str_radix(hex, 16).unwrap()
    };
    let sum: u64 = models.iter().map(of_active).sum();
    assert_eq!(taken["activeBytes"], sum);
    assert!(taken["heldBytes"].as_u64().unwrap() > sum, "{taken}");
    let local = run(&["model", "run", bundle, "--input", rows]);
    assert!(local.status.success(), "{}", said(&local));
    for name in [bundle, "me/fresh", "fresh"] {
        let remote = run(&["infer", name, "--input", rows, "--rpc", &node.url]);
        assert_eq!(said(&remote), said(&local), "{name}");
    }

    node.kill();
    let node = Node::start(&["--datadir", data]);
    let remote = run(&["infer", "me/fresh", "--input", rows, "--rpc", &node.url]);
    assert_eq!(said(&remote), said(&local));
    drop(node);
    let other = run(&["dev", "--port", "0", "--datadir", data, "--accounts", "4"]);
    assert_eq!(other.status.code(), Some(2));
    assert!(
        said(&other).contains("made with --accounts 3, not 4"),
        "{}",
        said(&other)
    );

    let state = folder.path().join("state.json");
    let state = state.to_str().unwrap();
    let exported = run(&["node", "export", "--datadir", data, "--state", state]);
    assert!(exported.status.success(), "{}", said(&exported));
    let lost = run(&["dev", "--port", "0", "--load-state", state]);
    assert!(
        said(&lost).contains("its bytes are not here"),
        "{}",
        said(&lost)
    );
    let node = Node::start(&["--load-state", state, "--model", bundle]);
    let remote = run(&["infer", "me/fresh", "--input", rows, "--rpc", &node.url]);
    assert_eq!(said(&remote), said(&local));
}

/// Calls a method of a node's.
fn ask(node: &Node, method: &str, params: Value) -> Value {
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let mut answer = ureq::post(&node.url)
        .header("content-type", "application/json")
        .send(request.to_string())
        .unwrap();
    let answer = answer.body_mut().read_to_string().unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    answer["result"].clone()
}

#[test]
fn transaction_is_replayed_from_a_running_node_and_from_a_stopped_one_s_files() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    let trace = folder.path().join("trace.json");
    let trace = trace.to_str().unwrap();
    let mut node = Node::start(&["--datadir", data]);
    let id = Bundle::read(VOLATILITY.into(), u64::MAX)
        .unwrap()
        .model_id()
        .0;
    let features = [21_000, 19_000, 17_000, -12_000, 9_000_i64];
    let features = features.map(|f| I256::try_from(f).unwrap()).to_vec();
    let input = predictCall {
        model: id,
        features,
    }
    .abi_encode();
    let from = address!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
    let to = address!("0x0000000000000000000000000000000000000a11");
    let call = json!([{"from": from, "to": to, "input": Bytes::from(input)}]);
    let sent = ask(&node, "eth_sendTransaction", call);
    let hash = sent.as_str().unwrap();

    let live = run(&["replay", hash, "--rpc", &node.url, "--write-trace", trace]);
    assert!(live.status.success(), "{}", said(&live));
    assert!(said(&live).contains("volatility@1"), "{}", said(&live));
    assert!(
        said(&live).contains("inference records are the header's"),
        "{}",
        said(&live)
    );
    node.kill();
    let replay = |more: &[&str]| run(&[&["replay", hash, "--datadir", data][..], more].concat());
    let stopped = replay(&["--trace", trace]);
    assert!(stopped.status.success(), "{}", said(&stopped));
    assert_eq!(
        said(&stopped).matches("no operator of").count(),
        2,
        "{}",
        said(&stopped)
    );

    // A trace one digest of which is another machine's.
    let mut altered: Value = serde_json::from_slice(&std::fs::read(trace).unwrap()).unwrap();
    altered["operators"][1]["outputs"][0] = json!(B256::repeat_byte(1));
    std::fs::write(trace, altered.to_string()).unwrap();
    let told = said(&replay(&["--trace", trace]));
    let operator = &altered["operators"][1];
    let name = format!(
        "at operator {} {}: {}, opset {}, output 0",
        operator["index"],
        operator["name"],
        operator["op"].as_str().unwrap(),
        operator["opset"]
    );
    assert!(told.contains(&name), "{told}");
    let json: Value = serde_json::from_slice(&replay(&["--json"]).stdout).unwrap();
    assert_eq!(json["inferences"][0]["same"], true);
    let nowhere = run(&["replay", "1", "--datadir", "/nonexistent"]);
    assert!(
        said(&nowhere).contains("a node that is stopped"),
        "{}",
        said(&nowhere)
    );

    // Files in which the model is another size: the first touch has another price than recorded.
    let data_folder = folder.path().join("data");
    damage_size(&data_folder, id, |size| size + (1 << 20));
    let dearer = replay(&[]);
    assert_eq!(dearer.status.code(), Some(1), "{}", said(&dearer));
    let told = said(&dearer);
    assert!(
        told.contains("0 inferences were executed, 1 are recorded"),
        "{told}"
    );
    damage_size(&data_folder, id, |size| size - (1 << 20) - 1_024);
    let cheaper = replay(&[]);
    assert_eq!(cheaper.status.code(), Some(1), "{}", said(&cheaper));
    let told = said(&cheaper);
    assert!(told.contains("DIFFERS"), "{told}");
    assert!(
        told.contains("inference 0 is not what its record says"),
        "{told}"
    );
    assert!(!told.contains("records are the header's"), "{told}");
    // The bits are right, so the two paths agree: the fault is not in the arithmetic.
    assert!(told.contains("no operator of"), "{told}");
    let json: Value = serde_json::from_slice(&replay(&["--json"]).stdout).unwrap();
    let inference = &json["inferences"][0];
    assert_eq!(inference["same"], false);
    assert_eq!(inference["outputHash"], inference["stored"]["outputHash"]);
    assert_ne!(inference["gas"], inference["stored"]["gas"]);
    assert!(json["header"].is_string(), "{json}");
}

/// Overwrites the size that the registry states of a model (contracts/STORAGE.md: bits 80 to 143).
fn damage_size(data: &Path, model: B256, change: impl Fn(u64) -> u64) {
    let store = Store::open(data).unwrap();
    let registry = AssayParams::default().model_registry;
    let reader = store.reader().unwrap();
    let state = reader.state(reader.tip()).unwrap();
    let word = state.storage(registry, Record::key(model)).unwrap();
    let size = Record::decode(word).size_bytes;
    let other = word - (U256::from(size) << 80) + (U256::from(change(size)) << 80);
    assert_eq!(Record::decode(other).size_bytes, change(size));
    store.damage(registry, Record::key(model), other).unwrap();
}

#[test]
fn refusals_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("fresh.assay");
    write_bundle(&bundle);
    let bundle = bundle.to_str().unwrap();
    let unreachable = run(&["model", "publish", bundle, "--rpc", "http://127.0.0.1:1"]);
    assert!(
        said(&unreachable).contains("cannot reach"),
        "{}",
        said(&unreachable)
    );
    let forked = run(&["dev", "--fork-url", "http://127.0.0.1:1"]);
    assert_eq!(forked.status.code(), Some(2));
    let node = Node::start(&["--accounts", "1"]);
    let key = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
    let wrong = run(&["model", "publish", bundle, "--key", key, "--rpc", &node.url]);
    assert!(said(&wrong).contains("wrong publisher"), "{}", said(&wrong));
    let key = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    let signed = run(&["model", "publish", bundle, "--key", key, "--rpc", &node.url]);
    assert!(signed.status.success(), "{}", said(&signed));
}
