//! Decided blocks: committing them, giving them to peers, taking them from peers.

use alloy_primitives::{Address, B256};
use assay_chain::{ChainError, Executed};
use assay_types::{Certificate, Domain, Evidence, certificate::recover, digest::Ballot};
use bytes::Bytes;
use malachitebft_app::{
    engine::host::SyncedValueOutcome,
    types::{
        core::{
            CommitCertificate, ExtendedCommitCertificate, ExtendedCommitSignature, Round, Validity,
        },
        sync::RawDecidedValue,
    },
};

use super::{
    Application, ApplicationError, Stopped, Waiting,
    judge::{blames, value},
};
use crate::{
    Status,
    codec::PROPOSAL_BYTES,
    context::{Account, Announcement, Assay, Height, Seal},
    proposal::{Arrived, Candidate, Decided},
};

/// Most bytes of old blocks one answer to a peer holds.
const SYNC_BYTES: usize = 8 << 20;

impl<W: Waiting> Application<W> {
    /// Makes the decided block the newest one, for good.
    pub(super) fn commit(
        &mut self,
        decided: &CommitCertificate<Assay>,
    ) -> Result<(), ApplicationError> {
        let height = decided.height;
        if height < self.height() {
            return Ok(());
        }
        let certificate = certificate_of(decided);
        let executed = match self.executed.remove(&decided.value_id) {
            Some(executed) => executed,
            None => self.execute_kept(height, decided.value_id)?,
        };
        self.chain.commit_decided(&executed, &certificate)?;
        self.waiting.settle(&executed.block);
        self.streams.decided(height.0);
        self.early.retain(|one| one.announcement.height > height);
        Status::count(&self.status.blocks_decided);
        self.note_vote(&certificate);
        let (header, outcome) = (executed.block.header(), &executed.outcome);
        tracing::info!(
            height = height.0,
            round = decided.round.as_i64(),
            hash = %executed.block.hash(),
            transactions = executed.block.block().body.transactions.len(),
            inferences = outcome.records.len(),
            gas = header.gas_used,
            "decided"
        );
        self.begin_height()
    }

    /// Executes a decided block that was voted for before a restart.
    pub(super) fn execute_kept(
        &mut self,
        height: Height,
        hash: B256,
    ) -> Result<Executed, ApplicationError> {
        for arrived in self.kept(height)? {
            if self.hash_of(&arrived)? == hash {
                let candidate = Candidate::decode(arrived.payload)?;
                let block = self.chain.decode(&mut candidate.block.as_ref())?;
                return match self.execute(block) {
                    Err(error) if blames(&error) => {
                        self.alone(height, hash, &error);
                        Err(error.into())
                    }
                    executed => Ok(executed?),
                };
            }
        }
        Err(
            assay_state::StateError::Corrupt("a decided block is missing: it comes from peers")
                .into(),
        )
    }

    pub(super) fn note_vote(&self, certificate: &Certificate) {
        let Some(own) = self.account() else {
            return;
        };
        let member = self
            .members
            .validators()
            .iter()
            .any(|one| one.account == own);
        if member && !signers(certificate, &self.domain).contains(&own) {
            Status::count(&self.status.votes_missed);
        }
    }

    /// Stops voting: more than two thirds of the power decided a block that this machine refuses.
    pub(super) fn alone(&self, height: Height, hash: B256, error: &ChainError) {
        let why = format!(
            "block {hash} of height {height} is decided, and this node computes otherwise: {error}"
        );
        let stopped = Stopped { why: why.clone() };
        tracing::error!(height = height.0, %hash, %stopped, "diverged from a decided block");
        self.status.stop(why);
    }

    pub(super) fn keep_evidence(&self, evidence: &[Evidence]) -> Result<(), ApplicationError> {
        for one in evidence {
            Status::count(&self.status.equivocations);
            tracing::error!(
                validator = %one.validator,
                height = one.height,
                kind = ?one.kind,
                "validator signed two things"
            );
            self.chain
                .store()
                .keep_evidence(one.height, one.validator, &one.encode())?;
        }
        Ok(())
    }

