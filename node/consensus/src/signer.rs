//! Signing: whose key, what was signed before, and what must never be signed again.
//!
//! A validator that signs two blocks in one round can be punished for it, so every signature is
//! first written to a log of its own, apart from the chain's data: a chain restored from a backup
//! does not make the node forget what it said.

mod log;

use std::{
    fmt, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use alloy_primitives::{Address, B256, keccak256};
use assay_types::{
    certificate::{SIGNATURE_BYTES, recover},
    digest::Domain,
};
use async_trait::async_trait;
use k256::ecdsa::SigningKey;
use malachitebft_app::types::core::{
    NilOrVal, Round, SignedExtension, SignedMessage, ValidatorProof, VoteExtensionScope, VoteType,
};
use malachitebft_signing::{Error as EngineError, Signer, VerificationResult, Verifier};

pub use log::{KeyFile, LastSigned};

use crate::{
    Status,
    context::{Account, Assay, Proposal, Seal, Vote},
};
use log::Said;

/// Says why something was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// Another digest was signed at the same place, or a later height was reached.
    #[error(
        "refused to sign at height {height} round {round}: this key signed {what} there before; if the data directory came from a backup, let the node follow the chain past height {last}"
    )]
    SignedBefore {
        /// Height asked for.
        height: u64,
        /// Round asked for.
        round: u32,
        /// What stands in the way.
        what: &'static str,
        /// Newest height signed at.
        last: u64,
    },
    /// The message has no round.
    #[error("refused to sign a message without a round")]
    NoRound,
    /// The log of signatures cannot be used.
    #[error("{path}: {source}")]
    Log {
        /// The log.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The log of signatures is damaged.
    #[error(
        "{path}: entry {entry} is damaged: do not validate with this key before the chain is past what it may have signed"
    )]
    Damaged {
        /// The log.
        path: PathBuf,
        /// Entry, from 0.
        entry: usize,
    },
    /// The file is no log of signatures.
    #[error("{path}: not a log of signatures, or one from before their first version")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The log of signatures was written by another version of this program.
    #[error(
        "{path}: log of signatures of version {found}, this program reads {known}: use the program that wrote it"
    )]
    Version {
        /// The log.
        path: PathBuf,
        /// Version found.
        found: u32,
        /// Version this program knows.
        known: u32,
    },
    /// The key cannot sign.
    #[error("key does not sign: {0}")]
    Key(String),
}

/// Signs digests: a key in this process, or one behind a seam (a device, another machine).
pub trait Sign: Send + Sync + fmt::Debug {
    /// Returns the account that signatures recover to.
    fn account(&self) -> Address;

    /// Signs a digest: r, s (low), v (27 or 28).
    ///
    /// # Errors
    /// When the key cannot be reached or refuses.
    fn sign(&self, digest: B256) -> Result<[u8; SIGNATURE_BYTES], SignError>;
}

/// A key in this process's memory.
pub struct ValidatorKey {
    key: SigningKey,
    account: Address,
}

/// A validator's key, with the log of what it signed.
#[derive(Debug)]
pub struct Voter {
    /// The key.
    pub key: Arc<dyn Sign>,
    /// Its log.
    pub last: LastSigned,
}

/// Signs and checks the engine's messages.
#[derive(Debug, Clone)]
pub(crate) struct EngineSigner {
    domain: Domain,
    key: Arc<dyn Sign>,
    last: Arc<Mutex<LastSigned>>,
    status: Arc<Status>,
}

/// Checks the engine's messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EngineVerifier {
    pub(crate) domain: Domain,
}

impl fmt::Debug for ValidatorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ValidatorKey").field(&self.account).finish()
    }
}

impl ValidatorKey {
    /// Takes a secret; `None` when the bytes are no key.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Option<Self> {
        let key = SigningKey::from_slice(secret).ok()?;
        let point = key.verifying_key().to_encoded_point(false);
        let hash = keccak256(point.as_bytes().get(1..)?);
        let account = Address::from_word(hash);
        Some(Self { key, account })
    }
}

impl Sign for ValidatorKey {
    fn account(&self) -> Address {
        self.account
    }

    fn sign(&self, digest: B256) -> Result<[u8; SIGNATURE_BYTES], SignError> {
        let signed = self.key.sign_prehash_recoverable(digest.as_slice());
        let (signature, id) = signed.map_err(|error| SignError::Key(error.to_string()))?;
        let mut bytes = [27 + u8::from(id.is_y_odd()); SIGNATURE_BYTES];
        bytes[..64].copy_from_slice(&signature.to_bytes());
        Ok(bytes)
    }
}

impl EngineSigner {
    pub(crate) fn new(domain: Domain, voter: Voter, status: Arc<Status>) -> Self {
        Self {
            domain,
            key: voter.key,
            last: Arc::new(Mutex::new(voter.last)),
            status,
        }
    }

