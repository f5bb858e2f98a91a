//! `debug_`: raw data and traces.

use alloy_eips::{BlockId, BlockNumberOrTag, eip2718::Encodable2718 as _};
use alloy_primitives::{B256, Bytes};
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest, state::StateOverride};
use alloy_rpc_types_trace::geth::{GethDebugTracingCallOptions, GethDebugTracingOptions};
use assay_executor::{Evm as _, SimulationRules, message};
use assay_state::StoredBlock;
use assay_types::StateView as _;
use revm_inspectors::tracing::{DebugInspector, TransactionContext};
use serde_json::{Value, json};

use crate::{
    Backend, RpcError,
    arguments::Arguments,
    eth::call::scene,
    json::value,
    method::{Method, heavy, light},
    replay::{Replay, transaction},
    resolve::At,
};

pub(crate) const METHODS: &[Method] = &[
    light("debug_getRawBlock", raw_block),
    light("debug_getRawHeader", raw_header),
    heavy("debug_getRawReceipts", raw_receipts),
    heavy("debug_traceTransaction", trace_transaction),
    heavy("debug_traceBlockByHash", trace_block_by_hash),
    heavy("debug_traceBlockByNumber", trace_block_by_number),
    heavy("debug_traceBlock", trace_given_block),
    heavy("debug_traceCall", trace_call),
    light("debug_getBadBlocks", bad_blocks),
    light("debug_dbGet", db_get),
    light("debug_codeByHash", code_by_hash),
];

fn find(backend: &Backend, arguments: &mut Arguments) -> Result<At, RpcError> {
    let id: BlockId = arguments.next()?;
    backend
        .find(Some(id))?
        .ok_or_else(|| RpcError::server(format!("block {id} not found")))
}

fn raw_block(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let at = find(backend, arguments)?;
    value(&at.reader.block_rlp(at.number)?)
}

fn raw_header(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let at = find(backend, arguments)?;
    value(&Bytes::from(alloy_rlp::encode(at.header()?)))
}

fn raw_receipts(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let at = find(backend, arguments)?;
    let receipts = at.receipts()?;
    let encoded: Vec<Bytes> = receipts.iter().map(|r| r.encoded_2718().into()).collect();
    value(&encoded)
}

fn code_by_hash(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    code_of(backend, arguments.hash()?)
}

fn code_of(backend: &Backend, hash: B256) -> Result<Value, RpcError> {
    match backend.at(None)?.state()?.code(hash) {
        Ok(code) => value(&code),
        Err(assay_state::StateError::MissingCode(_)) => Ok(Value::Null),
        Err(error) => Err(error.into()),
    }
}

/// Answers geth's database keys for code ("c" and the code's hash); other keys are geth's own.
fn db_get(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let key: Bytes = arguments.next()?;
    match key.split_first() {
        Some((b'c', hash)) if hash.len() == 32 => code_of(backend, B256::from_slice(hash)),
        _ => Ok(Value::Null),
    }
}

/// Answers that no invalid block was kept: one that fails is never stored.
fn bad_blocks(_: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    Ok(json!([]))
}

fn trace_transaction(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let hash = arguments.hash()?;
    let options: GethDebugTracingOptions = arguments.optional()?.unwrap_or_default();
    let found = backend.locate(hash)?;
    let (at, index) = found.ok_or_else(|| RpcError::server("transaction not found"))?;
    let block = at.block()?;
    let mut replay = Replay::begin(backend, &at, &block, inspector(options.clone())?)?;
    trace(&mut replay, &block, index, options)
}

fn trace_block_by_hash(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let hash = arguments.hash()?;
    trace_block(backend, hash.into(), arguments)
}

fn trace_block_by_number(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let number: BlockNumberOrTag = arguments.next()?;
    trace_block(backend, number.into(), arguments)
}

fn trace_block(
    backend: &Backend,
    id: BlockId,
    arguments: &mut Arguments,
) -> Result<Value, RpcError> {
    let options: GethDebugTracingOptions = arguments.optional()?.unwrap_or_default();
    let found = backend.find(Some(id))?;
    let at = found.ok_or_else(|| RpcError::server("block not found"))?;
    let block = at.block()?;
    trace_all(backend, &at, &block, &options)
}

