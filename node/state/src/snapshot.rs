//! The state after one block, as one moment of the store has it.

use alloy_consensus::constants::KECCAK_EMPTY;
use alloy_primitives::{Address, B256, Bytes, U256};
use assay_types::{Account, StateView};
use redb::{ReadOnlyTable, ReadTransaction};

use crate::{
    StateError,
    codec::{account_history_key, decode_account, slot_key, storage_history_key},
    tables,
};

/// The state after one block. Later commits do not change what it reads.
pub struct StateSnapshot {
    number: u64,
    accounts: ReadOnlyTable<[u8; 20], &'static [u8]>,
    storage: ReadOnlyTable<[u8; 52], [u8; 32]>,
    code: ReadOnlyTable<[u8; 32], &'static [u8]>,
    hashes: ReadOnlyTable<u64, [u8; 32]>,
    /// What later blocks overwrote; `None` when the state is the newest.
    history: Option<History>,
}

struct History {
    accounts: ReadOnlyTable<[u8; 28], &'static [u8]>,
    storage: ReadOnlyTable<[u8; 60], [u8; 32]>,
}

impl std::fmt::Debug for StateSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateSnapshot")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl StateSnapshot {
    /// Opens the state after block `number` of a store whose newest block is `tip`.
    pub(crate) fn open(
        transaction: &ReadTransaction,
        number: u64,
        tip: u64,
    ) -> Result<Self, StateError> {
        let history = match number < tip {
            true => Some(History {
                accounts: transaction.open_table(tables::ACCOUNT_HISTORY)?,
                storage: transaction.open_table(tables::STORAGE_HISTORY)?,
            }),
            false => None,
        };
        Ok(Self {
            number,
            accounts: transaction.open_table(tables::ACCOUNTS)?,
            storage: transaction.open_table(tables::STORAGE)?,
            code: transaction.open_table(tables::CODE)?,
            hashes: transaction.open_table(tables::HASHES)?,
            history,
        })
    }

    /// Returns the number of the block this state is after.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }
}

impl StateView for StateSnapshot {
    type Error = StateError;

    fn account(&self, address: Address) -> Result<Option<Account>, StateError> {
        if let Some(history) = &self.history {
            let first = account_history_key(address, self.number.saturating_add(1));
            let last = account_history_key(address, u64::MAX);
            if let Some(entry) = history.accounts.range(first..=last)?.next() {
                return decode_account(entry?.1.value());
            }
        }
        match self.accounts.get(address.into_array())? {
            Some(bytes) => decode_account(bytes.value()),
            None => Ok(None),
        }
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        if let Some(history) = &self.history {
            let first = storage_history_key(address, slot, self.number.saturating_add(1));
            let last = storage_history_key(address, slot, u64::MAX);
            if let Some(entry) = history.storage.range(first..=last)?.next() {
                return Ok(U256::from_be_bytes(entry?.1.value()));
            }
        }
        let value = self.storage.get(slot_key(address, slot))?;
        Ok(value.map_or(U256::ZERO, |value| U256::from_be_bytes(value.value())))
    }

    fn code(&self, hash: B256) -> Result<Bytes, StateError> {
        if hash == KECCAK_EMPTY || hash.is_zero() {
            return Ok(Bytes::new());
        }
        let code = self
            .code
            .get(hash.0)?
            .ok_or(StateError::MissingCode(hash))?;
        Ok(Bytes::copy_from_slice(code.value()))
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        if number > self.number {
            return Ok(B256::ZERO);
        }
        Ok(self
            .hashes
            .get(number)?
            .map_or(B256::ZERO, |hash| B256::new(hash.value())))
    }
}
