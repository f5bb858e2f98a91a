//! Turns a client's transaction request into a message for the EVM, over a state it may bend.

use std::collections::BTreeMap;

use alloy_consensus::{EthereumTxEnvelope, SignableTransaction as _, TxEip4844};
use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::{Address, Signature, TxKind, U256, keccak256};
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest, state::StateOverride};
use assay_types::{AccountChange, Header, Overlay, StateChanges, StateView, Transaction};
use revm::context::{TxEnv, either::Either};

use crate::{Backend, RpcError};

/// Types of transactions by what a request sets.
mod kind {
    pub(super) const LEGACY: u8 = 0;
    pub(super) const ACCESS_LIST: u8 = 1;
    pub(super) const DYNAMIC_FEE: u8 = 2;
    pub(super) const BLOB: u8 = 3;
    pub(super) const SET_CODE: u8 = 4;
}

/// Makes the message of a request; what it leaves open is filled as `eth_call` does.
pub(crate) fn message<V: StateView<Error = assay_state::StateError>>(
    backend: &Backend,
    request: &TransactionRequest,
    state: &V,
    header: &Header,
) -> Result<TxEnv, RpcError> {
    check_fees(request)?;
    let caller = request.from.unwrap_or_default();
    let nonce = match request.nonce {
        Some(nonce) => nonce,
        None => state.account(caller)?.unwrap_or_default().nonce,
    };
    let data = match (&request.input.input, &request.input.data) {
        (Some(input), Some(data)) if input != data => {
            let message = "both \"data\" and \"input\" are set and not equal. \
                           Please use \"input\" to pass transaction call data";
            return Err(RpcError::params(message));
        }
        (input, data) => input.clone().or_else(|| data.clone()).unwrap_or_default(),
    };
    let (tx_type, gas_price) = (transaction_type(request), price(request, header));
    let limit = backend.limits.gas;
    Ok(TxEnv {
        tx_type,
        caller,
        gas_limit: request.gas.map_or(limit, |gas| gas.min(limit)),
        gas_price,
        kind: request.to.unwrap_or(TxKind::Create),
        value: request.value.unwrap_or_default(),
        data,
        nonce,
        chain_id: Some(request.chain_id.unwrap_or(backend.chain.spec().chain_id)),
        access_list: request.access_list.clone().unwrap_or_default(),
        gas_priority_fee: (tx_type >= kind::DYNAMIC_FEE)
            .then(|| request.max_priority_fee_per_gas.unwrap_or_default()),
        blob_hashes: request.blob_versioned_hashes.clone().unwrap_or_default(),
        max_fee_per_blob_gas: request.max_fee_per_blob_gas.unwrap_or_default(),
        authorization_list: authorizations(request.authorization_list.as_deref()),
    })
}

fn authorizations(
    list: Option<&[SignedAuthorization]>,
) -> Vec<Either<SignedAuthorization, revm::context::transaction::RecoveredAuthorization>> {
    list.unwrap_or_default()
        .iter()
        .cloned()
        .map(Either::Left)
        .collect()
}

fn transaction_type(request: &TransactionRequest) -> u8 {
    if request.authorization_list.is_some() {
        kind::SET_CODE
    } else if request.blob_versioned_hashes.is_some() {
        kind::BLOB
    } else if request.max_fee_per_gas.is_some() || request.max_priority_fee_per_gas.is_some() {
        kind::DYNAMIC_FEE
    } else if request.access_list.is_some() {
        kind::ACCESS_LIST
    } else {
        kind::LEGACY
    }
}

fn price(request: &TransactionRequest, header: &Header) -> u128 {
    let tip = request.max_priority_fee_per_gas.unwrap_or_default();
    let base_fee = u128::from(header.base_fee_per_gas.unwrap_or_default());
    match (request.gas_price, request.max_fee_per_gas) {
        (Some(price), _) => price,
        (None, Some(fee)) => fee,
        // A tip alone is offered on top of the base fee.
        (None, None) if tip > 0 => base_fee.saturating_add(tip),
        (None, None) => 0,
    }
}

fn check_fees(request: &TransactionRequest) -> Result<(), RpcError> {
    let dynamic = request.max_fee_per_gas.is_some() || request.max_priority_fee_per_gas.is_some();
    if request.gas_price.is_some() && dynamic {
        let message = "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified";
        return Err(RpcError::params(message));
    }
    Ok(())
}

/// Puts a client's changes on top of a state.
pub(crate) fn bend<V: StateView<Error = assay_state::StateError>>(
    mut overlay: Overlay<V>,
    overrides: Option<StateOverride>,
) -> Result<Overlay<V>, RpcError> {
    let changes = overridden(&overlay, overrides)?;
    overlay.apply(changes);
    Ok(overlay)
}

