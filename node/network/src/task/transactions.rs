//! Transactions: gossip in, verdicts, gossip out.

use std::time::Instant;

use bytes::Bytes;
use libp2p::{
    PeerId,
    gossipsub::{Event, MessageAcceptance, MessageId, PublishError},
};

use super::Task;
use crate::{
    Offence, Verdict,
    config::OUTBOX_TRANSACTIONS,
    judge::{Case, Judged},
    shared::add,
};

impl Task {
    pub(super) fn on_gossip(&mut self, event: Event) {
        match event {
            Event::Message {
                propagation_source,
                message_id,
                message,
            } => self.received(propagation_source, message_id, message.data.into()),
            Event::Subscribed { peer_id, .. } => self.subscribed(peer_id),
            Event::GossipsubNotSupported { peer_id } => {
                tracing::debug!(peer = %peer_id, "peer takes no transactions");
            }
            Event::SlowPeer { peer_id, .. } => {
                tracing::debug!(peer = %peer_id, "peer reads transactions too slowly");
            }
            Event::Unsubscribed { .. } => {}
        }
    }

    fn received(&mut self, peer: PeerId, message: MessageId, bytes: Bytes) {
        let counts = &self.shared.counts;
        add(&counts.transactions_received, 1);
        add(&counts.transaction_bytes_received, bytes.len() as u64);
        let limit = self.config.limits.transaction_bytes;
        if bytes.len() > limit {
            tracing::debug!(%peer, found = bytes.len(), limit, "oversize transaction");
            add(&counts.transactions_rejected, 1);
            self.report(&message, peer, MessageAcceptance::Reject);
            self.offend(peer, Offence::BadMessage);
            return;
        }
        let dropped = match self.may_send(peer, bytes.len()) {
            true => {
                let case = Case {
                    message,
                    peer,
                    bytes,
                };
                self.judge.submit(case).err()
            }
            false => Some(message),
        };
        if let Some(message) = dropped {
            add(&self.shared.counts.transactions_dropped, 1);
            self.report(&message, peer, MessageAcceptance::Ignore);
            self.shared.changed();
        }
    }

    /// Tells whether a peer may send so many bytes now. Sending more is no offence: it may forward
    /// what several others sent it.
    fn may_send(&mut self, peer: PeerId, size_bytes: usize) -> bool {
        let now = Instant::now();
        self.peers.get_mut(&peer).is_some_and(|state| {
            state.transactions.take(1, now) && state.transaction_bytes.take(size_bytes as u64, now)
        })
    }

    pub(super) fn on_verdict(&mut self, judged: Judged) {
        self.judge.judged(&judged);
        let counts = &self.shared.counts;
        let (counter, acceptance) = match judged.verdict {
            Verdict::Accept => (&counts.transactions_forwarded, MessageAcceptance::Accept),
            Verdict::Ignore => (&counts.transactions_ignored, MessageAcceptance::Ignore),
            Verdict::Reject => (&counts.transactions_rejected, MessageAcceptance::Reject),
        };
        add(counter, 1);
        self.report(&judged.message, judged.peer, acceptance);
        if judged.verdict == Verdict::Reject {
            self.offend(judged.peer, Offence::RejectedTransaction);
        }
        self.shared.changed();
    }

    fn report(&mut self, message: &MessageId, peer: PeerId, acceptance: MessageAcceptance) {
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        // A verdict that took longer than gossip remembers the message forwards nothing.
        gossip.report_message_validation_result(message, &peer, acceptance);
    }

    /// Sends a transaction of this node.
    pub(super) fn publish(&mut self, bytes: Bytes) {
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        match gossip.publish(self.topic.clone(), bytes.to_vec()) {
            Ok(_) => add(&self.shared.counts.transactions_sent, 1),
            Err(PublishError::NoPeersSubscribedToTopic) => {
                if self.outbox.len() >= OUTBOX_TRANSACTIONS {
                    self.outbox.pop_front();
                }
                self.outbox.push_back(bytes);
            }
            // It came from a peer before it came from here.
            Err(PublishError::Duplicate) => {}
            Err(error) => {
                add(&self.shared.counts.transactions_dropped, 1);
                tracing::debug!(%error, "transaction not sent");
            }
        }
        self.shared.changed();
    }

    /// Learns that a peer takes transactions, and sends what waited for one.
    fn subscribed(&mut self, peer: PeerId) {
        self.subscribed.insert(peer);
        if let Some(info) = self.shared.peers().get_mut(&peer) {
            info.subscribed = true;
        }
        self.shared.changed();
        for bytes in std::mem::take(&mut self.outbox) {
            self.publish(bytes);
        }
    }
}
