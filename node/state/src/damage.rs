//! What anybody who can write the database's file can do to it: for showing, and for testing, that
//! it is noticed.

use alloy_primitives::{Address, U256};

use crate::{StateError, Store, codec::slot_key, tables};

impl Store {
    /// Overwrites one word of a contract's storage, and nothing that depends on it: neither the
    /// state root nor the history. No part of a node calls this.
    ///
    /// # Errors
    /// When the store cannot be written, or the contract has no such word.
    pub fn damage(&self, contract: Address, slot: U256, word: U256) -> Result<(), StateError> {
        let write = self.begin()?;
        {
            let mut storage = write.open_table(tables::STORAGE)?;
            let before = storage.insert(slot_key(contract, slot), word.to_be_bytes::<32>())?;
            if before.is_none() {
                return Err(StateError::Corrupt("there is no such word to overwrite"));
            }
        }
        write.commit()?;
        Ok(())
    }
}
