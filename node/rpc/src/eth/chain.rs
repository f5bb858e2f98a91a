//! `eth_`: the chain as a whole, its forks and fees.

use alloy_eips::BlockId;
use serde_json::{Value, json};

use crate::{
    Backend, RpcError,
    arguments::Arguments,
    eth::fork,
    fees,
    json::{quantity, value},
    method::{Method, heavy, light},
};

pub(crate) const METHODS: &[Method] = &[
    light("eth_chainId", chain_id),
    light("eth_blockNumber", block_number),
    light("eth_syncing", syncing),
    light("eth_protocolVersion", protocol_version),
    light("eth_coinbase", coinbase),
    light("eth_mining", mining),
    light("eth_hashrate", hashrate),
    light("eth_gasPrice", gas_price),
    light("eth_maxPriorityFeePerGas", max_priority_fee),
    light("eth_baseFee", base_fee),
    light("eth_blobBaseFee", blob_base_fee),
    heavy("eth_feeHistory", fee_history),
    light("eth_capabilities", capabilities),
    light("eth_config", config),
];

fn chain_id(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    Ok(quantity(backend.chain.spec().chain_id))
}

fn block_number(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    Ok(quantity(backend.chain.head().header.number))
}

fn syncing(_: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    Ok(json!(false))
}

fn protocol_version(_: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    Ok(quantity(0x44_u64))
}

fn coinbase(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    match &backend.dev {
        Some(dev) => value(&dev.settings().coinbase),
        None => value(&backend.chain.head().header.beneficiary),
    }
}

fn mining(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    Ok(json!(backend.dev.is_some()))
}

fn hashrate(_: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    Ok(quantity(0_u64))
}

fn gas_price(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    Ok(quantity(fees::suggested_price(backend)?))
}

fn max_priority_fee(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    Ok(quantity(fees::suggested_tip(backend)?))
}

fn base_fee(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    let header = backend.next_header();
    Ok(header.base_fee_per_gas.map_or(Value::Null, quantity))
}

fn blob_base_fee(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    let header = backend.next_header();
    let params = backend.chain.spec().blob_params(header.timestamp);
    let fee = header
        .excess_blob_gas
        .zip(params)
        .map(|(excess, p)| p.calc_blob_fee(excess));
    Ok(quantity(fee.unwrap_or_default()))
}

fn fee_history(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let count = arguments.number()?;
    let newest: BlockId = arguments.next()?;
    let percentiles: Vec<f64> = arguments.optional()?.unwrap_or_default();
    fees::history(backend, count, newest, &percentiles)
}

fn capabilities(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    let reader = backend.chain.reader()?;
    let head = backend.chain.head();
    let kept = |oldest: u64| json!({"disabled": false, "oldestBlock": quantity(oldest)});
    let (state, all) = (kept(reader.first_state()), kept(reader.oldest_block()));
    Ok(json!({
        "head": {"number": quantity(head.header.number), "hash": head.hash},
        "state": state, "stateproofs": state,
        "tx": all, "logs": all, "receipts": all, "blocks": all,
    }))
}

/// Answers the forks by time of EIP-7910.
fn config(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    let reader = backend.chain.reader()?;
    let genesis = reader.hash(0)?.unwrap_or_default();
    let now = backend.chain.head().header.timestamp;
    Ok(fork::describe(backend, genesis, now))
}
