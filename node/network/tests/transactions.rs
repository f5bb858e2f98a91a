//! Transactions between nodes: they reach everyone once, and bad ones stop at the first honest node.

mod support;

use std::{io, sync::Arc};

use alloy_primitives::B256;
use assay_network::{BAN_POINTS, HeldModel, Host, Network, NetworkError, Verdict};
use bytes::Bytes;
use support::{Node, TestHost, config};

#[tokio::test]
async fn a_transaction_reaches_every_node_of_a_line() {
    let first = Node::plain(&[]).await;
    let second = Node::plain(&[first.address()]).await;
    let third = Node::plain(&[second.address()]).await;
    let last = Node::plain(&[third.address()]).await;
    for (node, peers) in [(&first, 1), (&second, 2), (&third, 2), (&last, 1)] {
        node.connected(peers).await;
    }
    first.broadcast("A: from the first");
    last.broadcast("A: from the last");
    for node in [&second, &third] {
        node.saw(b"A: from the first").await;
        node.saw(b"A: from the last").await;
    }
    last.saw(b"A: from the first").await;
    first.saw(b"A: from the last").await;
    assert_eq!(
        first.host.saw(b"A: from the first"),
        0,
        "nobody hears itself"
    );
}

#[tokio::test]
async fn a_transaction_is_judged_once_however_many_send_it() {
    let first = Node::plain(&[]).await;
    let second = Node::plain(&[first.address()]).await;
    let third = Node::plain(&[first.address(), second.address()]).await;
    for node in [&first, &second, &third] {
        node.connected(2).await;
    }
    for number in 0..20 {
        first.broadcast(format!("A{number}"));
    }
    for node in [&second, &third] {
        node.saw(b"A19").await;
        for number in 0..20 {
            node.saw(format!("A{number}").as_bytes()).await;
        }
    }
    // Whatever still travels between second and third is known to both.
    first.broadcast("A last");
    for node in [&second, &third] {
        node.saw(b"A last").await;
        assert_eq!(node.host.seen.lock().unwrap().len(), 21);
    }
}

#[tokio::test]
async fn rejected_bytes_ban_the_sender_and_go_no_further() {
    let honest = Node::plain(&[]).await;
    let friend = Node::plain(&[honest.address()]).await;
    let lenient = TestHost {
        lenient: true,
        ..TestHost::default()
    };
    let faulty = Node::start(config(&[honest.address()]), lenient).await;
    honest.connected(2).await;
    faulty.connected(1).await;
    for number in 0..BAN_POINTS / 10 {
        faulty.broadcast(format!("R{number}"));
    }
    honest
        .until("ban", |node| node.network.counters().bans == 1)
        .await;
    honest.connected(1).await;
    assert_eq!(honest.network.peers()[0].id, friend.network.id());
    // It comes back, and is refused.
    let refused = |node: &Node| node.network.counters().connections_refused > 0;
    honest.until("refusal", refused).await;
    friend.broadcast("A: still here");
    honest.saw(b"A: still here").await;
    honest.broadcast("A: and back");
    friend.saw(b"A: and back").await;
    let seen = friend.host.seen.lock().unwrap();
    assert!(
        !seen.iter().any(|bytes| bytes.starts_with(b"R")),
        "{seen:?}"
    );
}

#[tokio::test]
async fn ignored_transactions_stop_without_blame() {
    let first = Node::plain(&[]).await;
    let second = Node::plain(&[first.address()]).await;
    let last = Node::plain(&[second.address()]).await;
    second.connected(2).await;
    for number in 0..50 {
        first.broadcast(format!("I{number}"));
    }
    let ignored = |node: &Node| node.network.counters().transactions_ignored == 50;
    second.until("all ignored", ignored).await;
    first.broadcast("A");
    last.saw(b"A").await;
    assert_eq!(last.host.seen.lock().unwrap().len(), 1);
    assert!(second.network.peers().iter().all(|peer| peer.points == 0));
}

#[tokio::test]
async fn oversize_transactions_are_refused_and_ban_the_sender() {
    let honest = Node::plain(&[]).await;
    let limit = 288 << 10;
    let mut large = config(&[honest.address()]);
    large.limits.transaction_bytes = 1 << 20;
    let faulty = Node::start(large, TestHost::default()).await;
    honest.connected(1).await;
    faulty.connected(1).await;
    // The first fits the frame of a message, the others do not fit any.
    faulty.broadcast(vec![b'A'; limit + 1]);
    faulty.broadcast(vec![b'B'; limit + 2]);
    honest
        .until("ban", |node| node.network.counters().bans == 1)
        .await;
    assert!(honest.host.seen.lock().unwrap().is_empty());

    let mut larger = config(&[honest.address()]);
    larger.limits.transaction_bytes = 1 << 20;
    let faulty = Node::start(larger, TestHost::default()).await;
    let friend = Node::plain(&[honest.address()]).await;
    honest.connected(2).await;
    faulty.connected(1).await;
    faulty.broadcast(vec![b'A'; 1 << 20]);
    friend.connected(1).await;
    friend.broadcast(vec![b'A'; limit]);
    honest
        .until("the largest allowed", |node| {
            node.host.seen.lock().unwrap().len() == 1
        })
        .await;
    assert!(
        honest
            .network
            .broadcast(vec![b'A'; limit + 1].into())
            .is_err()
    );
}

#[tokio::test]
async fn transactions_wait_for_the_first_peer() {
    let first = Node::plain(&[]).await;
    first.broadcast("A1");
    first.broadcast("A2");
    let second = Node::plain(&[first.address()]).await;
    second.saw(b"A1").await;
    second.saw(b"A2").await;
}

#[tokio::test]
async fn one_peer_cannot_send_faster_than_the_limit() {
    let mut slow = config(&[]);
    slow.limits.transactions_per_s = 1;
    let slow = Node::start(slow, TestHost::default()).await;
    let fast = Node::plain(&[slow.address()]).await;
    slow.connected(1).await;
    fast.connected(1).await;
    for number in 0..100 {
        fast.broadcast(format!("A{number}"));
    }
    let all = |node: &Node| node.network.counters().transactions_received == 100;
    slow.until("all received", all).await;
    let dropped = slow.network.counters().transactions_dropped;
    assert!(dropped >= 80, "{dropped} of 100 dropped");
    assert_eq!(
        slow.network.peers()[0].points,
        0,
        "forwarding much is no offence"
    );
}

/// A host with a bug.
struct Broken;

impl Host for Broken {
    fn transaction(&self, _: Bytes) -> Verdict {
        panic!("a bug of the host");
    }

    fn model(&self, _: B256) -> io::Result<Option<HeldModel>> {
        Ok(None)
    }

    fn model_chunk(&self, _: B256, _: u64, _: u32) -> io::Result<Option<Bytes>> {
        Ok(None)
    }
}

#[tokio::test]
async fn a_host_that_panics_ends_the_network_instead_of_dropping_everything() {
    let broken = Network::start(config(&[]), Arc::new(Broken)).await;
    let broken = broken.expect("network starts");
    let friend = Node::plain(&[broken.address()]).await;
    friend.connected(1).await;
    friend.broadcast("A");
    friend
        .until("outage", |friend| friend.network.peers().is_empty())
        .await;
    // Waits for the end of the task, which needs no telling.
    broken.stop().await;
    let refused = broken.broadcast("A".into());
    assert!(matches!(refused, Err(NetworkError::Stopped)));
}
