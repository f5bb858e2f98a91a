//! Where peers are, and when to dial them again. Pure; time is an argument.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

use crate::config::{BOOK_MAX, is_tcp};

/// Wait after the first failure; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Failures in a row after which a learned address is forgotten.
const FAILURES_MAX: u32 = 8;

/// Where a peer is.
#[derive(Debug, Clone)]
struct Entry {
    peer: Option<PeerId>,
    /// Whether the operator named it: then it is never forgotten.
    fixed: bool,
    failures: u32,
    due: Instant,
    dialing: bool,
}

/// Addresses of peers.
#[derive(Debug)]
pub(crate) struct Book {
    own: PeerId,
    entries: BTreeMap<Multiaddr, Entry>,
}

/// An address to dial now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) address: Multiaddr,
    pub(crate) peer: Option<PeerId>,
}

impl Book {
    /// Makes a book of the addresses an operator named.
    pub(crate) fn new(own: PeerId, fixed: &[Multiaddr], now: Instant) -> Self {
        let mut book = Self {
            own,
            entries: BTreeMap::new(),
        };
        for address in fixed {
            let (address, peer) = split(address);
            // A list of all nodes may name this one.
            if peer != Some(own) {
                book.entries.insert(address, entry(peer, true, now));
            }
        }
        book
    }

    /// Learns where a peer is. Returns whether that is news.
    pub(crate) fn learn(&mut self, peer: PeerId, address: &Multiaddr, now: Instant) -> bool {
        let (address, _) = split(address);
        if peer == self.own || !is_tcp(&address) || address.iter().any(|p| p == Protocol::Tcp(0)) {
            return false;
        }
        if let Some(known) = self.entries.get_mut(&address) {
            let news = known.peer != Some(peer);
            known.peer = Some(known.peer.filter(|_| known.fixed).unwrap_or(peer));
            return news;
        }
        if self.entries.len() >= BOOK_MAX && !self.make_room() {
            return false;
        }
        self.entries.insert(address, entry(Some(peer), false, now));
        true
    }

    /// Lists addresses to dial now, those an operator named first: `connected` says which peers
    /// need none, `wanted` how many that were learned may be dialled.
    pub(crate) fn due(
        &self,
        now: Instant,
        wanted: usize,
        most: usize,
        connected: impl Fn(&PeerId) -> bool,
    ) -> Vec<Due> {
        let ready = |entry: &Entry| {
            !entry.dialing && entry.due <= now && !entry.peer.as_ref().is_some_and(&connected)
        };
        let due = |(address, entry): (&Multiaddr, &Entry)| Due {
            address: address.clone(),
            peer: entry.peer,
        };
        let fixed = self.entries.iter().filter(|(_, e)| e.fixed && ready(e));
        let learned = self.entries.iter().filter(|(_, e)| !e.fixed && ready(e));
        let dialing = self.entries.values().filter(|e| e.dialing).count();
        fixed
            .map(due)
            .chain(learned.map(due).take(wanted))
            .take(most.saturating_sub(dialing))
            .collect()
    }

    /// Notes that an address is being dialled.
    pub(crate) fn dialing(&mut self, address: &Multiaddr) {
        if let Some(entry) = self.entries.get_mut(address) {
            entry.dialing = true;
        }
    }

    /// Notes who answered at an address.
    pub(crate) fn reached(&mut self, address: &Multiaddr, peer: PeerId) {
        let (address, _) = split(address);
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.dialing = false;
            entry.peer = Some(peer);
        }
    }

    /// Notes that a peer said hello as it should: its next outage begins with a short wait.
    pub(crate) fn greeted(&mut self, peer: PeerId) {
        let of_peer = |entry: &&mut Entry| entry.peer == Some(peer);
        for entry in self.entries.values_mut().filter(of_peer) {
            entry.failures = 0;
        }
    }

    /// Notes that an address could not be dialled.
    pub(crate) fn failed(&mut self, address: &Multiaddr, now: Instant) {
        let (address, _) = split(address);
        let Some(entry) = self.entries.get_mut(&address) else {
            return;
        };
        entry.dialing = false;
        entry.back_off(now);
        if !entry.fixed && entry.failures >= FAILURES_MAX {
            self.entries.remove(&address);
        }
    }

    /// Notes that the last connection to a peer ended.
    pub(crate) fn closed(&mut self, peer: PeerId, now: Instant) {
        let of_peer = |entry: &&mut Entry| entry.peer == Some(peer);
        for entry in self.entries.values_mut().filter(of_peer) {
            entry.back_off(now);
        }
    }

    /// Does not dial a peer before a time.
    pub(crate) fn avoid(&mut self, peer: PeerId, until: Instant) {
        let of_peer = |entry: &&mut Entry| entry.peer == Some(peer);
        for entry in self.entries.values_mut().filter(of_peer) {
            entry.due = entry.due.max(until);
        }
    }

    /// Forgets an address, because this node itself answers there.
    pub(crate) fn forget(&mut self, address: &Multiaddr) {
        self.entries.remove(&split(address).0);
    }

    /// Forgets the learned address that failed most; none that works is given up for another.
    fn make_room(&mut self) -> bool {
        let learned = self.entries.iter().filter(|(_, entry)| !entry.fixed);
        let worst = learned.max_by_key(|(_, entry)| entry.failures);
        let worst = worst.filter(|(_, entry)| entry.failures > 0);
        let Some(worst) = worst.map(|(address, _)| address.clone()) else {
            return false;
        };
        self.entries.remove(&worst).is_some()
    }
}

