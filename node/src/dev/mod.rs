//! `assay dev`: a chain for one developer, in one process, on one port.

mod banner;
mod options;

use std::{path::Path, sync::Arc};

use alloy_primitives::U256;
use assay_chain::{Chain, Held, Models};
use assay_dev::{Accounts, Dev, DevGenesis, add_file, dev_params, pin_examples};
use assay_pool::{Limits, Pool};
use assay_rpc::{Backend, CallLimits, ServerOptions, start};
use assay_runtime::Limits as ModelLimits;
use assay_state::{ModelStore, Store};

pub(crate) use options::Options;

use crate::{cli::Failure, serve};

/// Wei of one ether.
const ETHER: u64 = 1_000_000_000_000_000_000;

/// Runs the developer's chain until it is told to stop.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    options.refuse_unsupported()?;
    let (dev, models) = open(options)?;
    let dev = Arc::new(dev);
    if let Some(state) = &options.state {
        load(&dev, state)?;
    }
    dev.configure(|settings| {
        settings.interval_s = options.block_time;
        settings.automine = options.block_time.is_none() && !options.no_mining;
    });
    serve::block_on(async {
        let backend = Backend::with_dev(Arc::clone(&dev), CallLimits::default());
        let uploads = options.host.is_loopback() || options.allow_upload;
        let backend = Arc::new(backend.accept_uploads(uploads));
        let server = ServerOptions::new((options.host, options.port).into());
        let (address, handle) = start(backend, server).await.map_err(|error| {
            Failure::failed(error).hint("another --port, or stop what listens on this one")
        })?;
        if !options.quiet {
            print!("{}", banner::text(&dev, &models, options, address));
        }
        serve::mine_on_timer_until_stopped(Arc::clone(&dev)).await?;
        let _ = handle.stop();
        Ok(())
    })?;
    match &options.state {
        Some(state) => save(&dev, state),
        None => Ok(()),
    }
}

fn open(options: &Options) -> Result<(Dev, Vec<Held>), Failure> {
    let accounts =
        Accounts::derive(&options.mnemonic, options.accounts).map_err(Failure::failed)?;
    let balance = U256::from(options.balance).saturating_mul(U256::from(ETHER));
    let rich = accounts
        .addresses()
        .into_iter()
        .map(|address| (address, balance))
        .collect();
    let (models, held) = open_models(options)?;
    let genesis = DevGenesis {
        chain_id: options.chain_id,
        timestamp: options.timestamp.unwrap_or_else(|| match options.datadir {
            // A kept chain must begin with the same block each time.
            Some(_) => 0,
            None => serve::machine_time(),
        }),
        gas_limit: options.gas_limit,
        base_fee: options.base_fee,
        accounts: rich,
        models: held.clone(),
        validator: accounts.validator(),
    };
    let genesis = genesis.build().map_err(Failure::failed)?;
    let store = match &options.datadir {
        Some(folder) => Store::open(folder),
        None => Store::in_memory(),
    };
    let chain = Chain::open(&genesis, store.map_err(Failure::failed)?).map_err(Failure::failed)?;
    let chain = chain.with_models(Arc::new(models));
    let pool = Arc::new(Pool::new(Limits::default()));
    let dev = Dev::new(Arc::new(chain), pool, accounts).map_err(Failure::failed)?;
    Ok((dev, held))
}

/// Opens the model store and adds what is active from the first block.
fn open_models(options: &Options) -> Result<(Models, Vec<Held>), Failure> {
    let store = match &options.datadir {
        Some(folder) => ModelStore::open(folder).map_err(|error| unusable(folder, &error))?,
        None => ModelStore::in_memory(),
    };
    let models = Models::new(store, ModelLimits::default(), dev_params());
    let mut held = match options.no_examples {
        true => Vec::new(),
        false => pin_examples(&models).map_err(Failure::failed)?,
    };
    for path in &options.model {
        let added = add_file(&models, path).map_err(Failure::failed)?;
        if !held.contains(&added) {
            held.push(added);
        }
    }
    Ok((models, held))
}

/// Reads a state written at an earlier stop; a file that is not there yet is no error.
fn load(dev: &Dev, path: &Path) -> Result<(), Failure> {
    if !path.exists() {
        return Ok(());
    }
    let bytes = std::fs::read(path).map_err(|error| unusable(path, &error))?;
    dev.load(&bytes)
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}

fn save(dev: &Dev, path: &Path) -> Result<(), Failure> {
    let bytes = dev.dump().map_err(Failure::failed)?;
    std::fs::write(path, bytes).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("state file {}: {error}", path.display()))
}
