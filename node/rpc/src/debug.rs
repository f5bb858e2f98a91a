//! `debug_`: raw data and traces.

use alloy_eips::{BlockId, BlockNumberOrTag, eip2718::Encodable2718 as _};
use alloy_primitives::Bytes;
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest, state::StateOverride};
use alloy_rpc_types_trace::geth::{GethDebugTracingCallOptions, GethDebugTracingOptions};
use assay_executor::{Evm as _, Execution, SimulationRules, message};
use assay_state::{StateSnapshot, StoredBlock};
use revm_inspectors::tracing::{DebugInspector, TransactionContext};
use serde_json::{Value, json};

use crate::{
    Backend, RpcError,
    arguments::Arguments,
    eth::call::scene,
    json::value,
    method::{Method, heavy, light},
    resolve::At,
};

pub(crate) const METHODS: &[Method] = &[
    light("debug_getRawBlock", raw_block),
    light("debug_getRawHeader", raw_header),
    heavy("debug_getRawReceipts", raw_receipts),
    heavy("debug_traceTransaction", trace_transaction),
    heavy("debug_traceBlockByHash", trace_block_by_hash),
    heavy("debug_traceBlockByNumber", trace_block_by_number),
    heavy("debug_traceCall", trace_call),
    light("debug_codeByHash", code_by_hash),
];

/// What a block under trace runs on.
type Traced<'a> = Execution<'a, StateSnapshot, DebugInspector>;

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
    let receipts = at.reader.receipts(at.number)?.unwrap_or_default();
    let encoded: Vec<Bytes> = receipts.iter().map(|r| r.encoded_2718().into()).collect();
    value(&encoded)
}

fn code_by_hash(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    use assay_types::StateView as _;
    let hash = arguments.hash()?;
    let at = backend.at(None)?;
    match at.state()?.code(hash) {
        Ok(code) => value(&code),
        Err(assay_state::StateError::MissingCode(_)) => Ok(Value::Null),
        Err(error) => Err(error.into()),
    }
}

fn trace_transaction(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let hash = arguments.hash()?;
    let options: GethDebugTracingOptions = arguments.optional()?.unwrap_or_default();
    let reader = backend.chain.reader()?;
    let place = reader
        .place(hash)?
        .ok_or_else(|| RpcError::server("transaction not found"))?;
    let at = At {
        reader,
        number: place.number,
        pending: false,
    };
    let block = at.block()?;
    let mut execution = begin(backend, &at, &block, &options)?;
    let index = place.index as usize;
    for earlier in 0..index {
        let (tx, sender) = transaction(&block, earlier)?;
        execution.transact(tx, sender)?;
    }
    trace(&mut execution, &block, index)
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
    let mut execution = begin(backend, &at, &block, &options)?;
    let mut traces = Vec::new();
    for index in 0..block.block.body.transactions.len() {
        let (tx, sender) = transaction(&block, index)?;
        let traced = trace(&mut execution, &block, index)?;
        traces.push(json!({"txHash": tx.tx_hash(), "result": traced}));
        // The trace threw the transaction's effects away: the next one needs them.
        execution
            .evm_mut()
            .inspector_mut()
            .fuse()
            .map_err(tracer_error)?;
        execution.transact(tx, sender)?;
        execution
            .evm_mut()
            .inspector_mut()
            .fuse()
            .map_err(tracer_error)?;
    }
    Ok(traces.into())
}

/// Begins a block again, on its parent's state, with a tracer at hand.
fn begin<'a>(
    backend: &'a Backend,
    at: &At,
    block: &'a StoredBlock,
    options: &GethDebugTracingOptions,
) -> Result<Traced<'a>, RpcError> {
    let Some(parent) = at.number.checked_sub(1) else {
        return Err(RpcError::server("genesis is not traceable"));
    };
    let body = &block.block.body;
    let inspector = inspector(options.clone())?;
    Ok(backend.chain.executor().begin_inspected(
        at.reader.state(parent)?,
        &block.block.header,
        &body.ommers,
        body.withdrawals.as_ref(),
        inspector,
        true,
    )?)
}

fn inspector(options: GethDebugTracingOptions) -> Result<DebugInspector, RpcError> {
    DebugInspector::new(options).map_err(tracer_error)
}

fn tracer_error<E: std::error::Error>(
    error: revm_inspectors::tracing::DebugInspectorError<E>,
) -> RpcError {
    RpcError::server(format!("tracer: {error}"))
}

fn transaction(
    block: &StoredBlock,
    index: usize,
) -> Result<(&assay_types::Transaction, alloy_primitives::Address), RpcError> {
    block
        .transaction(index)
        .ok_or_else(|| RpcError::server("transaction not found"))
}

fn trace(execution: &mut Traced<'_>, block: &StoredBlock, index: usize) -> Result<Value, RpcError> {
    let (tx, sender) = transaction(block, index)?;
    execution
        .evm_mut()
        .inspector_mut()
        .fuse()
        .map_err(tracer_error)?;
    let result = execution.inspect(tx, sender)?;
    let context = TransactionContext {
        block_hash: Some(block.hash),
        tx_index: Some(index),
        tx_hash: Some(*tx.tx_hash()),
    };
    let message = message(tx, sender);
    let block_env = execution.evm_mut().block().clone();
    let (db, inspector, _) = execution.evm_mut().components_mut();
    let traced = inspector
        .get_result(Some(context), &message, &block_env, &result, db)
        .map_err(tracer_error)?;
    Ok(lean(value(&traced)?))
}

/// Leaves out of opcode logs what says nothing, as geth does: a refund of zero, empty return data.
fn lean(mut traced: Value) -> Value {
    let logs = traced.get_mut("structLogs").and_then(Value::as_array_mut);
    for log in logs.into_iter().flatten().filter_map(Value::as_object_mut) {
        log.retain(|name, value| match name.as_str() {
            "refund" => value.as_u64() != Some(0),
            "returnData" => value.as_str() != Some("0x"),
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
