//! `assay node run`: a node of a network: it follows, recomputes and, with a key, votes.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256};
use assay_chain::{Chain, Models, PreExecution, Refusal, TransactionSource};
use assay_consensus::{
    KeyFile, Network, Peers, Running, Settings, Sign, ValidatorKey, Voter, Waiting, log_in,
};
use assay_dev::{FromPool, pin_examples};
use assay_library::{Attester, Door, Librarian, SignFailed};
use assay_network::{Multiaddr, Network as Gossip, NodeKey};
use assay_pool::{Limits, Pool};
use assay_rpc::Backend;
use assay_runtime::{Limits as ModelLimits, numerics::selftest};
use assay_state::{ModelStore, Store};
use assay_types::{Domain, Genesis, RecoveredBlock, Transaction};
use clap::Args;

use super::config::Config;
use crate::{cli::Failure, disk, keys, limits::RpcLimits, serve};

#[derive(Args)]
pub(crate) struct Run {
    /// The node's configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Begin with the example models in the store, as `assay localnet` does.
    #[arg(long)]
    examples: bool,
    /// Write logs as JSON, one object a line.
    #[arg(long)]
    log_json: bool,
    #[command(flatten)]
    limits: RpcLimits,
}

/// The pool, as the proposer sees it.
struct FromThePool(Arc<Pool>);

/// The pool as one block takes from it; what the block refused for good leaves the pool.
struct Offer<'a> {
    source: FromPool,
    pool: &'a Pool,
}

impl TransactionSource for Offer<'_> {
    fn next(&mut self) -> Option<(Transaction, Address)> {
        self.source.next()
    }

    fn refused(&mut self, hash: B256, sender: Address, refusal: Refusal) {
        self.source.refused(hash, sender, refusal);
    }
}

impl Drop for Offer<'_> {
    fn drop(&mut self) {
        for hash in self.source.refused_for_good() {
            self.pool.remove(hash);
        }
    }
}

impl Waiting for FromThePool {
    fn open(&self, base_fee: Option<u64>) -> Box<dyn TransactionSource + '_> {
        Box::new(Offer {
            source: FromPool::new(&self.0, base_fee),
            pool: &self.0,
        })
    }

    fn settle(&self, block: &RecoveredBlock) {
        self.0.settle(block.transactions());
    }
}

/// Runs a node until it is told to stop.
pub(crate) fn run(options: &Run) -> Result<(), Failure> {
    log_to_stderr(options.log_json);
    let config = Config::read(&options.config)?;
    require_disks(&config)?;
    let (chain, domain) = open(&config, options.examples)?;
    let voter = voter(&config)?;
    let machine = check_machine(voter.is_some())?;
    let pool = Arc::new(Pool::new(Limits::default()));
    serve::block_on(async {
        let network = Network {
            node_secret: keys::read_secret(&config.keys.node)?,
            name: config.name.clone(),
            peers: Peers {
                listen: config.consensus.listen,
                known: config.consensus.peers.clone(),
                discover: config.consensus.discover,
            },
        };
        require_free(config.consensus.listen)?;
        let [propose_timeout, vote_timeout, block_interval] = config.consensus.times();
        let settings = Settings {
            propose_timeout,
            vote_timeout,
            block_interval,
            log: log_in(&config.data),
            machine,
        };
        let preexecution = PreExecution::start(&chain).map_err(Failure::failed)?;
        let uploads = config
            .rpc
            .uploads
            .unwrap_or_else(|| config.rpc.listen.ip().is_loopback());
        let gossip_key = NodeKey::from_seed(network.node_secret).map_err(Failure::failed)?;
        let attester = voter.as_ref().map(|voter| attester(Arc::clone(&voter.key)));
        let waiting = FromThePool(Arc::clone(&pool));
        let chain_of_votes = Arc::clone(&chain);
        let mut voting =
            assay_consensus::start(chain_of_votes, domain, waiting, voter, &network, &settings)
                .await
                .map_err(Failure::failed)?;
        let travel = Arc::new(OnceLock::new());
        let votes = Votes {
            status: Arc::clone(voting.status()),
            travel: Arc::clone(&travel),
            data: config.data.clone(),
        };
        let backend = Backend::new(
            Arc::clone(&chain),
            Arc::clone(&pool),
            options.limits.calls(),
        )
        .accept_uploads(uploads)
        .pre_execute(preexecution)
        .watch_votes(Arc::new(votes));
        let backend = Arc::new(backend);
        let gossip = start_gossip(&config, gossip_key, domain, &chain, &pool, &backend).await?;
        let librarian = Librarian::start(
            Arc::clone(&chain),
            pool,
            gossip.clone(),
            config.network.policy(),
            attester,
        );
        // Read by whoever asks for numbers, from now on.
        let _ = travel.set(Travel {
            network: gossip.clone(),
            librarian,
        });
        let listen = config.rpc.listen;
        let server = options.limits.server(listen.ip(), listen.port());
        let (address, handle) = assay_rpc::start(backend, server).await.map_err(|error| {
            Failure::failed(error).hint("another rpc.listen, or stop what listens on this one")
        })?;
        let head = chain.head();
        tracing::info!(
            name = config.name,
            rpc = %address,
            consensus = %config.consensus.listen,
            network = %config.network.listen,
            genesis = %domain.genesis_hash,
            chain_id = domain.chain_id,
            head = head.header.number,
            "started"
        );
        println!("Listening on {address}");
        let outcome = wait(&mut voting, &config).await;
        let _ = handle.stop();
        voting.stop().await;
        gossip.stop().await;
        tracing::info!(head = chain.head().header.number, "stopped");
        outcome
    })
}

