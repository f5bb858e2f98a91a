//! `assay_`: the bytes of an inference, found again by executing its transaction.

use alloy_primitives::{Address, B256, Bytes, keccak256};
use revm::{
    Inspector,
    context_interface::ContextTr,
    interpreter::{CallInputs, CallOutcome, InterpreterTypes},
};
use serde_json::{Value, json};

use crate::{
    Backend, RpcError,
    arguments::Arguments,
    json::quantity,
    method::{Method, heavy},
    replay::Replay,
};

pub(crate) const METHODS: &[Method] = &[heavy("assay_traceInference", trace)];

/// Bytes that a transaction gave to the inference precompile and got from it, call by call.
#[derive(Debug, Clone, Default)]
struct Calls {
    inference: Address,
    seen: Vec<(Bytes, Bytes)>,
}

impl<CTX: ContextTr, INTR: InterpreterTypes> Inspector<CTX, INTR> for Calls {
    fn call_end(&mut self, context: &mut CTX, inputs: &CallInputs, outcome: &mut CallOutcome) {
        if inputs.bytecode_address == self.inference && outcome.result.is_ok() {
            let input = inputs.input.bytes(context);
            self.seen.push((input, outcome.result.output.clone()));
        }
    }
}

/// Shows an inference with its bytes, which records hold hashed only.
fn trace(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let transaction: B256 = arguments.hash()?;
    let call = arguments.optional_number()?.unwrap_or_default();
    let Some((at, index)) = backend.locate(transaction)? else {
        return Ok(Value::Null);
    };
    let records = at.reader.records(at.number)?;
    let record = records.iter().find(|record| {
        record.transaction_index as usize == index && u64::from(record.call_index) == call
    });
    let Some(record) = record else {
        return Ok(Value::Null);
    };
    let params = backend.chain.spec().assay.as_ref();
    let calls = Calls {
        inference: params.map(|params| params.inference).unwrap_or_default(),
        seen: Vec::new(),
    };
    let block = at.block()?;
    let mut replay = Replay::begin(backend, &at, &block, calls.clone())?;
    let seen = replay.watch(index, calls, |evm, _| {
        use assay_executor::Evm as _;
        evm.inspector().seen.clone()
    })?;
    let recorded = |(input, output): &&(Bytes, Bytes)| {
        keccak256(input) == record.input_hash && keccak256(output) == record.output_hash
    };
    let (input, output) = seen.iter().find(recorded).ok_or_else(|| {
        RpcError::internal(
            "the transaction, executed again, gave other bytes than the record: check this machine with `assay model selftest`",
        )
    })?;
    Ok(json!({
        "model": record.model_id,
        "caller": record.caller,
        "input": input,
        "output": output,
        "inputHash": record.input_hash,
        "outputHash": record.output_hash,
        "gas": quantity(record.gas),
        "reverted": record.reverted,
    }))
}
