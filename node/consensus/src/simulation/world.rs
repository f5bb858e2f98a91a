//! The network and the machines: messages that are late, lost or doubled, nodes that crash.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use alloy_primitives::{B256, keccak256};
use assay_chain::Chain;
use assay_state::Store;
use assay_types::Domain;
use bytes::Bytes;
use malachitebft_app::{
    consensus::{Input, LivenessMsg, SignedConsensusMsg},
    metrics::Metrics,
    streaming::StreamMessage,
    types::{
        codec::Codec as _,
        core::Timeout,
        sync::{Request, Response, Status},
    },
};
use malachitebft_sync::{ValueRequest, ValueResponse};

use super::{
    checks::Checks,
    engine::timer,
    founding::{CHAIN_ID, foundation, peer, roles},
    node::{Answer, Channel, Down, INTERVAL_MS, Log, Node, VirtualClock, Wish},
    plan::{Lie, Plan},
    queue::{Chance, Queue},
    verifier::Remembering,
};
use crate::{
    codec::Codec,
    context::{Assay, Height, Part},
};

/// Heights everyone decides after the network healed.
const HEIGHTS_AFTER: u64 = 2;
/// Most time this takes.
const MOST_AFTER_MS: u64 = 120_000;
/// Time from one word about one's height to the next.
const STATUS_MS: u64 = 1_000;
/// Time the answer of a peer is waited for.
const ANSWER_MS: u64 = 1_000;
/// Blocks asked for at a time.
const BATCH: u64 = 4;
/// Time until a node is started again whose engine ended.
const AGAIN_MS: u64 = 500;

/// What happens.
#[derive(Debug)]
enum Event {
    Message(usize, usize, Channel, Bytes),
    Timer(usize, u64, Timeout, u64),
    Answer(usize, u64, Answer),
    Status(usize, u64),
    Crash(usize),
    Start(usize, u64),
    Heal,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Outcome {
    /// Digest of everything that happened, in its order.
    pub(super) history: B256,
    pub(super) events: u64,
    pub(super) height: u64,
    pub(super) rounds_lost: u64,
    pub(super) crashes: u64,
    pub(super) fetched: u64,
    /// Times an honest node said nothing where it had said another thing.
    pub(super) silent: u64,
    /// Times the engine of an honest node ended by itself.
    pub(super) ended: Vec<String>,
    /// Virtual time from healing to the end.
    pub(super) after_ms: u64,
}

pub(super) struct World {
    plan: Plan,
    chance: Chance,
    queue: Queue<Event>,
    now_ms: Arc<AtomicU64>,
    nodes: Vec<Node>,
    checks: Checks,
    healed: bool,
    target: u64,
    outcome: Outcome,
    /// Times at which heights began, by node.
    began_ms: Vec<u64>,
    verbose: bool,
    _folder: tempfile::TempDir,
}

/// Runs a seed to its end. Panics when something happens that must not.
pub(super) fn run(seed: u64, verbose: bool) -> Outcome {
    let mut world = World::new(seed, verbose);
    while let Some(event) = world.queue.next() {
        world.now_ms.store(world.queue.now_ms(), Ordering::Relaxed);
        world.note(&event);
        world.happen(event);
        if world.done() {
            break;
        }
    }
    world.outcome.after_ms = world.queue.now_ms() - world.plan.heal_ms;
    world.outcome.height = world.honest().map(Node::height).max().unwrap_or_default();
    world.outcome
}

impl World {
    fn new(seed: u64, verbose: bool) -> Self {
        let mut chance = Chance::new(seed);
        let plan = Plan::draw(&mut chance);
        let founded = foundation(plan.validators);
        let domain = Domain {
            genesis_hash: founded.hash,
            chain_id: CHAIN_ID,
        };
        // The log of signatures is synced before each signature: on a disk that takes its time.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let folder = folder.unwrap();
        let (now_ms, verifier) = (Arc::new(AtomicU64::new(0)), Remembering::new(domain));
        let nodes = (0..plan.nodes()).map(|index| {
            let store = Store::in_memory().unwrap();
            let (block, state) = (founded.block.clone(), &founded.state);
            let chain = Chain::begin(founded.spec.clone(), block, state, store).unwrap();
            let chain = Arc::new(chain);
            let (key, machine) = roles(&plan, index, &chain);
            Node {
                chain,
                peer: peer(index),
                key,
                machine,
                signed: folder.path().join(index.to_string()),
                clock: Arc::new(VirtualClock {
                    now_ms: Arc::clone(&now_ms),
                    skew_s: plan.skews_s.get(index).copied().unwrap_or_default(),
                }),
                domain,
                verifier: verifier.clone(),
                metrics: Metrics::new(),
                log: Log::default(),
                running: None,
                life: 0,
            }
        });
        let nodes: Vec<Node> = nodes.collect();
        let mut queue = Queue::new();
        for index in 0..nodes.len() {
            let silent = plan.lie == Some(Lie::Silent) && !plan.honest(index);
            if !silent {
                queue.after(chance.between(0, 50), Event::Start(index, 0));
            }
        }
        for (index, crash) in plan.crashes.iter().enumerate() {
            queue.after(crash.at_ms, Event::Crash(index));
        }
        queue.after(plan.heal_ms, Event::Heal);
        if verbose {
            println!("{plan:#?}");
        }
        Self {
            began_ms: vec![0; nodes.len()],
            checks: Checks::new(domain, founded.set.clone()),
            plan,
            chance,
            queue,
            now_ms,
            nodes,
            healed: false,
            target: 0,
            outcome: Outcome::default(),
            verbose,
            _folder: folder,
        }
    }

