//! Does what the engine's core asks for, as the engine's actors do.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use alloy_primitives::B256;
use malachitebft_app::{
    consensus::{ConsensusMsg, Effect, LivenessMsg, Resumable as _, Resume},
    engine::host::SyncedValueOutcome,
    types::{
        codec::Codec as _,
        core::{LinearTimeouts, Timeout, TimeoutKind, Value as _, ValueOrigin, VoteType},
    },
};
use malachitebft_app_channel::{AppMsg, NetworkMsg};
use malachitebft_signing::{Signer as _, Verifier as _, VerifierExt as _};
use tokio::sync::{mpsc, oneshot};

use super::{
    node::{Answer, Channel, Log, Nothing, Wish, go_on, next},
    verifier::Remembering,
};
use crate::{
    Application, Status,
    codec::Codec,
    context::{Assay, Seal},
    signer::{EngineSigner, SILENCE},
};

/// Says that an effect was not done: the node is dead, or its key does not sign.
#[derive(Debug)]
pub(super) struct Undone(#[expect(dead_code, reason = "shown in the engine's log")] String);

/// A timer: what it is of, and its round.
type Timer = (u8, i64);

/// What is under the core while a node runs.
pub(super) struct Hands {
    application: Application<Nothing>,
    parts: mpsc::Receiver<NetworkMsg<Assay>>,
    signer: EngineSigner,
    verifier: Remembering,
    status: Arc<Status>,
    timeouts: LinearTimeouts,
    timers: BTreeMap<Timer, u64>,
    /// Timers started so far.
    turns: u64,
    validates: bool,
    /// Whether the core is given what its log has: nothing is logged then.
    pub(super) replaying: bool,
    /// Effects left until the node dies, if it is to.
    pub(super) fuse: Option<u32>,
    wishes: Vec<Wish>,
    /// Questions the application had no answer to.
    pub(super) unanswered: u64,
}

impl Hands {
    pub(super) fn new(
        application: Application<Nothing>,
        parts: mpsc::Receiver<NetworkMsg<Assay>>,
        signer: EngineSigner,
        verifier: Remembering,
        status: Arc<Status>,
    ) -> Self {
        Self {
            application,
            parts,
            signer,
            verifier,
            status,
            timeouts: LinearTimeouts::default(),
            timers: BTreeMap::new(),
            turns: 0,
            validates: false,
            replaying: false,
            fuse: None,
            wishes: Vec::new(),
            unanswered: 0,
        }
    }

    pub(super) const fn begin_height(&mut self, validates: bool, timeouts: LinearTimeouts) {
        self.validates = validates;
        self.timeouts = timeouts;
    }

    pub(super) const fn status(&self) -> &Arc<Status> {
        &self.status
    }

    pub(super) fn dead(&self) -> bool {
        self.fuse == Some(0)
    }

    pub(super) fn wishes(&mut self) -> Vec<Wish> {
        std::mem::take(&mut self.wishes)
    }

    pub(super) fn later(&mut self, answer: Answer) {
        self.wishes.push(Wish::Later(answer));
    }

    /// Asks the application, and takes what it has to send.
    pub(super) fn ask<T>(
        &mut self,
        question: AppMsg<Assay>,
        mut answer: oneshot::Receiver<T>,
    ) -> Option<T> {
        self.tell(question);
        answer.try_recv().ok()
    }

    fn tell(&mut self, question: AppMsg<Assay>) {
        if let Err(error) = self.application.answer(question) {
            tracing::debug!(%error, "question not answered");
            self.unanswered += 1;
        }
        while let Ok(NetworkMsg::PublishProposalPart(part)) = self.parts.try_recv() {
            self.send(Channel::Parts, Codec.encode(&part));
        }
    }

    fn send<E: std::fmt::Debug>(&mut self, channel: Channel, bytes: Result<bytes::Bytes, E>) {
        self.wishes.push(Wish::Send(channel, bytes.unwrap()));
    }

    /// Takes a timer that ran out, unless it was cancelled or started again.
    pub(super) fn elapsed(&mut self, timeout: &Timeout, turn: u64) -> bool {
        let due = self.timers.get(&timer(timeout)) == Some(&turn);
        if due {
            self.timers.remove(&timer(timeout));
        }
        due
    }

    /// Does one effect.
    pub(super) fn perform(
        &mut self,
        log: &mut Log,
        effect: Effect<Assay>,
    ) -> Result<Resume<Assay>, Undone> {
        if let Some(left) = &mut self.fuse {
            *left = left.saturating_sub(1);
        }
        if self.dead() {
            return Err(Undone("the node is dead".to_owned()));
        }
        match effect {
            Effect::CancelAllTimeouts(resume) => {
                self.timers.clear();
                Ok(resume.resume_with(()))
            }
            Effect::CancelTimeout(timeout, resume) => {
                self.timers.remove(&timer(&timeout));
                Ok(resume.resume_with(()))
            }
            Effect::ScheduleTimeout(timeout, resume) => {
                self.turns += 1;
                self.timers.insert(timer(&timeout), self.turns);
                self.wishes.push(Wish::Timer(timeout, self.turns));
                Ok(resume.resume_with(()))
            }
            Effect::WalAppend(height, entry, resume) => {
                if self.logs() {
                    log.append(height, entry);
                }
                Ok(resume.resume_with(()))
            }
            Effect::PublishConsensusMsg(message, resume) => {
                self.flush(log);
                self.send(Channel::Votes, Codec.encode(&message));
                Ok(resume.resume_with(()))
            }
            Effect::PublishLivenessMsg(message, resume) => {
                self.send(Channel::Liveness, Codec.encode(&message));
                Ok(resume.resume_with(()))
            }
            Effect::RepublishVote(vote, resume) => {
                let message = LivenessMsg::<Assay>::Vote(vote);
                self.send(Channel::Liveness, Codec.encode(&message));
                Ok(resume.resume_with(()))
            }
            Effect::RepublishRoundCertificate(certificate, resume) => {
                let message = LivenessMsg::<Assay>::SkipRoundCertificate(certificate);
                self.send(Channel::Liveness, Codec.encode(&message));
                Ok(resume.resume_with(()))
            }
            effect @ (Effect::SignVote(..) | Effect::SignProposal(..)) => self.sign(effect),
            effect @ (Effect::StartRound(..)
            | Effect::GetValue(..)
            | Effect::RestreamProposal(..)
            | Effect::CertVerifiedSyncValue(..)
            | Effect::Decide(..)
            | Effect::Finalize(..)) => Ok(self.consult(log, effect)),
            effect => Ok(self.verify(effect)),
        }
    }

    const fn logs(&self) -> bool {
        self.validates && !self.replaying
    }

    const fn flush(&self, log: &mut Log) {
        if self.logs() {
            log.flush();
        }
    }

    fn sign(&mut self, effect: Effect<Assay>) -> Result<Resume<Assay>, Undone> {
        let undone = |error: malachitebft_signing::Error| Undone(error.to_string());
        match effect {
            Effect::SignVote(vote, resume) => {
                let step = match vote.kind {
                    VoteType::Prevote => 1,
                    VoteType::Precommit => 2,
                };
                let signed = ready(self.signer.sign_vote(vote)).map_err(undone)?;
                let vote = &signed.message;
                let (height, round) = (vote.height.0, vote.round.as_i64());
                let digest = vote.digest(&self.verifier.domain());
                self.note(height, round, step, digest, signed.signature);
                Ok(resume.resume_with(signed))
            }
            Effect::SignProposal(proposal, resume) => {
                let (height, round) = (proposal.height.0, proposal.round.as_i64());
                let digest = proposal.digest(&self.verifier.domain());
                let signed = ready(self.signer.sign_proposal(proposal)).map_err(undone)?;
                self.note(height, round, 0, digest, signed.signature);
                Ok(resume.resume_with(signed))
            }
            _ => Err(Undone("not to be signed".to_owned())),
        }
    }

    /// Notes what was signed where, or that nothing was.
    fn note(&mut self, height: u64, round: i64, step: u8, digest: Option<B256>, seal: Seal) {
        self.wishes.push(match digest.filter(|_| seal != SILENCE) {
            Some(digest) => Wish::Signed(height, round, step, digest),
            None => Wish::Silent,
        });
    }

    /// Does the effects that are questions to the application.
    fn consult(&mut self, log: &mut Log, effect: Effect<Assay>) -> Resume<Assay> {
        match effect {
            Effect::StartRound(height, round, proposer, role, resume) => {
                self.flush(log);
                let (reply_value, asked) = oneshot::channel();
                let question = AppMsg::StartedRound {
                    height,
                    round,
                    proposer,
                    role,
                    reply_value,
                };
                for value in self.ask(question, asked).unwrap_or_default() {
                    self.later(Answer::Proposed(value, ValueOrigin::Consensus));
                }
                resume.resume_with(())
            }
            Effect::GetValue(height, round, timeout, resume) => {
                let (reply, asked) = oneshot::channel();
                let question = AppMsg::GetValue {
                    height,
                    round,
                    timeout: self.timeouts.duration_for(timeout),
                    reply,
                };
                if let Some(value) = self.ask(question, asked) {
                    self.later(Answer::Propose(value.height, value.round, value.value));
                }
                resume.resume_with(())
            }
            Effect::RestreamProposal(height, round, valid_round, address, value_id, resume) => {
                self.tell(AppMsg::RestreamProposal {
                    height,
                    round,
                    valid_round,
                    address,
                    value_id,
                });
                resume.resume_with(())
            }
            Effect::CertVerifiedSyncValue(value, proposer, resume) => {
                let (reply, asked) = oneshot::channel();
                let (height, round) = (value.certificate.height, value.certificate.round);
                let question = AppMsg::ProcessSyncedValue {
                    height,
                    round,
                    proposer,
                    value_bytes: value.value_bytes,
                    reply,
                };
                if let Some(SyncedValueOutcome::Verdict(mut found)) = self.ask(question, asked)
                    && found.value.id() == value.certificate.value_id
                {
                    found.round = round;
                    self.later(Answer::Proposed(found, ValueOrigin::Sync));
                }
                resume.resume_with(())
            }
            Effect::Decide(certificate, extensions, resume) => {
                self.flush(log);
                let (reply, asked) = oneshot::channel();
                let question = AppMsg::Decided {
                    certificate,
                    extensions,
                    reply,
                };
                if self.ask(question, asked).is_some() {
                    self.wishes.push(Wish::Decided);
                }
                resume.resume_with(())
            }
            Effect::Finalize(certificate, extensions, evidence, resume) => {
                let (reply, asked) = oneshot::channel();
                let question = AppMsg::Finalized {
                    certificate,
                    extensions,
                    evidence,
                    reply,
                };
                if let Some(answer) = self.ask(question, asked) {
                    self.later(next(answer));
                }
                resume.resume_with(())
            }
            _ => Resume::Continue,
        }
    }

    /// Does the effects that check signatures.
    fn verify(&self, effect: Effect<Assay>) -> Resume<Assay> {
        let verifier = &self.verifier;
        match effect {
            Effect::VerifySignature(signed, key, resume) => {
                let result = match &signed.message {
                    ConsensusMsg::Vote(vote) => {
                        ready(verifier.verify_signed_vote(vote, &signed.signature, &key))
                    }
                    ConsensusMsg::Proposal(proposal) => {
                        ready(verifier.verify_signed_proposal(proposal, &signed.signature, &key))
                    }
                };
                resume.resume_with(result.is_ok_and(|result| result.is_valid()))
            }
            Effect::VerifyCommitCertificate(certificate, set, thresholds, resume) => {
                let result =
                    verifier.verify_commit_certificate(&Assay, &certificate, &set, thresholds);
                resume.resume_with(ready(result))
            }
            Effect::VerifyExtendedCommitCertificate(
                certificate,
                set,
                thresholds,
                policy,
                resume,
            ) => {
                let result = verifier.verify_extended_commit_certificate(
                    &Assay,
                    &certificate,
                    &set,
                    thresholds,
                    policy,
                );
                resume.resume_with(ready(result))
            }
            Effect::VerifyPolkaCertificate(certificate, set, thresholds, resume) => {
                let result =
                    verifier.verify_polka_certificate(&Assay, &certificate, &set, thresholds);
                resume.resume_with(ready(result))
            }
            Effect::VerifyRoundCertificate(certificate, set, thresholds, resume) => {
                let result =
                    verifier.verify_round_certificate(&Assay, &certificate, &set, thresholds);
                resume.resume_with(ready(result))
            }
            effect => go_on(effect).expect("votes carry no extensions"),
        }
    }

    /// Says how long a timer runs; the core's own wish for the end of a height is by the machine's
    /// clock, and the simulator's own is taken.
    pub(super) fn duration_ms(&self, timeout: Timeout) -> Option<u64> {
        match timeout.kind {
            TimeoutKind::FinalizeHeight(_) => None,
            _ => u64::try_from(self.timeouts.duration_for(timeout).as_millis()).ok(),
        }
    }
}

/// Names a timer, without the machine's time that may be in it.
pub(super) fn timer(timeout: &Timeout) -> Timer {
    let kind = match timeout.kind {
        TimeoutKind::Propose => 0,
        TimeoutKind::Prevote => 1,
        TimeoutKind::Precommit => 2,
        TimeoutKind::Rebroadcast => 3,
        TimeoutKind::FinalizeHeight(_) => 4,
    };
    (kind, timeout.round.as_i64())
}

/// Runs what waits for nothing.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("signing and checking wait for nothing"),
    }
}
