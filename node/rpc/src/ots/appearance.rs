//! Searches the transactions in which an account appears, by walking over blocks.
//!
//! Senders, recipients, created contracts and emitters of logs are found in what is stored; for a
//! frame inside a transaction the block is executed again. Both are bounded: a call that comes to a
//! bound before it fills its page answers what it found, or says where to go on.

use std::collections::BTreeSet;

use alloy_consensus::Transaction as _;
use alloy_primitives::Address;
use assay_executor::Evm as _;
use assay_state::StoredBlock;
use revm_inspectors::tracing::{TracingInspector, TracingInspectorConfig};
use serde_json::{Value, json};

use crate::{
    Backend, RpcError,
    arguments::Arguments,
    eth::block::receipts_at,
    json::{self as shapes, quantity},
    ots::block::page_size,
    replay::Replay,
    resolve::At,
};

/// Gas of a transaction that runs no code.
const TRANSFER_GAS: u64 = 21_000;

/// What a walk over blocks found so far, and what it may still cost.
struct Search<'a> {
    backend: &'a Backend,
    account: Address,
    gas_left: u64,
    blocks_left: u64,
    transactions: Vec<Value>,
    receipts: Vec<Value>,
}

pub(super) fn search_before(
    backend: &Backend,
    arguments: &mut Arguments,
) -> Result<Value, RpcError> {
    let (account, before, size) = asked(arguments)?;
    let tip = backend.chain.head().header.number;
    // Zero stands for the newest block.
    let newest = match before {
        0 => tip,
        before => tip.min(before - 1),
    };
    let first = backend.chain.reader()?.oldest_block();
    let mut search = Search::new(backend, account);
    let mut next = Some(newest).filter(|newest| *newest >= first);
    while let Some(number) = next.filter(|_| search.goes_on(size)) {
        search.block(number, true)?;
        next = number.checked_sub(1).filter(|next| *next >= first);
    }
    let ended = next.is_none();
    search.answer(before == 0 || newest == tip, ended, next)
}

pub(super) fn search_after(
    backend: &Backend,
    arguments: &mut Arguments,
) -> Result<Value, RpcError> {
    let (account, after, size) = asked(arguments)?;
    let tip = backend.chain.head().header.number;
    // Zero stands for the oldest block.
    let oldest = match after {
        0 => 0,
        after => after.saturating_add(1),
    };
    let oldest = oldest.max(backend.chain.reader()?.oldest_block());
    let mut search = Search::new(backend, account);
    let mut next = (oldest <= tip).then_some(oldest);
    while let Some(number) = next.filter(|_| search.goes_on(size)) {
        search.block(number, false)?;
        next = number.checked_add(1).filter(|next| *next <= tip);
    }
    // Pages are shown newest first, whichever way was searched.
    search.transactions.reverse();
    search.receipts.reverse();
    let ended = next.is_none();
    search.answer(ended, after == 0, next)
}

fn asked(arguments: &mut Arguments) -> Result<(Address, u64, usize), RpcError> {
    let (account, block) = (arguments.next()?, arguments.number()?);
    let size = usize::try_from(page_size(arguments)?).unwrap_or(usize::MAX);
    Ok((account, block, size))
}

impl<'a> Search<'a> {
    const fn new(backend: &'a Backend, account: Address) -> Self {
        Self {
            backend,
            account,
            gas_left: backend.limits.search_gas,
            blocks_left: backend.limits.search_blocks,
            transactions: Vec::new(),
            receipts: Vec::new(),
        }
    }

    const fn goes_on(&self, size: usize) -> bool {
        self.transactions.len() < size && self.gas_left > 0 && self.blocks_left > 0
    }

    /// Takes what a block has of the account; a block is never split between pages.
    fn block(&mut self, number: u64, newest_first: bool) -> Result<(), RpcError> {
        self.blocks_left = self.blocks_left.saturating_sub(1);
        let at = At::mined(self.backend.chain.reader()?, number);
        let block = at.block()?;
        if block.block.body.transactions.is_empty() {
            return Ok(());
        }
        let mut found: Vec<usize> = self.appearances(&at, &block)?.into_iter().collect();
        if newest_first {
            found.reverse();
        }
        if found.is_empty() {
            return Ok(());
        }
        let receipts = receipts_at(self.backend, &at)?;
        for index in found {
            if let (Some((tx, sender)), Some(receipt)) =
                (block.transaction(index), receipts.get(index))
            {
                let shown = shapes::transaction(tx, sender, Some((&block, index)))?;
                self.transactions.push(shown);
                let mut receipt = receipt.clone();
                if let Some(map) = receipt.as_object_mut() {
                    let timestamp = quantity(block.block.header.timestamp);
                    map.insert("timestamp".into(), timestamp);
                }
                self.receipts.push(receipt);
            }
        }
        Ok(())
    }

    fn appearances(&mut self, at: &At, block: &StoredBlock) -> Result<BTreeSet<usize>, RpcError> {
        let mut found = BTreeSet::new();
        for (index, receipt) in at.receipts()?.iter().enumerate() {
            let Some((tx, sender)) = block.transaction(index) else {
                continue;
            };
            let created = tx.to().is_none().then(|| sender.create(tx.nonce()));
            let emitted = || receipt.logs().iter().any(|log| log.address == self.account);
            if [Some(sender), tx.to(), created].contains(&Some(self.account)) || emitted() {
                found.insert(index);
            }
        }
        let count = block.block.body.transactions.len();
        let gas = block.block.header.gas_used;
        // Nothing ran inside plain transfers, and a block without others need not run again.
        let plain = gas == TRANSFER_GAS.saturating_mul(count as u64);
        if found.len() < count && !plain && at.number > 0 {
            self.gas_left = self.gas_left.saturating_sub(gas);
            found.extend(self.frames(at, block)?);
        }
        Ok(found)
    }

    /// Executes a block again and lists the transactions with a frame of the account.
    fn frames(&self, at: &At, block: &StoredBlock) -> Result<Vec<usize>, RpcError> {
        let mut replay = Replay::begin(self.backend, at, block, TracingInspector::default())?;
        let mut found = Vec::new();
        for index in 0..block.block.body.transactions.len() {
            let inspector = TracingInspector::new(TracingInspectorConfig::none());
            let account = self.account;
            let appears = replay.watch(index, inspector, |evm, _| {
                let nodes = evm.inspector_mut().traces().nodes();
                nodes.iter().any(|node| {
                    let trace = &node.trace;
                    [trace.caller, trace.address].contains(&account)
                        || trace.selfdestruct_refund_target == Some(account)
                })
            })?;
            if appears {
                found.push(index);
            }
        }
        Ok(found)
    }

    fn answer(self, first: bool, last: bool, next: Option<u64>) -> Result<Value, RpcError> {
        if let (true, Some(next)) = (self.transactions.is_empty(), next) {
            let message = format!("nothing found up to block {next}, where this search stops");
            return Err(RpcError::server(message));
        }
        Ok(json!({
            "txs": self.transactions,
            "receipts": self.receipts,
            "firstPage": first,
            "lastPage": last,
        }))
    }
}
