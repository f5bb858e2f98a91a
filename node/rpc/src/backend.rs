//! What handlers answer from.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use alloy_primitives::{Address, B256, Bytes};
use assay_chain::{Chain, PreExecution};
use assay_dev::Dev;
use assay_pool::Pool;
use assay_types::Transaction;
use tokio::sync::broadcast;

use crate::{filters::Filters, mined::Mined, pending::PendingCache};

/// Transactions a slow subscriber may lag behind before it is told no more.
const ADMITTED_BACKLOG: usize = 16_384;

/// A function that passes transactions on.
pub(crate) struct Forward(Box<dyn Fn(&Transaction) + Send + Sync>);

impl Forward {
    pub(crate) fn pass(&self, transaction: &Transaction) {
        (self.0)(transaction);
    }
}

impl std::fmt::Debug for Forward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Forward")
    }
}

/// What a node of a network says of its voting.
pub trait Votes: std::fmt::Debug + Send + Sync {
    /// Lists the numbers that are counted, with their names.
    fn counters(&self) -> Vec<(&'static str, u64)>;

    /// Tells whether this node votes at the height under way.
    fn validates(&self) -> bool;

    /// Says why this node stopped voting for good, if it did.
    fn stopped(&self) -> Option<String>;

    /// Writes the engine's own numbers in Prometheus's text format.
    fn engine_metrics(&self) -> String;

    /// Lists numbers of what travels between nodes: peers, transactions, models.
    fn traffic(&self) -> Vec<(&'static str, u64)>;

    /// Lists what this node signed about models and the chain does not show yet.
    fn attestations(&self) -> Vec<Promised> {
        Vec::new()
    }

    /// Returns the bytes that are free on the disk of the data, where the system says.
    fn disk_free_bytes(&self) -> Option<u64> {
        None
    }
}

/// A validator's signature that a model is here, which the chain does not show yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promised {
    /// The model.
    pub model: B256,
    /// The signature over the registry's attestation digest: r, s, v.
    pub signature: Bytes,
    /// The transaction that carries it; `None` while the account cannot pay for one.
    pub transaction: Option<B256>,
}

/// Bounds on what one call may cost this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// Most gas of a simulated message.
    pub gas: u64,
    /// Most blocks a log query may walk.
    pub log_blocks: u64,
    /// Most logs one answer may hold.
    pub logs: usize,
    /// Most blocks one `trace_filter` may execute again.
    pub trace_blocks: u64,
    /// Most traces one `trace_filter` may answer.
    pub traces: usize,
    /// Most blocks one search for an account's transactions may look at.
    pub search_blocks: u64,
    /// Most gas one search for an account's transactions may execute again.
    pub search_gas: u64,
    /// Most filters installed at a time.
    pub filters: usize,
    /// Most blocks of one fee history.
    pub fee_history_blocks: u64,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            gas: 50_000_000,
            log_blocks: 1_000_000,
            logs: 100_000,
            trace_blocks: 1_000,
            traces: 10_000,
            search_blocks: 100_000,
            search_gas: 300_000_000,
            filters: 10_000,
            fee_history_blocks: 1_024,
        }
    }
}

/// What handlers answer from: the chain, the pool, and in dev mode the driver.
#[derive(Debug)]
pub struct Backend {
    pub(crate) chain: Arc<Chain>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) dev: Option<Arc<Dev>>,
    pub(crate) limits: CallLimits,
    pub(crate) pending: PendingCache,
    /// Runs waiting transactions before their block.
    pub(crate) preexecution: Option<PreExecution>,
    /// What voting is doing, on a node of a network.
    pub(crate) votes: Option<Arc<dyn Votes>>,
    /// Passes on to other nodes what clients of this one send.
    pub(crate) forward: OnceLock<Forward>,
    /// Whether models may be uploaded.
    pub(crate) uploads: bool,
    /// Tells subscribers of transactions as they come to wait for a block.
    pub(crate) admitted: broadcast::Sender<B256>,
    pub(crate) mined: Arc<Mined>,
    filters: Mutex<Filters>,
}

impl Backend {
    /// Makes a backend of a chain and its pool.
    #[must_use]
    pub fn new(chain: Arc<Chain>, pool: Arc<Pool>, limits: CallLimits) -> Self {
        Self {
            mined: Mined::watch(&chain),
            chain,
            pool,
            dev: None,
            limits,
            pending: PendingCache::default(),
            preexecution: None,
            votes: None,
            forward: OnceLock::new(),
            uploads: false,
            admitted: broadcast::channel(ADMITTED_BACKLOG).0,
            filters: Mutex::default(),
        }
    }

    /// Makes a backend that also answers for the dev driver.
    #[must_use]
    pub fn with_dev(dev: Arc<Dev>, limits: CallLimits) -> Self {
        let (chain, pool) = (Arc::clone(dev.chain()), Arc::clone(dev.pool()));
        Self {
            dev: Some(dev),
            ..Self::new(chain, pool, limits)
        }
    }

    /// Says whether models may be uploaded: only where nobody but the operator reaches the port.
    #[must_use]
    pub const fn accept_uploads(mut self, accept: bool) -> Self {
        self.uploads = accept;
        self
    }

    /// Runs waiting transactions before their block. In instant mining none waits.
    #[must_use]
    pub fn pre_execute(mut self, preexecution: PreExecution) -> Self {
        self.preexecution = Some(preexecution);
        self
    }

    /// Shows what voting is doing.
    #[must_use]
    pub fn watch_votes(mut self, votes: Arc<dyn Votes>) -> Self {
        self.votes = Some(votes);
        self
    }

    /// Passes on what clients send from now on; the first function given is the one that counts.
    pub fn forward_with(&self, forward: impl Fn(&Transaction) + Send + Sync + 'static) {
        let _ = self.forward.set(Forward(Box::new(forward)));
    }

    /// Learns of a transaction that came from another node and waits in the pool.
    pub fn admitted_elsewhere(&self, transaction: &Transaction, sender: Address) {
        // Without subscribers nobody listens: that is no failure.
        let _ = self.admitted.send(*transaction.tx_hash());
        if let Some(preexecution) = &self.preexecution {
            preexecution.offer(transaction.clone(), sender);
        }
    }

    pub(crate) fn filters(&self) -> MutexGuard<'_, Filters> {
        self.filters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
