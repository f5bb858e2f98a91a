//! Which chunk of a model is asked of whom. Pure; time is an argument.
//!
//! Chunks are asked for in order within a window, written in order, and verified before they get
//! here. A chunk that keeps the window waiting is asked of a second peer.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use bytes::Bytes;
use libp2p::PeerId;

use crate::config::{CHUNKS_PER_PEER, FETCH_WINDOW};

/// Asked for so long, the chunk the window waits for is asked of another peer too.
const LATE: Duration = Duration::from_secs(2);
/// Peers one chunk is asked of at a time.
const ASKED_MAX: usize = 2;
/// Failures of one peer after which a fetch does without it.
const FAILURES_MAX: u32 = 3;

#[derive(Debug)]
enum State {
    Asked { peers: Vec<PeerId>, since: Instant },
    Here(Bytes),
}

#[derive(Debug)]
struct Holder {
    asked: usize,
    failures: u32,
    rests_until: Instant,
}

/// What is asked, what is here, and who has it.
#[derive(Debug)]
pub(crate) struct Schedule {
    count: usize,
    /// First chunk that was not handed on.
    next: usize,
    /// Chunks that were handed on and are not written yet.
    writing: usize,
    window: BTreeMap<usize, State>,
    holders: BTreeMap<PeerId, Holder>,
}

impl Schedule {
    /// Makes the schedule of so many chunks, from one on.
    pub(crate) const fn new(count: usize, next: usize) -> Self {
        Self {
            count,
            next,
            writing: 0,
            window: BTreeMap::new(),
            holders: BTreeMap::new(),
        }
    }

    /// Learns that a peer has the model.
    pub(crate) fn add_holder(&mut self, peer: PeerId, now: Instant) {
        self.holders.entry(peer).or_insert(Holder {
            asked: 0,
            failures: 0,
            rests_until: now,
        });
    }

    /// Learns that a peer is gone, or of no use: what was asked of it is asked of others.
    pub(crate) fn remove_holder(&mut self, peer: PeerId) {
        self.holders.remove(&peer);
        self.window.retain(|_, state| match state {
            State::Asked { peers, .. } => {
                peers.retain(|asked| *asked != peer);
                !peers.is_empty()
            }
            State::Here(_) => true,
        });
    }

    /// Keeps only the holders that are connected.
    pub(crate) fn retain_holders(&mut self, connected: &BTreeSet<PeerId>) {
        let gone: Vec<PeerId> = self.holders.keys().copied().collect();
        for peer in gone.into_iter().filter(|peer| !connected.contains(peer)) {
            self.remove_holder(peer);
        }
    }

    /// Chooses the next chunk to ask for, and the peer.
    pub(crate) fn assign(&mut self, now: Instant) -> Option<(usize, PeerId)> {
        let chunk = self.first_missing().or_else(|| self.late(now))?;
        let asked: &[PeerId] = match self.window.get(&chunk) {
            Some(State::Asked { peers, .. }) => peers,
            _ => &[],
        };
        let free = |(peer, holder): &(&PeerId, &mut Holder)| {
            holder.asked < CHUNKS_PER_PEER && holder.rests_until <= now && !asked.contains(peer)
        };
        let holders = self.holders.iter_mut().filter(free);
        let (peer, holder) = holders.min_by_key(|(_, holder)| holder.asked)?;
        let peer = *peer;
        holder.asked += 1;
        let state = self.window.entry(chunk).or_insert(State::Asked {
            peers: Vec::new(),
            since: now,
        });
        if let State::Asked { peers, .. } = state {
            peers.push(peer);
        }
        Some((chunk, peer))
    }

    /// Takes a verified chunk.
    pub(crate) fn arrived(&mut self, chunk: usize, peer: PeerId, bytes: Bytes) {
        self.answered(peer);
        if chunk >= self.next && self.window.contains_key(&chunk) {
            self.window.insert(chunk, State::Here(bytes));
        }
    }

    /// Learns that a peer did not give a chunk, and shall not be asked for a while. Returns whether
    /// the fetch does without it from now on.
    pub(crate) fn failed(&mut self, chunk: usize, peer: PeerId, rests_until: Instant) -> bool {
        self.put_back(chunk, peer, rests_until);
        let Some(holder) = self.holders.get_mut(&peer) else {
            return false;
        };
        holder.failures += 1;
        let hopeless = holder.failures >= FAILURES_MAX;
        if hopeless {
            self.remove_holder(peer);
        }
        hopeless
    }

    /// Learns that a peer is too busy for a chunk until a time; that is no failure.
    pub(crate) fn put_back(&mut self, chunk: usize, peer: PeerId, rests_until: Instant) {
        self.answered(peer);
        if let Some(State::Asked { peers, .. }) = self.window.get_mut(&chunk) {
            peers.retain(|asked| *asked != peer);
            if peers.is_empty() {
                self.window.remove(&chunk);
            }
        }
        if let Some(holder) = self.holders.get_mut(&peer) {
            holder.rests_until = holder.rests_until.max(rests_until);
        }
    }

    /// Hands on the next chunk in order, when it is here.
    pub(crate) fn take(&mut self) -> Option<(usize, Bytes)> {
        let chunk = self.next;
        let State::Here(_) = self.window.get(&chunk)? else {
            return None;
        };
        let Some(State::Here(bytes)) = self.window.remove(&chunk) else {
            return None;
        };
        self.next += 1;
        self.writing += 1;
        Some((chunk, bytes))
    }

    /// Learns that a chunk that was handed on is written.
    pub(crate) const fn written(&mut self) {
        self.writing = self.writing.saturating_sub(1);
    }

