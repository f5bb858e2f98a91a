//! Signing: whose key, what was signed before, and what must never be signed again.
//!
//! A validator that signs two blocks in one round can be punished for it, so every signature is
//! first written to a log of its own, apart from the chain's data: a chain restored from a backup
//! does not make the node forget what it said.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
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

use crate::context::{Account, Assay, Proposal, Seal, Vote};

/// Bytes of an entry in the log: height, round, step, digest, block, and a checksum of them.
const ENTRY_BYTES: usize = 8 + 4 + 1 + 32 + 32 + 4;
/// Bytes of the log after which it is written anew with the newest height alone.
const COMPACT_BYTES: u64 = 1 << 20;

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

/// Where a validator's log of signatures lies.
#[derive(Debug, Clone)]
pub struct KeyFile(PathBuf);

/// A place in the protocol where one thing may be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    round: u32,
    step: u8,
}

/// What was signed at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Said {
    digest: B256,
    /// The block; zero for none.
    block: B256,
}

/// What was signed at the newest height, kept on disk before it is signed.
#[derive(Debug)]
pub struct LastSigned {
    log: File,
    path: PathBuf,
    height: u64,
    signed: BTreeMap<Place, Said>,
    length: u64,
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

impl KeyFile {
    /// Names the log of a key's signatures.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Opens the log, making it when it is missing.
    ///
    /// # Errors
    /// When it cannot be used, or is damaged.
    pub fn open(&self) -> Result<LastSigned, SignError> {
        LastSigned::open(&self.0)
    }
}

impl LastSigned {
    fn open(path: &Path) -> Result<Self, SignError> {
        let failed = |source| SignError::Log {
            path: path.into(),
            source,
        };
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        let mut log = options.open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        log.read_to_end(&mut bytes).map_err(failed)?;
        let mut last = Self {
            log,
            path: path.into(),
            height: 0,
            signed: BTreeMap::new(),
            length: bytes.len() as u64,
        };
        let (entries, torn) = bytes.as_chunks::<ENTRY_BYTES>();
        for (index, entry) in entries.iter().enumerate() {
            let (height, place, said) = decode(entry).ok_or_else(|| SignError::Damaged {
                path: path.into(),
                entry: index,
            })?;
            last.note(height, place, said);
        }
        if !torn.is_empty() {
            // The process died while it wrote an entry; nothing was signed for it yet.
            let whole = bytes.len().saturating_sub(torn.len()) as u64;
            last.log.set_len(whole).map_err(failed)?;
            last.length = whole;
        }
        Ok(last)
    }

    /// Returns the newest height something was signed at.
    #[must_use]
    pub const fn height(&self) -> u64 {
        self.height
    }

    /// Tells what was signed at a place of the newest height.
    fn said(&self, height: u64, round: u32, step: u8) -> Option<Said> {
        let signed = self.signed.get(&Place { round, step });
        signed.copied().filter(|_| height == self.height)
    }

    /// Allows a digest at a place, once it is on disk.
    fn allow(&mut self, height: u64, round: u32, step: u8, said: Said) -> Result<(), SignError> {
        let place = Place { round, step };
        let refuse = |what| SignError::SignedBefore {
            height,
            round,
            what,
            last: self.height,
        };
        if height < self.height {
            return Err(refuse("at a later height"));
        }
        if height == self.height {
            // The engine's log replays a height: what was signed is signed again, nothing else is.
            match self.signed.get(&place) {
                Some(before) if *before == said => return Ok(()),
                Some(_) => return Err(refuse("another message")),
                None => {}
            }
        }
        self.write(height, place, said)
            .map_err(|source| SignError::Log {
                path: self.path.clone(),
                source,
            })?;
        self.note(height, place, said);
        Ok(())
    }

    fn write(&mut self, height: u64, place: Place, said: Said) -> io::Result<()> {
        let entry = encode(height, place, said);
        if self.length >= COMPACT_BYTES && height > self.height {
            // A new height needs nothing of the old ones but their number, which the entry has.
            let next = self.path.with_extension("next");
            let mut file = File::create(&next)?;
            file.write_all(&entry)?;
            file.sync_all()?;
            std::fs::rename(&next, &self.path)?;
            self.log = OpenOptions::new()
                .read(true)
                .append(true)
                .open(&self.path)?;
            self.length = self.log.seek(io::SeekFrom::End(0))?;
            return Ok(());
        }
        self.log.write_all(&entry)?;
        self.log.sync_data()?;
        self.length += ENTRY_BYTES as u64;
        Ok(())
    }

    fn note(&mut self, height: u64, place: Place, said: Said) {
        if height > self.height {
            self.height = height;
            self.signed.clear();
        }
        self.signed.insert(place, said);
    }
}

fn encode(height: u64, place: Place, said: Said) -> [u8; ENTRY_BYTES] {
    let mut entry = [0; ENTRY_BYTES];
    entry[..8].copy_from_slice(&height.to_be_bytes());
    entry[8..12].copy_from_slice(&place.round.to_be_bytes());
    entry[12] = place.step;
    entry[13..45].copy_from_slice(said.digest.as_slice());
    entry[45..77].copy_from_slice(said.block.as_slice());
    let sum = keccak256(&entry[..77]);
    entry[77..].copy_from_slice(&sum[..4]);
    entry
}

fn decode(entry: &[u8; ENTRY_BYTES]) -> Option<(u64, Place, Said)> {
    let height = u64::from_be_bytes(*entry.first_chunk()?);
    let round = u32::from_be_bytes(*entry.get(8..)?.first_chunk()?);
    let step = *entry.get(12)?;
    let digest = B256::from_slice(entry.get(13..45)?);
    let block = B256::from_slice(entry.get(45..77)?);
    let (place, said) = (Place { round, step }, Said { digest, block });
    (encode(height, place, said) == *entry).then_some((height, place, said))
}

impl EngineSigner {
    pub(crate) fn new(domain: Domain, voter: Voter) -> Self {
        Self {
            domain,
            key: voter.key,
            last: Arc::new(Mutex::new(voter.last)),
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

    fn report<T>(result: Result<T, SignError>) -> Result<T, EngineError> {
        result.map_err(|error| {
            tracing::error!(%error, "not signed");
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
            seal => Ok(SignedMessage::new(vote, Self::report(seal)?)),
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
            seal => Ok(SignedMessage::new(proposal, Self::report(seal)?)),
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
        Ok(ValidatorProof::new(
            public_key,
            peer_id,
            Self::report(seal)?,
        ))
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
