//! Evidence of what the engine saw, in the chain's form.

use alloy_primitives::{B256, Bytes};
use assay_types::evidence::{Evidence, Kind, Signed};
use malachitebft_app::types::{
    MisbehaviorEvidence,
    core::{NilOrVal, SignedProposal, SignedVote, VoteType},
};

use crate::context::{Assay, Proposal, Seal};

/// Lists what the engine saw.
pub(crate) fn all(seen: &MisbehaviorEvidence<Assay>) -> Vec<Evidence> {
    let votes = seen.votes.iter().flat_map(|(account, pairs)| {
        pairs.iter().map(|(first, second)| Evidence {
            validator: account.0,
            height: first.message.height.0,
            round: first.message.round.as_u32(),
            kind: match first.message.kind {
                VoteType::Prevote => Kind::Prevote,
                VoteType::Precommit => Kind::Precommit,
            },
            first: vote(first),
            second: vote(second),
        })
    });
    let proposals = seen.proposals.iter().flat_map(|(account, pairs)| {
        pairs.iter().map(|(first, second)| Evidence {
            validator: account.0,
            height: first.message.height.0,
            round: first.message.round.as_u32(),
            kind: Kind::Proposal,
            first: proposal(first),
            second: proposal(second),
        })
    });
    votes.chain(proposals).collect()
}

fn vote(vote: &SignedVote<Assay>) -> Signed {
    let block = match vote.message.block {
        NilOrVal::Nil => None,
        NilOrVal::Val(hash) => Some(hash),
    };
    signed(block, None, &vote.signature)
}

fn proposal(proposal: &SignedProposal<Assay>) -> Signed {
    let Proposal {
        block, valid_round, ..
    } = &proposal.message;
    signed(Some(block.0), valid_round.as_u32(), &proposal.signature)
}

fn signed(block_hash: Option<B256>, valid_round: Option<u32>, seal: &Seal) -> Signed {
    Signed {
        block_hash,
        valid_round,
        signature: Bytes::copy_from_slice(&seal.0),
    }
}
