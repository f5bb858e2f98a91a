//! What an operator gets wrong before a node runs: each mistake is one line that names it, one that
//! says what to do, and exit code 1 before anything is written or voted.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Command, Output},
};

use tempfile::TempDir;

fn assay(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_assay");
    Command::new(program).args(arguments).output().unwrap()
}

/// A node of a network of one, ready to run.
struct Node {
    home: TempDir,
}

impl Node {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let node = Self { home };
        node.prepare("net");
        node
    }

    fn prepare(&self, network: &str) {
        let folder = self.home.path().join(network);
        let folder = folder.to_str().unwrap();
        let done = assay(&[
            "localnet",
            "--prepare",
            "--validators",
            "1",
            "--dir",
            folder,
        ]);
        assert!(done.status.success(), "{done:?}");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join("net/node-0").join(name)
    }

    fn config(&self) -> String {
        fs::read_to_string(self.path("config.toml")).unwrap()
    }

    /// Runs the node with a changed configuration, which it must refuse, and returns what it says.
    fn refused(&self, config: &str, subject: &str) -> String {
        let path = self.path("wrong.toml");
        fs::write(&path, config).unwrap();
        let path = path.to_str().unwrap();
        let output = assay(&[
            "node",
            "run",
            "--skip-doctor",
            "--examples",
            "--config",
            path,
        ]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{subject}: {said}");
        let lines = |start: &str| said.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!(lines("error: "), 1, "{subject}: {said}");
        assert_eq!(lines("  try: "), 1, "{subject}: {said}");
        said
    }

    fn refused_with(&self, from: &str, to: &str, found: &str, remedy: &str) {
        let config = self.config();
        assert!(config.contains(from), "{config}");
        let said = self.refused(&config.replace(from, to), to);
        assert!(
            said.contains(found) && said.contains(remedy),
            "{to}: {said}"
        );
    }
}

#[test]
fn file_that_is_missing_or_wrong_is_named_with_the_remedy() {
    let node = Node::new();
    let genesis = "../genesis.json";
    node.refused_with(
        genesis,
        "none.json",
        "none.json: No such file",
        "genesis.json",
    );
    fs::write(node.path("empty.json"), "{}").unwrap();
    node.refused_with(
        genesis,
        "empty.json",
        "not a network's genesis",
        "genesis.json",
    );
    fs::write(node.path("text.json"), "text").unwrap();
    node.refused_with(genesis, "text.json", "not in geth's format", "genesis.json");
    node.refused_with("keys/node", "keys/none", "node key", "openssl rand");
    node.refused_with(
        "keys/validator.json",
        "keys/none.json",
        "No such file",
        "assay init",
    );
    node.refused_with(
        "keys/password",
        "keys/node",
        "wrong password",
        "ASSAY_PASSWORD",
    );
    fs::write(node.path("keys/short"), "abc").unwrap();
    node.refused_with(
        "keys/node",
        "keys/short",
        "not 64 hex digits",
        "openssl rand",
    );
    fs::write(node.path("keys/old"), [7; 162]).unwrap();
    node.refused_with(
        "keys/signed",
        "keys/old",
        "not a log of signatures",
        "keys.signed",
    );
}

#[test]
fn folder_that_takes_nothing_is_refused() {
    let node = Node::new();
    fs::write(node.path("file"), "").unwrap();
    node.refused_with("\"data\"", "\"file\"", "data ", "name a folder");
    node.refused_with("\"data\"", "\"/proc/none\"", "data /proc/none", "disk");
}

#[test]
fn genesis_of_another_chain_is_refused_over_the_data_of_one() {
    let node = Node::new();
    let folder = node.path("data");
    let import = |network: &str, data: &str| {
        let genesis = node.home.path().join(network).join("genesis.json");
        let none = node.path("none.rlp");
        fs::write(&none, "").unwrap();
        let (genesis, none) = (genesis.to_str().unwrap(), none.to_str().unwrap());
        assay(&[
            "node",
            "import",
            "--genesis",
            genesis,
            "--datadir",
            data,
            "--chain",
            none,
        ])
    };
    node.prepare("other");
    let done = import("other", folder.to_str().unwrap());
    assert!(done.status.success(), "{done:?}");
    let said = node.refused(&node.config(), "another genesis");
    assert!(
        said.contains("begins with block") && said.contains("another folder"),
        "{said}"
    );
}

#[test]
fn taken_port_is_named_by_its_field() {
    let node = Node::new();
    let config = node.config();
    for field in ["consensus", "network", "rpc"] {
        let section = config.split(&format!("[{field}]")).nth(1).unwrap();
        let address = section.split("listen = \"").nth(1).unwrap();
        let address = address.split('"').next().unwrap();
        let holder = TcpListener::bind(address).unwrap();
        let said = node.refused(&config, field);
        assert!(
            said.contains(&format!("{field}.listen {address}")),
            "{said}"
        );
        drop(holder);
    }
}
