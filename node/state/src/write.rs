//! Writes of one transaction: a block with its state, history and indexes.

use alloy_primitives::{Address, U256};
use alloy_rlp::Encodable;
use assay_types::{Account, AccountChange, Receipt, StateChanges};
use redb::{ReadableTable, Table, WriteTransaction};

use crate::{
    ExecutedBlock, StateError, TrieUpdate, chain,
    codec::{
        ChangedKeys, account_history_key, encode_account, log_address_key, log_topic_key, node_key,
        prefix_range, slot_key, storage_history_key,
    },
    pieces::write_update,
    tables::{self, meta},
    votes::drop_proposals,
};

/// Writes a block with all its execution left.
pub(crate) fn write_block(
    write: &WriteTransaction,
    commit: &ExecutedBlock<'_>,
) -> Result<(), StateError> {
    let block = commit.block;
    let number = block.header().number;
    write_state(write, number, commit.changes, commit.trie)?;
    let mut rlp = Vec::new();
    block.block().encode(&mut rlp);
    write
        .open_table(tables::BLOCKS)?
        .insert(number, rlp.as_slice())?;
    write
        .open_table(tables::HASHES)?
        .insert(number, block.hash().0)?;
    write
        .open_table(tables::NUMBERS)?
        .insert(block.hash().0, number)?;
    let senders = chain::encode_senders(block.senders());
    write
        .open_table(tables::SENDERS)?
        .insert(number, senders.as_slice())?;
    let receipts = chain::encode_receipts(commit.receipts);
    write
        .open_table(tables::RECEIPTS)?
        .insert(number, receipts.as_slice())?;
    if !commit.records.is_empty() {
        let records = chain::encode_records(commit.records);
        write
            .open_table(tables::RECORDS)?
            .insert(number, records.as_slice())?;
    }
    if !commit.requests.is_empty() {
        let requests = chain::encode_strings(commit.requests.iter().map(AsRef::as_ref));
        write
            .open_table(tables::REQUESTS)?
            .insert(number, requests.as_slice())?;
    }
    if let Some(certificate) = commit.certificate {
        write
            .open_table(tables::CERTIFICATES)?
            .insert(number, certificate.encode().as_slice())?;
        drop_proposals(write, number)?;
    }
    if let Some(update) = commit.set_update {
        write_update(write, update)?;
    }
    let mut places = write.open_table(tables::TRANSACTIONS)?;
    for (index, transaction) in (0_u32..).zip(&block.block().body.transactions) {
        places.insert(transaction.tx_hash().0, (number, index))?;
    }
    write_log_index(write, number, commit.receipts)?;
    let mut table = write.open_table(tables::META)?;
    table.insert(meta::TIP, number.to_be_bytes().as_slice())?;
    Ok(())
}

fn write_log_index(
    write: &WriteTransaction,
    number: u64,
    receipts: &[Receipt],
) -> Result<(), StateError> {
    let mut addresses = write.open_table(tables::LOG_ADDRESSES)?;
    let mut topics = write.open_table(tables::LOG_TOPICS)?;
    for log in receipts.iter().flat_map(|receipt| receipt.logs()) {
        addresses.insert(log_address_key(log.address, number), ())?;
        for (position, topic) in (0_u8..).zip(log.topics()) {
            topics.insert(log_topic_key(position, *topic, number), ())?;
        }
    }
    Ok(())
}

/// Writes a difference of states: flat tables, history, trie.
pub(crate) fn write_state(
    write: &WriteTransaction,
    number: u64,
    changes: &StateChanges,
    trie: &TrieUpdate,
) -> Result<(), StateError> {
    let mut code = write.open_table(tables::CODE)?;
    for (hash, bytes) in &changes.codes {
        code.insert(hash.0, bytes.as_ref())?;
    }
    let mut writer = StateWriter::open(write, number)?;
    for (address, change) in &changes.accounts {
        writer.write(*address, change)?;
    }
    let keys = writer.keys;
    write_changed_keys(write, number, keys)?;
    write_trie(write, trie)
}

/// Writes accounts and slots, and keeps what they were before the block.
struct StateWriter<'t> {
    number: u64,
    accounts: Table<'t, [u8; 20], &'static [u8]>,
    storage: Table<'t, [u8; tables::SLOT_KEY_BYTES], [u8; 32]>,
    account_history: Table<'t, [u8; 28], &'static [u8]>,
    storage_history: Table<'t, [u8; 60], [u8; 32]>,
    keys: ChangedKeys,
}

