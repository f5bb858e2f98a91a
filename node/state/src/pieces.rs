//! What a store can begin with instead of a chain's first state: the newest state in pieces, the
//! newest blocks whole, and the proofs of the validator sets so far.

use std::ops::RangeInclusive;

use alloy_consensus::constants::EMPTY_ROOT_HASH;
use alloy_primitives::{Address, Bytes, U256};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use assay_types::{
    Account, Block, Certificate, InferenceRecord, Receipt, RecoveredBlock, SetUpdate, StateChanges,
};
use redb::{ReadableTable as _, WriteTransaction};

use crate::{
    ExecutedBlock, Reader, StateError, Store, TrieUpdate, chain,
    codec::{decode_account, encode_account, slot_key},
    store::write_first,
    tables::{self, meta},
    write::{write_block, write_trie},
};

/// Slots that one piece holds at most.
pub const SLOTS_A_PIECE: usize = 8_192;

/// A part of a state. Codes come first, and an account's slots right after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A code that accounts may have.
    Code(Bytes),
    /// An account.
    Account(Address, Account),
    /// Slots of the last account.
    Slots(Vec<(U256, U256)>),
}

/// A block with all its execution left, apart from the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptBlock {
    /// The block.
    pub block: Block,
    /// Receipts of its transactions.
    pub receipts: Vec<Receipt>,
    /// Inference calls it made.
    pub records: Vec<InferenceRecord>,
    /// Its EIP-7685 requests.
    pub requests: Vec<Bytes>,
    /// What decided it: of the newest block only, which it proves with all before it.
    pub certificate: Option<Certificate>,
}

/// The form of a [`KeptBlock`] in bytes.
#[derive(RlpEncodable, RlpDecodable)]
struct KeptBytes {
    block: Bytes,
    receipts: Bytes,
    records: Bytes,
    requests: Bytes,
    certificate: Bytes,
}

impl KeptBlock {
    /// Encodes as RLP.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let bytes = KeptBytes {
            block: alloy_rlp::encode(&self.block).into(),
            receipts: chain::encode_receipts(&self.receipts).into(),
            records: chain::encode_records(&self.records).into(),
            requests: chain::encode_strings(self.requests.iter().map(AsRef::as_ref)).into(),
            certificate: match &self.certificate {
                Some(certificate) => certificate.encode().into(),
                None => Bytes::new(),
            },
        };
        alloy_rlp::encode(bytes)
    }

    /// Decodes what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// With the part that does not decode.
    pub fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let parts = alloy_rlp::decode_exact::<KeptBytes>(bytes)
            .map_err(|_| StateError::Corrupt("block"))?;
        let certificate = match parts.certificate.is_empty() {
            true => None,
            false => Some(
                Certificate::decode(&parts.certificate)
                    .map_err(|_| StateError::Corrupt("certificate"))?,
            ),
        };
        Ok(Self {
            block: chain::decode_block(&parts.block)?,
            receipts: chain::decode_receipts(&parts.receipts)?,
            records: chain::decode_records(&parts.records)?,
            requests: chain::decode_strings(&parts.requests)?,
            certificate,
        })
    }
}

impl Reader {
    /// Gives the newest state away piece by piece.
    ///
    /// # Errors
    /// When the store cannot be read, or with the receiver's error.
    pub fn pieces<E: From<StateError>>(
        &self,
        mut give: impl FnMut(Piece) -> Result<(), E>,
    ) -> Result<(), E> {
        for entry in self.open(tables::CODE)?.iter().map_err(StateError::from)? {
            let (_, code) = entry.map_err(StateError::from)?;
            give(Piece::Code(Bytes::copy_from_slice(code.value())))?;
        }
        let accounts = self.open(tables::ACCOUNTS)?;
        for entry in accounts.iter().map_err(StateError::from)? {
            let (address, account) = entry.map_err(StateError::from)?;
            let address = Address::new(address.value());
            let Some(account) = decode_account(account.value())? else {
                continue;
            };
            give(Piece::Account(address, account))?;
            let slots = self.storage_of(address)?;
            for part in slots.chunks(SLOTS_A_PIECE) {
                give(Piece::Slots(part.to_vec()))?;
            }
        }
        Ok(())
    }

