//! `assay localnet`: a network on one machine, each validator a process of its own.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use alloy_primitives::{U256, hex};
use alloy_signer_local::PrivateKeySigner;
use assay_chain::{ChainGenesis, Founder, Founders, Models};
use assay_dev::{Accounts, DEFAULT_MNEMONIC, pin_examples};
use assay_runtime::Limits as ModelLimits;
use assay_state::ModelStore;
use assay_types::{AssayParams, spec::DEFAULT_BLOCK_GAS_LIMIT};
use clap::Args;
use rand::RngCore as _;
use serde_json::json;

use super::config::{Config, Consensus, Gossip, History, Keys, Rpc};
use crate::{
    cli::Failure,
    client::{self, Client},
    genesis, keys, serve,
};

/// Longest wait for the first block.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest wait for a node that was told to stop.
const FAREWELL: Duration = Duration::from_secs(15);
/// Balance of the validators and the usual development accounts, in ether.
const BALANCE: u64 = 10_000;
/// Development accounts that begin rich.
const ACCOUNTS: u32 = 10;
/// Voting power of each validator.
const POWER: u64 = 100;

#[derive(Args)]
pub(crate) struct Options {
    /// Validators, each a process of its own.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    validators: u8,
    /// Folder of the network; without it a temporary one. A folder with a network goes on.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Keep the temporary folder when the network stops.
    #[arg(long)]
    keep: bool,
    /// Chain id.
    #[arg(long, default_value_t = assay_dev::DEFAULT_CHAIN_ID)]
    chain_id: u64,
    /// Milliseconds from one block to the next.
    #[arg(long, default_value_t = 1_000)]
    block_interval_ms: u64,
    /// Milliseconds a proposer has in the first round.
    #[arg(long, default_value_t = 3_000)]
    propose_timeout_ms: u64,
    /// Prepare the folder and stop: run the nodes yourself with `assay node run`.
    #[arg(long, requires = "dir")]
    prepare: bool,
}

/// A validator of the network: its folder and its ports.
struct Member {
    folder: PathBuf,
    rpc: SocketAddr,
}

/// Validators that run; they are told to stop when this is dropped.
struct Network(Vec<Child>);

/// Runs a network until it is told to stop.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let (folder, temporary) = match &options.dir {
        Some(folder) => (folder.clone(), false),
        None => (temporary_folder()?, true),
    };
    let members = match folder.join("genesis.json").exists() {
        true => reopen(&folder)?,
        false => prepare(options, &folder)?,
    };
    if options.prepare {
        for member in &members {
            println!(
                "assay node run --examples --config {}",
                member.folder.join("config.toml").display()
            );
        }
        return Ok(());
    }
    let outcome = serve(&members, &folder);
    if temporary && !options.keep && outcome.is_ok() {
        std::fs::remove_dir_all(&folder).map_err(|error| unusable(&folder, &error))?;
    } else {
        println!("kept {}", folder.display());
    }
    outcome
}

fn serve(members: &[Member], folder: &Path) -> Result<(), Failure> {
    let mut network = Network::start(members)?;
    let began = Instant::now();
    println!("{} validators, logs in {}", members.len(), folder.display());
    for member in members {
        let client = Client::new(&format!("http://{}", member.rpc))?;
        let head = network.first_block(&client, began)?;
        println!(
            "  {:<8} http://{}  block {head}",
            name(&member.folder),
            member.rpc
        );
    }
    println!(
        "deciding blocks after {:.1} s; Ctrl-C stops",
        began.elapsed().as_secs_f64()
    );
    serve::block_on(async { network.wait().await })
}

