//! Collects the logs of simulated calls as geth's tracer does: transfers of ether appear as logs, a
//! reverted frame's logs are dropped, but the numbers they were given are not given again.

use alloy_primitives::{Address, Log, LogData, U256};
use assay_state::StoredBlock;
use revm::{
    Inspector,
    context_interface::{ContextTr, JournalTr as _},
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, interpreter_types::InterpreterTypes,
    },
};
use revm_inspectors::transfer::{TRANSFER_EVENT_TOPIC, TRANSFER_LOG_EMITTER};
use serde_json::Value;

use crate::{RpcError, json as shapes};

/// The logs of one call, each with its number in the block.
pub(super) type CallLogs = Vec<(usize, Log)>;

/// Watches the calls of one block.
#[derive(Debug, Clone, Default)]
pub(super) struct LogCollector {
    /// Whether transfers of ether are shown as logs.
    transfers: bool,
    /// Address whose logs are marks of the inference precompile and no logs of a contract.
    unseen: Option<Address>,
    seen: usize,
    kept: CallLogs,
    /// How many logs were kept when each open frame began.
    frames: Vec<usize>,
}

impl LogCollector {
    pub(super) fn new(transfers: bool, unseen: Option<Address>) -> Self {
        Self {
            transfers,
            unseen,
            ..Self::default()
        }
    }

    /// Hands out the logs of the call that ended and begins the next one.
    pub(super) fn take(&mut self) -> CallLogs {
        self.frames.clear();
        std::mem::take(&mut self.kept)
    }

    fn keep(&mut self, log: Log) {
        if self.unseen != Some(log.address) {
            self.kept.push((self.seen, log));
            self.seen += 1;
        }
    }

    fn transfer(&mut self, from: Address, to: Address, value: U256) {
        if !self.transfers || value.is_zero() {
            return;
        }
        let topics = vec![TRANSFER_EVENT_TOPIC, from.into_word(), to.into_word()];
        self.keep(Log {
            address: TRANSFER_LOG_EMITTER,
            data: LogData::new_unchecked(topics, value.to_be_bytes_vec().into()),
        });
    }

    fn end(&mut self, success: bool) {
        let begun = self.frames.pop().unwrap_or_default();
        if !success {
            self.kept.truncate(begun);
        }
    }
}

impl<CTX: ContextTr, INTR: InterpreterTypes> Inspector<CTX, INTR> for LogCollector {
    fn log(&mut self, _: &mut CTX, log: Log) {
        self.keep(log);
    }

    fn call(&mut self, _: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.frames.push(self.kept.len());
        if let Some(value) = inputs.transfer_value() {
            self.transfer(inputs.transfer_from(), inputs.transfer_to(), value);
        }
        None
    }

    fn call_end(&mut self, _: &mut CTX, _: &CallInputs, outcome: &mut CallOutcome) {
        self.end(outcome.result.is_ok());
    }

    fn create(&mut self, context: &mut CTX, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.frames.push(self.kept.len());
        // A creator that cannot be read fails the creation itself.
        if let Ok(creator) = context.journal_mut().load_account(inputs.caller()) {
            let created = inputs.created_address(creator.data.info.nonce);
            self.transfer(inputs.caller(), created, inputs.value());
        }
        None
    }

    fn create_end(&mut self, _: &mut CTX, _: &CreateInputs, outcome: &mut CreateOutcome) {
        self.end(outcome.result.is_ok());
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        self.transfer(contract, target, value);
    }
}

/// Writes the logs of a call.
pub(super) fn show(
    logs: &CallLogs,
    block: &StoredBlock,
    call: usize,
) -> Result<Vec<Value>, RpcError> {
    logs.iter()
        .map(|(number, log)| shapes::log(log, block, call, *number))
        .collect()
}