/// Traces a block that is not stored, on the state of its parent, which is.
fn trace_given_block(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let rlp: Bytes = arguments.next()?;
    let options: GethDebugTracingOptions = arguments.optional()?.unwrap_or_default();
    let block = backend.chain.decode(&mut rlp.as_ref())?;
    let reader = backend.chain.reader()?;
    let parent = reader.number(block.header().parent_hash)?;
    let Some(parent) = parent else {
        return Err(RpcError::server("parent block not found"));
    };
    let hash = block.hash();
    let (block, senders) = block.into_parts();
    let block = StoredBlock {
        block,
        hash,
        senders,
    };
    let at = At::mined(reader, parent.saturating_add(1));
    trace_all(backend, &at, &block, &options)
}

fn trace_all(
    backend: &Backend,
    at: &At,
    block: &StoredBlock,
    options: &GethDebugTracingOptions,
) -> Result<Value, RpcError> {
    let mut replay = Replay::begin(backend, at, block, inspector(options.clone())?)?;
    let mut traces = Vec::new();
    for index in 0..block.block.body.transactions.len() {
        let (tx, _) = transaction(block, index)?;
        let traced = trace(&mut replay, block, index, options.clone())?;
        traces.push(json!({"txHash": tx.tx_hash(), "result": traced}));
    }
    Ok(traces.into())
}

fn inspector(options: GethDebugTracingOptions) -> Result<DebugInspector, RpcError> {
    DebugInspector::new(options).map_err(tracer_error)
}

fn tracer_error<E: std::error::Error>(
    error: revm_inspectors::tracing::DebugInspectorError<E>,
) -> RpcError {
    RpcError::server(format!("tracer: {error}"))
}

fn trace(
    replay: &mut Replay<'_, DebugInspector>,
    block: &StoredBlock,
    index: usize,
    options: GethDebugTracingOptions,
) -> Result<Value, RpcError> {
    let (tx, sender) = transaction(block, index)?;
    let context = TransactionContext {
        block_hash: Some(block.hash),
        tx_index: Some(index),
        tx_hash: Some(*tx.tx_hash()),
    };
    let message = message(tx, sender);
    let traced = replay.watch(index, inspector(options)?, |evm, result| {
        let block_env = evm.block().clone();
        let (db, inspector, _) = evm.components_mut();
        inspector.get_result(Some(context), &message, &block_env, result, db)
    })?;
    Ok(lean(value(&traced.map_err(tracer_error)?)?))
}

/// Leaves out of opcode logs what says nothing, as geth does: a refund of zero, empty return data
/// and memory.
fn lean(mut traced: Value) -> Value {
    let logs = traced.get_mut("structLogs").and_then(Value::as_array_mut);
    for log in logs.into_iter().flatten().filter_map(Value::as_object_mut) {
        log.retain(|name, value| match name.as_str() {
            "refund" => value.as_u64() != Some(0),
            "returnData" => value.as_str() != Some("0x"),
            "memory" => value.as_array().is_none_or(|words| !words.is_empty()),
            _ => true,
        });
    }
    traced
}

fn trace_call(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let request: TransactionRequest = arguments.next()?;
    let at = backend.at(arguments.optional()?)?;
    let options: GethDebugTracingCallOptions = arguments.optional()?.unwrap_or_default();
    let state: Option<StateOverride> = options.state_overrides;
    let block: Option<BlockOverrides> = options.block_overrides;
    let scene = scene(backend, &request, &at, state, block.as_ref())?;
    let executor = backend.chain.executor();
    let inspector = inspector(options.tracing_options)?;
    let mut simulation = executor.simulation(
        &scene.state,
        &scene.header,
        SimulationRules::CALL,
        inspector,
    );
    let result = simulation.run(scene.message.clone())?;
    let block_env = simulation.evm_mut().block().clone();
    let (db, inspector, _) = simulation.evm_mut().components_mut();
    let traced = inspector
        .get_result(None, &scene.message, &block_env, &result, db)
        .map_err(tracer_error)?;
    Ok(lean(value(&traced)?))
}