    /// Goes back to a chunk; what was handed on is void.
    pub(crate) fn rewind(&mut self, chunk: usize) {
        self.next = chunk;
        self.writing = 0;
        self.window.retain(|index, _| *index >= chunk);
    }

    /// Tells whether every chunk is written.
    pub(crate) const fn is_done(&self) -> bool {
        self.next >= self.count && self.writing == 0
    }

    fn answered(&mut self, peer: PeerId) {
        if let Some(holder) = self.holders.get_mut(&peer) {
            holder.asked = holder.asked.saturating_sub(1);
        }
    }

    /// Finds the first chunk of the window that nobody was asked for.
    fn first_missing(&self) -> Option<usize> {
        let room = FETCH_WINDOW.saturating_sub(self.writing);
        let end = self.next.saturating_add(room).min(self.count);
        (self.next..end).find(|chunk| !self.window.contains_key(chunk))
    }

    /// Finds the first chunk that was asked for too long ago.
    fn late(&self, now: Instant) -> Option<usize> {
        let late = |state: &State| match state {
            State::Asked { peers, since } => {
                peers.len() < ASKED_MAX && now.saturating_duration_since(*since) >= LATE
            }
            State::Here(_) => false,
        };
        let found = self.window.iter().find(|(_, state)| late(state));
        found.map(|(chunk, _)| *chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: Bytes = Bytes::from_static(b"x");

    fn with(holders: usize, chunks: usize) -> (Schedule, Vec<PeerId>, Instant) {
        let (mut schedule, now) = (Schedule::new(chunks, 0), Instant::now());
        let peers: Vec<PeerId> = (0..holders).map(|_| PeerId::random()).collect();
        peers
            .iter()
            .for_each(|peer| schedule.add_holder(*peer, now));
        (schedule, peers, now)
    }

    #[test]
    fn work_is_shared_and_bounded_by_peer_and_window() {
        let (mut schedule, peers, now) = with(2, 100);
        let asked: Vec<_> = std::iter::from_fn(|| schedule.assign(now)).collect();
        assert_eq!(asked.len(), 2 * CHUNKS_PER_PEER);
        for peer in &peers {
            let of_peer = asked.iter().filter(|(_, asked)| asked == peer);
            assert_eq!(of_peer.count(), CHUNKS_PER_PEER);
        }
        let (mut schedule, _, now) = with(20, 100);
        let asked = std::iter::from_fn(|| schedule.assign(now)).count();
        assert_eq!(asked, FETCH_WINDOW);
    }

    #[test]
    fn chunks_leave_in_order_and_what_is_being_written_narrows_the_window() {
        let (mut schedule, _, now) = with(10, 100);
        let mut asked: Vec<_> = std::iter::from_fn(|| schedule.assign(now)).collect();
        asked.reverse();
        for (chunk, peer) in asked {
            assert!(schedule.take().is_none());
            schedule.arrived(chunk, peer, BYTES);
        }
        for chunk in 0..FETCH_WINDOW {
            assert_eq!(schedule.take(), Some((chunk, BYTES)));
        }
        assert_eq!(schedule.assign(now), None);
        schedule.written();
        assert_eq!(
            schedule.assign(now).map(|(chunk, _)| chunk),
            Some(FETCH_WINDOW)
        );
    }

    #[test]
    fn what_a_lost_peer_was_asked_for_is_asked_of_another() {
        let (mut schedule, peers, now) = with(1, 3);
        while schedule.assign(now).is_some() {}
        schedule.remove_holder(peers[0]);
        assert_eq!(schedule.assign(now), None);
        let other = PeerId::random();
        schedule.add_holder(other, now);
        let asked: Vec<_> = std::iter::from_fn(|| schedule.assign(now)).collect();
        assert_eq!(asked, [(0, other), (1, other), (2, other)]);
    }

    #[test]
    fn a_busy_peer_rests_and_one_that_fails_is_done_without() {
        let (mut schedule, peers, now) = with(1, 9);
        let later = now + Duration::from_secs(1);
        assert_eq!(schedule.assign(now), Some((0, peers[0])));
        schedule.put_back(0, peers[0], later);
        assert_eq!(schedule.assign(now), None);
        for round in 1..=FAILURES_MAX {
            assert_eq!(schedule.assign(later), Some((0, peers[0])));
            assert_eq!(schedule.failed(0, peers[0], later), round == FAILURES_MAX);
        }
        assert!(schedule.holders.is_empty());
    }

    #[test]
    fn a_late_chunk_is_asked_of_a_second_peer_and_counts_once() {
        let (mut schedule, peers, now) = with(2, 1);
        let (_, first) = schedule.assign(now).unwrap();
        assert_eq!(schedule.assign(now), None);
        let (chunk, second) = schedule.assign(now + LATE).unwrap();
        assert!(chunk == 0 && first != second && peers.contains(&second));
        assert_eq!(schedule.assign(now + LATE * 2), None);
        schedule.arrived(0, second, BYTES);
        assert!(schedule.take().is_some());
        schedule.arrived(0, first, BYTES);
        assert!(schedule.take().is_none() && !schedule.is_done());
        schedule.written();
        assert!(schedule.is_done());
    }

    #[test]
    fn a_rewind_asks_again_from_there() {
        let (mut schedule, peers, now) = with(1, 2);
        while schedule.assign(now).is_some() {}
        for chunk in 0..2 {
            schedule.arrived(chunk, peers[0], BYTES);
            schedule.take().unwrap();
        }
        schedule.rewind(1);
        assert_eq!(schedule.assign(now), Some((1, peers[0])));
        schedule.arrived(1, peers[0], BYTES);
        schedule.take().unwrap();
        schedule.written();
        assert!(schedule.is_done());
    }
}
