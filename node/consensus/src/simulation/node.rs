//! A node: the engine's core, with our application, signer and codec under it, and its disk.
//!
//! It does what the engine's actors do around the core (`malachitebft-engine`, consensus.rs), in one
//! thread and without a clock: what it wants from the world, it lists.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use alloy_primitives::{Address, B256};
use assay_chain::{Chain, Refusal, TransactionSource};
use assay_types::{Domain, RecoveredBlock};
use bytes::Bytes;
use malachitebft_app::{
    consensus::{Effect, Input, Params, Resumable as _, State, process},
    engine::host::{HeightParams, Next},
    metrics::Metrics,
    types::{
        PeerId, ProposedValue, ValuePayload,
        core::{Round, Timeout, ValueOrigin, ValueResponse, VoteExtensionPolicy},
        sync::RawDecidedValue,
    },
};
use malachitebft_app_channel::{AppMsg, NetworkMsg};
use tokio::sync::{mpsc, oneshot};

use super::{engine::Hands, verifier::Remembering};
use crate::{
    Application, KeyFile, Recompute, Sign, Status, Voter, Waiting,
    application::Choices,
    clock::Clock,
    context::{Account, Assay, BlockId, Height, Part},
    engine::timeouts,
    signer::EngineSigner,
};

/// Least time from one block to the next.
pub(super) const INTERVAL_MS: u64 = 200;
/// The target time the core is given: it holds it against the machine's clock, so it is out of
/// reach, and the simulator lets the true one pass.
const OUT_OF_REACH: std::time::Duration = std::time::Duration::from_secs(1 << 20);
/// The time at which every simulation begins, in seconds since 1970.
const BEGINNING_S: u64 = 1_800_000_000;
/// Parts that wait to be sent: an empty block has two and an end.
const PARTS: usize = 1_024;

/// A clock that the simulator moves.
#[derive(Debug)]
pub(super) struct VirtualClock {
    pub(super) now_ms: Arc<AtomicU64>,
    pub(super) skew_s: i64,
}

impl Clock for VirtualClock {
    fn seconds(&self) -> u64 {
        let now_s = BEGINNING_S + self.now_ms.load(Ordering::Relaxed) / 1_000;
        now_s.saturating_add_signed(self.skew_s)
    }
}

/// No transactions: what is simulated is the voting.
#[derive(Debug)]
pub(super) struct Nothing;

impl TransactionSource for Nothing {
    fn next(&mut self) -> Option<(assay_types::Transaction, Address)> {
        None
    }

    fn refused(&mut self, _: B256, _: Address, _: Refusal) {}
}

impl Waiting for Nothing {
    fn open(&self, _: Option<u64>) -> Box<dyn TransactionSource + '_> {
        Box::new(Self)
    }

    fn settle(&self, _: &RecoveredBlock) {}
}

/// The topic of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    Votes,
    Liveness,
    Parts,
    Status,
    Request,
    Response,
}

/// What the application's thread answers the engine, a little later.
#[derive(Debug)]
pub(super) enum Answer {
    Propose(Height, Round, BlockId),
    Proposed(ProposedValue<Assay>, ValueOrigin),
    Start(Height, HeightParams<Assay>),
    Restart(Height, HeightParams<Assay>),
}

/// What a node wants from the world.
#[derive(Debug)]
pub(super) enum Wish {
    Send(Channel, Bytes),
    Later(Answer),
    Timer(Timeout, u64),
    Signed(u64, i64, u8, B256),
    /// Something else was signed there before.
    Silent,
    Decided,
}

/// Why a node goes down by itself.
#[derive(Debug)]
pub(super) enum Down {
    /// The crash that was planned.
    Crash,
    /// The engine ends, and an operator starts the node again.
    Engine(String),
    /// Its log does not lead to what it signed: the engine hangs, lest it sign another thing.
    Hung(String),
}

/// The engine's log of a height: what a restart replays.
#[derive(Debug, Default)]
pub(super) struct Log {
    height: u64,
    entries: Vec<Input<Assay>>,
    flushed: usize,
}

impl Log {
    pub(super) fn append(&mut self, height: Height, entry: Input<Assay>) {
        if height.0 == self.height {
            self.entries.push(entry);
        }
    }

    pub(super) const fn flush(&mut self) {
        self.flushed = self.entries.len();
    }

    fn reset(&mut self, height: u64) {
        *self = Self {
            height,
            ..Self::default()
        };
    }

