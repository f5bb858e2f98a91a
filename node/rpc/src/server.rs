//! The server: HTTP and WebSocket on one port, limits, CORS, subscriptions.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use alloy_primitives::B256;
use alloy_rpc_types_eth::Filter;
use assay_chain::Executed;
use jsonrpsee::{
    RpcModule, SubscriptionMessage, SubscriptionSink,
    core::{SubscriptionError, traits::IdProvider},
    server::{
        BatchRequestConfig, PendingSubscriptionSink, Server, ServerConfig, ServerHandle,
        middleware::rpc::RpcServiceBuilder,
    },
    types::{ErrorObjectOwned, Params, SubscriptionId},
};
use serde_json::Value;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::broadcast,
};
use tower_http::cors::CorsLayer;

use crate::{
    Backend, RpcError,
    batch::Batches,
    eth::logs::{logs_of, parse, query},
    json,
    method::{Weight, methods},
    probe::Probes,
};

/// Blocks a slow subscriber may lag behind before it is told no more.
const SUBSCRIPTION_BACKLOG: usize = 1_024;

/// How the server listens and what it bears.
#[derive(Debug, Clone, Copy)]
pub struct ServerOptions {
    /// Address and port; port zero takes any that is free.
    pub address: SocketAddr,
    /// Most bytes of a request.
    pub max_request_bytes: u32,
    /// Most bytes of an answer.
    pub max_response_bytes: u32,
    /// Most requests in a batch.
    pub max_batch: u32,
    /// Most connections at a time.
    pub max_connections: u32,
    /// Most subscriptions of a connection.
    pub max_subscriptions: u32,
}

impl ServerOptions {
    /// Makes the usual limits for an address.
    #[must_use]
    pub const fn new(address: SocketAddr) -> Self {
        Self {
            address,
            max_request_bytes: 16 << 20,
            max_response_bytes: 128 << 20,
            max_batch: 10_000,
            max_connections: 2_048,
            max_subscriptions: 1_024,
        }
    }
}

/// Says why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The port cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Address asked for.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// Two methods have one name.
    #[error("method table: {0}")]
    Methods(#[from] jsonrpsee::core::RegisterMethodError),
}

/// Starts the server and returns the address it listens on.
///
/// # Errors
/// When the port cannot be had.
pub async fn start(
    backend: Arc<Backend>,
    options: ServerOptions,
) -> Result<(SocketAddr, ServerHandle), ServerError> {
    let config = ServerConfig::builder()
        .max_request_body_size(options.max_request_bytes)
        .max_response_body_size(options.max_response_bytes)
        .set_batch_request_config(BatchRequestConfig::Limit(options.max_batch))
        .max_connections(options.max_connections)
        .max_subscriptions_per_connection(options.max_subscriptions)
        .set_id_provider(Quantities::default())
        .set_tcp_no_delay(true)
        .build();
    let listen = |source| ServerError::Listen {
        address: options.address,
        source,
    };
    let probed = Arc::clone(&backend);
    let (batches, max_response) = (Arc::clone(&backend), options.max_response_bytes);
    let middleware = RpcServiceBuilder::new().layer_fn(move |service| Batches {
        service,
        backend: Arc::clone(&batches),
        max_response_bytes: usize::try_from(max_response).unwrap_or(usize::MAX),
    });
    let server = Server::builder()
        .set_config(config)
        .set_rpc_middleware(middleware)
        .set_http_middleware(
            tower::ServiceBuilder::new()
                .layer(CorsLayer::permissive())
                .layer_fn(move |service| Probes {
                    service,
                    backend: Arc::clone(&probed),
                }),
        )
        .build(options.address)
        .await
        .map_err(listen)?;
    let address = server.local_addr().map_err(listen)?;
    Ok((address, server.start(module(backend)?)))
}

/// Names subscriptions by quantities, as geth does: some clients take no numbers.
#[derive(Debug, Default)]
struct Quantities(AtomicU64);

impl IdProvider for Quantities {
    fn next_id(&self) -> SubscriptionId<'static> {
        let id = self.0.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        SubscriptionId::Str(format!("{id:#x}").into())
    }
}

