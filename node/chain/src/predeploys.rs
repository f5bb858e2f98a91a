//! The contracts of inference in a genesis: code, and the storage they begin with.
//!
//! contracts/STORAGE.md is the law here: it names every word this file writes.

use std::collections::BTreeMap;

use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, B256, Bytes, U256, address};
use assay_types::{
    AssayParams, GenesisError,
    contracts::{array_slot as data, mapping_slot, registry, validators},
};
use serde::Deserialize;

use assay_runtime::manifest::MANIFEST_BYTES_MAX;

use crate::Held;

/// Code of the inference precompile's account, so that `extcodesize` is not zero.
const MARKER_CODE: [u8; 1] = [0xfe];
const REGISTRY_ARTIFACT: &str = include_str!("../../../contracts/artifacts/ModelRegistry.json");
const VALIDATORS_ARTIFACT: &str = include_str!("../../../contracts/artifacts/ValidatorSet.json");
const DESK_ARTIFACT: &str = include_str!("../../../contracts/artifacts/StraddleDesk.json");
const COMPATIBILITY_ARTIFACT: &str = include_str!("../../../contracts/artifacts/OGInference.json");

const MAX_REGISTRATIONS_PER_EPOCH: u64 = 1_000;
/// Deposit for a byte of a model: a megabyte costs a hundredth of an ether.
const DEPOSIT_PER_BYTE_WEI: u64 = 10_000_000_000;
/// Deposit for a namespace: a tenth of an ether.
const NAMESPACE_DEPOSIT_WEI: u64 = 100_000_000_000_000_000;
/// Where the example contract is.
pub const EXAMPLE_CONTRACT: Address = address!("0x0000000000000000000000000000000000000e01");
/// Status of a model that runs.
const ACTIVE: u64 = 3;
/// Version of the validator set that the founders are.
const FIRST_VERSION: u64 = 1;

/// A validator a chain begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Founder {
    /// Its account.
    pub account: Address,
    /// Its public key: both coordinates.
    pub public_key: (U256, U256),
    /// Its voting power.
    pub power: u64,
}

/// The validators a chain begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Founders {
    /// The validators, in any order.
    pub validators: Vec<Founder>,
    /// The account that may change the set alone; nobody when it is `None`.
    pub admin: Option<Address>,
    /// Blocks of an epoch: the set changes at its end only.
    pub epoch_blocks: u64,
}

impl Founders {
    /// Adds up their voting power.
    fn power(&self) -> u64 {
        let powers = self.validators.iter().map(|member| member.power);
        powers.fold(0, u64::saturating_add)
    }
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
    founders: &Founders,
    models: &[Held],
) -> Result<BTreeMap<Address, GenesisAccount>, GenesisError> {
    let registry = registry_storage(params, founders, models);
    let validators = validators_storage(params, founders);
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

/// Makes the example contract, which asks one of the example models.
pub(crate) fn example_contract() -> Result<GenesisAccount, GenesisError> {
    Ok(contract(code(DESK_ARTIFACT)?, Storage::new()))
}

fn code(artifact: &str) -> Result<Bytes, GenesisError> {
    let artifact: Artifact = serde_json::from_str(artifact).map_err(GenesisError::Format)?;
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

fn registry_storage(params: &AssayParams, founders: &Founders, models: &[Held]) -> Storage {
    let limits = U256::from(params.model_size_limit_bytes)
        | U256::from(params.total_model_size_limit_bytes) << 64
        | U256::from(MANIFEST_BYTES_MAX) << 128
        | U256::from(MAX_REGISTRATIONS_PER_EPOCH) << 160
        | U256::from(params.activation_delay) << 192;
    let total: u64 = models.iter().map(Held::size_bytes).sum();
    let mut storage = Storage::new();
    let mut put = |slot: U256, word: U256| {
        storage.insert(slot.into(), word.into());
    };
    put(
        U256::from(registry::VALIDATOR_SET),
        address_word(params.validator_set),
    );
    put(U256::from(registry::LIMITS), limits);
    put(
        U256::from(registry::DEPOSITS),
        U256::from(DEPOSIT_PER_BYTE_WEI) | U256::from(NAMESPACE_DEPOSIT_WEI) << 96,
    );
    put(U256::from(registry::TOTAL_BYTES), U256::from(total));
    put(
        U256::from(registry::ACTIVE_MODELS),
        U256::from(models.len()),
    );
    let list = data(registry::ACTIVE_MODELS);
    for (index, model) in models.iter().enumerate() {
        let record = mapping_slot(model.id, U256::from(registry::RECORDS));
        put(
            record,
            U256::from(ACTIVE) | U256::from(model.size_bytes()) << 80,
        );
        put(
            record.wrapping_add(U256::from(1)),
            address_word(model.publisher()),
        );
        put(
            record.wrapping_add(U256::from(2)),
            model.summary().schemaHash.into(),
        );
        put(list.wrapping_add(U256::from(index)), model.id.into());
        // The founders agree on their models with the genesis; whoever joins later attests to them.
        let key = model.summary().key(model.id);
        put(
            mapping_slot(key, U256::from(registry::REGISTRATIONS)),
            U256::from(1) | U256::from(founders.power()) << 8 | U256::from(FIRST_VERSION) << 72,
        );
        let attested = mapping_slot(key, U256::from(registry::ATTESTED));
        for founder in &founders.validators {
            let slot = mapping_slot(founder.account.into_word(), attested);
            put(slot, U256::from(1));
        }
    }
    storage
}

fn validators_storage(params: &AssayParams, founders: &Founders) -> Storage {
    let mut storage = Storage::new();
    let mut put = |slot: U256, word: U256| {
        storage.insert(slot.into(), word.into());
    };
    put(
        U256::from(validators::REGISTRY),
        address_word(params.model_registry),
    );
    put(
        U256::from(validators::EPOCHS),
        U256::from(founders.epoch_blocks.max(1)) | U256::from(FIRST_VERSION) << 64,
    );
    if founders.validators.is_empty() {
        return storage;
    }
    if let Some(admin) = founders.admin {
        put(U256::from(validators::ADMIN), address_word(admin));
    }
    let mut members = founders.validators.clone();
    members.sort_by_key(|member| member.account);
    put(U256::from(validators::POWER), U256::from(founders.power()));
    put(U256::from(validators::MEMBERS), U256::from(members.len()));
    for (index, member) in members.iter().enumerate() {
        put(
            data(validators::MEMBERS).wrapping_add(U256::from(index)),
            address_word(member.account) | U256::from(member.power) << 160,
        );
        let (x, y) = member.public_key;
        let key = mapping_slot(member.account.into_word(), U256::from(validators::KEYS));
        put(key, x);
        put(key.wrapping_add(U256::from(1)), y);
    }
    storage
}

fn address_word(address: Address) -> U256 {
    address.into_word().into()
}
