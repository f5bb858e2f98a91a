//! Snapshots: points a test suite goes back to.

use std::{collections::BTreeMap, sync::PoisonError};

use assay_state::Savepoint;

use crate::{Dev, DevError, Settings};

/// The snapshots taken so far. Each keeps the store from using again what blocks after it replace, so
/// none is taken unasked.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    taken: BTreeMap<u64, (Savepoint, Settings)>,
    next_id: u64,
}

impl Dev {
    /// Takes a snapshot and returns its id.
    ///
    /// # Errors
    /// When the store fails.
    pub fn snapshot(&self) -> Result<u64, DevError> {
        let _mining = self.lock_mining();
        let savepoint = self.chain().savepoint()?;
        let settings = self.settings();
        let mut snapshots = self
            .snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let id = snapshots.next_id;
        snapshots.next_id += 1;
        snapshots.taken.insert(id, (savepoint, settings));
        Ok(id)
    }

    /// Goes back to a snapshot; it and later ones are gone. Returns whether there was one.
    ///
    /// # Errors
    /// When the store fails.
    pub fn revert(&self, id: u64) -> Result<bool, DevError> {
        let _mining = self.lock_mining();
        let mut snapshots = self
            .snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut later = snapshots.taken.split_off(&id);
        let Some((savepoint, settings)) = later.remove(&id) else {
            snapshots.taken.append(&mut later);
            return Ok(false);
        };
        self.chain().restore(&savepoint)?;
        self.pool().clear();
        *self.lock_settings() = settings;
        Ok(true)
    }

    /// Goes back to the first block.
    ///
    /// # Errors
    /// When another process began the chain, or the store fails.
    pub fn reset(&self) -> Result<(), DevError> {
        let genesis = self.genesis.as_ref().ok_or(DevError::BegunElsewhere)?;
        let _mining = self.lock_mining();
        let mut snapshots = self
            .snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        snapshots.taken.clear();
        self.chain().reset(genesis)?;
        self.pool().clear();
        *self.lock_settings() = Settings::new(self.chain().head().header.gas_limit);
        Ok(())
    }
}
