//! The librarian: a task that keeps the models the chain needs on this node, and attests to them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use assay_chain::{Chain, ModelError, Models};
use assay_network::{FetchError, Network, SinkError};
use assay_pool::Pool;
use assay_precompile::registry::Status;
use bytes::Bytes;
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet, spawn_blocking},
    time::sleep,
};

use crate::{
    Attestation, Attester, Entry, LibraryError, Policy,
    attest::{Desk, Promise},
    catalog::Catalog,
    sender::Sender,
    sink::StagingSink,
};

/// How often the librarian looks around when no block comes.
const LOOK: Duration = Duration::from_secs(1);
/// Wait after the first failure to fetch a model; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest wait for a model that is not active yet.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Longest wait for a model without which blocks cannot be executed.
const LONGEST_WAIT_ACTIVE: Duration = Duration::from_secs(4);
/// Models under way at a time.
const FETCHES_MAX: usize = 2;

/// What the librarian does about a model that is not settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is here; the attestation is under way.
    Held,
    /// It is being fetched, or will be.
    Wanted,
    /// The policy does not take it, or it is suspended.
    Unwanted,
    /// It was fetched, and is no model this node can run.
    Refused,
}

/// The librarian of a running node.
#[derive(Debug)]
pub struct Librarian {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    chain: Arc<Chain>,
    models: Arc<Models>,
    policy: Policy,
    inner: Mutex<Inner>,
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct Inner {
    catalog: Catalog,
    desk: Option<Desk>,
    /// Models that are here, active, and attested to if this node attests.
    settled: BTreeSet<B256>,
    /// Models that were fetched and are none.
    refused: BTreeSet<B256>,
    standings: Vec<(Entry, Standing)>,
}

/// What one look around found to do.
#[derive(Debug, Default)]
struct Survey {
    /// Models to fetch, the most needed first, and whether blocks need them.
    wanted: Vec<(B256, bool)>,
    /// Transactions for the peers.
    send: Vec<Bytes>,
}

/// Says why a model is not here after it was fetched.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("the thread that loads it ended")]
    Thread,
}

impl Failed {
    /// Tells whether trying again changes nothing.
    const fn is_final(&self) -> bool {
        match self {
            Self::Fetch(FetchError::Refused { reason, .. }) => {
                matches!(reason, SinkError::Refused(_))
            }
            Self::Model(error) => !matches!(
                error,
                ModelError::Io(_) | ModelError::Staging(_) | ModelError::Host(_)
            ),
            Self::Fetch(_) | Self::Thread => false,
        }
    }
}

impl Librarian {
    /// Starts the librarian of a node; `None` on a chain without inference. With an attester it
    /// attests to what it holds, and proves the equivocations that the node keeps evidence of.
    #[must_use]
    pub fn start(
        chain: Arc<Chain>,
        pool: Arc<Pool>,
        network: Network,
        policy: Policy,
        attester: Option<Attester>,
    ) -> Option<Self> {
        let registry = chain.spec().assay.as_ref()?.model_registry;
        let models = Arc::clone(chain.models()?);
        let (blocks, heads) = watch::channel(0);
        chain.subscribe(move |executed| {
            blocks.send_replace(executed.block.header().number);
        });
        let desk =
            attester.map(|attester| Desk::new(Sender::new(attester, Arc::clone(&chain), pool)));
        let shared = Arc::new(Shared {
            chain,
            models,
            policy,
            inner: Mutex::new(Inner {
                catalog: Catalog::new(registry),
                desk,
                settled: BTreeSet::new(),
                refused: BTreeSet::new(),
                standings: Vec::new(),
            }),
            changes: watch::Sender::new(0),
        });
        let (stop, stopped) = watch::channel(false);
        let task = Task {
            shared: Arc::clone(&shared),
            network,
            fetches: JoinSet::new(),
            under_way: BTreeSet::new(),
            retries: BTreeMap::new(),
        };
        Some(Self {
            shared,
            stop,
            task: tokio::spawn(task.run(heads, stopped)),
        })
    }

    /// Lists the models that are not settled, and what is done about them: active ones that are
    /// here and attested to are not among them.
    #[must_use]
    pub fn standings(&self) -> Vec<(Entry, Standing)> {
        self.shared.lock().standings.clone()
    }

