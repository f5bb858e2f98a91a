//! Models between nodes: whole or not at all, from whoever has them, whatever some of them do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use assay_network::{FetchError, Sink, SinkError};
use support::{Got, MemorySink, Model, Node, TestHost, config};

const M: usize = 1 << 20;

async fn fetcher(peers: &[&Node]) -> Node {
    let addresses: Vec<_> = peers.iter().map(|node| node.address()).collect();
    let mut config = config(&addresses);
    config.limits.patience = Duration::from_secs(20);
    let node = Node::start(config, TestHost::default()).await;
    node.connected(peers.len()).await;
    node
}

async fn holder(model: &Model) -> Node {
    Node::start(config(&[]), TestHost::holding(model)).await
}

#[tokio::test]
async fn a_model_comes_from_several_peers_at_once() {
    let model = Model::new(&[20 * M + 5, 0, 1_000, 12 * M]);
    let (first, second) = (holder(&model).await, holder(&model).await);
    let empty = Node::plain(&[]).await;
    let node = fetcher(&[&first, &second, &empty]).await;
    let (sink, got) = MemorySink::of(&model);
    let fetched = node.network.fetch_model(model.id, sink).await.unwrap();
    assert_eq!(fetched, model.bytes.len() as u64);
    assert!(got.lock().unwrap().bytes == model.bytes);
    for holder in [&first, &second] {
        let sent = holder.network.counters().model_bytes_sent;
        assert!(sent > 4 << 20, "one of two gave {sent} bytes");
    }
    let counters = node.network.counters();
    assert_eq!((counters.models_fetched, counters.chunks_wrong), (1, 0));
    assert!(node.network.transfers().is_empty());
}

#[tokio::test]
async fn a_tampered_chunk_bans_its_sender_and_is_fetched_elsewhere() {
    let model = Model::new(&[24 * M]);
    // It reads its files once for the outline, and then waits until the other was asked.
    let waiting = TestHost {
        stalls_after: Some(24),
        ..TestHost::holding(&model)
    };
    let honest = Node::start(config(&[]), waiting).await;
    // Its outline is right, its chunks are not.
    let faulty = holder(&model).await;
    let first = fetcher(&[&faulty]).await;
    let (sink, _) = MemorySink::of(&model);
    first.network.fetch_model(model.id, sink).await.unwrap();
    faulty.host.tampers.store(true, Ordering::SeqCst);

    let node = fetcher(&[&honest, &faulty]).await;
    let (sink, got) = MemorySink::of(&model);
    let fetch = node.network.fetch_model(model.id, sink);
    let banned = async {
        node.until("ban", |node| node.network.counters().bans == 1)
            .await;
        honest.host.release();
    };
    tokio::join!(fetch, banned).0.unwrap();
    assert!(got.lock().unwrap().bytes == model.bytes);
    node.connected(1).await;
    assert_eq!(node.network.peers()[0].id, honest.network.id());
    assert!(node.network.counters().chunks_wrong > 0);
}

#[tokio::test]
async fn a_wrong_outline_bans_its_sender() {
    let model = Model::new(&[3 * M]);
    let faulty = holder(&model).await;
    faulty.host.tampers.store(true, Ordering::SeqCst);
    let honest = holder(&model).await;
    let node = fetcher(&[&faulty]).await;
    let (sink, got) = MemorySink::of(&model);
    let fetch = node.network.fetch_model(model.id, sink);
    let late = async {
        node.until("ban", |node| node.network.counters().bans == 1)
            .await;
        // Another node that has it finds the one that wants it.
        fetcher_of(&node, &honest).await
    };
    let (fetched, _friend) = tokio::join!(fetch, late);
    fetched.unwrap();
    let got = got.lock().unwrap();
    assert!(got.bytes == model.bytes);
    assert_eq!(got.begun, 1);
}

/// Makes a node that holds what another holds and connects to the one that fetches.
async fn fetcher_of(node: &Node, honest: &Node) -> Node {
    let models = honest.host.models.lock().unwrap().clone();
    let host = TestHost {
        models: Mutex::new(models),
        ..TestHost::default()
    };
    Node::start(config(&[node.address()]), host).await
}