    fn honest(&self) -> impl Iterator<Item = &Node> {
        let nodes = self.nodes.iter().enumerate();
        nodes.filter_map(|(index, node)| self.plan.honest(index).then_some(node))
    }

    /// Tells whether every honest node has decided what it is to decide.
    fn done(&self) -> bool {
        if !self.healed {
            return false;
        }
        let reached = self.honest().all(|node| node.height() >= self.target);
        let late = self.queue.now_ms() > self.plan.heal_ms + MOST_AFTER_MS;
        assert!(
            reached || !late,
            "STALL: heights {:?}, {} is wanted",
            self.nodes.iter().map(Node::height).collect::<Vec<_>>(),
            self.target
        );
        reached
    }

    /// Writes an event into the history.
    fn note(&mut self, event: &Event) {
        let mut line = match event {
            Event::Message(from, to, channel, bytes) => {
                format!("{from} -> {to} {channel:?} {}", keccak256(bytes))
            }
            Event::Timer(node, life, timeout, turn) => {
                format!("{node}/{life} timer {:?} {turn}", timer(timeout))
            }
            other => format!("{other:?}"),
        };
        line.insert_str(0, &format!("{} ", self.queue.now_ms()));
        if self.verbose {
            println!("{line}");
        }
        self.outcome.events += 1;
        let history = [self.outcome.history.as_slice(), line.as_bytes()].concat();
        self.outcome.history = keccak256(history);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Message(from, to, channel, bytes) => self.receive(from, to, channel, &bytes),
            Event::Timer(index, life, timeout, turn) => self.act(index, life, |node| {
                let running = node.running.as_mut();
                match running.is_some_and(|running| running.hands.elapsed(&timeout, turn)) {
                    true => node.input(Input::TimeoutElapsed(timeout)),
                    false => Ok(()),
                }
            }),
            Event::Answer(index, life, answer) => {
                if matches!(answer, Answer::Start(..) | Answer::Restart(..)) {
                    self.began_ms[index] = self.queue.now_ms();
                }
                self.act(index, life, |node| node.take_answer(answer));
            }
            Event::Status(index, life) => self.tell_height(index, life),
            Event::Crash(index) => {
                let crash = self.plan.crashes[index];
                let node = &mut self.nodes[crash.node];
                match (&mut node.running, crash.effects) {
                    (Some(_), 0) => self.fall(crash.node, crash.down_ms),
                    (Some(running), effects) => running.hands.fuse = Some(effects),
                    (None, _) => {}
                }
            }
            Event::Start(index, life) => self.start(index, life),
            Event::Heal => self.heal(),
        }
    }

    fn start(&mut self, index: usize, life: u64) {
        let node = &mut self.nodes[index];
        if node.life != life || node.running.is_some() {
            return;
        }
        self.began_ms[index] = self.queue.now_ms();
        let started = node.start();
        let life = node.life;
        self.settle(index, started);
        self.queue.after(0, Event::Status(index, life));
    }

    /// Lets a node do something, if it still lives the same life, and does what it wants then.
    fn act(&mut self, index: usize, life: u64, act: impl FnOnce(&mut Node) -> Result<(), Down>) {
        let node = &mut self.nodes[index];
        if node.life == life && node.running.is_some() {
            let result = act(node);
            self.settle(index, result);
        }
    }