async fn wait(voting: &mut Running, config: &Config) -> Result<(), Failure> {
    tokio::select! {
        stopped = serve::stopped() => return stopped,
        () = voting.ended() => {}
    }
    // A disk that fails shows itself in whatever is written next: name the disk, not the writer.
    require_disks(config)?;
    let why = voting.status().failed().unwrap_or("the log above says why");
    Err(Failure::failed(format!("voting ended: {why}"))
        .hint("start the node again: it goes on where it ended"))
}

/// Refuses to go on without a disk that takes what is written.
fn require_disks(config: &Config) -> Result<(), Failure> {
    disk::require_writable(&config.data, "data")?;
    match config.keys.signed.parent() {
        Some(folder) if config.keys.validator.is_some() => {
            disk::require_writable(folder, "folder of keys.signed")
        }
        _ => Ok(()),
    }
}

/// Makes what promises that models are here of the validator's key.
fn attester(key: Arc<dyn Sign>) -> Attester {
    let account = key.account();
    Attester::new(account, move |digest| {
        key.sign(digest)
            .map_err(|error| SignFailed(error.to_string()))
    })
}

/// Starts the network of transactions and models, and lets it and the backend know each other.
async fn start_gossip(
    config: &Config,
    key: NodeKey,
    domain: Domain,
    chain: &Arc<Chain>,
    pool: &Arc<Pool>,
    backend: &Arc<Backend>,
) -> Result<Gossip, Failure> {
    let listen = multiaddress(&config.network.listen)?;
    let mut settings =
        assay_network::Config::new(key, domain.chain_id, domain.genesis_hash, listen);
    let peers = config.network.peers.iter().map(multiaddress);
    settings.peers = peers.collect::<Result<_, _>>()?;
    settings.exchange = config.consensus.discover;
    let listeners = Arc::clone(backend);
    let door = Door::new(Arc::clone(chain), Arc::clone(pool))
        .on_admitted(move |transaction, sender| listeners.admitted_elsewhere(transaction, sender));
    let gossip = Gossip::start(settings, Arc::new(door))
        .await
        .map_err(Failure::failed)?;
    let sender = gossip.clone();
    backend.forward_with(move |transaction| {
        // This node includes it in any case; a full queue is no client's fault.
        if let Err(error) = sender.broadcast(transaction.encoded_2718().into()) {
            tracing::warn!(%error, "transaction not passed on");
        }
    });
    Ok(gossip)
}

fn multiaddress(address: &std::net::SocketAddr) -> Result<Multiaddr, Failure> {
    let family = if address.is_ipv4() { "ip4" } else { "ip6" };
    format!("/{family}/{}/tcp/{}", address.ip(), address.port())
        .parse()
        .map_err(Failure::failed)
}

/// What travels between nodes, once it does.
#[derive(Debug)]
struct Travel {
    network: Gossip,
    librarian: Option<Librarian>,
}

/// What RPC shows of voting, and of what travels.
#[derive(Debug)]
struct Votes {
    status: Arc<assay_consensus::Status>,
    travel: Arc<OnceLock<Travel>>,
    /// Folder of the chain and the models.
    data: PathBuf,
}

impl assay_rpc::Votes for Votes {
    fn counters(&self) -> Vec<(&'static str, u64)> {
        self.status.counters()
    }

    fn validates(&self) -> bool {
        self.status
            .validates
            .load(std::sync::atomic::Ordering::Relaxed)
    }

    fn stopped(&self) -> Option<String> {
        self.status.stopped().map(str::to_owned)
    }