/// Lists a client's changes to a state.
pub(crate) fn overridden<V: StateView<Error = assay_state::StateError>>(
    state: &V,
    overrides: Option<StateOverride>,
) -> Result<StateChanges, RpcError> {
    let mut changes = StateChanges::default();
    for (address, entry) in overrides.unwrap_or_default() {
        let existing = state.account(address)?.unwrap_or_default();
        let mut account = existing;
        account.balance = entry.balance.unwrap_or(account.balance);
        account.nonce = entry.nonce.unwrap_or(account.nonce);
        if let Some(code) = entry.code {
            account.code_hash = keccak256(&code);
            changes.codes.insert(account.code_hash, code);
        }
        let wiped = entry.state.is_some();
        if wiped && entry.state_diff.is_some() {
            let message = format!("account {address} has both 'state' and 'stateDiff'");
            return Err(RpcError::server(message));
        }
        let slots = entry.state.or(entry.state_diff).unwrap_or_default();
        let storage: BTreeMap<U256, U256> = slots
            .into_iter()
            .map(|(slot, value)| (slot.into(), value.into()))
            .collect();
        if account == existing && storage.is_empty() && !wiped {
            // An entry that only moves a precompile makes no account.
            continue;
        }
        let change = AccountChange {
            account: Some(account),
            wiped,
            storage,
        };
        changes.accounts.insert(address, change);
    }
    Ok(changes)
}

/// Bends a header as a client asks.
pub(crate) fn bend_header(header: &mut Header, overrides: Option<&BlockOverrides>) {
    let Some(overrides) = overrides else { return };
    if let Some(number) = overrides.number {
        header.number = number.saturating_to();
    }
    header.timestamp = overrides.time.unwrap_or(header.timestamp);
    header.gas_limit = overrides.gas_limit.unwrap_or(header.gas_limit);
    header.beneficiary = overrides.coinbase.unwrap_or(header.beneficiary);
    header.mix_hash = overrides.random.unwrap_or(header.mix_hash);
    header.difficulty = overrides.difficulty.unwrap_or(header.difficulty);
    if let Some(fee) = overrides.base_fee {
        header.base_fee_per_gas = Some(fee.saturating_to());
    }
}

/// Tells whether a request is a plain transfer: no data, to an account without code.
pub(crate) fn is_transfer<V: StateView<Error = assay_state::StateError>>(
    message: &TxEnv,
    state: &V,
) -> Result<bool, RpcError> {
    let TxKind::Call(to) = message.kind else {
        return Ok(false);
    };
    Ok(message.data.is_empty() && !has_code(state, to)?)
}

fn has_code<V: StateView<Error = assay_state::StateError>>(
    state: &V,
    address: Address,
) -> Result<bool, RpcError> {
    Ok(state
        .account(address)?
        .is_some_and(|account| account.has_code()))
}

/// Makes the transaction of a complete request, signed by nobody.
pub(crate) fn unsigned(request: TransactionRequest) -> Result<Transaction, RpcError> {
    let signature = Signature::new(U256::ZERO, U256::ZERO, false);
    if request.blob_versioned_hashes.is_some() {
        return Ok(EthereumTxEnvelope::Eip4844(
            blob_transaction(request)?.into_signed(signature),
        ));
    }
    let typed = request
        .build_typed_tx()
        .map_err(|_| RpcError::params("request has fields of different transaction types"))?;
    Ok(assay_dev::with_signature(typed, signature))
}

/// Makes a blob transaction as blocks carry it: without the blobs themselves.
fn blob_transaction(request: TransactionRequest) -> Result<TxEip4844, RpcError> {
    let Some(TxKind::Call(to)) = request.to else {
        return Err(RpcError::params("blob transaction without a recipient"));
    };
    Ok(TxEip4844 {
        chain_id: request.chain_id.unwrap_or_default(),
        nonce: request.nonce.unwrap_or_default(),
        gas_limit: request.gas.unwrap_or_default(),
        max_fee_per_gas: request.max_fee_per_gas.unwrap_or_default(),
        max_priority_fee_per_gas: request.max_priority_fee_per_gas.unwrap_or_default(),
        to,
        value: request.value.unwrap_or_default(),
        access_list: request.access_list.unwrap_or_default(),
        blob_versioned_hashes: request.blob_versioned_hashes.unwrap_or_default(),
        max_fee_per_blob_gas: request.max_fee_per_blob_gas.unwrap_or_default(),
        input: request.input.input.unwrap_or_default(),
    })
}
