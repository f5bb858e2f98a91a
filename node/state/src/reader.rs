//! Reads of one moment of the store: blocks, transactions, receipts, records, states, proofs.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rlp::Decodable;
use assay_types::{
    Account, AccountChange, Header, InferenceRecord, Receipt, StateChanges, StateView,
};
use redb::{ReadTransaction, ReadableTable};

use crate::{
    AccountProof, StateError, StateSnapshot, StoredBlock, TransactionPlace, chain,
    codec::{ChangedKeys, prefix_range},
    tables::{self, meta},
    trie::StateTrie,
};

/// One moment of the store. Commits made after it was taken do not show in it.
pub struct Reader {
    pub(crate) transaction: ReadTransaction,
    tip: u64,
    first_state: u64,
    first_block: u64,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("tip", &self.tip)
            .finish_non_exhaustive()
    }
}

impl Reader {
    pub(crate) fn new(transaction: ReadTransaction) -> Result<Self, StateError> {
        let meta = transaction.open_table(tables::META)?;
        let tip = read_u64(&meta, meta::TIP)?;
        let first_state = read_u64(&meta, meta::FIRST_STATE)?;
        let first_block = match meta.get(meta::FIRST_BLOCK)? {
            Some(_) => read_u64(&meta, meta::FIRST_BLOCK)?,
            None => 1,
        };
        Ok(Self {
            transaction,
            tip,
            first_state,
            first_block,
        })
    }

    /// Returns the number of the newest block.
    #[must_use]
    pub const fn tip(&self) -> u64 {
        self.tip
    }

    /// Returns the number of the oldest block whose state can be read.
    #[must_use]
    pub const fn first_state(&self) -> u64 {
        self.first_state
    }

    /// Returns the number of the oldest block kept after the first one: above 1 in a store that
    /// began with a snapshot.
    #[must_use]
    pub const fn first_block(&self) -> u64 {
        self.first_block
    }

    /// Returns the number from which on every block is kept: 0, or [`Self::first_block`] in a store
    /// that began with a snapshot.
    #[must_use]
    pub const fn oldest_block(&self) -> u64 {
        match self.first_block {
            1 => 0,
            later => later,
        }
    }

    /// Opens the state after a block.
    ///
    /// # Errors
    /// When that state is not kept, or the store cannot be read.
    pub fn state(&self, number: u64) -> Result<StateSnapshot, StateError> {
        self.require_state(number)?;
        StateSnapshot::open(&self.transaction, number, self.tip)
    }

