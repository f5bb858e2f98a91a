//! Fetching one model: find who has it, verify its outline, take chunks from several peers, write
//! them in order. What peers do wrong is reported; the fetch goes on without them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use bytes::Bytes;
use libp2p::PeerId;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    FetchError, Offence, Sink, SinkError,
    config::{HOLDERS_MAX, Limits},
    host::Beginning,
    outline::{self, Outline},
    router::{AskError, Router},
    schedule::Schedule,
    shared::add,
    wire::{ModelRequest, ModelResponse},
    writer::{Piece, Writer, Written},
};

/// A peer that has not the model is asked again after so long.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// A busy peer rests so long.
const BUSY_REST: Duration = Duration::from_millis(100);
/// A peer that failed rests so long.
const FAILED_REST: Duration = Duration::from_secs(5);
/// How often a fetch looks around when nothing happens.
const LOOK: Duration = Duration::from_millis(200);
/// How often progress is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(5);
/// Times a sink may go back; each file of an earlier attempt may be wrong once.
const REWINDS_MAX: u64 = 256;

/// An answer to a request of the fetch.
enum Answer {
    Has(PeerId, Result<ModelResponse, AskError>),
    Outline(PeerId, Result<ModelResponse, AskError>),
    Chunk(PeerId, usize, Result<ModelResponse, AskError>, Verified),
}

/// Whether a chunk's bytes are the model's.
type Verified = bool;

/// What is known once the outline is verified.
struct Plan {
    outline: Arc<Outline>,
    schedule: Schedule,
    writer: Writer,
    epoch: u64,
}

/// A fetch under way.
pub(crate) struct Fetch {
    id: B256,
    router: Router,
    limits: Limits,
    requests: JoinSet<Answer>,
    /// Peers asked whether they have it, and when to ask again.
    asked: BTreeMap<PeerId, Instant>,
    holders: BTreeSet<PeerId>,
    outline_asked: bool,
    sink: Option<Box<dyn Sink>>,
    beginning: Option<Beginning>,
    plan: Option<Plan>,
    received_bytes: u64,
    /// When somebody who has the model was last there.
    hopeful: Instant,
    logged: Instant,
}

impl Fetch {
    /// Makes a fetch into a sink.
    pub(crate) fn new(id: B256, sink: Box<dyn Sink>, router: Router, limits: Limits) -> Self {
        let now = Instant::now();
        Self {
            id,
            router,
            limits,
            requests: JoinSet::new(),
            asked: BTreeMap::new(),
            holders: BTreeSet::new(),
            outline_asked: false,
            sink: Some(sink),
            beginning: None,
            plan: None,
            received_bytes: 0,
            hopeful: now,
            logged: now,
        }
    }

