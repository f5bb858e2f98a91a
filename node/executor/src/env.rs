//! The executor, and the environment a block's transactions run in.

use std::sync::Arc;

use alloy_eips::eip7840::BlobParams;
use alloy_evm::{EvmEnv, eth::spec::EthExecutorSpec};
use alloy_hardforks::{EthereumHardfork, EthereumHardforks, ForkCondition};
use alloy_primitives::{Address, U256};
use assay_precompile::{Addresses, Host, Inference};
use assay_types::{BlockForks, ChainSpec, Header};
use revm::{
    context::{BlockEnv, CfgEnv},
    context_interface::block::BlobExcessGasAndPrice,
    primitives::hardfork::SpecId,
};

/// Executes blocks of one chain. Cheap to clone and share.
#[derive(Debug, Clone)]
pub struct Executor {
    spec: Arc<ChainSpec>,
    models: Option<Arc<Host>>,
}

impl Executor {
    /// Makes an executor of a chain's rules.
    #[must_use]
    pub const fn new(spec: Arc<ChainSpec>) -> Self {
        Self { spec, models: None }
    }

    /// Gives the executor the models that the inference precompile runs.
    #[must_use]
    pub fn with_models(mut self, models: Arc<Host>) -> Self {
        self.models = Some(models);
        self
    }

    /// Returns the models that the inference precompile runs.
    #[must_use]
    pub const fn models(&self) -> Option<&Arc<Host>> {
        self.models.as_ref()
    }

    /// Makes the inference precompile when the genesis asks for it.
    pub(crate) fn inference(&self) -> Option<Inference> {
        let params = self.spec.assay.as_ref()?;
        let addresses = Addresses {
            inference: params.inference,
            registry: params.model_registry,
        };
        Some(Inference::new(self.models.clone()?, addresses))
    }

    /// Returns the chain's rules.
    #[must_use]
    pub const fn spec(&self) -> &Arc<ChainSpec> {
        &self.spec
    }

    /// Derives what transactions of a block see from its header.
    #[must_use]
    pub fn environment(&self, header: &Header) -> EvmEnv {
        let forks = self.spec.forks_at(header);
        let blobs = self.spec.blob_params(header.timestamp);
        let merged = forks.is_active(EthereumHardfork::Paris);
        let block = BlockEnv {
            number: U256::from(header.number),
            beneficiary: header.beneficiary,
            timestamp: U256::from(header.timestamp),
            gas_limit: header.gas_limit,
            basefee: header.base_fee_per_gas.unwrap_or_default(),
            difficulty: header.difficulty,
            prevrandao: merged.then_some(header.mix_hash),
            blob_excess_gas_and_price: blob_price(header, blobs),
            ..BlockEnv::default()
        };
        EvmEnv::new(self.config(&forks, blobs), block)
    }

    fn config(&self, forks: &BlockForks<'_>, blobs: Option<BlobParams>) -> CfgEnv {
        let mut config = CfgEnv::new_with_spec(spec_id(forks)).with_chain_id(self.spec.chain_id);
        if let Some(blobs) = blobs {
            config.set_max_blobs_per_tx(blobs.max_blobs_per_tx);
        }
        if let Some(assay) = &self.spec.assay {
            // Spec: genesis sets the cap on our chains; Osaka's 16,777,216 holds elsewhere.
            config.tx_gas_limit_cap = Some(assay.transaction_gas_cap);
        }
        config
    }
}

fn blob_price(header: &Header, blobs: Option<BlobParams>) -> Option<BlobExcessGasAndPrice> {
    let (excess_blob_gas, params) = header.excess_blob_gas.zip(blobs)?;
    let blob_gasprice = params.calc_blob_fee(excess_blob_gas);
    Some(BlobExcessGasAndPrice {
        excess_blob_gas,
        blob_gasprice,
    })
}

/// Names the rules of a block in revm's terms.
///
/// revm has no Constantinople without Petersburg, so a block between the two runs under
/// Petersburg's rules: they differ in the gas of SSTORE (EIP-1283), which no live chain still
/// executes.
fn spec_id(forks: &BlockForks<'_>) -> SpecId {
    [
        (EthereumHardfork::Amsterdam, SpecId::AMSTERDAM),
        (EthereumHardfork::Osaka, SpecId::OSAKA),
        (EthereumHardfork::Prague, SpecId::PRAGUE),
        (EthereumHardfork::Cancun, SpecId::CANCUN),
        (EthereumHardfork::Shanghai, SpecId::SHANGHAI),
        (EthereumHardfork::Paris, SpecId::MERGE),
        (EthereumHardfork::London, SpecId::LONDON),
        (EthereumHardfork::Berlin, SpecId::BERLIN),
        (EthereumHardfork::Istanbul, SpecId::ISTANBUL),
        (EthereumHardfork::Petersburg, SpecId::PETERSBURG),
        (EthereumHardfork::Constantinople, SpecId::PETERSBURG),
        (EthereumHardfork::Byzantium, SpecId::BYZANTIUM),
        (EthereumHardfork::SpuriousDragon, SpecId::SPURIOUS_DRAGON),
        (EthereumHardfork::Tangerine, SpecId::TANGERINE),
        (EthereumHardfork::Homestead, SpecId::HOMESTEAD),
    ]
    .into_iter()
    .find(|(fork, _)| forks.is_active(*fork))
    .map_or(SpecId::FRONTIER, |(_, id)| id)
}

/// A block's forks in the form alloy-evm's block executor asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExecutorForks<'a>(pub(crate) BlockForks<'a>);

impl EthereumHardforks for ExecutorForks<'_> {
    fn ethereum_fork_activation(&self, fork: EthereumHardfork) -> ForkCondition {
        self.0.ethereum_fork_activation(fork)
    }
}

impl EthExecutorSpec for ExecutorForks<'_> {
    fn deposit_contract_address(&self) -> Option<Address> {
        Some(self.0.spec().deposit_contract)
    }
}
