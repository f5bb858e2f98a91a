//! Pruning: what is needed only to read states older than the operator keeps.

use redb::{ReadableTable as _, WriteTransaction};

use crate::{
    StateError,
    codec::{ChangedKeys, account_history_key, storage_history_key},
    tables::{self, meta},
};

/// Blocks pruned by one commit: a store that kept everything so far catches up little by little.
const BLOCKS_AT_A_TIME: u64 = 64;

/// Drops the history that only states more than `keep` blocks before the newest need. Blocks,
/// receipts and records stay.
pub(crate) fn prune(write: &WriteTransaction, tip: u64, keep: u64) -> Result<(), StateError> {
    let mut table = write.open_table(tables::META)?;
    let first = table
        .get(meta::FIRST_STATE)?
        .and_then(|bytes| bytes.value().try_into().ok())
        .map(u64::from_be_bytes)
        .ok_or(StateError::Corrupt("number of the oldest state"))?;
    let last = tip
        .saturating_sub(keep)
        .min(first.saturating_add(BLOCKS_AT_A_TIME));
    if last <= first {
        return Ok(());
    }
    let mut changed = write.open_table(tables::CHANGED)?;
    let mut accounts = write.open_table(tables::ACCOUNT_HISTORY)?;
    let mut storage = write.open_table(tables::STORAGE_HISTORY)?;
    // The state after `last` needs what later blocks overwrote, nothing before.
    for number in first..=last {
        let Some(keys) = changed.remove(number)? else {
            continue;
        };
        let keys = ChangedKeys::decode(keys.value())?;
        for address in keys.accounts {
            accounts.remove(account_history_key(address, number))?;
        }
        for (address, slot) in keys.slots {
            storage.remove(storage_history_key(address, slot, number))?;
        }
    }
    table.insert(meta::FIRST_STATE, last.to_be_bytes().as_slice())?;
    Ok(())
}