fn module(backend: Arc<Backend>) -> Result<RpcModule<Arc<Backend>>, ServerError> {
    let (sender, _) = broadcast::channel::<Arc<News>>(SUBSCRIPTION_BACKLOG);
    let news = sender.clone();
    backend.chain.subscribe(move |executed| {
        // Without subscribers nobody listens: that is no failure.
        let _ = news.send(Arc::new(News::of(executed)));
    });
    let table = methods(&backend);
    let mut module = RpcModule::new(backend);
    for method in table {
        let (name, handler) = (method.name, method.handler);
        let answer = move |params: Params<'_>, backend: &Backend| {
            let arguments = crate::arguments::Arguments::new(params_of(&params)?);
            handler(backend, &mut arguments?).map_err(to_wire)
        };
        match method.weight {
            Weight::Light => {
                module.register_method(name, move |params, backend, _| answer(params, backend))?;
            }
            Weight::Medium => {
                module.register_method(name, move |params, backend, _| {
                    in_place(|| answer(params, backend))
                })?;
            }
            Weight::Heavy => {
                module.register_blocking_method(name, move |params, backend, _| {
                    answer(params, &backend)
                })?;
            }
        }
    }
    module.register_subscription(
        "eth_subscribe",
        "eth_subscription",
        "eth_unsubscribe",
        move |params, pending, backend, _| {
            let news = sender.subscribe();
            let topic = params_of(&params);
            async move {
                match topic {
                    Ok(topic) => serve(topic, pending, Arc::clone(&backend), news).await,
                    Err(error) => {
                        pending.reject(error).await;
                        Ok(())
                    }
                }
            }
        },
    )?;
    Ok(module)
}

/// Runs what may take a while, after the runtime was told, if it has threads to read on with.
fn in_place<T>(run: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => run(),
        _ => tokio::task::block_in_place(run),
    }
}

fn params_of(params: &Params<'_>) -> Result<Option<Value>, ErrorObjectOwned> {
    params
        .as_str()
        .map(serde_json::from_str)
        .transpose()
        .map_err(|error| to_wire(RpcError::params(error.to_string())))
}

impl From<RpcError> for ErrorObjectOwned {
    fn from(error: RpcError) -> Self {
        to_wire(error)
    }
}

fn to_wire(error: RpcError) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(error.code, error.message, error.data)
}

/// What subscribers learn of a new block.
struct News {
    number: u64,
    header: Option<Value>,
}

impl News {
    fn of(executed: &Executed) -> Self {
        let block = &executed.block;
        let header = json::header(block.header(), block.hash())
            .ok()
            .map(Value::from);
        Self {
            number: block.header().number,
            header,
        }
    }
}

/// What a subscriber wants to hear.
enum Topic {
    Heads,
    Transactions,
    Logs(Box<Filter>),
}

fn topic(params: Option<Value>) -> Result<Topic, RpcError> {
    let mut arguments = crate::arguments::Arguments::new(params)?;
    let name: String = arguments.next()?;
    match name.as_str() {
        "newHeads" => Ok(Topic::Heads),
        "newPendingTransactions" => Ok(Topic::Transactions),
        "logs" => {
            let raw = arguments.raw();
            let raw = if raw.is_null() {
                Value::Object(Default::default())
            } else {
                raw
            };
            Ok(Topic::Logs(Box::new(parse(raw)?)))
        }
        other => Err(RpcError::params(format!(
            "no \"{other}\" subscription in eth namespace"
        ))),
    }
}

async fn serve(
    params: Option<Value>,
    pending: PendingSubscriptionSink,
    backend: Arc<Backend>,
    mut news: broadcast::Receiver<Arc<News>>,
) -> Result<(), SubscriptionError> {
    let topic = match topic(params) {
        Ok(topic) => topic,
        Err(error) => {
            pending.reject(to_wire(error)).await;
            return Ok(());
        }
    };
    let sink = pending.accept().await?;
    if matches!(topic, Topic::Transactions) {
        return serve_transactions(sink, backend.admitted.subscribe()).await;
    }
    loop {
        let news = tokio::select! {
            () = sink.closed() => return Ok(()),
            // A subscriber too slow to follow is cut off rather than fed with gaps.
            received = news.recv() => match received {
                Ok(news) => news,
                Err(_) => return Ok(()),
            },
        };
        for item in items(&topic, &backend, &news) {
            let message: SubscriptionMessage = serde_json::value::to_raw_value(&item)?.into();
            if sink.send(message).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// Tells a subscriber of transactions as they come to wait for a block.
async fn serve_transactions(
    sink: SubscriptionSink,
    mut admitted: broadcast::Receiver<B256>,
) -> Result<(), SubscriptionError> {
    loop {
        let hash = tokio::select! {
            () = sink.closed() => return Ok(()),
            received = admitted.recv() => match received {
                Ok(hash) => hash,
                Err(_) => return Ok(()),
            },
        };
        let message: SubscriptionMessage = serde_json::value::to_raw_value(&hash)?.into();
        if sink.send(message).await.is_err() {
            return Ok(());
        }
    }
}

fn items(topic: &Topic, backend: &Backend, news: &News) -> Vec<Value> {
    match topic {
        Topic::Heads => news.header.iter().cloned().collect(),
        // Told one by one as they arrive, not by the block.
        Topic::Transactions => Vec::new(),
        Topic::Logs(filter) => {
            let logs = backend
                .chain
                .reader()
                .map_err(RpcError::from)
                .and_then(|reader| logs_of(&reader, news.number, &query(filter)));
            logs.unwrap_or_default()
        }
    }
}
