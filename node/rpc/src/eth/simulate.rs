//! `eth_simulateV1`: blocks that never were, on top of one that is.

use std::{collections::BTreeMap, sync::Arc};

use alloy_consensus::{
    BlockBody, EthereumTxEnvelope, SignableTransaction as _, TxEip4844,
    constants::{EMPTY_OMMER_ROOT_HASH, EMPTY_WITHDRAWALS},
    proofs::calculate_transaction_root,
};
use alloy_eips::eip4895::Withdrawals;
use alloy_hardforks::EthereumHardfork;
use alloy_primitives::{Address, B256, Signature, TxKind, U256};
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest, state::StateOverride};
use assay_executor::{
    Evm as _, Execution, Outcome, TransactError, next_base_fee, next_excess_blob_gas,
};
use assay_state::{Reader, StateError, StateSnapshot, StoredBlock};
use assay_types::{Block, Header, Overlay, Receipt, StateView, Transaction};
use revm::context::result::{ExecutionResult, HaltReason, InvalidTransaction};
use revm_inspectors::transfer::{TRANSFER_LOG_EMITTER, TransferInspector};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    Backend, RpcError,
    arguments::Arguments,
    error::{REVERTED, refusal, revert_message},
    eth::{call::halt_message, message::overridden},
    json::{self as shapes, quantity},
    method::{Method, heavy},
};

/// Most blocks of one simulation, those that fill gaps included.
const MAX_BLOCKS: u64 = 256;
/// Seconds from a block to the next when the client says nothing.
const BLOCK_INTERVAL_S: u64 = 12;
/// Code of a failure inside a call that is no revert.
const VM_ERROR: i32 = -32_015;

/// Codes the specification gives to what makes a simulation impossible.
mod code {
    pub(super) const NONCE_TOO_LOW: i32 = -38_010;
    pub(super) const NONCE_TOO_HIGH: i32 = -38_011;
    pub(super) const FEE_BELOW_BASE_FEE: i32 = -38_012;
    pub(super) const INTRINSIC_GAS: i32 = -38_013;
    pub(super) const INSUFFICIENT_FUNDS: i32 = -38_014;
    pub(super) const BLOCK_GAS_LIMIT: i32 = -38_015;
    pub(super) const BLOCK_NUMBER: i32 = -38_020;
    pub(super) const BLOCK_TIMESTAMP: i32 = -38_021;
    pub(super) const MOVED_TO_ITSELF: i32 = -38_022;
    pub(super) const MOVED_TO_SAME: i32 = -38_023;
    pub(super) const SENDER_NOT_EOA: i32 = -38_024;
    pub(super) const INIT_CODE_SIZE: i32 = -38_025;
    pub(super) const TOO_MANY_BLOCKS: i32 = -38_026;
}

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
struct Overrides {
    #[serde(flatten)]
    fields: BlockOverrides,
    withdrawals: Option<Withdrawals>,
}

/// A simulation under way.
struct Simulator<'a> {
    backend: &'a Backend,
    reader: &'a Reader,
    base: u64,
    state: Overlay<Arc<StateSnapshot>>,
    /// The newest block, real or simulated.
    parent: Header,
    parent_hash: B256,
    validation: bool,
    trace_transfers: bool,
    full: bool,
    gas_left: u64,
    /// Precompiles that moved: new address to old.
    moved: BTreeMap<Address, Address>,
}

/// One block of a simulation, executed.
struct Simulated {
    block: StoredBlock,
    calls: Vec<Value>,
}