    fn settle(&mut self, index: usize, result: Result<(), Down>) {
        let (life, honest) = (self.nodes[index].life, self.plan.honest(index));
        for wish in self.nodes[index].wishes() {
            match wish {
                Wish::Send(channel, bytes) => self.send(index, None, channel, &bytes),
                Wish::Later(answer) => {
                    let delay = self.chance.between(1, 20);
                    self.queue.after(delay, Event::Answer(index, life, answer));
                }
                Wish::Timer(timeout, turn) => {
                    let running = self.nodes[index].running.as_ref();
                    let set = running.and_then(|running| running.hands.duration_ms(timeout));
                    let due = self.began_ms[index] + INTERVAL_MS;
                    let delay = set.unwrap_or(due.saturating_sub(self.queue.now_ms()));
                    self.queue
                        .after(delay, Event::Timer(index, life, timeout, turn));
                }
                Wish::Signed(height, round, step, digest) if honest => {
                    self.checks.signature((index, height, round, step), digest);
                }
                Wish::Decided if honest => {
                    self.checks.decisions(index, &self.nodes[index].chain);
                }
                Wish::Silent if honest => self.outcome.silent += 1,
                Wish::Signed(..) | Wish::Silent | Wish::Decided => {}
            }
        }
        if let (true, Some(running)) = (honest, &self.nodes[index].running) {
            assert_eq!(running.hands.status().stopped(), None, "node {index}");
        }
        match result {
            Ok(()) => {}
            Err(Down::Crash) => {
                let planned = self.plan.crashes.iter().find(|crash| crash.node == index);
                let down_ms = planned.map_or(AGAIN_MS, |crash| crash.down_ms);
                self.fall(index, down_ms);
            }
            Err(Down::Hung(why)) => {
                // A twin's log has votes of its key that it did not cast.
                assert!(!honest, "node {index} hangs: {why}");
                self.nodes[index].log = Log::default();
                self.fall(index, AGAIN_MS);
            }
            Err(Down::Engine(why)) => {
                if self.verbose {
                    println!("{} node {index} ends: {why}", self.queue.now_ms());
                }
                if honest {
                    self.outcome.ended.push(why);
                }
                self.fall(index, AGAIN_MS);
            }
        }
    }

    /// Takes a node down, with what it has in memory, and has it started again.
    fn fall(&mut self, index: usize, down_ms: u64) {
        let node = &mut self.nodes[index];
        if let Some(running) = node.running.take() {
            let counters = running.hands.status().counters();
            let count = |wanted| {
                let found = counters.iter().find(|(name, _)| *name == wanted);
                found.map_or(0, |(_, count)| *count)
            };
            self.outcome.rounds_lost += count("rounds_lost");
            self.outcome.fetched += count("blocks_synced");
        }
        let chance = &mut self.chance;
        node.log.crash(|loose| chance.between(0, loose));
        if self.plan.lie == Some(Lie::Forgetful) && !self.plan.honest(index) {
            let _ = std::fs::remove_file(&node.signed);
            node.log = Log::default();
        }
        self.outcome.crashes += 1;
        self.queue.after(down_ms, Event::Start(index, node.life));
    }

    /// Ends all faults but lies.
    fn heal(&mut self) {
        self.healed = true;
        for index in 0..self.nodes.len() {
            let node = &mut self.nodes[index];
            match &mut node.running {
                Some(running) => running.hands.fuse = None,
                None if node.life > 0 => self.start(index, self.nodes[index].life),
                None => {}
            }
        }
        self.target = self.honest().map(Node::height).max().unwrap_or_default() + HEIGHTS_AFTER;
    }

    fn send(&mut self, from: usize, to: Option<usize>, channel: Channel, bytes: &Bytes) {
        for other in 0..self.nodes.len() {
            if other == from || to.is_some_and(|to| to != other) {
                continue;
            }
            let (plan, now_ms) = (&self.plan, self.queue.now_ms());
            let parted = plan.parted(now_ms, from, other);
            let (low, high) = match self.healed {
                true => (plan.delay_ms.0, plan.delay_ms.0 + 60),
                false => plan.delay_ms,
            };
            let lost = !self.healed && self.chance.percent(plan.lost_percent);
            // Gossip drops doubles of one message; what a node says again is another message.
            let doubled = !self.healed && channel != Channel::Parts;
            let copies = 1 + u64::from(doubled && self.chance.percent(plan.doubled_percent));
            for _ in 0..copies {
                let delay = self.chance.between(low, high);
                if !parted && !lost {
                    let message = Event::Message(from, other, channel, bytes.clone());
                    self.queue.after(delay, message);
                }
            }
        }
    }

