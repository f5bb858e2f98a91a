//! The execution of one block: system calls, transactions, rewards, requests.

use std::{borrow::Cow, fmt::Debug};

use alloy_consensus::transaction::Recovered;
use alloy_eips::{
    eip4788::SYSTEM_ADDRESS, eip4895::Withdrawals, eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
    eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, eip7685::Requests,
};
use alloy_evm::{
    EthEvm, Evm,
    block::{
        BlockExecutionError, BlockExecutor, BlockValidationError, InternalBlockExecutionError,
    },
    eth::{EthBlockExecutionCtx, EthBlockExecutor, EthEvmContext},
};
use alloy_hardforks::EthereumHardfork;
use alloy_primitives::{Address, Bytes, Log};
use assay_precompile::CallRecord;
use assay_types::{
    BlockForks, Header, InferenceRecord, RecordsRequest, RecoveredBlock, StateChanges, StateView,
    Transaction, validators::next_set_request,
};
use revm::{
    Context, Database, DatabaseCommit as _, Inspector, MainBuilder, MainContext,
    context::result::{ExecutionResult, InvalidTransaction, ResultAndState},
    database::{State, WrapDatabaseRef, states::bundle_state::BundleRetention},
    inspector::NoOpInspector,
};

use crate::{
    ChainPrecompiles, ExecuteError, Executor, InvalidBlock, Outcome, Relocated, TransactError,
    changes,
    env::ExecutorForks,
    receipt::BlockReceipts,
    view::{Failure, ViewDb},
};

/// The state of a block under execution: what was written so far, over the parent's view.
pub type BlockDb<V> = State<WrapDatabaseRef<ViewDb<V>>>;

/// What the EVM's opcodes, precompiles and inspectors see.
pub type EvmContext<V> = EthEvmContext<BlockDb<V>>;

/// The EVM as this chain runs it.
pub type ChainEvm<V, I = NoOpInspector> = EthEvm<BlockDb<V>, I, Relocated<ChainPrecompiles>>;

type Inner<'a, V, I> = EthBlockExecutor<'a, ChainEvm<V, I>, ExecutorForks<'a>, BlockReceipts>;

/// A block under execution, its system calls at the start already made.
#[allow(missing_debug_implementations, reason = "the EVM inside has no Debug")]
pub struct Execution<'a, V: StateView + Debug, I = NoOpInspector> {
    inner: Inner<'a, V, I>,
    forks: BlockForks<'a>,
    failure: Failure<V::Error>,
    records: Vec<InferenceRecord>,
    transactions: u32,
    changes_by_transaction: Vec<StateChanges>,
}

impl Executor {
    /// Makes an EVM for messages in the block with this header, over a view.
    pub fn evm<V, I>(&self, view: V, header: &Header, inspector: I, inspect: bool) -> ChainEvm<V, I>
    where
        V: StateView + Debug,
        I: Inspector<EvmContext<V>>,
    {
        let env = self.environment(header);
        let db = State::builder()
            .with_database_ref(ViewDb::new(view))
            .with_bundle_update()
            .build();
        let precompiles = ChainPrecompiles::new(env.cfg_env.spec, self.inference());
        let evm = Context::mainnet()
            .with_cfg(env.cfg_env)
            .with_block(env.block_env)
            .with_db(db)
            .build_mainnet_with_inspector(inspector)
            .with_precompiles(Relocated::new(precompiles));
        EthEvm::new(evm, inspect)
    }

