//! The handle of a running network.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError},
};

use alloy_primitives::B256;
use bytes::Bytes;
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::JoinHandle,
};

use crate::{
    Config, Counters, FetchError, Host, NetworkError, PeerInfo, Sink, Transfer,
    book::ip_of,
    config::{BROADCAST_QUEUE, COMMAND_QUEUE, FETCHES_MAX, Limits},
    fetch::Fetch,
    router::Router,
    shared::{Shared, add},
    task::{Channels, Task},
};

/// A running network; clones are handles of the same one.
#[derive(Debug, Clone)]
pub struct Network {
    router: Router,
    broadcasts: mpsc::Sender<Bytes>,
    stop: watch::Sender<bool>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
    fetches: Arc<Semaphore>,
    limits: Limits,
    id: PeerId,
    address: Multiaddr,
}

/// Takes a transfer off the list when its fetch ends, however it ends.
struct Listed {
    shared: Arc<Shared>,
    id: B256,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.shared.transfers().remove(&self.id);
        self.shared.changed();
    }
}

impl Network {
    /// Starts the network: listens, and talks to peers on a task of its own until it is stopped.
    ///
    /// # Errors
    /// When the configuration is wrong, or the address cannot be listened on.
    pub async fn start(config: Config, host: Arc<dyn Host>) -> Result<Self, NetworkError> {
        config.check()?;
        check_port(&config.listen)?;
        let shared = Arc::new(Shared::new());
        let (commands, incoming) = mpsc::channel(COMMAND_QUEUE);
        let (broadcasts, outgoing) = mpsc::channel(BROADCAST_QUEUE);
        let (stop, stopped) = watch::channel(false);
        let channels = Channels {
            commands: incoming,
            broadcasts: outgoing,
            stop: stopped,
        };
        let (limits, id) = (config.limits, config.key.peer_id());
        let (task, address) = Task::listen(config, host, Arc::clone(&shared), channels).await?;
        tracing::info!(%address, peer = %id, "listening for peers");
        Ok(Self {
            router: Router { commands, shared },
            broadcasts,
            stop,
            task: Arc::new(Mutex::new(Some(tokio::spawn(task.run())))),
            fetches: Arc::new(Semaphore::new(FETCHES_MAX)),
            limits,
            id,
            address,
        })
    }

    /// Sends a transaction of this node to the peers. It is kept for a while when none is there.
    ///
    /// # Errors
    /// When it is larger than peers accept, or too many wait.
    pub fn broadcast(&self, transaction: Bytes) -> Result<(), NetworkError> {
        let (found, limit) = (transaction.len(), self.limits.transaction_bytes);
        if found > limit {
            return Err(NetworkError::TooLarge { found, limit });
        }
        self.broadcasts
            .try_send(transaction)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => NetworkError::Busy {
                    limit: BROADCAST_QUEUE,
                },
                mpsc::error::TrySendError::Closed(_) => NetworkError::Stopped,
            })
    }

    /// Fetches a model from peers into a sink; returns the bytes of its files. What was received is
    /// the sink's to keep, so that a later fetch goes on from there.
    ///
    /// # Errors
    /// When no peer could give it, the sink refuses it, or it is being fetched already.
    pub async fn fetch_model(&self, id: B256, sink: Box<dyn Sink>) -> Result<u64, FetchError> {
        let _listed = self.list(id)?;
        let permit = self.fetches.acquire().await;
        let _permit = permit.map_err(|_| FetchError::Stopped)?;
        let fetched = Fetch::new(id, sink, self.router.clone(), self.limits)
            .run()
            .await;
        if fetched.is_ok() {
            add(&self.router.shared.counts.models_fetched, 1);
        }
        fetched
    }

    /// Lists the peers that are connected and of this chain.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerInfo> {
        self.router.shared.peers().values().cloned().collect()
    }

    /// Lists the models that are being fetched.
    #[must_use]
    pub fn transfers(&self) -> Vec<Transfer> {
        self.router.shared.transfers().values().copied().collect()
    }

    /// Returns what was counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.router.shared.counts.read()
    }

    /// Watches for changes of peers, transfers and counters: the number grows with each.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.router.shared.watch()
    }

    /// Returns who this node is to its peers.
    #[must_use]
    pub const fn id(&self) -> PeerId {
        self.id
    }

    /// Returns the address it listens on, with its id, as other nodes' configuration wants it.
    #[must_use]
    pub fn address(&self) -> Multiaddr {
        self.address.clone().with(Protocol::P2p(self.id))
    }

    /// Closes all connections and ends the task.
    pub async fn stop(&self) {
        // A task that has ended already needs no telling.
        let _ = self.stop.send(true);
        let task = self
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the network's task ended badly");
        }
    }

    fn list(&self, id: B256) -> Result<Listed, FetchError> {
        let shared = &self.router.shared;
        let mut transfers = shared.transfers();
        if transfers.contains_key(&id) {
            return Err(FetchError::UnderWay(id));
        }
        let transfer = Transfer {
            id,
            received_bytes: 0,
            total_bytes: 0,
            peers: 0,
        };
        transfers.insert(id, transfer);
        Ok(Listed {
            shared: Arc::clone(shared),
            id,
        })
    }
}

/// Tells whether a port is free. The transport shares ports between processes that both ask for it,
/// so a second node on one port would go unnoticed.
fn check_port(address: &Multiaddr) -> Result<(), NetworkError> {
    let port = address.iter().find_map(|part| match part {
        Protocol::Tcp(port) if port > 0 => Some(port),
        _ => None,
    });
    let Some((ip, port)) = ip_of(address).zip(port) else {
        return Ok(());
    };
    let bound = TcpListener::bind(SocketAddr::new(ip, port));
    bound.map(drop).map_err(|error| NetworkError::Listen {
        address: address.clone(),
        reason: error.to_string(),
    })
}
