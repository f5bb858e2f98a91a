//! The way from handles and fetches to the task that talks to peers.

use std::sync::Arc;

use libp2p::PeerId;
use tokio::sync::{mpsc, oneshot};

use crate::{
    Offence,
    shared::Shared,
    wire::{ModelRequest, ModelResponse},
};

/// What the task is told to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Asks a peer for a model.
    Ask {
        peer: PeerId,
        request: ModelRequest,
        reply: oneshot::Sender<Result<ModelResponse, AskError>>,
    },
    /// Notes what a peer did wrong.
    Report { peer: PeerId, offence: Offence },
}

/// Says why a peer gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AskError {
    /// The peer is not connected any more.
    #[error("peer is gone")]
    Gone,
    /// The peer gave no answer, or none that can be read; the task noted that already.
    #[error("peer gave no usable answer")]
    Failed,
    /// The network was stopped.
    #[error("the network is stopped")]
    Stopped,
}

/// Sends commands to the task.
#[derive(Debug, Clone)]
pub(crate) struct Router {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) shared: Arc<Shared>,
}

impl Router {
    /// Asks a peer for a model.
    pub(crate) async fn ask(
        &self,
        peer: PeerId,
        request: ModelRequest,
    ) -> Result<ModelResponse, AskError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Ask {
            peer,
            request,
            reply,
        };
        let sent = self.commands.send(command).await;
        sent.map_err(|_| AskError::Stopped)?;
        answer.await.unwrap_or(Err(AskError::Stopped))
    }

    /// Notes what a peer did wrong.
    pub(crate) async fn report(&self, peer: PeerId, offence: Offence) {
        // A task that has ended talks to nobody: there is nobody left to blame.
        let _ = self.commands.send(Command::Report { peer, offence }).await;
    }
}
