//! What executing a block gives.

use alloy_consensus::{Eip658Value, proofs::calculate_receipt_root};
use alloy_eips::eip7685::Requests;
use alloy_primitives::{B256, Bloom};
use assay_types::{InferenceRecord, Receipt, StateChanges};

/// What executing a block gives: everything its header commits to, short of the state's root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The difference to the parent's state.
    pub changes: StateChanges,
    /// One receipt per transaction.
    pub receipts: Vec<Receipt>,
    /// The block's EIP-7685 requests in order of type, the records request last.
    pub requests: Requests,
    /// The inference calls of the block in order.
    pub records: Vec<InferenceRecord>,
    /// Gas the block used.
    pub gas_used: u64,
    /// Blob gas the block used.
    pub blob_gas_used: u64,
    /// Before Byzantium: all changes so far after each transaction. Receipts of that time carry
    /// the state's root after their transaction; see [`Self::set_transaction_roots`].
    pub changes_by_transaction: Vec<StateChanges>,
}

impl Outcome {
    /// Computes the root of the receipts.
    #[must_use]
    pub fn receipts_root(&self) -> B256 {
        calculate_receipt_root(&self.receipts)
    }

    /// Joins the bloom filters of the receipts.
    #[must_use]
    pub fn logs_bloom(&self) -> Bloom {
        self.receipts
            .iter()
            .fold(Bloom::ZERO, |bloom, receipt| bloom | *receipt.logs_bloom())
    }

    /// Puts the state's root after each transaction into its receipt (before Byzantium only).
    pub fn set_transaction_roots(&mut self, roots: impl IntoIterator<Item = B256>) {
        for (receipt, root) in self.receipts.iter_mut().zip(roots) {
            if let Receipt::Legacy(receipt) = receipt {
                receipt.receipt.status = Eip658Value::PostState(root);
            }
        }
    }
}
