//! What happened inside one transaction.

use alloy_primitives::Bytes;
use assay_executor::{ChainEvm, Evm as _, EvmContext};
use assay_state::StateSnapshot;
use revm::Inspector;
use revm::context::result::{ExecutionResult, ResultAndState};
use revm_inspectors::{
    otterscan::InternalOperationsInspector,
    tracing::{TracingInspector, TracingInspectorConfig, types::CallTraceNode},
};
use serde_json::{Value, json};

use crate::{
    Backend, RpcError,
    arguments::Arguments,
    json::{quantity, value},
    replay::Replay,
};

/// Executes the transaction a client names again; `None` when it is unknown.
fn watch<I, T>(
    backend: &Backend,
    arguments: &mut Arguments,
    inspector: I,
    look: impl FnOnce(&mut ChainEvm<StateSnapshot, I>, &ResultAndState) -> T,
) -> Result<Option<T>, RpcError>
where
    I: Inspector<EvmContext<StateSnapshot>> + Clone,
{
    let Some((at, index)) = backend.locate(arguments.hash()?)? else {
        return Ok(None);
    };
    let block = at.block()?;
    let mut replay = Replay::begin(backend, &at, &block, inspector.clone())?;
    replay.watch(index, inspector, look).map(Some)
}

/// Lists transfers of value, creations and self-destructions below the transaction itself.
pub(super) fn internal_operations(
    backend: &Backend,
    arguments: &mut Arguments,
) -> Result<Value, RpcError> {
    let inspector = InternalOperationsInspector::default();
    let operations = watch(backend, arguments, inspector, |evm, _| {
        evm.inspector_mut().operations().to_vec()
    })?;
    let shown = operations.unwrap_or_default().into_iter().map(|operation| {
        json!({
            "type": operation.r#type,
            "from": operation.from,
            "to": operation.to,
            "value": quantity(operation.value),
        })
    });
    Ok(shown.collect())
}

/// Answers the bytes a transaction reverted with; none when it did not.
pub(super) fn error(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let inspector = InternalOperationsInspector::default();
    let output = watch(backend, arguments, inspector, |_, result| {
        match &result.result {
            ExecutionResult::Revert { output, .. } => output.clone(),
            _ => Bytes::new(),
        }
    })?;
    value(&output.unwrap_or_default())
}

/// Lists all frames of a transaction in order of execution, with their depth.
pub(super) fn trace(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let config = TracingInspectorConfig::default_parity().set_record_inputs(true);
    let entries = watch(
        backend,
        arguments,
        TracingInspector::new(config),
        |evm, _| {
            let traces = evm.inspector_mut().traces();
            let mut entries = Vec::new();
            for node in traces.nodes() {
                entries.push(frame(node));
                entries.extend(self_destruct(node));
            }
            entries
        },
    )?;
    Ok(entries.map_or(Value::Null, Value::from))
}

fn frame(node: &CallTraceNode) -> Value {
    let trace = &node.trace;
    let kind = trace.kind.to_str();
    // Only frames that can move value have one.
    let moves_value = !matches!(kind, "STATICCALL" | "DELEGATECALL");
    json!({
        "type": kind,
        "depth": trace.depth,
        "from": trace.caller,
        "to": trace.address,
        "value": moves_value.then(|| quantity(trace.value)),
        "input": trace.data,
        "output": trace.output,
    })
}

fn self_destruct(node: &CallTraceNode) -> Option<Value> {
    let trace = &node.trace;
    Some(json!({
        "type": "SELFDESTRUCT",
        "depth": trace.depth.saturating_add(1),
        "from": trace.selfdestruct_address?,
        "to": trace.selfdestruct_refund_target?,
        "value": quantity(trace.selfdestruct_transferred_value?),
        "input": Bytes::new(),
        "output": Bytes::new(),
    }))
}
