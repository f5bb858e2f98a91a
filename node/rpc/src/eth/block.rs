//! `eth_`: blocks, transactions and receipts.

use alloy_consensus::{EthereumTxEnvelope, Signed, TxEip4844WithSidecar};
use alloy_eips::{
    BlockId, BlockNumberOrTag,
    eip2718::{EIP4844_TX_TYPE_ID, Encodable2718 as _},
    eip7594::BlobTransactionSidecarVariant,
    eip7840::BlobParams,
};
use alloy_primitives::{Address, B256, Bytes};
use alloy_rlp::Decodable as _;
use assay_types::{Header, Transaction};
use serde_json::Value;

use crate::{
    Backend, RpcError,
    arguments::Arguments,
    json::{self, quantity, value},
    method::{Method, heavy, light},
    ots::find_by_nonce,
    resolve::At,
};

pub(crate) const METHODS: &[Method] = &[
    heavy("eth_getBlockByHash", block_by_hash),
    heavy("eth_getBlockByNumber", block_by_number),
    light(
        "eth_getBlockTransactionCountByHash",
        transaction_count_by_hash,
    ),
    light(
        "eth_getBlockTransactionCountByNumber",
        transaction_count_by_number,
    ),
    light("eth_getUncleCountByBlockHash", uncle_count_by_hash),
    light("eth_getUncleCountByBlockNumber", uncle_count_by_number),
    light("eth_getUncleByBlockHashAndIndex", uncle_by_hash),
    light("eth_getUncleByBlockNumberAndIndex", uncle_by_number),
    light("eth_getTransactionByHash", transaction_by_hash),
    heavy("eth_getTransactionBySenderAndNonce", by_sender_and_nonce),
    light("erigon_getHeaderByNumber", header_by_number),
    light("eth_getHeaderByNumber", header_by_number),
    light("eth_getHeaderByHash", header_by_hash),
    light(
        "eth_getTransactionByBlockHashAndIndex",
        transaction_by_block_hash,
    ),
    light(
        "eth_getTransactionByBlockNumberAndIndex",
        transaction_by_block_number,
    ),
    light("eth_getRawTransactionByHash", raw_transaction),
    light("debug_getRawTransaction", raw_transaction),
    light(
        "eth_getRawTransactionByBlockHashAndIndex",
        raw_by_block_hash,
    ),
    light(
        "eth_getRawTransactionByBlockNumberAndIndex",
        raw_by_block_number,
    ),
    light("eth_getTransactionReceipt", receipt),
    heavy("eth_getBlockReceipts", block_receipts),
];

fn by_hash(backend: &Backend, arguments: &mut Arguments) -> Result<Option<At>, RpcError> {
    let hash = arguments.hash()?;
    backend.find(Some(hash.into()))
}

fn by_number(backend: &Backend, arguments: &mut Arguments) -> Result<Option<At>, RpcError> {
    let number: BlockNumberOrTag = arguments.next()?;
    backend.find(Some(number.into()))
}

fn block_by_hash(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let at = by_hash(backend, arguments)?;
    show_block(at, arguments)
}

fn block_by_number(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let at = by_number(backend, arguments)?;
    show_block(at, arguments)
}

fn show_block(at: Option<At>, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let full = arguments.optional()?.unwrap_or(false);
    let Some(at) = at else { return Ok(Value::Null) };
    match &at.pending {
        Some(_) => pending_block(&at, full),
        None => json::block(&at.block()?, full),
    }
}

/// Writes the next block as it would be built now: without hash, nonce and miner, and with
/// transactions that have no place yet.
fn pending_block(at: &At, full: bool) -> Result<Value, RpcError> {
    let mut block = at.block()?;
    if let Some(pending) = &at.pending {
        let changes = &pending.outcome.changes;
        block.block.header.state_root = at.reader.root(at.number, changes)?;
    }
    let mut shown = json::block(&block, false)?;
    let Some(map) = shown.as_object_mut() else {
        return Ok(shown);
    };
    for field in ["hash", "nonce", "miner"] {
        map.insert(field.into(), Value::Null);
    }
    if full {
        let transactions = (0..block.block.body.transactions.len())
            .filter_map(|index| block.transaction(index))
            .map(|(tx, sender)| json::pending_transaction(tx, sender))
            .collect::<Result<Vec<_>, _>>()?;
        map.insert("transactions".into(), transactions.into());
    }
    Ok(shown)
}

