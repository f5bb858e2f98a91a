//! Plays a hostile peer against the network port of a running node: floods it with transactions that
//! can never be valid, is banned, and comes back under another key.
//!
//! ```text
//! cargo run -p assay-network --example flood -- CHAIN_ID GENESIS_HASH HOST:PORT SECONDS
//! ```
//!
//! scripts/byzantine-test runs it; the honest node has nothing of it.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use assay_network::{Config, HeldModel, Host, Multiaddr, Network, NodeKey, Verdict};
use bytes::Bytes;

/// Transactions sent before the next look at whether the peer is still there.
const BURST: u64 = 200;
/// Longest wait for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes nothing and holds nothing.
struct Nobody;

impl Host for Nobody {
    fn transaction(&self, _: Bytes) -> Verdict {
        Verdict::Ignore
    }

    fn model(&self, _: B256) -> io::Result<Option<HeldModel>> {
        Ok(None)
    }

    fn model_chunk(&self, _: B256, _: u64, _: u32) -> io::Result<Option<Bytes>> {
        Ok(None)
    }
}

#[tokio::main]
async fn main() {
    let mut words = std::env::args().skip(1);
    let mut word = |what: &str| words.next().unwrap_or_else(|| panic!("{what} is missing"));
    let chain_id: u64 = word("CHAIN_ID").parse().expect("chain id");
    let genesis: B256 = word("GENESIS_HASH").parse().expect("genesis hash");
    let target = word("HOST:PORT");
    let seconds: u64 = word("SECONDS").parse().expect("seconds");
    let (host, port) = target.split_once(':').expect("HOST:PORT");
    let address: Multiaddr = format!("/ip4/{host}/tcp/{port}").parse().expect("address");
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut sent, mut lives) = (0_u64, 0_u64);
    while Instant::now() < end {
        let listen = "/ip4/127.0.0.1/tcp/0".parse().expect("address");
        let mut config = Config::new(NodeKey::generate(), chain_id, genesis, listen);
        config.peers = vec![address.clone()];
        let network = Network::start(config, Arc::new(Nobody));
        let network = network.await.expect("network starts");
        let began = Instant::now();
        while network.peers().is_empty() && began.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        lives += 1;
        while Instant::now() < end && !network.peers().is_empty() {
            for _ in 0..BURST {
                sent += 1;
                // Another one each time, and never the encoding of a transaction.
                let garbage = [&[0xf8_u8][..], &sent.to_be_bytes(), &lives.to_be_bytes()].concat();
                let _ = network.broadcast(garbage.into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        network.stop().await;
    }
    println!("sent {sent} transactions that are none, under {lives} keys");
}
