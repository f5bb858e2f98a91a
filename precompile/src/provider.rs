//! The precompile inside revm: who may call it, what it reads of the chain, what it records.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, Log, LogData, U256, address};
use revm::context_interface::{Block, ContextTr, JournalTr, LocalContextTr};
use revm::interpreter::{
    CallInput, CallInputs, CallScheme, Gas, InstructionResult, InterpreterResult,
};
use revm::primitives::AddressSet;

use crate::abi::IInference;
use crate::call::{self, ChainState, Charge, Done, Stop};
use crate::digests::Digests;
use crate::host::Host;
use crate::registry::Record;
use crate::reverts::revert;

/// Is how many bytes of calls wait to be hashed together.
const WAITING_BYTES: usize = 256 << 10;

/// Places the precompile and the registry it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The inference precompile.
    pub inference: Address,
    /// The model registry.
    pub registry: Address,
}

impl Default for Addresses {
    fn default() -> Self {
        Addresses {
            inference: address!("0x0000000000000000000000000000000000000a11"),
            registry: address!("0x0000000000000000000000000000000000000a12"),
        }
    }
}

/// Records one completed inference of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// Who called.
    pub caller: Address,
    /// The model that ran.
    pub model: B256,
    /// The method's selector.
    pub method: [u8; 4],
    /// keccak256 of the calldata.
    pub input_hash: B256,
    /// keccak256 of the return data.
    pub output_hash: B256,
    /// Gas charged.
    pub gas: u64,
    /// Whether a frame around the call, or the transaction, reverted later.
    pub reverted: bool,
}

/// Answers calls to the inference precompile of one EVM.
#[derive(Clone, Debug)]
pub struct Inference {
    host: Arc<Host>,
    addresses: Addresses,
    warm: AddressSet,
    records: Vec<CallRecord>,
    /// Calldata and answers of the last records, whose hashes are still to come.
    waiting: Digests,
    /// How many records have their hashes.
    hashed: usize,
    /// The model called last and the key of its record: a hash that a loop of calls needs once.
    key: Option<(B256, U256)>,
}

impl Inference {
    /// Makes the precompile of one EVM over the node's models.
    pub fn new(host: Arc<Host>, addresses: Addresses) -> Self {
        // The registry is warm like a precompile, so that only the record's slot has a price.
        let warm = [addresses.inference, addresses.registry]
            .into_iter()
            .collect();
        Inference {
            host,
            addresses,
            warm,
            records: Vec::new(),
            waiting: Digests::default(),
            hashed: 0,
            key: None,
        }
    }

    /// Returns the precompile's address.
    pub fn address(&self) -> Address {
        self.addresses.inference
    }

    /// Returns the addresses that are warm in every transaction.
    pub fn warm(&self) -> &AddressSet {
        &self.warm
    }

    /// Ends a transaction: takes its records, and takes the precompile's marks out of its logs.
    ///
    /// Each completed call leaves a mark in the journal's logs. The journal drops logs with the frame
    /// that reverts, so a record whose mark is gone was reverted. No contract can forge a mark: the
    /// precompile's account has no code that logs.
    pub fn settle(&mut self, logs: &mut Vec<Log>) -> Vec<CallRecord> {
        self.hash();
        self.hashed = 0;
        let mut records = std::mem::take(&mut self.records);
        for record in &mut records {
            record.reverted = true;
        }
        logs.retain(|log| {
            if log.address != self.addresses.inference {
                return true;
            }
            let number = log
                .data
                .topics()
                .first()
                .map(|topic| U256::from_be_bytes(topic.0));
            let at = number.and_then(|n| usize::try_from(n).ok());
            if let Some(record) = at.and_then(|at| records.get_mut(at)) {
                record.reverted = false;
            }
            false
        });
        records
    }

    fn call<CTX: ContextTr>(
        &mut self,
        context: &mut CTX,
        inputs: &CallInputs,
        input: &[u8],
        charge: &mut Charge,
    ) -> Result<Done, Stop> {
        let direct = inputs.target_address == inputs.bytecode_address
            && matches!(inputs.scheme, CallScheme::Call | CallScheme::StaticCall);
        if !direct {
            return Err(Stop::Revert(revert(IInference::DirectCallOnly {})));
        }
        if inputs
            .transfer_value()
            .is_some_and(|value| !value.is_zero())
        {
            return Err(Stop::Revert(revert(IInference::NotPayable {})));
        }
        let mut chain = Journal {
            context,
            addresses: self.addresses,
            key: &mut self.key,
        };
        call::answer(self.host.as_ref(), &mut chain, input, charge)
    }

