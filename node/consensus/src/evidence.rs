//! Evidence that a validator signed two things where it may sign one.

use alloy_primitives::{Address, B256, Bytes};
use malachitebft_app::types::{
    MisbehaviorEvidence,
    core::{NilOrVal, VoteType},
};
use serde::Serialize;

use crate::context::Assay;

/// Two messages of one validator that exclude each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Evidence {
    pub(crate) validator: Address,
    pub(crate) height: u64,
    pub(crate) round: Option<u32>,
    pub(crate) kind: &'static str,
    first: Signed,
    second: Signed,
}

/// A block, or none, and the signature for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Signed {
    block_hash: Option<B256>,
    signature: Bytes,
}

impl Evidence {
    /// Lists what the engine saw.
    pub(crate) fn all(seen: &MisbehaviorEvidence<Assay>) -> Vec<Self> {
        let votes = seen.votes.iter().flat_map(|(account, pairs)| {
            pairs.iter().map(|(first, second)| {
                let block = |block: &NilOrVal<B256>| match block {
                    NilOrVal::Nil => None,
                    NilOrVal::Val(hash) => Some(*hash),
                };
                Self {
                    validator: account.0,
                    height: first.message.height.0,
                    round: first.message.round.as_u32(),
                    kind: match first.message.kind {
                        VoteType::Prevote => "prevote",
                        VoteType::Precommit => "precommit",
                    },
                    first: Signed::new(block(&first.message.block), &first.signature.0),
                    second: Signed::new(block(&second.message.block), &second.signature.0),
                }
            })
        });
        let proposals = seen.proposals.iter().flat_map(|(account, pairs)| {
            pairs.iter().map(|(first, second)| Self {
                validator: account.0,
                height: first.message.height.0,
                round: first.message.round.as_u32(),
                kind: "proposal",
                first: Signed::new(Some(first.message.block.0), &first.signature.0),
                second: Signed::new(Some(second.message.block.0), &second.signature.0),
            })
        });
        votes.chain(proposals).collect()
    }

    /// Writes the evidence as it is kept and served.
    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Signed {
    fn new(block_hash: Option<B256>, signature: &[u8]) -> Self {
        Self {
            block_hash,
            signature: Bytes::copy_from_slice(signature),
        }
    }
}
