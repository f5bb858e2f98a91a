//! What watchers of a node ask over plain HTTP, on the RPC's own port: `GET /health`, `/ready`, `/metrics`.
//!
//! `/health` says that the process answers and can read its store, `/ready` that its chain goes on,
//! `/metrics` gives Prometheus its numbers (docs/guides/validator.md lists them).

use std::{
    fmt::Write as _,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{SystemTime, UNIX_EPOCH},
};

use alloy_primitives::U256;
use assay_types::{StateView as _, contracts::validators};
use jsonrpsee::server::{HttpBody, HttpRequest, HttpResponse};
use tower::Service;

use crate::Backend;

/// Seconds without a block after which a node of a network is not ready.
const MOST_QUIET_S: u64 = 30;
const SERVICE_UNAVAILABLE: u16 = 503;

/// Answers probes, and passes everything else on.
#[derive(Debug, Clone)]
pub(crate) struct Probes<S> {
    pub(crate) service: S,
    pub(crate) backend: Arc<Backend>,
}

impl<S, B> Service<HttpRequest<B>> for Probes<S>
where
    S: Service<HttpRequest<B>, Response = HttpResponse>,
    S::Future: Send + 'static,
{
    type Response = HttpResponse;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        let answered = match request.method().as_str() {
            "GET" => probe(&self.backend, request.uri().path()),
            _ => None,
        };
        match answered {
            Some(response) => Box::pin(async { Ok(response) }),
            None => Box::pin(self.service.call(request)),
        }
    }
}

fn probe(backend: &Backend, path: &str) -> Option<HttpResponse> {
    let (healthy, text) = match path {
        "/health" => match backend.chain.reader() {
            Ok(reader) => (true, format!("ok: block {}\n", reader.tip())),
            Err(error) => (false, format!("store: {error}\n")),
        },
        "/ready" => match ready(backend, machine_time()) {
            Ok(()) => (true, "ready\n".to_owned()),
            Err(why) => (false, format!("{why}\n")),
        },
        "/metrics" => (true, metrics(backend)),
        _ => return None,
    };
    let mut response = HttpResponse::new(HttpBody::from(text));
    if !healthy && let Ok(unavailable) = SERVICE_UNAVAILABLE.try_into() {
        *response.status_mut() = unavailable;
    }
    Some(response)
}

/// Tells whether the chain goes on.
fn ready(backend: &Backend, now: u64) -> Result<(), String> {
    let Some(votes) = &backend.votes else {
        return Ok(());
    };
    if let Some(why) = votes.stopped() {
        return Err(why);
    }
    let head = backend.chain.head();
    let quiet = now.saturating_sub(head.header.timestamp);
    match quiet <= MOST_QUIET_S {
        true => Ok(()),
        false => Err(format!(
            "block {} is {quiet} s old, at most {MOST_QUIET_S} s is ready: the node is behind, or the network stands",
            head.header.number
        )),
    }
}

/// Writes all numbers in Prometheus's text format.
pub(crate) fn metrics(backend: &Backend) -> String {
    let mut text = String::new();
    let head = backend.chain.head();
    let mut put = |name: &str, kind: &str, value: u64| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "# TYPE assay_{name} {kind}\nassay_{name} {value}");
    };
    put("head_number", "gauge", head.header.number);
    put("head_timestamp_seconds", "gauge", head.header.timestamp);
    put("head_gas_used", "gauge", head.header.gas_used);
    put("pool_transactions", "gauge", backend.pool.len() as u64);
    if let Some(models) = backend.chain.models() {
        let results = models.host().result_usage();
        put("result_cache_entries", "gauge", results.entries);
        put("result_cache_bytes", "gauge", results.bytes);
        put("result_cache_hits", "counter", results.hits);
        put("result_cache_misses", "counter", results.misses);
        if let Ok(held) = models.store().ids() {
            put("models_held", "gauge", held.len() as u64);
        }
        if let Ok(bytes) = models.store().total_bytes() {
            put("models_bytes", "gauge", bytes);
        }
        if let Some(params) = &backend.chain.spec().assay {
            let limit = params.total_model_size_limit_bytes;
            put("models_bytes_limit", "gauge", limit);
        }
    }
    if let Some(preexecution) = &backend.preexecution {
        let done = preexecution.counters();
        put("pre_executed", "counter", done.executed);
        put("pre_execution_skipped", "counter", done.skipped);
        put("pre_execution_refused", "counter", done.refused);
        put("pre_execution_hits", "counter", done.hits);
        put("pre_execution_misses", "counter", done.misses);
        put("pre_execution_saved_microseconds", "counter", done.saved_us);
    }
    if let Some(count) = equivocations_proven(backend) {
        put("equivocations_proven", "gauge", count);
    }
    if let Some(votes) = &backend.votes {
        put("validates", "gauge", votes.validates().into());
        put("stopped", "gauge", votes.stopped().is_some().into());
        for (name, count) in votes.counters() {
            put(&format!("voting_{name}"), "gauge", count);
        }
        for (name, count) in votes.traffic() {
            put(&format!("network_{name}"), "gauge", count);
        }
        if let Some(free) = votes.disk_free_bytes() {
            put("disk_free_bytes", "gauge", free);
        }
        text.push_str(&votes.engine_metrics());
    }
    text
}

/// Reads how many equivocations the chain keeps; `None` without a validator set, or without its state.
fn equivocations_proven(backend: &Backend) -> Option<u64> {
    let contract = backend.chain.spec().assay.as_ref()?.validator_set;
    let reader = backend.chain.reader().ok()?;
    let state = reader.state(reader.tip()).ok()?;
    let count = state.storage(contract, U256::from(validators::MISDEEDS));
    count.ok().map(|count| count.saturating_to())
}

/// Reads the machine's clock, in whole seconds since 1970.
fn machine_time() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}
