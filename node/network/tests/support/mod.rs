//! Nodes for tests: real TCP on loopback, hosts and sinks that live in memory.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses its part, and a test may panic"
)]

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use alloy_primitives::{B256, keccak256};
use assay_network::{
    Beginning, Config, HeldModel, Host, ModelFile, Multiaddr, Network, NodeKey, Sink, SinkError,
    Verdict,
};
use bytes::Bytes;

/// Longest a test waits for anything.
const DEADLINE: Duration = Duration::from_secs(60);

/// A model of a few files.
#[derive(Clone)]
pub(crate) struct Model {
    pub(crate) id: B256,
    pub(crate) manifest: Bytes,
    pub(crate) files: Vec<ModelFile>,
    pub(crate) bytes: Bytes,
}

impl Model {
    /// Makes a model of files of these sizes.
    pub(crate) fn new(sizes: &[usize]) -> Self {
        let (mut files, mut all) = (Vec::new(), Vec::new());
        for (index, size) in sizes.iter().enumerate() {
            let file: Vec<u8> = (0..*size)
                .map(|at| (at / 3 + at / 1_000 + index) as u8)
                .collect();
            files.push(ModelFile {
                size_bytes: file.len() as u64,
                blake3: *blake3::hash(&file).as_bytes(),
            });
            all.extend(file);
        }
        let manifest = Bytes::from(format!("{files:?}"));
        Self {
            id: keccak256(&manifest),
            manifest,
            files,
            bytes: all.into(),
        }
    }
}

/// A host that judges transactions by their first letter (A, I, R) and holds models in memory.
#[derive(Default)]
pub(crate) struct TestHost {
    /// Accepts everything, as a node that checks nothing would.
    pub(crate) lenient: bool,
    pub(crate) seen: Mutex<Vec<Bytes>>,
    pub(crate) models: Mutex<BTreeMap<B256, Model>>,
    /// Changes every chunk it gives, once its outline was made.
    pub(crate) tampers: AtomicBool,
    pub(crate) chunks_read: AtomicUsize,
    /// Chunks it gives before it stalls.
    pub(crate) stalls_after: Option<usize>,
    pub(crate) stalled: (Mutex<bool>, Condvar),
}

impl TestHost {
    pub(crate) fn holding(model: &Model) -> Self {
        let host = Self::default();
        host.models.lock().unwrap().insert(model.id, model.clone());
        host
    }

    pub(crate) fn saw(&self, transaction: &[u8]) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|bytes| **bytes == transaction).count()
    }

    /// Ends a stall.
    pub(crate) fn release(&self) {
        *self.stalled.0.lock().unwrap() = true;
        self.stalled.1.notify_all();
    }
}

impl Host for TestHost {
    fn transaction(&self, bytes: Bytes) -> Verdict {
        self.seen.lock().unwrap().push(bytes.clone());
        match bytes.first() {
            _ if self.lenient => Verdict::Accept,
            Some(b'A') => Verdict::Accept,
            Some(b'I') => Verdict::Ignore,
            _ => Verdict::Reject,
        }
    }

    fn model(&self, id: B256) -> io::Result<Option<HeldModel>> {
        let models = self.models.lock().unwrap();
        Ok(models.get(&id).map(|model| HeldModel {
            manifest: model.manifest.clone(),
            files: model.files.clone(),
        }))
    }

    fn model_chunk(&self, id: B256, offset: u64, length: u32) -> io::Result<Option<Bytes>> {
        let Some(model) = self.models.lock().unwrap().get(&id).cloned() else {
            return Ok(None);
        };
        let read = self.chunks_read.fetch_add(1, Ordering::SeqCst);
        if self.stalls_after.is_some_and(|limit| read >= limit) {
            let released = self.stalled.0.lock().unwrap();
            drop(
                self.stalled
                    .1
                    .wait_while(released, |released| !*released)
                    .unwrap(),
            );
        }
        let mut chunk = model
            .bytes
            .slice(offset as usize..offset as usize + length as usize);
        if self.tampers.load(Ordering::SeqCst) {
            let mut wrong = chunk.to_vec();
            wrong[0] ^= 1;
            chunk = wrong.into();
        }
        Ok(Some(chunk))
    }
}