    /// Reads a block with all its execution left, and of the newest one what decided it; `None`
    /// when it is not kept.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn kept(&self, number: u64) -> Result<Option<KeptBlock>, StateError> {
        let Some(stored) = self.block(number)? else {
            return Ok(None);
        };
        let certificate = match number == self.tip() {
            true => self.certificate(number)?,
            false => None,
        };
        Ok(Some(KeptBlock {
            block: stored.block,
            receipts: self.receipts(number)?.unwrap_or_default(),
            records: self.records(number)?,
            requests: self.requests(number)?,
            certificate,
        }))
    }

    /// Reads the proof that a block is the last of its validator set; `None` when it is not.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn set_update(&self, number: u64) -> Result<Option<SetUpdate>, StateError> {
        let bytes = self.bytes(tables::SET_UPDATES, number)?;
        bytes.map(|bytes| decode_update(&bytes)).transpose()
    }

    /// Reads the proofs of all sets that followed the first one, in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn set_updates(&self) -> Result<Vec<SetUpdate>, StateError> {
        let table = self.open(tables::SET_UPDATES)?;
        table
            .iter()?
            .map(|entry| decode_update(entry?.1.value()))
            .collect()
    }
}

impl Store {
    /// Adds to the state of a store that has no block yet, and answers the root so far.
    ///
    /// # Errors
    /// When the store has a block already, or cannot be written.
    pub fn fill(&self, changes: &StateChanges) -> Result<TrieUpdate, StateError> {
        self.require_empty()?;
        let trie = self.root(changes)?;
        let write = self.begin()?;
        write_flat(&write, changes)?;
        write_trie(&write, &trie)?;
        write.commit()?;
        Ok(TrieUpdate {
            root: trie.root,
            ..TrieUpdate::default()
        })
    }

    /// Adds a block to a store that has no first one yet, before its state is filled in.
    ///
    /// # Errors
    /// When the store has a first block already, or cannot be written.
    pub fn fill_block(&self, block: &RecoveredBlock, kept: KeptBlock) -> Result<(), StateError> {
        self.require_empty()?;
        let write = self.begin()?;
        let executed = ExecutedBlock {
            block,
            changes: &StateChanges::default(),
            trie: &TrieUpdate {
                root: EMPTY_ROOT_HASH,
                ..TrieUpdate::default()
            },
            receipts: &kept.receipts,
            records: &kept.records,
            requests: &kept.requests.into(),
            certificate: kept.certificate.as_ref(),
            set_update: None,
        };
        write_block(&write, &executed)?;
        write.commit()?;
        Ok(())
    }

    /// Gives a store whose blocks and state were filled in its chain's first block, and what else
    /// it needs to go on: the state is the one after the last of `blocks`.
    ///
    /// # Errors
    /// When the store has a first block already, or cannot be written.
    pub fn begin_at(
        &self,
        genesis: &RecoveredBlock,
        blocks: RangeInclusive<u64>,
        updates: &[SetUpdate],
        root: &TrieUpdate,
    ) -> Result<(), StateError> {
        self.require_empty()?;
        let write = self.begin()?;
        write_first(&write, genesis, &StateChanges::default(), root)?;
        for update in updates {
            write_update(&write, update)?;
        }
        let (first, last) = (blocks.start().to_be_bytes(), blocks.end().to_be_bytes());
        {
            let mut table = write.open_table(tables::META)?;
            table.insert(meta::FIRST_BLOCK, first.as_slice())?;
            table.insert(meta::FIRST_STATE, last.as_slice())?;
            table.insert(meta::TIP, last.as_slice())?;
        }
        write.commit()?;
        Ok(())
    }

    fn require_empty(&self) -> Result<(), StateError> {
        match self.genesis()? {
            None => Ok(()),
            Some(_) => Err(StateError::NotEmpty),
        }
    }
}

/// Writes the newest state alone, without what it was before.
fn write_flat(write: &WriteTransaction, changes: &StateChanges) -> Result<(), StateError> {
    let mut codes = write.open_table(tables::CODE)?;
    for (hash, code) in &changes.codes {
        codes.insert(hash.0, code.as_ref())?;
    }
    let mut accounts = write.open_table(tables::ACCOUNTS)?;
    let mut storage = write.open_table(tables::STORAGE)?;
    for (address, change) in &changes.accounts {
        if let Some(account) = &change.account {
            accounts.insert(address.into_array(), encode_account(account).as_slice())?;
        }
        for (slot, value) in &change.storage {
            storage.insert(slot_key(*address, *slot), value.to_be_bytes::<32>())?;
        }
    }
    Ok(())
}

/// Writes the proof of a set, under the number of the block it is cut from.
pub(crate) fn write_update(write: &WriteTransaction, update: &SetUpdate) -> Result<(), StateError> {
    let corrupt = |_| StateError::Corrupt("set update");
    let number = update.header().map_err(corrupt)?.number;
    let text = update.to_json().map_err(corrupt)?.to_string();
    let mut table = write.open_table(tables::SET_UPDATES)?;
    table.insert(number, text.as_bytes())?;
    Ok(())
}

fn decode_update(bytes: &[u8]) -> Result<SetUpdate, StateError> {
    std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| SetUpdate::from_json(text).ok())
        .ok_or(StateError::Corrupt("set update"))
}
