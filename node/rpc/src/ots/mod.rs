//! `ots_`: what the Otterscan explorer asks of a node.
//!
//! Everything is answered from the chain itself, without an index of its own: histories of accounts
//! are searched by bisection, appearances by a walk over blocks that is bounded in blocks and in gas
//! executed again.

mod appearance;
mod block;
mod history;
mod transaction;

use alloy_eips::BlockId;
use alloy_primitives::Address;
use assay_types::StateView as _;
use serde_json::{Value, json};

use crate::{
    Backend, RpcError,
    arguments::Arguments,
    method::{Method, heavy, light},
};

pub(crate) use history::find_by_nonce;

/// Version of the interface that is spoken here.
const API_LEVEL: u64 = 8;

pub(crate) const METHODS: &[Method] = &[
    light("ots_getApiLevel", api_level),
    light("ots_hasCode", has_code),
    heavy(
        "ots_getInternalOperations",
        transaction::internal_operations,
    ),
    heavy("ots_getTransactionError", transaction::error),
    heavy("ots_traceTransaction", transaction::trace),
    heavy("ots_getBlockDetails", block::details),
    heavy("ots_getBlockDetailsByHash", block::details_by_hash),
    heavy("ots_getBlockTransactions", block::transactions),
    heavy("ots_searchTransactionsBefore", appearance::search_before),
    heavy("ots_searchTransactionsAfter", appearance::search_after),
    heavy("ots_getTransactionBySenderAndNonce", history::by_nonce),
    heavy("ots_getContractCreator", history::creator),
];

fn api_level(_: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    Ok(json!(API_LEVEL))
}

fn has_code(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let address: Address = arguments.next()?;
    let at = backend.at(Some(block_id(arguments)?))?;
    let account = at.state()?.account(address)?;
    Ok(json!(account.is_some_and(|account| account.has_code())))
}

/// Reads which block is meant: Otterscan writes numbers plainly, other clients as quantities.
fn block_id(arguments: &mut Arguments) -> Result<BlockId, RpcError> {
    let given = match arguments.raw() {
        Value::Number(number) => number.as_u64().map(BlockId::from),
        Value::Null => Some(BlockId::latest()),
        given => serde_json::from_value(given).ok(),
    };
    given.ok_or_else(|| RpcError::params("block is neither a number, a tag nor a hash"))
}
