//! What validators sign: one 32-byte digest for each kind of message, each under a tag of its own.
//!
//! A digest is `keccak256(abi.encode(keccak256(tag), genesisHash, chainId, ...))` over static words, so
//! Solidity rebuilds it in one line, and no signature of one kind, one chain or one network verifies
//! as another. The signer is left out: a quorum signs one hash. docs/spec/consensus.md is the law.

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolValue as _;

const PREVOTE: &str = "assay.prevote.v1";
const PREVOTE_NIL: &str = "assay.prevote-nil.v1";
const PRECOMMIT: &str = "assay.precommit.v1";
const PRECOMMIT_NIL: &str = "assay.precommit-nil.v1";
const PROPOSAL: &str = "assay.proposal.v1";
const STREAM: &str = "assay.stream.v1";
const PEER: &str = "assay.peer.v1";

/// The network whose messages are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Domain {
    /// Hash of the first block.
    pub genesis_hash: B256,
    /// Chain id.
    pub chain_id: u64,
}

/// The two votes of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ballot {
    /// Says that the validator recomputed the block, or that it has none.
    Prevote,
    /// Says that it saw a quorum of prevotes; a quorum of these decides the block.
    Precommit,
}

impl Domain {
    /// Computes what a vote signs; without a block it is a vote for none.
    #[must_use]
    pub fn vote(&self, ballot: Ballot, height: u64, round: u32, block: Option<B256>) -> B256 {
        let tag = match (ballot, block.is_some()) {
            (Ballot::Prevote, true) => PREVOTE,
            (Ballot::Prevote, false) => PREVOTE_NIL,
            (Ballot::Precommit, true) => PRECOMMIT,
            (Ballot::Precommit, false) => PRECOMMIT_NIL,
        };
        let at = (U256::from(height), U256::from(round));
        match block {
            Some(block) => self.tagged(tag, (at.0, at.1, block).abi_encode()),
            None => self.tagged(tag, at.abi_encode()),
        }
    }

    /// Computes what a proposer signs: the block, and the round that had a quorum of prevotes for it.
    #[must_use]
    pub fn proposal(&self, height: u64, round: u32, valid_round: Option<u32>, block: B256) -> B256 {
        let words = (
            U256::from(height),
            U256::from(round),
            U256::from(valid_round_number(valid_round)),
            block,
        );
        self.tagged(PROPOSAL, words.abi_encode())
    }

    /// Computes what a proposer signs over the bytes of a proposal that it streams.
    #[must_use]
    pub fn stream(
        &self,
        height: u64,
        round: u32,
        valid_round: Option<u32>,
        payload: B256,
        size_bytes: u64,
    ) -> B256 {
        let words = (
            U256::from(height),
            U256::from(round),
            U256::from(valid_round_number(valid_round)),
            payload,
            U256::from(size_bytes),
        );
        self.tagged(STREAM, words.abi_encode())
    }

    /// Computes what a validator signs to say that a peer on the network is its own.
    #[must_use]
    pub fn peer(&self, statement: &[u8]) -> B256 {
        self.tagged(PEER, keccak256(statement).abi_encode())
    }

    fn tagged(&self, tag: &str, words: Vec<u8>) -> B256 {
        let head = (keccak256(tag), self.genesis_hash, U256::from(self.chain_id));
        keccak256([head.abi_encode(), words].concat())
    }
}

/// Encodes a round that may not be: 0 for none, else the round and one.
pub(crate) fn valid_round_number(round: Option<u32>) -> u64 {
    round.map_or(0, |round| u64::from(round) + 1)
}

/// An account's share of the votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validator {
    /// Account, which its key signs for.
    pub account: Address,
    /// Voting power.
    pub power: u64,
}

/// Computes the hash that names a set of validators: `keccak256(abi.encode(Validator[]))`.
#[must_use]
pub fn set_hash(validators: &[Validator]) -> B256 {
    let words: Vec<(Address, U256)> = validators
        .iter()
        .map(|one| (one.account, U256::from(one.power)))
        .collect();
    keccak256(words.abi_encode())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const DOMAIN: Domain = Domain {
        genesis_hash: B256::repeat_byte(7),
        chain_id: 5,
    };

    #[test]
    fn no_digest_of_one_kind_is_one_of_another() {
        let block = B256::repeat_byte(1);
        let other = Domain {
            chain_id: 6,
            ..DOMAIN
        };
        let elsewhere = Domain {
            genesis_hash: B256::repeat_byte(8),
            ..DOMAIN
        };
        let mut seen = BTreeSet::new();
        let mut count = 0;
        for domain in [DOMAIN, other, elsewhere] {
            for (height, round) in [(1, 0), (0, 1), (2, 0)] {
                for ballot in [Ballot::Prevote, Ballot::Precommit] {
                    seen.insert(domain.vote(ballot, height, round, Some(block)));
                    seen.insert(domain.vote(ballot, height, round, None));
                    // A vote for the zero hash is a vote for a block of that hash, not for none.
                    seen.insert(domain.vote(ballot, height, round, Some(B256::ZERO)));
                    count += 3;
                }
                for valid in [None, Some(0), Some(1)] {
                    seen.insert(domain.proposal(height, round, valid, block));
                    seen.insert(domain.stream(height, round, valid, block, 9));
                    count += 2;
                }
            }
        }
        assert_eq!(seen.len(), count);
    }

    #[test]
    fn precommit_is_what_solidity_encodes() {
        let block = B256::repeat_byte(1);
        let words: Vec<u8> = [
            keccak256("assay.precommit.v1").0,
            [7; 32],
            U256::from(5).to_be_bytes(),
            U256::from(9).to_be_bytes(),
            U256::from(2).to_be_bytes(),
            block.0,
        ]
        .concat();
        let digest = DOMAIN.vote(Ballot::Precommit, 9, 2, Some(block));
        assert_eq!(digest, keccak256(words));
    }

    #[test]
    fn set_hash_is_of_the_dynamic_array() {
        let one = Validator {
            account: Address::repeat_byte(3),
            power: 10,
        };
        let words: Vec<u8> = [
            U256::from(32).to_be_bytes::<32>(),
            U256::from(1).to_be_bytes(),
            one.account.into_word().0,
            U256::from(10).to_be_bytes(),
        ]
        .concat();
        assert_eq!(set_hash(&[one]), keccak256(words));
    }
}
