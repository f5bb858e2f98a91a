//! Blocks, transactions and receipts: Ethereum's own types under one name each.

use alloy_consensus::{EthereumTxEnvelope, TxEip4844, transaction::SignerRecoverable};
use alloy_primitives::{Address, B256};

/// A signed transaction as a block carries it: blob transactions without their sidecar.
pub type Transaction = EthereumTxEnvelope<TxEip4844>;
/// An Ethereum block header.
pub type Header = alloy_consensus::Header;
/// A header with its transactions, uncles and withdrawals.
pub type Block = alloy_consensus::Block<Transaction, Header>;
/// A transaction's receipt with its logs and bloom filter.
pub type Receipt = alloy_consensus::ReceiptEnvelope;

/// Says that a transaction's signature names no sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("transaction {index} ({hash}) has a signature that recovers no sender")]
pub struct SenderError {
    /// Position in the block.
    pub index: usize,
    /// Hash of the transaction.
    pub hash: B256,
}

/// A block with its hash and the senders of its transactions, computed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveredBlock {
    block: Block,
    hash: B256,
    senders: Vec<Address>,
}

impl RecoveredBlock {
    /// Recovers the sender of every transaction and hashes the header.
    ///
    /// # Errors
    /// When a signature recovers no sender (high `s` is accepted only where Homestead is not yet
    /// active, which `allow_high_s` says).
    pub fn recover(block: Block, allow_high_s: bool) -> Result<Self, SenderError> {
        let senders = block
            .body
            .transactions
            .iter()
            .enumerate()
            .map(|(index, tx)| {
                let sender = if allow_high_s {
                    tx.recover_signer_unchecked()
                } else {
                    tx.recover_signer()
                };
                sender.map_err(|_| SenderError {
                    index,
                    hash: *tx.tx_hash(),
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            hash: block.header.hash_slow(),
            block,
            senders,
        })
    }

    /// Joins a block with senders the caller already knows, one per transaction.
    ///
    /// Returns `None` when the numbers of senders and transactions differ.
    #[must_use]
    pub fn with_senders(block: Block, senders: Vec<Address>) -> Option<Self> {
        (senders.len() == block.body.transactions.len()).then(|| Self {
            hash: block.header.hash_slow(),
            block,
            senders,
        })
    }

    /// Returns the block.
    #[must_use]
    pub const fn block(&self) -> &Block {
        &self.block
    }

    /// Returns the header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.block.header
    }

    /// Returns the block's hash.
    #[must_use]
    pub const fn hash(&self) -> B256 {
        self.hash
    }

    /// Returns the senders, one per transaction.
    #[must_use]
    pub fn senders(&self) -> &[Address] {
        &self.senders
    }

    /// Walks the transactions with their senders.
    pub fn transactions(&self) -> impl Iterator<Item = (&Transaction, Address)> {
        self.block
            .body
            .transactions
            .iter()
            .zip(self.senders.iter().copied())
    }

    /// Takes the block apart.
    #[must_use]
    pub fn into_parts(self) -> (Block, Vec<Address>) {
        (self.block, self.senders)
    }
}