    /// Lists the models without which this node cannot execute blocks.
    #[must_use]
    pub fn missing(&self) -> Vec<B256> {
        let inner = self.shared.lock();
        let missing = inner.standings.iter().filter(|(entry, standing)| {
            needed(entry.status) && matches!(standing, Standing::Wanted | Standing::Refused)
        });
        missing.map(|(entry, _)| entry.id).collect()
    }

    /// Lists the attestations made since the node started that the chain does not show yet.
    #[must_use]
    pub fn attestations(&self) -> Vec<Attestation> {
        let inner = self.shared.lock();
        inner
            .desk
            .as_ref()
            .map(Desk::attestations)
            .unwrap_or_default()
    }

    /// Watches for changes: the number grows with each look around.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Ends the librarian; what was fetched stays and is gone on with later.
    pub async fn stop(self) {
        // A task that has ended needs no telling.
        let _ = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the librarian ended badly");
        }
    }
}

/// The librarian's task.
struct Task {
    shared: Arc<Shared>,
    network: Network,
    fetches: JoinSet<(B256, Result<(), Failed>)>,
    under_way: BTreeSet<B256>,
    retries: BTreeMap<B256, Retry>,
}

/// A model that was not fetched.
#[derive(Debug, Clone, Copy)]
struct Retry {
    failures: u32,
    since: Instant,
}

impl Retry {
    fn due(self, needed: bool) -> Instant {
        let longest = match needed {
            true => LONGEST_WAIT_ACTIVE,
            false => LONGEST_WAIT,
        };
        let doubled = FIRST_WAIT.saturating_mul(1 << self.failures.saturating_sub(1).min(10));
        self.since + doubled.min(longest)
    }
}

impl Task {
    async fn run(mut self, mut heads: watch::Receiver<u64>, mut stop: watch::Receiver<bool>) {
        loop {
            self.look_around().await;
            tokio::select! {
                changed = heads.changed() => {
                    if changed.is_err() {
                        // The chain is gone, and with it all there is to do.
                        return;
                    }
                }
                Some(fetched) = self.fetches.join_next() => {
                    if let Ok((id, result)) = fetched {
                        self.fetched(id, result);
                    }
                }
                () = sleep(LOOK) => {}
                _ = stop.changed() => return,
            }
        }
    }

