//! Executes blocks of the chain again, with an inspector that watches.

use std::collections::BTreeSet;

use alloy_primitives::{Address, U256};
use alloy_rpc_types_eth::TransactionInfo;
use assay_executor::{ChainEvm, Evm as _, EvmContext, Execution};
use assay_state::{StateSnapshot, StoredBlock};
use assay_types::Transaction;
use revm::{Database as _, Inspector, context::result::ResultAndState};

use crate::{Backend, RpcError, resolve::At};

/// A block under execution once more, on the state it was executed on the first time.
pub(crate) struct Replay<'a, I> {
    execution: Execution<'a, StateSnapshot, I>,
    block: &'a StoredBlock,
    next: usize,
}

impl<'a, I> Replay<'a, I>
where
    I: Inspector<EvmContext<StateSnapshot>>,
{
    /// Begins a block again; `inspector` stands in until the first transaction brings its own.
    pub(crate) fn begin(
        backend: &'a Backend,
        at: &At,
        block: &'a StoredBlock,
        inspector: I,
    ) -> Result<Self, RpcError> {
        let body = &block.block.body;
        let execution = backend.chain.executor().begin_inspected(
            at.parent_state()?,
            &block.block.header,
            &body.ommers,
            body.withdrawals.as_ref(),
            inspector,
            false,
        )?;
        Ok(Self {
            execution,
            block,
            next: 0,
        })
    }

    /// Executes the transactions before `index`, with nobody watching.
    pub(crate) fn skip_to(&mut self, index: usize) -> Result<(), RpcError> {
        while self.next < index {
            let (transaction, sender) = transaction(self.block, self.next)?;
            self.execution.transact(transaction, sender)?;
            self.next += 1;
        }
        Ok(())
    }

    /// Lists the slots of an account that the transactions so far have read or written.
    pub(crate) fn slots_met(&mut self, address: Address) -> BTreeSet<U256> {
        let accounts = &self.execution.evm_mut().db_mut().cache.accounts;
        let account = accounts.get(&address).and_then(|met| met.account.as_ref());
        account.map_or_else(BTreeSet::new, |account| {
            account.storage.keys().copied().collect()
        })
    }

    /// Reads a slot as the transactions so far have left it.
    pub(crate) fn storage(&mut self, address: Address, slot: U256) -> Result<U256, RpcError> {
        let db = self.execution.evm_mut().db_mut();
        // The account must be there before its slots can be asked for.
        db.basic(address)
            .and_then(|_| db.storage(address, slot))
            .map_err(RpcError::internal)
    }

    /// Executes transaction `index` under an inspector, after those before it without one. `look`
    /// sees the result beside the state before the transaction.
    pub(crate) fn watch<T>(
        &mut self,
        index: usize,
        inspector: I,
        look: impl FnOnce(&mut ChainEvm<StateSnapshot, I>, &ResultAndState) -> T,
    ) -> Result<T, RpcError> {
        self.skip_to(index)?;
        let (transaction, sender) = transaction(self.block, index)?;
        let evm = self.execution.evm_mut();
        *evm.inspector_mut() = inspector;
        evm.enable_inspector();
        let seen = self.execution.transact_watched(transaction, sender, look);
        self.execution.evm_mut().disable_inspector();
        self.next = index.saturating_add(1);
        Ok(seen?)
    }
}

/// Returns a transaction of a block with its sender.
pub(crate) fn transaction(
    block: &StoredBlock,
    index: usize,
) -> Result<(&Transaction, Address), RpcError> {
    block
        .transaction(index)
        .ok_or_else(|| RpcError::server("transaction not found"))
}

/// Names a transaction's place for traces.
pub(crate) fn place(block: &StoredBlock, index: usize) -> TransactionInfo {
    let header = &block.block.header;
    let hash = block.transaction(index).map(|(tx, _)| *tx.tx_hash());
    TransactionInfo {
        hash,
        index: Some(index as u64),
        block_hash: Some(block.hash),
        block_number: Some(header.number),
        base_fee: header.base_fee_per_gas,
        ..TransactionInfo::default()
    }
}

impl Backend {
    /// Finds a mined transaction: its block and its position there.
    pub(crate) fn locate(
        &self,
        hash: alloy_primitives::B256,
    ) -> Result<Option<(At, usize)>, RpcError> {
        let reader = self.chain.reader()?;
        let place = reader.place(hash)?;
        Ok(place.map(|place| (At::mined(reader, place.number), place.index as usize)))
    }
}
