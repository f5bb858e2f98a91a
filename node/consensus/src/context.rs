//! The engine's vocabulary in our types: heights, votes, proposals; members.rs has the validator set.
//!
//! A key is known by its account alone: a signature is checked by recovering who made it, as a
//! contract does. The value voted on is a block's hash.

use std::fmt;

use alloy_primitives::{Address, B256};
use assay_types::{
    certificate::SIGNATURE_BYTES,
    digest::{Ballot, Domain},
};
use bytes::Bytes;
use malachitebft_app::types::core::{
    self as engine, LinearTimeouts, NilOrVal, Round, SignedExtension, ValidatorSet as _, VoteType,
};

use crate::members::{Member, Members};

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
            .or_else(|| set.get_by_index(0))
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