    /// Reads decided blocks for a peer that is behind.
    pub(super) fn decided(
        &self,
        first: u64,
        last: u64,
    ) -> Result<Vec<RawDecidedValue<Assay>>, ApplicationError> {
        let reader = self.chain.reader()?;
        let (mut values, mut bytes) = (Vec::new(), 0_usize);
        for height in first..=last.min(reader.tip()) {
            let (Some(block), Some(certificate)) =
                (reader.block_rlp(height)?, reader.certificate(height)?)
            else {
                break;
            };
            bytes = bytes.saturating_add(block.len());
            if bytes > SYNC_BYTES && !values.is_empty() {
                break;
            }
            let extended = extended(&certificate, &self.domain);
            let decided = Decided {
                block: block.0,
                certificate,
            };
            values.push(RawDecidedValue::new(decided.encode()?, extended));
        }
        Ok(values)
    }

    /// Recomputes a decided block that a peer sent. The engine checked a certificate for it; the
    /// one inside the bytes tells a lie of the peer from a difference of this machine.
    pub(super) fn take_synced(
        &mut self,
        height: Height,
        round: Round,
        proposer: Account,
        bytes: Bytes,
    ) -> Result<SyncedValueOutcome<Assay>, ApplicationError> {
        if height != self.height() {
            return Ok(SyncedValueOutcome::LocalTransientError);
        }
        let within = bytes.len() <= PROPOSAL_BYTES as usize;
        let Some(Ok(Some(decided))) = within.then(|| Decided::decode(bytes)) else {
            return Ok(SyncedValueOutcome::PeerFault);
        };
        let block = match self.chain.decode(&mut decided.block.as_ref()) {
            Ok(block) => block,
            Err(error) if error.blames_block() => return Ok(SyncedValueOutcome::PeerFault),
            Err(error) => return Err(error.into()),
        };
        let (hash, certificate) = (block.hash(), &decided.certificate);
        let names_it = certificate.block_hash == hash && certificate.height == height.0;
        let proven = certificate.verify(&self.domain, &self.members.validators());
        if !names_it || proven.is_err() {
            return Ok(SyncedValueOutcome::PeerFault);
        }
        let candidate = Candidate::new(block.block(), &[]);
        match self.execute(block) {
            Ok(executed) => {
                // Kept as a proposal is: the engine decides it only after its log has it.
                let announcement = Announcement {
                    height,
                    round,
                    valid_round: Round::Nil,
                    proposer,
                    size_bytes: 0,
                    payload_hash: B256::ZERO,
                    seal: Seal([0; 65]),
                };
                let payload = candidate.encode()?;
                let arrived = Arrived {
                    announcement,
                    payload,
                };
                self.keep(&arrived, executed)?;
                Status::count(&self.status.blocks_synced);
                let value = value(&arrived.announcement, hash, Validity::Valid);
                Ok(SyncedValueOutcome::Verdict(value))
            }
            Err(error) if blames(&error) => {
                self.alone(height, hash, &error);
                Ok(SyncedValueOutcome::LocalTransientError)
            }
            Err(error) => {
                tracing::error!(%error, height = height.0, "decided block not executed");
                Ok(SyncedValueOutcome::LocalTransientError)
            }
        }
    }
}

/// Writes the engine's certificate in the chain's form.
fn certificate_of(decided: &CommitCertificate<Assay>) -> Certificate {
    let mut signatures: Vec<_> = decided
        .commit_signatures
        .iter()
        .map(|one| (one.address, one.signature.0))
        .collect();
    signatures.sort_unstable();
    signatures.dedup_by_key(|(account, _)| *account);
    Certificate {
        height: decided.height.0,
        round: decided.round.as_u32().unwrap_or_default(),
        block_hash: decided.value_id,
        signatures: signatures.into_iter().map(|(_, seal)| seal).collect(),
    }
}

fn signers(certificate: &Certificate, domain: &Domain) -> Vec<Address> {
    let Certificate {
        height,
        round,
        block_hash,
        ..
    } = *certificate;
    let digest = domain.vote(Ballot::Precommit, height, round, Some(block_hash));
    let signers = certificate.signatures.iter();
    signers.filter_map(|seal| recover(digest, seal)).collect()
}

fn extended(certificate: &Certificate, domain: &Domain) -> ExtendedCommitCertificate<Assay> {
    let signatures = signers(certificate, domain)
        .into_iter()
        .zip(&certificate.signatures)
        .map(|(signer, seal)| ExtendedCommitSignature::new(Account(signer), Seal(*seal), None));
    ExtendedCommitCertificate {
        height: Height(certificate.height),
        round: Round::new(certificate.round),
        value_id: certificate.block_hash,
        commit_signatures: signatures.collect(),
    }
}
