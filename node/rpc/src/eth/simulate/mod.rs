//! `eth_simulateV1`: blocks that never were, on top of one that is.

mod logs;
mod result;
mod run;
mod transaction;

use std::{collections::BTreeMap, sync::Arc};

use alloy_eips::eip4895::Withdrawals;
use alloy_primitives::U256;
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest, state::StateOverride};
use assay_types::{Header, Overlay};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    Backend, RpcError,
    arguments::Arguments,
    method::{Method, heavy},
};

use self::{result::code, run::Simulator};

/// Most blocks of one simulation, those that fill gaps included.
const MAX_BLOCKS: u64 = 256;
/// Seconds from a block to the next when the client says nothing.
const BLOCK_INTERVAL_S: u64 = 12;

pub(crate) const METHODS: &[Method] = &[heavy("eth_simulateV1", simulate)];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    block_state_calls: Vec<BlockCalls>,
    #[serde(default)]
    trace_transfers: bool,
    #[serde(default)]
    validation: bool,
    #[serde(default)]
    return_full_transactions: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BlockCalls {
    block_overrides: Option<Overrides>,
    state_overrides: Option<StateOverride>,
    calls: Vec<TransactionRequest>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Overrides {
    #[serde(flatten)]
    fields: BlockOverrides,
    withdrawals: Option<Withdrawals>,
    blob_base_fee: Option<U256>,
}

fn simulate(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let payload: Payload = arguments.next()?;
    if payload.block_state_calls.is_empty() {
        return Err(RpcError::params("empty input"));
    }
    let at = backend.at(arguments.optional()?)?;
    let parent = at.header()?;
    let blocks = fill_gaps(&parent, payload.block_state_calls)?;
    let state = Overlay::new(Arc::new(at.reader.state(at.number)?), at.changes());
    let mut simulator = Simulator {
        backend,
        reader: &at.reader,
        base: at.number,
        state,
        parent_hash: parent.hash_slow(),
        parent,
        validation: payload.validation,
        trace_transfers: payload.trace_transfers,
        full: payload.return_full_transactions,
        gas_left: backend.limits.gas,
        moved: BTreeMap::new(),
    };
    let blocks = blocks
        .into_iter()
        .map(|calls| simulator.block(calls))
        .collect::<Result<Vec<_>, RpcError>>()?;
    Ok(blocks.into())
}

/// Puts empty blocks where numbers are left out, and checks that numbers and times rise.
fn fill_gaps(base: &Header, blocks: Vec<BlockCalls>) -> Result<Vec<BlockCalls>, RpcError> {
    let (mut number, mut time) = (base.number, base.timestamp);
    let mut filled = Vec::new();
    for mut block in blocks {
        let mut overrides = block.block_overrides.take().unwrap_or_default();
        let wanted = overrides
            .fields
            .number
            .map_or(number + 1, |n| n.saturating_to());
        if wanted <= number {
            let message = format!("block numbers must be in order: {wanted} <= {number}");
            return Err(RpcError::new(code::BLOCK_NUMBER, message));
        }
        if wanted - base.number > MAX_BLOCKS {
            return Err(RpcError::new(code::TOO_MANY_BLOCKS, "too many blocks"));
        }
        while number + 1 < wanted {
            number += 1;
            time += BLOCK_INTERVAL_S;
            filled.push(at_time(
                BlockCalls::default(),
                Overrides::default(),
                number,
                time,
            ));
        }
        number = wanted;
        let wanted = overrides.fields.time.unwrap_or(time + BLOCK_INTERVAL_S);
        if wanted <= time {
            let message = format!("block timestamps must be in order: {wanted} <= {time}");
            return Err(RpcError::new(code::BLOCK_TIMESTAMP, message));
        }
        time = wanted;
        overrides.fields.time = None;
        filled.push(at_time(block, overrides, number, time));
    }
    Ok(filled)
}

fn at_time(mut block: BlockCalls, mut overrides: Overrides, number: u64, time: u64) -> BlockCalls {
    overrides.fields.number = Some(U256::from(number));
    overrides.fields.time = Some(time);
    block.block_overrides = Some(overrides);
    block
}