    fn receive(&mut self, from: usize, to: usize, channel: Channel, bytes: &Bytes) {
        let (life, peer) = (self.nodes[to].life, self.nodes[from].peer);
        let bytes = bytes.clone();
        match channel {
            Channel::Votes => {
                let message: SignedConsensusMsg<Assay> = Codec.decode(bytes).unwrap();
                self.act(to, life, |node| match message {
                    SignedConsensusMsg::Vote(vote) => node.input(Input::Vote(vote)),
                    SignedConsensusMsg::Proposal(one) => node.input(Input::Proposal(one)),
                });
            }
            Channel::Liveness => {
                let message: LivenessMsg<Assay> = Codec.decode(bytes).unwrap();
                self.act(to, life, |node| match message {
                    LivenessMsg::Vote(vote) => node.input(Input::Vote(vote)),
                    LivenessMsg::PolkaCertificate(one) => node.input(Input::PolkaCertificate(one)),
                    LivenessMsg::SkipRoundCertificate(one) => {
                        node.input(Input::RoundCertificate(one))
                    }
                });
            }
            Channel::Parts => {
                let part: StreamMessage<Part> = Codec.decode(bytes).unwrap();
                self.act(to, life, |node| {
                    node.take_part(peer, part);
                    Ok(())
                });
            }
            Channel::Status => self.hear_height(from, to, bytes),
            Channel::Request => self.serve(from, to, bytes),
            Channel::Response => {
                // A liar's answer may be garbled beyond decoding: nothing is done with it.
                let Ok(Response::ValueResponse(response)) =
                    Codec.decode(bytes) as Result<Response<Assay>, _>
                else {
                    return;
                };
                self.act(to, life, |node| {
                    if let Some(running) = &mut node.running {
                        running.asked_until_ms = 0;
                        for (height, value) in (response.start_height.0..).zip(response.values) {
                            running.fetched.insert(height, (peer, value));
                        }
                    }
                    node.take_fetched()
                });
            }
        }
    }

    /// Tells everyone a node's height, and does so again later.
    fn tell_height(&mut self, index: usize, life: u64) {
        let node = &self.nodes[index];
        if node.life != life || node.running.is_none() {
            return;
        }
        let status = Status::<Assay> {
            peer_id: node.peer,
            tip_height: Height(node.height()),
            history_min_height: Height(1),
        };
        let bytes = Codec.encode(&status).unwrap();
        self.send(index, None, Channel::Status, &bytes);
        self.queue.after(STATUS_MS, Event::Status(index, life));
    }

    fn hear_height(&mut self, from: usize, to: usize, bytes: Bytes) {
        let status: Status<Assay> = Codec.decode(bytes).unwrap();
        let now_ms = self.queue.now_ms();
        let Some(running) = &mut self.nodes[to].running else {
            return;
        };
        let height = running.core.as_ref().map_or(0, |core| core.height().0);
        if status.tip_height.0 < height || running.asked_until_ms > now_ms {
            return;
        }
        running.asked_until_ms = now_ms + ANSWER_MS;
        let last = status.tip_height.0.min(height + BATCH - 1);
        let request = ValueRequest::new(Height(height)..=Height(last));
        let bytes = Codec
            .encode(&Request::<Assay>::ValueRequest(request))
            .unwrap();
        self.send(to, Some(from), Channel::Request, &bytes);
    }

    fn serve(&mut self, from: usize, to: usize, bytes: Bytes) {
        let Request::ValueRequest(request): Request<Assay> = Codec.decode(bytes).unwrap();
        let (first, last) = (*request.range.start(), *request.range.end());
        let mut values = self.nodes[to].decided(first, last);
        if self.plan.lie == Some(Lie::WrongResults) && !self.plan.honest(to) {
            for value in &mut values {
                let mut garbled = value.value_bytes.to_vec();
                let place = self.chance.between(0, garbled.len() as u64 - 1) as usize;
                garbled[place] ^= 1;
                value.value_bytes = garbled.into();
            }
        }
        let response = Response::ValueResponse(ValueResponse::new(first, values));
        let bytes = Codec.encode(&response).unwrap();
        self.send(to, Some(from), Channel::Response, &bytes);
    }
}
