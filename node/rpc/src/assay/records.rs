//! `assay_`: the inference records of blocks.

use std::collections::BTreeMap;

use alloy_eips::BlockId;
use alloy_primitives::{B256, hex};
use alloy_sol_types::SolCall as _;
use assay_precompile::abi::IInference;
use assay_types::InferenceRecord;
use serde_json::{Value, json};

use crate::{
    Backend, RpcError,
    arguments::Arguments,
    json::quantity,
    method::{Method, heavy},
    resolve::At,
};

pub(crate) const METHODS: &[Method] = &[heavy("assay_getInferences", get)];

/// Lists the records of a block, or of the transaction of a hash.
fn get(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let (at, transaction) = meant(backend, arguments)?;
    list(backend, &at, transaction)
}

/// Finds the block a client means, or the transaction of a hash: its block and its place there.
pub(super) fn meant(
    backend: &Backend,
    arguments: &mut Arguments,
) -> Result<(At, Option<u32>), RpcError> {
    let asked = arguments.raw();
    let hash = asked.as_str().filter(|text| text.len() == 66);
    let hash: Option<B256> = hash.and_then(|text| text.parse().ok());
    let reader = backend.chain.reader()?;
    if let Some(place) = hash.map(|hash| reader.place(hash)).transpose()?.flatten() {
        return Ok((At::mined(reader, place.number), Some(place.index)));
    }
    let id: Option<BlockId> = serde_json::from_value(asked)
        .map_err(|error| RpcError::params(format!("invalid argument 0: {error}")))?;
    Ok((backend.at(id)?, None))
}

fn list(backend: &Backend, at: &At, transaction: Option<u32>) -> Result<Value, RpcError> {
    let block = at.block()?;
    let mut names = BTreeMap::new();
    let records = at.reader.records(at.number)?;
    let wanted = |record: &&InferenceRecord| {
        transaction.is_none_or(|index| record.transaction_index == index)
    };
    let mut out = Vec::new();
    for record in records.iter().filter(wanted) {
        let name = names
            .entry(record.model_id)
            .or_insert_with(|| title(backend, record.model_id));
        let index = record.transaction_index as usize;
        let transaction = block.block.body.transactions.get(index);
        out.push(json!({
            "blockNumber": quantity(at.number),
            "blockHash": block.hash,
            "transactionHash": transaction.map(|tx| *tx.tx_hash()),
            "transactionIndex": quantity(record.transaction_index),
            "callIndex": quantity(record.call_index),
            "caller": record.caller,
            "model": record.model_id,
            "modelName": name,
            "method": method(record.method),
            "inputHash": record.input_hash,
            "outputHash": record.output_hash,
            "gas": quantity(record.gas),
            "reverted": record.reverted,
        }));
    }
    Ok(out.into())
}

/// Returns the model's name and version, when its bytes are here.
pub(super) fn title(backend: &Backend, id: B256) -> Option<String> {
    let held = backend.chain.models()?.find(id).ok()??;
    Some(held.title())
}

pub(super) fn method(selector: [u8; 4]) -> String {
    match selector {
        IInference::predictCall::SELECTOR => "predict".into(),
        IInference::predictBatchCall::SELECTOR => "predictBatch".into(),
        IInference::runCall::SELECTOR => "run".into(),
        other => hex::encode_prefixed(other),
    }
}
