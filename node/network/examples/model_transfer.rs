//! Measures how fast models travel between nodes of one machine, over TCP on loopback:
//!
//! ```text
//! cargo run --release -p assay-network --example model_transfer -- [MiB] [peers]
//! ```
//!
//! The bytes are made up and live in memory, so that the network is measured and no disk; each run
//! begins a new transfer, verified chunk by chunk as any other.

use std::{io, sync::Arc, time::Instant};

use alloy_primitives::{B256, keccak256};
use assay_network::{
    Beginning, Config, HeldModel, Host, ModelFile, Network, NodeKey, Sink, SinkError, Verdict,
};
use bytes::Bytes;

const RUNS: usize = 3;
const MANIFEST: &[u8] = b"model transfer";

/// Holds one model of one file.
#[derive(Clone)]
struct Holder {
    file: ModelFile,
    bytes: Bytes,
}

impl Host for Holder {
    fn transaction(&self, _: Bytes) -> Verdict {
        Verdict::Ignore
    }

    fn model(&self, id: B256) -> io::Result<Option<HeldModel>> {
        let held = HeldModel {
            manifest: Bytes::from_static(MANIFEST),
            files: vec![self.file],
        };
        Ok((id == keccak256(MANIFEST) && !self.bytes.is_empty()).then_some(held))
    }

    fn model_chunk(&self, _: B256, offset: u64, length: u32) -> io::Result<Option<Bytes>> {
        let first = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(self.bytes.len());
        let last = first.saturating_add(length as usize).min(self.bytes.len());
        Ok(Some(self.bytes.slice(first..last)))
    }
}

/// Counts what it is given.
struct Counting {
    file: ModelFile,
    bytes: u64,
}

impl Sink for Counting {
    fn begin(&mut self, _: &[u8]) -> Result<Beginning, SinkError> {
        Ok(Beginning {
            files: vec![self.file],
            received_bytes: 0,
        })
    }

    fn put(&mut self, _: u64, bytes: &[u8]) -> Result<u64, SinkError> {
        self.bytes += bytes.len() as u64;
        Ok(self.bytes)
    }
}

async fn node(holder: Holder, peers: &[&Network]) -> Network {
    let listen = "/ip4/127.0.0.1/tcp/0".parse().expect("address");
    let mut config = Config::new(NodeKey::generate(), 1, B256::ZERO, listen);
    config.peers = peers.iter().map(|peer| peer.address()).collect();
    let started = Network::start(config, Arc::new(holder)).await;
    started.expect("network starts")
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|word| word.parse::<usize>());
    let mib = arguments.next().map_or(Ok(256), |word| word).expect("MiB");
    let holders = arguments.next().map_or(Ok(1), |word| word).expect("peers");
    let bytes: Bytes = (0..mib << 20)
        .map(|at| (at ^ (at >> 9)) as u8)
        .collect::<Vec<_>>()
        .into();
    let file = ModelFile {
        size_bytes: bytes.len() as u64,
        blake3: *blake3::hash(&bytes).as_bytes(),
    };
    let mut servers = Vec::new();
    for _ in 0..holders {
        let bytes = bytes.clone();
        servers.push(node(Holder { file, bytes }, &[]).await);
    }
    let servers: Vec<&Network> = servers.iter().collect();
    for run in 1..=RUNS {
        let bytes = Bytes::new();
        let fetching = node(Holder { file, bytes }, &servers).await;
        let mut changes = fetching.watch();
        while fetching.peers().len() < holders {
            changes.changed().await.expect("network runs");
        }
        let (started, sink) = (Instant::now(), Counting { file, bytes: 0 });
        let fetched = fetching
            .fetch_model(keccak256(MANIFEST), Box::new(sink))
            .await;
        let seconds = started.elapsed().as_secs_f64();
        assert_eq!(fetched.expect("model is fetched"), file.size_bytes);
        let rate = mib as f64 / seconds;
        println!("run {run}: {mib} MiB from {holders} peers in {seconds:.2} s: {rate:.0} MiB/s");
        fetching.stop().await;
    }
}
