//! The network: transactions and models on their way between nodes.
//!
//! ```text
//! broadcast --> Task --gossip--> peers            one task owns the swarm (task/)
//! peers --gossip--> Task --> judge --> Host       verdicts come from a thread of their own
//! peers --ask--> Task --> serve --> Host          models are read where it may block
//! fetch_model --> Fetch --ask--> Task --> peers   one fetch: schedule, outline, writer --> Sink
//! ```
//!
//! Peers prove a node key when they connect and say which chain they are of; a peer of another
//! chain is turned away. What peers send is measured before it is read, verified before it is kept
//! and forwarded only after the host accepted it. Misbehaviour costs points (`score`), enough of
//! them a ban (`gate`). The engine's votes and blocks travel elsewhere. Messages and limits are
//! specified in docs/spec/network.md.

mod behaviour;
mod book;
mod codec;
mod config;
mod error;
mod fetch;
mod gate;
mod host;
mod judge;
mod key;
mod network;
mod outline;
mod rate;
mod router;
mod schedule;
mod score;
mod serve;
mod shared;
mod task;
mod wire;
mod writer;

pub use config::{AGENT_BYTES_MAX, CHUNK_BYTES_MAX, Config, Limits, MANIFEST_BYTES_MAX};
pub use error::{FetchError, NetworkError, SinkError};
pub use host::{Beginning, HeldModel, Host, ModelFile, Sink, Verdict};
pub use key::{NODE_KEY_BYTES, NodeKey};
pub use libp2p::{Multiaddr, PeerId};
pub use network::Network;
pub use score::{BAN_POINTS, Offence};
pub use shared::{Counters, PeerInfo, Transfer};
