//! Answers the engine: builds, checks and commits blocks through the chain service.
//!
//! One question at a time, in the order they come, on a thread of its own. What it answers is what
//! it recomputed; what this machine fails at, it does not answer.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use alloy_primitives::{Address, B256, keccak256};
use assay_chain::{Attributes, Chain, ChainError, Executed, TransactionSource};
use assay_types::{
    Certificate, Domain, RecoveredBlock, StateView as _, certificate::recover, digest::Ballot,
    validators::set_at,
};
use bytes::Bytes;
use malachitebft_app::{
    engine::host::{HeightParams, Next, SyncedValueOutcome},
    streaming::{StreamContent, StreamId, StreamMessage},
    types::{
        LocallyProposedValue, PeerId, ProposedValue,
        core::{
            CommitCertificate, ExtendedCommitCertificate, ExtendedCommitSignature, LinearTimeouts,
            Round, Validity,
        },
        sync::RawDecidedValue,
    },
};
use malachitebft_app_channel::{AppMsg, NetworkMsg};
use tokio::sync::mpsc;

use crate::{
    Status,
    clock::Clock,
    codec::PROPOSAL_BYTES,
    context::{Account, Announcement, Assay, BlockId, Height, Members, Part, Seal},
    divergence::Report,
    evidence::Evidence,
    proposal::{Arrived, Candidate, Decided, stream_name},
    rules,
    signer::{Sign, SignError},
    streams::Streams,
    wire::WireError,
};

/// Most bytes of old blocks one answer to a peer holds.
const SYNC_BYTES: usize = 8 << 20;
/// Most proposals kept in memory for the next heights.
const MOST_EARLY: usize = 16;

/// Offers the transactions that wait, and learns what became of them.
pub trait Waiting: Send {
    /// Opens what waits for a block of this base fee.
    fn open(&self, base_fee: Option<u64>) -> Box<dyn TransactionSource + '_>;

    /// Learns that a block was decided.
    fn settle(&self, block: &RecoveredBlock);
}

/// Makes and checks blocks: the chain service, which tests replace to play a faulty machine.
pub trait Recompute: Send + Sync {
    /// Builds the next block.
    ///
    /// # Errors
    /// When this machine fails.
    fn build(
        &self,
        attributes: &Attributes,
        source: &mut dyn TransactionSource,
    ) -> Result<Executed, ChainError>;

    /// Executes a block made elsewhere and checks it.
    ///
    /// # Errors
    /// When the block breaks a rule, or this machine fails.
    fn execute(&self, block: RecoveredBlock) -> Result<Executed, ChainError>;
}

impl Recompute for Chain {
    fn build(
        &self,
        attributes: &Attributes,
        source: &mut dyn TransactionSource,
    ) -> Result<Executed, ChainError> {
        Self::build(self, attributes, source)
    }

    fn execute(&self, block: RecoveredBlock) -> Result<Executed, ChainError> {
        Self::execute(self, block)
    }
}

/// Says why the application ends.
#[derive(Debug, thiserror::Error)]
pub enum ApplicationError {
    /// The chain service failed.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The chain has no validator set to vote with.
    #[error("the validator set of height {0} is empty: is this the genesis of a network?")]
    NoValidators(u64),
    /// The chain has no inference section, and so no validator set.
    #[error("genesis has no section config.assay: it is not a network's")]
    NotANetwork,
    /// The key does not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A block does not fit a proposal.
    #[error(transparent)]
    Wire(#[from] WireError),
}

impl From<assay_state::StateError> for ApplicationError {
    fn from(error: assay_state::StateError) -> Self {
        Self::Chain(error.into())
    }
}

/// Says that this node stopped voting for good, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "stopped voting: {why}; reads go on. Check this machine with `assay model selftest`, then its memory"
)]
pub struct Stopped {
    /// Why.
    pub why: String,
}

/// What an operator chose about voting.
#[derive(Debug, Clone)]
pub(crate) struct Choices {
    pub(crate) timeouts: LinearTimeouts,
    /// Least time from one block to the next.
    pub(crate) interval: Duration,
    /// What this machine is, for reports.
    pub(crate) machine: String,
    /// What time it is.
    pub(crate) clock: Arc<dyn Clock>,
}

/// The verdict on a proposal.
enum Verdict {
    Valid(B256),
    Invalid(B256),
    /// Nothing can be said: it is not a block, or this machine failed.
    None,
}

