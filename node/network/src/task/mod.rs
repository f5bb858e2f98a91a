//! The task that owns the swarm: it alone talks to peers, and it never blocks.

mod connections;
mod greeting;
mod models;
mod transactions;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    gossipsub::IdentTopic,
    multiaddr::Protocol,
    request_response::OutboundRequestId,
    swarm::{ConnectionId, SwarmEvent},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{
    Config, Host, NetworkError, Offence,
    behaviour::{self, Protocols, ProtocolsEvent},
    book::Book,
    config::{CONNECT_TIME, TICK},
    judge::{Judge, Judged},
    rate::Bucket,
    router::{AskError, Command},
    score::Scores,
    serve::Shelf,
    shared::{Shared, add},
    wire::{Hello, ModelResponse},
};

/// Time connections get to close when the network stops.
const FAREWELL: std::time::Duration = std::time::Duration::from_secs(2);

/// What reaches the task from outside.
pub(crate) struct Channels {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) broadcasts: mpsc::Receiver<Bytes>,
    pub(crate) stop: watch::Receiver<bool>,
}

/// A peer with at least one connection.
struct Peer {
    address: Multiaddr,
    outbound: bool,
    /// When it must have said hello, or be gone; `None` once it did.
    deadline: Option<Instant>,
    transactions: Bucket,
    transaction_bytes: Bucket,
    requests: Bucket,
    /// Requests of its that are being answered.
    serving: usize,
}

type Reply = oneshot::Sender<Result<ModelResponse, AskError>>;

/// Everything the task knows.
pub(crate) struct Task {
    swarm: Swarm<Protocols>,
    config: Config,
    hello: Hello,
    topic: IdentTopic,
    shared: Arc<Shared>,
    shelf: Arc<Shelf>,
    judge: Judge,
    verdicts: mpsc::Receiver<Judged>,
    serving: JoinSet<models::Served>,
    peers: BTreeMap<PeerId, Peer>,
    /// Peers that take transactions.
    subscribed: BTreeSet<PeerId>,
    book: Book,
    scores: Scores,
    /// Requests of fetches that peers have not answered.
    asks: BTreeMap<OutboundRequestId, Reply>,
    dials: BTreeMap<ConnectionId, Multiaddr>,
    /// Transactions of this node that found no peer.
    outbox: VecDeque<Bytes>,
    exchange_due: Instant,
}

impl Task {
    /// Makes the task and listens. Returns the address.
    pub(crate) async fn listen(
        config: Config,
        host: Arc<dyn Host>,
        shared: Arc<Shared>,
        channels: Channels,
    ) -> Result<(Running, Multiaddr), NetworkError> {
        let mut swarm = behaviour::swarm(&config)?;
        let listen = |reason: String| NetworkError::Listen {
            address: config.listen.clone(),
            reason,
        };
        swarm
            .listen_on(config.listen.clone())
            .map_err(|error| listen(error.to_string()))?;
        let address = timeout(CONNECT_TIME, first_address(&mut swarm));
        let address = address
            .await
            .map_err(|_| listen("no address after 10 s".into()))?;
        let started = Judge::start(Arc::clone(&host));
        let (judge, verdicts) =
            started.map_err(|error| NetworkError::Transport(format!("thread: {error}")))?;
        let now = Instant::now();
        let task = Self {
            hello: Hello {
                chain_id: config.chain_id,
                genesis: config.genesis,
                port: port_of(&address),
                agent: config.agent.clone(),
            },
            topic: behaviour::transactions_topic(config.chain_id, config.genesis),
            shelf: Arc::new(Shelf::new(host)),
            book: Book::new(config.key.peer_id(), &config.peers, now),
            swarm,
            config,
            shared,
            judge,
            verdicts,
            serving: JoinSet::new(),
            peers: BTreeMap::new(),
            subscribed: BTreeSet::new(),
            scores: Scores::default(),
            asks: BTreeMap::new(),
            dials: BTreeMap::new(),
            outbox: VecDeque::new(),
            exchange_due: now,
        };
        Ok((Running { task, channels }, address))
    }