    fn engine_metrics(&self) -> String {
        assay_consensus::engine_metrics()
    }

    fn disk_free_bytes(&self) -> Option<u64> {
        disk::free_bytes(&self.data)
    }

    fn traffic(&self) -> Vec<(&'static str, u64)> {
        let Some(travel) = self.travel.get() else {
            return Vec::new();
        };
        let counts = travel.network.counters();
        let missing = travel.librarian.as_ref().map(Librarian::missing);
        vec![
            ("peers", travel.network.peers().len() as u64),
            ("models_missing", missing.unwrap_or_default().len() as u64),
            ("models_fetched", counts.models_fetched),
            ("transactions_received", counts.transactions_received),
            ("transactions_forwarded", counts.transactions_forwarded),
            ("transactions_rejected", counts.transactions_rejected),
            ("transactions_sent", counts.transactions_sent),
        ]
    }
}

fn open(config: &Config, examples: bool) -> Result<(Arc<Chain>, Domain), Failure> {
    let text = std::fs::read_to_string(&config.genesis)
        .map_err(|error| Failure::failed(format!("{}: {error}", config.genesis.display())))?;
    let genesis = Genesis::from_json(&text)
        .map_err(|error| Failure::failed(format!("{}: {error}", config.genesis.display())))?;
    let params = genesis.spec.assay.clone().ok_or_else(|| {
        Failure::failed(format!(
            "{}: no section config.assay: not a network's genesis",
            config.genesis.display()
        ))
    })?;
    let store = Store::open(&config.data)
        .map_err(Failure::failed)?
        .with_history(config.history.blocks);
    let models = ModelStore::open(&config.data)
        .map_err(|error| Failure::failed(format!("{}: {error}", config.data.display())))?;
    let models = Models::new(models, ModelLimits::default(), params);
    if examples {
        pin_examples(&models).map_err(Failure::failed)?;
    }
    let chain = Chain::open(&genesis, store).map_err(Failure::failed)?;
    let chain = Arc::new(chain.with_models(Arc::new(models)));
    let genesis_hash = chain
        .reader()
        .and_then(|reader| Ok(reader.hash(0)?.unwrap_or(B256::ZERO)))
        .map_err(Failure::failed)?;
    let domain = Domain {
        genesis_hash,
        chain_id: chain.spec().chain_id,
    };
    Ok((chain, domain))
}

/// Opens the validator's key and its log of signatures.
fn voter(config: &Config) -> Result<Option<Voter>, Failure> {
    let Some(path) = &config.keys.validator else {
        return Ok(None);
    };
    let password = keys::password(config.keys.password_file.as_deref())?;
    let key = keys::decrypt(path, &password)?;
    let key = ValidatorKey::new(&key.to_bytes().0)
        .ok_or_else(|| Failure::failed(format!("{}: no key", path.display())))?;
    let last = KeyFile::new(&config.keys.signed)
        .open()
        .map_err(Failure::failed)?;
    Ok(Some(Voter {
        key: Arc::new(key),
        last,
    }))
}

/// Compares this machine's bits with the golden digests before it may vote.
fn check_machine(votes: bool) -> Result<String, Failure> {
    let outcomes = selftest::run(&assay_runtime::numerics::Engine::single());
    let wrong: Vec<&str> = outcomes
        .iter()
        .filter(|one| !one.passed())
        .map(|one| one.rule)
        .collect();
    let digest = selftest::digest(&outcomes);
    let isa = assay_runtime::numerics::Engine::single().isa().name();
    if votes && !wrong.is_empty() {
        return Err(Failure::failed(format!(
            "this machine computes other bits than the specification in {}: it must not vote",
            wrong.join(", ")
        ))
        .hint("assay model selftest"));
    }
    Ok(format!("{isa}, kernels {digest:016x}"))
}

/// Says plainly that a port is taken: the engine would only log it.
fn require_free(listen: std::net::SocketAddr) -> Result<(), Failure> {
    std::net::TcpListener::bind(listen)
        .map(drop)
        .map_err(|error| {
            Failure::failed(format!("consensus.listen {listen}: {error}"))
                .hint("another port in the configuration, or stop what listens there")
        })
}

fn log_to_stderr(json: bool) {
    use tracing_subscriber::{EnvFilter, fmt};
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("warn,assay=info,assay_consensus=info,assay_network=info,assay_library=info,libp2p_gossipsub=error"));
    let layer = fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    // Set once: a second subscriber is refused, and the first goes on.
    let _ = match json {
        true => layer.json().try_init(),
        false => layer.try_init(),
    };
}
