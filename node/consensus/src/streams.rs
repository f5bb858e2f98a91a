//! Puts proposals together again: parts arrive in any order, from any neighbour, perhaps never.
//!
//! Everything here is bounded: streams, parts of a stream, and bytes in all. A stream that nobody
//! answers for with a signature is not begun.

use std::collections::{BTreeMap, VecDeque};

use alloy_primitives::keccak256;
use bytes::{Bytes, BytesMut};
use malachitebft_app::{
    streaming::{Sequence, StreamContent, StreamId, StreamMessage},
    types::PeerId,
};

use crate::{
    codec::{PART_BYTES, PROPOSAL_BYTES},
    context::{Announcement, Part},
    proposal::Arrived,
};

/// Most streams under way.
const MOST_STREAMS: usize = 32;
/// Most bytes they hold together.
const MOST_BYTES: usize = 64 << 20;
/// Most parts that wait for their announcement.
const MOST_EARLY: usize = 4;

/// Publisher and name of a stream.
type Key = (Option<PeerId>, StreamId);

/// A proposal of which parts are missing.
#[derive(Debug, Default)]
struct Stream {
    announcement: Option<Announcement>,
    parts: BTreeMap<Sequence, Bytes>,
    bytes: usize,
    end: Option<Sequence>,
}

/// Says why a part was dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StreamError {
    /// The announcement is not one the caller accepts.
    #[error("announcement is refused: {0}")]
    Refused(&'static str),
    /// More bytes than announced, or than any proposal has.
    #[error("{found} bytes, at most {limit}")]
    TooLong {
        /// Bytes.
        found: u64,
        /// Most.
        limit: u64,
    },
    /// Parts come before the announcement, more than gossip would reorder.
    #[error("{0} parts came before the announcement")]
    NoAnnouncement(usize),
    /// The bytes are not those announced.
    #[error("payload does not hash to what was announced")]
    OtherPayload,
    /// A second announcement, or one out of place.
    #[error("announcement at position {0}")]
    Misplaced(Sequence),
}

/// The proposals under way.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    streams: BTreeMap<Key, Stream>,
    /// In order of their beginnings.
    order: VecDeque<Key>,
}

impl Streams {
    /// Takes a part; answers the proposal when it is whole. `accept` checks an announcement.
    pub(crate) fn take(
        &mut self,
        publisher: Option<PeerId>,
        message: StreamMessage<Part>,
        accept: impl FnOnce(&Announcement) -> Result<(), &'static str>,
    ) -> Result<Option<Arrived>, StreamError> {
        let key = (publisher, message.stream_id.clone());
        let done = self.add(&key, message, accept);
        match done {
            Ok(None) => {
                self.make_room();
                Ok(None)
            }
            // Whole or wrong: either way nothing more of it is awaited.
            other => {
                self.drop_stream(&key);
                other
            }
        }
    }

    /// Drops the streams of decided heights.
    pub(crate) fn decided(&mut self, height: u64) {
        let stale: Vec<Key> = self
            .streams
            .iter()
            .filter(|(_, stream)| {
                let announced = stream.announcement.as_ref();
                announced.is_some_and(|announced| announced.height.0 <= height)
            })
            .map(|(key, _)| key.clone())
            .collect();
        stale.iter().for_each(|key| self.drop_stream(key));
    }

    fn add(
        &mut self,
        key: &Key,
        message: StreamMessage<Part>,
        accept: impl FnOnce(&Announcement) -> Result<(), &'static str>,
    ) -> Result<Option<Arrived>, StreamError> {
        if !self.streams.contains_key(key) {
            self.order.push_back(key.clone());
        }
        let stream = self.streams.entry(key.clone()).or_default();
        match message.content {
            StreamContent::Fin => stream.end = Some(message.sequence),
            StreamContent::Data(Part::Announcement(announcement)) => {
                if message.sequence != 0 || stream.announcement.is_some() {
                    return Err(StreamError::Misplaced(message.sequence));
                }
                check_length(announcement.size_bytes, PROPOSAL_BYTES.into())?;
                accept(&announcement).map_err(StreamError::Refused)?;
                stream.announcement = Some(announcement);
            }
            StreamContent::Data(Part::Data(data)) => {
                let (length, index) = (data.len(), message.sequence);
                if stream.parts.insert(index, data).is_none() {
                    stream.bytes = stream.bytes.saturating_add(length);
                }
            }
        }
        stream.finish()
    }

    fn make_room(&mut self) {
        let held = |streams: &BTreeMap<Key, Stream>| -> usize {
            streams.values().map(|stream| stream.bytes).sum()
        };
        while self.streams.len() > MOST_STREAMS || held(&self.streams) > MOST_BYTES {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            self.streams.remove(&oldest);
        }
    }

    fn drop_stream(&mut self, key: &Key) {
        self.streams.remove(key);
        self.order.retain(|other| other != key);
    }
}

impl Stream {
    /// Answers the proposal when all its parts are here.
    fn finish(&mut self) -> Result<Option<Arrived>, StreamError> {
        let Some(announcement) = &self.announcement else {
            return match self.parts.len() {
                early if early > MOST_EARLY => Err(StreamError::NoAnnouncement(early)),
                _ => Ok(None),
            };
        };
        check_length(self.bytes as u64, announcement.size_bytes)?;
        let most = announcement.size_bytes.div_ceil(PART_BYTES as u64);
        check_length(self.parts.len() as u64, most)?;
        let Some(end) = self.end else {
            return Ok(None);
        };
        if self.bytes as u64 != announcement.size_bytes || end != self.parts.len() as u64 + 1 {
            return Ok(None);
        }
        let mut payload = BytesMut::with_capacity(self.bytes);
        for (_, data) in std::mem::take(&mut self.parts) {
            payload.extend_from_slice(&data);
        }
        if keccak256(&payload) != announcement.payload_hash {
            return Err(StreamError::OtherPayload);
        }
        Ok(Some(Arrived {
            announcement: announcement.clone(),
            payload: payload.freeze(),
        }))
    }
}

