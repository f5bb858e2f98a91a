//! Starts the engine with our codec, signer and application, and says where its peers are.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::hex;
use assay_chain::Chain;
use assay_types::Domain;
use malachitebft_app::{
    config::{
        ConsensusConfig, DiscoveryConfig, NodeConfig, P2pConfig, ProtocolNames, ValuePayload,
        ValueSyncConfig,
    },
    net::Multiaddr,
    types::{
        Keypair,
        codec::Codec as _,
        core::{LinearTimeouts, SigningScheme as _},
    },
};
use malachitebft_app_channel::{
    Channels, ConsensusContext, EngineHandle, NetworkContext, NetworkIdentity, RequestContext,
    SyncContext, WalContext, start_engine,
};
use malachitebft_signing::Signer as _;
use tokio::sync::oneshot;

use crate::{
    Application, ApplicationError, Status,
    application::{Choices, Recompute, Waiting},
    clock::MachineClock,
    codec::Codec,
    context::{Account, Assay, Recoverable},
    signer::{EngineSigner, EngineVerifier, SignError, Voter},
};

/// Questions that may wait on the engine's side.
const REQUESTS: usize = 64;
/// Most bytes of a gossiped message: a part of a proposal is far smaller.
const GOSSIP_SIZE: &str = "1 MiB";
/// Most bytes of an answer to a peer that is behind.
const SYNC_SIZE: &str = "16 MiB";
/// Blocks asked for at a time by a node that is behind.
const SYNC_BATCH: usize = 16;
/// Longest wait for the engine to end.
const FAREWELL: Duration = Duration::from_secs(5);
/// Connections from one address: several nodes of one operator may share one.
const CONNECTIONS_PER_ADDRESS: usize = 64;

/// Where the engine listens, and whom it calls.
#[derive(Debug, Clone)]
pub struct Peers {
    /// Address to listen on, TCP.
    pub listen: SocketAddr,
    /// Peers to keep connected to.
    pub known: Vec<SocketAddr>,
    /// Whether to learn of further peers from these.
    pub discover: bool,
}

/// Who this node is to its peers: the secret of its ed25519 key.
#[derive(Clone)]
pub struct Network {
    /// Secret of the node's key.
    pub node_secret: [u8; 32],
    /// Name in logs and metrics.
    pub name: String,
    /// Addresses.
    pub peers: Peers,
}

/// What an operator chose, and where voting keeps its log.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Time a proposer has in the first round.
    pub propose_timeout: Duration,
    /// Time the votes of a step have in the first round.
    pub vote_timeout: Duration,
    /// Least time from one block to the next.
    pub block_interval: Duration,
    /// The engine's log, which a restart replays.
    pub log: PathBuf,
    /// What this machine is, for reports.
    pub machine: String,
}

/// Says why voting did not start.
#[derive(Debug, thiserror::Error)]
pub enum ConsensusError {
    /// The application cannot begin.
    #[error(transparent)]
    Application(#[from] ApplicationError),
    /// The node's key is no ed25519 secret.
    #[error("node key: {0}")]
    NodeKey(String),
    /// The validator's key does not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The engine does not start.
    #[error("consensus engine: {0}")]
    Engine(String),
    /// The thread of the application cannot be made.
    #[error("application thread: {0}")]
    Thread(#[source] std::io::Error),
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network")
            .field("name", &self.name)
            .field("peers", &self.peers)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Config {
    name: String,
    consensus: ConsensusConfig,
    sync: ValueSyncConfig,
}

impl NodeConfig for Config {
    fn moniker(&self) -> &str {
        &self.name
    }

    fn consensus(&self) -> &ConsensusConfig {
        &self.consensus
    }

    fn consensus_mut(&mut self) -> &mut ConsensusConfig {
        &mut self.consensus
    }

    fn value_sync(&self) -> &ValueSyncConfig {
        &self.sync
    }

    fn value_sync_mut(&mut self) -> &mut ValueSyncConfig {
        &mut self.sync
    }
}

/// Voting under way; dropping it does not end it, [`Running::stop`] does.
#[derive(Debug)]
pub struct Running {
    handle: EngineHandleDebug,
    /// Closes when the application's thread ends.
    application: oneshot::Receiver<()>,
    status: Arc<Status>,
}

struct EngineHandleDebug(EngineHandle);

impl std::fmt::Debug for EngineHandleDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EngineHandle")
    }
}

impl Running {
    /// Returns what voting is doing.
    #[must_use]
    pub const fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// Ends voting, and waits until it ended.
    pub async fn stop(self) {
        let EngineHandle { actor, handle } = self.handle.0;
        let _ = actor.stop_and_wait(None, Some(FAREWELL)).await;
        // An engine that hangs after a fault of the disk does not end by itself.
        if !handle.is_finished() {
            let _ = tokio::time::timeout(FAREWELL, handle).await;
        }
    }

