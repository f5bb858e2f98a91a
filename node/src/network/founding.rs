//! Networks on one machine: keys, genesis and configurations of every member, written to a folder.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use alloy_primitives::{Address, U256, hex};
use alloy_signer_local::PrivateKeySigner;
use assay_chain::{ChainGenesis, Founder, Founders, Models};
use assay_dev::{Accounts, DEFAULT_MNEMONIC, pin_examples};
use assay_runtime::Limits as ModelLimits;
use assay_state::ModelStore;
use assay_types::AssayParams;
use rand::RngCore as _;

use super::config::{Config, Consensus, Gossip, History, Keys, Rpc};
use crate::{cli::Failure, genesis, keys, serve};

/// Balance of the validators and the usual development accounts, in ether.
const BALANCE: u64 = 10_000;
/// Development accounts that begin rich.
const ACCOUNTS: u32 = 10;
/// Voting power of each validator.
pub(crate) const POWER: u64 = 100;

/// What a network on this machine is made of.
pub(crate) struct Plan {
    pub(crate) validators: u8,
    pub(crate) chain_id: u64,
    pub(crate) block_interval_ms: u64,
    pub(crate) propose_timeout_ms: u64,
    /// The example models are active from the first block.
    pub(crate) examples: bool,
}

/// A validator of the network: its folder and where it answers.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) folder: PathBuf,
    pub(crate) rpc: SocketAddr,
    /// The account its key signs with; known to whoever made the key.
    pub(crate) account: Option<Address>,
}

impl Member {
    /// Returns the name of its folder.
    pub(crate) fn name(&self) -> String {
        let name = self.folder.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Returns the address its RPC answers at.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.rpc)
    }

    /// Returns its configuration's path.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join("config.toml")
    }
}

/// Makes keys, genesis and configurations of a network.
pub(crate) fn found(plan: &Plan, folder: &Path) -> Result<Vec<Member>, Failure> {
    let count = usize::from(plan.validators);
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
        config(plan, index, ports).write(&home.join("config.toml"))?;
        members.push(Member {
            folder: home,
            rpc: *rpc,
            account: Some(key.address()),
        });
    }
    let accounts = Accounts::derive(DEFAULT_MNEMONIC, ACCOUNTS).map_err(Failure::failed)?;
    let accounts = accounts.addresses();
    funded.extend(accounts.iter().map(|address| (*address, balance)));
    let models = match plan.examples {
        true => example_models()?,
        false => Vec::new(),
    };
    let founders = Founders {
        validators: founders,
        admin: accounts.first().copied(),
        epoch_blocks: genesis::EPOCH_BLOCKS,
    };
    let genesis = ChainGenesis {
        accounts: funded,
        models,
        example_contract: plan.examples,
        ..ChainGenesis::new(plan.chain_id, serve::machine_time(), founders)
    };
    let genesis = genesis.build().map_err(Failure::failed)?;
    let text = serde_json::to_string_pretty(genesis.file()).map_err(Failure::failed)?;
    // Last: a folder with a genesis is a whole network.
    let path = folder.join("genesis.json");
    crate::file::write_whole(&path, text.as_bytes()).map_err(|error| unusable(&path, &error))?;
    Ok(members)
}

/// Lists the example models: their identities go into the genesis, their bytes are the binary's.
fn example_models() -> Result<Vec<assay_chain::Held>, Failure> {
    let (store, limits) = (ModelStore::in_memory(), ModelLimits::default());
    let models = Models::new(store, limits, AssayParams::default());
    pin_examples(&models).map_err(Failure::failed)
}

/// Where a member listens, and where its peers do.
struct Ports {
    voting: (SocketAddr, Vec<SocketAddr>),
    gossip: (SocketAddr, Vec<SocketAddr>),
    rpc: SocketAddr,
}

fn config(plan: &Plan, index: usize, ports: Ports) -> Config {
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
            propose_timeout_ms: plan.propose_timeout_ms,
            vote_timeout_ms: 1_000,
            block_interval_ms: plan.block_interval_ms,
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
pub(crate) fn reopen(folder: &Path) -> Result<Vec<Member>, Failure> {
    let mut members = Vec::new();
    loop {
        let home = folder.join(format!("node-{}", members.len()));
        let path = home.join("config.toml");
        if !path.exists() {
            return Ok(members);
        }
        let rpc = Config::read(&path)?.rpc.listen;
        members.push(Member {
            folder: home,
            rpc,
            account: None,
        });
    }
}

/// Makes the keys of a node in its folder: its own, the validator's, and its password.
pub(crate) fn make_keys(home: &Path) -> Result<PrivateKeySigner, Failure> {
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

/// Makes a folder for a network that ends with its process.
pub(crate) fn temporary_folder(what: &str) -> Result<PathBuf, Failure> {
    let mut random = [0; 8];
    rand::rngs::OsRng.fill_bytes(&mut random);
    let folder = std::env::temp_dir().join(format!("assay-{what}-{}", hex::encode(random)));
    std::fs::create_dir_all(&folder).map_err(|error| unusable(&folder, &error))?;
    Ok(folder)
}

pub(crate) fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
}
