//! Verified chunks on their way into a sink, on a thread that may block.

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{Sink, SinkError, config::FETCH_WINDOW};

/// Rooms of the channels: what is live, and what a rewind made void.
const QUEUE: usize = 2 * FETCH_WINDOW;

/// A chunk to be written.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Counts the rewinds the piece knows of; an older piece is void.
    pub(crate) epoch: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: Bytes,
}

/// What became of a chunk.
#[derive(Debug)]
pub(crate) enum Written {
    /// It is written: so many bytes are here.
    Until(u64),
    /// The sink wants to go on from another offset; all earlier pieces are void.
    Rewound { epoch: u64, offset: u64 },
    /// The sink failed.
    Failed(SinkError),
}

/// The thread that writes.
#[derive(Debug)]
pub(crate) struct Writer {
    pieces: mpsc::Sender<Piece>,
    written: mpsc::Receiver<Written>,
}

impl Writer {
    /// Starts to write from an offset; the thread ends when the writer is dropped.
    pub(crate) fn start(sink: Box<dyn Sink>, offset: u64) -> Self {
        let (pieces, incoming) = mpsc::channel(QUEUE);
        let (outgoing, written) = mpsc::channel(QUEUE);
        tokio::task::spawn_blocking(move || write(sink, offset, incoming, &outgoing));
        Self { pieces, written }
    }

    /// Hands a chunk over.
    pub(crate) async fn put(&self, piece: Piece) {
        // The thread only ends after it reported a failure.
        let _ = self.pieces.send(piece).await;
    }

    /// Waits for the next report; `None` when the thread has ended.
    pub(crate) async fn report(&mut self) -> Option<Written> {
        self.written.recv().await
    }
}

fn write(
    mut sink: Box<dyn Sink>,
    mut next: u64,
    mut incoming: mpsc::Receiver<Piece>,
    outgoing: &mpsc::Sender<Written>,
) {
    let mut epoch = 0;
    while let Some(piece) = incoming.blocking_recv() {
        if piece.epoch != epoch {
            continue;
        }
        let end = piece.offset.saturating_add(piece.bytes.len() as u64);
        // An earlier attempt may have ended inside a chunk.
        let skipped = usize::try_from(next.saturating_sub(piece.offset)).unwrap_or(usize::MAX);
        let report = match sink.put(next, piece.bytes.get(skipped..).unwrap_or_default()) {
            Ok(wanted) if wanted == end => Written::Until(end),
            Ok(offset) => {
                epoch += 1;
                Written::Rewound { epoch, offset }
            }
            Err(error) => Written::Failed(error),
        };
        next = match &report {
            Written::Until(offset) | Written::Rewound { offset, .. } => *offset,
            Written::Failed(_) => next,
        };
        let failed = matches!(report, Written::Failed(_));
        if outgoing.blocking_send(report).is_err() || failed {
            return;
        }
    }
}
