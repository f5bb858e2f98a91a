//! `evm_`: what test suites ask of a developer's node, under the names Ganache gave it.

use alloy_primitives::U256;
use serde_json::{Value, json};

use crate::{
    Backend, RpcError,
    anvil::{self, dev},
    arguments::Arguments,
    json::quantity,
    method::{Method, heavy, light},
};

pub(crate) const METHODS: &[Method] = &[
    heavy("evm_mine", mine),
    heavy("evm_mine_detailed", mine_detailed),
    heavy("anvil_mine_detailed", mine_detailed),
    heavy("evm_snapshot", snapshot),
    heavy("anvil_snapshot", snapshot),
    heavy("evm_revert", revert),
    heavy("anvil_revert", revert),
    light("evm_increaseTime", increase_time),
    light("anvil_increaseTime", increase_time),
    light("evm_setTime", set_time),
    light("anvil_setTime", set_time),
    light("evm_setNextBlockTimestamp", set_next_timestamp),
    light("anvil_setNextBlockTimestamp", set_next_timestamp),
    light("evm_setAutomine", anvil::set_automine),
    light("evm_setIntervalMining", anvil::set_interval_mining),
    light("evm_setBlockGasLimit", anvil::set_block_gas_limit),
    heavy("evm_setAccountNonce", anvil::set_nonce),
];

/// Mines a block at a time, at the time given alone or among options.
fn mine(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    mine_as_asked(backend, arguments)?;
    Ok(json!("0x0"))
}

fn mine_detailed(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let first = dev(backend)?.chain().head().header.number + 1;
    mine_as_asked(backend, arguments)?;
    let reader = backend.chain.reader()?;
    let blocks = (first..=reader.tip())
        .filter_map(|number| reader.block(number).transpose())
        .map(|block| crate::json::block(&block?, true))
        .collect::<Result<Vec<_>, RpcError>>()?;
    Ok(blocks.into())
}

fn mine_as_asked(backend: &Backend, arguments: &mut Arguments) -> Result<(), RpcError> {
    let dev = dev(backend)?;
    let (mut blocks, mut timestamp) = (1, None);
    match arguments.raw() {
        Value::Object(options) => {
            let options = |name: &str| {
                let value = options.get(name).cloned().unwrap_or(Value::Null);
                Arguments::new(Some(json!([value])))?.optional_number()
            };
            blocks = options("blocks")?.unwrap_or(1);
            timestamp = options("timestamp")?;
        }
        other => {
            timestamp = Arguments::new(Some(json!([other])))?
                .optional_number()?
                .or(timestamp)
        }
    }
    if let Some(timestamp) = timestamp {
        dev.set_next_timestamp(timestamp)?;
    }
    anvil::check_block_count(blocks)?;
    Ok(dev.mine_many(blocks, None)?)
}

fn snapshot(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    Ok(quantity(dev(backend)?.snapshot()?))
}

fn revert(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let id = arguments.number()?;
    Ok(json!(dev(backend)?.revert(id)?))
}

fn increase_time(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let seconds: U256 = arguments.next()?;
    let seconds: i64 = seconds
        .try_into()
        .map_err(|_| RpcError::params("seconds above 63 bits"))?;
    let offset = dev(backend)?.configure(|settings| {
        settings.time_offset_s = settings.time_offset_s.saturating_add(seconds);
        settings.time_offset_s
    });
    Ok(json!(offset))
}

fn set_time(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let time = arguments.number()?;
    // Hardhat counts in milliseconds here, everyone else in seconds.
    let time = if time > 1_000_000_000_000 {
        time / 1_000
    } else {
        time
    };
    dev(backend)?.set_next_timestamp(time)?;
    Ok(json!(0))
}

fn set_next_timestamp(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    dev(backend)?.set_next_timestamp(arguments.number()?)?;
    Ok(Value::Null)
}
