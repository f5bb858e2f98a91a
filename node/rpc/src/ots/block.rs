//! Blocks as Otterscan shows them: slim, with fees and rewards, transactions by the page.

use alloy_consensus::Transaction as _;
use alloy_eips::BlockId;
use alloy_primitives::U256;
use assay_executor::rewards;
use serde_json::{Map, Value, json};

use crate::{
    Backend, RpcError,
    arguments::Arguments,
    eth::block::receipts_at,
    json::{self as shapes, quantity},
    ots::block_id,
    resolve::At,
};

/// Most transactions of a page.
pub(super) const MAX_PAGE_SIZE: u64 = 1_000;
/// Characters of calldata that stay: 0x and a selector.
const SELECTOR_CHARACTERS: usize = 10;

pub(super) fn details(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    show(backend, block_id(arguments)?)
}

pub(super) fn details_by_hash(
    backend: &Backend,
    arguments: &mut Arguments,
) -> Result<Value, RpcError> {
    show(backend, arguments.hash()?.into())
}

fn show(backend: &Backend, id: BlockId) -> Result<Value, RpcError> {
    let Some(at) = backend.find(Some(id))? else {
        return Ok(Value::Null);
    };
    let block = at.block()?;
    let paid = rewards(backend.chain.spec(), &block.block);
    let own = paid.block.map_or(U256::ZERO, |(_, reward)| reward);
    let uncles = paid
        .uncles
        .iter()
        .fold(U256::ZERO, |sum, (_, reward)| sum.saturating_add(*reward));
    let mut shown = slim(&at)?;
    shown.remove("transactions");
    Ok(json!({
        "block": shown,
        "issuance": {
            "blockReward": quantity(own),
            "uncleReward": quantity(uncles),
            "issuance": quantity(own.saturating_add(uncles)),
        },
        "totalFees": quantity(total_fees(&at)?),
    }))
}

/// Writes a block without its bloom filter and with the number of its transactions.
fn slim(at: &At) -> Result<Map<String, Value>, RpcError> {
    let block = at.block()?;
    let mut shown = match shapes::block(&block, true)? {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    let count = block.block.body.transactions.len();
    shown.insert("transactionCount".into(), json!(count));
    shown.insert("logsBloom".into(), Value::Null);
    Ok(shown)
}

/// Adds up what senders paid for gas.
fn total_fees(at: &At) -> Result<U256, RpcError> {
    let block = at.block()?;
    let base_fee = block.block.header.base_fee_per_gas;
    let (mut total, mut before) = (U256::ZERO, 0);
    for (tx, receipt) in block.block.body.transactions.iter().zip(at.receipts()?) {
        let gas = receipt.cumulative_gas_used().saturating_sub(before);
        before = receipt.cumulative_gas_used();
        let price = U256::from(tx.effective_gas_price(base_fee));
        total = total.saturating_add(price.saturating_mul(U256::from(gas)));
    }
    Ok(total)
}

/// Answers a page of a block's transactions, the last ones first.
pub(super) fn transactions(
    backend: &Backend,
    arguments: &mut Arguments,
) -> Result<Value, RpcError> {
    let id = block_id(arguments)?;
    let (page, size) = (arguments.number()?, page_size(arguments)?);
    let Some(at) = backend.find(Some(id))? else {
        return Ok(Value::Null);
    };
    let mut shown = slim(&at)?;
    let mut receipts = receipts_at(backend, &at)?;
    let all = receipts.len();
    let skipped = usize::try_from(page.saturating_mul(size)).unwrap_or(usize::MAX);
    let end = all.saturating_sub(skipped);
    let start = end.saturating_sub(usize::try_from(size).unwrap_or(usize::MAX));
    let timestamp = quantity(at.header()?.timestamp);
    receipts.truncate(end);
    let receipts: Vec<Value> = receipts
        .into_iter()
        .skip(start)
        .map(|receipt| slim_receipt(receipt, &timestamp))
        .collect();
    if let Some(Value::Array(transactions)) = shown.get_mut("transactions") {
        transactions.truncate(end);
        transactions.drain(..start.min(end));
        transactions.iter_mut().for_each(cut_input);
    }
    Ok(json!({"fullblock": shown, "receipts": receipts}))
}

/// Reads how many transactions a page is to have.
pub(super) fn page_size(arguments: &mut Arguments) -> Result<u64, RpcError> {
    let size = arguments.number()?;
    match (1..=MAX_PAGE_SIZE).contains(&size) {
        true => Ok(size),
        false => Err(RpcError::params(format!(
            "page size is {size}, must be 1 to {MAX_PAGE_SIZE}"
        ))),
    }
}

fn slim_receipt(mut receipt: Value, timestamp: &Value) -> Value {
    if let Some(map) = receipt.as_object_mut() {
        map.insert("logs".into(), Value::Null);
        map.insert("logsBloom".into(), Value::Null);
        map.insert("timestamp".into(), timestamp.clone());
    }
    receipt
}

fn cut_input(transaction: &mut Value) {
    if let Some(Value::String(input)) = transaction.get_mut("input") {
        input.truncate(SELECTOR_CHARACTERS);
    }
}