    /// Waits until voting ends by itself, which it does on a fault of this machine only:
    /// [`Status::failed`] names it where it is known.
    ///
    /// The engine hangs when its log cannot be written, lest a restart sign two things; it lets the
    /// application go, whose end is noticed here. A restart is safe: what was signed is in a log of
    /// its own, written first.
    pub async fn ended(&mut self) {
        tokio::select! {
            _ = &mut self.handle.0.handle => {}
            _ = &mut self.application => {}
        }
    }
}

/// Starts voting on a chain: as a validator with a key and its log of signatures, else following.
///
/// # Errors
/// When the chain has no validators, the key does not sign, or the engine does not start.
pub async fn start<W: Waiting + 'static>(
    chain: Arc<Chain>,
    domain: Domain,
    waiting: W,
    voter: Option<Voter>,
    network: &Network,
    settings: &Settings,
) -> Result<Running, ConsensusError> {
    let machine = Arc::clone(&chain) as Arc<dyn Recompute>;
    start_with(chain, machine, domain, waiting, voter, network, settings).await
}

/// Starts voting as [`start`] does, with something else than the chain service that makes and checks
/// blocks.
///
/// # Errors
/// As [`start`].
pub async fn start_with<W: Waiting + 'static>(
    chain: Arc<Chain>,
    machine: Arc<dyn Recompute>,
    domain: Domain,
    waiting: W,
    voter: Option<Voter>,
    network: &Network,
    settings: &Settings,
) -> Result<Running, ConsensusError> {
    let status = Arc::new(Status::default());
    let keypair = Keypair::ed25519_from_bytes(network.node_secret)
        .map_err(|error| ConsensusError::NodeKey(error.to_string()))?;
    let key = voter.as_ref().map(|voter| Arc::clone(&voter.key));
    let signer = voter.map(|voter| EngineSigner::new(domain, voter, Arc::clone(&status)));
    let verifier = EngineVerifier { domain };
    let (identity, consensus) = match (signer, &key) {
        (Some(signer), Some(key)) => {
            let account = Account(key.account());
            let proof = signer
                .sign_validator_proof(
                    Recoverable::encode_public_key(&account),
                    keypair.public().to_peer_id().to_bytes(),
                )
                .await
                .map_err(|error| ConsensusError::Engine(error.to_string()))?;
            let proof = Codec.encode(&proof).map_err(ApplicationError::from)?;
            let name = network.name.clone();
            let identity =
                NetworkIdentity::new_validator(name, keypair, account.to_string(), proof);
            let context =
                ConsensusContext::new_validator(account, Box::new(verifier), Box::new(signer));
            (identity, context)
        }
        _ => {
            let identity = NetworkIdentity::new(network.name.clone(), keypair, None);
            let nobody = Account(alloy_primitives::Address::ZERO);
            let context = ConsensusContext::new_full_node(nobody, Box::new(verifier));
            (identity, context)
        }
    };
    let started = start_engine(
        Assay,
        config(&domain, network),
        WalContext::new(settings.log.clone(), Codec),
        NetworkContext::new(identity, Codec),
        consensus,
        SyncContext::new(Codec),
        RequestContext::new(REQUESTS),
    );
    let (channels, handle) = started
        .await
        .map_err(|error| ConsensusError::Engine(format!("{error:#}")))?;
    let Channels {
        consensus, network, ..
    } = channels;
    let choices = Choices {
        timeouts: timeouts(settings),
        interval: settings.block_interval,
        machine: settings.machine.clone(),
        clock: Arc::new(MachineClock),
    };
    let application = Application::new(
        chain,
        machine,
        waiting,
        key,
        domain,
        choices,
        Arc::clone(&status),
        network,
    )?;
    let (ending, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name("application".into())
        .spawn(move || {
            application.run(consensus);
            drop(ending);
        })
        .map_err(ConsensusError::Thread)?;
    Ok(Running {
        application: ended,
        handle: EngineHandleDebug(handle),
        status,
    })
}

pub(crate) fn timeouts(settings: &Settings) -> LinearTimeouts {
    let (propose, vote) = (settings.propose_timeout, settings.vote_timeout);
    LinearTimeouts {
        propose,
        propose_delta: propose / 4,
        prevote: vote,
        prevote_delta: vote / 2,
        precommit: vote,
        precommit_delta: vote / 2,
        rebroadcast: propose + vote + vote,
        ..LinearTimeouts::default()
    }
}

fn config(domain: &Domain, network: &Network) -> Config {
    let mut consensus = ConsensusConfig {
        value_payload: ValuePayload::ProposalAndParts,
        p2p: P2pConfig {
            listen_addr: address(&network.peers.listen),
            persistent_peers: network.peers.known.iter().map(address).collect(),
            discovery: DiscoveryConfig {
                enabled: network.peers.discover,
                max_connections_per_ip: CONNECTIONS_PER_ADDRESS,
                ip_throttle_duration: Duration::ZERO,
                ..DiscoveryConfig::default()
            },
            protocol_names: protocols(domain),
            ..P2pConfig::default()
        },
        ..ConsensusConfig::default()
    };
    consensus.p2p.pubsub_max_size = size(GOSSIP_SIZE);
    consensus.p2p.rpc_max_size = size(SYNC_SIZE);
    let sync = ValueSyncConfig {
        enabled: true,
        status_update_interval: Duration::from_secs(5),
        max_response_size: size(SYNC_SIZE),
        batch_size: SYNC_BATCH,
        ..ValueSyncConfig::default()
    };
    Config {
        name: network.name.clone(),
        consensus,
        sync,
    }
}

fn size<T: std::str::FromStr>(text: &str) -> T {
    let parsed = text.parse().ok();
    parsed.expect("invariant: the sizes above are written as the engine reads them")
}

/// Names the protocols after the chain, so that nodes of different chains have none in common.
fn protocols(domain: &Domain) -> ProtocolNames {
    let chain = hex::encode(domain.genesis_hash.get(..8).unwrap_or_default());
    let name = |what: &str| format!("/assay/{chain}/{what}/1");
    ProtocolNames {
        consensus: name("consensus"),
        discovery_kad: name("discovery/kad"),
        discovery_regres: name("discovery/peers"),
        sync: name("sync"),
        validator_proof: name("validator"),
    }
}

fn address(address: &SocketAddr) -> Multiaddr {
    let family = if address.is_ipv4() { "ip4" } else { "ip6" };
    format!("/{family}/{}/tcp/{}", address.ip(), address.port())
        .parse()
        .expect("invariant: an address and a port make a multiaddress")
}

/// Names the engine's log inside a data directory.
#[must_use]
pub fn log_in(folder: &Path) -> PathBuf {
    folder.join("consensus.wal")
}
