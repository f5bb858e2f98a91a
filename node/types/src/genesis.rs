//! The genesis file: geth's format, with our section under `config.assay`.

use std::collections::BTreeMap;

use alloy_consensus::{
    BlockBody,
    constants::{EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, EMPTY_WITHDRAWALS},
};
use alloy_eips::{eip4895::Withdrawals, eip7685::EMPTY_REQUESTS_HASH};
use alloy_genesis::GenesisAccount;
use alloy_hardforks::EthereumHardfork;
use alloy_primitives::{Address, B64, B256, U256, keccak256};

use crate::{
    Account, AccountChange, AssayParams, Block, ChainSpec, Header, StateChanges,
    spec::DEFAULT_BLOCK_GAS_LIMIT,
};

/// Key of our section inside geth's `config`.
const ASSAY_SECTION: &str = "assay";
/// Base fee of a first block that has London's rules and names none.
const INITIAL_BASE_FEE: u64 = 1_000_000_000;

/// Says why a genesis file was refused.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// The file is not JSON of geth's format.
    #[error("genesis is not in geth's format: {0}")]
    Format(#[source] serde_json::Error),
    /// Our section has a field of another name or type.
    #[error("genesis section config.assay: {0}")]
    Section(#[source] serde_json::Error),
    /// The base fee does not fit a header.
    #[error("genesis baseFeePerGas is {0}, more than a header holds")]
    BaseFee(u128),
    /// A cap would let no transaction in.
    #[error("genesis config.assay.transactionGasCap is {0}, below the least cost of 21000")]
    TransactionGasCap(u64),
}

/// A parsed genesis: the chain's rules and its first block and state.
#[derive(Debug, Clone)]
pub struct Genesis {
    /// The chain's rules.
    pub spec: ChainSpec,
    inner: alloy_genesis::Genesis,
}

impl Genesis {
    /// Parses a genesis file.
    ///
    /// # Errors
    /// When the text is not geth's format or our section has unknown or impossible fields.
    pub fn from_json(text: &str) -> Result<Self, GenesisError> {
        Self::new(serde_json::from_str(text).map_err(GenesisError::Format)?)
    }

    /// Reads the rules from a genesis already parsed.
    ///
    /// # Errors
    /// When our section has unknown or impossible fields.
    pub fn new(inner: alloy_genesis::Genesis) -> Result<Self, GenesisError> {
        let assay = inner
            .config
            .extra_fields
            .get_deserialized::<AssayParams>(ASSAY_SECTION)
            .transpose()
            .map_err(GenesisError::Section)?;
        if let Some(params) = assay.as_ref().filter(|p| p.transaction_gas_cap < 21_000) {
            return Err(GenesisError::TransactionGasCap(params.transaction_gas_cap));
        }
        if let Some(fee) = inner
            .base_fee_per_gas
            .filter(|fee| u64::try_from(*fee).is_err())
        {
            return Err(GenesisError::BaseFee(fee));
        }
        Ok(Self {
            spec: ChainSpec::new(inner.config.clone(), assay),
            inner,
        })
    }

    /// Returns the file's contents, for writing it out again.
    #[must_use]
    pub const fn file(&self) -> &alloy_genesis::Genesis {
        &self.inner
    }

    /// Writes the file without its accounts: the rules and the first block's own fields.
    ///
    /// # Errors
    /// When it does not serialize.
    pub fn rules(&self) -> Result<String, GenesisError> {
        let rules = alloy_genesis::Genesis {
            alloc: BTreeMap::new(),
            ..self.inner.clone()
        };
        serde_json::to_string(&rules).map_err(GenesisError::Format)
    }

    /// Lists the first state as changes to the empty one.
    #[must_use]
    pub fn state(&self) -> StateChanges {
        allocate(&self.inner.alloc)
    }

    /// Builds the first block over its state's root.
    #[must_use]
    pub fn block(&self, state_root: B256) -> Block {
        let file = &self.inner;
        let number = file.number.unwrap_or_default();
        let forks = self.spec.forks(number, file.timestamp, file.difficulty);
        let active = |fork| forks.is_active(fork);
        let cancun = active(EthereumHardfork::Cancun);
        let header = Header {
            parent_hash: file.parent_hash.unwrap_or_default(),
            number,
            timestamp: file.timestamp,
            nonce: B64::from(file.nonce),
            extra_data: file.extra_data.clone(),
            gas_limit: match file.gas_limit {
                0 => DEFAULT_BLOCK_GAS_LIMIT,
                limit => limit,
            },
            difficulty: file.difficulty,
            mix_hash: file.mix_hash,
            beneficiary: file.coinbase,
            state_root,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            transactions_root: EMPTY_ROOT_HASH,
            receipts_root: EMPTY_ROOT_HASH,
            base_fee_per_gas: active(EthereumHardfork::London).then(|| self.base_fee()),
            withdrawals_root: active(EthereumHardfork::Shanghai).then_some(EMPTY_WITHDRAWALS),
            blob_gas_used: cancun.then(|| file.blob_gas_used.unwrap_or_default()),
            excess_blob_gas: cancun.then(|| file.excess_blob_gas.unwrap_or_default()),
            parent_beacon_block_root: cancun.then_some(B256::ZERO),
            requests_hash: active(EthereumHardfork::Prague).then_some(EMPTY_REQUESTS_HASH),
            ..Header::default()
        };
        let withdrawals = header.withdrawals_root.map(|_| Withdrawals::default());
        Block::new(
            header,
            BlockBody {
                withdrawals,
                ..BlockBody::default()
            },
        )
    }

    fn base_fee(&self) -> u64 {
        self.inner
            .base_fee_per_gas
            .and_then(|fee| u64::try_from(fee).ok())
            .unwrap_or(INITIAL_BASE_FEE)
    }
}

/// Lists accounts of geth's `alloc` format as changes to the empty state.
#[must_use]
pub fn allocate(accounts: &BTreeMap<Address, GenesisAccount>) -> StateChanges {
    let mut changes = StateChanges::default();
    for (address, entry) in accounts {
        let mut account = Account {
            nonce: entry.nonce.unwrap_or_default(),
            balance: entry.balance,
            ..Account::default()
        };
        if let Some(code) = entry.code.clone().filter(|code| !code.is_empty()) {
            account.code_hash = keccak256(&code);
            changes.codes.insert(account.code_hash, code);
        }
        let storage = entry
            .storage
            .iter()
            .flatten()
            .map(|(slot, value)| (U256::from_be_bytes(slot.0), U256::from_be_bytes(value.0)))
            .filter(|(_, value)| !value.is_zero())
            .collect();
        let change = AccountChange {
            account: Some(account),
            wiped: false,
            storage,
        };
        changes.accounts.insert(*address, change);
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn genesis(config: &str) -> Result<Genesis, GenesisError> {
        Genesis::from_json(&format!(
            r#"{{"config":{config},"nonce":"0x0","timestamp":"0x0","extraData":"0x",
                "gasLimit":"0x1c9c380","difficulty":"0x0",
                "mixHash":"{zero}","coinbase":"0x{short}","alloc":{{
                "00000000000000000000000000000000000000aa":{{"balance":"0x5","nonce":"0x1",
                  "code":"0x6001","storage":{{"{zero}":"{zero}"}}}}}}}}"#,
            zero = B256::ZERO,
            short = "00".repeat(20),
        ))
    }

    #[test]
    fn chain_without_our_section_is_plain_ethereum() {
        assert!(genesis(r#"{"chainId":5}"#).unwrap().spec.assay.is_none());
    }

    #[test]
    fn section_fills_its_defaults_and_refuses_unknown_fields() {
        let given = genesis(r#"{"chainId":5,"assay":{"activationDelay":9}}"#).unwrap();
        let params = given.spec.assay.unwrap();
        assert_eq!(params.activation_delay, 9);
        assert_eq!(params.transaction_gas_cap, 30_000_000);
        assert!(matches!(
            genesis(r#"{"chainId":5,"assay":{"activationDelays":9}}"#),
            Err(GenesisError::Section(_))
        ));
        assert!(matches!(
            genesis(r#"{"chainId":5,"assay":{"transactionGasCap":20999}}"#),
            Err(GenesisError::TransactionGasCap(20_999))
        ));
    }

    #[test]
    fn header_carries_the_fields_of_the_forks_it_has() {
        let london = genesis(r#"{"chainId":5,"londonBlock":0}"#)
            .unwrap()
            .block(B256::ZERO);
        assert_eq!(london.header.base_fee_per_gas, Some(INITIAL_BASE_FEE));
        assert_eq!(london.header.withdrawals_root, None);
        let config = r#"{"chainId":5,"londonBlock":0,"shanghaiTime":0,"cancunTime":0,
                         "pragueTime":0}"#;
        let prague = genesis(config).unwrap().block(B256::ZERO);
        assert_eq!(prague.header.requests_hash, Some(EMPTY_REQUESTS_HASH));
        assert!(prague.body.withdrawals.is_some());
    }

    #[test]
    fn state_drops_zero_slots_and_keeps_code_by_hash() {
        let state = genesis(r#"{"chainId":5}"#).unwrap().state();
        let change = state.accounts.values().next().unwrap();
        assert!(change.storage.is_empty());
        let account = change.account.unwrap();
        assert_eq!((account.nonce, account.balance), (1, U256::from(5)));
        assert_eq!(state.codes[&account.code_hash].as_ref(), [0x60, 0x01]);
    }
}
