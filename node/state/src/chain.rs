//! Blocks as the store holds them, with what their execution left.

use alloy_consensus::transaction::Transaction as _;
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, Bytes};
use alloy_rlp::{Decodable, Encodable, Header as RlpHeader};
use assay_types::{Block, InferenceRecord, Receipt, Transaction, record::RECORD_SIZE_BYTES};

use crate::StateError;

/// A block with its hash and senders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBlock {
    /// The block.
    pub block: Block,
    /// Its hash.
    pub hash: B256,
    /// Senders of its transactions.
    pub senders: Vec<Address>,
}

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionPlace {
    /// Number of its block.
    pub number: u64,
    /// Position in the block.
    pub index: u32,
}

impl StoredBlock {
    /// Returns a transaction with its sender.
    #[must_use]
    pub fn transaction(&self, index: usize) -> Option<(&Transaction, Address)> {
        let transaction = self.block.body.transactions.get(index)?;
        Some((transaction, *self.senders.get(index)?))
    }

    /// Computes what each unit of gas of a transaction cost in this block.
    #[must_use]
    pub fn gas_price(&self, transaction: &Transaction) -> u128 {
        transaction.effective_gas_price(self.block.header.base_fee_per_gas)
    }
}

pub(crate) fn decode_block(bytes: &[u8]) -> Result<Block, StateError> {
    Block::decode(&mut &*bytes).map_err(|_| StateError::Corrupt("block"))
}

pub(crate) fn encode_senders(senders: &[Address]) -> Vec<u8> {
    senders
        .iter()
        .flat_map(|sender| sender.into_array())
        .collect()
}

pub(crate) fn decode_senders(bytes: &[u8]) -> Vec<Address> {
    bytes.chunks_exact(20).map(Address::from_slice).collect()
}

/// Encodes a list of byte strings.
pub(crate) fn encode_strings<'a>(strings: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut payload = Vec::new();
    strings.for_each(|string| string.encode(&mut payload));
    let mut out = Vec::new();
    RlpHeader {
        list: true,
        payload_length: payload.len(),
    }
    .encode(&mut out);
    out.extend_from_slice(&payload);
    out
}

pub(crate) fn decode_strings(bytes: &[u8]) -> Result<Vec<Bytes>, StateError> {
    Vec::<Bytes>::decode(&mut &*bytes).map_err(|_| StateError::Corrupt("list of strings"))
}

pub(crate) fn encode_receipts(receipts: &[Receipt]) -> Vec<u8> {
    let encoded: Vec<Vec<u8>> = receipts.iter().map(Encodable2718::encoded_2718).collect();
    encode_strings(encoded.iter().map(Vec::as_slice))
}

pub(crate) fn decode_receipts(bytes: &[u8]) -> Result<Vec<Receipt>, StateError> {
    decode_strings(bytes)?
        .iter()
        .map(|receipt| {
            Receipt::decode_2718(&mut receipt.as_ref()).map_err(|_| StateError::Corrupt("receipt"))
        })
        .collect()
}

pub(crate) fn encode_records(records: &[InferenceRecord]) -> Vec<u8> {
    records.iter().flat_map(InferenceRecord::encode).collect()
}

pub(crate) fn decode_records(bytes: &[u8]) -> Result<Vec<InferenceRecord>, StateError> {
    bytes
        .chunks(RECORD_SIZE_BYTES)
        .map(|record| InferenceRecord::decode(record).ok_or(StateError::Corrupt("record")))
        .collect()
}
