//! The engine's vocabulary in our types: heights, votes, proposals, the validator set.
//!
//! A key is known by its account alone: a signature is checked by recovering who made it, as a
//! contract does. The value voted on is a block's hash.

use std::fmt;

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolValue as _;
use assay_types::{
    Validator,
    certificate::{SIGNATURE_BYTES, total_power},
    digest::{Ballot, Domain},
};
use bytes::Bytes;
use malachitebft_app::types::core::{
    self as engine, LinearTimeouts, NilOrVal, Round, SignedExtension, VoteType, VotingPower,
};

/// Names the types the engine works with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assay;

/// Number of a block that is voted on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Height(pub u64);

/// The account a validator votes as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account(pub Address);

/// A signature: r, s, and v, which is 27 or 28.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seal(pub [u8; SIGNATURE_BYTES]);

/// What is voted on: the hash of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockId(pub B256);

/// The signature scheme: secp256k1 with recoverable signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recoverable;

/// A validator as the engine sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    account: Account,
    power: u64,
}

/// The validators of a height, in ascending order of their accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members(Vec<Member>);

/// A vote of a validator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// Prevote or precommit.
    pub kind: VoteType,
    /// Height voted on.
    pub height: Height,
    /// Round of the vote.
    pub round: Round,
    /// Block voted for, or none.
    pub block: NilOrVal<B256>,
    /// Who votes.
    pub voter: Account,
}

/// A proposer's word for a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Height of the block.
    pub height: Height,
    /// Round of the proposal.
    pub round: Round,
    /// Block proposed.
    pub block: BlockId,
    /// Earlier round in which a quorum prevoted for the block, if any.
    pub valid_round: Round,
    /// Who proposes.
    pub proposer: Account,
}

/// The first part of a proposal's stream: what follows, and who answers for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Height of the block.
    pub height: Height,
    /// Round of the proposal.
    pub round: Round,
    /// Earlier round in which a quorum prevoted for the block, if any.
    pub valid_round: Round,
    /// Who proposes.
    pub proposer: Account,
    /// Bytes that follow.
    pub size_bytes: u64,
    /// Hash of the bytes that follow.
    pub payload_hash: B256,
    /// The proposer's signature over all that.
    pub seal: Seal,
}

/// A part of a proposal's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// What follows.
    Announcement(Announcement),
    /// Some of the bytes.
    Data(Bytes),
}

impl Vote {
    /// Computes what the vote signs; `None` for a vote without a round, which nobody casts.
    pub(crate) fn digest(&self, domain: &Domain) -> Option<B256> {
        let ballot = match self.kind {
            VoteType::Prevote => Ballot::Prevote,
            VoteType::Precommit => Ballot::Precommit,
        };
        let block = match self.block {
            NilOrVal::Nil => None,
            NilOrVal::Val(block) => Some(block),
        };
        let round = self.round.as_u32()?;
        Some(domain.vote(ballot, self.height.0, round, block))
    }
}

impl Proposal {
    /// Computes what the proposal signs; `None` without a round.
    pub(crate) fn digest(&self, domain: &Domain) -> Option<B256> {
        let round = self.round.as_u32()?;
        let valid_round = self.valid_round.as_u32();
        Some(domain.proposal(self.height.0, round, valid_round, self.block.0))
    }
}

impl Announcement {
    /// Computes what the announcement signs; `None` without a round.
    pub(crate) fn digest(&self, domain: &Domain) -> Option<B256> {
        Some(domain.stream(
            self.height.0,
            self.round.as_u32()?,
            self.valid_round.as_u32(),
            self.payload_hash,
            self.size_bytes,
        ))
    }
}

impl Members {
    /// Takes the set of a height, as the contract keeps it.
    #[must_use]
    pub fn new(validators: &[Validator]) -> Self {
        let mut members: Vec<Member> = validators
            .iter()
            .map(|one| Member {
                account: Account(one.account),
                power: one.power,
            })
            .collect();
        members.sort_by_key(|member| member.account);
        Self(members)
    }

    /// Returns the set as the rest of the node knows it.
    #[must_use]
    pub fn validators(&self) -> Vec<Validator> {
        self.0
            .iter()
            .map(|member| Validator {
                account: member.account.0,
                power: member.power,
            })
            .collect()
    }

