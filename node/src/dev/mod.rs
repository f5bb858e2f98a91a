//! `assay dev`: a chain for one developer, in one process, on one port.

mod banner;
mod choices;
mod options;

use std::{path::Path, sync::Arc};

use alloy_primitives::U256;
use assay_chain::{Chain, Held, Models, PreExecution, registry};
use assay_dev::{Accounts, Dev, DevGenesis, add_file, dev_params, pin_examples};
use assay_pool::{Limits, Pool};
use assay_rpc::{Backend, start};
use assay_runtime::Limits as ModelLimits;
use assay_state::{ModelStore, Store};
use assay_types::Genesis;

use choices::Choices;
pub(crate) use options::Options;

use crate::{cli::Failure, disk, file::write_whole, serve};

/// Wei of one ether.
const ETHER: u64 = 1_000_000_000_000_000_000;

/// A chain that is ready, and what the first screen says of it.
struct Opened {
    dev: Arc<Dev>,
    choices: Choices,
    /// Models given with `--model`.
    given: Vec<Held>,
}

/// Runs the developer's chain until it is told to stop.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    options.refuse_unsupported()?;
    let Opened {
        dev,
        choices,
        given,
    } = open(options)?;
    if let Some((state, required)) = options.state_to_load() {
        load(&dev, state, required)?;
    }
    for held in &given {
        dev.publish(held).map_err(Failure::failed)?;
    }
    require_bytes(&dev)?;
    dev.configure(|settings| {
        settings.interval_s = options.block_time;
        settings.automine = options.block_time.is_none() && !options.no_mining;
    });
    serve::block_on(async {
        let backend = Backend::with_dev(Arc::clone(&dev), options.limits.calls());
        let uploads = options.host.is_loopback() || options.allow_upload;
        let preexecution = PreExecution::start(dev.chain()).map_err(Failure::failed)?;
        let backend = backend.accept_uploads(uploads).pre_execute(preexecution);
        let backend = Arc::new(backend);
        let screen = Arc::clone(&backend);
        let server = options.limits.server(options.host, options.port);
        let (address, handle) = start(backend, server).await.map_err(|error| {
            Failure::failed(error).hint("another --port, or stop what listens on this one")
        })?;
        if options.json {
            println!("{}", banner::json(&dev, &screen, &choices, address));
        } else if !options.quiet {
            print!("{}", banner::text(&dev, &screen, &choices, address));
        }
        serve::mine_on_timer_until_stopped(Arc::clone(&dev)).await?;
        let _ = handle.stop();
        Ok(())
    })?;
    match options.state_to_save() {
        Some(state) => save(&dev, state),
        None => Ok(()),
    }
}

fn open(options: &Options) -> Result<Opened, Failure> {
    let store = match &options.datadir {
        Some(folder) => {
            disk::require_writable(folder, "data directory")?;
            Store::open(folder)
        }
        None => Store::scratch(),
    };
    let store = store
        .map_err(Failure::failed)?
        .with_history(options.history);
    let origin = store.origin().map_err(Failure::failed)?;
    let choices = match (&origin, &options.datadir) {
        (Some(origin), Some(folder)) => Choices::kept(&origin.options, options, folder)?,
        _ => Choices::new(options),
    };
    let models = Arc::new(open_models(options)?);
    let examples = match choices.examples {
        true => pin_examples(&models).map_err(Failure::failed)?,
        false => Vec::new(),
    };
    let mut given = Vec::new();
    for path in &options.model {
        given.push(add_file(&models, path).map_err(Failure::failed)?);
    }
    let accounts =
        Accounts::derive(&choices.mnemonic, choices.accounts).map_err(Failure::failed)?;
    let (chain, genesis) = match origin {
        Some(_) => (Chain::reopen(store), None),
        None => {
            let genesis = genesis(options, &choices, &accounts, examples, &given)?;
            let kept = serde_json::to_string(&choices).map_err(Failure::failed)?;
            (Chain::open_with(&genesis, kept, store), Some(genesis))
        }
    };
    let chain = chain.map_err(Failure::failed)?.with_models(models);
    let pool = Arc::new(Pool::new(Limits::default()));
    let mut dev = Dev::new(Arc::new(chain), pool, accounts);
    if let Some(genesis) = genesis {
        dev = dev.with_genesis(genesis);
    }
    Ok(Opened {
        dev: Arc::new(dev),
        choices,
        given,
    })
}

fn genesis(
    options: &Options,
    choices: &Choices,
    accounts: &Accounts,
    examples: Vec<Held>,
    given: &[Held],
) -> Result<Genesis, Failure> {
    let balance = U256::from(choices.balance).saturating_mul(U256::from(ETHER));
    let addresses = accounts.addresses().into_iter();
    let mut models = examples;
    // A state that is loaded brings its own registry: models given are then registered after it.
    if options.state_to_load().is_none() {
        for held in given {
            if !models.contains(held) {
                models.push(held.clone());
            }
        }
    }
    let genesis = DevGenesis {
        chain_id: choices.chain_id,
        timestamp: choices.timestamp,
        gas_limit: choices.gas_limit,
        base_fee: choices.base_fee,
        accounts: addresses.map(|address| (address, balance)).collect(),
        models,
        example_contract: choices.examples,
        validator: accounts.validator(),
    };
    genesis.build().map_err(Failure::failed)
}

fn open_models(options: &Options) -> Result<Models, Failure> {
    let store = match &options.datadir {
        Some(folder) => ModelStore::open(folder)
            .map_err(|error| Failure::failed(format!("{}: {error}", folder.display())))?,
        None => ModelStore::in_memory(),
    };
    Ok(Models::new(store, ModelLimits::default(), dev_params()))
}

/// Refuses a state whose active models this node could not run: the first call would stop it.
fn require_bytes(dev: &Dev) -> Result<(), Failure> {
    let (chain, spec) = (dev.chain(), dev.chain().spec());
    let (Some(models), Some(assay)) = (chain.models(), &spec.assay) else {
        return Ok(());
    };
    let reader = chain.reader().map_err(Failure::failed)?;
    let state = reader.state(reader.tip()).map_err(Failure::failed)?;
    let active = registry::active_models(&state, assay.model_registry, 0, u64::MAX);
    for id in active.map_err(Failure::failed)? {
        if models
            .store()
            .size_bytes(id)
            .map_err(Failure::failed)?
            .is_none()
        {
            return Err(Failure::failed(format!(
                "model {id} is active in this state, and its bytes are not here"
            ))
            .hint("--model with its bundle"));
        }
    }
    Ok(())
}

/// Reads a state written at an earlier stop.
fn load(dev: &Dev, path: &Path, required: bool) -> Result<(), Failure> {
    if !required && !path.exists() {
        return Ok(());
    }
    let bytes = std::fs::read(path).map_err(|error| unusable(path, &error))?;
    dev.load(&bytes)
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}

fn save(dev: &Dev, path: &Path) -> Result<(), Failure> {
    let bytes = dev.dump().map_err(Failure::failed)?;
    write_whole(path, &bytes).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("state file {}: {error}", path.display()))
}
