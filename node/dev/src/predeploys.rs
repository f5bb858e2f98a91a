//! The contracts of inference in a developer's genesis: code, and the storage they begin with.
//!
//! contracts/STORAGE.md is the law here: it names every word this file writes.

use std::collections::BTreeMap;

use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use assay_types::AssayParams;
use serde::Deserialize;

use crate::{DevError, DevModel};

/// Code of the inference precompile's account, so that `extcodesize` is not zero.
const MARKER_CODE: [u8; 1] = [0xfe];
const REGISTRY_ARTIFACT: &str = include_str!("../../../contracts/artifacts/ModelRegistry.json");
const VALIDATORS_ARTIFACT: &str = include_str!("../../../contracts/artifacts/ValidatorSet.json");
const COMPATIBILITY_ARTIFACT: &str = include_str!("../../../contracts/artifacts/OGInference.json");

const MAX_MANIFEST_BYTES: u64 = 1 << 20;
const MAX_REGISTRATIONS_PER_EPOCH: u64 = 1_000;
/// Status of a model that runs.
const ACTIVE: u64 = 3;

/// Slots of the ModelRegistry.
mod registry {
    pub(super) const VALIDATOR_SET: u64 = 0;
    pub(super) const LIMITS: u64 = 1;
    pub(super) const TOTAL_BYTES: u64 = 3;
    pub(super) const RECORDS: u64 = 4;
    pub(super) const ACTIVE_MODELS: u64 = 7;
}

/// Slots of the ValidatorSet.
mod validators {
    pub(super) const ADMIN: u64 = 0;
    pub(super) const REGISTRY: u64 = 2;
    pub(super) const EPOCHS: u64 = 4;
    pub(super) const POWER: u64 = 5;
    pub(super) const MEMBERS: u64 = 6;
    pub(super) const KEYS: u64 = 8;
}

/// The account that attests to models on a developer's chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validator {
    /// Its address.
    pub account: Address,
    /// Its public key: both coordinates.
    pub public_key: (U256, U256),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    deployed_bytecode: Bytes,
}

type Storage = BTreeMap<B256, B256>;

/// Lists the predeployed contracts, with these models active.
pub(crate) fn predeploys(
    params: &AssayParams,
    validator: Option<Validator>,
    models: &[DevModel],
) -> Result<BTreeMap<Address, GenesisAccount>, DevError> {
    let registry = registry_storage(params, models);
    let validators = validators_storage(params, validator);
    Ok([
        (
            params.inference,
            contract(MARKER_CODE.to_vec().into(), Storage::new()),
        ),
        (
            params.model_registry,
            contract(code(REGISTRY_ARTIFACT)?, registry),
        ),
        (
            params.validator_set,
            contract(code(VALIDATORS_ARTIFACT)?, validators),
        ),
        (
            params.og_inference,
            contract(code(COMPATIBILITY_ARTIFACT)?, Storage::new()),
        ),
    ]
    .into())
}

fn code(artifact: &str) -> Result<Bytes, DevError> {
    let artifact: Artifact = serde_json::from_str(artifact)?;
    Ok(artifact.deployed_bytecode)
}

fn contract(code: Bytes, storage: Storage) -> GenesisAccount {
    GenesisAccount {
        nonce: Some(1),
        code: Some(code),
        storage: (!storage.is_empty()).then_some(storage),
        ..GenesisAccount::default()
    }
}

fn registry_storage(params: &AssayParams, models: &[DevModel]) -> Storage {
    let limits = U256::from(params.model_size_limit_bytes)
        | U256::from(params.total_model_size_limit_bytes) << 64
        | U256::from(MAX_MANIFEST_BYTES) << 128
        | U256::from(MAX_REGISTRATIONS_PER_EPOCH) << 160
        | U256::from(params.activation_delay) << 192;
    let total: u64 = models.iter().map(|model| model.size_bytes).sum();
    let mut storage = Storage::new();
    let mut put = |slot: U256, word: U256| {
        storage.insert(slot.into(), word.into());
    };
    put(
        U256::from(registry::VALIDATOR_SET),
        address_word(params.validator_set),
    );
    put(U256::from(registry::LIMITS), limits);
    put(U256::from(registry::TOTAL_BYTES), U256::from(total));
    put(
        U256::from(registry::ACTIVE_MODELS),
        U256::from(models.len()),
    );
    let list = data(registry::ACTIVE_MODELS);
    for (index, model) in models.iter().enumerate() {
        let record = map(model.id, registry::RECORDS);
        put(
            record,
            U256::from(ACTIVE) | U256::from(model.size_bytes) << 80,
        );
        put(
            record.wrapping_add(U256::from(1)),
            address_word(model.publisher),
        );
        put(record.wrapping_add(U256::from(2)), model.schema_hash.into());
        put(list.wrapping_add(U256::from(index)), model.id.into());
    }
    storage
}

fn validators_storage(params: &AssayParams, validator: Option<Validator>) -> Storage {
    let mut storage = Storage::new();
    let mut put = |slot: U256, word: U256| {
        storage.insert(slot.into(), word.into());
    };
    put(
        U256::from(validators::REGISTRY),
        address_word(params.model_registry),
    );
    // Epochs of one block, version one.
    put(
        U256::from(validators::EPOCHS),
        U256::from(1) | U256::from(1) << 64,
    );
    let Some(Validator {
        account,
        public_key: (x, y),
    }) = validator
    else {
        return storage;
    };
    put(U256::from(validators::ADMIN), address_word(account));
    put(U256::from(validators::POWER), U256::from(1));
    put(U256::from(validators::MEMBERS), U256::from(1));
    put(
        data(validators::MEMBERS),
        address_word(account) | U256::from(1) << 160,
    );
    let key = map(account.into_word(), validators::KEYS);
    put(key, x);
    put(key.wrapping_add(U256::from(1)), y);
    storage
}

fn address_word(address: Address) -> U256 {
    address.into_word().into()
}

/// Finds where a mapping keeps a key's value.
fn map(key: B256, slot: u64) -> U256 {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(key.as_slice());
    bytes[32..].copy_from_slice(&U256::from(slot).to_be_bytes::<32>());
    keccak256(bytes).into()
}

/// Finds where an array keeps its elements.
fn data(slot: u64) -> U256 {
    keccak256(U256::from(slot).to_be_bytes::<32>()).into()
}