fn transaction_count_by_hash(
    backend: &Backend,
    arguments: &mut Arguments,
) -> Result<Value, RpcError> {
    count(by_hash(backend, arguments)?, |at| {
        Ok(at.block()?.block.body.transactions.len())
    })
}

fn transaction_count_by_number(
    backend: &Backend,
    arguments: &mut Arguments,
) -> Result<Value, RpcError> {
    count(by_number(backend, arguments)?, |at| {
        Ok(at.block()?.block.body.transactions.len())
    })
}

fn uncle_count_by_hash(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    count(by_hash(backend, arguments)?, |at| {
        Ok(at.block()?.block.body.ommers.len())
    })
}

fn uncle_count_by_number(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    count(by_number(backend, arguments)?, |at| {
        Ok(at.block()?.block.body.ommers.len())
    })
}

fn count(
    at: Option<At>,
    number: impl FnOnce(&At) -> Result<usize, RpcError>,
) -> Result<Value, RpcError> {
    at.map_or(Ok(Value::Null), |at| Ok(quantity(number(&at)?)))
}

fn uncle_by_hash(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let at = by_hash(backend, arguments)?;
    uncle(at, arguments)
}

fn uncle_by_number(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let at = by_number(backend, arguments)?;
    uncle(at, arguments)
}

fn uncle(at: Option<At>, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let index = index(arguments)?;
    let Some(at) = at else { return Ok(Value::Null) };
    match at.block()?.block.body.ommers.get(index) {
        Some(header) => Ok(json::header(header, header.hash_slow())?.into()),
        None => Ok(Value::Null),
    }
}

fn index(arguments: &mut Arguments) -> Result<usize, RpcError> {
    usize::try_from(arguments.number()?).map_err(|_| RpcError::params("index is above 64 bits"))
}

fn transaction_by_hash(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let hash = arguments.hash()?;
    let reader = backend.chain.reader()?;
    if let Some(place) = reader.place(hash)? {
        let block = reader.block(place.number)?;
        let index = place.index as usize;
        return match block.as_ref().and_then(|block| block.transaction(index)) {
            Some((tx, sender)) => {
                json::transaction(tx, sender, block.as_ref().map(|block| (block, index)))
            }
            None => Ok(Value::Null),
        };
    }
    match backend.pool.get(hash) {
        Some(waiting) => json::pending_transaction(&waiting.transaction, waiting.sender),
        None => Ok(Value::Null),
    }
}

fn by_sender_and_nonce(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let (sender, nonce): (Address, u64) = (arguments.next()?, arguments.number()?);
    if let Some((at, index)) = find_by_nonce(backend, sender, nonce)? {
        return transaction_of(&at, index);
    }
    let (pending, queued) = backend.pool.content();
    let waiting = [pending, queued]
        .into_iter()
        .find_map(|content| content.get(&sender)?.get(&nonce).cloned());
    match waiting {
        Some(waiting) => json::pending_transaction(&waiting.transaction, sender),
        None => Ok(Value::Null),
    }
}

fn header_by_number(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    header(by_number(backend, arguments)?)
}

fn header_by_hash(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    header(by_hash(backend, arguments)?)
}

fn header(at: Option<At>) -> Result<Value, RpcError> {
    let Some(at) = at else { return Ok(Value::Null) };
    let header = at.header()?;
    let hash = header.hash_slow();
    Ok(json::header(&header, hash)?.into())
}

fn transaction_by_block_hash(
    backend: &Backend,
    arguments: &mut Arguments,
) -> Result<Value, RpcError> {
    let at = by_hash(backend, arguments)?;
    transaction_at(at, arguments)
}

fn transaction_by_block_number(
    backend: &Backend,
    arguments: &mut Arguments,
) -> Result<Value, RpcError> {
    let at = by_number(backend, arguments)?;
    transaction_at(at, arguments)
}

fn transaction_at(at: Option<At>, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let index = index(arguments)?;
    match at {
        Some(at) => transaction_of(&at, index),
        None => Ok(Value::Null),
    }
}

fn transaction_of(at: &At, index: usize) -> Result<Value, RpcError> {
    let block = at.block()?;
    match block.transaction(index) {
        Some((tx, sender)) if at.pending.is_some() => json::pending_transaction(tx, sender),
        Some((tx, sender)) => json::transaction(tx, sender, Some((&block, index))),
        None => Ok(Value::Null),
    }
}

