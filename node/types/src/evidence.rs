//! Evidence that a validator signed two things where it may sign one: as nodes keep and serve it,
//! and as the ValidatorSet contract takes it.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::SolValue as _;
use serde::{Deserialize, Serialize};

use crate::{
    contracts::{Equivocation, IValidatorSet, Signed as SignedCall, mapping_slot, validators},
    digest::valid_round_number,
};

/// Names what a validator signs at a height and in a round, once each; numbered as the contract does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Kind {
    /// The first vote of a round.
    Prevote = 0,
    /// The second vote of a round.
    Precommit = 1,
    /// The proposal of a round.
    Proposal = 2,
}

/// Two messages of one validator that exclude each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Who signed both.
    pub validator: Address,
    /// Height of both.
    pub height: u64,
    /// Round of both; what has none proves nothing.
    pub round: Option<u32>,
    /// Kind of both.
    pub kind: Kind,
    /// One of them.
    pub first: Signed,
    /// The other.
    pub second: Signed,
}

/// A vote or a proposal, and the signature for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Signed {
    /// The block; `None` in a vote for none.
    pub block_hash: Option<B256>,
    /// Of a proposal, the earlier round that had a quorum of prevotes for the block. Records of
    /// earlier versions do not say: they are read as proposals without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_round: Option<u32>,
    /// The signature: r, s, v.
    pub signature: Bytes,
}

/// An equivocation as the chain counts it: once for each account, height, round and kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deed {
    /// Who signed two things.
    pub account: Address,
    /// Height of both.
    pub height: u64,
    /// Round of both.
    pub round: u32,
    /// Kind of both.
    pub kind: Kind,
}

impl Evidence {
    /// Writes the evidence as it is kept and served.
    ///
    /// # Panics
    /// Never: every field has a form in JSON.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("invariant: numbers, strings and null are JSON")
    }

    /// Reads kept evidence, of this version or an earlier one.
    ///
    /// # Errors
    /// When the bytes are no evidence.
    pub fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// Names what the chain counts this as; `None` without a round.
    #[must_use]
    pub fn deed(&self) -> Option<Deed> {
        Some(Deed {
            account: self.validator,
            height: self.height,
            round: self.round?,
            kind: self.kind,
        })
    }

    /// Makes the call that proves it; `None` without a round.
    #[must_use]
    pub fn call(&self) -> Option<IValidatorSet::proveEquivocationCall> {
        let proof = Equivocation {
            kind: self.kind as u8,
            height: self.height,
            round: self.round?,
            first: self.first.call(),
            second: self.second.call(),
        };
        Some(IValidatorSet::proveEquivocationCall { proof })
    }
}

impl Signed {
    fn call(&self) -> SignedCall {
        SignedCall {
            blockHash: self.block_hash.unwrap_or_default(),
            forNone: self.block_hash.is_none(),
            validRound: valid_round_number(self.valid_round),
            signature: self.signature.clone(),
        }
    }
}

impl Deed {
    /// Finds where the contract keeps the block in which it was proven; zero when it was not.
    #[must_use]
    pub fn slot(&self) -> U256 {
        let kind = U256::from(self.kind as u8);
        let words = (self.account, self.height, self.round, kind);
        mapping_slot(
            keccak256(words.abi_encode()),
            U256::from(validators::PROVEN_AT),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence() -> Evidence {
        let signed = |byte, valid_round| Signed {
            block_hash: Some(B256::repeat_byte(byte)),
            valid_round,
            signature: Bytes::copy_from_slice(&[byte; 65]),
        };
        Evidence {
            validator: Address::repeat_byte(9),
            height: 7,
            round: Some(2),
            kind: Kind::Proposal,
            first: signed(1, None),
            second: signed(2, Some(0)),
        }
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let evidence = evidence();
        let bytes = evidence.encode();
        assert_eq!(Evidence::decode(&bytes).unwrap(), evidence);
        assert!(Evidence::decode(&bytes[1..]).is_err());
    }

    #[test]
    fn records_of_the_first_version_are_read() {
        let hash = B256::repeat_byte(1);
        let old = format!(
            r#"{{"validator":"{}","height":7,"round":null,"kind":"prevote",
            "first":{{"blockHash":null,"signature":"0x01"}},
            "second":{{"blockHash":"{hash}","signature":"0x02"}}}}"#,
            Address::repeat_byte(9),
        );
        let read = Evidence::decode(old.as_bytes()).unwrap();
        assert_eq!((read.kind, read.round), (Kind::Prevote, None));
        assert_eq!(
            (read.first.block_hash, read.first.valid_round),
            (None, None)
        );
        assert_eq!(read.second.block_hash, Some(hash));
        // Without a round there is nothing to prove.
        assert_eq!((read.deed(), read.call()), (None, None));
    }

    #[test]
    fn a_call_tells_none_from_a_block_whose_hash_is_zero() {
        let mut evidence = evidence();
        evidence.first.block_hash = None;
        evidence.second.block_hash = Some(B256::ZERO);
        let proof = evidence.call().unwrap().proof;
        assert_eq!((proof.kind, proof.height, proof.round), (2, 7, 2));
        assert_eq!((proof.first.forNone, proof.first.validRound), (true, 0));
        assert_eq!((proof.second.forNone, proof.second.validRound), (false, 1));
    }
}
