//! `eth_`: signatures of the developer accounts, and transactions completed but not sent.

use alloy_dyn_abi::TypedData;
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, Bytes, Signature};
use alloy_rpc_types_eth::TransactionRequest;
use serde_json::{Value, json};

use crate::{
    Backend, RpcError,
    arguments::Arguments,
    eth::{
        message::unsigned,
        send::{dev, filled, signed},
    },
    json::value,
    method::{Method, heavy},
};

pub(crate) const METHODS: &[Method] = &[
    heavy("eth_sign", sign),
    heavy("personal_sign", personal_sign),
    // Versions 1 to 4 differ in what they accept; the hash of what all accept is one.
    heavy("eth_signTypedData", sign_typed_data),
    heavy("eth_signTypedData_v3", sign_typed_data),
    heavy("eth_signTypedData_v4", sign_typed_data),
    heavy("eth_signTransaction", sign_transaction),
    heavy("eth_fillTransaction", fill_transaction),
];

fn sign(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let address: Address = arguments.next()?;
    let message: Bytes = arguments.next()?;
    sign_message(backend, address, &message)
}

fn personal_sign(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let message: Bytes = arguments.next()?;
    let address: Address = arguments.next()?;
    sign_message(backend, address, &message)
}

fn sign_message(backend: &Backend, address: Address, message: &[u8]) -> Result<Value, RpcError> {
    let signature = dev(backend)?.accounts().sign_message(address, message)?;
    show(&signature)
}

/// Signs typed data (EIP-712), given as an object or as its JSON text.
fn sign_typed_data(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let address: Address = arguments.next()?;
    let data = match arguments.raw() {
        Value::String(text) => serde_json::from_str(&text)
            .map_err(|error| RpcError::params(format!("invalid argument 1: {error}")))?,
        data => data,
    };
    let data: TypedData = serde_json::from_value(data)
        .map_err(|error| RpcError::params(format!("invalid argument 1: {error}")))?;
    let hash = data
        .eip712_signing_hash()
        .map_err(|error| RpcError::params(format!("typed data: {error}")))?;
    show(&dev(backend)?.accounts().sign_hash(address, hash)?)
}

fn show(signature: &Signature) -> Result<Value, RpcError> {
    value(&Bytes::from(signature.as_bytes().to_vec()))
}

fn sign_transaction(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let (transaction, _) = signed(backend, arguments.next()?)?;
    value(&Bytes::from(transaction.encoded_2718()))
}

/// Completes a transaction with nonce, gas and fees, and leaves the signature to the client.
fn fill_transaction(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let request: TransactionRequest = arguments.next()?;
    let transaction = unsigned(filled(backend, request)?)?;
    let raw = Bytes::from(transaction.encoded_2718());
    Ok(json!({"raw": raw, "tx": value(&transaction)?}))
}