    /// Begins a block: sets its environment from the header and makes the system calls that come
    /// before transactions. Only the header's fields known before execution are read.
    ///
    /// # Errors
    /// When a system call fails, or this machine cannot read its state.
    pub fn begin<'a, V: StateView + Debug>(
        &'a self,
        view: V,
        header: &Header,
        ommers: &'a [Header],
        withdrawals: Option<&'a Withdrawals>,
    ) -> Result<Execution<'a, V>, ExecuteError<V::Error>> {
        self.begin_inspected(view, header, ommers, withdrawals, NoOpInspector, false)
    }

    /// Begins a block whose transactions an inspector watches.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn begin_inspected<'a, V, I>(
        &'a self,
        view: V,
        header: &Header,
        ommers: &'a [Header],
        withdrawals: Option<&'a Withdrawals>,
        inspector: I,
        inspect: bool,
    ) -> Result<Execution<'a, V, I>, ExecuteError<V::Error>>
    where
        V: StateView + Debug,
        I: Inspector<EvmContext<V>>,
    {
        let forks = self.spec().forks_at(header);
        let context = EthBlockExecutionCtx {
            parent_hash: header.parent_hash,
            parent_beacon_block_root: header.parent_beacon_block_root,
            ommers,
            withdrawals: withdrawals.map(|list| Cow::Borrowed(list.as_slice())),
            extra_data: header.extra_data.clone(),
            tx_count_hint: None,
            slot_number: None,
        };
        let evm = self.evm(view, header, inspector, inspect);
        let failure = evm.db().database.0.failure().clone();
        let inner = EthBlockExecutor::new(evm, context, ExecutorForks(forks), BlockReceipts);
        let mut execution = Execution {
            inner,
            forks,
            failure,
            records: Vec::new(),
            transactions: 0,
            changes_by_transaction: Vec::new(),
        };
        let begun = execution.inner.apply_pre_execution_changes();
        execution.settle(begun)?;
        execution.seal_genesis(header.number)?;
        Ok(execution)
    }

    /// Executes a whole block.
    ///
    /// # Errors
    /// When the block breaks a rule, or this machine cannot read its state.
    pub fn execute<V: StateView + Debug>(
        &self,
        view: V,
        block: &RecoveredBlock,
    ) -> Result<Outcome, ExecuteError<V::Error>> {
        let body = &block.block().body;
        let mut execution = self.begin(
            view,
            block.header(),
            &body.ommers,
            body.withdrawals.as_ref(),
        )?;
        for (index, (transaction, sender)) in block.transactions().enumerate() {
            execution
                .transact(transaction, sender)
                .map_err(|error| match error {
                    TransactError::Fatal(error) => error,
                    TransactError::Invalid(reason) => {
                        let hash = *transaction.tx_hash();
                        InvalidBlock::Transaction {
                            index,
                            hash,
                            reason,
                        }
                        .into()
                    }
                    TransactError::BlockGasLeft { limit, left } => {
                        InvalidBlock::BlockGasLeft { index, limit, left }.into()
                    }
                })?;
        }
        execution.finish()
    }
}

