//! `eth_`: accounts, storage, code, proofs.

use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, U256};
use assay_state::AccountProof;
use assay_types::{Account, StateView as _};
use serde_json::{Map, Value, json};

use crate::{
    Backend, RpcError,
    arguments::Arguments,
    json::{quantity, value},
    method::{Method, heavy, light},
    resolve::{At, storage_key},
};

/// Most slots one call may ask for.
const MAX_SLOTS: usize = 1_024;

pub(crate) const METHODS: &[Method] = &[
    light("eth_getBalance", balance),
    light("eth_getCode", code),
    light("eth_getStorageAt", storage_at),
    heavy("eth_getStorageValues", storage_values),
    light("eth_getTransactionCount", transaction_count),
    light("eth_getAccount", account),
    light("eth_getAccountInfo", account_info),
    heavy("eth_getProof", proof),
];

fn read(
    backend: &Backend,
    arguments: &mut Arguments,
) -> Result<(Address, Option<BlockId>, Account), RpcError> {
    let address: Address = arguments.next()?;
    let id: Option<BlockId> = arguments.optional()?;
    let account = backend.at(id)?.state()?.account(address)?;
    Ok((address, id, account.unwrap_or_default()))
}

fn balance(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    Ok(quantity(read(backend, arguments)?.2.balance))
}

fn code(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let (_, id, account) = read(backend, arguments)?;
    value(&backend.at(id)?.state()?.code(account.code_hash)?)
}

fn transaction_count(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let (address, id, account) = read(backend, arguments)?;
    // What does not fit the pending block waits for later ones: its nonces are taken too.
    let waiting = match id == Some(BlockId::pending()) {
        true => backend.pool.next_nonce(address),
        false => None,
    };
    Ok(quantity(waiting.unwrap_or_default().max(account.nonce)))
}

fn storage_at(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let address: Address = arguments.next()?;
    let slot = storage_key(&arguments.next::<String>()?)?;
    let at = backend.at(arguments.optional()?)?;
    value(&B256::from(at.state()?.storage(address, slot)?))
}

fn storage_values(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let wanted: Map<String, Value> = arguments.next()?;
    let at = backend.at(arguments.optional()?)?;
    let state = at.state()?;
    let (mut answer, mut slots) = (Map::new(), 0_usize);
    for (address, keys) in wanted {
        let parsed: Address = address
            .parse()
            .map_err(|error| RpcError::params(format!("invalid address {address}: {error}")))?;
        let keys: Vec<String> = serde_json::from_value(keys)
            .map_err(|error| RpcError::params(format!("slots of {address}: {error}")))?;
        slots = slots.saturating_add(keys.len());
        if slots > MAX_SLOTS {
            let message = format!("too many slots (max {MAX_SLOTS})");
            return Err(RpcError::params(message));
        }
        let values = keys
            .iter()
            .map(|key| Ok(B256::from(state.storage(parsed, storage_key(key)?)?)))
            .collect::<Result<Vec<_>, RpcError>>()?;
        answer.insert(address, value(&values)?);
    }
    match slots {
        0 => Err(RpcError::params("empty request")),
        _ => Ok(answer.into()),
    }
}

fn account(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let address: Address = arguments.next()?;
    let proof = prove(&backend.at(arguments.optional()?)?, address, &[])?;
    let account = proof.account.unwrap_or_default();
    Ok(json!({
        "nonce": quantity(account.nonce),
        "balance": quantity(account.balance),
        "codeHash": account.code_hash,
        "storageRoot": proof.storage_root,
    }))
}

/// Proves what a block left; the pending block has no root yet that a proof could lead to.
fn prove(at: &At, address: Address, slots: &[U256]) -> Result<AccountProof, RpcError> {
    match at.pending {
        Some(_) => Err(RpcError::server(
            "the pending block has no root to prove against: ask for latest",
        )),
        None => Ok(at.reader.prove(at.number, address, slots)?),
    }
}

fn account_info(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let (_, id, account) = read(backend, arguments)?;
    let code = backend.at(id)?.state()?.code(account.code_hash)?;
    Ok(json!({
        "nonce": quantity(account.nonce),
        "balance": quantity(account.balance),
        "code": code,
    }))
}

fn proof(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let address: Address = arguments.next()?;
    let keys: Vec<String> = arguments.next()?;
    if keys.len() > MAX_SLOTS {
        return Err(RpcError::params(format!("too many keys (max {MAX_SLOTS})")));
    }
    let at = backend.at(arguments.optional()?)?;
    let slots = keys
        .iter()
        .map(|key| storage_key(key))
        .collect::<Result<Vec<U256>, _>>()?;
    let proof = prove(&at, address, &slots)?;
    let account = proof.account.unwrap_or_default();
    let storage: Vec<Value> = keys
        .iter()
        .zip(&proof.storage)
        .map(|(key, slot)| {
            json!({
                "key": shown_key(key, slot.slot),
                "value": quantity(slot.value),
                "proof": slot.nodes,
            })
        })
        .collect();
    Ok(json!({
        "address": address,
        "accountProof": proof.nodes,
        "balance": quantity(account.balance),
        "codeHash": account.code_hash,
        "nonce": quantity(account.nonce),
        "storageHash": proof.storage_root,
        "storageProof": storage,
    }))
}

/// Repeats a key as geth does: whole when it was given whole, as a quantity when it was short.
fn shown_key(given: &str, slot: U256) -> Value {
    match given.len() == 66 {
        true => json!(B256::from(slot)),
        false => quantity(slot),
    }
}
