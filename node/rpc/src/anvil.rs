//! `anvil_` and `hardhat_`: a developer's hand on accounts, mining, fees and who may send.

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use assay_dev::Dev;
use serde_json::{Value, json};

use crate::{
    Backend, RpcError,
    arguments::Arguments,
    json::{quantity, value},
    method::{Method, heavy, light},
    resolve::storage_key,
    web3,
};

/// Most blocks one call mines.
const MAX_BLOCKS: u64 = 100_000;

pub(crate) const METHODS: &[Method] = &[
    light("anvil_impersonateAccount", impersonate),
    light("hardhat_impersonateAccount", impersonate),
    light("anvil_stopImpersonatingAccount", stop_impersonating),
    light("hardhat_stopImpersonatingAccount", stop_impersonating),
    light("anvil_autoImpersonateAccount", auto_impersonate),
    light("hardhat_autoImpersonateAccount", auto_impersonate),
    light("anvil_getAutomine", get_automine),
    light("hardhat_getAutomine", get_automine),
    light("anvil_setAutomine", set_automine),
    light("anvil_getIntervalMining", get_interval_mining),
    light("anvil_setIntervalMining", set_interval_mining),
    heavy("anvil_mine", mine),
    heavy("hardhat_mine", mine),
    light("anvil_dropTransaction", drop_transaction),
    light("hardhat_dropTransaction", drop_transaction),
    light("anvil_dropAllTransactions", drop_all_transactions),
    light("hardhat_dropAllTransactions", drop_all_transactions),
    light("anvil_removePoolTransactions", remove_pool_transactions),
    heavy("anvil_reset", reset),
    heavy("hardhat_reset", reset),
    heavy("anvil_setBalance", set_balance),
    heavy("hardhat_setBalance", set_balance),
    heavy("tenderly_setBalance", set_balance),
    heavy("anvil_addBalance", add_balance),
    heavy("hardhat_addBalance", add_balance),
    heavy("tenderly_addBalance", add_balance),
    heavy("anvil_setNonce", set_nonce),
    heavy("hardhat_setNonce", set_nonce),
    heavy("anvil_setCode", set_code),
    heavy("hardhat_setCode", set_code),
    heavy("anvil_setStorageAt", set_storage_at),
    heavy("hardhat_setStorageAt", set_storage_at),
    light("anvil_setCoinbase", set_coinbase),
    light("hardhat_setCoinbase", set_coinbase),
    light("anvil_setNextBlockBaseFeePerGas", set_next_base_fee),
    light("hardhat_setNextBlockBaseFeePerGas", set_next_base_fee),
    light("hardhat_setPrevRandao", set_prevrandao),
    light("anvil_setBlockGasLimit", set_block_gas_limit),
    light("anvil_setBlockTimestampInterval", set_timestamp_interval),
    light(
        "anvil_removeBlockTimestampInterval",
        remove_timestamp_interval,
    ),
    light("anvil_setLoggingEnabled", set_logging),
    light("hardhat_setLoggingEnabled", set_logging),
    heavy("anvil_dumpState", dump_state),
    heavy("hardhat_dumpState", dump_state),
    heavy("anvil_loadState", load_state),
    heavy("hardhat_loadState", load_state),
    light("anvil_setMinGasPrice", set_min_gas_price),
    light("hardhat_setMinGasPrice", set_min_gas_price),
    light("anvil_getBlobByHash", no_blob),
    light("anvil_getBlobsByTransactionHash", no_blob),
    light("anvil_setChainId", set_chain_id),
    light("anvil_setRpcUrl", set_rpc_url),
    light("anvil_impersonateSignature", impersonate_signature),
    light("anvil_getGenesisTime", genesis_time),
    light("anvil_nodeInfo", node_info),
    light("anvil_metadata", metadata),
    light("hardhat_metadata", metadata),
];

/// Returns the dev driver; these methods exist only with one.
pub(crate) fn dev(backend: &Backend) -> Result<&Dev, RpcError> {
    backend
        .dev
        .as_deref()
        .ok_or_else(|| RpcError::server("this node is not in dev mode"))
}

