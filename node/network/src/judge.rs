//! Transactions of peers are judged on a thread of their own, one at a time and in order, so that
//! signatures and state never hold up the task that talks to peers.

use std::sync::{
    Arc,
    mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
};

use bytes::Bytes;
use libp2p::{PeerId, gossipsub::MessageId};
use tokio::sync::mpsc;

use crate::{
    Host, Verdict,
    config::{VALIDATION_QUEUE, VALIDATION_QUEUE_BYTES},
};

/// A transaction to be judged.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) message: MessageId,
    pub(crate) peer: PeerId,
    pub(crate) bytes: Bytes,
}

/// What the host thinks of it.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) message: MessageId,
    pub(crate) peer: PeerId,
    pub(crate) size_bytes: usize,
    pub(crate) verdict: Verdict,
}

/// The way to the thread that judges.
#[derive(Debug)]
pub(crate) struct Judge {
    cases: SyncSender<Case>,
    waiting_bytes: usize,
}

impl Judge {
    /// Starts the thread; it ends when the judge is dropped.
    pub(crate) fn start(host: Arc<dyn Host>) -> std::io::Result<(Self, mpsc::Receiver<Judged>)> {
        let (cases, incoming) = sync_channel(VALIDATION_QUEUE);
        let (outgoing, verdicts) = mpsc::channel(VALIDATION_QUEUE);
        std::thread::Builder::new()
            .name("network-judge".into())
            .spawn(move || judge(&*host, &incoming, &outgoing))?;
        let judge = Self {
            cases,
            waiting_bytes: 0,
        };
        Ok((judge, verdicts))
    }

    /// Hands a transaction over; gives its message back when too many wait.
    pub(crate) fn submit(&mut self, case: Case) -> Result<(), MessageId> {
        let waiting = self.waiting_bytes.saturating_add(case.bytes.len());
        if waiting > VALIDATION_QUEUE_BYTES {
            return Err(case.message);
        }
        match self.cases.try_send(case) {
            Ok(()) => {
                self.waiting_bytes = waiting;
                Ok(())
            }
            Err(TrySendError::Full(case) | TrySendError::Disconnected(case)) => Err(case.message),
        }
    }

    /// Learns that a transaction was judged.
    pub(crate) const fn judged(&mut self, judged: &Judged) {
        self.waiting_bytes = self.waiting_bytes.saturating_sub(judged.size_bytes);
    }
}

/// Judges until the judge is dropped. Should the host panic, the channel of verdicts closes, and the
/// task ends the network rather than drop every transaction unseen.
fn judge(host: &dyn Host, incoming: &Receiver<Case>, outgoing: &mpsc::Sender<Judged>) {
    for case in incoming {
        let size_bytes = case.bytes.len();
        let judged = Judged {
            message: case.message,
            peer: case.peer,
            size_bytes,
            verdict: host.transaction(case.bytes),
        };
        if outgoing.blocking_send(judged).is_err() {
            return;
        }
    }
}
