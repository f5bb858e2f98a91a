//! What an operator chooses, and every bound of the protocol by name.

use std::time::Duration;

use alloy_primitives::B256;
use libp2p::{Multiaddr, multiaddr::Protocol};

use crate::{NetworkError, NodeKey};

/// Most bytes of a model's manifest in an outline; the runtime's limit is the same.
pub const MANIFEST_BYTES_MAX: usize = 256 << 10;
/// Most bytes of one chunk of a model.
pub const CHUNK_BYTES_MAX: u32 = 1 << 20;
/// Most bytes of what a node calls itself.
pub const AGENT_BYTES_MAX: usize = 64;

/// Transactions of this node waiting for the task to send them.
pub(crate) const BROADCAST_QUEUE: usize = 4_096;
/// Transactions of this node kept while no peer is there to send them to.
pub(crate) const OUTBOX_TRANSACTIONS: usize = 4_096;
/// Commands waiting for the task.
pub(crate) const COMMAND_QUEUE: usize = 256;
/// Transactions of peers waiting to be judged.
pub(crate) const VALIDATION_QUEUE: usize = 8_192;
/// Bytes of the transactions waiting to be judged.
pub(crate) const VALIDATION_QUEUE_BYTES: usize = 64 << 20;
/// Requests for models answered at a time, for all peers.
pub(crate) const SERVING_MAX: usize = 16;
/// Requests for models answered at a time, for one peer.
pub(crate) const SERVING_PER_PEER: usize = 8;
/// Streams a peer may hold open with one protocol of a connection.
pub(crate) const STREAMS_PER_PROTOCOL: usize = 16;
/// Connections between two nodes: one each way, when both dial at once.
pub(crate) const CONNECTIONS_PER_PEER: usize = 2;
/// Models fetched at a time.
pub(crate) const FETCHES_MAX: usize = 2;
/// Chunks of one fetch that are asked for or wait to be written.
pub(crate) const FETCH_WINDOW: usize = 32;
/// Chunks asked of one peer at a time, by one fetch.
pub(crate) const CHUNKS_PER_PEER: usize = 4;
/// Peers one fetch takes chunks from.
pub(crate) const HOLDERS_MAX: usize = 16;
/// Addresses of peers remembered.
pub(crate) const BOOK_MAX: usize = 512;
/// Addresses told in one answer.
pub(crate) const PEERS_TOLD_MAX: usize = 32;
/// Dials under way at a time.
pub(crate) const DIALS_MAX: usize = 8;
/// Peers whose score is remembered, connected or not.
pub(crate) const SCORES_MAX: usize = 4_096;
/// Bans remembered.
pub(crate) const BANS_MAX: usize = 4_096;
/// Time a peer has to say hello, and to leave after it was refused.
pub(crate) const HELLO_TIME: Duration = Duration::from_secs(10);
/// Time a connection has to be encrypted.
pub(crate) const CONNECT_TIME: Duration = Duration::from_secs(10);
/// How often peers are asked for other peers.
pub(crate) const EXCHANGE_INTERVAL: Duration = Duration::from_secs(30);
/// How often the task looks after dials, deadlines and outages.
pub(crate) const TICK: Duration = Duration::from_millis(200);

/// What an operator chooses.
#[derive(Debug, Clone)]
pub struct Config {
    /// The node's key.
    pub key: NodeKey,
    /// The chain's id.
    pub chain_id: u64,
    /// Hash of the chain's first block.
    pub genesis: B256,
    /// Address to listen on: `/ip4/0.0.0.0/tcp/26700`, or port 0 for any.
    pub listen: Multiaddr,
    /// Peers to keep connected to.
    pub peers: Vec<Multiaddr>,
    /// Whether to learn peers from peers, and to tell of them.
    pub exchange: bool,
    /// What the node calls itself, for other operators' eyes.
    pub agent: String,
    /// Limits.
    pub limits: Limits,
}

