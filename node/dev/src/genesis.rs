//! The genesis of a developer's chain: rich accounts, one validator, models that run at once.

use alloy_primitives::{Address, U256, uint};
use assay_chain::{ChainGenesis, Founder, Founders, Held};
use assay_types::{AssayParams, Genesis, spec::DEFAULT_BLOCK_GAS_LIMIT};

use crate::DevError;

/// Chain id of a developer's chain, the one anvil and Hardhat use.
pub const DEFAULT_CHAIN_ID: u64 = 31_337;

/// What the validator pays its attestations from: ten thousand ether.
const VALIDATOR_BALANCE: U256 = uint!(10_000_000_000_000_000_000_000_U256);

/// Returns what a developer's chain adds to Ethereum: the usual, but a model runs as soon as it is
/// attested.
#[must_use]
pub fn dev_params() -> AssayParams {
    AssayParams {
        activation_delay: 0,
        ..AssayParams::default()
    }
}

/// The validator of a developer's chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validator {
    /// Its address.
    pub account: Address,
    /// Its public key: both coordinates.
    pub public_key: (U256, U256),
    /// The account that may change the set alone.
    pub admin: Address,
}

/// What a developer chooses about the first block.
#[derive(Debug, Clone)]
pub struct DevGenesis {
    /// Chain id.
    pub chain_id: u64,
    /// Time of the first block.
    pub timestamp: u64,
    /// Gas limit of blocks.
    pub gas_limit: u64,
    /// Base fee of the first block.
    pub base_fee: u64,
    /// Accounts that begin rich, with their balance.
    pub accounts: Vec<(Address, U256)>,
    /// Models that are active from the start.
    pub models: Vec<Held>,
    /// Whether the example contract is there.
    pub example_contract: bool,
    /// The account that attests to models and administers the validator set.
    pub validator: Option<Validator>,
}

impl Default for DevGenesis {
    fn default() -> Self {
        Self {
            chain_id: DEFAULT_CHAIN_ID,
            timestamp: 0,
            gas_limit: DEFAULT_BLOCK_GAS_LIMIT,
            base_fee: 1_000_000_000,
            accounts: Vec::new(),
            models: Vec::new(),
            example_contract: false,
            validator: None,
        }
    }
}

impl DevGenesis {
    /// Makes the genesis.
    ///
    /// # Errors
    /// When the choices contradict each other.
    pub fn build(self) -> Result<Genesis, DevError> {
        let mut accounts: Vec<(Address, U256)> = Vec::new();
        let mut founders = Founders::default();
        if let Some(validator) = self.validator {
            accounts.push((validator.account, VALIDATOR_BALANCE));
            founders = Founders {
                validators: vec![Founder {
                    account: validator.account,
                    public_key: validator.public_key,
                    power: 1,
                }],
                admin: Some(validator.admin),
                epoch_blocks: 1,
            };
        }
        accounts.extend(self.accounts);
        let genesis = ChainGenesis {
            chain_id: self.chain_id,
            timestamp: self.timestamp,
            gas_limit: self.gas_limit,
            base_fee: self.base_fee,
            params: dev_params(),
            accounts,
            models: self.models,
            example_contract: self.example_contract,
            founders,
        };
        Ok(genesis.build()?)
    }
}
