//! Snapshots: points a test suite goes back to.

use std::{collections::BTreeMap, sync::PoisonError};

use assay_state::Savepoint;

use crate::{Dev, DevError, Settings};

/// The snapshots taken so far, and the one of the start.
#[derive(Debug)]
pub(crate) struct Snapshots {
    taken: BTreeMap<u64, (Savepoint, Settings)>,
    next_id: u64,
    first: (Savepoint, Settings),
}

impl Snapshots {
    pub(crate) const fn new(first: Savepoint, settings: Settings) -> Self {
        Self {
            taken: BTreeMap::new(),
            next_id: 0,
            first: (first, settings),
        }
    }
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

    /// Goes back to the start of the process.
    ///
    /// # Errors
    /// When the store fails.
    pub fn reset(&self) -> Result<(), DevError> {
        let _mining = self.lock_mining();
        let mut snapshots = self
            .snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        snapshots.taken.clear();
        self.chain().restore(&snapshots.first.0)?;
        self.pool().clear();
        *self.lock_settings() = snapshots.first.1.clone();
        Ok(())
    }
}