fn raw_transaction(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let hash = arguments.hash()?;
    let reader = backend.chain.reader()?;
    if let Some(place) = reader.place(hash)? {
        let block = reader.block(place.number)?;
        let found = block
            .as_ref()
            .and_then(|block| block.transaction(place.index as usize));
        return value(&found.map(|(tx, _)| encode(tx)).unwrap_or_default());
    }
    value(
        &backend
            .pool
            .get(hash)
            .map(|waiting| encode(&waiting.transaction))
            .unwrap_or_default(),
    )
}

fn raw_by_block_hash(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let at = by_hash(backend, arguments)?;
    raw_at(at, arguments)
}

fn raw_by_block_number(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let at = by_number(backend, arguments)?;
    raw_at(at, arguments)
}

fn raw_at(at: Option<At>, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let index = index(arguments)?;
    let Some(at) = at else { return Ok(Value::Null) };
    let block = at.block()?;
    value(
        &block
            .transaction(index)
            .map(|(tx, _)| encode(tx))
            .unwrap_or_default(),
    )
}

fn encode(transaction: &Transaction) -> Bytes {
    transaction.encoded_2718().into()
}

fn receipt(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let found = receipt_of(backend, arguments.hash()?)?;
    Ok(found.unwrap_or(Value::Null))
}

/// Writes the receipt of a mined transaction.
pub(crate) fn receipt_of(backend: &Backend, hash: B256) -> Result<Option<Value>, RpcError> {
    let Some((at, index)) = backend.locate(hash)? else {
        return Ok(None);
    };
    let block = at.block()?;
    let blobs = blob_params(backend, &block.block.header);
    json::one_receipt(&block, &at.receipts()?, index, blobs).map(Some)
}

fn blob_params(backend: &Backend, header: &Header) -> Option<BlobParams> {
    backend.chain.spec().blob_params(header.timestamp)
}

fn block_receipts(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let id: BlockId = arguments.next()?;
    match backend.find(Some(id))? {
        Some(at) => Ok(receipts_at(backend, &at)?.into()),
        None => Ok(Value::Null),
    }
}

/// Writes all receipts of a block.
pub(crate) fn receipts_at(backend: &Backend, at: &At) -> Result<Vec<Value>, RpcError> {
    let block = at.block()?;
    let receipts = at.receipts()?;
    let blobs = blob_params(backend, &block.block.header);
    json::receipts(&block, &receipts, blobs)
}

/// Decodes a signed transaction as clients send it: one with blobs brings them along.
pub(crate) fn decode(bytes: &Bytes) -> Result<Transaction, RpcError> {
    use alloy_eips::eip2718::Decodable2718 as _;
    let decoded = match bytes.first() {
        Some(&EIP4844_TX_TYPE_ID) => return decode_with_blobs(bytes),
        // A legacy transaction is a list; geth takes it bare.
        Some(first) if *first >= 0xc0 => Transaction::decode(&mut bytes.as_ref()).ok(),
        _ => Transaction::decode_2718_exact(bytes).ok(),
    };
    decoded.ok_or_else(|| RpcError::server("rlp: transaction does not decode"))
}

/// Takes the blobs off a transaction, which no block carries, once its hashes are seen to be those
/// of the commitments. Proofs are not checked: this node hands blobs to nobody.
fn decode_with_blobs(bytes: &Bytes) -> Result<Transaction, RpcError> {
    use alloy_eips::eip2718::Decodable2718 as _;
    type WithBlobs = TxEip4844WithSidecar<BlobTransactionSidecarVariant>;
    let decoded = EthereumTxEnvelope::<WithBlobs>::decode_2718_exact(bytes);
    let Ok(EthereumTxEnvelope::Eip4844(signed)) = decoded else {
        return Err(RpcError::server("rlp: blob transaction does not decode"));
    };
    let (transaction, signature, hash) = signed.into_parts();
    let committed = transaction.sidecar.versioned_hashes();
    if !committed.eq(transaction.tx.blob_versioned_hashes.iter().copied()) {
        return Err(RpcError::server(
            "blob hashes do not match the commitments sent along",
        ));
    }
    let signed = Signed::new_unchecked(transaction.tx, signature, hash);
    Ok(Transaction::Eip4844(signed))
}
