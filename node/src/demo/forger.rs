//! A validator's operator who writes into his own database: the node's code stays as it is.

use std::path::Path;

use alloy_primitives::{Address, U256};
use redb::{Database, TableDefinition};

use crate::cli::Failure;

/// Words of contracts' storage by address and slot, as node/state keeps them.
const STORAGE: TableDefinition<'_, [u8; 52], [u8; 32]> = TableDefinition::new("storage");

/// Overwrites one word of a contract's storage, and nothing that depends on it.
pub(super) fn overwrite(
    data: &Path,
    contract: Address,
    slot: U256,
    value: U256,
) -> Result<(), Failure> {
    let path = data.join("chain.redb");
    let failed =
        |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", path.display()));
    let database = Database::open(&path).map_err(|error| failed(&error))?;
    let write = database.begin_write().map_err(|error| failed(&error))?;
    {
        let mut table = write.open_table(STORAGE).map_err(|error| failed(&error))?;
        let mut key = [0; 52];
        let (place, word) = key.split_at_mut(20);
        place.copy_from_slice(contract.as_slice());
        word.copy_from_slice(&slot.to_be_bytes::<32>());
        let before = table.insert(key, value.to_be_bytes::<32>());
        if before.map_err(|error| failed(&error))?.is_none() {
            return Err(failed(&"the database has no such word: its layout changed"));
        }
    }
    write.commit().map_err(|error| failed(&error))
}