    /// Reads what was logged of a height; the log begins anew when it is of another.
    fn begin(&mut self, height: u64) -> Vec<Input<Assay>> {
        if self.height != height {
            self.reset(height);
        }
        // On disk a value has no origin: the engine's log reads it as the network's.
        let decoded = self.entries.iter().cloned().map(|entry| match entry {
            Input::ProposedValue(value, _) => Input::ProposedValue(value, ValueOrigin::Consensus),
            entry => entry,
        });
        decoded.collect()
    }

    /// Loses some of what was not flushed.
    pub(super) fn crash(&mut self, keep: impl FnOnce(u64) -> u64) {
        let loose = self.entries.len() - self.flushed;
        let kept = keep(loose as u64) as usize;
        self.entries.truncate(self.flushed + kept);
        self.flushed = self.entries.len();
    }
}

/// What a node is made of, whether it runs or not.
pub(super) struct Node {
    pub(super) chain: Arc<Chain>,
    pub(super) peer: PeerId,
    pub(super) key: Arc<dyn Sign>,
    pub(super) machine: Arc<dyn Recompute>,
    /// The log of what its key signed.
    pub(super) signed: PathBuf,
    pub(super) clock: Arc<VirtualClock>,
    pub(super) domain: Domain,
    pub(super) verifier: Remembering,
    pub(super) metrics: Metrics,
    pub(super) log: Log,
    pub(super) running: Option<Running>,
    /// Starts so far: what was meant for an earlier life is dropped.
    pub(super) life: u64,
}

/// A node that runs: all of this is lost in a crash.
pub(super) struct Running {
    pub(super) core: Option<State<Assay>>,
    pub(super) hands: Hands,
    /// Decided blocks that peers sent, by height.
    pub(super) fetched: BTreeMap<u64, (PeerId, RawDecidedValue<Assay>)>,
    /// Until when an answer of a peer is waited for.
    pub(super) asked_until_ms: u64,
}

impl Node {
    pub(super) fn height(&self) -> u64 {
        self.chain.head().header.number
    }

    /// Starts the node over what its disk holds.
    pub(super) fn start(&mut self) -> Result<(), Down> {
        self.life += 1;
        self.metrics = Metrics::new();
        let (sender, parts) = mpsc::channel::<NetworkMsg<Assay>>(PARTS);
        let settings = super::settings();
        let choices = Choices {
            timeouts: timeouts(&settings),
            interval: settings.block_interval,
            machine: settings.machine,
            clock: Arc::<VirtualClock>::clone(&self.clock),
        };
        let status = Arc::new(Status::default());
        let application = Application::new(
            Arc::clone(&self.chain),
            Arc::clone(&self.machine),
            Nothing,
            Some(Arc::clone(&self.key)),
            self.domain,
            choices,
            Arc::clone(&status),
            sender,
        );
        let voter = Voter {
            key: Arc::clone(&self.key),
            last: KeyFile::new(&self.signed).open().unwrap(),
        };
        let signer = EngineSigner::new(self.domain, voter, Arc::clone(&status));
        let hands = Hands::new(
            application.unwrap(),
            parts,
            signer,
            self.verifier.clone(),
            status,
        );
        let running = self.running.insert(Running {
            core: None,
            hands,
            fetched: BTreeMap::new(),
            asked_until_ms: 0,
        });
        let (reply, asked) = oneshot::channel();
        let question = AppMsg::ConsensusReady { reply };
        let (height, params) = running.hands.ask(question, asked).unwrap();
        self.start_height(height, params, false)
    }

    /// Begins a height as the engine does, with what its log has of it.
    pub(super) fn start_height(
        &mut self,
        height: Height,
        params: HeightParams<Assay>,
        again: bool,
    ) -> Result<(), Down> {
        let own = Account(self.key.account());
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        let validators = params.validator_set.validators();
        let validates = validators.iter().any(|one| one.account == own.0);
        running.core.get_or_insert_with(|| {
            let params = Params {
                address: own,
                threshold_params: Default::default(),
                value_payload: ValuePayload::ProposalAndParts,
                enabled: true,
            };
            // The engine's own capacities: 10 heights of 500 inputs.
            State::new(Assay, height, validators_of(&validators), params, 10, 500)
        });
        running.hands.begin_height(validates, params.timeouts);
        let entries = match again || !validates {
            true => {
                self.log.reset(height.0);
                Vec::new()
            }
            false => self.log.begin(height.0),
        };
        let target = params.target_time.map(|_| OUT_OF_REACH);
        let policy = VoteExtensionPolicy::default();
        self.input(Input::StartHeight(
            height,
            params.validator_set,
            again,
            target,
            policy,
        ))?;
        self.replay(entries)?;
        self.take_fetched()
    }