impl<'t> StateWriter<'t> {
    fn open(write: &'t WriteTransaction, number: u64) -> Result<Self, StateError> {
        Ok(Self {
            number,
            accounts: write.open_table(tables::ACCOUNTS)?,
            storage: write.open_table(tables::STORAGE)?,
            account_history: write.open_table(tables::ACCOUNT_HISTORY)?,
            storage_history: write.open_table(tables::STORAGE_HISTORY)?,
            keys: ChangedKeys::default(),
        })
    }

    fn write(&mut self, address: Address, change: &AccountChange) -> Result<(), StateError> {
        self.write_account(address, change.account.as_ref())?;
        if change.wiped || change.account.is_none() {
            self.wipe(address)?;
        }
        for (slot, value) in &change.storage {
            self.write_slot(address, *slot, *value)?;
        }
        Ok(())
    }

    fn write_account(
        &mut self,
        address: Address,
        account: Option<&Account>,
    ) -> Result<(), StateError> {
        let key = address.into_array();
        let old = match account {
            Some(account) => self
                .accounts
                .insert(key, encode_account(account).as_slice())?,
            None => self.accounts.remove(key)?,
        };
        let old = old.map(|old| old.value().to_vec()).unwrap_or_default();
        let history_key = account_history_key(address, self.number);
        // The oldest of the values a block overwrites is the one before the block.
        if self.account_history.get(history_key)?.is_none() {
            self.account_history.insert(history_key, old.as_slice())?;
        }
        self.keys.accounts.push(address);
        Ok(())
    }

    fn write_slot(&mut self, address: Address, slot: U256, value: U256) -> Result<(), StateError> {
        let key = slot_key(address, slot);
        let old = match value.is_zero() {
            true => self.storage.remove(key)?,
            false => self.storage.insert(key, value.to_be_bytes::<32>())?,
        };
        let old = old.map(|old| old.value()).unwrap_or_default();
        let history_key = storage_history_key(address, slot, self.number);
        if self.storage_history.get(history_key)?.is_none() {
            self.storage_history.insert(history_key, old)?;
        }
        self.keys.slots.push((address, slot));
        Ok(())
    }

    fn wipe(&mut self, address: Address) -> Result<(), StateError> {
        let mut slots = Vec::new();
        let range = prefix_range::<{ tables::SLOT_KEY_BYTES }>(address.as_slice());
        for entry in self.storage.range(range)? {
            slots.push(U256::from_be_slice(
                entry?.0.value().get(20..).unwrap_or_default(),
            ));
        }
        slots
            .into_iter()
            .try_for_each(|slot| self.write_slot(address, slot, U256::ZERO))
    }
}

/// Adds to the keys a block changed; a change outside blocks joins the newest block's.
fn write_changed_keys(
    write: &WriteTransaction,
    number: u64,
    mut keys: ChangedKeys,
) -> Result<(), StateError> {
    let mut table = write.open_table(tables::CHANGED)?;
    let before = table
        .get(number)?
        .map(|bytes| ChangedKeys::decode(bytes.value()))
        .transpose()?;
    if let Some(before) = before {
        keys.accounts.extend(before.accounts);
        keys.slots.extend(before.slots);
    }
    table.insert(number, keys.encode().as_slice())?;
    Ok(())
}

/// Writes a difference of tries.
pub(crate) fn write_trie(write: &WriteTransaction, update: &TrieUpdate) -> Result<(), StateError> {
    let mut table = write.open_table(tables::TRIE)?;
    for owner in &update.wiped {
        let range = prefix_range::<{ tables::NODE_KEY_BYTES }>(owner.as_slice());
        table.retain_in(range, |_, _| false)?;
    }
    for ((owner, hash), node) in &update.nodes {
        match node {
            Some(node) => {
                table.insert(node_key(*owner, *hash), node.as_slice())?;
            }
            None => {
                table.remove(node_key(*owner, *hash))?;
            }
        }
    }
    let mut meta_table = write.open_table(tables::META)?;
    meta_table.insert(meta::TRIE_ROOT, update.root.as_slice())?;
    Ok(())
}
