//! What can go wrong, by who is at fault.

use alloy_primitives::B256;
use libp2p::Multiaddr;

/// Says why the network does not start, or does not take something.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {reason}; choose another port or end who holds it")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// Why, in the system's words.
        reason: String,
    },
    /// A configured address is of a kind the network does not use.
    #[error("address {0} is not of the form /ip4|ip6|dns/HOST/tcp/PORT[/p2p/PEER]")]
    Address(Multiaddr),
    /// The transport cannot be made.
    #[error("transport: {0}")]
    Transport(String),
    /// The node key's bytes are no key.
    #[error("node key: {0}")]
    Key(String),
    /// A limit of the configuration leaves no room for anything.
    #[error("limit {name} is 0: give at least 1")]
    ZeroLimit {
        /// The limit.
        name: &'static str,
    },
    /// A message is larger than peers accept.
    #[error("message has {found} bytes, peers accept {limit}")]
    TooLarge {
        /// Bytes of the message.
        found: usize,
        /// Most bytes.
        limit: usize,
    },
    /// More waits to be sent than there is room for.
    #[error("{limit} messages wait to be sent already: try again")]
    Busy {
        /// Most that wait.
        limit: usize,
    },
    /// The network was stopped.
    #[error("the network is stopped")]
    Stopped,
}

/// Says why a model was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No peer could give it.
    #[error(
        "model {id}: none of {asked} connected peers could give it, {received} of {total} bytes \
         are here; it is tried again when asked again"
    )]
    Unavailable {
        /// The model.
        id: B256,
        /// Peers asked.
        asked: usize,
        /// Bytes that are here.
        received: u64,
        /// Bytes of its files, as far as known.
        total: u64,
    },
    /// The same model is being fetched already.
    #[error("model {0} is being fetched already")]
    UnderWay(B256),
    /// The model's own bytes are not taken here; no peer is at fault.
    #[error("model {id}: {reason}")]
    Refused {
        /// The model.
        id: B256,
        /// Why.
        reason: SinkError,
    },
    /// The network was stopped.
    #[error("the network is stopped")]
    Stopped,
}

/// Says why a sink did not take what it was given.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The model is not wanted as it is: asking again changes nothing.
    #[error("refused: {0}")]
    Refused(Box<dyn std::error::Error + Send + Sync>),
    /// This machine failed.
    #[error("this machine: {0}")]
    Machine(Box<dyn std::error::Error + Send + Sync>),
}
