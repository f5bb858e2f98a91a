//! Installed filters: what each watches and how far it was asked.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use alloy_primitives::U256;
use alloy_rpc_types_eth::Filter;

/// A filter nobody asked for so long makes room for a new one, as in geth.
const IDLE_LIMIT: Duration = Duration::from_secs(300);

/// What a filter watches.
#[derive(Debug, Clone)]
pub(crate) enum Watched {
    /// New blocks.
    Blocks,
    /// Transactions, as they come to wait for a block.
    Transactions,
    /// Logs.
    Logs(Box<Filter>),
}

#[derive(Debug)]
struct Installed {
    watched: Watched,
    /// The first block, or for transactions the first arrival, not told yet.
    next: u64,
    asked: Instant,
}

/// The installed filters.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    installed: BTreeMap<U256, Installed>,
    last_id: u64,
}

impl Filters {
    /// Installs a filter for what comes from `next` on; `None` when there are too many in use.
    pub(crate) fn install(&mut self, watched: Watched, next: u64, limit: usize) -> Option<U256> {
        let now = Instant::now();
        if self.installed.len() >= limit {
            self.installed
                .retain(|_, filter| now.duration_since(filter.asked) < IDLE_LIMIT);
        }
        if self.installed.len() >= limit {
            return None;
        }
        self.last_id += 1;
        let id = U256::from(self.last_id);
        let filter = Installed {
            watched,
            next,
            asked: now,
        };
        self.installed.insert(id, filter);
        Some(id)
    }

    /// Returns where a filter was and moves it to `next`.
    pub(crate) fn advance(&mut self, id: U256, next: u64) -> Option<u64> {
        let filter = self.installed.get_mut(&id)?;
        filter.asked = Instant::now();
        // A chain taken back to a snapshot is shorter than what was told.
        Some(std::mem::replace(&mut filter.next, next))
    }

    /// Returns what a filter watches.
    pub(crate) fn get(&self, id: U256) -> Option<Watched> {
        self.installed.get(&id).map(|filter| filter.watched.clone())
    }

    /// Removes a filter and tells whether there was one.
    pub(crate) fn uninstall(&mut self, id: U256) -> bool {
        self.installed.remove(&id).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_in_use_keeps_its_place() {
        let mut filters = Filters::default();
        let id = filters.install(Watched::Blocks, 5, 1).unwrap();
        assert!(filters.install(Watched::Blocks, 5, 1).is_none());
        assert_eq!(filters.advance(id, 9), Some(5));
        assert_eq!(filters.advance(id, 9), Some(9));
        assert!(filters.uninstall(id));
        assert!(!filters.uninstall(id));
        assert!(filters.install(Watched::Blocks, 5, 1).is_some());
    }
}