/// Limits an operator may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most connections that peers opened.
    pub inbound: usize,
    /// Peers the node looks for, beyond those configured.
    pub outbound: usize,
    /// Most connections from one address; loopback is exempt.
    pub per_address: usize,
    /// Most bytes of one transaction; what the pool takes.
    pub transaction_bytes: usize,
    /// Transactions taken from one peer a second; four times as many in a burst.
    pub transactions_per_s: u32,
    /// Bytes of transactions taken from one peer a second; four times as many in a burst.
    pub transaction_bytes_per_s: u32,
    /// Requests of all kinds taken from one peer a second; four times as many in a burst.
    pub requests_per_s: u32,
    /// How long a peer stays banned.
    pub ban: Duration,
    /// How long an answer may take.
    pub request_timeout: Duration,
    /// How long a fetch waits for a peer that has the model.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inbound: 64,
            outbound: 16,
            per_address: 8,
            transaction_bytes: 288 << 10,
            transactions_per_s: 5_000,
            transaction_bytes_per_s: 8 << 20,
            requests_per_s: 1_024,
            ban: Duration::from_secs(600),
            request_timeout: Duration::from_secs(20),
            patience: Duration::from_secs(30),
        }
    }
}

impl Config {
    /// Makes a configuration with the usual limits and no peers.
    #[must_use]
    pub fn new(key: NodeKey, chain_id: u64, genesis: B256, listen: Multiaddr) -> Self {
        Self {
            key,
            chain_id,
            genesis,
            listen,
            peers: Vec::new(),
            exchange: true,
            agent: concat!("assay/", env!("CARGO_PKG_VERSION")).to_owned(),
            limits: Limits::default(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), NetworkError> {
        for address in self.peers.iter().chain([&self.listen]) {
            if !is_tcp(address) {
                return Err(NetworkError::Address(address.clone()));
            }
        }
        let limits = &self.limits;
        let zero = [
            ("inbound", limits.inbound),
            ("per_address", limits.per_address),
            ("transaction_bytes", limits.transaction_bytes),
            ("transactions_per_s", limits.transactions_per_s as usize),
            (
                "transaction_bytes_per_s",
                limits.transaction_bytes_per_s as usize,
            ),
            ("requests_per_s", limits.requests_per_s as usize),
        ];
        match zero.into_iter().find(|(_, limit)| *limit == 0) {
            Some((name, _)) => Err(NetworkError::ZeroLimit { name }),
            None => Ok(()),
        }
    }
}

/// Tells whether an address is one the network can dial: a host, a TCP port, perhaps a peer.
pub(crate) fn is_tcp(address: &Multiaddr) -> bool {
    let parts: Vec<Protocol<'_>> = address.iter().take(4).collect();
    let host = |part: &Protocol<'_>| {
        use Protocol::{Dns, Dns4, Dns6, Ip4, Ip6};
        matches!(part, Ip4(_) | Ip6(_) | Dns(_) | Dns4(_) | Dns6(_))
    };
    match parts.as_slice() {
        [first, Protocol::Tcp(_)] | [first, Protocol::Tcp(_), Protocol::P2p(_)] => host(first),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listen: &str) -> Config {
        let key = NodeKey::generate();
        Config::new(key, 1, B256::ZERO, listen.parse().unwrap())
    }

    #[test]
    fn addresses_are_a_host_and_a_tcp_port() {
        let good = ["/ip4/0.0.0.0/tcp/0", "/ip6/::1/tcp/1", "/dns4/a.b/tcp/9"];
        for address in good {
            assert!(config(address).check().is_ok(), "{address}");
        }
        for address in ["/ip4/1.2.3.4/udp/1", "/ip4/1.2.3.4", "/tcp/1/ip4/1.2.3.4"] {
            let refused = config(address).check();
            assert!(
                matches!(refused, Err(NetworkError::Address(_))),
                "{address}"
            );
        }
    }

    #[test]
    fn a_limit_of_zero_is_refused_by_name() {
        let mut config = config("/ip4/127.0.0.1/tcp/0");
        config.limits.per_address = 0;
        let refused = config.check().unwrap_err();
        assert_eq!(
            refused.to_string(),
            "limit per_address is 0: give at least 1"
        );
    }
}
