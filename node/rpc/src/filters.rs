//! Installed filters: what each watches and how far it was asked.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use alloy_rpc_types_eth::Filter;

/// What a filter watches.
#[derive(Debug, Clone)]
pub(crate) enum Watched {
    /// New blocks.
    Blocks,
    /// Transactions, as they get into blocks.
    Transactions,
    /// Logs.
    Logs(Box<Filter>),
}

/// The installed filters.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    installed: BTreeMap<U256, (Watched, u64)>,
    last_id: u64,
}

impl Filters {
    /// Installs a filter for what comes after block `head`; `None` when there are too many.
    pub(crate) fn install(&mut self, watched: Watched, head: u64, limit: usize) -> Option<U256> {
        if self.installed.len() >= limit {
            return None;
        }
        self.last_id += 1;
        let id = U256::from(self.last_id);
        self.installed.insert(id, (watched, head.saturating_add(1)));
        Some(id)
    }

    /// Returns what a filter watches and the first block not told yet, and moves it past `tip`.
    pub(crate) fn advance(&mut self, id: U256, tip: u64) -> Option<(Watched, u64)> {
        let (watched, next) = self.installed.get_mut(&id)?;
        let first = *next;
        // A chain taken back to a snapshot is shorter than what was told.
        *next = tip.saturating_add(1);
        Some((watched.clone(), first))
    }

    /// Returns what a filter watches.
    pub(crate) fn get(&self, id: U256) -> Option<Watched> {
        self.installed.get(&id).map(|(watched, _)| watched.clone())
    }

    /// Removes a filter and tells whether there was one.
    pub(crate) fn uninstall(&mut self, id: U256) -> bool {
        self.installed.remove(&id).is_some()
    }
}
