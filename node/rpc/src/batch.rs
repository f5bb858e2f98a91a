//! Batches: transactions sent in one are taken in together and share a block.
//!
//! Everything else of a batch is answered one by one, in its order.

use std::{future::Future, sync::Arc};

use jsonrpsee::{
    MethodResponse, ResponsePayload,
    core::{
        middleware::{Batch, BatchEntry, Notification},
        server::BatchResponseBuilder,
    },
    server::middleware::rpc::RpcServiceT,
    types::{ErrorObjectOwned, Request},
};
use serde_json::{Value, json};

use crate::{Backend, RpcError, arguments::Arguments, eth::send::submit_together};

/// The method whose neighbours in a batch are taken together.
const SEND: &str = "eth_sendRawTransaction";

/// Answers batches; single calls go through.
#[derive(Debug, Clone)]
pub(crate) struct Batches<S> {
    pub(crate) service: S,
    pub(crate) backend: Arc<Backend>,
    pub(crate) max_response_bytes: usize,
}

impl<S> RpcServiceT for Batches<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    type BatchResponse = MethodResponse;
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.service.call(request)
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.service.notification(notification)
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.clone().answer(batch)
    }
}

impl<S> Batches<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        > + Send
        + Sync,
{
    async fn answer(self, batch: Batch<'_>) -> MethodResponse {
        let mut answers = BatchResponseBuilder::new_with_limit(self.max_response_bytes);
        let mut only_notifications = !batch.is_empty();
        let mut entries = batch.into_iter().peekable();
        while let Some(entry) = entries.next() {
            let answered = match entry {
                Ok(BatchEntry::Notification(notification)) => {
                    self.service.notification(notification).await;
                    continue;
                }
                Ok(BatchEntry::Call(request)) if request.method_name() == SEND => {
                    let mut sends = vec![request];
                    while let Some(Ok(BatchEntry::Call(next))) = entries.next_if(is_send) {
                        sends.push(next);
                    }
                    self.send(sends).await
                }
                Ok(BatchEntry::Call(request)) => vec![self.service.call(request).await],
                Err(error) => {
                    let (error, id) = error.into_parts();
                    vec![MethodResponse::error(id, error)]
                }
            };
            only_notifications = false;
            for answer in answered {
                if let Err(too_large) = answers.append(answer) {
                    return too_large;
                }
            }
        }
        match only_notifications {
            true => MethodResponse::notification(),
            false => MethodResponse::from_batch(answers.finish()),
        }
    }

    /// Sends transactions that stand side by side in a batch.
    async fn send(&self, requests: Vec<Request<'_>>) -> Vec<MethodResponse> {
        let arguments = requests.iter().map(arguments).collect();
        let backend = Arc::clone(&self.backend);
        let sent = tokio::task::spawn_blocking(move || submit_together(&backend, arguments)).await;
        let sent = sent.unwrap_or_else(|_| Err(RpcError::internal("sending was stopped")));
        let count = requests.len();
        let outcomes = sent.unwrap_or_else(|error| vec![Err(error); count]);
        let answers = requests
            .into_iter()
            .zip(outcomes)
            .map(|(request, outcome)| {
                let payload = match outcome {
                    Ok(hash) => ResponsePayload::success(json!(hash)),
                    Err(error) => ResponsePayload::<Value>::error(ErrorObjectOwned::from(error)),
                };
                MethodResponse::response(request.id, payload, self.max_response_bytes)
                    .with_extensions(request.extensions)
            });
        answers.collect()
    }
}

fn is_send(entry: &Result<BatchEntry<'_>, jsonrpsee::core::middleware::BatchEntryErr<'_>>) -> bool {
    matches!(entry, Ok(BatchEntry::Call(request)) if request.method_name() == SEND)
}

fn arguments(request: &Request<'_>) -> Result<Arguments, RpcError> {
    let params = request.params.as_ref().map(|params| params.get());
    let params = params.map(serde_json::from_str).transpose();
    Arguments::new(params.map_err(|error| RpcError::params(error.to_string()))?)
}
