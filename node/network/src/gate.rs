//! The gate: who may connect. Bans by peer and by address, and limits on connections.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::IpAddr,
    task::{Context, Poll},
    time::Instant,
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm, dummy,
    },
};

use crate::{
    book::ip_of,
    config::{BANS_MAX, CONNECTIONS_PER_PEER},
};

/// Peers banned at one address before the address is banned, too.
const BANNED_PEERS_PER_ADDRESS: usize = 3;

/// Says why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    /// The peer misbehaved.
    #[error("peer is banned")]
    Peer,
    /// Peers of this address misbehaved.
    #[error("address is banned")]
    Address,
    /// Too many connections came in.
    #[error("{limit} incoming connections are open, the most allowed")]
    Inbound { limit: usize },
    /// Too many connections came from one address.
    #[error("{limit} connections from this address are open, the most allowed")]
    PerAddress { limit: usize },
    /// The peer is connected already.
    #[error("{limit} connections with this peer are open, the most allowed")]
    PerPeer { limit: usize },
}

/// A connection that is open, or is being opened by the other side.
#[derive(Debug, Clone, Copy)]
struct Open {
    inbound: bool,
    ip: Option<IpAddr>,
    /// Known once the peer proved its key.
    peer: Option<PeerId>,
}

/// A ban of a peer.
#[derive(Debug, Clone, Copy)]
struct Ban {
    until: Instant,
    ip: Option<IpAddr>,
}

/// Decides who may connect.
#[derive(Debug)]
pub(crate) struct Gate {
    inbound_max: usize,
    per_address_max: usize,
    open: BTreeMap<ConnectionId, Open>,
    bans: BTreeMap<PeerId, Ban>,
}

impl Gate {
    /// Opens the gate to so many connections from others, and from one address.
    pub(crate) const fn new(inbound_max: usize, per_address_max: usize) -> Self {
        Self {
            inbound_max,
            per_address_max,
            open: BTreeMap::new(),
            bans: BTreeMap::new(),
        }
    }

    /// Bans a peer; the caller closes its connections.
    pub(crate) fn ban(&mut self, peer: PeerId, until: Instant, now: Instant) {
        if self.bans.len() >= BANS_MAX {
            self.bans.retain(|_, ban| ban.until > now);
        }
        if self.bans.len() >= BANS_MAX {
            let first = self.bans.iter().min_by_key(|(_, ban)| ban.until);
            if let Some(first) = first.map(|(peer, _)| *peer) {
                self.bans.remove(&first);
            }
        }
        let open = self.open.values().find(|open| open.peer == Some(peer));
        let ip = open.and_then(|open| open.ip);
        self.bans.insert(peer, Ban { until, ip });
    }

    /// Tells whether a peer is banned.
    pub(crate) fn is_banned(&self, peer: &PeerId, now: Instant) -> bool {
        self.bans.get(peer).is_some_and(|ban| ban.until > now)
    }

    /// Counts the connections that others opened.
    fn inbound(&self) -> impl Iterator<Item = &Open> {
        self.open.values().filter(|open| open.inbound)
    }

    fn check_arrival(&self, ip: Option<IpAddr>, now: Instant) -> Result<(), Denied> {
        let limit = self.inbound_max;
        if self.inbound().count() >= limit {
            return Err(Denied::Inbound { limit });
        }
        // Many nodes of one operator share loopback.
        let Some(ip) = ip.filter(|ip| !ip.is_loopback()) else {
            return Ok(());
        };
        let bans = self.bans.values();
        let banned = bans
            .filter(|ban| ban.ip == Some(ip) && ban.until > now)
            .count();
        if banned >= BANNED_PEERS_PER_ADDRESS {
            return Err(Denied::Address);
        }
        let limit = self.per_address_max;
        match self.inbound().filter(|open| open.ip == Some(ip)).count() < limit {
            true => Ok(()),
            false => Err(Denied::PerAddress { limit }),
        }
    }