fn simulate(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let payload: Payload = arguments.next()?;
    if payload.block_state_calls.is_empty() {
        return Err(RpcError::params("empty input"));
    }
    let at = backend.at(arguments.optional()?)?;
    let parent = at.header()?;
    let blocks = fill_gaps(&parent, payload.block_state_calls)?;
    let state = Overlay::new(Arc::new(at.state()?), Default::default());
    let mut simulator = Simulator {
        backend,
        reader: &at.reader,
        base: at.number,
        state,
        parent_hash: at.reader.hash(at.number)?.unwrap_or_default(),
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

impl Simulator<'_> {
    fn block(&mut self, calls: BlockCalls) -> Result<Value, RpcError> {
        let overrides = calls.block_overrides.unwrap_or_default();
        let header = self.header(&overrides);
        let moved = calls.state_overrides.as_ref();
        self.moved
            .extend(moved_precompiles(self.backend, &header, moved)?);
        let changes = overridden(&self.state, calls.state_overrides)?;
        self.state.apply(changes);
        let simulated = self.execute(&overrides, &calls.calls)?;
        self.parent = simulated.block.block.header.clone();
        self.parent_hash = simulated.block.hash;
        self.state
            .set_block_hash(self.parent.number, self.parent_hash);
        let mut shown = shapes::block(&simulated.block, self.full)?;
        if let Some(map) = shown.as_object_mut() {
            map.insert("calls".into(), simulated.calls.into());
        }
        Ok(shown)
    }

    fn execute(
        &mut self,
        overrides: &Overrides,
        requests: &[TransactionRequest],
    ) -> Result<Simulated, RpcError> {
        let mut header = self.header(overrides);
        let withdrawals = header
            .withdrawals_root
            .map(|_| overrides.withdrawals.clone().unwrap_or_default());
        if let Some(list) = &withdrawals {
            let root = alloy_consensus::proofs::calculate_withdrawals_root(list);
            header.withdrawals_root = Some(root);
        }
        let view = self.state.clone();
        let inspector = TransferInspector::new(false).with_logs(true);
        let executor = self.backend.chain.executor();
        let mut execution = executor.begin_inspected(
            &view,
            &header,
            &[],
            withdrawals.as_ref(),
            inspector,
            self.trace_transfers,
        )?;
        execution
            .evm_mut()
            .precompiles_mut()
            .relocate(self.moved.clone());
        let config = &mut execution.evm_mut().ctx_mut().cfg;
        config.disable_nonce_check = !self.validation;
        config.disable_base_fee = !self.validation;
        config.disable_eip3607 = true;
        config.tx_gas_limit_cap = Some(u64::MAX);
        let (mut transactions, mut senders, mut results) = (Vec::new(), Vec::new(), Vec::new());
        for request in requests {
            let (transaction, sender) = self.transaction(request, &mut execution, &header)?;
            let gas = alloy_consensus::Transaction::gas_limit(&transaction);
            let result = execution
                .transact(&transaction, sender)
                .map_err(impossible)?;
            self.gas_left = self.gas_left.saturating_sub(result.tx_gas_used());
            transactions.push(transaction);
            senders.push(sender);
            results.push((result, gas));
        }
        let mut outcome = execution.finish()?;
        outcome.receipts = outcome
            .receipts
            .into_iter()
            .map(without_transfers)
            .collect();
        self.state.apply(std::mem::take(&mut outcome.changes));
        self.seal(&mut header, &transactions, &outcome)?;
        let body = BlockBody {
            transactions,
            ommers: Vec::new(),
            withdrawals,
        };
        let block = StoredBlock {
            hash: header.hash_slow(),
            block: Block::new(header, body),
            senders,
        };
        let calls = show_calls(&block, &results)?;
        Ok(Simulated { block, calls })
    }

    fn header(&self, overrides: &Overrides) -> Header {
        let fields = &overrides.fields;
        let (spec, parent) = (self.backend.chain.spec(), &self.parent);
        let number = fields
            .number
            .map_or(parent.number + 1, |number| number.saturating_to());
        let timestamp = fields.time.unwrap_or(parent.timestamp + BLOCK_INTERVAL_S);
        // Before the merge a block stays before it.
        let difficulty = fields.difficulty.unwrap_or(parent.difficulty);
        let forks = spec.forks(number, timestamp, difficulty);
        let active = |fork| forks.is_active(fork);
        let base_fee = match fields.base_fee {
            Some(fee) => Some(fee.saturating_to()),
            None if self.validation => next_base_fee(spec, parent, timestamp),
            None => Some(0),
        };
        let cancun = active(EthereumHardfork::Cancun);
        Header {
            parent_hash: self.parent_hash,
            number,
            timestamp,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: fields.coinbase.unwrap_or(parent.beneficiary),
            difficulty,
            gas_limit: fields.gas_limit.unwrap_or(parent.gas_limit),
            mix_hash: fields.random.unwrap_or_default(),
            base_fee_per_gas: base_fee.filter(|_| active(EthereumHardfork::London)),
            withdrawals_root: active(EthereumHardfork::Shanghai).then_some(EMPTY_WITHDRAWALS),
            excess_blob_gas: next_excess_blob_gas(spec, parent, timestamp),
            blob_gas_used: cancun.then_some(0),
            parent_beacon_block_root: cancun.then(|| fields.beacon_root.unwrap_or_default()),
            ..Header::default()
        }
    }

    /// Makes the transaction a request stands for, signed by nobody.
    fn transaction<V>(
        &self,
        request: &TransactionRequest,
        execution: &mut Execution<'_, V, TransferInspector>,
        header: &Header,
    ) -> Result<(Transaction, Address), RpcError>
    where
        V: StateView<Error = StateError> + std::fmt::Debug,
    {
        let sender = request.from.unwrap_or_default();
        let used = execution.gas_used();
        let left = header.gas_limit.saturating_sub(used);
        if request.gas.is_some_and(|gas| gas > left) {
            let message = format!("block gas limit reached: {used} >= {}", header.gas_limit);
            return Err(RpcError::new(code::BLOCK_GAS_LIMIT, message));
        }
        let nonce = match request.nonce {
            Some(nonce) => nonce,
            None => execution.nonce(sender)?,
        };
        if self.validation && nonce == u64::MAX {
            return Err(RpcError::internal("err: nonce has max value"));
        }
        let mut filled = request.clone();
        filled.nonce = Some(nonce);
        filled.gas = Some(request.gas.unwrap_or(left).min(self.gas_left));
        filled.chain_id = Some(self.backend.chain.spec().chain_id);
        filled.to = Some(request.to.unwrap_or(TxKind::Create));
        filled.input.input = request
            .input
            .input
            .clone()
            .or_else(|| request.input.data.clone());
        if request.gas_price.is_none() {
            filled.max_fee_per_gas = Some(request.max_fee_per_gas.unwrap_or_default());
            let tip = request.max_priority_fee_per_gas.unwrap_or_default();
            filled.max_priority_fee_per_gas = Some(tip);
        }
        Ok((unsigned(filled)?, sender))
    }

    fn seal(
        &self,
        header: &mut Header,
        transactions: &[Transaction],
        outcome: &Outcome,
    ) -> Result<(), RpcError> {
        header.state_root = self.reader.root(self.base, self.state.changes())?;
        header.transactions_root = calculate_transaction_root(transactions);
        header.receipts_root = outcome.receipts_root();
        header.logs_bloom = outcome.logs_bloom();
        header.gas_used = outcome.gas_used;
        header.blob_gas_used = header.blob_gas_used.map(|_| outcome.blob_gas_used);
        let forks = self.backend.chain.spec().forks_at(header);
        let prague = forks.is_active(EthereumHardfork::Prague);
        header.requests_hash = prague.then(|| outcome.requests.requests_hash());
        Ok(())
    }
}

/// Lists where a client moves precompiles: from the new address to the old one.
fn moved_precompiles(
    backend: &Backend,
    header: &Header,
    overrides: Option<&StateOverride>,
) -> Result<BTreeMap<Address, Address>, RpcError> {
    let mut moved = BTreeMap::new();
    for (from, account) in overrides.into_iter().flatten() {
        let Some(to) = account.move_precompile_to else {
            continue;
        };
        if !backend.chain.executor().is_precompile(header, *from) {
            return Err(RpcError::server(format!(
                "account {from} is not a precompile"
            )));
        }
        if *from == to {
            let message = format!("account {from} is moved to itself");
            return Err(RpcError::new(code::MOVED_TO_ITSELF, message));
        }
        if moved.insert(to, *from).is_some() {
            let message = format!("two precompiles are moved to {to}");
            return Err(RpcError::new(code::MOVED_TO_SAME, message));
        }
    }
    Ok(moved)
}

fn unsigned(request: TransactionRequest) -> Result<Transaction, RpcError> {
    use alloy_consensus::TypedTransaction;
    let signature = Signature::new(U256::ZERO, U256::ZERO, false);
    if request.blob_versioned_hashes.is_some() {
        return Ok(EthereumTxEnvelope::Eip4844(
            blob_transaction(request)?.into_signed(signature),
        ));
    }
    let typed = request
        .build_typed_tx()
        .map_err(|_| RpcError::params("call has fields of different transaction types"))?;
    Ok(match typed {
        TypedTransaction::Legacy(tx) => EthereumTxEnvelope::Legacy(tx.into_signed(signature)),
        TypedTransaction::Eip2930(tx) => EthereumTxEnvelope::Eip2930(tx.into_signed(signature)),
        TypedTransaction::Eip1559(tx) => EthereumTxEnvelope::Eip1559(tx.into_signed(signature)),
        TypedTransaction::Eip4844(tx) => {
            EthereumTxEnvelope::Eip4844(TxEip4844::from(tx).into_signed(signature))
        }
        TypedTransaction::Eip7702(tx) => EthereumTxEnvelope::Eip7702(tx.into_signed(signature)),
    })
}

/// Makes a blob transaction as blocks carry it: without the blobs themselves.
fn blob_transaction(request: TransactionRequest) -> Result<TxEip4844, RpcError> {
    let Some(TxKind::Call(to)) = request.to else {
        return Err(RpcError::params("blob transaction without a recipient"));
    };
    Ok(TxEip4844 {
        chain_id: request.chain_id.unwrap_or_default(),
        nonce: request.nonce.unwrap_or_default(),
        gas_limit: request.gas.unwrap_or_default(),
        max_fee_per_gas: request.max_fee_per_gas.unwrap_or_default(),
        max_priority_fee_per_gas: request.max_priority_fee_per_gas.unwrap_or_default(),
        to,
        value: request.value.unwrap_or_default(),
        access_list: request.access_list.unwrap_or_default(),
        blob_versioned_hashes: request.blob_versioned_hashes.unwrap_or_default(),
        max_fee_per_blob_gas: request.max_fee_per_blob_gas.unwrap_or_default(),
        input: request.input.input.unwrap_or_default(),
    })
}

/// Takes the logs that stand for transfers of ether out of a receipt: a block has none.
fn without_transfers(receipt: Receipt) -> Receipt {
    let kind = receipt.tx_type();
    let mut fields = receipt.into_receipt();
    fields
        .logs
        .retain(|log| log.address != TRANSFER_LOG_EMITTER);
    Receipt::from_typed(kind, fields.with_bloom())
}

/// Says why a call cannot be part of a block at all.
fn impossible(error: TransactError<StateError>) -> RpcError {
    let reason = match &error {
        TransactError::Invalid(reason) => reason,
        TransactError::BlockGasLeft { .. } => {
            return RpcError::new(code::BLOCK_GAS_LIMIT, error.to_string());
        }
        TransactError::Fatal(_) => return error.into(),
    };
    let number = match reason {
        InvalidTransaction::NonceTooLow { .. } => code::NONCE_TOO_LOW,
        InvalidTransaction::NonceTooHigh { .. } => code::NONCE_TOO_HIGH,
        InvalidTransaction::GasPriceLessThanBasefee => code::FEE_BELOW_BASE_FEE,
        InvalidTransaction::CallGasCostMoreThanGasLimit { .. }
        | InvalidTransaction::GasFloorMoreThanGasLimit { .. } => code::INTRINSIC_GAS,
        InvalidTransaction::LackOfFundForMaxFee { .. }
        | InvalidTransaction::OverflowPaymentInTransaction => code::INSUFFICIENT_FUNDS,
        InvalidTransaction::CallerGasLimitMoreThanBlock => code::BLOCK_GAS_LIMIT,
        InvalidTransaction::RejectCallerWithCode => code::SENDER_NOT_EOA,
        InvalidTransaction::CreateInitCodeSizeLimit => code::INIT_CODE_SIZE,
        InvalidTransaction::NonceOverflowInTransaction => crate::error::INTERNAL_ERROR,
        _ => crate::error::SERVER_ERROR,
    };
    RpcError::new(number, format!("err: {}", refusal(reason)))
}

fn show_calls(
    block: &StoredBlock,
    results: &[(ExecutionResult, u64)],
) -> Result<Vec<Value>, RpcError> {
    let mut first_log = 0;
    results
        .iter()
        .enumerate()
        .map(|(index, (result, gas))| {
            // A failed call leaves no logs, whatever the tracer saw before it failed.
            let kept = if result.is_success() {
                result.logs()
            } else {
                &[]
            };
            let logs = kept
                .iter()
                .enumerate()
                .map(|(position, log)| shapes::log(log, block, index, first_log + position))
                .collect::<Result<Vec<_>, _>>()?;
            first_log += logs.len();
            let mut map = Map::new();
            // A revert's bytes are in its error.
            let output = result.output().filter(|_| result.is_success()).cloned();
            let output = output.unwrap_or_default();
            map.insert("returnData".into(), json!(output));
            map.insert("logs".into(), logs.into());
            map.insert("gasUsed".into(), quantity(result.tx_gas_used()));
            map.insert("maxUsedGas".into(), quantity(most_gas(result)));
            map.insert("status".into(), quantity(u8::from(result.is_success())));
            if let Some(error) = call_error(result, *gas) {
                map.insert("error".into(), error);
            }
            Ok(map.into())
        })
        .collect()
}

fn most_gas(result: &ExecutionResult) -> u64 {
    let gas = result.gas();
    gas.total_gas_spent().max(result.tx_gas_used())
}

fn call_error(result: &ExecutionResult, gas: u64) -> Option<Value> {
    match result {
        ExecutionResult::Success { .. } => None,
        ExecutionResult::Revert { output, .. } => Some(json!({
            "code": REVERTED,
            "message": revert_message(output),
            "data": output,
        })),
        ExecutionResult::Halt { reason, .. } => {
            let message = match reason {
                HaltReason::OutOfGas(_) => "out of gas".into(),
                other => halt_message(other, gas),
            };
            Some(json!({"code": VM_ERROR, "message": message}))
        }
    }
}