#[tokio::test]
async fn a_fetch_goes_on_elsewhere_when_the_serving_peer_disappears() {
    let model = Model::new(&[30 * M]);
    let stalling = TestHost {
        // Its outline reads every chunk once.
        stalls_after: Some(30 + 10),
        ..TestHost::holding(&model)
    };
    let first = Node::start(config(&[]), stalling).await;
    let node = fetcher(&[&first]).await;
    let (sink, got) = MemorySink::of(&model);
    let fetch = node.network.fetch_model(model.id, sink);
    let change = async {
        let some = |got: &Got| got.puts >= 5;
        node.until("first chunks", |_| some(&got.lock().unwrap()))
            .await;
        let transfer = node.network.transfers()[0];
        assert_eq!((transfer.id, transfer.total_bytes), (model.id, 30 << 20));
        let second = fetcher_of(&node, &first).await;
        node.connected(2).await;
        let host = Arc::clone(&first.host);
        first.network.stop().await;
        host.release();
        second
    };
    let (fetched, second) = tokio::join!(fetch, change);
    fetched.unwrap();
    let got = got.lock().unwrap();
    assert!(got.bytes == model.bytes);
    assert_eq!(got.begun, 1);
    let sent = second.network.counters().model_bytes_sent;
    assert!(sent > 0 && sent < 26 << 20, "the second gave {sent} bytes");
    assert_eq!(node.network.counters().bans, 0);
}

#[tokio::test]
async fn a_later_fetch_goes_on_where_an_earlier_one_ended() {
    let model = Model::new(&[5 * M, 3 * M + 7]);
    let first = holder(&model).await;
    let node = fetcher(&[&first]).await;
    for kept in [6 * M + 1_234, 5 * M, 8 * M + 7] {
        let got = Arc::new(Mutex::new(Got {
            bytes: model.bytes[..kept].to_vec(),
            ..Got::default()
        }));
        let before = node.network.counters().chunks_received;
        let sink = MemorySink::into(&model, &got);
        node.network.fetch_model(model.id, sink).await.unwrap();
        assert!(got.lock().unwrap().bytes == model.bytes);
        let chunks = node.network.counters().chunks_received - before;
        assert!(
            chunks <= 4,
            "{chunks} chunks for what was missing after {kept}"
        );
    }
}

#[tokio::test]
async fn a_sink_that_finds_old_bytes_wrong_gets_them_again() {
    let model = Model::new(&[3 * M]);
    let first = holder(&model).await;
    let node = fetcher(&[&first]).await;
    let got = Arc::new(Mutex::new(Got {
        bytes: vec![0; M + 5],
        ..Got::default()
    }));
    let mut sink = MemorySink::into(&model, &got);
    sink.rewinds = true;
    node.network.fetch_model(model.id, sink).await.unwrap();
    assert!(got.lock().unwrap().bytes == model.bytes);
}

#[tokio::test]
async fn a_model_nobody_has_is_unavailable_after_patience() {
    let model = Model::new(&[10]);
    let empty = Node::plain(&[]).await;
    let mut impatient = config(&[empty.address()]);
    impatient.limits.patience = Duration::from_millis(300);
    let node = Node::start(impatient, TestHost::default()).await;
    let (sink, got) = MemorySink::of(&model);
    let failed = node.network.fetch_model(model.id, sink).await;
    assert!(matches!(failed, Err(FetchError::Unavailable { .. })));
    assert_eq!(got.lock().unwrap().begun, 0);
}

/// Refuses every model.
struct Refusing;

impl Sink for Refusing {
    fn begin(&mut self, _: &[u8]) -> Result<assay_network::Beginning, SinkError> {
        Err(SinkError::Refused("not wanted".into()))
    }

    fn put(&mut self, _: u64, _: &[u8]) -> Result<u64, SinkError> {
        Err(SinkError::Machine("never begun".into()))
    }
}

#[tokio::test]
async fn a_model_the_node_refuses_is_nobody_s_fault() {
    let model = Model::new(&[2 * M]);
    let first = holder(&model).await;
    let node = fetcher(&[&first]).await;
    let failed = node.network.fetch_model(model.id, Box::new(Refusing)).await;
    let text = failed.unwrap_err().to_string();
    assert_eq!(text, format!("model {}: refused: not wanted", model.id));
    assert_eq!(node.network.peers()[0].points, 0);
}

#[tokio::test]
async fn one_model_is_fetched_once_at_a_time() {
    let model = Model::new(&[10]);
    let node = Node::plain(&[]).await;
    let (sink, _) = MemorySink::of(&model);
    let (other, _) = MemorySink::of(&model);
    let fetch = node.network.fetch_model(model.id, sink);
    let second = async {
        node.until("first begun", |node| !node.network.transfers().is_empty())
            .await;
        let refused = node.network.fetch_model(model.id, other).await;
        assert!(matches!(refused, Err(FetchError::UnderWay(_))));
        node.network.stop().await;
    };
    let (fetched, ()) = tokio::join!(fetch, second);
    assert!(matches!(fetched, Err(FetchError::Stopped)));
}
