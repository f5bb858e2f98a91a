//! What must hold before a node runs: files that are right, disks, ports, arithmetic and speed. Each
//! refusal names what was found and what to do.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use alloy_primitives::{Address, B256};
use assay_chain::{Chain, Models};
use assay_consensus::{KeyFile, ValidatorKey, Voter};
use assay_dev::pin_examples;
use assay_runtime::{Limits as ModelLimits, numerics::selftest};
use assay_state::{ModelStore, StateError, Store};
use assay_types::{Domain, Genesis, StateView as _, validators::set_at};

use super::config::Config;
use crate::{cli::Failure, disk, doctor::speed::Speed, keys};

/// What to do about a genesis that is missing or wrong.
const GENESIS: &str = "ask whoever founded the network for its genesis.json, the same file on every node; `assay genesis` makes one";

/// Opens the chain and the models of a configuration.
pub(super) fn open(config: &Config, examples: bool) -> Result<(Arc<Chain>, Domain), Failure> {
    let genesis = read_genesis(&config.genesis)?;
    let params = genesis.spec.assay.clone().ok_or_else(|| {
        Failure::failed(format!(
            "{}: no section config.assay: not a network's genesis",
            config.genesis.display()
        ))
        .hint(GENESIS)
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
    let chain = Chain::open(&genesis, store).map_err(|error| match error {
        assay_chain::ChainError::Store(StateError::Genesis { found, wanted }) => {
            Failure::failed(format!(
                "{} begins with block {wanted}, and the chain in {} with {found}",
                config.genesis.display(),
                config.data.display()
            ))
            .hint("the genesis of this node's network, or another folder for data")
        }
        error => Failure::failed(error),
    })?;
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
pub(super) fn voter(config: &Config) -> Result<Option<Voter>, Failure> {
    let Some(path) = &config.keys.validator else {
        return Ok(None);
    };
    let password = keys::password(config.keys.password_file.as_deref())?;
    let key = keys::decrypt(path, &password)?;
    let key = ValidatorKey::new(&key.to_bytes().0)
        .ok_or_else(|| Failure::failed(format!("{}: no key", path.display())))?;
    let last = KeyFile::new(&config.keys.signed).open().map_err(|error| {
        Failure::failed(error).hint(
            "name in keys.signed the log this key was used with; a new one only when the chain is past all that the key may have signed",
        )
    })?;
    Ok(Some(Voter {
        key: Arc::new(key),
        last,
    }))
}

/// Compares this machine's bits with the golden digests before it may vote.
pub(super) fn check_machine(votes: bool) -> Result<String, Failure> {
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

/// Reads the genesis of a network.
pub(crate) fn read_genesis(path: &Path) -> Result<Genesis, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::failed(format!("genesis {}: {error}", path.display())).hint(GENESIS)
    })?;
    Genesis::from_json(&text).map_err(|error| {
        Failure::failed(format!("genesis {}: {error}", path.display())).hint(GENESIS)
    })
}

/// Says when a key is nobody's in the validator set as it is now: the node follows until the set
/// names it.
pub(super) fn warn_of_stranger(chain: &Chain, account: Address) -> Result<(), Failure> {
    let Some(params) = chain.spec().assay.as_ref() else {
        return Ok(());
    };
    let reader = chain.reader().map_err(Failure::failed)?;
    let state = reader.state(reader.tip()).map_err(Failure::failed)?;
    let next = reader.tip().saturating_add(1);
    let set = set_at(next, |slot| state.storage(params.validator_set, slot));
    let set = set.map_err(Failure::failed)?;
    if set.iter().all(|one| one.account != account) {
        tracing::warn!(
            %account,
            validators = set.len(),
            height = next,
            "this key is not in the validator set: the node follows without voting until the set names it; check keys.validator and genesis if it should"
        );
    }
    Ok(())
}

/// Says plainly that a port is taken, before anything has begun.
pub(super) fn require_ports(config: &Config) -> Result<(), Failure> {
    for (field, listen) in [
        ("consensus.listen", config.consensus.listen),
        ("network.listen", config.network.listen),
        ("rpc.listen", config.rpc.listen),
    ] {
        require_free(field, listen)?;
    }
    Ok(())
}

fn require_free(field: &str, listen: SocketAddr) -> Result<(), Failure> {
    std::net::TcpListener::bind(listen)
        .map(drop)
        .map_err(|error| {
            Failure::failed(format!("{field} {listen}: {error}")).hint(
                "another port in the configuration, or stop what listens there (this node, if it runs already)",
            )
        })
}

/// Refuses to vote on a machine that is too slow for the chain's blocks, unless told to.
pub(super) fn require_speed(config: &Config, gas_limit: u64, skip: bool) -> Result<(), Failure> {
    if skip {
        tracing::warn!(
            "votes without measuring whether this machine is fast enough: --skip-doctor"
        );
        return Ok(());
    }
    let timeout = Duration::from_millis(config.consensus.propose_timeout_ms);
    let speed = Speed::measure(gas_limit, timeout)?;
    let summary = speed.summary();
    if speed.suffices() {
        tracing::info!(%summary, "fast enough to vote");
        return Ok(());
    }
    Err(Failure::failed(format!("too slow to vote: {summary}")).hint(
        "a faster machine, a longer consensus.propose_timeout_ms on every validator, or --skip-doctor",
    ))
}

/// Refuses to go on without a disk that takes what is written.
pub(super) fn require_disks(config: &Config) -> Result<(), Failure> {
    disk::require_writable(&config.data, "data")?;
    match config.keys.signed.parent() {
        Some(folder) if config.keys.validator.is_some() => {
            disk::require_writable(folder, "folder of keys.signed")
        }
        _ => Ok(()),
    }
}
