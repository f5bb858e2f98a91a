//! `assay genesis`: the first block of a network, from its validators' public keys.

use std::path::PathBuf;

use alloy_primitives::{Address, B256, U256};
use assay_chain::{ChainGenesis, Founder, Founders};
use assay_types::spec::DEFAULT_BLOCK_GAS_LIMIT;
use clap::Args;
use serde::Deserialize;
use serde_json::json;

use crate::{
    cli::{Failure, say},
    serve,
};

/// Blocks of an epoch unless another number is chosen.
pub(crate) const EPOCH_BLOCKS: u64 = 100;

#[derive(Args)]
pub(crate) struct Options {
    /// Chain id of the network.
    #[arg(long)]
    chain_id: u64,
    /// Public key of a validator, as `assay keys show --json` prints it; once for each.
    #[arg(long = "validator", value_name = "FILE", required = true)]
    validators: Vec<PathBuf>,
    /// Voting power of each validator.
    #[arg(long, default_value_t = 100)]
    power: u64,
    /// Account that may change the validator set alone; nobody without it.
    #[arg(long)]
    admin: Option<Address>,
    /// Account that begins with a balance: ADDRESS=ETHER; once for each.
    #[arg(long = "fund", value_name = "ADDRESS=ETHER")]
    funds: Vec<String>,
    /// Gas limit of every block.
    #[arg(long, default_value_t = DEFAULT_BLOCK_GAS_LIMIT)]
    gas_limit: u64,
    /// Blocks of an epoch, at whose end the validator set may change.
    #[arg(long, default_value_t = EPOCH_BLOCKS)]
    epoch_blocks: u64,
    /// File to write.
    #[arg(long)]
    out: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What `assay keys show --json` prints.
#[derive(Deserialize)]
struct Public {
    account: Address,
    x: B256,
    y: B256,
}

/// Writes a genesis file.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let validators = options.validators.iter().map(|path| {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
        let public: Public = serde_json::from_str(&text)
            .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
        Ok(Founder {
            account: public.account,
            public_key: (public.x.into(), public.y.into()),
            power: options.power,
        })
    });
    let validators: Vec<Founder> = validators.collect::<Result<_, Failure>>()?;
    let funds = options.funds.iter().map(|text| fund(text));
    let founders = Founders {
        validators,
        admin: options.admin,
        epoch_blocks: options.epoch_blocks,
    };
    let genesis = ChainGenesis {
        gas_limit: options.gas_limit,
        accounts: funds.collect::<Result<_, _>>()?,
        ..ChainGenesis::new(options.chain_id, serve::machine_time(), founders)
    };
    let count = options.validators.len();
    let genesis = genesis.build().map_err(Failure::failed)?;
    let text = serde_json::to_string_pretty(genesis.file()).map_err(Failure::failed)?;
    crate::file::write_whole(&options.out, text.as_bytes())
        .map_err(|error| Failure::failed(format!("{}: {error}", options.out.display())))?;
    say(
        options.json,
        &json!({"file": options.out, "chainId": options.chain_id, "validators": count}),
        format!(
            "wrote {}: chain {}, {count} validators",
            options.out.display(),
            options.chain_id
        ),
    );
    Ok(())
}

fn fund(text: &str) -> Result<(Address, U256), Failure> {
    let wrong = || Failure::usage(format!("--fund {text}: ADDRESS=ETHER is wanted"));
    let (address, ether) = text.split_once('=').ok_or_else(wrong)?;
    let ether: u64 = ether.parse().map_err(|_| wrong())?;
    let wei = U256::from(ether).saturating_mul(U256::from(10).pow(U256::from(18)));
    Ok((address.parse().map_err(|_| wrong())?, wei))
}