impl Network {
    fn start(members: &[Member]) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(Failure::failed)?;
        let mut network = Self(Vec::new());
        for member in members {
            let path = member.folder.join("log");
            let log = File::options()
                .create(true)
                .append(true)
                .open(&path)
                .map_err(|error| unusable(&path, &error))?;
            let output = log.try_clone().map_err(|error| unusable(&path, &error))?;
            let child = Command::new(&program)
                .args(["node", "run", "--examples", "--config"])
                .arg(member.folder.join("config.toml"))
                .stdin(Stdio::null())
                .stdout(output)
                .stderr(log)
                .spawn()
                .map_err(|error| unusable(&program, &error))?;
            network.0.push(child);
        }
        Ok(network)
    }

    /// Waits until a node has the first decided block.
    fn first_block(&mut self, client: &Client, began: Instant) -> Result<u64, Failure> {
        loop {
            self.check()?;
            let head = client.call("eth_blockNumber", json!([])).ok();
            match head.and_then(|head| client::number(&head, "block number").ok()) {
                Some(head) if head > 0 => return Ok(head),
                _ if began.elapsed() > PATIENCE => {
                    return Err(Failure::failed(format!(
                        "no block after {} s",
                        PATIENCE.as_secs()
                    ))
                    .hint("read the logs named above"));
                }
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    fn check(&mut self) -> Result<(), Failure> {
        for (index, child) in self.0.iter_mut().enumerate() {
            if let Some(status) = child.try_wait().map_err(Failure::failed)? {
                return Err(
                    Failure::failed(format!("validator {index} ended: {status}"))
                        .hint("read its log"),
                );
            }
        }
        Ok(())
    }

    /// Waits until the process is told to stop, or a validator ends.
    async fn wait(&mut self) -> Result<(), Failure> {
        let watch = async {
            // Ends only when a validator did.
            loop {
                self.check()?;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        tokio::select! {
            stopped = serve::stopped() => stopped,
            ended = watch => ended,
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // As Ctrl-C does, so that each ends in order. A node that is gone needs no telling.
            let _ = Command::new("kill")
                .args(["-TERM", &child.id().to_string()])
                .status();
        }
        let deadline = Instant::now() + FAREWELL;
        for child in &mut self.0 {
            while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Makes keys, genesis and configurations of a network.
fn prepare(options: &Options, folder: &Path) -> Result<Vec<Member>, Failure> {
    let count = usize::from(options.validators);
    let addresses = free_addresses(3 * count)?;
    let (voting, rest) = addresses.split_at(count);
    let (rpc, gossip) = rest.split_at(count);
    let mut founders = Vec::new();
    let mut members = Vec::new();
    let mut funded = Vec::new();
    let balance = U256::from(BALANCE).saturating_mul(U256::from(10).pow(U256::from(18)));
    for (index, ((listen, rpc), gossiping)) in voting.iter().zip(rpc).zip(gossip).enumerate() {
        let home = folder.join(format!("node-{index}"));
        let key = make_keys(&home)?;
        founders.push(Founder {
            account: key.address(),
            public_key: keys::public_key(&key),
            power: POWER,
        });
        funded.push((key.address(), balance));
        let others = |all: &[SocketAddr], own: &SocketAddr| {
            let others = all.iter().copied().filter(|peer| peer != own);
            others.collect::<Vec<_>>()
        };
        let ports = Ports {
            voting: (*listen, others(voting, listen)),
            gossip: (*gossiping, others(gossip, gossiping)),
            rpc: *rpc,
        };
        config(options, index, ports).write(&home.join("config.toml"))?;
        members.push(Member {
            folder: home,
            rpc: *rpc,
        });
    }
    let accounts = Accounts::derive(DEFAULT_MNEMONIC, ACCOUNTS).map_err(Failure::failed)?;
    let accounts = accounts.addresses();
    funded.extend(accounts.iter().map(|address| (*address, balance)));
    let models = Models::new(
        ModelStore::in_memory(),
        ModelLimits::default(),
        AssayParams::default(),
    );
    let genesis = ChainGenesis {
        chain_id: options.chain_id,
        timestamp: serve::machine_time(),
        gas_limit: DEFAULT_BLOCK_GAS_LIMIT,
        base_fee: genesis::BASE_FEE,
        params: AssayParams::default(),
        accounts: funded,
        models: pin_examples(&models).map_err(Failure::failed)?,
        example_contract: true,
        founders: Founders {
            validators: founders,
            admin: accounts.first().copied(),
            epoch_blocks: genesis::EPOCH_BLOCKS,
        },
    };
    let genesis = genesis.build().map_err(Failure::failed)?;
    let text = serde_json::to_string_pretty(genesis.file()).map_err(Failure::failed)?;
    // Last: a folder with a genesis is a whole network.
    let path = folder.join("genesis.json");
    crate::file::write_whole(&path, text.as_bytes()).map_err(|error| unusable(&path, &error))?;
    Ok(members)
}

/// Where a member listens, and where its peers do.
struct Ports {
    voting: (SocketAddr, Vec<SocketAddr>),
    gossip: (SocketAddr, Vec<SocketAddr>),
    rpc: SocketAddr,
}

fn config(options: &Options, index: usize, ports: Ports) -> Config {
    Config {
        name: format!("node-{index}"),
        genesis: "../genesis.json".into(),
        data: "data".into(),
        keys: Keys {
            node: "keys/node".into(),
            validator: Some("keys/validator.json".into()),
            password_file: Some("keys/password".into()),
            signed: "keys/signed".into(),
        },
        consensus: Consensus {
            listen: ports.voting.0,
            peers: ports.voting.1,
            discover: false,
            propose_timeout_ms: options.propose_timeout_ms,
            vote_timeout_ms: 1_000,
            block_interval_ms: options.block_interval_ms,
        },
        network: Gossip {
            listen: ports.gossip.0,
            peers: ports.gossip.1,
            only_models: None,
            models_up_to_bytes: None,
        },
        rpc: Rpc {
            listen: ports.rpc,
            uploads: None,
        },
        history: History::default(),
    }
}

/// Finds the members of a network made before.
fn reopen(folder: &Path) -> Result<Vec<Member>, Failure> {
    let mut members = Vec::new();
    loop {
        let home = folder.join(format!("node-{}", members.len()));
        let path = home.join("config.toml");
        if !path.exists() {
            return Ok(members);
        }
        let rpc = Config::read(&path)?.rpc.listen;
        members.push(Member { folder: home, rpc });
    }
}

fn make_keys(home: &Path) -> Result<PrivateKeySigner, Failure> {
    let folder = home.join("keys");
    std::fs::create_dir_all(&folder).map_err(|error| unusable(&folder, &error))?;
    let mut secret = [0; 32];
    rand::rngs::OsRng.fill_bytes(&mut secret);
    keys::write_secret(&folder.join("node"), &hex::encode(secret))?;
    let mut password = [0; 16];
    rand::rngs::OsRng.fill_bytes(&mut password);
    let password = hex::encode(password);
    keys::write_secret(&folder.join("password"), &password)?;
    let key = PrivateKeySigner::random();
    keys::create(&folder.join("validator.json"), &key, &password)?;
    Ok(key)
}

/// Takes ports that are free now, all at once so that none comes twice.
fn free_addresses(count: usize) -> Result<Vec<SocketAddr>, Failure> {
    let listeners = (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0)));
    let listeners: Vec<TcpListener> = listeners
        .collect::<Result<_, _>>()
        .map_err(Failure::failed)?;
    let addresses = listeners.iter().map(TcpListener::local_addr);
    addresses.collect::<Result<_, _>>().map_err(Failure::failed)
}

fn temporary_folder() -> Result<PathBuf, Failure> {
    let mut random = [0; 8];
    rand::rngs::OsRng.fill_bytes(&mut random);
    let folder = std::env::temp_dir().join(format!("assay-localnet-{}", hex::encode(random)));
    std::fs::create_dir_all(&folder).map_err(|error| unusable(&folder, &error))?;
    Ok(folder)
}

fn name(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
}
