//! `testing_`: builds the block a test asks for, and keeps nothing of it.

use std::vec::IntoIter;

use alloy_consensus::Transaction as _;
use alloy_eips::{
    eip2718::Encodable2718 as _,
    eip4895::{Withdrawal, Withdrawals},
};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_serde::quantity;
use assay_chain::{Attributes, Preview, Refusal, TransactionSource};
use assay_dev::FromPool;
use assay_types::{Header, Receipt, Transaction, spec::DEFAULT_BLOCK_GAS_LIMIT};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Backend, RpcError,
    arguments::Arguments,
    error::refusal,
    eth::block::decode,
    json::{self as shapes, value},
    method::{Method, heavy},
};

/// A block's gas limit moves by less than this part of its parent's.
const GAS_LIMIT_BOUND_DIVISOR: u64 = 1_024;

pub(crate) const METHODS: &[Method] = &[heavy("testing_buildBlockV1", build_block)];

/// What a consensus client decides about a block.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PayloadAttributes {
    #[serde(with = "quantity")]
    timestamp: u64,
    prev_randao: B256,
    suggested_fee_recipient: Address,
    #[serde(default)]
    withdrawals: Vec<Withdrawal>,
    #[serde(default)]
    parent_beacon_block_root: B256,
}

/// The transactions of a block in the order given: all of them, or no block.
struct Given {
    waiting: IntoIter<(Transaction, Address)>,
    refused: Option<Refusal>,
}

impl TransactionSource for Given {
    fn next(&mut self) -> Option<(Transaction, Address)> {
        self.waiting.next()
    }

    fn refused(&mut self, _: B256, _: Address, refusal: Refusal) {
        self.refused.get_or_insert(refusal);
        self.waiting = Vec::new().into_iter();
    }
}

fn build_block(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let parent = arguments.hash()?;
    let wanted: PayloadAttributes = arguments.next()?;
    let transactions: Option<Vec<Bytes>> = arguments.optional()?;
    let extra_data: Option<Bytes> = arguments.optional()?;
    let reader = backend.chain.reader()?;
    if reader.hash(reader.tip())? != Some(parent) {
        return Err(RpcError::server(format!(
            "parent {parent} is not the newest block: a decided block has one successor"
        )));
    }
    let head = backend.chain.head();
    if wanted.timestamp <= head.header.timestamp {
        let (got, head) = (wanted.timestamp, head.header.timestamp);
        let message = format!("timestamp {got} is not above the parent's {head}");
        return Err(RpcError::params(message));
    }
    let attributes = attributes(wanted, &head.header, extra_data);
    let mut preview = match transactions {
        Some(transactions) => {
            let mut source = given(&transactions)?;
            let preview = backend.chain.preview(&reader, &attributes, &mut source)?;
            match source.refused {
                Some(Refusal::Invalid(reason)) => return Err(RpcError::server(refusal(&reason))),
                Some(Refusal::NoRoom) => return Err(RpcError::server("gas limit reached")),
                None => preview,
            }
        }
        None => {
            let base_fee = backend
                .chain
                .next_header(&head, &attributes)
                .base_fee_per_gas;
            let mut source = FromPool::new(&backend.pool, base_fee);
            backend.chain.preview(&reader, &attributes, &mut source)?
        }
    };
    let root = reader.root(reader.tip(), &preview.outcome.changes)?;
    let (mut block, senders) = preview.block.into_parts();
    block.header.state_root = root;
    preview.block = assay_types::RecoveredBlock::with_senders(block, senders)
        .ok_or_else(|| RpcError::internal("block lost its senders"))?;
    show(&preview)
}

fn attributes(wanted: PayloadAttributes, parent: &Header, extra_data: Option<Bytes>) -> Attributes {
    let step = (parent.gas_limit / GAS_LIMIT_BOUND_DIVISOR).saturating_sub(1);
    let (least, most) = (
        parent.gas_limit.saturating_sub(step),
        parent.gas_limit.saturating_add(step),
    );
    Attributes {
        timestamp: wanted.timestamp,
        beneficiary: wanted.suggested_fee_recipient,
        gas_limit: DEFAULT_BLOCK_GAS_LIMIT.clamp(least, most),
        base_fee: None,
        mix_hash: wanted.prev_randao,
        extra_data: extra_data.unwrap_or_default(),
        beacon_root: wanted.parent_beacon_block_root,
        withdrawals: Withdrawals::new(wanted.withdrawals),
    }
}

fn given(transactions: &[Bytes]) -> Result<Given, RpcError> {
    let waiting = transactions
        .iter()
        .map(|bytes| {
            let transaction = decode(bytes)?;
            let sender = shapes::sender(&transaction)?;
            Ok((transaction, sender))
        })
        .collect::<Result<Vec<_>, RpcError>>()?;
    Ok(Given {
        waiting: waiting.into_iter(),
        refused: None,
    })
}

/// Writes a block as the engine interface does.
fn show(preview: &Preview) -> Result<Value, RpcError> {
    let (header, body) = (preview.block.header(), &preview.block.block().body);
    let transactions: Vec<Bytes> = body
        .transactions
        .iter()
        .map(|tx| tx.encoded_2718().into())
        .collect();
    let mut payload = json!({
        "parentHash": header.parent_hash,
        "feeRecipient": header.beneficiary,
        "stateRoot": header.state_root,
        "receiptsRoot": header.receipts_root,
        "logsBloom": header.logs_bloom,
        "prevRandao": header.mix_hash,
        "blockNumber": shapes::quantity(header.number),
        "gasLimit": shapes::quantity(header.gas_limit),
        "gasUsed": shapes::quantity(header.gas_used),
        "timestamp": shapes::quantity(header.timestamp),
        "extraData": header.extra_data,
        "baseFeePerGas": shapes::quantity(header.base_fee_per_gas.unwrap_or_default()),
        "blockHash": preview.block.hash(),
        "transactions": transactions,
    });
    if let Some(map) = payload.as_object_mut() {
        if let Some(withdrawals) = &body.withdrawals {
            map.insert("withdrawals".into(), value(withdrawals)?);
        }
        for (name, number) in [
            ("blobGasUsed", header.blob_gas_used),
            ("excessBlobGas", header.excess_blob_gas),
        ] {
            if let Some(number) = number {
                map.insert(name.into(), shapes::quantity(number));
            }
        }
    }
    let requests: Vec<&Bytes> = preview.outcome.requests.iter().collect();
    let tips = tips(header, &body.transactions, &preview.outcome.receipts);
    Ok(json!({
        "executionPayload": payload,
        "blockValue": shapes::quantity(tips),
        "blobsBundle": {"commitments": [], "proofs": [], "blobs": []},
        "executionRequests": requests,
        "shouldOverrideBuilder": false,
    }))
}

/// Adds up what the block pays its beneficiary.
fn tips(header: &Header, transactions: &[Transaction], receipts: &[Receipt]) -> U256 {
    let base_fee = header.base_fee_per_gas.unwrap_or_default();
    let (mut total, mut before) = (U256::ZERO, 0);
    for (tx, receipt) in transactions.iter().zip(receipts) {
        let gas = receipt.cumulative_gas_used().saturating_sub(before);
        before = receipt.cumulative_gas_used();
        let tip = tx.effective_tip_per_gas(base_fee).unwrap_or_default();
        total = total.saturating_add(U256::from(tip).saturating_mul(U256::from(gas)));
    }
    total
}