/// What the engine talks to.
pub struct Application<W> {
    chain: Arc<Chain>,
    machine: Arc<dyn Recompute>,
    waiting: W,
    key: Option<Arc<dyn Sign>>,
    domain: Domain,
    choices: Choices,
    status: Arc<Status>,
    parts: mpsc::Sender<NetworkMsg<Assay>>,
    streams: Streams,
    /// Blocks of the height under way that were executed, by hash.
    executed: BTreeMap<B256, Executed>,
    /// Whole proposals of later heights.
    early: Vec<Arrived>,
    /// The validators of the height under way.
    members: Members,
}

impl<W: Waiting> Application<W> {
    pub(crate) fn new(
        chain: Arc<Chain>,
        machine: Arc<dyn Recompute>,
        waiting: W,
        key: Option<Arc<dyn Sign>>,
        domain: Domain,
        choices: Choices,
        status: Arc<Status>,
        parts: mpsc::Sender<NetworkMsg<Assay>>,
    ) -> Result<Self, ApplicationError> {
        let mut application = Self {
            chain,
            machine,
            waiting,
            key,
            domain,
            choices,
            status,
            parts,
            streams: Streams::default(),
            executed: BTreeMap::new(),
            early: Vec::new(),
            members: Members::new(&[]),
        };
        application.begin_height()?;
        Ok(application)
    }

    /// Answers the engine until it ends.
    pub(crate) fn run(mut self, mut questions: mpsc::Receiver<AppMsg<Assay>>) {
        while let Some(question) = questions.blocking_recv() {
            if let Err(error) = self.answer(question) {
                // The engine goes on without an answer: a timeout, a nil vote, another try.
                tracing::error!(%error, "question of the engine not answered");
            }
        }
    }

    /// Answers one question; the reply is sent before this returns.
    pub(crate) fn answer(&mut self, question: AppMsg<Assay>) -> Result<(), ApplicationError> {
        match question {
            AppMsg::ConsensusReady { reply } => {
                let _ = reply.send((self.height(), self.height_params()));
            }
            AppMsg::StartedRound {
                height,
                round,
                proposer,
                reply_value,
                ..
            } => {
                self.note_round(height, round, proposer);
                let seen = self.proposals_of(height, round)?;
                let _ = reply_value.send(seen);
            }
            AppMsg::GetValue {
                height,
                round,
                reply,
                ..
            } => {
                if let Some(arrived) = self.propose(height, round)? {
                    let hash = self.hash_of(&arrived)?;
                    let value = LocallyProposedValue::new(height, round, BlockId(hash));
                    let _ = reply.send(value);
                    self.publish(&arrived);
                }
            }
            AppMsg::RestreamProposal {
                height,
                round,
                valid_round,
                value_id,
                ..
            } => self.propose_again(height, round, valid_round, value_id)?,
            AppMsg::ReceivedProposalPart {
                from,
                published_by,
                part,
                reply,
            } => {
                let value = self.take_part(from, published_by, part)?;
                let _ = reply.send(value);
            }
            AppMsg::Decided {
                certificate, reply, ..
            } => {
                self.commit(&certificate)?;
                let _ = reply.send(());
            }
            AppMsg::Finalized {
                certificate,
                evidence,
                reply,
                ..
            } => {
                self.keep_evidence(&Evidence::all(&evidence))?;
                if self.status.stopped().is_some() {
                    // Without an answer the engine rests: this node votes no more.
                    return Ok(());
                }
                let (height, params) = (self.height(), self.height_params());
                let next = match height > certificate.height {
                    true => Next::Start(height, params),
                    false => Next::Restart(height, params),
                };
                let _ = reply.send(next);
            }
            AppMsg::GetHistoryMinHeight { reply } => {
                let _ = reply.send(Height(1));
            }
            AppMsg::GetDecidedValues { range, reply } => {
                let values = self.decided(range.start().0, range.end().0)?;
                let _ = reply.send(values);
            }
            AppMsg::ProcessSyncedValue {
                height,
                round,
                proposer,
                value_bytes,
                reply,
            } => {
                let outcome = self.take_synced(height, round, proposer, value_bytes);
                let _ = reply.send(outcome?);
            }
            AppMsg::ExtendVote { reply, .. } => {
                let _ = reply.send(None);
            }
            AppMsg::VerifyVoteExtensions { reply, .. } => {
                // No vote has an extension: there is nothing to say about none.
                let _ = reply.send(Vec::new());
            }
        }
        Ok(())
    }

    /// Returns the height under way.
    fn height(&self) -> Height {
        Height(self.chain.head().header.number.saturating_add(1))
    }

    fn height_params(&self) -> HeightParams<Assay> {
        let interval = Some(self.choices.interval).filter(|interval| !interval.is_zero());
        HeightParams::new(self.members.clone(), self.choices.timeouts, interval)
    }

