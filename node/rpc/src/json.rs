//! Blocks, transactions, receipts and logs in JSON-RPC's shapes.

use alloy_consensus::{
    EthereumTxEnvelope, Transaction as _, Typed2718 as _, transaction::SignerRecoverable as _,
};
use alloy_eips::eip7840::BlobParams;
use alloy_primitives::{Address, B256, Log, U256};
use alloy_rlp::Encodable as _;
use assay_state::StoredBlock;
use assay_types::{Header, Receipt, Transaction};
use serde_json::{Map, Value, json};

use crate::RpcError;

/// Writes a number as a quantity.
pub(crate) fn quantity(number: impl TryInto<U256>) -> Value {
    let number: U256 = number.try_into().unwrap_or_default();
    Value::String(format!("{number:#x}"))
}

/// Writes a value that serializes, as all of alloy's do.
pub(crate) fn value(value: &impl serde::Serialize) -> Result<Value, RpcError> {
    serde_json::to_value(value).map_err(RpcError::internal)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Writes a header with its hash.
pub(crate) fn header(header: &Header, hash: B256) -> Result<Map<String, Value>, RpcError> {
    let mut map = object(value(header)?);
    map.insert("hash".into(), value(&hash)?);
    Ok(map)
}

/// Writes a block, with whole transactions or their hashes.
pub(crate) fn block(stored: &StoredBlock, full: bool) -> Result<Value, RpcError> {
    let block = &stored.block;
    let mut map = header(&block.header, stored.hash)?;
    let transactions = (0..block.body.transactions.len())
        .filter_map(|index| Some((index, stored.transaction(index)?)))
        .map(|(index, (tx, sender))| match full {
            true => transaction(tx, sender, Some((stored, index))),
            false => value(tx.tx_hash()),
        })
        .collect::<Result<Vec<_>, _>>()?;
    map.insert("transactions".into(), transactions.into());
    let uncles: Vec<B256> = block.body.ommers_hashes().collect();
    map.insert("uncles".into(), value(&uncles)?);
    map.insert("size".into(), quantity(block.length()));
    if let Some(withdrawals) = &block.body.withdrawals {
        map.insert("withdrawals".into(), value(withdrawals)?);
    }
    Ok(map.into())
}

/// Writes a transaction, with its place when it has one.
pub(crate) fn transaction(
    tx: &Transaction,
    sender: Address,
    place: Option<(&StoredBlock, usize)>,
) -> Result<Value, RpcError> {
    let mut map = object(value(tx)?);
    map.insert("hash".into(), value(tx.tx_hash())?);
    map.insert("from".into(), value(&sender)?);
    if tx.to().is_none() {
        map.insert("to".into(), Value::Null);
    }
    if let Some(parity) = map.get("yParity").cloned() {
        map.insert("v".into(), parity);
    }
    if let EthereumTxEnvelope::Legacy(_) = tx {
        map.remove("yParity");
    }
    let header = place.map(|(stored, _)| &stored.block.header);
    if tx.is_dynamic_fee() {
        let price = match header {
            Some(header) => tx.effective_gas_price(header.base_fee_per_gas),
            None => tx.max_fee_per_gas(),
        };
        map.insert("gasPrice".into(), quantity(price));
    }
    let (hash, number, time, index) = match place {
        Some((stored, index)) => (
            value(&stored.hash)?,
            quantity(stored.block.header.number),
            quantity(stored.block.header.timestamp),
            quantity(index),
        ),
        None => Default::default(),
    };
    map.insert("blockHash".into(), hash);
    map.insert("blockNumber".into(), number);
    map.insert("blockTimestamp".into(), time);
    map.insert("transactionIndex".into(), index);
    Ok(map.into())
}

/// Writes a transaction nobody mined yet.
pub(crate) fn pending_transaction(tx: &Transaction, sender: Address) -> Result<Value, RpcError> {
    transaction(tx, sender, None)
}

/// Writes all receipts of a block.
pub(crate) fn receipts(
    stored: &StoredBlock,
    receipts: &[Receipt],
    blobs: Option<BlobParams>,
) -> Result<Vec<Value>, RpcError> {
    let (mut gas_before, mut log_index) = (0, 0);
    let mut out = Vec::with_capacity(receipts.len());
    for (index, receipt) in receipts.iter().enumerate() {
        out.push(self::receipt(
            stored, index, receipt, gas_before, log_index, blobs,
        )?);
        gas_before = receipt.cumulative_gas_used();
        log_index += receipt.logs().len();
    }
    Ok(out)
}

/// Writes the receipt of one transaction; null when the block has none at that position.
pub(crate) fn one_receipt(
    stored: &StoredBlock,
    receipts: &[Receipt],
    index: usize,
    blobs: Option<BlobParams>,
) -> Result<Value, RpcError> {
    let Some(receipt) = receipts.get(index) else {
        return Ok(Value::Null);
    };
    let before = receipts.get(..index).unwrap_or_default();
    let gas_before = before.last().map_or(0, Receipt::cumulative_gas_used);
    let first_log = before.iter().map(|earlier| earlier.logs().len()).sum();
    self::receipt(stored, index, receipt, gas_before, first_log, blobs)
}

fn receipt(
    stored: &StoredBlock,
    index: usize,
    receipt: &Receipt,
    gas_before: u64,
    first_log: usize,
    blobs: Option<BlobParams>,
) -> Result<Value, RpcError> {
    let (tx, sender) = stored
        .transaction(index)
        .ok_or_else(|| RpcError::internal("receipt of no transaction"))?;
    let header = &stored.block.header;
    let gas_used = receipt.cumulative_gas_used().saturating_sub(gas_before);
    let contract = tx.to().is_none().then(|| sender.create(tx.nonce()));
    let logs = receipt
        .logs()
        .iter()
        .enumerate()
        .map(|(position, entry)| log(entry, stored, index, first_log + position))
        .collect::<Result<Vec<_>, _>>()?;
    let mut map = object(json!({
        "blockHash": stored.hash,
        "blockNumber": quantity(header.number),
        "contractAddress": contract,
        "cumulativeGasUsed": quantity(receipt.cumulative_gas_used()),
        "effectiveGasPrice": quantity(tx.effective_gas_price(header.base_fee_per_gas)),
        "from": sender,
        "gasUsed": quantity(gas_used),
        "logs": logs,
        "logsBloom": receipt.logs_bloom(),
        "to": tx.to(),
        "transactionHash": tx.tx_hash(),
        "transactionIndex": quantity(index),
        "type": quantity(tx.ty()),
    }));
    match receipt_status(receipt) {
        alloy_consensus::Eip658Value::Eip658(success) => {
            map.insert("status".into(), quantity(u8::from(success)));
        }
        alloy_consensus::Eip658Value::PostState(root) => {
            map.insert("root".into(), value(&root)?);
        }
    }
    if let Some(blob_gas) = tx.blob_gas_used() {
        let price = header
            .excess_blob_gas
            .zip(blobs)
            .map(|(excess, params)| params.calc_blob_fee(excess));
        map.insert("blobGasUsed".into(), quantity(blob_gas));
        map.insert("blobGasPrice".into(), quantity(price.unwrap_or_default()));
    }
    Ok(map.into())
}

fn receipt_status(receipt: &Receipt) -> alloy_consensus::Eip658Value {
    use alloy_consensus::TxReceipt as _;
    receipt.status_or_post_state()
}

/// Writes a log with its place.
pub(crate) fn log(
    log: &Log,
    stored: &StoredBlock,
    transaction_index: usize,
    log_index: usize,
) -> Result<Value, RpcError> {
    let header = &stored.block.header;
    let transaction = stored.block.body.transactions.get(transaction_index);
    Ok(json!({
        "address": log.address,
        "topics": log.topics(),
        "data": log.data.data,
        "blockNumber": quantity(header.number),
        "blockTimestamp": quantity(header.timestamp),
        "blockHash": stored.hash,
        "transactionHash": transaction.map(|transaction| *transaction.tx_hash()),
        "transactionIndex": quantity(transaction_index),
        "logIndex": quantity(log_index),
        "removed": false,
    }))
}

/// Recovers who signed a transaction.
pub(crate) fn sender(transaction: &Transaction) -> Result<Address, RpcError> {
    transaction
        .recover_signer()
        .map_err(|_| RpcError::server("invalid sender"))
}
