//! What the network shows of itself: peers, transfers, counters.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use alloy_primitives::B256;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::watch;

/// A peer that is connected and of this chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// Who it is.
    pub id: PeerId,
    /// Where it is.
    pub address: Multiaddr,
    /// Where it can be dialled, as far as known.
    pub dialable: Option<Multiaddr>,
    /// Whether this node opened the connection.
    pub outbound: bool,
    /// What it calls itself.
    pub agent: String,
    /// Whether it takes transactions.
    pub subscribed: bool,
    /// What it did wrong, in points; at [`crate::BAN_POINTS`] it is banned.
    pub points: u32,
}

/// A model that is being fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// The model.
    pub id: B256,
    /// Bytes of its files that are here.
    pub received_bytes: u64,
    /// Bytes of its files; 0 while nobody said.
    pub total_bytes: u64,
    /// Peers that give it.
    pub peers: usize,
}

macro_rules! counters {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        /// What the network counted since it started.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Counters {
            $($(#[$meta])* pub $name: u64,)*
        }

        impl Counters {
            /// Lists the numbers with their names.
            #[must_use]
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counts {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Counts {
            pub(crate) fn read(&self) -> Counters {
                Counters { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Transactions that peers sent, without duplicates.
    transactions_received,
    /// Bytes of them.
    transaction_bytes_received,
    /// Transactions accepted and forwarded.
    transactions_forwarded,
    /// Transactions not wanted at their time.
    transactions_ignored,
    /// Transactions that could never be valid.
    transactions_rejected,
    /// Transactions dropped unseen, because a peer sent too many or too many waited.
    transactions_dropped,
    /// Transactions this node sent.
    transactions_sent,
    /// Requests for models answered.
    model_requests_served,
    /// Bytes of models sent.
    model_bytes_sent,
    /// Chunks of models received and verified.
    chunks_received,
    /// Bytes of models received and verified.
    model_bytes_received,
    /// Chunks of models that were not the model's.
    chunks_wrong,
    /// Models fetched.
    models_fetched,
    /// Peers that were of another chain.
    peers_of_another_chain,
    /// Connections refused at the gate.
    connections_refused,
    /// Connections that came and did not get through the handshake: garbage, other protocols.
    handshakes_failed,
    /// Peers banned.
    bans,
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

/// What the task and its handles share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) counts: Counts,
    peers: Mutex<BTreeMap<PeerId, PeerInfo>>,
    transfers: Mutex<BTreeMap<B256, Transfer>>,
    changes: watch::Sender<u64>,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            counts: Counts::default(),
            peers: Mutex::default(),
            transfers: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// Tells whoever watches that something changed.
    pub(crate) fn changed(&self) {
        self.changes
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn peers(&self) -> MutexGuard<'_, BTreeMap<PeerId, PeerInfo>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn transfers(&self) -> MutexGuard<'_, BTreeMap<B256, Transfer>> {
        self.transfers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
