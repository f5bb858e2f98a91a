//! Reads of the model registry's storage, as contracts/STORAGE.md lays it out.

use alloy_primitives::{Address, B256, U256};
use assay_precompile::registry::Record;
use assay_types::{
    StateView,
    contracts::{array_slot, mapping_slot, registry},
};

/// Lists the models that reached the quorum, in order, from a position on.
///
/// # Errors
/// When this machine cannot read its state.
pub fn active_models<V: StateView>(
    state: &V,
    registry: Address,
    first: u64,
    most: u64,
) -> Result<Vec<B256>, V::Error> {
    let slot = U256::from(registry::ACTIVE_MODELS);
    let count: u64 = state.storage(registry, slot)?.saturating_to();
    let list = array_slot(registry::ACTIVE_MODELS);
    (first..count.min(first.saturating_add(most)))
        .map(|index| {
            let word = state.storage(registry, list.wrapping_add(U256::from(index)))?;
            Ok(word.into())
        })
        .collect()
}

/// Counts the models that reached the quorum.
///
/// # Errors
/// When this machine cannot read its state.
pub fn active_count<V: StateView>(state: &V, registry: Address) -> Result<u64, V::Error> {
    let slot = U256::from(registry::ACTIVE_MODELS);
    Ok(state.storage(registry, slot)?.saturating_to())
}

/// Reads where a model stands.
///
/// # Errors
/// When this machine cannot read its state.
pub fn record<V: StateView>(state: &V, registry: Address, model: B256) -> Result<Record, V::Error> {
    Ok(Record::decode(state.storage(registry, Record::key(model))?))
}

/// Tells whether a registration exists, by its key.
///
/// # Errors
/// When this machine cannot read its state.
pub fn is_registered<V: StateView>(
    state: &V,
    registry: Address,
    key: B256,
) -> Result<bool, V::Error> {
    let slot = mapping_slot(key, U256::from(registry::REGISTRATIONS));
    Ok(state.storage(registry, slot)?.bit(0))
}

/// Tells whether an account attested to a registration.
///
/// # Errors
/// When this machine cannot read its state.
pub fn has_attested<V: StateView>(
    state: &V,
    registry: Address,
    key: B256,
    account: Address,
) -> Result<bool, V::Error> {
    let by_account = mapping_slot(key, U256::from(registry::ATTESTED));
    let slot = mapping_slot(account.into_word(), by_account);
    Ok(!state.storage(registry, slot)?.is_zero())
}
