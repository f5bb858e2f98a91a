//! Pre-execution: a transaction that waits is run once before its block, on a thread of its own, so
//! that the answers of its inferences are in the result cache when the block asks for them.
//!
//! ```text
//! offer(transaction) -> queue -> worker: could it be included now? -> simulate -> cache is warm
//! a block that includes it -> its budget back, its records are hits
//! ```
//!
//! Nothing is decided here: a cold cache costs time, never a different block. Work that no block
//! includes is paid for by nobody, so it is bounded by gas, for each sender and in all, and comes
//! back slowly. While a block is executed the worker waits, and what it runs stops at its next call.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, U256};
use assay_executor::{SimulationRules, message};
use assay_types::{StateView as _, Transaction};
use revm::{
    Inspector,
    interpreter::{CallInputs, CallOutcome, InterpreterTypes},
};

use crate::{Attributes, Chain, ChainError, Executed};

/// Transactions waiting to be run.
const MAX_QUEUE: usize = 4_096;
/// Transactions run and not included yet that are remembered.
const MAX_REMEMBERED: usize = 16_384;
/// Gas one sender's transactions may use before any is included.
const SENDER_GAS: u64 = 60_000_000;
/// Gas all transactions may use before any is included.
const TOTAL_GAS: u64 = 600_000_000;
/// Gas that comes back with each block, though nothing was included.
const GAS_BACK_PER_BLOCK: u64 = 6_000_000;
/// How long the worker waits before it looks again whether the block is done.
const YIELD: Duration = Duration::from_micros(200);

/// What pre-execution did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PreExecutionCounters {
    /// Transactions run before their block.
    pub executed: u64,
    /// Transactions that could not be included when their turn came.
    pub skipped: u64,
    /// Transactions left out because of a budget or a full queue.
    pub refused: u64,
    /// Inferences of blocks whose transaction had been run before.
    pub hits: u64,
    /// Other inferences of blocks.
    pub misses: u64,
    /// Time the worker spent on transactions that blocks then included.
    pub saved_us: u64,
}

/// Runs waiting transactions before their block.
#[derive(Debug)]
pub struct PreExecution {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<(Transaction, Address)>,
    running: bool,
    closed: bool,
    /// Gas used for a sender's transactions that no block included.
    spent: BTreeMap<Address, u64>,
    total_spent: u64,
    done: BTreeMap<B256, Done>,
    counters: PreExecutionCounters,
}

/// A transaction that was run.
#[derive(Debug, Clone, Copy)]
struct Done {
    sender: Address,
    gas: u64,
    took_us: u64,
}