    fn tick(&mut self, now: Instant) {
        self.dial_due(now);
        self.close_overdue(now);
        self.exchange_if_due(now);
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Ask {
                peer,
                request,
                reply,
            } => self.ask(peer, request, reply),
            Command::Report { peer, offence } => self.offend(peer, offence),
        }
    }

    fn on_event(&mut self, event: SwarmEvent<ProtocolsEvent>) {
        match event {
            SwarmEvent::Behaviour(ProtocolsEvent::Gossip(event)) => self.on_gossip(event),
            SwarmEvent::Behaviour(ProtocolsEvent::Hello(event)) => self.on_hello(event),
            SwarmEvent::Behaviour(ProtocolsEvent::Exchange(event)) => self.on_exchange(event),
            SwarmEvent::Behaviour(ProtocolsEvent::Models(event)) => self.on_models(event),
            SwarmEvent::Behaviour(ProtocolsEvent::Ping(event)) => {
                if let Err(error) = event.result {
                    // The line is dead, or the peer is: either way it is no peer.
                    tracing::debug!(peer = %event.peer, %error, "ping failed");
                    self.swarm.close_connection(event.connection);
                }
            }
            event => self.on_connection(event),
        }
    }

    /// Notes what a peer did wrong; bans it when that is too much.
    fn offend(&mut self, peer: PeerId, offence: Offence) {
        let now = Instant::now();
        if self.swarm.behaviour().gate.is_banned(&peer, now) {
            // What it sent before it was turned away counts once.
            return;
        }
        tracing::debug!(%peer, ?offence, "peer misbehaved");
        if self.scores.note(peer, offence, now) {
            let seconds = self.config.limits.ban.as_secs();
            let address = self.peers.get(&peer).map(|peer| peer.address.to_string());
            tracing::warn!(%peer, address, seconds, reason = offence.reason(), "peer banned");
            add(&self.shared.counts.bans, 1);
            self.ban(peer, now);
        } else if let Some(info) = self.shared.peers().get_mut(&peer) {
            info.points = self.scores.points(peer, now);
        }
        self.shared.changed();
    }

    /// Closes the gate to a peer for a while.
    fn ban(&mut self, peer: PeerId, now: Instant) {
        let until = now + self.config.limits.ban;
        self.swarm.behaviour_mut().gate.ban(peer, until, now);
        self.book.avoid(peer, until);
        self.disconnect(peer);
    }

    fn disconnect(&mut self, peer: PeerId) {
        // An error means that it is not connected, which is what is wanted.
        let _ = self.swarm.disconnect_peer_id(peer);
    }
}

/// A task with what reaches it.
pub(crate) struct Running {
    task: Task,
    channels: Channels,
}

impl Running {
    /// Talks to peers until the network is stopped or no handle is left.
    pub(crate) async fn run(self) {
        let Self {
            mut task,
            mut channels,
        } = self;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = task.swarm.select_next_some() => task.on_event(event),
                judged = task.verdicts.recv() => match judged {
                    Some(judged) => task.on_verdict(judged),
                    None => {
                        tracing::error!("transactions are no longer judged: restart the node");
                        break;
                    }
                },
                Some(served) = task.serving.join_next() => task.on_served(served),
                command = channels.commands.recv() => match command {
                    Some(command) => task.on_command(command),
                    None => break,
                },
                Some(bytes) = channels.broadcasts.recv() => task.publish(bytes),
                _ = ticks.tick() => task.tick(Instant::now()),
                stopped = channels.stop.changed() => {
                    if stopped.is_err() || *channels.stop.borrow() {
                        break;
                    }
                }
            }
        }
        task.close().await;
    }
}

impl Task {
    /// Closes every connection, as far as peers let it in time.
    async fn close(mut self) {
        let peers: Vec<PeerId> = self.peers.keys().copied().collect();
        peers.into_iter().for_each(|peer| self.disconnect(peer));
        let closing = async {
            while self.swarm.connected_peers().next().is_some() {
                self.swarm.select_next_some().await;
            }
        };
        // Peers that do not answer are left behind.
        let _ = timeout(FAREWELL, closing).await;
        self.shared.peers().clear();
        self.shared.changed();
    }
}

async fn first_address(swarm: &mut Swarm<Protocols>) -> Multiaddr {
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return address;
        }
    }
}

fn port_of(address: &Multiaddr) -> u16 {
    let port = address.iter().find_map(|part| match part {
        Protocol::Tcp(port) => Some(port),
        _ => None,
    });
    port.unwrap_or_default()
}
