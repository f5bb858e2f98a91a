//! The protocols of a connection, put together.

use std::time::Duration;

use alloy_primitives::{B256, hex};
use libp2p::{
    StreamProtocol, Swarm, Transport as _,
    core::upgrade,
    dns, gossipsub,
    gossipsub::{
        IdentTopic, MaxCountSubscriptionFilter, MessageAuthenticity, MessageId, ValidationMode,
        WhitelistSubscriptionFilter,
    },
    noise, ping,
    request_response::{self, ProtocolSupport},
    swarm::{self, NetworkBehaviour},
    tcp, yamux,
};

use crate::{
    NetworkError,
    codec::Codec,
    config::{CONNECT_TIME, Config, STREAMS_PER_PROTOCOL},
    gate::Gate,
    wire::{Hello, ModelRequest, ModelResponse, Peers, PeersRequest},
};

/// The protocol of greetings is the same on every chain, so that strangers can be told apart.
const HELLO_PROTOCOL: &str = "/assay/hello/1";
/// Bytes of a gossip message beside the transaction: topic and framing.
const GOSSIP_OVERHEAD_BYTES: usize = 1_024;
/// Least size of a gossip message: lists of message ids are as long.
const GOSSIP_BYTES_MIN: usize = 128 << 10;
/// Bytes of a message's id: enough that nobody finds two messages of one id.
const MESSAGE_ID_BYTES: usize = 20;
/// Most ids of messages a peer offers at a time.
const IHAVE_MAX: usize = 4_096;
/// Most parts of one gossip message.
const GOSSIP_PARTS_MAX: usize = 1_024;
/// Messages that wait to be written to one connection.
const GOSSIP_QUEUE: usize = 4_096;
/// How long a message is known as a duplicate.
const DUPLICATE_TIME: Duration = Duration::from_secs(60);
/// How often gossip mends its mesh.
const HEARTBEAT: Duration = Duration::from_millis(700);
/// How often a quiet connection is tried.
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// The task closes connections; the swarm never does for idleness.
const IDLE_TIME: Duration = Duration::from_secs(365 * 24 * 3_600);

type Filter = MaxCountSubscriptionFilter<WhitelistSubscriptionFilter>;
type Gossip = gossipsub::Behaviour<gossipsub::IdentityTransform, Filter>;
type Requests<Q, A> = request_response::Behaviour<Codec<Q, A>>;

/// What two nodes speak with one another.
#[derive(NetworkBehaviour)]
pub(crate) struct Protocols {
    /// First, so that who is refused opens nothing else.
    pub(crate) gate: Gate,
    pub(crate) hello: Requests<Hello, Hello>,
    pub(crate) gossip: Gossip,
    pub(crate) exchange: Requests<PeersRequest, Peers>,
    pub(crate) models: Requests<ModelRequest, ModelResponse>,
    ping: ping::Behaviour,
}

/// Names the topic of a chain's transactions.
pub(crate) fn transactions_topic(chain_id: u64, genesis: B256) -> IdentTopic {
    IdentTopic::new(name(chain_id, genesis, "transactions"))
}

/// Makes a swarm that listens nowhere yet.
pub(crate) fn swarm(config: &Config) -> Result<Swarm<Protocols>, NetworkError> {
    let failed = |error: &dyn std::fmt::Display| NetworkError::Transport(error.to_string());
    let key = config.key.pair();
    let tcp = || tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    let named = dns::tokio::Transport::system(tcp()).unwrap_or_else(|error| {
        // A machine without a resolver can still dial addresses of digits.
        tracing::warn!(%error, "no name resolver: addresses with names cannot be dialled");
        let (nobody, options) = (dns::ResolverConfig::new(), dns::ResolverOpts::default());
        dns::tokio::Transport::custom(tcp(), nobody, options)
    });
    let transport = named
        .upgrade(upgrade::Version::V1Lazy)
        .authenticate(noise::Config::new(&key).map_err(|error| failed(&error))?)
        .multiplex(yamux::Config::default())
        .timeout(CONNECT_TIME)
        .boxed();
    let settings = swarm::Config::with_tokio_executor().with_idle_connection_timeout(IDLE_TIME);
    let id = key.public().to_peer_id();
    Ok(Swarm::new(transport, protocols(config)?, id, settings))
}

fn protocols(config: &Config) -> Result<Protocols, NetworkError> {
    let limits = &config.limits;
    let requests = || {
        request_response::Config::default()
            .with_request_timeout(limits.request_timeout)
            .with_max_concurrent_streams(STREAMS_PER_PROTOCOL)
    };
    let of_chain = |what| chain_protocol(config.chain_id, config.genesis, what);
    let both = ProtocolSupport::Full;
    let hello = [(StreamProtocol::new(HELLO_PROTOCOL), both.clone())];
    Ok(Protocols {
        gate: Gate::new(limits.inbound, limits.per_address),
        hello: Requests::new(hello, requests()),
        gossip: gossip(config)?,
        exchange: Requests::new([(of_chain("peers")?, both.clone())], requests()),
        models: Requests::new([(of_chain("models")?, both)], requests()),
        ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL)),
    })
}

fn gossip(config: &Config) -> Result<Gossip, NetworkError> {
    let failed = |error: &dyn std::fmt::Display| NetworkError::Transport(error.to_string());
    let bytes = config.limits.transaction_bytes;
    let bytes = bytes
        .saturating_add(GOSSIP_OVERHEAD_BYTES)
        .max(GOSSIP_BYTES_MIN);
    let topic = transactions_topic(config.chain_id, config.genesis);
    let settings = gossipsub::ConfigBuilder::default()
        .protocol_id_prefix(name(config.chain_id, config.genesis, "gossip"))
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(|message| {
            let hash = blake3::hash(&message.data);
            MessageId::new(hash.as_bytes().get(..MESSAGE_ID_BYTES).unwrap_or_default())
        })
        .max_transmit_size(bytes)
        .max_messages_per_rpc(Some(GOSSIP_PARTS_MAX))
        .max_ihave_length(IHAVE_MAX)
        .connection_handler_queue_len(GOSSIP_QUEUE)
        .duplicate_cache_time(DUPLICATE_TIME)
        .heartbeat_initial_delay(HEARTBEAT)
        .heartbeat_interval(HEARTBEAT)
        .build()
        .map_err(|error| failed(&error))?;
    let filter = MaxCountSubscriptionFilter {
        filter: WhitelistSubscriptionFilter([topic.hash()].into()),
        max_subscribed_topics: 1,
        max_subscriptions_per_request: 4,
    };
    let authenticity = MessageAuthenticity::Anonymous;
    let mut gossip = Gossip::new_with_subscription_filter(authenticity, settings, filter)
        .map_err(|error| failed(&error))?;
    gossip.subscribe(&topic).map_err(|error| failed(&error))?;
    Ok(gossip)
}

fn chain_protocol(
    chain_id: u64,
    genesis: B256,
    what: &str,
) -> Result<StreamProtocol, NetworkError> {
    StreamProtocol::try_from_owned(name(chain_id, genesis, what))
        .map_err(|error| NetworkError::Transport(error.to_string()))
}

/// Names a protocol of one chain: no other chain's node can speak it.
fn name(chain_id: u64, genesis: B256, what: &str) -> String {
    format!("/assay/{chain_id}/{}/{what}/1", hex::encode(genesis))
}