const fn check_length(found: u64, limit: u64) -> Result<(), StreamError> {
    match found <= limit {
        true => Ok(()),
        false => Err(StreamError::TooLong { found, limit }),
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, B256};
    use malachitebft_app::types::core::Round;

    use super::*;
    use crate::context::{Account, Height, Seal};

    fn arrived(bytes: usize) -> Arrived {
        let payload = Bytes::from((0..bytes).map(|index| index as u8).collect::<Vec<u8>>());
        Arrived {
            announcement: Announcement {
                height: Height(3),
                round: Round::new(0),
                valid_round: Round::Nil,
                proposer: Account(Address::ZERO),
                size_bytes: bytes as u64,
                payload_hash: keccak256(&payload),
                seal: Seal([0; 65]),
            },
            payload,
        }
    }

    fn messages(arrived: &Arrived, name: u8) -> Vec<StreamMessage<Part>> {
        let id = StreamId::new(Bytes::copy_from_slice(&[name]));
        let parts = arrived.parts();
        let end = parts.len() as u64;
        let mut all: Vec<_> = (0..)
            .zip(parts)
            .map(|(index, part)| StreamMessage::new(id.clone(), index, StreamContent::Data(part)))
            .collect();
        all.push(StreamMessage::new(id, end, StreamContent::Fin));
        all
    }

    fn feed(
        streams: &mut Streams,
        messages: impl IntoIterator<Item = StreamMessage<Part>>,
    ) -> Vec<Result<Option<Arrived>, StreamError>> {
        let take = |message| streams.take(None, message, |_| Ok(()));
        messages.into_iter().map(take).collect()
    }

    #[test]
    fn parts_in_any_order_make_the_proposal_once() {
        let whole = arrived(3 * PART_BYTES + 5);
        let all = messages(&whole, 1);
        for turn in 0..all.len() {
            let mut streams = Streams::default();
            let mut turned = all.clone();
            turned.rotate_left(turn);
            turned.insert(1, turned[0].clone());
            let answers = feed(&mut streams, turned);
            // A second announcement ends a stream: gossip drops doubles by their hash before.
            let doubled = turn == 0;
            let made = answers
                .iter()
                .filter(|one| matches!(one, Ok(Some(_))))
                .count();
            assert_eq!(made, usize::from(!doubled), "turned by {turn}");
            if !doubled {
                assert!(answers.contains(&Ok(Some(whole.clone()))));
                assert!(streams.streams.is_empty() && streams.order.is_empty());
            }
        }
    }

    #[test]
    fn refused_announcements_and_other_bytes_end_a_stream() {
        let whole = arrived(10);
        let mut streams = Streams::default();
        let first = messages(&whole, 1).remove(0);
        let refused = streams.take(None, first, |_| Err("no validator"));
        assert_eq!(refused, Err(StreamError::Refused("no validator")));
        let mut other = messages(&whole, 1);
        other[1].content = StreamContent::Data(Part::Data(Bytes::from_static(&[7; 10])));
        assert_eq!(feed(&mut streams, other)[2], Err(StreamError::OtherPayload));
        let mut long = messages(&whole, 1);
        long[1].content = StreamContent::Data(Part::Data(Bytes::from_static(&[7; 11])));
        assert!(matches!(
            feed(&mut streams, long)[1],
            Err(StreamError::TooLong { .. })
        ));
        let mut huge = whole;
        huge.announcement.size_bytes = u64::MAX;
        let huge = messages(&huge, 2).remove(0);
        assert!(matches!(
            feed(&mut streams, [huge])[0],
            Err(StreamError::TooLong { .. })
        ));
        // What still arrives of a dropped stream begins one that nobody announces.
        let announced = streams
            .streams
            .values()
            .filter(|one| one.announcement.is_some());
        assert_eq!(announced.count(), 0);
    }

    #[test]
    fn streams_nobody_finishes_give_way_to_later_ones() {
        let mut streams = Streams::default();
        for name in 0..=u8::MAX {
            let all = messages(&arrived(PART_BYTES), name);
            feed(&mut streams, all.into_iter().take(2));
        }
        assert_eq!(streams.streams.len(), MOST_STREAMS);
        assert_eq!(streams.order.len(), MOST_STREAMS);
        streams.decided(3);
        assert!(streams.streams.is_empty() && streams.order.is_empty());
        let id = StreamId::new(Bytes::from_static(b"early"));
        let early = (1..10).map(|index| {
            let data = StreamContent::Data(Part::Data(Bytes::from_static(b"x")));
            StreamMessage::new(id.clone(), index, data)
        });
        let answers = feed(&mut streams, early);
        assert!(answers.contains(&Err(StreamError::NoAnnouncement(MOST_EARLY + 1))));
    }

    #[test]
    fn name_of_a_stream_tells_proposals_apart() {
        let (one, mut two) = (arrived(3), arrived(3));
        two.announcement.payload_hash = B256::ZERO;
        let name = crate::proposal::stream_name;
        assert_ne!(name(&one.announcement), name(&two.announcement));
    }
}
