//! `assay_`: blocks executed again with nothing remembered, and calls answered again operator by
//! operator: what an operator looks at who doubts a machine, this one or another.

use std::{sync::Arc, time::Instant};

use alloy_primitives::{Address, Bytes};
use alloy_sol_types::SolCall as _;
use assay_executor::{Evm as _, Executor, Outcome, validate_outcome};
use assay_precompile::{abi::IInference, recompute::RecomputeError, trace::trace_call};
use assay_runtime::Path;
use assay_types::InferenceRecord;
use revm::{
    Inspector,
    context_interface::ContextTr,
    interpreter::{CallInputs, CallOutcome, InterpreterTypes},
};
use serde_json::{Value, json};

use super::{
    records::{meant, method, title},
    registry::models,
};
use crate::{
    Backend, RpcError,
    arguments::Arguments,
    error::INVALID_PARAMS,
    json::quantity,
    method::{Method, heavy},
    resolve::At,
};

pub(crate) const METHODS: &[Method] = &[
    heavy("assay_replay", replay),
    heavy("assay_traceOperators", operators),
];

/// Methods of the precompile that leave a record.
const RECORDED: [[u8; 4]; 3] = [
    IInference::predictCall::SELECTOR,
    IInference::predictBatchCall::SELECTOR,
    IInference::runCall::SELECTOR,
];

/// An inference as the execution went through it.
#[derive(Debug, Clone)]
struct Seen {
    input: Bytes,
    output: Bytes,
    milliseconds: f64,
}

/// Watches the calls of the inference precompile, with a clock.
#[derive(Debug, Clone, Default)]
struct Clock {
    inference: Address,
    started: Option<Instant>,
    seen: Vec<Seen>,
}

impl<CTX: ContextTr, INTR: InterpreterTypes> Inspector<CTX, INTR> for Clock {
    fn call(&mut self, _: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        if inputs.bytecode_address == self.inference {
            self.started = Some(Instant::now());
        }
        None
    }

    fn call_end(&mut self, context: &mut CTX, inputs: &CallInputs, outcome: &mut CallOutcome) {
        if inputs.bytecode_address != self.inference || !outcome.result.is_ok() {
            return;
        }
        let elapsed = self.started.take().map(|started| started.elapsed());
        let input = inputs.input.bytes(context);
        if input
            .first_chunk()
            .is_some_and(|selector| RECORDED.contains(selector))
        {
            self.seen.push(Seen {
                input,
                output: outcome.result.output.clone(),
                milliseconds: elapsed.unwrap_or_default().as_secs_f64() * 1e3,
            });
        }
    }
}

/// Executes a block again and compares every inference with its stored record; those that differ
/// come with their bytes, and all when the client asks for it.
fn replay(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let (at, transaction) = meant(backend, arguments)?;
    let bytes = arguments.optional()?.unwrap_or(false);
    let stored = at.reader.records(at.number)?;
    let block = at.block()?;
    let (outcome, seen) = execute(backend, &at)?;
    // Only the newest state has a trie: an older block's is taken from its header.
    let header = &block.block.header;
    let header = validate_outcome(header, &outcome, header.state_root);
    if seen.len() != outcome.records.len() {
        return Err(RpcError::internal(
            "the execution recorded other inferences than were watched",
        ));
    }
    let mut inferences = Vec::new();
    let computed = outcome.records.iter().zip(&seen);
    for (record, seen) in computed {
        let place = (record.transaction_index, record.call_index);
        let same_place = |one: &&InferenceRecord| (one.transaction_index, one.call_index) == place;
        let stored = stored.iter().find(same_place);
        if transaction.is_some_and(|wanted| wanted != record.transaction_index) {
            continue;
        }
        let hash = block
            .transaction(record.transaction_index as usize)
            .map(|(transaction, _)| *transaction.tx_hash());
        let same = stored == Some(record);
        inferences.push(json!({
            "transactionHash": hash,
            "transactionIndex": quantity(record.transaction_index),
            "callIndex": quantity(record.call_index),
            "model": record.model_id,
            "modelName": title(backend, record.model_id),
            "method": method(record.method),
            "milliseconds": seen.milliseconds,
            "gas": quantity(record.gas),
            "inputHash": record.input_hash,
            "outputHash": record.output_hash,
            "same": same,
            "stored": stored.map(of_record),
            "input": (bytes || !same).then_some(&seen.input),
            "output": (bytes || !same).then_some(&seen.output),
        }));
    }
    let wanted = |record: &&InferenceRecord| {
        transaction.is_none_or(|index| record.transaction_index == index)
    };
    Ok(json!({
        "blockNumber": quantity(at.number),
        "blockHash": block.hash,
        "stored": stored.iter().filter(wanted).count(),
        "header": header.err().map(|error| error.to_string()),
        "inferences": inferences,
    }))
}

/// Shows what a stored record says of an inference.
fn of_record(record: &InferenceRecord) -> Value {
    json!({
        "model": record.model_id,
        "gas": quantity(record.gas),
        "inputHash": record.input_hash,
        "outputHash": record.output_hash,
        "reverted": record.reverted,
    })
}