impl Entry {
    fn back_off(&mut self, now: Instant) {
        let doubled = FIRST_WAIT.saturating_mul(1 << self.failures.min(10));
        self.due = self.due.max(now + doubled.min(LONGEST_WAIT));
        self.failures = self.failures.saturating_add(1);
    }
}

const fn entry(peer: Option<PeerId>, fixed: bool, due: Instant) -> Entry {
    Entry {
        peer,
        fixed,
        failures: 0,
        due,
        dialing: false,
    }
}

/// Splits the peer off an address.
pub(crate) fn split(address: &Multiaddr) -> (Multiaddr, Option<PeerId>) {
    let mut address = address.clone();
    match address.pop() {
        Some(Protocol::P2p(peer)) => (address, Some(peer)),
        Some(last) => (address.with(last), None),
        None => (address, None),
    }
}

/// Returns the IP address in an address.
pub(crate) fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4)),
        _ => None,
    }
}

/// Makes the address of a port on the host of an address.
pub(crate) fn with_port(address: &Multiaddr, port: u16) -> Option<Multiaddr> {
    let host = address.iter().next()?;
    Some(Multiaddr::empty().with(host).with(Protocol::Tcp(port)))
}

/// Tells whether one peer may be told another's address: loopback is nobody else's business, and an
/// address that names no host leads nowhere.
pub(crate) fn is_told(address: &Multiaddr, to_loopback: bool) -> bool {
    match ip_of(address) {
        Some(ip) => {
            !ip.is_unspecified() && !ip.is_multicast() && (to_loopback || !ip.is_loopback())
        }
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: fn(&PeerId) -> bool = |_| false;

    fn at(port: u16) -> Multiaddr {
        format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap()
    }

    #[test]
    fn waits_double_and_start_again_after_a_hello() {
        let (now, peer) = (Instant::now(), PeerId::random());
        let mut book = Book::new(PeerId::random(), &[at(1)], now);
        let mut wait = || {
            let (mut waited, step) = (Duration::ZERO, Duration::from_millis(250));
            book.reached(&at(1), peer);
            book.closed(peer, now);
            while book.due(now + waited, 0, 9, NOBODY).is_empty() {
                waited += step;
            }
            waited
        };
        let waits: Vec<u128> = (0..10).map(|_| wait().as_millis()).collect();
        assert_eq!(
            waits,
            [
                500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000
            ]
        );
        book.greeted(peer);
        let later = now + Duration::from_secs(60);
        book.closed(peer, later);
        assert!(book.due(later, 0, 9, NOBODY).is_empty());
        assert_eq!(book.due(later + FIRST_WAIT, 0, 9, NOBODY).len(), 1);
    }

    #[test]
    fn own_address_and_useless_ones_are_not_kept() {
        let (now, own) = (Instant::now(), PeerId::random());
        let named = at(1).with(Protocol::P2p(own));
        let mut book = Book::new(own, &[named], now);
        assert!(!book.learn(own, &at(2), now));
        assert!(!book.learn(PeerId::random(), &at(0), now));
        assert!(!book.learn(
            PeerId::random(),
            &"/ip4/1.2.3.4/udp/4".parse().unwrap(),
            now
        ));
        assert!(book.due(now, 9, 9, NOBODY).is_empty());
    }

    #[test]
    fn connected_peers_are_not_dialled_and_dials_are_bounded() {
        let (now, peer) = (Instant::now(), PeerId::random());
        let mut book = Book::new(PeerId::random(), &[at(1), at(2)], now);
        assert!(book.learn(peer, &at(3), now));
        assert_eq!(book.due(now, 0, 9, NOBODY).len(), 2);
        assert_eq!(book.due(now, 5, 9, |p| *p == peer).len(), 2);
        assert_eq!(book.due(now, 5, 9, NOBODY).len(), 3);
        book.dialing(&at(1));
        assert_eq!(book.due(now, 5, 2, NOBODY).len(), 1);
    }

    #[test]
    fn learned_addresses_that_fail_are_forgotten_and_named_ones_are_not() {
        let now = Instant::now();
        let mut book = Book::new(PeerId::random(), &[at(1)], now);
        book.learn(PeerId::random(), &at(2), now);
        for _ in 0..FAILURES_MAX {
            book.failed(&at(1), now);
            book.failed(&at(2), now);
        }
        let due = book.due(now + LONGEST_WAIT, 9, 9, NOBODY);
        assert_eq!(
            due.iter().map(|due| &due.address).collect::<Vec<_>>(),
            [&at(1)]
        );
    }

    #[test]
    fn a_full_book_gives_up_only_what_failed() {
        let now = Instant::now();
        let mut book = Book::new(PeerId::random(), &[], now);
        for port in 1..=BOOK_MAX as u16 {
            assert!(book.learn(PeerId::random(), &at(port), now));
        }
        assert!(!book.learn(PeerId::random(), &at(9_000), now));
        book.failed(&at(5), now);
        assert!(book.learn(PeerId::random(), &at(9_000), now));
        assert_eq!(book.entries.len(), BOOK_MAX);
    }

    #[test]
    fn loopback_is_told_to_loopback_only() {
        let local: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        assert!(is_told(&local, true) && !is_told(&local, false));
        assert!(is_told(&at(1), false));
        assert!(!is_told(&"/ip4/0.0.0.0/tcp/1".parse().unwrap(), true));
    }
}
