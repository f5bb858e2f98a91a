//! The public suites, when their data is at hand: `ASSAY_CONFORMANCE`, or `../shared/conformance`
//! beside the repository. Without data there is nothing to run, and the tests say so.

use std::path::{Path, PathBuf};

use assay_chain::Chain;
use assay_conformance::run_folder;
use assay_state::Store;
use assay_types::Genesis;

fn data(part: &str) -> Option<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = std::env::var_os("ASSAY_CONFORMANCE")
        .map_or_else(|| repository.join("../shared/conformance"), PathBuf::from)
        .join(part);
    if !folder.exists() {
        eprintln!("skipped: no conformance data at {}", folder.display());
        return None;
    }
    Some(folder)
}

fn assert_passes(part: &str) {
    let Some(folder) = data(part) else { return };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let report = run_folder(&folder, threads).expect("readable fixtures");
    assert!(report.passed > 0, "no cases under {}", folder.display());
    assert!(
        report.failed.is_empty(),
        "{} failed: {:#?}",
        report.failed.len(),
        report.failed
    );
}

#[test]
fn state_tests_pass() {
    assert_passes("eest/state_tests");
}

#[test]
fn blockchain_tests_pass() {
    assert_passes("eest/blockchain_tests");
}

#[test]
fn chain_of_all_forks_imports_with_every_root_ours() {
    let Some(folder) = data("rpc") else { return };
    let genesis = std::fs::read_to_string(folder.join("genesis.json")).unwrap();
    let genesis = Genesis::from_json(&genesis).unwrap();
    let chain = Chain::open(&genesis, Store::in_memory().unwrap()).unwrap();
    let rlp = std::fs::read(folder.join("chain.rlp")).unwrap();
    let mut rest: &[u8] = &rlp;
    while !rest.is_empty() {
        let number = chain.head().header.number + 1;
        chain
            .import(&mut rest)
            .unwrap_or_else(|error| panic!("block {number}: {error}"));
    }
    assert_eq!(chain.head().header.number, 45);
}

#[test]
fn rpc_files_match_but_for_those_explained() {
    let Some(folder) = data("rpc") else { return };
    let replayed = assay_conformance::rpc::run_folder(&folder).unwrap();
    let unexplained = assay_conformance::rpc::page::unexplained(&replayed);
    assert!(unexplained.is_empty(), "{unexplained:#?}");
}