    fn check_peer(&self, peer: PeerId, now: Instant) -> Result<(), Denied> {
        if self.is_banned(&peer, now) {
            return Err(Denied::Peer);
        }
        let (open, limit) = (self.open.values(), CONNECTIONS_PER_PEER);
        match open.filter(|open| open.peer == Some(peer)).count() < limit {
            true => Ok(()),
            false => Err(Denied::PerPeer { limit }),
        }
    }
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let ip = ip_of(remote);
        self.check_arrival(ip, Instant::now())
            .map_err(ConnectionDenied::new)?;
        let open = Open {
            inbound: true,
            ip,
            peer: None,
        };
        self.open.insert(connection, open);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let checked = self.check_peer(peer, Instant::now());
        if let Err(denied) = checked {
            self.open.remove(&connection);
            return Err(ConnectionDenied::new(denied));
        }
        if let Some(open) = self.open.get_mut(&connection) {
            open.peer = Some(peer);
        }
        Ok(dummy::ConnectionHandler)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        match peer.is_some_and(|peer| self.is_banned(&peer, Instant::now())) {
            true => Err(ConnectionDenied::new(Denied::Peer)),
            false => Ok(Vec::new()),
        }
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.check_peer(peer, Instant::now())
            .map_err(ConnectionDenied::new)?;
        let open = Open {
            inbound: false,
            ip: ip_of(address),
            peer: Some(peer),
        };
        self.open.insert(connection, open);
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        let closed = match event {
            FromSwarm::ConnectionClosed(closed) => closed.connection_id,
            FromSwarm::ListenFailure(failure) => failure.connection_id,
            FromSwarm::DialFailure(failure) => failure.connection_id,
            _ => return,
        };
        self.open.remove(&closed);
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn arrive(gate: &mut Gate, number: usize, address: &str) -> Result<(), ConnectionDenied> {
        let (local, remote) = ("/ip4/10.0.0.1/tcp/1", format!("/ip4/{address}/tcp/5"));
        gate.handle_pending_inbound_connection(
            ConnectionId::new_unchecked(number),
            &local.parse().unwrap(),
            &remote.parse().unwrap(),
        )
    }

    fn establish(gate: &mut Gate, number: usize, peer: PeerId) -> Result<(), ConnectionDenied> {
        let (id, at) = (ConnectionId::new_unchecked(number), Multiaddr::empty());
        gate.handle_established_inbound_connection(id, peer, &at, &at)
            .map(|_| ())
    }

    fn denied(result: Result<(), ConnectionDenied>) -> Denied {
        result.unwrap_err().downcast().unwrap()
    }

    #[test]
    fn connections_are_limited_in_total_and_by_address_except_loopback() {
        let mut gate = Gate::new(6, 2);
        assert!(arrive(&mut gate, 0, "10.0.0.2").is_ok());
        assert!(arrive(&mut gate, 1, "10.0.0.2").is_ok());
        let third = denied(arrive(&mut gate, 2, "10.0.0.2"));
        assert_eq!(third, Denied::PerAddress { limit: 2 });
        for number in 3..7 {
            assert!(arrive(&mut gate, number, "127.0.0.1").is_ok());
        }
        let one_more = denied(arrive(&mut gate, 8, "127.0.0.1"));
        assert_eq!(one_more, Denied::Inbound { limit: 6 });
    }

    #[test]
    fn a_peer_has_as_many_connections_as_two_nodes_can_open_at_once() {
        let (mut gate, peer) = (Gate::new(9, 9), PeerId::random());
        for number in 0..3 {
            arrive(&mut gate, number, "127.0.0.1").unwrap();
        }
        assert!(establish(&mut gate, 0, peer).is_ok());
        assert!(establish(&mut gate, 1, peer).is_ok());
        assert_eq!(
            denied(establish(&mut gate, 2, peer)),
            Denied::PerPeer { limit: 2 }
        );
    }

    #[test]
    fn a_ban_holds_for_its_time_and_many_of_them_ban_the_address() {
        let (mut gate, now) = (Gate::new(99, 99), Instant::now());
        let until = now + Duration::from_secs(60);
        let peers = [(); 3].map(|()| PeerId::random());
        for (number, peer) in peers.into_iter().enumerate() {
            arrive(&mut gate, number, "10.0.0.9").unwrap();
            establish(&mut gate, number, peer).unwrap();
            gate.ban(peer, until, now);
        }
        assert!(gate.is_banned(&peers[0], now));
        assert!(!gate.is_banned(&peers[0], until));
        assert_eq!(denied(arrive(&mut gate, 7, "10.0.0.9")), Denied::Address);
        assert!(arrive(&mut gate, 8, "10.0.0.8").is_ok());
        assert_eq!(denied(establish(&mut gate, 8, peers[1])), Denied::Peer);
    }

    #[test]
    fn bans_remembered_are_bounded() {
        let (mut gate, now) = (Gate::new(9, 9), Instant::now());
        for _ in 0..BANS_MAX + 5 {
            gate.ban(PeerId::random(), now + Duration::from_secs(60), now);
        }
        assert_eq!(gate.bans.len(), BANS_MAX);
    }
}