/// Executes a block on the state before it, on models that remember no answers.
fn execute(backend: &Backend, at: &At) -> Result<(Outcome, Vec<Seen>), RpcError> {
    let block = at.block()?;
    let spec = backend.chain.spec();
    let clock = Clock {
        inference: spec.assay.as_ref().map(|p| p.inference).unwrap_or_default(),
        ..Clock::default()
    };
    let mut executor: Executor = backend.chain.executor().clone();
    if let Some(models) = backend.chain.models() {
        executor = executor.with_models(Arc::new(models.fresh_host()));
    }
    let body = &block.block.body;
    let mut execution = executor.begin_inspected(
        at.parent_state()?,
        &block.block.header,
        &body.ommers,
        body.withdrawals.as_ref(),
        clock,
        true,
    )?;
    for index in 0..body.transactions.len() {
        let (transaction, sender) = crate::replay::transaction(&block, index)?;
        execution.transact(transaction, sender)?;
    }
    let seen = std::mem::take(&mut execution.evm_mut().inspector_mut().seen);
    Ok((execution.finish()?, seen))
}

/// Answers a call's input bytes again and lists what every operator wrote.
fn operators(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let input: Bytes = arguments.next()?;
    let path: Option<String> = arguments.optional()?;
    let path = match path.as_deref() {
        None | Some("chosen") => Path::Chosen,
        Some("portable") => Path::Portable,
        Some(other) => {
            return Err(RpcError::params(format!(
                "path {other:?} is neither \"chosen\" nor \"portable\""
            )));
        }
    };
    let host = models(backend)?.host().as_ref();
    let traced = trace_call(host, path, &input, backend.limits.gas);
    let (_, trace) = traced.map_err(|error| match error {
        RecomputeError::Fault(_) => RpcError::internal(error),
        RecomputeError::Reverts(_) | RecomputeError::OverGas { .. } => {
            RpcError::new(INVALID_PARAMS, error.to_string())
        }
    })?;
    serde_json::to_value(&trace).map_err(RpcError::internal)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;
    use assay_runtime::bundle::Bundle;

    use super::super::tests::{VOLATILITY, backend, call, predict, refused};
    use super::*;
    use crate::CallLimits;

    /// A chain with a block of three inferences.
    fn asked() -> (Backend, Vec<Value>) {
        let backend = backend();
        let id = Bundle::read(VOLATILITY.into(), u64::MAX)
            .unwrap()
            .model_id()
            .0;
        call(&backend, "evm_setAutomine", json!([false]));
        let sent = (0..3).map(|_| call(&backend, "eth_sendTransaction", json!([predict(id)])));
        let hashes: Vec<Value> = sent.collect();
        call(&backend, "evm_mine", json!([]));
        (backend, hashes)
    }

    #[test]
    fn every_inference_of_a_block_is_computed_again_and_is_the_record_s() {
        let (backend, hashes) = asked();
        let host = backend.chain.models().unwrap().host();
        let before = host.result_usage();
        let replayed = call(&backend, "assay_replay", json!(["latest"]));
        // Nothing that was remembered is asked.
        assert_eq!(host.result_usage(), before);
        let records = call(&backend, "assay_getInferences", json!(["latest"]));
        let inferences = replayed["inferences"].as_array().unwrap();
        assert_eq!(inferences.len(), hashes.len());
        assert_eq!(
            (&replayed["header"], &replayed["stored"]),
            (&Value::Null, &json!(3))
        );
        for (one, record) in inferences.iter().zip(records.as_array().unwrap()) {
            for field in [
                "transactionHash",
                "callIndex",
                "model",
                "gas",
                "inputHash",
                "outputHash",
            ] {
                assert_eq!(one[field], record[field], "{field}");
            }
            assert_eq!((&one["same"], &one["input"]), (&json!(true), &Value::Null));
            assert!(one["milliseconds"].as_f64().unwrap() > 0.0);
        }
        let alone = call(&backend, "assay_replay", json!([hashes[1], true]));
        assert_eq!(alone["stored"], 1);
        assert_eq!(alone["inferences"][0]["transactionHash"], hashes[1]);
        let traced = call(&backend, "assay_traceInference", json!([hashes[1]]));
        assert_eq!(alone["inferences"][0]["input"], traced["input"]);
        assert_eq!(alone["inferences"][0]["output"], traced["output"]);
    }

    #[test]
    fn operators_of_a_call_are_listed_with_equal_bits_on_both_paths() {
        let (backend, hashes) = asked();
        let record = call(&backend, "assay_traceInference", json!([hashes[0]]));
        let on = |path: &str| {
            let trace = call(
                &backend,
                "assay_traceOperators",
                json!([record["input"], path]),
            );
            assert_eq!(trace["outputHash"], record["outputHash"]);
            assert_eq!(trace["model"], record["model"]);
            let operators = trace["operators"].as_array().unwrap().clone();
            operators.last().unwrap()["outputs"].clone()
        };
        assert_eq!(on("chosen"), on("portable"));
    }

    #[test]
    fn trace_of_operators_is_bounded_by_the_gas_of_calls() {
        let (mut backend, hashes) = asked();
        let record = call(&backend, "assay_traceInference", json!([hashes[0]]));
        backend.limits = CallLimits {
            gas: 1_000,
            ..CallLimits::default()
        };
        let error = refused(&backend, "assay_traceOperators", json!([record["input"]]));
        assert_eq!(error.message, "the call costs more than 1000 gas");
        let error = refused(
            &backend,
            "assay_traceOperators",
            json!([record["input"], "fast"]),
        );
        assert!(error.message.contains("neither"), "{}", error.message);
        backend.limits = CallLimits::default();
        let error = refused(&backend, "assay_traceOperators", json!(["0x1234"]));
        assert_eq!(error.code, INVALID_PARAMS);
        let unknown = predict(B256::repeat_byte(1))["input"].clone();
        let error = refused(&backend, "assay_traceOperators", json!([unknown]));
        assert!(
            error.message.contains("not on this node"),
            "{}",
            error.message
        );
    }
}