    fn record<CTX: ContextTr>(
        &mut self,
        context: &mut CTX,
        inputs: &CallInputs,
        input: &[u8],
        gas: u64,
        done: &Done,
    ) {
        let Some(model) = done.ran else { return };
        let number = B256::from(U256::from(self.records.len()));
        let data = LogData::new_unchecked(vec![number], Bytes::new());
        context.journal_mut().log(Log {
            address: self.addresses.inference,
            data,
        });
        let mut method = [0; 4];
        method.copy_from_slice(&input[..4]);
        self.records.push(CallRecord {
            caller: inputs.caller,
            model,
            method,
            input_hash: B256::ZERO,
            output_hash: B256::ZERO,
            gas,
            reverted: false,
        });
        self.waiting.push(input);
        self.waiting.push(&done.output);
        if self.waiting.len() > WAITING_BYTES {
            self.hash();
        }
    }

    /// Gives the records that wait for them their hashes.
    fn hash(&mut self) {
        let digests = self.waiting.take(self.host.engine());
        let pairs = digests.as_chunks::<2>().0;
        for (record, [input, output]) in self.records[self.hashed..].iter_mut().zip(pairs) {
            (record.input_hash, record.output_hash) = (*input, *output);
        }
        self.hashed = self.records.len();
    }
}

impl Inference {
    /// Answers a call to the precompile; `None` for calls to other addresses. `Err` is a fault of
    /// this machine and aborts the block.
    pub fn run<CTX: ContextTr>(
        &mut self,
        context: &mut CTX,
        inputs: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        if inputs.bytecode_address != self.addresses.inference {
            return Ok(None);
        }
        // The caller's memory is read where it lies: calldata can be megabytes.
        let (shared, memory);
        let input: &[u8] = match &inputs.input {
            CallInput::Bytes(bytes) => bytes,
            CallInput::SharedBuffer(range) => {
                shared = context.local().shared_memory_buffer().clone();
                memory = shared.borrow();
                memory.get(range.clone()).unwrap_or_default()
            }
        };
        let mut charge = Charge::new(inputs.gas_limit);
        let result = self.call(context, inputs, input, &mut charge);
        let mut gas = Gas::new_with_regular_gas_and_reservoir(inputs.gas_limit, inputs.reservoir);
        let (result, output) = match result {
            Ok(done) => {
                self.record(context, inputs, input, charge.used(), &done);
                (InstructionResult::Return, done.output)
            }
            Err(Stop::Revert(data)) => (InstructionResult::Revert, data),
            Err(Stop::OutOfGas) => {
                gas.spend_all();
                let halted =
                    InterpreterResult::new(InstructionResult::PrecompileOOG, Bytes::new(), gas);
                return Ok(Some(halted));
            }
            Err(Stop::Fault(fault)) => return Err(fault),
        };
        // A revert before anything was charged still pays the base price.
        let used = charge.used().max(crate::gas::BASE).min(inputs.gas_limit);
        if !gas.record_regular_cost(used) {
            return Err("invariant: the charge is within the limit".to_owned());
        }
        Ok(Some(InterpreterResult::new(result, output, gas)))
    }
}

/// Reads the chain through revm's journal, so that everything is metered and undone with its frame.
struct Journal<'a, CTX> {
    context: &'a mut CTX,
    addresses: Addresses,
    key: &'a mut Option<(B256, U256)>,
}

impl<CTX: ContextTr> ChainState for Journal<'_, CTX> {
    fn record_word(&mut self, model: B256) -> Result<(U256, bool), String> {
        let key = match *self.key {
            Some((known, key)) if known == model => key,
            _ => Record::key(model),
        };
        *self.key = Some((model, key));
        let registry = self.addresses.registry;
        let journal = self.context.journal_mut();
        journal
            .load_account(registry)
            .map_err(|error| error.to_string())?;
        let word = journal
            .sload(registry, key)
            .map_err(|error| error.to_string())?;
        Ok((word.data, word.is_cold))
    }

    fn is_warm(&mut self, model: B256) -> bool {
        let key = U256::from_be_bytes(model.0);
        !self
            .context
            .journal_mut()
            .tload(self.addresses.inference, key)
            .is_zero()
    }

    fn warm(&mut self, model: B256) {
        let key = U256::from_be_bytes(model.0);
        self.context
            .journal_mut()
            .tstore(self.addresses.inference, key, U256::ONE);
    }

    fn height(&self) -> u64 {
        self.context.block().number().saturating_to()
    }
}
