//! Connections: whom to dial, who came, who went.

use std::time::Instant;

use libp2p::{
    Multiaddr, PeerId,
    core::ConnectedPoint,
    swarm::{ConnectionId, DialError, ListenError, SwarmEvent, dial_opts::DialOpts},
};

use super::{Peer, Task};
use crate::{
    behaviour::ProtocolsEvent,
    book::split,
    config::{DIALS_MAX, HELLO_TIME},
    rate::Bucket,
    shared::add,
};

impl Task {
    /// Dials who should be connected and is not.
    pub(super) fn dial_due(&mut self, now: Instant) {
        let wanted = self.config.limits.outbound.saturating_sub(self.peers.len());
        let due = self
            .book
            .due(now, wanted, DIALS_MAX, |peer| self.peers.contains_key(peer));
        for due in due {
            let options = match due.peer {
                Some(peer) => DialOpts::peer_id(peer)
                    .addresses(vec![due.address.clone()])
                    .build(),
                None => DialOpts::unknown_peer_id()
                    .address(due.address.clone())
                    .build(),
            };
            self.book.dialing(&due.address);
            self.dials
                .insert(options.connection_id(), due.address.clone());
            let connection = options.connection_id();
            if let Err(error) = self.swarm.dial(options) {
                self.dial_failed(connection, &error, now);
            }
        }
    }

    /// Closes connections of peers that did not say hello in time, or were refused.
    pub(super) fn close_overdue(&mut self, now: Instant) {
        let overdue = |(peer, state): (&PeerId, &Peer)| {
            let overdue = state.deadline.is_some_and(|deadline| deadline <= now);
            overdue.then_some(*peer)
        };
        let overdue: Vec<PeerId> = self.peers.iter().filter_map(overdue).collect();
        overdue.into_iter().for_each(|peer| self.disconnect(peer));
    }

    pub(super) fn on_connection(&mut self, event: SwarmEvent<ProtocolsEvent>) {
        let now = Instant::now();
        match event {
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => self.connected(peer_id, connection_id, &endpoint, now),
            SwarmEvent::ConnectionClosed {
                peer_id,
                num_established: 0,
                ..
            } => self.closed(peer_id, now),
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                error,
                ..
            } => self.dial_failed(connection_id, &error, now),
            SwarmEvent::IncomingConnectionError {
                send_back_addr,
                error,
                ..
            } => {
                if let ListenError::Denied { .. } = error {
                    add(&self.shared.counts.connections_refused, 1);
                    self.shared.changed();
                } else {
                    add(&self.shared.counts.handshakes_failed, 1);
                }
                tracing::debug!(address = %send_back_addr, %error, "connection refused");
            }
            SwarmEvent::ListenerError { error, .. } => {
                tracing::error!(%error, "listening for peers failed");
            }
            SwarmEvent::ListenerClosed { reason, .. } => {
                tracing::error!(?reason, "no longer listening for peers: restart the node");
            }
            _ => {}
        }
    }

    fn connected(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        endpoint: &ConnectedPoint,
        now: Instant,
    ) {
        let outbound = endpoint.is_dialer();
        if let Some(dialled) = self.dials.remove(&connection) {
            self.book.reached(&dialled, peer);
        }
        let known = self.peers.contains_key(&peer);
        if !known {
            let limits = &self.config.limits;
            let state = Peer {
                address: split(endpoint.get_remote_address()).0,
                outbound,
                deadline: Some(now + HELLO_TIME),
                transactions: Bucket::new(limits.transactions_per_s, now),
                transaction_bytes: Bucket::new(limits.transaction_bytes_per_s, now),
                requests: Bucket::new(limits.requests_per_s, now),
                serving: 0,
            };
            self.peers.insert(peer, state);
        }
        if outbound {
            self.say_hello(peer);
        }
    }

    fn closed(&mut self, peer: PeerId, now: Instant) {
        self.peers.remove(&peer);
        self.subscribed.remove(&peer);
        self.book.closed(peer, now);
        let was_greeted = self.shared.peers().remove(&peer).is_some();
        if was_greeted {
            tracing::info!(%peer, "peer disconnected");
        }
        self.shared.changed();
    }

    fn dial_failed(&mut self, connection: ConnectionId, error: &DialError, now: Instant) {
        let Some(address) = self.dials.remove(&connection) else {
            return;
        };
        tracing::debug!(%address, %error, "peer not reached");
        match error {
            DialError::LocalPeerId { .. } => self.book.forget(&address),
            DialError::WrongPeerId { obtained, .. } => self.wrong_peer(&address, *obtained, now),
            _ => self.book.failed(&address, now),
        }
    }

    /// Another peer answered at an address: an operator must know, a rumour is forgotten.
    fn wrong_peer(&mut self, address: &Multiaddr, obtained: PeerId, now: Instant) {
        if obtained == self.config.key.peer_id() {
            self.book.forget(address);
            return;
        }
        let named = self
            .config
            .peers
            .iter()
            .any(|peer| split(peer).0 == *address);
        if named {
            tracing::warn!(
                %address, found = %obtained,
                "another peer than the configured one answers: correct the /p2p/ part of the address"
            );
        }
        self.book.failed(address, now);
    }
}
