//! Who did something first: found by bisection over the states that are kept.

use alloy_consensus::Transaction as _;
use alloy_primitives::Address;
use assay_executor::Evm as _;
use assay_state::Reader;
use assay_types::{Account, StateView as _};
use revm_inspectors::tracing::{TracingInspector, TracingInspectorConfig};
use serde_json::{Value, json};

use crate::{Backend, RpcError, arguments::Arguments, replay::Replay, resolve::At};

/// Finds the first block after which an account satisfies a condition that stays true once it is;
/// `None` when it never does, or did before the oldest state that is kept.
fn first_block(
    reader: &Reader,
    address: Address,
    holds: impl Fn(&Account) -> bool,
) -> Result<Option<u64>, RpcError> {
    let at = |number: u64| -> Result<bool, RpcError> {
        let account = reader.state(number)?.account(address)?;
        Ok(account.is_some_and(|account| holds(&account)))
    };
    let (mut low, mut high) = (reader.first_state(), reader.tip());
    if !at(high)? || at(low)? {
        return Ok(None);
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        match at(middle)? {
            true => high = middle,
            false => low = middle,
        }
    }
    Ok(Some(high))
}

/// Finds the mined transaction of a sender by its nonce.
pub(crate) fn find_by_nonce(
    backend: &Backend,
    sender: Address,
    nonce: u64,
) -> Result<Option<(At, usize)>, RpcError> {
    let reader = backend.chain.reader()?;
    let Some(number) = first_block(&reader, sender, |account| account.nonce > nonce)? else {
        return Ok(None);
    };
    let at = At::mined(reader, number);
    let block = at.block()?;
    let index = (0..block.senders.len()).find(|index| {
        let found = block.transaction(*index);
        found.is_some_and(|(tx, from)| from == sender && tx.nonce() == nonce)
    });
    Ok(index.map(|index| (at, index)))
}

pub(super) fn by_nonce(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let (sender, nonce) = (arguments.next()?, arguments.number()?);
    let Some((at, index)) = find_by_nonce(backend, sender, nonce)? else {
        return Ok(Value::Null);
    };
    let block = at.block()?;
    Ok(json!(block.transaction(index).map(|(tx, _)| *tx.tx_hash())))
}

/// Answers the transaction that created a contract, and who called for it.
pub(super) fn creator(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let contract: Address = arguments.next()?;
    let reader = backend.chain.reader()?;
    let Some(number) = first_block(&reader, contract, Account::has_code)? else {
        return Ok(Value::Null);
    };
    let at = At::mined(reader, number);
    let block = at.block()?;
    let mut replay = Replay::begin(backend, &at, &block, TracingInspector::default())?;
    for (index, tx) in block.block.body.transactions.iter().enumerate() {
        let inspector = TracingInspector::new(TracingInspectorConfig::none());
        let creator = replay.watch(index, inspector, |evm, _| {
            let nodes = evm.inspector_mut().traces().nodes();
            let made = nodes.iter().find(|node| {
                let trace = &node.trace;
                trace.kind.is_any_create() && trace.success && trace.address == contract
            });
            made.map(|node| node.trace.caller)
        })?;
        if let Some(creator) = creator {
            return Ok(json!({"hash": tx.tx_hash(), "creator": creator}));
        }
    }
    Ok(Value::Null)
}
