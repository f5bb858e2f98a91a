//! What the chain says of models: registrations from the registry's events, standing from its
//! storage. Reads only; made anew after a restart.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256};
use alloy_sol_types::SolEvent as _;
use assay_chain::{Chain, ChainError, Held, ModelError, registry};
use assay_precompile::registry::Status;
use assay_state::{LogQuery, StateError, StateSnapshot};
use assay_types::contracts::{IModelRegistry, Summary};

/// Registrations remembered. Each cost a deposit; the oldest that are not active give way.
const REGISTRATIONS_MAX: usize = 65_536;
/// Active models read from storage at a time.
const ACTIVE_STEP: u64 = 256;

/// Says why the library cannot read what it needs. This machine is at fault.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// The chain failed.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The state failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// The model store failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The model store cannot be read.
    #[error("model store: {0}")]
    Store(#[from] std::io::Error),
}

/// A model of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: B256,
    /// Where it stands for the next block.
    pub status: Status,
    /// Bytes of its files.
    pub size_bytes: u64,
    /// Under which summary it was registered, when that is the manifest's; `None` for a model of
    /// the genesis, or of before the snapshot this node began with.
    pub summary: Option<Summary>,
}

/// The registry, read block after block.
#[derive(Debug)]
pub(crate) struct Catalog {
    registry: Address,
    /// Blocks whose events were read.
    scanned: u64,
    registered: BTreeMap<B256, Registered>,
    /// Models that reached the quorum, in that order, and the same to look them up.
    active: Vec<B256>,
    is_active: BTreeSet<B256>,
}

#[derive(Debug, Clone)]
struct Registered {
    height: u64,
    summary: Summary,
}

impl Catalog {
    /// Makes an empty catalog of a registry.
    pub(crate) const fn new(registry: Address) -> Self {
        Self {
            registry,
            scanned: 0,
            registered: BTreeMap::new(),
            active: Vec::new(),
            is_active: BTreeSet::new(),
        }
    }

    /// Returns the registry.
    pub(crate) const fn registry(&self) -> Address {
        self.registry
    }

    /// Reads on to the newest block and lists the models: active ones in the order they became so,
    /// then registered ones in the order they were. Models that are settled are left out.
    pub(crate) fn read(
        &mut self,
        chain: &Chain,
        settled: &BTreeSet<B256>,
    ) -> Result<Vec<Entry>, LibraryError> {
        let tip = self.scan(chain)?;
        let reader = chain.reader()?;
        let state = reader.state(tip)?;
        self.read_active(&state)?;
        let mut entries = Vec::new();
        for id in self.active.iter().filter(|id| !settled.contains(*id)) {
            entries.push(self.entry(&state, *id, tip)?);
        }
        let mut waiting: Vec<(u64, B256)> = self
            .registered
            .iter()
            .map(|(id, registered)| (registered.height, *id))
            .filter(|(_, id)| !self.is_active.contains(id))
            .collect();
        waiting.sort_unstable();
        for (_, id) in waiting {
            entries.push(self.entry(&state, id, tip)?);
        }
        Ok(entries)
    }

    fn entry(&self, state: &StateSnapshot, id: B256, tip: u64) -> Result<Entry, LibraryError> {
        let record = registry::record(state, self.registry, id)?;
        let summary = self
            .registered
            .get(&id)
            .map(|registered| registered.summary.clone());
        Ok(Entry {
            id,
            status: record.status(tip.saturating_add(1)),
            size_bytes: summary
                .as_ref()
                .map_or(record.size_bytes, |summary| summary.size),
            summary,
        })
    }

    /// Reads the events of blocks that were not read.
    fn scan(&mut self, chain: &Chain) -> Result<u64, LibraryError> {
        let reader = chain.reader()?;
        let tip = reader.tip();
        if tip < self.scanned {
            // A developer's chain went back.
            *self = Self::new(self.registry);
        }
        let query = LogQuery {
            addresses: [self.registry].into(),
            topics: [
                [IModelRegistry::ModelRegistered::SIGNATURE_HASH].into(),
                Default::default(),
                Default::default(),
                Default::default(),
            ],
        };
        let first = self.scanned.saturating_add(1);
        if first > tip {
            return Ok(tip);
        }
        for number in reader.blocks_with_logs(&query, first, tip)? {
            let receipts = reader.receipts(number)?.unwrap_or_default();
            let logs = receipts.iter().flat_map(|receipt| receipt.logs());
            for log in logs.filter(|log| query.matches(log)) {
                if let Ok(event) = IModelRegistry::ModelRegistered::decode_log_data(&log.data) {
                    self.learn(number, &event);
                }
            }
        }
        self.scanned = tip;
        Ok(tip)
    }

    /// Keeps a registration whose summary is the manifest's: no other is ever attested to.
    fn learn(&mut self, height: u64, event: &IModelRegistry::ModelRegistered) {
        let held = match Held::of_manifest(&event.manifest) {
            Ok(held) if held.id == event.model => held,
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(model = %event.model, %error, "registered manifest is refused");
                return;
            }
        };
        let summary = held.summary();
        if summary.key(held.id) != event.summaryHash {
            tracing::warn!(model = %held.id, "registered summary is not the manifest's");
            return;
        }
        if self.registered.len() >= REGISTRATIONS_MAX {
            let oldest = self.registered.iter();
            let oldest = oldest.filter(|(id, _)| !self.is_active.contains(*id));
            let oldest = oldest.min_by_key(|(_, registered)| registered.height);
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                self.registered.remove(&oldest);
            }
        }
        self.registered
            .insert(held.id, Registered { height, summary });
    }

    /// Reads the list of active models from where it ended; it only ever grows.
    fn read_active(&mut self, state: &StateSnapshot) -> Result<(), LibraryError> {
        loop {
            let first = self.active.len() as u64;
            let more = registry::active_models(state, self.registry, first, ACTIVE_STEP)?;
            if more.is_empty() {
                return Ok(());
            }
            self.is_active.extend(&more);
            self.active.extend(more);
        }
    }
}