impl<V, I> Execution<'_, V, I>
where
    V: StateView + Debug,
    I: Inspector<EvmContext<V>>,
{
    /// Executes a transaction and keeps its effects; a transaction that is refused leaves none.
    ///
    /// # Errors
    /// When the transaction breaks a rule here, or the block cannot go on at all.
    pub fn transact(
        &mut self,
        transaction: &Transaction,
        sender: Address,
    ) -> Result<ExecutionResult, TransactError<V::Error>> {
        self.transact_watched(transaction, sender, |_, executed| executed.result.clone())
    }

    /// Executes a transaction and keeps its effects; in between `look` sees the result beside the
    /// state before it, as tracers need both.
    ///
    /// # Errors
    /// As [`Self::transact`].
    pub fn transact_watched<T>(
        &mut self,
        transaction: &Transaction,
        sender: Address,
        look: impl FnOnce(&mut ChainEvm<V, I>, &ResultAndState) -> T,
    ) -> Result<T, TransactError<V::Error>> {
        let recovered = Recovered::new_unchecked(transaction, sender);
        let executed = self.inner.execute_transaction_without_commit(recovered);
        let mut executed = self.settle_transaction(executed)?;
        self.collect_records(&mut executed.result.result);
        let seen = look(&mut self.inner.evm, &executed.result);
        self.inner.commit_transaction(executed);
        if !self.forks.is_active(EthereumHardfork::Byzantium) {
            let db = self.inner.evm.db_mut();
            db.merge_transitions(BundleRetention::PlainState);
            self.changes_by_transaction
                .push(changes::from_bundle(&db.bundle_state));
        }
        Ok(seen)
    }

    /// Keeps the inference records of a transaction that takes its place in the block.
    fn collect_records(&mut self, result: &mut ExecutionResult) {
        let transaction_index = self.transactions;
        self.transactions += 1;
        let calls = self.take_call_records(result);
        self.records.extend(
            calls
                .into_iter()
                .zip(0..)
                .map(|(call, call_index)| InferenceRecord {
                    transaction_index,
                    call_index,
                    caller: call.caller,
                    model_id: call.model,
                    method: call.method,
                    input_hash: call.input_hash,
                    output_hash: call.output_hash,
                    gas: call.gas,
                    reverted: call.reverted,
                }),
        );
    }

    fn take_call_records(&mut self, result: &mut ExecutionResult) -> Vec<CallRecord> {
        self.inner.evm.precompiles_mut().settle(logs_mut(result))
    }

    /// Returns the gas used so far.
    #[must_use]
    pub const fn gas_used(&self) -> u64 {
        self.inner.cumulative_tx_gas_used
    }

    /// Reads an account's nonce as the block has left it so far.
    ///
    /// # Errors
    /// When this machine cannot read its state.
    pub fn nonce(&mut self, address: Address) -> Result<u64, ExecuteError<V::Error>> {
        let account = self.inner.evm.db_mut().load_cache_account(address);
        let info = account.map(|account| account.account_info());
        let info = self.settle(info.map_err(BlockExecutionError::other))?;
        Ok(info.map_or(0, |info| info.nonce))
    }

    /// Returns the EVM, for setting its inspector.
    pub const fn evm_mut(&mut self) -> &mut ChainEvm<V, I> {
        &mut self.inner.evm
    }

    /// Ends the block: rewards, withdrawals, requests.
    ///
    /// # Errors
    /// When a system call fails, or this machine cannot read its state.
    pub fn finish(mut self) -> Result<Outcome, ExecuteError<V::Error>> {
        let ethereum = self.forks.spec().assay.is_none();
        let prague = self.forks.is_active(EthereumHardfork::Prague);
        if prague && ethereum {
            self.require_request_contracts()?;
        }
        let assay = !ethereum;
        let next_set = match prague && assay {
            true => self.next_set_request()?,
            false => None,
        };
        let finished = self.inner.finish();
        if let Some(failure) = self.failure.take() {
            return Err(ExecuteError::Local(failure));
        }
        let (mut evm, result) = finished.map_err(classify)?;
        let db = evm.db_mut();
        db.merge_transitions(BundleRetention::PlainState);
        let changes = changes::from_bundle(&db.take_bundle());
        let mut requests: Requests = result.requests;
        if prague && assay {
            requests.push_request(RecordsRequest::of(&self.records).encode());
            if let Some(request) = next_set {
                requests.push_request(request);
            }
        }
        Ok(Outcome {
            changes,
            receipts: result.receipts,
            requests,
            records: self.records,
            gas_used: result.gas_used,
            blob_gas_used: result.blob_gas_used,
            changes_by_transaction: self.changes_by_transaction,
        })
    }

    /// Names the validators that decide the next block, when they are others than this one's.
    fn next_set_request(&mut self) -> Result<Option<Bytes>, ExecuteError<V::Error>> {
        let Some(params) = &self.forks.spec().assay else {
            return Ok(None);
        };
        let (contract, number) = (params.validator_set, self.forks.number());
        let db = self.inner.evm.db_mut();
        // The account is loaded before its storage is read, as the database requires.
        let loaded = db.load_cache_account(contract).map(|_| ());
        let loaded = loaded.map_err(BlockExecutionError::other);
        let request = loaded.and_then(|()| {
            let read = |slot| Database::storage(db, contract, slot);
            next_set_request(number, read).map_err(BlockExecutionError::other)
        });
        let request = self.settle(request)?;
        Ok(request.map(Bytes::from))
    }

    /// Spec: EIP-7002 and EIP-7251 make a block invalid when their contract has no code.
    fn require_request_contracts(&mut self) -> Result<(), ExecuteError<V::Error>> {
        for address in [
            WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
            CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
        ] {
            if !self.has_code(address)? {
                let message = format!("request contract {address} has no code");
                return Err(InvalidBlock::SystemCall(message).into());
            }
        }
        Ok(())
    }

    /// Returns where the validator set is, on a chain that has one.
    pub(crate) fn validator_set(&self) -> Option<Address> {
        let assay = self.forks.spec().assay.as_ref();
        assay.map(|assay| assay.validator_set)
    }

    /// Tells whether an account has code, as the block has left it so far.
    pub(crate) fn has_code(&mut self, address: Address) -> Result<bool, ExecuteError<V::Error>> {
        let account = self.inner.evm.db_mut().load_cache_account(address);
        let info = account.map(|account| account.account_info());
        let info = self.settle(info.map_err(BlockExecutionError::other))?;
        Ok(info.is_some_and(|info| !info.is_empty_code_hash()))
    }

    /// Makes a call of the protocol's own, and keeps its effects; it must succeed.
    pub(crate) fn call_as_system(
        &mut self,
        contract: Address,
        data: Bytes,
    ) -> Result<(), ExecuteError<V::Error>> {
        let evm = &mut self.inner.evm;
        let called = evm.transact_system_call(SYSTEM_ADDRESS, contract, data);
        if let Some(failure) = self.failure.take() {
            return Err(ExecuteError::Local(failure));
        }
        let refused = |why: String| InvalidBlock::SystemCall(format!("call of {contract}: {why}"));
        let called = called.map_err(|error| refused(error.to_string()))?;
        if !called.result.is_success() {
            return Err(refused("it does not succeed".into()).into());
        }
        self.inner.evm.db_mut().commit(called.state);
        Ok(())
    }

    /// Sorts an error by fault; a failed read of this machine's overrules every verdict.
    fn settle<T>(
        &self,
        result: Result<T, BlockExecutionError>,
    ) -> Result<T, ExecuteError<V::Error>> {
        match self.failure.take() {
            Some(failure) => Err(ExecuteError::Local(failure)),
            None => result.map_err(classify),
        }
    }

    fn settle_transaction<T>(
        &self,
        result: Result<T, BlockExecutionError>,
    ) -> Result<T, TransactError<V::Error>> {
        if let Some(failure) = self.failure.take() {
            return Err(ExecuteError::Local(failure).into());
        }
        result.map_err(|error| match error {
            BlockExecutionError::Validation(
                BlockValidationError::TransactionGasLimitMoreThanAvailableBlockGas {
                    transaction_gas_limit,
                    block_available_gas,
                },
            ) => TransactError::BlockGasLeft {
                limit: transaction_gas_limit,
                left: block_available_gas,
            },
            BlockExecutionError::Validation(BlockValidationError::InvalidTx { error, .. }) => {
                match error.as_invalid_tx_err() {
                    Some(reason) => TransactError::Invalid(reason.clone()),
                    None => {
                        TransactError::Invalid(InvalidTransaction::Str(error.to_string().into()))
                    }
                }
            }
            other => TransactError::Fatal(classify(other)),
        })
    }
}

/// Borrows the logs of a result, whatever became of the transaction.
pub(crate) fn logs_mut(result: &mut ExecutionResult) -> &mut Vec<Log> {
    match result {
        ExecutionResult::Success { logs, .. }
        | ExecutionResult::Revert { logs, .. }
        | ExecutionResult::Halt { logs, .. } => logs,
    }
}

fn classify<E: std::error::Error + 'static>(error: BlockExecutionError) -> ExecuteError<E> {
    match error {
        BlockExecutionError::Validation(error) => {
            InvalidBlock::SystemCall(error.to_string()).into()
        }
        BlockExecutionError::Internal(InternalBlockExecutionError::EVM { error, .. }) => {
            ExecuteError::Precompile(error.to_string())
        }
        BlockExecutionError::Internal(error) => ExecuteError::Precompile(error.to_string()),
    }
}
