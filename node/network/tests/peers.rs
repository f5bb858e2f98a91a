//! Who becomes a peer, who does not, and what happens when lines break.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use alloy_primitives::B256;
use assay_network::{Host, Multiaddr, Network, NetworkError};
use support::{Node, TestHost, config};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Returns where a node listens, for plain TCP.
fn socket(node: &Node) -> std::net::SocketAddr {
    let port = node.address().iter().find_map(|part| {
        let text = part.to_string();
        text.strip_prefix("/tcp/")
            .and_then(|port| port.parse().ok())
    });
    ([127, 0, 0, 1], port.unwrap()).into()
}

#[tokio::test]
async fn a_peer_of_another_genesis_or_chain_id_is_refused_and_told_why() {
    let mut genesis = config(&[]);
    genesis.genesis = B256::repeat_byte(0x22);
    let mut chain_id = config(&[]);
    chain_id.chain_id = 8;
    for mut other in [genesis, chain_id] {
        let node = Node::plain(&[]).await;
        other.peers = vec![node.address()];
        let other = Node::start(other, TestHost::default()).await;
        for side in [&node, &other] {
            let refused = |side: &Node| side.network.counters().peers_of_another_chain == 1;
            side.until("other chain noticed", refused).await;
            assert!(side.network.peers().is_empty());
        }
        let friend = Node::plain(&[node.address()]).await;
        node.connected(1).await;
        assert_eq!(node.network.peers()[0].id, friend.network.id());
    }
}

#[tokio::test]
async fn peers_learn_of_one_another() {
    let exchanging = |peers: Vec<Multiaddr>| {
        let mut config = config(&peers);
        config.exchange = true;
        Node::start(config, TestHost::default())
    };
    let hub = exchanging(vec![]).await;
    let first = exchanging(vec![hub.address()]).await;
    hub.connected(1).await;
    let second = exchanging(vec![hub.address()]).await;
    for (node, other) in [(&first, &second), (&second, &first)] {
        let met = |node: &Node| {
            let peers = node.network.peers();
            peers.iter().any(|peer| peer.id == other.network.id())
        };
        node.until("the other met", met).await;
    }
}

#[tokio::test]
async fn a_peer_that_comes_back_is_connected_again() {
    let mut lasting = config(&[]);
    let first = Node::start(lasting.clone(), TestHost::default()).await;
    let second = Node::plain(&[first.address()]).await;
    second.connected(1).await;
    lasting.listen = first.address();
    lasting.listen.pop();
    first.network.stop().await;
    second
        .until("outage", |node| node.network.peers().is_empty())
        .await;
    let again = Node::start(lasting, TestHost::default()).await;
    second.connected(1).await;
    again.connected(1).await;
    second.broadcast("A: after the outage");
    again.saw(b"A: after the outage").await;
}

#[tokio::test]
async fn a_port_in_use_is_one_clear_error() {
    let node = Node::plain(&[]).await;
    let mut config = config(&[]);
    config.listen = node.address();
    config.listen.pop();
    let address = config.listen.clone();
    let host = std::sync::Arc::new(TestHost::default()) as std::sync::Arc<dyn Host>;
    let refused = Network::start(config, host).await.unwrap_err();
    assert!(matches!(refused, NetworkError::Listen { .. }));
    let (text, start) = (refused.to_string(), format!("cannot listen on {address}: "));
    assert!(
        text.starts_with(&start) && text.ends_with("end who holds it"),
        "{text}"
    );
}

#[tokio::test]
async fn garbage_and_silence_on_the_port_harm_nobody() {
    let node = Node::plain(&[]).await;
    let silent = TcpStream::connect(socket(&node)).await.unwrap();
    for length in [1, 100, 65_536] {
        let mut stream = TcpStream::connect(socket(&node)).await.unwrap();
        let garbage: Vec<u8> = (0..length).map(|at: usize| (at * 31 % 251) as u8).collect();
        // The node may hang up while it is being sent.
        let _ = stream.write_all(&garbage).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        // It hangs up by itself: this ends.
        let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer));
        assert!(read.await.is_ok(), "the node keeps a connection of garbage");
    }
    let friend = Node::plain(&[node.address()]).await;
    node.connected(1).await;
    friend.connected(1).await;
    friend.broadcast("A");
    node.saw(b"A").await;
    drop(silent);
}

#[tokio::test]
async fn a_node_that_is_its_own_peer_stays_itself() {
    let mut own = config(&[]);
    let node = Node::start(own.clone(), TestHost::default()).await;
    let address = node.address();
    node.network.stop().await;
    own.listen = address.clone();
    own.listen.pop();
    own.peers = vec![address, own.listen.clone()];
    let node = Node::start(own, TestHost::default()).await;
    let friend = Node::plain(&[node.address()]).await;
    friend.connected(1).await;
    node.connected(1).await;
    assert_eq!(node.network.peers()[0].id, friend.network.id());
}

#[tokio::test]
async fn connections_over_the_limit_are_refused() {
    let mut narrow = config(&[]);
    narrow.limits.inbound = 1;
    let node = Node::start(narrow, TestHost::default()).await;
    let first = Node::plain(&[node.address()]).await;
    node.connected(1).await;
    let second = Node::plain(&[node.address()]).await;
    let refused = |node: &Node| node.network.counters().connections_refused > 0;
    node.until("refusal", refused).await;
    assert_eq!(node.network.peers()[0].id, first.network.id());
    assert!(second.network.peers().is_empty());
}

#[tokio::test]
async fn a_stopped_network_says_so() {
    let node = Node::plain(&[]).await;
    let friend = Node::plain(&[node.address()]).await;
    friend.connected(1).await;
    node.network.stop().await;
    node.network.stop().await;
    friend
        .until("farewell", |friend| friend.network.peers().is_empty())
        .await;
    let refused = node.network.broadcast("A".into());
    assert!(matches!(refused, Err(NetworkError::Stopped)));
    assert!(node.network.peers().is_empty());
}
