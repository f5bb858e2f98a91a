//! `assay dev`: a chain for one developer, in one process, on one port.

mod banner;
mod options;

use std::{path::Path, sync::Arc};

use alloy_primitives::U256;
use assay_chain::Chain;
use assay_dev::{Accounts, Dev, DevGenesis, DevModel, Models};
use assay_pool::{Limits, Pool};
use assay_precompile::Host;
use assay_rpc::{Backend, CallLimits, ServerOptions, start};
use assay_runtime::{Limits as ModelLimits, numerics::Engine};
use assay_state::Store;

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
        let backend = Arc::new(Backend::with_dev(Arc::clone(&dev), CallLimits::default()));
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

fn open(options: &Options) -> Result<(Dev, Vec<DevModel>), Failure> {
    let accounts =
        Accounts::derive(&options.mnemonic, options.accounts).map_err(Failure::failed)?;
    let balance = U256::from(options.balance).saturating_mul(U256::from(ETHER));
    let rich = accounts
        .addresses()
        .into_iter()
        .map(|address| (address, balance))
        .collect();
    let models = read_models(options)?;
    let described = models.described().to_vec();
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
        models: described.clone(),
        validator: accounts.validator(),
    };
    let genesis = genesis.build().map_err(Failure::failed)?;
    let store = match &options.datadir {
        Some(folder) => Store::open(folder),
        None => Store::in_memory(),
    };
    let chain = Chain::open(&genesis, store.map_err(Failure::failed)?).map_err(Failure::failed)?;
    let host = Host::new(Box::new(models), ModelLimits::default(), Engine::single());
    let chain = chain.with_models(Arc::new(host));
    let pool = Arc::new(Pool::new(Limits::default()));
    let dev = Dev::new(Arc::new(chain), pool, accounts).map_err(Failure::failed)?;
    Ok((dev, described))
}

fn read_models(options: &Options) -> Result<Models, Failure> {
    let mut models = Models::default();
    if !options.no_examples {
        models
            .add_examples(&ModelLimits::default())
            .map_err(Failure::failed)?;
    }
    for path in &options.model {
        models
            .add(path, &ModelLimits::default())
            .map_err(Failure::failed)?;
    }
    Ok(models)
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