    /// Signs a digest at a place where only one may be signed.
    fn sign_once(
        &self,
        height: u64,
        round: Round,
        step: u8,
        digest: Option<B256>,
        block: B256,
    ) -> Result<Seal, SignError> {
        let (Some(round), Some(digest)) = (round.as_u32(), digest) else {
            return Err(SignError::NoRound);
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.allow(height, round, step, Said { digest, block })?;
        self.key.sign(digest).map(Seal)
    }

    /// Says again what was said in place of a vote that the log refuses, or says nothing.
    ///
    /// The log of signatures is synced before the engine's own is: when the power fails between the
    /// two, the engine comes to another vote than the one signed, and an error here ends it for good,
    /// at every start. A prevote binds to nothing and may be said again. So may a precommit for
    /// none; one for a block may not, because its lock is lost: that node stays silent, with a seal
    /// that is nobody's, until the next round.
    fn say_again(&self, vote: Vote, step: u8, error: &SignError) -> SignedMessage<Assay, Vote> {
        tracing::warn!(%error, "this node says again what it said, or nothing");
        let said = vote.round.as_u32().and_then(|round| {
            let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            last.said(vote.height.0, round, step)
        });
        let said = said.filter(|said| step == PREVOTE || said.block.is_zero());
        let again = said.and_then(|said| {
            let block = match said.block.is_zero() {
                true => NilOrVal::Nil,
                false => NilOrVal::Val(said.block),
            };
            let again = Vote {
                block,
                ..vote.clone()
            };
            let same = again.digest(&self.domain) == Some(said.digest);
            let seal = same.then(|| self.key.sign(said.digest).ok()).flatten()?;
            Some(SignedMessage::new(again, Seal(seal)))
        });
        again.unwrap_or_else(|| SignedMessage::new(vote, SILENCE))
    }

    fn report<T>(&self, result: Result<T, SignError>) -> Result<T, EngineError> {
        result.map_err(|error| {
            tracing::error!(%error, "not signed");
            // The engine ends for good when its signer fails.
            self.status.fail(error.to_string());
            EngineError::from_source(error)
        })
    }
}

/// The seal of a message that is not signed: it recovers to no account.
pub(crate) const SILENCE: Seal = Seal([0; SIGNATURE_BYTES]);

/// Steps of a round in the order they are signed.
const PROPOSE: u8 = 0;
const PREVOTE: u8 = 1;
const PRECOMMIT: u8 = 2;

#[async_trait]
impl Signer<Assay> for EngineSigner {
    async fn sign_vote(&self, vote: Vote) -> Result<SignedMessage<Assay, Vote>, EngineError> {
        let step = match vote.kind {
            VoteType::Prevote => PREVOTE,
            VoteType::Precommit => PRECOMMIT,
        };
        let block = match vote.block {
            NilOrVal::Nil => B256::ZERO,
            NilOrVal::Val(block) => block,
        };
        let digest = vote.digest(&self.domain);
        match self.sign_once(vote.height.0, vote.round, step, digest, block) {
            Err(error @ SignError::SignedBefore { .. }) => Ok(self.say_again(vote, step, &error)),
            seal => Ok(SignedMessage::new(vote, self.report(seal)?)),
        }
    }

    async fn sign_proposal(
        &self,
        proposal: Proposal,
    ) -> Result<SignedMessage<Assay, Proposal>, EngineError> {
        let (digest, block) = (proposal.digest(&self.domain), proposal.block.0);
        match self.sign_once(proposal.height.0, proposal.round, PROPOSE, digest, block) {
            Err(error @ SignError::SignedBefore { .. }) => {
                // The round is lost, as with a silent proposer.
                tracing::warn!(%error, "this node does not propose");
                Ok(SignedMessage::new(proposal, SILENCE))
            }
            seal => Ok(SignedMessage::new(proposal, self.report(seal)?)),
        }
    }

    async fn sign_vote_extension(
        &self,
        _: VoteExtensionScope<Assay>,
        (): (),
    ) -> Result<SignedExtension<Assay>, EngineError> {
        // Votes carry no extensions: nothing of that kind is ever signed.
        Err(EngineError::new())
    }

    async fn sign_validator_proof(
        &self,
        public_key: Vec<u8>,
        peer_id: Vec<u8>,
    ) -> Result<ValidatorProof<Assay>, EngineError> {
        let statement = ValidatorProof::<Assay>::signing_bytes(&public_key, &peer_id);
        let seal = self.key.sign(self.domain.peer(&statement)).map(Seal);
        Ok(ValidatorProof::new(public_key, peer_id, self.report(seal)?))
    }
}

impl EngineVerifier {
    fn check(digest: Option<B256>, seal: &Seal, key: &Account) -> VerificationResult {
        let signer = digest.and_then(|digest| recover(digest, &seal.0));
        VerificationResult::from_bool(signer == Some(key.0))
    }
}

#[async_trait]
impl Verifier<Assay> for EngineVerifier {
    async fn verify_signed_vote(
        &self,
        vote: &Vote,
        seal: &Seal,
        key: &Account,
    ) -> Result<VerificationResult, EngineError> {
        Ok(Self::check(vote.digest(&self.domain), seal, key))
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        seal: &Seal,
        key: &Account,
    ) -> Result<VerificationResult, EngineError> {
        Ok(Self::check(proposal.digest(&self.domain), seal, key))
    }

    async fn verify_signed_vote_extension(
        &self,
        _: &VoteExtensionScope<Assay>,
        (): &(),
        _: &Seal,
        _: &Account,
    ) -> Result<VerificationResult, EngineError> {
        Ok(VerificationResult::Invalid)
    }

    async fn verify_validator_proof(
        &self,
        proof: &ValidatorProof<Assay>,
    ) -> Result<VerificationResult, EngineError> {
        let Ok(key) = proof.decoded_public_key() else {
            return Ok(VerificationResult::Invalid);
        };
        let digest = self.domain.peer(&proof.preimage());
        Ok(Self::check(Some(digest), &proof.signature, &key))
    }
}

#[cfg(test)]
mod tests;
