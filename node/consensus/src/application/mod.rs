//! Answers the engine: builds, checks and commits blocks through the chain service.
//!
//! One question at a time, in the order they come, on a thread of its own. What it answers is what
//! it recomputed; what this machine fails at, it does not answer.

mod decide;
mod judge;
mod propose;
mod seams;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use alloy_primitives::{Address, B256};
use assay_chain::{Chain, ChainError, Executed};
use assay_types::{Domain, StateView as _, validators::set_at};
use malachitebft_app::{
    engine::host::{HeightParams, Next},
    types::{
        LocallyProposedValue, ProposedValue,
        core::{LinearTimeouts, Round},
    },
};
use malachitebft_app_channel::{AppMsg, NetworkMsg};
use tokio::sync::mpsc;

pub use seams::{Recompute, Waiting};

use crate::{
    Status,
    clock::Clock,
    context::{Account, Assay, BlockId, Height},
    evidence,
    members::Members,
    proposal::Arrived,
    signer::{Sign, SignError},
    streams::Streams,
    wire::WireError,
};
use judge::{accept, proposed};

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

impl ApplicationError {
    /// Tells whether the disk failed, so that only another start can go on.
    const fn ends_node(&self) -> bool {
        match self {
            Self::Chain(ChainError::Store(error)) => error.is_of_the_disk(),
            Self::Sign(SignError::Log { .. }) => true,
            _ => false,
        }
    }
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

    /// Answers the engine until it ends, or the store fails.
    pub(crate) fn run(mut self, mut questions: mpsc::Receiver<AppMsg<Assay>>) {
        while let Some(question) = questions.blocking_recv() {
            if let Err(error) = self.answer(question) {
                if error.ends_node() {
                    // The store takes nothing more in this process, whatever its disk does next.
                    tracing::error!(%error, "this node cannot go on");
                    self.status.fail(error.to_string());
                    return;
                }
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
                evidence: seen,
                reply,
                ..
            } => {
                self.keep_evidence(&evidence::all(&seen))?;
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
                let first = self.chain.reader()?.first_decided()?;
                let _ = reply.send(Height(first.unwrap_or(1)));
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
        // Who proposes was not known when these came: now it is, and only the drawn one counts.
        known.extend(
            now.into_iter().filter(|one| {
                accept(&self.domain, height, &self.members, &one.announcement).is_ok()
            }),
        );
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
}
