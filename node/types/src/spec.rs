//! Which rules hold in which block: forks by height and time, blob schedule, limits.

use alloy_consensus::Header;
use alloy_eips::{eip7840::BlobParams, eip7892::BlobScheduleBlobParams};
use alloy_genesis::ChainConfig;
use alloy_hardforks::{EthereumHardfork, EthereumHardforks, ForkCondition};
use alloy_primitives::{Address, U256, address};
use serde::{Deserialize, Serialize};

/// Default cap of one transaction's gas on Assay chains.
pub const DEFAULT_TRANSACTION_GAS_CAP: u64 = 30_000_000;
/// Default gas limit of a block on Assay chains.
pub const DEFAULT_BLOCK_GAS_LIMIT: u64 = 60_000_000;
/// Deposit contract of Ethereum's main network, used where genesis names none.
pub const MAINNET_DEPOSIT_CONTRACT: Address =
    address!("0x00000000219ab540356cBB839Cbe05303d7705Fa");

/// The `assay` section of a genesis file: what this chain adds to Ethereum.
///
/// A genesis without the section is an ordinary Ethereum chain: no inference addresses, no records
/// request, Ethereum's own transaction gas cap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AssayParams {
    /// Address of the inference precompile.
    pub inference: Address,
    /// Address of the ModelRegistry predeploy.
    pub model_registry: Address,
    /// Address of the ValidatorSet predeploy.
    pub validator_set: Address,
    /// Address reserved for InferenceJobs.
    pub inference_jobs: Address,
    /// Address that answers in OpenGradient's interface.
    pub og_inference: Address,
    /// Most gas one transaction may ask for.
    pub transaction_gas_cap: u64,
    /// Most bytes one model may have.
    pub model_size_limit_bytes: u64,
    /// Most bytes all active models may have together.
    pub total_model_size_limit_bytes: u64,
    /// Blocks between a model's quorum and its activation.
    pub activation_delay: u64,
}

impl Default for AssayParams {
    fn default() -> Self {
        Self {
            inference: address!("0x0000000000000000000000000000000000000a11"),
            model_registry: address!("0x0000000000000000000000000000000000000a12"),
            validator_set: address!("0x0000000000000000000000000000000000000a13"),
            inference_jobs: address!("0x0000000000000000000000000000000000000a14"),
            og_inference: address!("0x00000000000000000000000000000000000000F4"),
            transaction_gas_cap: DEFAULT_TRANSACTION_GAS_CAP,
            model_size_limit_bytes: 512 << 20,
            total_model_size_limit_bytes: 8 << 30,
            activation_delay: 2,
        }
    }
}

/// The rules of one chain, read from its genesis.
#[derive(Debug, Clone)]
pub struct ChainSpec {
    /// Chain id, as transactions sign it.
    pub chain_id: u64,
    /// What this chain adds to Ethereum; `None` on an ordinary Ethereum chain.
    pub assay: Option<AssayParams>,
    /// Contract whose events are deposit requests (EIP-6110).
    pub deposit_contract: Address,
    /// Geth's `config` section, for `eth_config` and the fork activations.
    pub config: ChainConfig,
    blobs: BlobScheduleBlobParams,
}

impl ChainSpec {
    /// Reads the rules from geth's `config` section and our own.
    #[must_use]
    pub fn new(config: ChainConfig, assay: Option<AssayParams>) -> Self {
        Self {
            chain_id: config.chain_id,
            assay,
            deposit_contract: config
                .deposit_contract_address
                .unwrap_or(MAINNET_DEPOSIT_CONTRACT),
            blobs: config.blob_schedule_blob_params(),
            config,
        }
    }

    /// Returns the forks as they stand in the block with this header.
    #[must_use]
    pub fn forks_at(&self, header: &Header) -> BlockForks<'_> {
        self.forks(header.number, header.timestamp, header.difficulty)
    }

    /// Returns the forks as they stand in a block of this height, time and difficulty.
    #[must_use]
    pub const fn forks(&self, number: u64, timestamp: u64, difficulty: U256) -> BlockForks<'_> {
        BlockForks {
            spec: self,
            number,
            timestamp,
            difficulty,
        }
    }

    /// Returns the limits on blobs at a time; `None` before Cancun.
    #[must_use]
    pub fn blob_params(&self, timestamp: u64) -> Option<BlobParams> {
        let active = |time: Option<u64>| time.is_some_and(|time| time <= timestamp);
        if !active(self.config.cancun_time) {
            None
        } else if let Some(params) = self.blobs.active_scheduled_params_at_timestamp(timestamp) {
            Some(*params)
        } else if active(self.config.osaka_time) {
            Some(self.blobs.osaka)
        } else if active(self.config.prague_time) {
            Some(self.blobs.prague)
        } else {
            Some(self.blobs.cancun)
        }
    }
}

/// The forks as one block sees them.
///
/// Whether a block is past the merge is a fact about the block: it is when its difficulty is zero
/// on a chain that has a merge at all. That spares us from following total difficulty, which only
/// proof of work needs.
#[derive(Debug, Clone, Copy)]
pub struct BlockForks<'a> {
    spec: &'a ChainSpec,
    number: u64,
    timestamp: u64,
    difficulty: U256,
}

