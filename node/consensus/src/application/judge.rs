//! Recomputing what others propose.

use std::{sync::atomic::Ordering, time::Instant};

use alloy_primitives::B256;
use assay_chain::{ChainError, Executed};
use assay_types::{Domain, RecoveredBlock, certificate::recover};
use malachitebft_app::{
    streaming::StreamMessage,
    types::{
        PeerId, ProposedValue,
        core::{Context as _, Validator as _, ValidatorSet as _, Validity},
    },
};

use super::{Application, ApplicationError, Waiting};
use crate::{
    Status,
    context::{Announcement, Assay, BlockId, Height, Part},
    divergence::Report,
    members::Members,
    proposal::{Arrived, Candidate},
    rules,
};

/// Most proposals kept in memory for the next heights.
const MOST_EARLY: usize = 16;

/// The verdict on a proposal.
pub(super) enum Verdict {
    Valid(B256),
    Invalid(B256),
    /// Nothing can be said: it is not a block, or this machine failed.
    None,
}

impl<W: Waiting> Application<W> {
    pub(super) fn take_part(
        &mut self,
        from: PeerId,
        published_by: Option<PeerId>,
        part: StreamMessage<Part>,
    ) -> Result<Option<ProposedValue<Assay>>, ApplicationError> {
        let (domain, height, members) = (self.domain, self.height(), self.members.clone());
        let publisher = published_by.or(Some(from));
        let accept = |announcement: &Announcement| accept(&domain, height, &members, announcement);
        let arrived = match self.streams.take(publisher, part, accept) {
            Ok(Some(arrived)) => arrived,
            Ok(None) => return Ok(None),
            Err(error) => {
                Status::count(&self.status.streams_refused);
                tracing::debug!(%error, peer = %from, "stream dropped");
                return Ok(None);
            }
        };
        if arrived.announcement.height > height {
            // Its parent is not here yet.
            if self.early.len() < MOST_EARLY {
                self.early.push(arrived);
            }
            return Ok(None);
        }
        let verdict = self.judge(&arrived)?;
        Ok(proposed(&arrived.announcement, &verdict))
    }

    /// Recomputes a proposal. A valid one is kept before anybody learns of it.
    pub(super) fn judge(&mut self, arrived: &Arrived) -> Result<Verdict, ApplicationError> {
        if arrived.announcement.height != self.height() {
            return Ok(Verdict::None);
        }
        let Ok(candidate) = Candidate::decode(arrived.payload.clone()) else {
            return Ok(Verdict::None);
        };
        let block = match self.chain.decode(&mut candidate.block.as_ref()) {
            Ok(block) => block,
            Err(error) if error.blames_block() => return Ok(Verdict::None),
            Err(error) => return Err(error.into()),
        };
        let hash = block.hash();
        if self.executed.contains_key(&hash) {
            return Ok(Verdict::Valid(hash));
        }
        let head = self.chain.head();
        let rules = rules::check(block.block(), &head.header).and_then(|()| {
            rules::check_time(block.header(), &head.header, self.choices.clock.seconds())
        });
        if let Err(error) = rules {
            self.refuse(&arrived.announcement, hash, &error.to_string());
            return Ok(Verdict::Invalid(hash));
        }
        match self.execute(block.clone()) {
            Ok(executed) => {
                self.keep(arrived, executed)?;
                Status::count(&self.status.proposals_valid);
                Ok(Verdict::Valid(hash))
            }
            Err(error) if blames(&error) => {
                self.refuse(&arrived.announcement, hash, &error.to_string());
                self.report(&arrived.announcement, &block, &error, &candidate)?;
                Ok(Verdict::Invalid(hash))
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn execute(&self, block: RecoveredBlock) -> Result<Executed, ChainError> {
        let began = Instant::now();
        let executed = self.machine.execute(block);
        let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.status.execution_us.fetch_add(took, Ordering::Relaxed);
        executed
    }

    pub(super) fn keep(
        &mut self,
        arrived: &Arrived,
        executed: Executed,
    ) -> Result<(), ApplicationError> {
        let (height, hash) = (arrived.announcement.height.0, executed.block.hash());
        self.chain
            .store()
            .keep_proposal(height, hash, &arrived.encode())?;
        self.executed.insert(hash, executed);
        Ok(())
    }

    pub(super) fn refuse(&self, announcement: &Announcement, hash: B256, why: &str) {
        Status::count(&self.status.proposals_invalid);
        let (height, round) = (announcement.height.0, announcement.round.as_i64());
        let proposer = announcement.proposer;
        tracing::warn!(height, round, %proposer, %hash, why, "proposal refused");
    }

    /// Keeps a report when the block is well-formed and this node computes other results.
    pub(super) fn report(
        &self,
        announcement: &Announcement,
        block: &RecoveredBlock,
        error: &ChainError,
        candidate: &Candidate,
    ) -> Result<(), ApplicationError> {
        if !error.differs() {
            return Ok(());
        }
        let ours = self.chain.recompute(block)?.records;
        let machine = &self.choices.machine;
        let reason = error.to_string();
        let report = Report::new(
            announcement,
            block,
            reason,
            &ours,
            &candidate.records,
            machine,
        );
        Status::count(&self.status.divergences);
        let (height, hash) = (announcement.height.0, block.hash());
        self.chain
            .store()
            .keep_divergence(height, hash, &report.encode())?;
        tracing::error!(height, %hash, proposer = %announcement.proposer, %error, "this node computes another result: see assay_divergences");
        Ok(())
    }

    pub(super) fn hash_of(&self, arrived: &Arrived) -> Result<B256, ApplicationError> {
        let candidate = Candidate::decode(arrived.payload.clone())?;
        Ok(self.chain.decode(&mut candidate.block.as_ref())?.hash())
    }
}

/// Checks who answers for a stream, before its bytes are taken.
pub(super) fn accept(
    domain: &Domain,
    height: Height,
    members: &Members,
    announcement: &Announcement,
) -> Result<(), &'static str> {
    let next = Height(height.0.saturating_add(1));
    if announcement.height < height || announcement.height > next {
        return Err("height is not the one under way or the next");
    }
    let digest = announcement.digest(domain).ok_or("no round")?;
    if recover(digest, &announcement.seal.0) != Some(announcement.proposer.0) {
        return Err("signature is not the proposer's");
    }
    // The next height's set may differ: a member of this one may send, and is checked again when
    // that height begins.
    let due = match announcement.height == height {
        true => {
            let drawn = Assay.select_proposer(members, height, announcement.round);
            *drawn.address() == announcement.proposer
        }
        false => members.get_by_address(&announcement.proposer).is_some(),
    };
    due.then_some(())
        .ok_or("another validator proposes in this round")
}

/// Tells a block's fault from this machine's and from bad timing.
pub(super) const fn blames(error: &ChainError) -> bool {
    error.blames_block()
}

pub(super) fn proposed(
    announcement: &Announcement,
    verdict: &Verdict,
) -> Option<ProposedValue<Assay>> {
    match verdict {
        Verdict::Valid(hash) => Some(value(announcement, *hash, Validity::Valid)),
        Verdict::Invalid(hash) => Some(value(announcement, *hash, Validity::Invalid)),
        Verdict::None => None,
    }
}

pub(super) const fn value(
    announcement: &Announcement,
    hash: B256,
    validity: Validity,
) -> ProposedValue<Assay> {
    ProposedValue {
        height: announcement.height,
        round: announcement.round,
        valid_round: announcement.valid_round,
        proposer: announcement.proposer,
        value: BlockId(hash),
        validity,
    }
}
