//! Greetings tell whether a peer is of this chain; then peers tell of peers.

use std::time::{Duration, Instant};

use libp2p::{
    Multiaddr, PeerId,
    request_response::{Event, Message, OutboundFailure},
};

use super::Task;
use crate::{
    Offence, PeerInfo,
    book::{ip_of, is_told, with_port},
    config::{EXCHANGE_INTERVAL, PEERS_TOLD_MAX},
    shared::add,
    wire::{Hello, Peers, PeersRequest},
};

/// A peer of another chain is told so, and has so long to read it and leave.
const REFUSAL_TIME: Duration = Duration::from_secs(1);

impl Task {
    pub(super) fn say_hello(&mut self, peer: PeerId) {
        let hello = self.hello.clone();
        self.swarm.behaviour_mut().hello.send_request(&peer, hello);
    }

    pub(super) fn on_hello(&mut self, event: Event<Hello, Hello>) {
        match event {
            Event::Message {
                peer,
                message:
                    Message::Request {
                        request, channel, ..
                    },
                ..
            } => {
                let answer = self.hello.clone();
                let hello = &mut self.swarm.behaviour_mut().hello;
                // A peer that is gone needs no answer.
                let _ = hello.send_response(channel, answer);
                self.greeted(peer, &request, true);
            }
            Event::Message {
                peer,
                message: Message::Response { response, .. },
                ..
            } => self.greeted(peer, &response, false),
            Event::OutboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "peer did not answer hello");
                if is_bad(&error) {
                    self.offend(peer, Offence::BadMessage);
                }
                self.disconnect(peer);
            }
            Event::InboundFailure { peer, .. } => self.disconnect(peer),
            Event::ResponseSent { .. } => {}
        }
    }

    /// Takes a peer's hello: it is a peer from now on, or refused.
    fn greeted(&mut self, peer: PeerId, hello: &Hello, answering: bool) {
        let now = Instant::now();
        if (hello.chain_id, hello.genesis) != (self.hello.chain_id, self.hello.genesis) {
            self.refuse(peer, hello, answering, now);
            return;
        }
        let Some(state) = self.peers.get_mut(&peer) else {
            return;
        };
        if state.deadline.take().is_none() {
            // Both sides dialled at once and greet twice.
            return;
        }
        let dialable = match state.outbound {
            true => Some(state.address.clone()),
            false if hello.port == 0 => None,
            false => with_port(&state.address, hello.port),
        };
        let info = PeerInfo {
            id: peer,
            address: state.address.clone(),
            dialable: dialable.clone(),
            outbound: state.outbound,
            agent: hello.agent.clone(),
            subscribed: self.subscribed.contains(&peer),
            points: self.scores.points(peer, now),
        };
        tracing::info!(%peer, address = %info.address, agent = %info.agent, "peer connected");
        self.shared.peers().insert(peer, info);
        if let Some(address) = dialable {
            self.book.learn(peer, &address, now);
        }
        self.book.greeted(peer);
        self.shared.changed();
        self.ask_for_peers(peer);
    }

    /// Turns away a peer of another chain; one that asked first must hear the answer to know why.
    fn refuse(&mut self, peer: PeerId, hello: &Hello, answering: bool, now: Instant) {
        let address = self.peers.get(&peer).map(|peer| peer.address.to_string());
        tracing::warn!(
            %peer, address,
            chain_id = hello.chain_id, genesis = %hello.genesis,
            own_chain_id = self.hello.chain_id, own_genesis = %self.hello.genesis,
            "peer is of another chain: give both nodes the same genesis file"
        );
        add(&self.shared.counts.peers_of_another_chain, 1);
        let until = now + self.config.limits.ban;
        self.swarm.behaviour_mut().gate.ban(peer, until, now);
        self.book.avoid(peer, until);
        match self.peers.get_mut(&peer).filter(|_| answering) {
            Some(state) => state.deadline = Some(now + REFUSAL_TIME),
            None => self.disconnect(peer),
        }
        self.shared.changed();
    }

    /// Asks one peer for others, at times; each in turn.
    pub(super) fn exchange_if_due(&mut self, now: Instant) {
        if now < self.exchange_due {
            return;
        }
        self.exchange_due = now + EXCHANGE_INTERVAL;
        let known: Vec<PeerId> = self.shared.peers().keys().copied().collect();
        known.into_iter().for_each(|peer| self.ask_for_peers(peer));
    }

    fn ask_for_peers(&mut self, peer: PeerId) {
        if self.config.exchange {
            let exchange = &mut self.swarm.behaviour_mut().exchange;
            exchange.send_request(&peer, PeersRequest);
        }
    }

    pub(super) fn on_exchange(&mut self, event: Event<PeersRequest, Peers>) {
        match event {
            Event::Message {
                peer,
                message: Message::Request { channel, .. },
                ..
            } => {
                let told = match self.may_ask(peer) {
                    true => self.told(peer),
                    false => Vec::new(),
                };
                let exchange = &mut self.swarm.behaviour_mut().exchange;
                // A peer that is gone needs no answer.
                let _ = exchange.send_response(channel, Peers(told));
            }
            Event::Message {
                peer,
                message: Message::Response { response, .. },
                ..
            } => self.learn(peer, response),
            Event::OutboundFailure { peer, error, .. } if is_bad(&error) => {
                self.offend(peer, Offence::BadMessage);
            }
            _ => {}
        }
    }

    /// Tells whether a peer may ask for something now; asking too often is an offence.
    pub(super) fn may_ask(&mut self, peer: PeerId) -> bool {
        let Some(state) = self.peers.get_mut(&peer) else {
            return false;
        };
        if state.requests.take(1, Instant::now()) {
            return state.deadline.is_none();
        }
        self.offend(peer, Offence::Flood);
        false
    }

    /// Chooses whom a peer is told of.
    fn told(&self, asker: PeerId) -> Vec<(PeerId, Multiaddr)> {
        if !self.config.exchange {
            return Vec::new();
        }
        let local = self.is_loopback(asker);
        let peers = self.shared.peers();
        let others = peers.values().filter(|info| info.id != asker);
        let told = others.filter_map(|info| Some((info.id, info.dialable.clone()?)));
        let told = told.filter(|(_, address)| is_told(address, local));
        told.take(PEERS_TOLD_MAX).collect()
    }

    fn learn(&mut self, from: PeerId, told: Peers) {
        if !self.config.exchange {
            return;
        }
        let (now, local) = (Instant::now(), self.is_loopback(from));
        for (peer, address) in told.0 {
            if is_told(&address, local) && !self.peers.contains_key(&peer) {
                self.book.learn(peer, &address, now);
            }
        }
    }

    fn is_loopback(&self, peer: PeerId) -> bool {
        let address = self.peers.get(&peer).map(|peer| &peer.address);
        address.and_then(ip_of).is_some_and(|ip| ip.is_loopback())
    }
}

/// Tells whether a failure is a message that could not be read, which is the peer's fault.
pub(super) fn is_bad(error: &OutboundFailure) -> bool {
    matches!(error, OutboundFailure::Io(error) if error.kind() == std::io::ErrorKind::InvalidData)
}