impl BlockForks<'_> {
    /// Tells whether a fork is active in this block.
    #[must_use]
    pub fn is_active(&self, fork: EthereumHardfork) -> bool {
        let condition = self.ethereum_fork_activation(fork);
        condition.active_at_block(self.number) || condition.active_at_timestamp(self.timestamp)
    }

    /// Returns the number of the block.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Returns the chain's rules.
    #[must_use]
    pub const fn spec(&self) -> &ChainSpec {
        self.spec
    }

    fn paris(&self) -> ForkCondition {
        let config = &self.spec.config;
        let merges =
            config.terminal_total_difficulty.is_some() || config.merge_netsplit_block.is_some();
        match merges && self.difficulty.is_zero() {
            true => ForkCondition::ZERO_BLOCK,
            false => ForkCondition::Never,
        }
    }
}

impl EthereumHardforks for BlockForks<'_> {
    fn ethereum_fork_activation(&self, fork: EthereumHardfork) -> ForkCondition {
        let config = &self.spec.config;
        let block = |number: Option<u64>| number.map_or(ForkCondition::Never, ForkCondition::Block);
        let time = |time: Option<u64>| time.map_or(ForkCondition::Never, ForkCondition::Timestamp);
        match fork {
            EthereumHardfork::Frontier => ForkCondition::ZERO_BLOCK,
            EthereumHardfork::Homestead => block(config.homestead_block),
            EthereumHardfork::Dao => {
                block(config.dao_fork_block.filter(|_| config.dao_fork_support))
            }
            EthereumHardfork::Tangerine => block(config.eip150_block),
            EthereumHardfork::SpuriousDragon => block(config.eip158_block),
            EthereumHardfork::Byzantium => block(config.byzantium_block),
            EthereumHardfork::Constantinople => block(config.constantinople_block),
            EthereumHardfork::Petersburg => {
                block(config.petersburg_block.or(config.constantinople_block))
            }
            EthereumHardfork::Istanbul => block(config.istanbul_block),
            EthereumHardfork::MuirGlacier => block(config.muir_glacier_block),
            EthereumHardfork::Berlin => block(config.berlin_block),
            EthereumHardfork::London => block(config.london_block),
            EthereumHardfork::ArrowGlacier => block(config.arrow_glacier_block),
            EthereumHardfork::GrayGlacier => block(config.gray_glacier_block),
            EthereumHardfork::Paris => self.paris(),
            EthereumHardfork::Shanghai => time(config.shanghai_time),
            EthereumHardfork::Cancun => time(config.cancun_time),
            EthereumHardfork::Prague => time(config.prague_time),
            EthereumHardfork::Osaka => time(config.osaka_time),
            EthereumHardfork::Bpo1 => time(config.bpo1_time),
            EthereumHardfork::Bpo2 => time(config.bpo2_time),
            EthereumHardfork::Bpo3 => time(config.bpo3_time),
            EthereumHardfork::Bpo4 => time(config.bpo4_time),
            EthereumHardfork::Bpo5 => time(config.bpo5_time),
            EthereumHardfork::Amsterdam => time(config.amsterdam_time),
            _ => ForkCondition::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: &str) -> ChainSpec {
        ChainSpec::new(serde_json::from_str(json).unwrap(), None)
    }

    #[test]
    fn merge_shows_in_the_difficulty() {
        let spec = spec(r#"{"chainId":1,"londonBlock":0,"terminalTotalDifficulty":100}"#);
        assert!(
            !spec
                .forks(9, 0, U256::from(1))
                .is_active(EthereumHardfork::Paris)
        );
        assert!(
            spec.forks(9, 0, U256::ZERO)
                .is_active(EthereumHardfork::Paris)
        );
    }

    #[test]
    fn blob_limits_follow_the_forks() {
        let spec = spec(r#"{"chainId":1,"cancunTime":10,"pragueTime":20,"osakaTime":30}"#);
        assert_eq!(spec.blob_params(9), None);
        assert_eq!(spec.blob_params(10), Some(BlobParams::cancun()));
        assert_eq!(spec.blob_params(20), Some(BlobParams::prague()));
        assert_eq!(spec.blob_params(30), Some(BlobParams::osaka()));
    }

    #[test]
    fn fork_by_block_and_by_time() {
        let spec = spec(r#"{"chainId":1,"berlinBlock":5,"shanghaiTime":7}"#);
        assert!(
            !spec
                .forks(4, 100, U256::ZERO)
                .is_active(EthereumHardfork::Berlin)
        );
        assert!(
            spec.forks(5, 0, U256::ZERO)
                .is_active(EthereumHardfork::Berlin)
        );
        assert!(
            !spec
                .forks(5, 6, U256::ZERO)
                .is_active(EthereumHardfork::Shanghai)
        );
        assert!(
            spec.forks(5, 7, U256::ZERO)
                .is_active(EthereumHardfork::Shanghai)
        );
    }
}
