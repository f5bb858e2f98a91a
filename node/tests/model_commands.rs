//! The `assay model` commands as a new user meets them: exit codes, one line of what went wrong and
//! one of what to do, nothing half written.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use assay_runtime::bundle::Bundle;
use bytes::Bytes;
use tempfile::TempDir;

/// A folder of this test's own, removed at the end.
struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(TempDir::new().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_string_lossy().into_owned()
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        fs::write(self.path(name), bytes).expect("a file in it");
        self.path(name)
    }
}

/// Finds a model of the repository.
fn bundle() -> String {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../precompile/runtime/models");
    models
        .join("volatility.assay")
        .to_string_lossy()
        .into_owned()
}

/// Opens that model.
fn opened() -> Bundle {
    let bytes = Bytes::from(fs::read(bundle()).expect("the model is in the repository"));
    Bundle::read(bytes, 1 << 20).expect("it is a bundle")
}

/// Takes the graph out of that model.
fn graph() -> Bytes {
    opened().file("model.onnx").expect("with a graph").clone()
}

fn assay(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_assay"))
        .arg("model")
        .args(arguments)
        .output()
        .expect("the binary runs")
}

/// Runs a command that must work and returns what it printed.
fn works(arguments: &[&str]) -> String {
    let output = assay(arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

/// Runs a command that must fail with a code, one line of what and one of what to do.
fn fails(code: i32, word: &str, arguments: &[&str]) {
    let output = assay(arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
    assert!(output.stdout.is_empty(), "{arguments:?} printed an answer");
    let lines: Vec<&str> = errors.lines().collect();
    assert!(
        matches!(lines.as_slice(), [what, hint]
            if what.starts_with("error: ") && what.contains(word) && hint.starts_with("  try: ")),
        "{arguments:?}: {errors}"
    );
}

#[test]
fn good_input_answers_with_code_0() {
    let folder = Folder::new();
    let (bundle, onnx) = (bundle(), folder.file("graph.onnx", &graph()));
    assert!(works(&["check", &bundle]).contains("model id"));
    assert!(works(&["check", &onnx]).contains("features"));
    let packed = folder.path("again.assay");
    assert!(works(&["pack", &onnx, "-o", &packed]).contains("wrote"));
    assert!(works(&["check", &packed]).contains("schema hash"));
    let described = opened();
    let features = &described.manifest().schema.features;
    let names: Vec<&str> = features
        .iter()
        .map(|feature| feature.name.as_str())
        .collect();
    let row = vec!["0"; names.len()].join(",");
    let rows = format!("{}\n{row}\n{row}\n", names.join(","));
    let rows = folder.file("rows.csv", rows.as_bytes());
    let answer = works(&["run", &bundle, "--input", &rows]);
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(answer["rows"].as_array().map(Vec::len), Some(2), "{answer}");
    let bench = works(&["bench", &bundle, "--seconds", "0.05"]);
    assert!(!bench.is_empty());
    assert!(!works(&["selftest"]).is_empty());
}

#[test]
fn wrong_use_ends_with_code_2_and_says_what_to_do() {
    let folder = Folder::new();
    let bundle = bundle();
    for command in ["check", "bench"] {
        fails(2, "nowhere.onnx", &[command, "nowhere.onnx"]);
    }
    fails(2, "nowhere.onnx", &["pack", "nowhere.onnx"]);
    fails(
        2,
        "nowhere.csv",
        &["run", &bundle, "--input", "nowhere.csv"],
    );
    fails(2, "--seconds", &["bench", &bundle, "--seconds", "0"]);
    let rows = folder.file("rows.csv", b"one\n1\n");
    fails(2, "rows.csv", &["run", &bundle, "--input", &rows]);
    let json = folder.file("rows.json", b"{\"features\": [");
    fails(2, "rows.json", &["run", &bundle, "--input", &json]);
    let description = folder.file("description.json", b"{\"nmae\": 1}");
    let onnx = folder.file("graph.onnx", &graph());
    fails(2, "nmae", &["pack", &onnx, "--describe", &description]);
    // The parser's own refusals have its form.
    for arguments in [
        &["check"][..],
        &["run", &bundle],
        &["bench", &bundle, "--threads", "0"],
        &["selftest", "--bogus"],
        &["bogus"],
        &[],
    ] {
        assert_eq!(assay(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn models_that_fail_end_with_code_1_and_leave_nothing_behind() {
    let folder = Folder::new();
    let text = folder.file("text.onnx", b"this is no model");
    for command in ["check", "bench"] {
        fails(1, "text.onnx", &[command, &text]);
    }
    let target = folder.path("text.assay");
    fails(1, "text.onnx", &["pack", &text, "-o", &target]);
    assert!(!Path::new(&target).exists(), "a bundle was written");
    let whole = fs::read(bundle()).expect("the model is in the repository");
    let cut = folder.file("cut.assay", &whole[..whole.len() - 1]);
    fails(1, "cut.assay", &["check", &cut]);
    let mut changed = whole;
    if let Some(last) = changed.last_mut() {
        *last ^= 1;
    }
    let changed = folder.file("changed.assay", &changed);
    fails(1, "changed.assay", &["check", &changed]);
    let left: Vec<_> = fs::read_dir(folder.0.path()).expect("the folder").collect();
    assert_eq!(left.len(), 3, "{left:?}");
}
