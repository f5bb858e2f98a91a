//! The genesis of a chain of our own: all forks from the start, system contracts, first validators.

use std::collections::BTreeMap;

use alloy_eips::{eip2935, eip4788, eip7002, eip7251};
use alloy_genesis::{ChainConfig, Genesis as GenesisFile, GenesisAccount};
use alloy_primitives::{Address, Bytes, U256, address, bytes};
use assay_types::{AssayParams, Genesis, GenesisError, spec::DEFAULT_BLOCK_GAS_LIMIT};

use crate::{
    Held,
    predeploys::{EXAMPLE_CONTRACT, Founders, example_contract, predeploys},
};

/// The deployer that puts a contract at the same address on every chain.
const CREATE2_DEPLOYER: Address = address!("0x4e59b44847b379578588920ca78fbf26c0b4956c");
const CREATE2_DEPLOYER_CODE: Bytes = bytes!(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3"
);

/// Base fee of the first block unless another is chosen.
const BASE_FEE: u64 = 1_000_000_000;

/// What is chosen about the first block of a chain.
#[derive(Debug, Clone)]
pub struct ChainGenesis {
    /// Chain id.
    pub chain_id: u64,
    /// Time of the first block.
    pub timestamp: u64,
    /// Gas limit of blocks.
    pub gas_limit: u64,
    /// Base fee of the first block.
    pub base_fee: u64,
    /// What the chain adds to Ethereum.
    pub params: AssayParams,
    /// Accounts that begin rich, with their balance.
    pub accounts: Vec<(Address, U256)>,
    /// Models that are active from the start.
    pub models: Vec<Held>,
    /// Whether the example contract is there.
    pub example_contract: bool,
    /// The first validators.
    pub founders: Founders,
}

impl ChainGenesis {
    /// Chooses the usual: the usual limits and fees, nobody rich, no models.
    #[must_use]
    pub fn new(chain_id: u64, timestamp: u64, founders: Founders) -> Self {
        Self {
            chain_id,
            timestamp,
            gas_limit: DEFAULT_BLOCK_GAS_LIMIT,
            base_fee: BASE_FEE,
            params: AssayParams::default(),
            accounts: Vec::new(),
            models: Vec::new(),
            example_contract: false,
            founders,
        }
    }

    /// Makes the genesis.
    ///
    /// # Errors
    /// When the choices contradict each other.
    pub fn build(self) -> Result<Genesis, GenesisError> {
        let mut config = ChainConfig {
            chain_id: self.chain_id,
            homestead_block: Some(0),
            eip150_block: Some(0),
            eip155_block: Some(0),
            eip158_block: Some(0),
            byzantium_block: Some(0),
            constantinople_block: Some(0),
            petersburg_block: Some(0),
            istanbul_block: Some(0),
            berlin_block: Some(0),
            london_block: Some(0),
            terminal_total_difficulty: Some(U256::ZERO),
            terminal_total_difficulty_passed: true,
            shanghai_time: Some(0),
            cancun_time: Some(0),
            prague_time: Some(0),
            osaka_time: Some(0),
            ..ChainConfig::default()
        };
        let section = serde_json::to_value(&self.params).map_err(GenesisError::Section)?;
        config.extra_fields.insert("assay".into(), section);
        let mut file = GenesisFile {
            config,
            timestamp: self.timestamp,
            gas_limit: self.gas_limit,
            base_fee_per_gas: Some(self.base_fee.into()),
            ..GenesisFile::default()
        };
        file.alloc = system_contracts();
        file.alloc
            .extend(predeploys(&self.params, &self.founders, &self.models)?);
        if self.example_contract {
            file.alloc.insert(EXAMPLE_CONTRACT, example_contract()?);
        }
        for (address, balance) in self.accounts {
            file.alloc.entry(address).or_default().balance = balance;
        }
        Genesis::new(file)
    }
}

fn system_contracts() -> BTreeMap<Address, GenesisAccount> {
    [
        (
            eip4788::BEACON_ROOTS_ADDRESS,
            eip4788::BEACON_ROOTS_CODE.clone(),
        ),
        (
            eip2935::HISTORY_STORAGE_ADDRESS,
            eip2935::HISTORY_STORAGE_CODE.clone(),
        ),
        (
            eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
            eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_CODE.clone(),
        ),
        (
            eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
            eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_CODE.clone(),
        ),
        (CREATE2_DEPLOYER, CREATE2_DEPLOYER_CODE),
    ]
    .into_iter()
    .map(|(address, code)| {
        let account = GenesisAccount {
            nonce: Some(1),
            code: Some(code),
            ..Default::default()
        };
        (address, account)
    })
    .collect()
}
