//! `assay node run`: a node of a network: it follows, recomputes and, with a key, votes.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256};
use assay_chain::{Chain, PreExecution, Refusal, TransactionSource};
use assay_consensus::{Network, Peers, Running, Settings, Sign, Waiting, log_in};
use assay_dev::FromPool;
use assay_library::{Attester, Door, Librarian, SignFailed};
use assay_network::{Multiaddr, Network as Gossip, NodeKey};
use assay_pool::{Limits, Pool};
use assay_rpc::{Backend, Promised};
use assay_types::{Domain, RecoveredBlock, Transaction};
use clap::Args;

use super::{
    config::Config,
    preflight::{
        check_machine, open, require_disks, require_ports, require_speed, voter, warn_of_stranger,
    },
    repeat,
};
use crate::{cli::Failure, disk, keys, limits::RpcLimits, serve};

#[derive(Args)]
pub(crate) struct Run {
    /// The node's configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Begin with the example models in the store, as `assay localnet` does.
    #[arg(long)]
    examples: bool,
    /// Vote without measuring whether this machine is fast enough for the chain's blocks.
    #[arg(long)]
    skip_doctor: bool,
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
    require_ports(&config)?;
    let (chain, domain) = open(&config, options.examples)?;
    let voter = voter(&config)?;
    let machine = check_machine(voter.is_some())?;
    if let Some(voter) = &voter {
        warn_of_stranger(&chain, voter.key.account())?;
        require_speed(&config, chain.head().header.gas_limit, options.skip_doctor)?;
    }
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
        repeat::start(Arc::clone(&pool), gossip.clone());
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

    fn attestations(&self) -> Vec<Promised> {
        let librarian = self.travel.get().and_then(|all| all.librarian.as_ref());
        let signed = librarian.map(Librarian::attestations).unwrap_or_default();
        let shown = signed.into_iter().map(|one| Promised {
            model: one.model,
            signature: one.signature.into(),
            transaction: one.sent,
        });
        shown.collect()
    }

    fn disk_free_bytes(&self) -> Option<u64> {
        disk::free_bytes(&self.data)
    }

    fn traffic(&self) -> Vec<(&'static str, u64)> {
        let Some(travel) = self.travel.get() else {
            return Vec::new();
        };
        let missing = travel.librarian.as_ref().map(Librarian::missing);
        let mut numbers = travel.network.counters().named();
        numbers.push(("peers", travel.network.peers().len() as u64));
        numbers.push(("models_missing", missing.unwrap_or_default().len() as u64));
        numbers
    }
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