/// A node of a test.
pub(crate) struct Node {
    pub(crate) network: Network,
    pub(crate) host: Arc<TestHost>,
}

/// A test that fails must not wait for its stalled host.
impl Drop for Node {
    fn drop(&mut self) {
        self.host.release();
    }
}

/// Genesis hash of the tests' chain.
pub(crate) const GENESIS: B256 = B256::repeat_byte(0x11);

/// Makes a configuration of the tests' chain on a free port.
pub(crate) fn config(peers: &[Multiaddr]) -> Config {
    let listen = "/ip4/127.0.0.1/tcp/0".parse().unwrap();
    let mut config = Config::new(NodeKey::generate(), 7, GENESIS, listen);
    config.peers = peers.to_vec();
    config.exchange = false;
    config
}

impl Node {
    pub(crate) async fn start(config: Config, host: TestHost) -> Self {
        let host = Arc::new(host);
        let network = Network::start(config, Arc::clone(&host) as Arc<dyn Host>).await;
        Self {
            network: network.unwrap(),
            host,
        }
    }

    pub(crate) async fn plain(peers: &[Multiaddr]) -> Self {
        Self::start(config(peers), TestHost::default()).await
    }

    pub(crate) fn address(&self) -> Multiaddr {
        self.network.address()
    }

    /// Waits until something holds, looking whenever the network changes.
    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let mut changes = self.network.watch();
        let waiting = async {
            while !holds(self) {
                changes.changed().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(DEADLINE, waiting).await;
        let (peers, counters) = (self.network.peers(), self.network.counters());
        assert!(waited.is_ok(), "never: {what}; {peers:?} {counters:?}");
    }

    /// Waits until so many peers are connected and take transactions.
    pub(crate) async fn connected(&self, count: usize) {
        self.until("peers connected", |node| {
            let peers = node.network.peers();
            peers.iter().filter(|peer| peer.subscribed).count() == count
        })
        .await;
    }

    pub(crate) async fn saw(&self, transaction: &[u8]) {
        self.until("transaction seen", |node| node.host.saw(transaction) > 0)
            .await;
    }

    pub(crate) fn broadcast(&self, transaction: impl Into<Vec<u8>>) {
        self.network
            .broadcast(Bytes::from(transaction.into()))
            .unwrap();
    }
}

/// What a sink got.
#[derive(Default)]
pub(crate) struct Got {
    pub(crate) begun: usize,
    pub(crate) puts: usize,
    pub(crate) bytes: Vec<u8>,
}

/// A sink in memory, which keeps what it got when a fetch is given up.
pub(crate) struct MemorySink {
    pub(crate) files: Vec<ModelFile>,
    pub(crate) got: Arc<Mutex<Got>>,
    /// Wants everything again at the end, once.
    pub(crate) rewinds: bool,
}

impl MemorySink {
    pub(crate) fn of(model: &Model) -> (Box<Self>, Arc<Mutex<Got>>) {
        let got = Arc::new(Mutex::new(Got::default()));
        (Self::into(model, &got), got)
    }

    pub(crate) fn into(model: &Model, got: &Arc<Mutex<Got>>) -> Box<Self> {
        Box::new(Self {
            files: model.files.clone(),
            got: Arc::clone(got),
            rewinds: false,
        })
    }
}

impl Sink for MemorySink {
    fn begin(&mut self, _: &[u8]) -> Result<Beginning, SinkError> {
        let mut got = self.got.lock().unwrap();
        got.begun += 1;
        Ok(Beginning {
            files: self.files.clone(),
            received_bytes: got.bytes.len() as u64,
        })
    }

    fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<u64, SinkError> {
        let mut got = self.got.lock().unwrap();
        assert_eq!(offset, got.bytes.len() as u64, "bytes come in order");
        got.puts += 1;
        got.bytes.extend(bytes);
        let total: u64 = self.files.iter().map(|file| file.size_bytes).sum();
        if self.rewinds && got.bytes.len() as u64 == total {
            self.rewinds = false;
            got.bytes.clear();
        }
        Ok(got.bytes.len() as u64)
    }
}
