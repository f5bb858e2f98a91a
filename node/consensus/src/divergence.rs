//! Reports of proposals that this node computes differently: what an operator needs to find out
//! which machine is wrong.

use alloy_primitives::{Address, B256};
use assay_types::{InferenceRecord, RecoveredBlock};
use serde::Serialize;

use crate::{context::Announcement, proposal::first_difference};

/// What a node keeps of a proposal that it computes differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    height: u64,
    round: Option<u32>,
    block_hash: B256,
    proposer: Address,
    /// The rule the block breaks, as this node computes it.
    reason: String,
    /// The first inference that differs; `None` when all that the proposer lists agree.
    inference: Option<Difference>,
    /// What this machine is: instruction sets, digest of the kernels.
    machine: String,
}

/// An inference two machines disagree on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Difference {
    transaction_hash: Option<B256>,
    transaction_index: u32,
    call_index: u32,
    model: B256,
    ours: Option<Side>,
    theirs: Option<Side>,
}

/// What one machine says of an inference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Side {
    input_hash: B256,
    output_hash: B256,
    gas: u64,
    reverted: bool,
}

impl Report {
    pub(crate) fn new(
        announcement: &Announcement,
        block: &RecoveredBlock,
        reason: String,
        ours: &[InferenceRecord],
        theirs: &[InferenceRecord],
        machine: &str,
    ) -> Self {
        let inference = first_difference(ours, theirs).map(|(ours, theirs)| {
            // One side is there, or nothing would differ.
            let at = ours.or(theirs);
            let index = at.map_or(0, |record| record.transaction_index);
            let transactions = &block.block().body.transactions;
            let transaction = usize::try_from(index)
                .ok()
                .and_then(|index| transactions.get(index));
            Difference {
                transaction_hash: transaction.map(|transaction| *transaction.tx_hash()),
                transaction_index: index,
                call_index: at.map_or(0, |record| record.call_index),
                model: at.map_or(B256::ZERO, |record| record.model_id),
                ours: ours.map(Side::of),
                theirs: theirs.map(Side::of),
            }
        });
        Self {
            height: announcement.height.0,
            round: announcement.round.as_u32(),
            block_hash: block.hash(),
            proposer: announcement.proposer.0,
            reason,
            inference,
            machine: machine.to_owned(),
        }
    }

    /// Writes the report as it is kept and served.
    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Side {
    const fn of(record: InferenceRecord) -> Self {
        Self {
            input_hash: record.input_hash,
            output_hash: record.output_hash,
            gas: record.gas,
            reverted: record.reverted,
        }
    }
}