    fn replay(&mut self, entries: Vec<Input<Assay>>) -> Result<(), Down> {
        if entries.is_empty() {
            return Ok(());
        }
        if let Some(running) = &mut self.running {
            let core = running.core.as_mut().expect("a height has begun");
            core.record_recovered_own_precommit_extensions(entries.iter());
            core.index_wal_entries(entries.iter());
            running.hands.replaying = true;
        }
        for entry in entries {
            let shown = format!("{entry:?}");
            match self.input(entry) {
                Err(Down::Engine(why)) => return Err(Down::Hung(format!("{why} at {shown}"))),
                other => other?,
            }
        }
        if let Some(running) = &mut self.running {
            let core = running.core.as_mut().expect("a height has begun");
            core.reset_entries_index();
            running.hands.replaying = false;
        }
        Ok(())
    }

    /// Gives the core an input, and does what it asks for.
    pub(super) fn input(&mut self, input: Input<Assay>) -> Result<(), Down> {
        let (log, metrics) = (&mut self.log, &self.metrics);
        let Some(Running {
            core: Some(core),
            hands,
            ..
        }) = &mut self.running
        else {
            return Ok(());
        };
        let result: Result<(), malachitebft_app::consensus::Error<Assay>> = process!(
            input: input,
            state: core,
            metrics: metrics,
            with: effect => hands.perform(log, effect)
        );
        match (hands.dead(), result) {
            (true, _) => Err(Down::Crash),
            (false, Err(error)) => Err(Down::Engine(error.to_string())),
            (false, Ok(())) => Ok(()),
        }
    }

    /// Takes a part of a proposal, as the engine forwards it.
    pub(super) fn take_part(
        &mut self,
        from: PeerId,
        part: malachitebft_app::streaming::StreamMessage<Part>,
    ) {
        let Some(running) = &mut self.running else {
            return;
        };
        let (reply, asked) = oneshot::channel();
        let question = AppMsg::ReceivedProposalPart {
            from,
            published_by: Some(from),
            part,
            reply,
        };
        if let Some(Some(value)) = running.hands.ask(question, asked) {
            running
                .hands
                .later(Answer::Proposed(value, ValueOrigin::Consensus));
        }
    }

    /// Reads decided blocks for a peer that is behind.
    pub(super) fn decided(&mut self, first: Height, last: Height) -> Vec<RawDecidedValue<Assay>> {
        let Some(running) = &mut self.running else {
            return Vec::new();
        };
        let (reply, asked) = oneshot::channel();
        let question = AppMsg::GetDecidedValues {
            range: first..=last,
            reply,
        };
        running.hands.ask(question, asked).unwrap_or_default()
    }

    /// Gives the core the decided block of its height, if a peer sent it.
    pub(super) fn take_fetched(&mut self) -> Result<(), Down> {
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        let height = running.core.as_ref().map_or(0, |core| core.height().0);
        running.fetched = running.fetched.split_off(&height);
        match running.fetched.remove(&height) {
            Some((peer, value)) => self.input(Input::SyncValueResponse(ValueResponse::new(
                peer,
                value.value_bytes,
                value.certificate,
            ))),
            None => Ok(()),
        }
    }

    /// Takes an answer of the application.
    pub(super) fn take_answer(&mut self, answer: Answer) -> Result<(), Down> {
        match answer {
            Answer::Propose(height, round, block) => {
                use malachitebft_app::types::LocallyProposedValue;
                self.input(Input::Propose(LocallyProposedValue::new(
                    height, round, block,
                )))
            }
            Answer::Proposed(value, origin) => self.input(Input::ProposedValue(value, origin)),
            Answer::Start(height, params) => self.start_height(height, params, false),
            Answer::Restart(height, params) => self.start_height(height, params, true),
        }
    }

    /// Lists what the node wants since it was asked last.
    pub(super) fn wishes(&mut self) -> Vec<Wish> {
        let running = self.running.as_mut();
        running.map_or_else(Vec::new, |running| running.hands.wishes())
    }
}

fn validators_of(validators: &[assay_types::Validator]) -> crate::Members {
    crate::Members::new(validators)
}

/// Says what the application chose to do after a decision.
pub(super) fn next(next: Next<Assay>) -> Answer {
    match next {
        Next::Start(height, params) => Answer::Start(height, params),
        Next::Restart(height, params) => Answer::Restart(height, params),
    }
}

/// Names an effect's continuation where nothing comes of it.
pub(super) fn go_on(effect: Effect<Assay>) -> Option<malachitebft_app::consensus::Resume<Assay>> {
    match effect {
        Effect::CertRejectedSyncValue(_, _, _, resume) => Some(resume.resume_with(())),
        Effect::ExtendVote(_, _, _, _, resume) => Some(resume.resume_with(None)),
        _ => None,
    }
}