fn impersonate(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let address: Address = arguments.next()?;
    dev(backend)?.configure(|settings| settings.impersonated.insert(address));
    Ok(Value::Null)
}

fn stop_impersonating(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let address: Address = arguments.next()?;
    dev(backend)?.configure(|settings| settings.impersonated.remove(&address));
    Ok(Value::Null)
}

fn auto_impersonate(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let enabled: bool = arguments.next()?;
    dev(backend)?.configure(|settings| settings.auto_impersonate = enabled);
    Ok(Value::Null)
}

fn get_automine(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    Ok(json!(dev(backend)?.settings().automine))
}

/// Turns instant mining on or off.
pub(crate) fn set_automine(
    backend: &Backend,
    arguments: &mut Arguments,
) -> Result<Value, RpcError> {
    let enabled: bool = arguments.next()?;
    dev(backend)?.configure(|settings| {
        settings.automine = enabled;
        settings.interval_s = settings.interval_s.filter(|_| !enabled);
    });
    Ok(Value::Null)
}

fn get_interval_mining(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    Ok(json!(dev(backend)?.settings().interval_s))
}

/// Mines every so many seconds; zero turns the timer off.
pub(crate) fn set_interval_mining(
    backend: &Backend,
    arguments: &mut Arguments,
) -> Result<Value, RpcError> {
    let seconds = arguments.number()?;
    dev(backend)?.configure(|settings| {
        settings.interval_s = (seconds > 0).then_some(seconds);
        settings.automine = false;
    });
    Ok(Value::Null)
}

fn mine(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let blocks = arguments.optional_number()?.unwrap_or(1);
    let interval = arguments.optional_number()?;
    check_block_count(blocks)?;
    dev(backend)?.mine_many(blocks, interval)?;
    Ok(Value::Null)
}

/// Refuses to mine more blocks than one call may.
pub(crate) fn check_block_count(blocks: u64) -> Result<(), RpcError> {
    match blocks <= MAX_BLOCKS {
        true => Ok(()),
        false => Err(RpcError::params(format!(
            "{blocks} blocks, at most {MAX_BLOCKS} a call"
        ))),
    }
}

fn drop_transaction(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let hash = arguments.hash()?;
    value(&backend.pool.remove(hash).map(|_| hash))
}

fn drop_all_transactions(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    backend.pool.clear();
    Ok(Value::Null)
}

fn remove_pool_transactions(
    backend: &Backend,
    arguments: &mut Arguments,
) -> Result<Value, RpcError> {
    backend.pool.remove_sender(arguments.next()?);
    Ok(Value::Null)
}

fn reset(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    if arguments
        .raw()
        .get("forking")
        .is_some_and(|forking| !forking.is_null())
    {
        return Err(RpcError::server(
            "forking is not supported: this chain's state cannot come from another chain",
        ));
    }
    dev(backend)?.reset()?;
    Ok(Value::Null)
}

fn set_balance(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let (address, balance): (Address, U256) = (arguments.next()?, arguments.next()?);
    dev(backend)?.edit_account(address, |account| account.balance = balance)?;
    Ok(Value::Null)
}

fn add_balance(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let (address, balance): (Address, U256) = (arguments.next()?, arguments.next()?);
    dev(backend)?.edit_account(address, |account| {
        account.balance = account.balance.saturating_add(balance);
    })?;
    Ok(Value::Null)
}

/// Sets an account's nonce.
pub(crate) fn set_nonce(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let address: Address = arguments.next()?;
    let nonce = arguments.number()?;
    dev(backend)?.edit_account(address, |account| account.nonce = nonce)?;
    Ok(Value::Null)
}

fn set_code(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let (address, code): (Address, Bytes) = (arguments.next()?, arguments.next()?);
    dev(backend)?.set_code(address, code)?;
    Ok(Value::Null)
}

fn set_storage_at(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let address: Address = arguments.next()?;
    let slot = storage_key(&arguments.next::<String>()?)?;
    let content = storage_key(&arguments.next::<String>()?)?;
    dev(backend)?.set_storage(address, slot, content)?;
    Ok(json!(true))
}