    /// Returns the account that proposes in a round; `None` for an empty set.
    #[must_use]
    pub fn proposer_at(&self, height: u64, round: u32) -> Option<Address> {
        self.proposer(height, round).map(|drawn| drawn.account.0)
    }

    /// Chooses who proposes in a round: rounds of a height draw without putting back, by power, so
    /// that a silent proposer is not drawn again until all others were.
    ///
    /// Spec: docs/spec/consensus.md, Proposers.
    fn proposer(&self, height: u64, round: u32) -> Option<&Member> {
        let mut left: Vec<&Member> = self.0.iter().collect();
        let draws = usize::try_from(round).ok()?.checked_rem(left.len())?;
        for draw in 0..=draws {
            let total = left
                .iter()
                .fold(0_u64, |sum, one| sum.saturating_add(one.power));
            let seed = keccak256((U256::from(height), U256::from(draw)).abi_encode());
            let mut ticket: u64 = U256::from_be_bytes(seed.0)
                .checked_rem(U256::from(total))?
                .saturating_to();
            let drawn = left.iter().position(|member| match ticket < member.power {
                true => true,
                false => {
                    ticket -= member.power;
                    false
                }
            })?;
            if draw == draws {
                return left.get(drawn).copied();
            }
            left.remove(drawn);
        }
        None
    }
}

impl engine::Context for Assay {
    type Address = Account;
    type Height = Height;
    type ProposalPart = Part;
    type Proposal = Proposal;
    type Validator = Member;
    type ValidatorSet = Members;
    type Timeouts = LinearTimeouts;
    type Value = BlockId;
    type Vote = Vote;
    type Extension = ();
    type SigningScheme = Recoverable;

    fn select_proposer<'a>(&self, set: &'a Members, height: Height, round: Round) -> &'a Member {
        let round = round.as_u32().unwrap_or_default();
        set.proposer(height.0, round)
            .or_else(|| set.0.first())
            .expect("invariant: the contract keeps no empty set, and start refuses one")
    }

    fn new_proposal(
        &self,
        height: Height,
        round: Round,
        block: BlockId,
        valid_round: Round,
        proposer: Account,
    ) -> Proposal {
        Proposal {
            height,
            round,
            block,
            valid_round,
            proposer,
        }
    }

    fn new_prevote(
        &self,
        height: Height,
        round: Round,
        block: NilOrVal<B256>,
        voter: Account,
    ) -> Vote {
        let kind = VoteType::Prevote;
        Vote {
            kind,
            height,
            round,
            block,
            voter,
        }
    }

    fn new_precommit(
        &self,
        height: Height,
        round: Round,
        block: NilOrVal<B256>,
        voter: Account,
    ) -> Vote {
        let kind = VoteType::Precommit;
        Vote {
            kind,
            height,
            round,
            block,
            voter,
        }
    }
}

impl engine::Address for Account {}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl engine::Height for Height {
    const ZERO: Self = Self(0);
    const INITIAL: Self = Self(1);

    fn increment_by(&self, n: u64) -> Self {
        Self(self.0.saturating_add(n))
    }

    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.checked_sub(n).map(Self)
    }

    fn as_u64(&self) -> u64 {
        self.0
    }
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl engine::Value for BlockId {
    type Id = B256;

    fn id(&self) -> B256 {
        self.0
    }
}

impl engine::Validator<Assay> for Member {
    fn address(&self) -> &Account {
        &self.account
    }

    fn public_key(&self) -> &Account {
        &self.account
    }

    fn voting_power(&self) -> VotingPower {
        self.power
    }
}

impl engine::ValidatorSet<Assay> for Members {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn total_voting_power(&self) -> VotingPower {
        total_power(&self.validators())
    }

    fn get_by_address(&self, address: &Account) -> Option<&Member> {
        self.0.iter().find(|member| member.account == *address)
    }

    fn get_by_index(&self, index: usize) -> Option<&Member> {
        self.0.get(index)
    }
}

impl engine::Vote<Assay> for Vote {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &NilOrVal<B256> {
        &self.block
    }

    fn take_value(self) -> NilOrVal<B256> {
        self.block
    }

