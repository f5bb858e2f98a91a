//! What peers did wrong: points that fade, and a ban at the limit. Pure; time is an argument.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use libp2p::PeerId;

use crate::config::SCORES_MAX;

/// Points at which a peer is banned.
pub const BAN_POINTS: u32 = 100;
/// A point is forgiven after so long.
const POINT_FADES: Duration = Duration::from_secs(6);

/// What a peer may do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offence {
    /// Sent a transaction that no state could make valid.
    RejectedTransaction,
    /// Sent bytes of a model that are not those the manifest commits to.
    WrongBytes,
    /// Sent a message that cannot be decoded, or is too large.
    BadMessage,
    /// Did not answer in time.
    Silent,
    /// Asked more often than it may.
    Flood,
}

impl Offence {
    /// Returns how many points it costs.
    #[must_use]
    pub const fn points(self) -> u32 {
        match self {
            Self::WrongBytes => BAN_POINTS,
            Self::BadMessage => 50,
            Self::RejectedTransaction | Self::Silent => 10,
            Self::Flood => 5,
        }
    }

    /// Says it in words, for logs.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::RejectedTransaction => "sent transactions that can never be valid",
            Self::WrongBytes => "sent bytes a model's manifest does not commit to",
            Self::BadMessage => "sent messages that cannot be decoded",
            Self::Silent => "did not answer in time",
            Self::Flood => "asked more often than it may",
        }
    }
}

/// The points of peers.
#[derive(Debug, Default)]
pub(crate) struct Scores(BTreeMap<PeerId, Points>);

#[derive(Debug, Clone, Copy)]
struct Points {
    points: u32,
    since: Instant,
}

impl Points {
    fn at(self, now: Instant) -> u32 {
        let elapsed = now.saturating_duration_since(self.since).as_millis();
        let faded = elapsed / POINT_FADES.as_millis();
        let faded = u32::try_from(faded).unwrap_or(u32::MAX);
        self.points.saturating_sub(faded)
    }
}

impl Scores {
    /// Notes an offence. Returns whether the peer is to be banned; its points then begin anew.
    pub(crate) fn note(&mut self, peer: PeerId, offence: Offence, now: Instant) -> bool {
        let points = self.points(peer, now).saturating_add(offence.points());
        if points >= BAN_POINTS {
            self.0.remove(&peer);
            return true;
        }
        if self.0.len() >= SCORES_MAX {
            self.0.retain(|_, points| points.at(now) > 0);
        }
        // When all of them still count, the least guilty is forgiven.
        if self.0.len() >= SCORES_MAX {
            let least = self.0.iter().min_by_key(|(_, points)| points.at(now));
            if let Some(least) = least.map(|(peer, _)| *peer) {
                self.0.remove(&least);
            }
        }
        self.0.insert(peer, Points { points, since: now });
        false
    }

    /// Returns a peer's points.
    pub(crate) fn points(&self, peer: PeerId, now: Instant) -> u32 {
        self.0.get(&peer).map_or(0, |points| points.at(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_offences_add_up_to_a_ban() {
        let (mut scores, peer, now) = (Scores::default(), PeerId::random(), Instant::now());
        let offence = Offence::RejectedTransaction;
        let before = (1..)
            .take_while(|_| !scores.note(peer, offence, now))
            .count();
        assert_eq!(before, 9);
        assert_eq!(scores.points(peer, now), 0);
    }

    #[test]
    fn wrong_bytes_ban_at_once() {
        let now = Instant::now();
        assert!(Scores::default().note(PeerId::random(), Offence::WrongBytes, now));
    }

    #[test]
    fn points_fade() {
        let (mut scores, peer, now) = (Scores::default(), PeerId::random(), Instant::now());
        assert!(!scores.note(peer, Offence::BadMessage, now));
        assert_eq!(scores.points(peer, now + POINT_FADES * 20), 30);
        assert_eq!(scores.points(peer, now + POINT_FADES * 60), 0);
        assert!(!scores.note(peer, Offence::BadMessage, now + POINT_FADES * 60));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut scores, now) = (Scores::default(), Instant::now());
        for _ in 0..SCORES_MAX + 10 {
            scores.note(PeerId::random(), Offence::Flood, now);
        }
        assert_eq!(scores.0.len(), SCORES_MAX);
    }
}