    /// Reads who votes at the height that begins.
    fn begin_height(&mut self) -> Result<(), ApplicationError> {
        let params = self.chain.spec().assay.as_ref();
        let contract = params.ok_or(ApplicationError::NotANetwork)?.validator_set;
        let reader = self.chain.reader()?;
        let state = reader.state(reader.tip())?;
        let height = self.height().0;
        let set = set_at(height, |slot| state.storage(contract, slot))?;
        if set.is_empty() {
            return Err(ApplicationError::NoValidators(height));
        }
        self.members = Members::new(&set);
        self.executed.clear();
        let status = &self.status;
        status.height.store(height, Ordering::Relaxed);
        let own = self.account();
        let votes = own.is_some_and(|own| set.iter().any(|one| one.account == own));
        let votes = votes && status.stopped().is_none();
        status.validates.store(votes, Ordering::Relaxed);
        Ok(())
    }

    fn account(&self) -> Option<Address> {
        self.key.as_ref().map(|key| key.account())
    }

    fn note_round(&self, height: Height, round: Round, proposer: Account) {
        let number = round.as_u32().unwrap_or_default();
        self.status.round.store(number.into(), Ordering::Relaxed);
        if number > 0 {
            Status::count(&self.status.rounds_lost);
            tracing::warn!(height = height.0, round = number, %proposer, "round begins again");
        }
    }

    /// Lists what is known of a round: proposals kept before a crash, and those that came early.
    fn proposals_of(
        &mut self,
        height: Height,
        round: Round,
    ) -> Result<Vec<ProposedValue<Assay>>, ApplicationError> {
        let mut known: Vec<Arrived> = self
            .kept(height)?
            .into_iter()
            .filter(|one| one.announcement.round == round)
            .collect();
        let (now, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.early)
            .into_iter()
            .partition(|one| one.announcement.height == height && one.announcement.round == round);
        self.early = later;
        known.extend(now);
        let mut values = Vec::new();
        for arrived in known {
            let verdict = self.judge(&arrived)?;
            values.extend(proposed(&arrived.announcement, &verdict));
        }
        Ok(values)
    }

    fn kept(&self, height: Height) -> Result<Vec<Arrived>, ApplicationError> {
        let kept = self.chain.reader()?.proposals(height.0)?;
        // What this node wrote it can read, unless the file is damaged: then it is passed over.
        let decoded = kept.into_iter().map(|bytes| Arrived::decode(bytes.into()));
        Ok(decoded.filter_map(Result::ok).collect())
    }

    /// Builds the block to propose; the same one when it was built before a crash.
    fn propose(
        &mut self,
        height: Height,
        round: Round,
    ) -> Result<Option<Arrived>, ApplicationError> {
        let Some(key) = self.key.clone().filter(|_| height == self.height()) else {
            return Ok(None);
        };
        let own = Account(key.account());
        let before = self
            .kept(height)?
            .into_iter()
            .find(|one| one.announcement.round == round && one.announcement.proposer == own);
        if let Some(before) = before {
            self.judge(&before)?;
            return Ok(Some(before));
        }
        let head = self.chain.head();
        let now = self.choices.clock.seconds();
        let attributes = Attributes {
            timestamp: now.max(head.header.timestamp.saturating_add(1)),
            beneficiary: own.0,
            mix_hash: B256::ZERO,
            ..Attributes::following(&head)
        };
        let base_fee = self.chain.next_header(&head, &attributes).base_fee_per_gas;
        let executed = {
            let mut source = self.waiting.open(base_fee);
            self.machine.build(&attributes, &mut *source)?
        };
        let candidate = Candidate::new(executed.block.block(), &executed.outcome.records);
        let arrived = self.sign_stream(height, round, Round::Nil, candidate.encode()?)?;
        self.keep(&arrived, executed)?;
        Status::count(&self.status.blocks_proposed);
        Ok(Some(arrived))
    }

    /// Streams again a block that a quorum prevoted for in an earlier round.
    fn propose_again(
        &mut self,
        height: Height,
        round: Round,
        valid_round: Round,
        block: B256,
    ) -> Result<(), ApplicationError> {
        for before in self.kept(height)? {
            if self.hash_of(&before)? == block {
                let again = self.sign_stream(height, round, valid_round, before.payload)?;
                self.publish(&again);
                break;
            }
        }
        Ok(())
    }

    fn sign_stream(
        &self,
        height: Height,
        round: Round,
        valid_round: Round,
        payload: Bytes,
    ) -> Result<Arrived, ApplicationError> {
        let key = self.key.as_ref().ok_or(SignError::NoRound)?;
        let mut announcement = Announcement {
            height,
            round,
            valid_round,
            proposer: Account(key.account()),
            size_bytes: payload.len() as u64,
            payload_hash: keccak256(&payload),
            seal: Seal([0; 65]),
        };
        let digest = announcement.digest(&self.domain);
        announcement.seal = Seal(key.sign(digest.ok_or(SignError::NoRound)?)?);
        Ok(Arrived {
            announcement,
            payload,
        })
    }

