//! One of four validators is faulty: no wrong block is decided, the chain goes on, the fault is named.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use assay_consensus::Sign;
use serde_json::Value;

use crate::liars::{FalseKey, OtherTaste, WRONG_ROOT, WrongRoot};
use crate::nodes::{Node, PROPOSE_TIMEOUT, Plan, addresses, genesis, key, turn};

/// Starts four validators, the last by another plan.
async fn three_and(faulty: Plan) -> (tempfile::TempDir, Vec<SocketAddr>, Vec<Node>) {
    let (folder, genesis) = (tempfile::tempdir().unwrap(), genesis(4));
    let all = addresses(5);
    let mut nodes = Vec::new();
    for plan in [
        Plan::validator(0),
        Plan::validator(1),
        Plan::validator(2),
        faulty,
    ] {
        nodes.push(plan.start(folder.path(), &genesis, &all).await);
    }
    (folder, all, nodes)
}

/// Checks that honest nodes agree up to a height, and that none stopped.
fn agree(honest: &[Node], height: u64) {
    for number in 1..=height {
        let hashes: Vec<B256> = honest.iter().map(|node| node.hash(number)).collect();
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
    }
    for node in honest {
        assert_eq!(node.running.status().stopped(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_results_are_refused_and_their_proposer_is_named() {
    let _turn = turn().await;
    let plan = Plan::validator(3).with_machine(|chain| Arc::new(WrongRoot(chain)));
    let (_folder, _all, nodes) = three_and(plan).await;
    let honest = &nodes[..3];
    let named = |node: &Node| {
        let reports = node.chain.reader().unwrap().divergences().unwrap();
        reports.iter().any(|report| {
            let report: Value = serde_json::from_slice(&report.bytes).unwrap();
            report["proposer"] == key(3).account().to_string().to_lowercase()
                && report["reason"].as_str().unwrap().contains("stateRoot")
        })
    };
    // It is drawn sooner or later; until then and after, blocks are decided.
    honest[0]
        .wait("a report of the wrong proposal", named)
        .await;
    let height = honest[0].height() + 3;
    for node in honest {
        node.reach(height).await;
    }
    agree(honest, height);
    for node in honest {
        for number in 1..=height {
            let header = node.chain.reader().unwrap().header(number).unwrap();
            assert_ne!(header.unwrap().state_root, WRONG_ROOT);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn false_signatures_count_for_nothing() {
    let _turn = turn().await;
    let plan = Plan::validator(3).with_key(FalseKey(key(3)));
    let (_folder, _all, nodes) = three_and(plan).await;
    let honest = &nodes[..3];
    for node in honest {
        node.reach(6).await;
    }
    agree(honest, 6);
    for number in 1..=6 {
        let certificate = honest[0].chain.reader().unwrap().certificate(number);
        let signed = certificate.unwrap().unwrap().signatures.len();
        assert_eq!(signed, 3, "height {number} counts a false signature");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_proposer_costs_less_than_two_timeouts() {
    let _turn = turn().await;
    let (_folder, _all, mut nodes) = three_and(Plan::validator(3)).await;
    nodes[0].reach(2).await;
    let silent = nodes.remove(3);
    silent.running.stop().await;
    let (mut height, mut last) = (nodes[0].height(), Instant::now());
    let (mut longest, target) = (Duration::ZERO, height + 12);
    while height < target {
        nodes[0].reach(height + 1).await;
        longest = longest.max(last.elapsed());
        (height, last) = (nodes[0].height(), Instant::now());
    }
    let lost = nodes[0].running.status().counters();
    let lost = lost
        .iter()
        .find(|(name, _)| *name == "rounds_lost")
        .unwrap()
        .1;
    println!("longest stop {longest:?}, {lost} rounds lost in 12 blocks");
    assert!(longest < 2 * PROPOSE_TIMEOUT, "stood for {longest:?}");
    for node in &nodes {
        node.reach(target).await;
    }
    agree(&nodes, target);
}

#[tokio::test(flavor = "multi_thread")]
async fn key_run_twice_is_caught_with_both_signatures() {
    let _turn = turn().await;
    // The fifth node has the fourth's key: each signs without knowing of the other.
    let (folder, all, mut nodes) = three_and(Plan::validator(3)).await;
    let twin = Plan::validator(4)
        .with_key(key(3))
        .with_machine(|chain| Arc::new(OtherTaste(chain)));
    nodes.push(twin.start(folder.path(), &genesis(4), &all).await);
    let caught = |node: &Node| {
        let evidence = node.chain.reader().unwrap().evidence().unwrap();
        evidence.iter().any(|one| {
            let one: Value = serde_json::from_slice(&one.bytes).unwrap();
            one["validator"] == key(3).account().to_string().to_lowercase()
                && one["first"]["signature"] != one["second"]["signature"]
        })
    };
    nodes[0].wait("evidence against the twins", caught).await;
    let height = nodes[0].height() + 3;
    for node in &nodes[..3] {
        node.reach(height).await;
    }
    agree(&nodes[..3], height);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_port_disturbs_nobody() {
    let _turn = turn().await;
    let (_folder, all, nodes) = three_and(Plan::validator(3)).await;
    nodes[0].reach(2).await;
    let garbage: Vec<u8> = (0..1_u32 << 20).map(|index| (index * 31) as u8).collect();
    for (round, address) in all.iter().take(4).cycle().take(40).enumerate() {
        // The node closes the connection whenever it likes.
        if let Ok(mut stream) = TcpStream::connect(address) {
            let _ = stream.write_all(&garbage[round * 7..]);
        }
    }
    let height = nodes[0].height() + 3;
    for node in &nodes {
        node.reach(height).await;
    }
    agree(&nodes, height);
}