    /// Fetches until every byte is written, or nobody has the model for too long.
    pub(crate) async fn run(mut self) -> Result<u64, FetchError> {
        let started = Instant::now();
        let mut changes = self.router.shared.watch();
        loop {
            let now = Instant::now();
            self.look_around(now)?;
            self.ask_for_outline();
            self.work(now).await;
            if let Some(total) = self.finished() {
                let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                let mib = total.saturating_mul(1_000) >> 20;
                let mib_per_s = mib / milliseconds.max(1);
                tracing::info!(model = %self.id, bytes = total, mib_per_s, "model fetched");
                return Ok(total);
            }
            let report = async {
                match &mut self.plan {
                    Some(plan) => plan.writer.report().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(answer) = self.requests.join_next() => {
                    if let Ok(answer) = answer {
                        self.answered(answer).await?;
                    }
                }
                report = report => self.written(report)?,
                _ = timeout(LOOK, changes.changed()) => {}
            }
        }
    }

    /// Learns who is there, and asks those who were not asked.
    fn look_around(&mut self, now: Instant) -> Result<(), FetchError> {
        if self.router.commands.is_closed() {
            return Err(FetchError::Stopped);
        }
        let connected: BTreeSet<PeerId> = self.router.shared.peers().keys().copied().collect();
        self.asked.retain(|peer, _| connected.contains(peer));
        self.holders.retain(|peer| connected.contains(peer));
        if let Some(plan) = &mut self.plan {
            plan.schedule.retain_holders(&connected);
            for peer in &self.holders {
                plan.schedule.add_holder(*peer, now);
            }
        }
        if !self.holders.is_empty() {
            self.hopeful = now;
        }
        if now.saturating_duration_since(self.hopeful) > self.limits.patience {
            return Err(self.unavailable(connected.len()));
        }
        for peer in connected {
            let due = self.asked.get(&peer).is_none_or(|again| *again <= now);
            if due && !self.holders.contains(&peer) && self.holders.len() < HOLDERS_MAX {
                self.asked.insert(peer, now + ASK_AGAIN);
                let (router, id) = (self.router.clone(), self.id);
                self.requests.spawn(async move {
                    Answer::Has(peer, router.ask(peer, ModelRequest::Has(id)).await)
                });
            }
        }
        self.show(now);
        Ok(())
    }

    fn ask_for_outline(&mut self) {
        let Some(peer) = self.holders.first().copied() else {
            return;
        };
        if self.outline_asked || self.plan.is_some() {
            return;
        }
        self.outline_asked = true;
        let (router, id) = (self.router.clone(), self.id);
        self.requests.spawn(async move {
            Answer::Outline(peer, router.ask(peer, ModelRequest::Outline(id)).await)
        });
    }

    /// Asks for chunks as far as peers and window allow, and hands on what is in order.
    async fn work(&mut self, now: Instant) {
        let Some(plan) = &mut self.plan else {
            return;
        };
        while let Some((index, bytes)) = plan.schedule.take() {
            let offset = plan
                .outline
                .chunks()
                .get(index)
                .map_or(0, |chunk| chunk.offset);
            let epoch = plan.epoch;
            let piece = Piece {
                epoch,
                offset,
                bytes,
            };
            plan.writer.put(piece).await;
        }
        while let Some((index, peer)) = plan.schedule.assign(now) {
            let Some(chunk) = plan.outline.chunks().get(index).copied() else {
                return;
            };
            let request = ModelRequest::Chunk {
                model: self.id,
                offset: chunk.offset,
                length: chunk.length,
            };
            let (router, outline) = (self.router.clone(), Arc::clone(&plan.outline));
            self.requests.spawn(async move {
                let answer = router.ask(peer, request).await;
                let verified = match &answer {
                    Ok(ModelResponse::Data(bytes)) => outline.check(index, bytes).is_ok(),
                    _ => false,
                };
                Answer::Chunk(peer, index, answer, verified)
            });
        }
    }

    async fn answered(&mut self, answer: Answer) -> Result<(), FetchError> {
        match answer {
            Answer::Has(peer, Ok(ModelResponse::Data(size))) if size.len() == 8 => {
                self.holders.insert(peer);
                Ok(())
            }
            Answer::Has(peer, Ok(ModelResponse::Data(_))) => {
                self.router.report(peer, Offence::BadMessage).await;
                Ok(())
            }
            Answer::Has(..) => Ok(()),
            Answer::Outline(peer, answer) => {
                self.outline_asked = false;
                self.outline_answered(peer, answer).await
            }
            Answer::Chunk(peer, index, answer, verified) => {
                self.chunk_answered(peer, index, answer, verified).await;
                Ok(())
            }
        }
    }

    async fn outline_answered(
        &mut self,
        peer: PeerId,
        answer: Result<ModelResponse, AskError>,
    ) -> Result<(), FetchError> {
        match answer {
            Ok(ModelResponse::Data(bytes)) => self.begin(peer, &bytes).await,
            Ok(ModelResponse::Busy) => {
                sleep(BUSY_REST).await;
                Ok(())
            }
            Ok(ModelResponse::Absent) | Err(_) => {
                self.holders.remove(&peer);
                Ok(())
            }
        }
    }

    /// Verifies an outline and begins to fetch by it.
    async fn begin(&mut self, peer: PeerId, bytes: &Bytes) -> Result<(), FetchError> {
        let (manifest, values) = match outline::split(self.id, bytes) {
            Ok(parts) => parts,
            Err(error) => {
                self.blame(peer, &error).await;
                return Ok(());
            }
        };
        let Some((sink, beginning)) = self.open_sink(manifest).await? else {
            return Ok(());
        };
        let outline = match Outline::verify(&beginning.files, &values) {
            Ok(outline) => Arc::new(outline),
            Err(error) => {
                (self.sink, self.beginning) = (Some(sink), Some(beginning));
                self.blame(peer, &error).await;
                return Ok(());
            }
        };
        let received = beginning.received_bytes;
        let (total, first) = (outline.total_bytes(), index_of(&outline, received));
        tracing::info!(model = %self.id, total, received, from = %peer, "fetching model");
        self.received_bytes = received;
        self.plan = Some(Plan {
            schedule: Schedule::new(outline.chunks().len(), first),
            writer: Writer::start(sink, received),
            outline,
            epoch: 0,
        });
        self.look_around(Instant::now())
    }

    /// Shows the manifest to the sink, once.
    async fn open_sink(
        &mut self,
        manifest: Bytes,
    ) -> Result<Option<(Box<dyn Sink>, Beginning)>, FetchError> {
        let Some(mut sink) = self.sink.take() else {
            return Ok(None);
        };
        if let Some(beginning) = self.beginning.take() {
            return Ok(Some((sink, beginning)));
        }
        let begun = tokio::task::spawn_blocking(move || {
            let beginning = sink.begin(&manifest);
            (sink, beginning)
        });
        let (sink, beginning) = begun.await.map_err(|_| FetchError::Stopped)?;
        let beginning = beginning.map_err(|reason| self.refused(reason))?;
        Ok(Some((sink, beginning)))
    }

    async fn chunk_answered(
        &mut self,
        peer: PeerId,
        index: usize,
        answer: Result<ModelResponse, AskError>,
        verified: bool,
    ) {
        let Some(plan) = &mut self.plan else {
            return;
        };
        let (schedule, now) = (&mut plan.schedule, Instant::now());
        let counts = &self.router.shared.counts;
        match answer {
            Ok(ModelResponse::Data(bytes)) if verified => {
                add(&counts.chunks_received, 1);
                add(&counts.model_bytes_received, bytes.len() as u64);
                schedule.arrived(index, peer, bytes);
            }
            Ok(ModelResponse::Data(_)) => {
                add(&counts.chunks_wrong, 1);
                schedule.put_back(index, peer, now);
                self.blame(peer, &outline::OutlineError::Chunk(index)).await;
            }
            Ok(ModelResponse::Busy) => schedule.put_back(index, peer, now + BUSY_REST),
            Ok(ModelResponse::Absent) | Err(AskError::Gone | AskError::Stopped) => {
                schedule.put_back(index, peer, now);
                self.drop_holder(peer, now);
            }
            Err(AskError::Failed) => {
                if schedule.failed(index, peer, now + FAILED_REST) {
                    self.drop_holder(peer, now);
                }
            }
        }
    }

    fn written(&mut self, report: Option<Written>) -> Result<(), FetchError> {
        let Some(plan) = &mut self.plan else {
            return Ok(());
        };
        match report {
            Some(Written::Until(offset)) => {
                plan.schedule.written();
                self.received_bytes = offset;
                self.router.shared.changed();
                Ok(())
            }
            Some(Written::Rewound { epoch, offset }) if epoch <= REWINDS_MAX => {
                tracing::warn!(model = %self.id, offset, "bytes of an earlier attempt are wrong");
                plan.epoch = epoch;
                plan.schedule.rewind(index_of(&plan.outline, offset));
                self.received_bytes = offset;
                Ok(())
            }
            Some(Written::Rewound { offset, .. }) => {
                let reason = format!("the same bytes are wanted again and again, from {offset}");
                Err(self.refused(SinkError::Machine(reason.into())))
            }
            Some(Written::Failed(reason)) => Err(self.refused(reason)),
            None => Err(FetchError::Stopped),
        }
    }

    /// Blames a peer for bytes that are not the model's, and does without it.
    async fn blame(&mut self, peer: PeerId, error: &outline::OutlineError) {
        tracing::warn!(model = %self.id, %peer, %error, "peer sent wrong bytes of a model");
        self.drop_holder(peer, Instant::now());
        self.router.report(peer, Offence::WrongBytes).await;
    }

    fn drop_holder(&mut self, peer: PeerId, now: Instant) {
        self.holders.remove(&peer);
        self.asked.insert(peer, now + ASK_AGAIN);
        if let Some(plan) = &mut self.plan {
            plan.schedule.remove_holder(peer);
        }
    }

    /// Returns the bytes of all files once they are written.
    fn finished(&self) -> Option<u64> {
        let plan = self.plan.as_ref().filter(|plan| plan.schedule.is_done())?;
        Some(plan.outline.total_bytes())
    }

    fn total_bytes(&self) -> u64 {
        self.plan
            .as_ref()
            .map_or(0, |plan| plan.outline.total_bytes())
    }

    /// Shows and logs how far the fetch is.
    fn show(&mut self, now: Instant) {
        let (received, total) = (self.received_bytes, self.total_bytes());
        if let Some(transfer) = self.router.shared.transfers().get_mut(&self.id) {
            transfer.received_bytes = received;
            transfer.total_bytes = total;
            transfer.peers = self.holders.len();
        }
        if now.saturating_duration_since(self.logged) >= LOG_INTERVAL {
            self.logged = now;
            let peers = self.holders.len();
            tracing::info!(model = %self.id, received, total, peers, "fetching model");
        }
    }

    fn unavailable(&self, asked: usize) -> FetchError {
        FetchError::Unavailable {
            id: self.id,
            asked,
            received: self.received_bytes,
            total: self.total_bytes(),
        }
    }

    const fn refused(&self, reason: SinkError) -> FetchError {
        FetchError::Refused {
            id: self.id,
            reason,
        }
    }
}

/// Finds the chunk that holds an offset.
fn index_of(outline: &Outline, offset: u64) -> usize {
    let ends_before =
        |chunk: &outline::Chunk| chunk.offset.saturating_add(u64::from(chunk.length)) <= offset;
    outline.chunks().partition_point(ends_before)
}
