//! Executes the blocks of a simulation.

use std::{collections::BTreeMap, sync::Arc};

use alloy_consensus::{
    BlockBody,
    constants::{EMPTY_OMMER_ROOT_HASH, EMPTY_WITHDRAWALS},
    proofs::{calculate_transaction_root, calculate_withdrawals_root},
};
use alloy_hardforks::EthereumHardfork;
use alloy_primitives::{Address, B256};
use alloy_rpc_types_eth::{TransactionRequest, state::StateOverride};
use assay_executor::{Evm as _, Outcome, next_base_fee, next_excess_blob_gas};
use assay_state::{Reader, StateSnapshot, StoredBlock};
use assay_types::{Block, Header, Overlay, Transaction};
use serde_json::Value;

use crate::{Backend, RpcError, eth::message::overridden, json as shapes};

use super::{
    BLOCK_INTERVAL_S, BlockCalls, Overrides,
    logs::LogCollector,
    result::{CallResult, code, impossible, show_calls},
};

/// A simulation under way.
pub(super) struct Simulator<'a> {
    pub(super) backend: &'a Backend,
    pub(super) reader: &'a Reader,
    pub(super) base: u64,
    pub(super) state: Overlay<Arc<StateSnapshot>>,
    /// The newest block, real or simulated.
    pub(super) parent: Header,
    pub(super) parent_hash: B256,
    pub(super) validation: bool,
    pub(super) trace_transfers: bool,
    pub(super) full: bool,
    pub(super) gas_left: u64,
    /// Precompiles that moved: new address to old.
    pub(super) moved: BTreeMap<Address, Address>,
}

/// One block of a simulation, executed.
struct Simulated {
    block: StoredBlock,
    calls: Vec<Value>,
}

impl Simulator<'_> {
    pub(super) fn block(&mut self, calls: BlockCalls) -> Result<Value, RpcError> {
        let overrides = calls.block_overrides.unwrap_or_default();
        let header = self.header(&overrides);
        // A precompile is back in its place in the next block.
        self.moved = moved_precompiles(self.backend, &header, calls.state_overrides.as_ref())?;
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
            let root = calculate_withdrawals_root(list);
            header.withdrawals_root = Some(root);
        }
        let view = self.state.clone();
        let assay = self.backend.chain.spec().assay.as_ref();
        let inspector = LogCollector::new(self.trace_transfers, assay.map(|a| a.inference));
        let executor = self.backend.chain.executor();
        let mut execution =
            executor.begin_inspected(&view, &header, &[], withdrawals.as_ref(), inspector, true)?;
        if let Some(fee) = overrides.blob_base_fee {
            let block = &mut execution.evm_mut().ctx_mut().block;
            if let Some(blobs) = &mut block.blob_excess_gas_and_price {
                blobs.blob_gasprice = fee.saturating_to();
            }
        }
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
            let logs = execution.evm_mut().inspector_mut().take();
            results.push(CallResult { result, gas, logs });
        }
        let mut outcome = execution.finish()?;
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
    let ordered: BTreeMap<_, _> = overrides.into_iter().flatten().collect();
    for (from, account) in ordered {
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
        // Two that move to one place: the later one stands there, as in geth, though the
        // specification has a code for it.
        moved.insert(to, *from);
    }
    Ok(moved)
}