    /// Reads the chain, sends what is to be sent, and begins what is to be fetched.
    async fn look_around(&mut self) {
        let shared = Arc::clone(&self.shared);
        let survey = spawn_blocking(move || shared.survey()).await;
        let survey = match survey {
            Ok(Ok(survey)) => survey,
            Ok(Err(error)) => {
                tracing::error!(%error, "the chain's models and evidence cannot be read");
                return;
            }
            // The runtime ends.
            Err(_) => return,
        };
        for transaction in survey.send {
            if let Err(error) = self.network.broadcast(transaction) {
                tracing::warn!(%error, "this validator's transaction is in the pool, but not sent to peers");
            }
        }
        let now = Instant::now();
        for (id, needed) in survey.wanted {
            let due = self
                .retries
                .get(&id)
                .is_none_or(|retry| retry.due(needed) <= now);
            if due && self.under_way.len() < FETCHES_MAX && self.under_way.insert(id) {
                self.fetch(id, needed);
            }
        }
        self.shared
            .changes
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    fn fetch(&mut self, id: B256, needed: bool) {
        if needed && !self.retries.contains_key(&id) {
            tracing::warn!(
                model = %id,
                "an active model is not here: it is being fetched, and blocks that call it wait"
            );
        }
        let (network, models) = (self.network.clone(), Arc::clone(&self.shared.models));
        self.fetches
            .spawn(async move { (id, fetch(network, models, id).await) });
    }

    fn fetched(&mut self, id: B256, result: Result<(), Failed>) {
        self.under_way.remove(&id);
        match result {
            Ok(()) => {
                self.retries.remove(&id);
                tracing::info!(model = %id, "model is here: it loads, and its samples reproduce");
            }
            Err(Failed::Fetch(FetchError::Stopped)) => {}
            Err(error) if error.is_final() => {
                tracing::error!(model = %id, %error, "a registered model is refused: not attested");
                self.shared.lock().refused.insert(id);
            }
            Err(error) => {
                let since = Instant::now();
                let failures = self.retries.get(&id).map_or(0, |retry| retry.failures);
                let failures = failures.saturating_add(1);
                self.retries.insert(id, Retry { failures, since });
                tracing::warn!(model = %id, %error, failures, "model not fetched yet");
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at every model that is not settled. Reads the disk: call it where that may block.
    fn survey(&self) -> Result<Survey, LibraryError> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        self.unsettle_lost(inner)?;
        let entries = inner.catalog.read(&self.chain, &inner.settled)?;
        let mut budget = self.held_bytes()?;
        let (mut survey, mut standings) = (Survey::default(), Vec::new());
        for entry in entries {
            let here = self.models.store().size_bytes(entry.id)?.is_some();
            let standing = match here {
                true => self.held(inner, &entry, budget, &mut survey)?,
                false => self.absent(inner, &entry, &mut budget, &mut survey),
            };
            if let Some(standing) = standing {
                standings.push((entry, standing));
            }
        }
        inner.standings = standings;
        if let Some(desk) = &mut inner.desk {
            // What was found about models is not lost for it.
            match desk.accuse() {
                Ok(sent) => survey.send.extend(sent),
                Err(error) => tracing::warn!(%error, "evidence not looked at"),
            }
        }
        Ok(survey)
    }

    /// Looks again for models whose bytes were here and are no more, because they were damaged.
    fn unsettle_lost(&self, inner: &mut Inner) -> Result<(), LibraryError> {
        let mut lost = Vec::new();
        for id in &inner.settled {
            if self.models.store().size_bytes(*id)?.is_none() {
                lost.push(*id);
            }
        }
        for id in lost {
            inner.settled.remove(&id);
        }
        Ok(())
    }

    /// Attests to a model that is here; `None` when it is settled.
    fn held(
        &self,
        inner: &mut Inner,
        entry: &Entry,
        held_bytes: u64,
        survey: &mut Survey,
    ) -> Result<Option<Standing>, LibraryError> {
        let others = held_bytes.saturating_sub(entry.size_bytes);
        if !needed(entry.status) && !self.policy.takes(entry.id, entry.size_bytes, others) {
            return Ok(Some(Standing::Unwanted));
        }
        let registry = inner.catalog.registry();
        let mut promise = Promise::Settled;
        if let Some(desk) = &mut inner.desk {
            let summary = match entry.summary.clone() {
                None => self.models.find(entry.id)?.map(|held| held.summary()),
                known => known,
            };
            if let Some(summary) = summary {
                promise = desk.attest(registry, entry.id, summary)?;
            }
        }
        match promise {
            Promise::Settled if needed(entry.status) => {
                inner.settled.insert(entry.id);
                Ok(None)
            }
            Promise::Settled | Promise::Waiting => Ok(Some(Standing::Held)),
            Promise::Sent(bytes) => {
                survey.send.push(bytes);
                Ok(Some(Standing::Held))
            }
        }
    }

    /// Decides whether a model that is not here is fetched.
    fn absent(
        &self,
        inner: &Inner,
        entry: &Entry,
        held_bytes: &mut u64,
        survey: &mut Survey,
    ) -> Option<Standing> {
        if inner.refused.contains(&entry.id) {
            return Some(Standing::Refused);
        }
        let needed = needed(entry.status);
        let offered = entry.status == Status::Pending
            && self.policy.takes(entry.id, entry.size_bytes, *held_bytes);
        if !needed && !offered {
            return Some(Standing::Unwanted);
        }
        *held_bytes = held_bytes.saturating_add(entry.size_bytes);
        survey.wanted.push((entry.id, needed));
        Some(Standing::Wanted)
    }

    /// Adds up what is here, where the policy asks.
    fn held_bytes(&self) -> Result<u64, LibraryError> {
        let Policy::UpTo(_) = self.policy else {
            return Ok(0);
        };
        let store = self.models.store();
        let mut sizes = store.ids()?.into_iter().map(|id| store.size_bytes(id));
        sizes.try_fold(
            0_u64,
            |sum, size| Ok(sum.saturating_add(size?.unwrap_or(0))),
        )
    }
}

/// Tells whether blocks need a model's bytes.
const fn needed(status: Status) -> bool {
    matches!(status, Status::Active | Status::Scheduled)
}

/// Fetches a model, loads it and replays its samples.
async fn fetch(network: Network, models: Arc<Models>, id: B256) -> Result<(), Failed> {
    let sink = Box::new(StagingSink::new(Arc::clone(&models), id));
    network.fetch_model(id, sink).await?;
    let committed = spawn_blocking(move || models.commit_upload(id)).await;
    committed.map_err(|_| Failed::Thread)??;
    Ok(())
}