    fn publish(&self, arrived: &Arrived) {
        let stream = StreamId::new(stream_name(&arrived.announcement).0);
        let parts = arrived.parts();
        let end = parts.len() as u64;
        let data = (0..)
            .zip(parts)
            .map(|(index, part)| (index, StreamContent::Data(part)));
        for (index, content) in data.chain([(end, StreamContent::Fin)]) {
            let message = StreamMessage::new(stream.clone(), index, content);
            // The engine is gone when nobody listens: its end is told elsewhere.
            let _ = self
                .parts
                .blocking_send(NetworkMsg::PublishProposalPart(message));
        }
    }

    fn take_part(
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
    fn judge(&mut self, arrived: &Arrived) -> Result<Verdict, ApplicationError> {
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

    fn execute(&self, block: RecoveredBlock) -> Result<Executed, ChainError> {
        let began = Instant::now();
        let executed = self.machine.execute(block);
        let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.status.execution_us.fetch_add(took, Ordering::Relaxed);
        executed
    }

    fn keep(&mut self, arrived: &Arrived, executed: Executed) -> Result<(), ApplicationError> {
        let (height, hash) = (arrived.announcement.height.0, executed.block.hash());
        self.chain
            .store()
            .keep_proposal(height, hash, &arrived.encode())?;
        self.executed.insert(hash, executed);
        Ok(())
    }

    fn refuse(&self, announcement: &Announcement, hash: B256, why: &str) {
        Status::count(&self.status.proposals_invalid);
        let (height, round) = (announcement.height.0, announcement.round.as_i64());
        let proposer = announcement.proposer;
        tracing::warn!(height, round, %proposer, %hash, why, "proposal refused");
    }

    /// Keeps a report when the block is well-formed and this node computes other results.
    fn report(
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

    fn hash_of(&self, arrived: &Arrived) -> Result<B256, ApplicationError> {
        let candidate = Candidate::decode(arrived.payload.clone())?;
        Ok(self.chain.decode(&mut candidate.block.as_ref())?.hash())
    }

    /// Makes the decided block the newest one, for good.
    fn commit(&mut self, decided: &CommitCertificate<Assay>) -> Result<(), ApplicationError> {
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
    fn execute_kept(&mut self, height: Height, hash: B256) -> Result<Executed, ApplicationError> {
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

    fn note_vote(&self, certificate: &Certificate) {
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
    fn alone(&self, height: Height, hash: B256, error: &ChainError) {
        let why = format!(
            "block {hash} of height {height} is decided, and this node computes otherwise: {error}"
        );
        let stopped = Stopped { why: why.clone() };
        tracing::error!(height = height.0, %hash, %stopped, "diverged from a decided block");
        self.status.stop(why);
    }

    fn keep_evidence(&self, evidence: &[Evidence]) -> Result<(), ApplicationError> {
        for one in evidence {
            Status::count(&self.status.equivocations);
            tracing::error!(
                validator = %one.validator,
                height = one.height,
                kind = one.kind,
                "validator signed two things"
            );
            self.chain
                .store()
                .keep_evidence(one.height, one.validator, &one.encode())?;
        }
        Ok(())
    }

    /// Reads decided blocks for a peer that is behind.
    fn decided(
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
    fn take_synced(
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

/// Checks who answers for a stream, before its bytes are taken.
fn accept(
    domain: &Domain,
    height: Height,
    members: &Members,
    announcement: &Announcement,
) -> Result<(), &'static str> {
    use malachitebft_app::types::core::{Context as _, Validator as _, ValidatorSet as _};
    let next = Height(height.0.saturating_add(1));
    if announcement.height < height || announcement.height > next {
        return Err("height is not the one under way or the next");
    }
    let digest = announcement.digest(domain).ok_or("no round")?;
    if recover(digest, &announcement.seal.0) != Some(announcement.proposer.0) {
        return Err("signature is not the proposer's");
    }
    // The next height's set may differ: there a member of this one is enough for now.
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
const fn blames(error: &ChainError) -> bool {
    error.blames_block()
}

fn proposed(announcement: &Announcement, verdict: &Verdict) -> Option<ProposedValue<Assay>> {
    match verdict {
        Verdict::Valid(hash) => Some(value(announcement, *hash, Validity::Valid)),
        Verdict::Invalid(hash) => Some(value(announcement, *hash, Validity::Invalid)),
        Verdict::None => None,
    }
}

const fn value(
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