fn set_coinbase(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let address: Address = arguments.next()?;
    dev(backend)?.configure(|settings| settings.coinbase = address);
    Ok(Value::Null)
}

fn set_next_base_fee(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let fee = arguments.number()?;
    dev(backend)?.configure(|settings| settings.next_base_fee = Some(fee));
    Ok(Value::Null)
}

fn set_prevrandao(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let value: B256 = arguments.next()?;
    dev(backend)?.configure(|settings| settings.next_prevrandao = Some(value));
    Ok(Value::Null)
}

/// Sets the gas limit of the next blocks.
pub(crate) fn set_block_gas_limit(
    backend: &Backend,
    arguments: &mut Arguments,
) -> Result<Value, RpcError> {
    let limit = arguments.number()?;
    dev(backend)?.configure(|settings| settings.gas_limit = limit);
    Ok(json!(true))
}

fn set_timestamp_interval(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let seconds = arguments.number()?;
    dev(backend)?.configure(|settings| settings.timestamp_interval_s = Some(seconds));
    Ok(Value::Null)
}

fn remove_timestamp_interval(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    let was_set = dev(backend)?.configure(|settings| settings.timestamp_interval_s.take());
    Ok(json!(was_set.is_some()))
}

/// Takes the wish and does nothing with it: this node logs by its own flags.
fn set_logging(_: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let _: bool = arguments.next()?;
    Ok(Value::Null)
}

/// Refuses, as anvil and Hardhat do on a chain whose blocks have a base fee.
fn set_min_gas_price(_: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    Err(RpcError::params(
        "no least gas price can be set where EIP-1559 is active: set the next block's base fee",
    ))
}

/// Answers that there is no such blob: this chain has no blob transactions.
fn no_blob(_: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let _: B256 = arguments.hash()?;
    Ok(Value::Null)
}

fn set_chain_id(_: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    Err(RpcError::server(
        "the chain id is part of the genesis and cannot change: start with --chain-id",
    ))
}

fn set_rpc_url(_: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    Err(RpcError::server(
        "forking is not supported: this chain's state cannot come from another chain",
    ))
}

fn impersonate_signature(_: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    Err(RpcError::server(
        "ecrecover cannot be told its answer: blocks made so would not execute to the same again; \
         impersonate the account instead",
    ))
}

fn dump_state(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    Ok(hex::encode_prefixed(dev(backend)?.dump()?).into())
}

fn load_state(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let dump: Bytes = arguments.next()?;
    dev(backend)?.load(&dump)?;
    Ok(json!(true))
}

fn genesis_time(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    let header = backend.chain.reader()?.header(0)?;
    Ok(json!(header.map(|header| header.timestamp)))
}

fn node_info(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    let (head, settings) = (backend.chain.head(), dev(backend)?.settings());
    let next = dev(backend)?.pending_header();
    Ok(json!({
        "currentBlockNumber": quantity(head.header.number),
        "currentBlockTimestamp": head.header.timestamp,
        "currentBlockHash": head.hash,
        "hardFork": "osaka",
        "transactionOrder": "fees",
        "environment": {
            "baseFee": quantity(next.base_fee_per_gas.unwrap_or_default()),
            "chainId": backend.chain.spec().chain_id,
            "gasLimit": quantity(settings.gas_limit),
            "gasPrice": quantity(crate::fees::suggested_price(backend)?),
        },
        "forkConfig": {"forkUrl": null, "forkBlockNumber": null, "forkRetryBackoff": null},
    }))
}

fn metadata(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let (head, reader) = (backend.chain.head(), backend.chain.reader()?);
    Ok(json!({
        "clientVersion": web3::client_version(backend, arguments)?,
        "clientSemver": env!("CARGO_PKG_VERSION"),
        "chainId": backend.chain.spec().chain_id,
        "instanceId": reader.hash(0)?,
        "latestBlockNumber": head.header.number,
        "latestBlockHash": head.hash,
        "forkedNetwork": null,
        "snapshots": {},
    }))
}
