//! Models: answers to peers, and the requests of this node's fetches.

use std::sync::Arc;

use libp2p::{
    PeerId,
    request_response::{Event, InboundFailure, Message, OutboundFailure, ResponseChannel},
};
use tokio::task::JoinError;

use super::{Reply, Task, greeting::is_bad};
use crate::{
    Offence,
    config::{SERVING_MAX, SERVING_PER_PEER},
    router::AskError,
    shared::add,
    wire::{ModelRequest, ModelResponse},
};

/// An answer that is ready for a peer.
pub(super) struct Served {
    peer: PeerId,
    channel: ResponseChannel<ModelResponse>,
    response: ModelResponse,
}

impl Task {
    /// Asks a peer on behalf of a fetch.
    pub(super) fn ask(&mut self, peer: PeerId, request: ModelRequest, reply: Reply) {
        let greeted = self
            .peers
            .get(&peer)
            .is_some_and(|peer| peer.deadline.is_none());
        if !greeted {
            // A fetch that was given up wants no answer.
            let _ = reply.send(Err(AskError::Gone));
            return;
        }
        let models = &mut self.swarm.behaviour_mut().models;
        let request = models.send_request(&peer, request);
        self.asks.insert(request, reply);
    }

    pub(super) fn on_models(&mut self, event: Event<ModelRequest, ModelResponse>) {
        match event {
            Event::Message {
                peer,
                message:
                    Message::Request {
                        request, channel, ..
                    },
                ..
            } => self.serve(peer, request, channel),
            Event::Message {
                message:
                    Message::Response {
                        request_id,
                        response,
                    },
                ..
            } => {
                if let Some(reply) = self.asks.remove(&request_id) {
                    let _ = reply.send(Ok(response));
                }
            }
            Event::OutboundFailure {
                peer,
                request_id,
                error,
                ..
            } => {
                let reply = self.asks.remove(&request_id);
                let failure = self.ask_failed(peer, &error);
                if let Some(reply) = reply {
                    let _ = reply.send(Err(failure));
                }
            }
            Event::InboundFailure { peer, error, .. } => {
                let bad = matches!(
                    &error,
                    InboundFailure::Io(error) if error.kind() == std::io::ErrorKind::InvalidData
                );
                if bad {
                    self.offend(peer, Offence::BadMessage);
                }
            }
            Event::ResponseSent { .. } => {}
        }
    }

    /// Notes whose fault it is that a request has no answer.
    fn ask_failed(&mut self, peer: PeerId, error: &OutboundFailure) -> AskError {
        tracing::debug!(%peer, %error, "request for a model failed");
        match error {
            OutboundFailure::DialFailure
            | OutboundFailure::ConnectionClosed
            | OutboundFailure::UnsupportedProtocols => AskError::Gone,
            OutboundFailure::Timeout => {
                self.offend(peer, Offence::Silent);
                AskError::Failed
            }
            error => {
                if is_bad(error) {
                    self.offend(peer, Offence::BadMessage);
                }
                AskError::Failed
            }
        }
    }

    fn serve(
        &mut self,
        peer: PeerId,
        request: ModelRequest,
        channel: ResponseChannel<ModelResponse>,
    ) {
        let may = self.may_ask(peer) && self.serving.len() < SERVING_MAX;
        let state = self.peers.get_mut(&peer);
        let Some(state) = state.filter(|state| may && state.serving < SERVING_PER_PEER) else {
            self.respond(channel, ModelResponse::Busy);
            return;
        };
        state.serving += 1;
        let shelf = Arc::clone(&self.shelf);
        self.serving.spawn_blocking(move || Served {
            peer,
            channel,
            response: shelf.answer(request),
        });
    }

    pub(super) fn on_served(&mut self, served: Result<Served, JoinError>) {
        let served = match served {
            Ok(served) => served,
            Err(error) => {
                tracing::error!(%error, "answering a peer ended badly");
                return;
            }
        };
        if let Some(state) = self.peers.get_mut(&served.peer) {
            state.serving = state.serving.saturating_sub(1);
        }
        if let ModelResponse::Data(bytes) = &served.response {
            add(&self.shared.counts.model_requests_served, 1);
            add(&self.shared.counts.model_bytes_sent, bytes.len() as u64);
            self.shared.changed();
        }
        self.respond(served.channel, served.response);
    }

    fn respond(&mut self, channel: ResponseChannel<ModelResponse>, response: ModelResponse) {
        let models = &mut self.swarm.behaviour_mut().models;
        // A peer that is gone needs no answer.
        let _ = models.send_response(channel, response);
    }
}