impl PreExecution {
    /// Starts the worker of a chain; it ends with this value or with the chain.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(chain: &Arc<Chain>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (worker, listener) = (Arc::clone(&shared), Arc::clone(&shared));
        chain.subscribe(move |executed| listener.lock().included(executed));
        let chain = Arc::downgrade(chain);
        thread::Builder::new()
            .name("pre-execution".into())
            .spawn(move || work(&worker, &chain))?;
        Ok(Self { shared })
    }

    /// Offers a transaction that was taken into the pool.
    pub fn offer(&self, transaction: Transaction, sender: Address) {
        let mut inner = self.shared.lock();
        let spent = inner.spent.get(&sender).copied().unwrap_or_default();
        let room = inner.queue.len() < MAX_QUEUE;
        if !room || spent >= SENDER_GAS || inner.total_spent >= TOTAL_GAS {
            inner.counters.refused += 1;
            return;
        }
        inner.queue.push_back((transaction, sender));
        self.shared.changed.notify_all();
    }

    /// Counts what was done so far.
    #[must_use]
    pub fn counters(&self) -> PreExecutionCounters {
        self.shared.lock().counters
    }

    /// Waits until everything offered was run or skipped.
    pub fn wait_until_idle(&self) {
        let mut inner = self.shared.lock();
        while inner.running || !inner.queue.is_empty() {
            let waited = self.shared.changed.wait(inner);
            inner = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for PreExecution {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next transaction, waiting for one; `None` when there will be none.
    fn next(&self) -> Option<(Transaction, Address)> {
        let mut inner = self.lock();
        inner.running = false;
        self.changed.notify_all();
        loop {
            if inner.closed {
                return None;
            }
            if let Some(next) = inner.queue.pop_front() {
                inner.running = true;
                return Some(next);
            }
            let waited = self.changed.wait(inner);
            inner = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Inner {
    fn ran(&mut self, hash: B256, done: Done) {
        self.counters.executed += 1;
        let spent = self.spent.entry(done.sender).or_default();
        *spent = spent.saturating_add(done.gas);
        self.total_spent = self.total_spent.saturating_add(done.gas);
        if self.done.len() < MAX_REMEMBERED {
            self.done.insert(hash, done);
        }
    }

    /// Learns of a block: what it includes was no waste, and time heals the rest.
    fn included(&mut self, executed: &Executed) {
        let records = &executed.outcome.records;
        for ((transaction, _), index) in executed.block.transactions().zip(0_u32..) {
            let count = records
                .iter()
                .filter(|record| record.transaction_index == index)
                .count();
            let Some(done) = self.done.remove(transaction.tx_hash()) else {
                self.counters.misses += count as u64;
                continue;
            };
            self.give_back(done.sender, done.gas);
            self.counters.hits += count as u64;
            if count > 0 {
                self.counters.saved_us = self.counters.saved_us.saturating_add(done.took_us);
            }
        }
        let senders: Vec<Address> = self.spent.keys().copied().collect();
        senders
            .into_iter()
            .for_each(|sender| self.give_back(sender, GAS_BACK_PER_BLOCK));
        if self.spent.is_empty() {
            self.done.clear();
        }
    }

    fn give_back(&mut self, sender: Address, gas: u64) {
        let Some(spent) = self.spent.get_mut(&sender) else {
            return;
        };
        let back = gas.min(*spent);
        *spent -= back;
        self.total_spent = self.total_spent.saturating_sub(back);
        if *spent == 0 {
            self.spent.remove(&sender);
        }
    }
}

fn work(shared: &Shared, chain: &Weak<Chain>) {
    while let Some((transaction, sender)) = shared.next() {
        let Some(chain) = chain.upgrade() else {
            break;
        };
        while chain.is_executing() {
            thread::sleep(YIELD);
        }
        let ran = run(&chain, &transaction, sender);
        let mut inner = shared.lock();
        match ran {
            Ok(Some(done)) => inner.ran(*transaction.tx_hash(), done),
            // A fault of this machine will show where it matters: in the block.
            Ok(None) | Err(_) => inner.counters.skipped += 1,
        }
    }
    let mut inner = shared.lock();
    inner.running = false;
    inner.queue.clear();
    shared.changed.notify_all();
}

/// Simulates a transaction if the next block could include it.
fn run(
    chain: &Chain,
    transaction: &Transaction,
    sender: Address,
) -> Result<Option<Done>, ChainError> {
    let head = chain.head();
    let header = chain.next_header(&head, &Attributes::following(&head));
    let state = chain.parent_state(&head)?;
    let account = state.account(sender)?.unwrap_or_default();
    let fee = transaction.max_fee_per_gas();
    let cost = U256::from(fee)
        .saturating_mul(U256::from(transaction.gas_limit()))
        .saturating_add(transaction.value());
    let could = transaction.nonce() == account.nonce
        && fee >= u128::from(header.base_fee_per_gas.unwrap_or_default())
        && account.balance >= cost;
    if !could {
        return Ok(None);
    }
    let (executor, started) = (chain.executor(), Instant::now());
    let rules = SimulationRules::BLOCK;
    let mut simulation = executor.simulation(state, &header, rules, GiveWay(chain));
    let ran = simulation.run(message(transaction, sender));
    Ok(ran.ok().map(|ran| Done {
        sender,
        gas: ran.result.tx_gas_used(),
        took_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
    }))
}

/// Ends a simulation at its next call when a block is to be executed.
struct GiveWay<'a>(&'a Chain);

impl<CTX, INTR: InterpreterTypes> Inspector<CTX, INTR> for GiveWay<'_> {
    fn call(&mut self, _: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        let memory = inputs.return_memory_offset.clone();
        self.0
            .is_executing()
            .then(|| CallOutcome::new_oog(inputs.gas_limit, memory, inputs.reservoir))
    }
}

#[cfg(test)]
mod tests {
    use alloy_consensus::{SignableTransaction as _, TxLegacy};
    use alloy_primitives::Signature;

    use super::*;

    fn transaction() -> Transaction {
        let fields = TxLegacy::default();
        Transaction::Legacy(fields.into_signed(Signature::test_signature()))
    }

    fn idle() -> PreExecution {
        PreExecution {
            shared: Arc::default(),
        }
    }

    #[test]
    fn sender_whose_work_no_block_includes_is_refused_until_it_is_given_back() {
        let (idle, sender) = (idle(), Address::repeat_byte(1));
        let done = Done {
            sender,
            gas: SENDER_GAS,
            took_us: 1,
        };
        idle.shared.lock().ran(B256::ZERO, done);
        idle.offer(transaction(), sender);
        assert_eq!(idle.counters().refused, 1);
        idle.offer(transaction(), Address::repeat_byte(2));
        assert_eq!(idle.counters().refused, 1);
        idle.shared.lock().give_back(sender, GAS_BACK_PER_BLOCK);
        idle.offer(transaction(), sender);
        assert_eq!(idle.counters().refused, 1);
        assert_eq!(
            idle.shared.lock().total_spent,
            SENDER_GAS - GAS_BACK_PER_BLOCK
        );
    }

    #[test]
    fn all_senders_together_have_a_budget_and_the_queue_an_end() {
        let full = idle();
        for index in 0..=(TOTAL_GAS / SENDER_GAS) {
            let sender = Address::from_word(U256::from(index).into());
            let done = Done {
                sender,
                gas: SENDER_GAS,
                took_us: 1,
            };
            full.shared
                .lock()
                .ran(B256::with_last_byte(index as u8), done);
        }
        full.offer(transaction(), Address::repeat_byte(2));
        assert_eq!(full.counters().refused, 1);
        let idle = idle();
        for _ in 0..=MAX_QUEUE {
            idle.offer(transaction(), Address::repeat_byte(3));
        }
        assert_eq!(idle.counters().refused, 1);
    }
}
