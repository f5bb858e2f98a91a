//! What makes one developer's chain another than the next: kept with the data, so that a chain goes
//! on without being told again, and contradictions are refused.

use std::path::Path;

use assay_dev::{DEFAULT_CHAIN_ID, DEFAULT_MNEMONIC};
use assay_types::spec::DEFAULT_BLOCK_GAS_LIMIT;
use serde::{Deserialize, Serialize};

use super::Options;
use crate::{cli::Failure, serve};

/// What a developer chose about a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Choices {
    pub(super) chain_id: u64,
    pub(super) accounts: u32,
    pub(super) balance: u64,
    pub(super) mnemonic: String,
    pub(super) gas_limit: u64,
    pub(super) base_fee: u64,
    pub(super) timestamp: u64,
    pub(super) examples: bool,
}

impl Choices {
    /// Makes the choices of a new chain.
    pub(super) fn new(options: &Options) -> Choices {
        let mnemonic = options.mnemonic.clone();
        Choices {
            chain_id: options.chain_id.unwrap_or(DEFAULT_CHAIN_ID),
            accounts: options.accounts.unwrap_or(10),
            balance: options.balance.unwrap_or(10_000),
            mnemonic: mnemonic.unwrap_or_else(|| DEFAULT_MNEMONIC.to_owned()),
            gas_limit: options.gas_limit.unwrap_or(DEFAULT_BLOCK_GAS_LIMIT),
            base_fee: options.base_fee.unwrap_or(1_000_000_000),
            timestamp: options.timestamp.unwrap_or_else(serve::machine_time),
            examples: !options.no_examples,
        }
    }

    /// Reads the choices kept with a chain, and refuses options that contradict them.
    pub(super) fn kept(text: &str, options: &Options, folder: &Path) -> Result<Choices, Failure> {
        let kept: Choices = serde_json::from_str(text).map_err(|_| {
            Failure::failed(format!(
                "{} holds a chain that `assay dev` did not make",
                folder.display()
            ))
            .hint("`assay node serve --datadir`, or another --datadir")
        })?;
        let number = |value: Option<u64>| value.map(|value| value.to_string());
        let given = [
            (
                "--chain-id",
                kept.chain_id.to_string(),
                number(options.chain_id),
            ),
            (
                "--accounts",
                kept.accounts.to_string(),
                number(options.accounts.map(u64::from)),
            ),
            (
                "--balance",
                kept.balance.to_string(),
                number(options.balance),
            ),
            (
                "--mnemonic",
                kept.mnemonic.clone(),
                options.mnemonic.clone(),
            ),
            (
                "--gas-limit",
                kept.gas_limit.to_string(),
                number(options.gas_limit),
            ),
            (
                "--base-fee",
                kept.base_fee.to_string(),
                number(options.base_fee),
            ),
            (
                "--timestamp",
                kept.timestamp.to_string(),
                number(options.timestamp),
            ),
        ];
        for (option, kept, given) in given {
            if let Some(given) = given.filter(|given| *given != kept) {
                return Err(contradiction(folder, option, &kept, &given));
            }
        }
        if options.no_examples && kept.examples {
            return Err(contradiction(folder, "--no-examples", "off", "on"));
        }
        Ok(kept)
    }
}

fn contradiction(folder: &Path, option: &str, kept: &str, given: &str) -> Failure {
    Failure::usage(format!(
        "the chain in {} was made with {option} {kept}, not {given}",
        folder.display()
    ))
    .hint(format!("leave {option} out, or give another --datadir"))
}