    /// Reads a block by number.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn block(&self, number: u64) -> Result<Option<StoredBlock>, StateError> {
        let Some(hash) = self.hash(number)? else {
            return Ok(None);
        };
        let Some(block) = self.bytes(tables::BLOCKS, number)? else {
            return Ok(None);
        };
        let senders = self.bytes(tables::SENDERS, number)?.unwrap_or_default();
        Ok(Some(StoredBlock {
            block: chain::decode_block(&block)?,
            hash,
            senders: chain::decode_senders(&senders),
        }))
    }

    /// Reads only the header of a block.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn header(&self, number: u64) -> Result<Option<Header>, StateError> {
        let Some(block) = self.bytes(tables::BLOCKS, number)? else {
            return Ok(None);
        };
        let mut rest: &[u8] = &block;
        let list = alloy_rlp::Header::decode(&mut rest);
        let header = list.and_then(|_| Header::decode(&mut rest));
        header.map(Some).map_err(|_| StateError::Corrupt("block"))
    }

    /// Reads a block's RLP.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn block_rlp(&self, number: u64) -> Result<Option<Bytes>, StateError> {
        Ok(self.bytes(tables::BLOCKS, number)?.map(Bytes::from))
    }

    /// Reads the hash of a block.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn hash(&self, number: u64) -> Result<Option<B256>, StateError> {
        let table = self.transaction.open_table(tables::HASHES)?;
        Ok(table.get(number)?.map(|hash| B256::new(hash.value())))
    }

    /// Finds a block's number by its hash.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn number(&self, hash: B256) -> Result<Option<u64>, StateError> {
        let table = self.transaction.open_table(tables::NUMBERS)?;
        Ok(table.get(hash.0)?.map(|number| number.value()))
    }

    /// Reads the receipts of a block.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn receipts(&self, number: u64) -> Result<Option<Vec<Receipt>>, StateError> {
        let bytes = self.bytes(tables::RECEIPTS, number)?;
        bytes
            .map(|bytes| chain::decode_receipts(&bytes))
            .transpose()
    }

    /// Reads the inference records of a block.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn records(&self, number: u64) -> Result<Vec<InferenceRecord>, StateError> {
        let bytes = self.bytes(tables::RECORDS, number)?.unwrap_or_default();
        chain::decode_records(&bytes)
    }

    /// Reads the EIP-7685 requests of a block, type bytes included.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn requests(&self, number: u64) -> Result<Vec<Bytes>, StateError> {
        let bytes = self.bytes(tables::REQUESTS, number)?;
        bytes.map_or(Ok(Vec::new()), |bytes| chain::decode_strings(&bytes))
    }

    /// Finds where a transaction stands.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn place(&self, transaction: B256) -> Result<Option<TransactionPlace>, StateError> {
        let table = self.transaction.open_table(tables::TRANSACTIONS)?;
        Ok(table.get(transaction.0)?.map(|place| {
            let (number, index) = place.value();
            TransactionPlace { number, index }
        }))
    }

    /// Proves an account and some of its slots in the state after a block.
    ///
    /// # Errors
    /// When that state is not kept, or the store cannot be read.
    pub fn prove(
        &self,
        number: u64,
        address: Address,
        slots: &[U256],
    ) -> Result<AccountProof, StateError> {
        self.require_state(number)?;
        let mut trie = self.trie()?;
        if number < self.tip {
            trie.apply(&self.changes_back_to(number)?)?;
        }
        trie.prove(address, slots)
    }

    /// Computes the root of the state after a block with changes on top.
    ///
    /// # Errors
    /// When that state is not kept, or the store cannot be read.
    pub fn root(&self, number: u64, changes: &StateChanges) -> Result<B256, StateError> {
        self.require_state(number)?;
        let mut trie = self.trie()?;
        if number < self.tip {
            trie.apply(&self.changes_back_to(number)?)?;
        }
        trie.apply(changes)
    }

    /// Lists all slots of an account in the newest state, in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn storage_of(&self, address: Address) -> Result<Vec<(U256, U256)>, StateError> {
        let table = self.transaction.open_table(tables::STORAGE)?;
        table
            .range(prefix_range::<{ tables::SLOT_KEY_BYTES }>(
                address.as_slice(),
            ))?
            .map(|entry| {
                let (key, value) = entry?;
                Ok((
                    slot_of_key(&key.value()),
                    U256::from_be_bytes(value.value()),
                ))
            })
            .collect()
    }

    /// Lists all slots of an account that hold something in the newest state or did in one that is
    /// kept; `None` when they are more than `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn slots_ever_used(
        &self,
        address: Address,
        limit: usize,
    ) -> Result<Option<BTreeSet<U256>>, StateError> {
        let mut slots = BTreeSet::new();
        let prefix = address.as_slice();
        let now = self.transaction.open_table(tables::STORAGE)?;
        for entry in now.range(prefix_range::<{ tables::SLOT_KEY_BYTES }>(prefix))? {
            slots.insert(slot_of_key(&entry?.0.value()));
            if slots.len() > limit {
                return Ok(None);
            }
        }
        let before = self.transaction.open_table(tables::STORAGE_HISTORY)?;
        for entry in before.range(prefix_range::<60>(prefix))? {
            slots.insert(slot_of_key(&entry?.0.value()));
            if slots.len() > limit {
                return Ok(None);
            }
        }
        Ok(Some(slots))
    }

    /// Lists all accounts of the newest state, in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn accounts(&self) -> Result<Vec<(Address, Account)>, StateError> {
        let table = self.transaction.open_table(tables::ACCOUNTS)?;
        let mut accounts = Vec::new();
        for entry in table.iter()? {
            let (address, account) = entry?;
            if let Some(account) = crate::codec::decode_account(account.value())? {
                accounts.push((Address::new(address.value()), account));
            }
        }
        Ok(accounts)
    }

    pub(crate) fn trie(&self) -> Result<StateTrie, StateError> {
        StateTrie::newest(&self.transaction)
    }

    /// Lists what takes the newest state back to the one after block `number`.
    fn changes_back_to(&self, number: u64) -> Result<StateChanges, StateError> {
        let snapshot = StateSnapshot::open(&self.transaction, number, self.tip)?;
        let changed = self.transaction.open_table(tables::CHANGED)?;
        let mut changes = StateChanges::default();
        for entry in changed.range(number.saturating_add(1)..=self.tip)? {
            let keys = ChangedKeys::decode(entry?.1.value())?;
            let addresses = keys
                .slots
                .iter()
                .map(|(address, _)| address)
                .chain(&keys.accounts);
            for address in addresses {
                if !changes.accounts.contains_key(address) {
                    let account = snapshot.account(*address)?;
                    let change = AccountChange {
                        account,
                        wiped: false,
                        storage: Default::default(),
                    };
                    changes.accounts.insert(*address, change);
                }
            }
            for (address, slot) in keys.slots {
                let value = snapshot.storage(address, slot)?;
                if let Some(change) = changes.accounts.get_mut(&address) {
                    change.storage.insert(slot, value);
                }
            }
        }
        Ok(changes)
    }

    fn require_state(&self, number: u64) -> Result<(), StateError> {
        match (self.first_state..=self.tip).contains(&number) {
            true => Ok(()),
            false => Err(StateError::NoState {
                number,
                first: self.first_state,
                last: self.tip,
            }),
        }
    }

    pub(crate) fn open<K: redb::Key + 'static, V: redb::Value + 'static>(
        &self,
        table: redb::TableDefinition<'_, K, V>,
    ) -> Result<redb::ReadOnlyTable<K, V>, StateError> {
        Ok(self.transaction.open_table(table)?)
    }

    pub(crate) fn bytes(
        &self,
        table: redb::TableDefinition<'_, u64, &'static [u8]>,
        number: u64,
    ) -> Result<Option<Vec<u8>>, StateError> {
        let table = self.transaction.open_table(table)?;
        Ok(table.get(number)?.map(|bytes| bytes.value().to_vec()))
    }
}

/// Reads the slot out of a key that begins with an address and a slot.
fn slot_of_key(key: &[u8]) -> U256 {
    U256::from_be_slice(key.get(20..52).unwrap_or_default())
}

fn read_u64(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
    name: &str,
) -> Result<u64, StateError> {
    let value = meta.get(name)?.ok_or(StateError::Corrupt("meta table"))?;
    let bytes: [u8; 8] = value
        .value()
        .try_into()
        .map_err(|_| StateError::Corrupt("meta table"))?;
    Ok(u64::from_be_bytes(bytes))
}