    fn vote_type(&self) -> VoteType {
        self.kind
    }

    fn validator_address(&self) -> &Account {
        &self.voter
    }

    fn extension(&self) -> Option<&SignedExtension<Assay>> {
        None
    }

    fn take_extension(&mut self) -> Option<SignedExtension<Assay>> {
        None
    }

    // Votes carry no extensions: the policy of every height disables them.
    fn extend(self, _: SignedExtension<Assay>) -> Self {
        self
    }
}

impl engine::Proposal<Assay> for Proposal {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &BlockId {
        &self.block
    }

    fn take_value(self) -> BlockId {
        self.block
    }

    fn pol_round(&self) -> Round {
        self.valid_round
    }

    fn validator_address(&self) -> &Account {
        &self.proposer
    }
}

impl engine::ProposalPart<Assay> for Part {
    fn is_first(&self) -> bool {
        matches!(self, Self::Announcement(_))
    }

    // The stream's own end marks the last part.
    fn is_last(&self) -> bool {
        false
    }
}

/// Says that bytes are no signature or no account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{found} bytes, {wanted} are wanted")]
pub struct WrongLength {
    found: usize,
    wanted: usize,
}

impl engine::SigningScheme for Recoverable {
    type DecodingError = WrongLength;
    type Signature = Seal;
    type PublicKey = Account;
    /// Keys stay behind [`crate::Sign`]: the engine never holds one.
    type PrivateKey = ();

    fn decode_signature(bytes: &[u8]) -> Result<Seal, WrongLength> {
        let (found, wanted) = (bytes.len(), SIGNATURE_BYTES);
        let bytes = bytes
            .try_into()
            .map_err(|_| WrongLength { found, wanted })?;
        Ok(Seal(bytes))
    }

    fn encode_signature(seal: &Seal) -> Vec<u8> {
        seal.0.to_vec()
    }

    fn decode_public_key(bytes: &[u8]) -> Result<Account, WrongLength> {
        let (found, wanted) = (bytes.len(), Address::len_bytes());
        let bytes = Address::try_from(bytes).map_err(|_| WrongLength { found, wanted })?;
        Ok(Account(bytes))
    }

    fn encode_public_key(account: &Account) -> Vec<u8> {
        account.0.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn members(powers: &[u64]) -> Members {
        let validators: Vec<Validator> = (1..)
            .zip(powers)
            .map(|(index, power)| Validator {
                account: Address::with_last_byte(index),
                power: *power,
            })
            .collect();
        Members::new(&validators)
    }

    #[test]
    fn rounds_of_a_height_draw_everyone_before_anyone_twice() {
        let set = members(&[1, 1000, 3, 50]);
        for height in 1..50 {
            let drawn: BTreeSet<Account> = (0..4)
                .map(|round| set.proposer(height, round).unwrap().account)
                .collect();
            assert_eq!(drawn.len(), 4);
            let again = set.proposer(height, 4).unwrap();
            assert_eq!(again, set.proposer(height, 0).unwrap());
        }
    }

    #[test]
    fn first_draw_follows_power() {
        let set = members(&[10, 30, 60]);
        let mut counts = [0_u32; 3];
        for height in 0..3_000 {
            let drawn = set.proposer(height, 0).unwrap().account.0[19];
            counts[usize::from(drawn) - 1] += 1;
        }
        assert!((240..360).contains(&counts[0]), "{counts:?}");
        assert!((810..990).contains(&counts[1]), "{counts:?}");
        assert!((1_690..1_910).contains(&counts[2]), "{counts:?}");
    }

    #[test]
    fn draw_is_the_one_the_specification_shows() {
        let set = members(&[1, 1, 1, 1]);
        let drawn: Vec<u8> = (0..4)
            .map(|round| set.proposer(1, round).unwrap().account.0[19])
            .collect();
        assert_eq!(drawn, DRAWN_AT_HEIGHT_ONE);
        assert!(members(&[]).proposer(1, 0).is_none());
    }

    /// Order of four equal validators at height 1 (docs/spec/consensus.md).
    const DRAWN_AT_HEIGHT_ONE: [u8; 4] = [2, 1, 3, 4];
}
