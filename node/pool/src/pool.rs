//! The pool itself.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use alloy_consensus::Transaction as _;
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256};
use assay_types::Transaction;

use crate::{Admission, Best, PoolError};

/// Arrivals remembered for whoever asks what is new.
const REMEMBERED_ARRIVALS: usize = 65_536;
/// A replacement must pay this many percent more, in fee and in tip.
const REPLACEMENT_PERCENT: u128 = 10;

/// Bytes of a transaction: a manifest of 256 KiB, the largest there is, fits in its registration.
pub const TRANSACTION_BYTES_MAX: usize = 288 << 10;

/// How much may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most transactions.
    pub transactions: usize,
    /// Most bytes of all transactions.
    pub size_bytes: usize,
    /// Most transactions of one sender.
    pub per_sender: usize,
    /// Most bytes of one transaction.
    pub transaction_size_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            transactions: 100_000,
            size_bytes: 256 << 20,
            per_sender: 100_000,
            transaction_size_bytes: TRANSACTION_BYTES_MAX,
        }
    }
}

/// A transaction that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The transaction.
    pub transaction: Transaction,
    /// Its sender.
    pub sender: Address,
    /// Its place in the order of arrival.
    pub arrival: u64,
    size_bytes: usize,
}

impl Waiting {
    /// Computes the tip per gas at a base fee; `None` when the fee offered is below it.
    #[must_use]
    pub fn tip(&self, base_fee: u64) -> Option<u128> {
        self.transaction.effective_tip_per_gas(base_fee)
    }
}

/// What waits, by sender and nonce.
pub type Content = BTreeMap<Address, BTreeMap<u64, Arc<Waiting>>>;

/// Transactions that wait for a block.
#[derive(Debug, Default)]
pub struct Pool {
    limits: Limits,
    inner: Mutex<Inner>,
    revision: AtomicU64,
}

/// A sender's nonce in the newest state, and what waits of it.
#[derive(Debug, Clone, Default)]
struct Sender {
    next: u64,
    waiting: BTreeMap<u64, Arc<Waiting>>,
}

#[derive(Debug, Clone, Default)]
struct Inner {
    senders: BTreeMap<Address, Sender>,
    by_hash: HashMap<B256, Arc<Waiting>>,
    size_bytes: usize,
    arrivals: u64,
    /// Hashes of the last arrivals, the newest last.
    recent: VecDeque<B256>,
}

impl Pool {
    /// Makes an empty pool.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            inner: Mutex::default(),
            revision: AtomicU64::new(0),
        }
    }

    /// Takes a transaction in, judged by what is already known of the chain.
    ///
    /// # Errors
    /// When it breaks a rule, or there is no room for what it pays.
    pub fn admit(
        &self,
        transaction: Transaction,
        sender: Address,
        admission: &Admission,
    ) -> Result<B256, PoolError> {
        self.admit_judged(transaction, sender, |_| Ok(*admission))
    }

    /// Takes a transaction in, judged by what the chain is at that moment: `judge` reads it while
    /// no block can be settled, so that a sender's nonce is never older than what was dropped for
    /// it. It must not ask the pool anything.
    ///
    /// # Errors
    /// When it breaks a rule, there is no room for what it pays, or `judge` fails.
    pub fn admit_judged<E: From<PoolError>>(
        &self,
        transaction: Transaction,
        sender: Address,
        judge: impl FnOnce(&Transaction) -> Result<Admission, E>,
    ) -> Result<B256, E> {
        let hash = *transaction.tx_hash();
        let (size, limit) = (
            transaction.encode_2718_len(),
            self.limits.transaction_size_bytes,
        );
        if size > limit {
            return Err(PoolError::Oversized { size, limit }.into());
        }
        let mut inner = self.lock_changed();
        if inner.by_hash.contains_key(&hash) {
            return Err(PoolError::AlreadyKnown.into());
        }
        let admission = judge(&transaction)?;
        admission.check(&transaction)?;
        inner.check_place(&transaction, sender, self.limits.per_sender)?;
        inner.make_room(&transaction, size, &self.limits)?;
        let arrival = inner.arrive(hash);
        let entry = inner.senders.entry(sender).or_default();
        entry.next = entry.next.max(admission.account.nonce);
        inner.insert(Waiting {
            transaction,
            sender,
            arrival,
            size_bytes: size,
        });
        Ok(hash)
    }

    /// Offers what could go into a block of this base fee, best first.
    #[must_use]
    pub fn best(&self, base_fee: u64) -> Best {
        let inner = self.lock();
        let chains = inner
            .senders
            .values()
            .map(|sender| sender.ready().cloned().collect::<Vec<_>>())
            .filter(|chain| !chain.is_empty());
        Best::new(chains, base_fee)
    }

    /// Drops what a block included, and what its senders' new nonces make impossible.
    pub fn settle<'a>(&self, included: impl Iterator<Item = (&'a Transaction, Address)>) {
        let mut inner = self.lock_changed();
        for (transaction, sender) in included {
            inner.set_next(sender, transaction.nonce().saturating_add(1));
        }
    }

    /// Learns that a sender's nonce changed by other means than a block.
    pub fn set_nonce(&self, sender: Address, next: u64) {
        let mut inner = self.lock_changed();
        if let Some(entry) = inner.senders.get_mut(&sender) {
            entry.next = next;
        }
        inner.set_next(sender, next);
    }

    /// Drops a transaction.
    pub fn remove(&self, hash: B256) -> Option<Arc<Waiting>> {
        self.lock_changed().remove(hash)
    }

    /// Drops all of a sender's transactions.
    pub fn remove_sender(&self, sender: Address) {
        let mut inner = self.lock_changed();
        let hashes: Vec<B256> = inner
            .senders
            .get(&sender)
            .into_iter()
            .flat_map(|entry| entry.waiting.values())
            .map(|waiting| *waiting.transaction.tx_hash())
            .collect();
        hashes.into_iter().for_each(|hash| {
            inner.remove(hash);
        });
    }

    /// Drops everything.
    pub fn clear(&self) {
        let mut inner = self.lock_changed();
        let (arrivals, recent) = (inner.arrivals, std::mem::take(&mut inner.recent));
        *inner = Inner {
            arrivals,
            recent,
            ..Inner::default()
        };
    }

    /// Finds a waiting transaction.
    #[must_use]
    pub fn get(&self, hash: B256) -> Option<Arc<Waiting>> {
        self.lock().by_hash.get(&hash).cloned()
    }

    /// Tells whether one of some transactions waits.
    #[must_use]
    pub fn contains_any(&self, hashes: &[B256]) -> bool {
        let inner = self.lock();
        hashes.iter().any(|hash| inner.by_hash.contains_key(hash))
    }

    /// Returns the nonce after the last of a sender's transactions that could all be included now.
    #[must_use]
    pub fn next_nonce(&self, sender: Address) -> Option<u64> {
        let inner = self.lock();
        let last = inner.senders.get(&sender)?.ready().last()?;
        last.transaction.nonce().checked_add(1)
    }

    /// Lists what could be included now, and what waits for an earlier nonce.
    #[must_use]
    pub fn content(&self) -> (Content, Content) {
        let inner = self.lock();
        let (mut pending, mut queued) = (Content::new(), Content::new());
        for (address, sender) in &inner.senders {
            let ready = sender.ready().count();
            for (index, (nonce, waiting)) in sender.waiting.iter().enumerate() {
                let content = if index < ready {
                    &mut pending
                } else {
                    &mut queued
                };
                content
                    .entry(*address)
                    .or_default()
                    .insert(*nonce, Arc::clone(waiting));
            }
        }
        (pending, queued)
    }

    /// Returns the number of transactions waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().by_hash.len()
    }

    /// Tells whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of senders the pool knows.
    #[cfg(test)]
    pub(crate) fn senders(&self) -> usize {
        self.lock().senders.len()
    }

    /// Counts the transactions that ever arrived.
    #[must_use]
    pub fn arrivals(&self) -> u64 {
        self.lock().arrivals
    }

    /// Lists the hashes of what arrived since so many had, as far back as is remembered.
    #[must_use]
    pub fn arrived_since(&self, arrivals: u64) -> Vec<B256> {
        let inner = self.lock();
        let new = usize::try_from(inner.arrivals.saturating_sub(arrivals)).unwrap_or(usize::MAX);
        let old = inner.recent.len().saturating_sub(new);
        inner.recent.iter().skip(old).copied().collect()
    }

    /// Counts the changes of what waits: while the number stays, so does the content.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    fn lock_changed(&self) -> MutexGuard<'_, Inner> {
        let inner = self.lock();
        // Counted under the lock: whoever sees the new number sees the new content too.
        self.revision.fetch_add(1, Ordering::AcqRel);
        inner
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sender {
    /// Walks the transactions without a gap from the sender's next nonce.
    fn ready(&self) -> impl Iterator<Item = &Arc<Waiting>> {
        let mut next = Some(self.next);
        self.waiting
            .range(self.next..)
            .map_while(move |(nonce, waiting)| {
                let follows = next == Some(*nonce);
                next = nonce.checked_add(1);
                follows.then_some(waiting)
            })
    }
}

impl Inner {
    /// Checks a newcomer against the sender's others: a replacement must pay clearly more.
    fn check_place(
        &self,
        transaction: &Transaction,
        sender: Address,
        limit: usize,
    ) -> Result<(), PoolError> {
        let Some(entry) = self.senders.get(&sender) else {
            return Ok(());
        };
        match entry.waiting.get(&transaction.nonce()) {
            Some(old) if !pays_more(transaction, &old.transaction) => {
                Err(PoolError::ReplacementUnderpriced)
            }
            None if entry.waiting.len() >= limit => Err(PoolError::SenderFull { limit }),
            _ => Ok(()),
        }
    }

    /// Drops the worst-paying transactions until a newcomer fits, if it pays more than they do.
    fn make_room(
        &mut self,
        newcomer: &Transaction,
        size: usize,
        limits: &Limits,
    ) -> Result<(), PoolError> {
        while self.by_hash.len() >= limits.transactions
            || self.size_bytes.saturating_add(size) > limits.size_bytes
        {
            // A sender's last transaction goes first: no other depends on it.
            let worst = self
                .senders
                .values()
                .filter_map(|sender| sender.waiting.values().next_back())
                .min_by_key(|w| (w.transaction.max_fee_per_gas(), u64::MAX - w.arrival));
            let Some(worst) = worst else {
                return Err(PoolError::Full);
            };
            if worst.transaction.max_fee_per_gas() >= newcomer.max_fee_per_gas() {
                return Err(PoolError::Full);
            }
            let hash = *worst.transaction.tx_hash();
            self.remove(hash);
        }
        Ok(())
    }

    /// Counts an arrival and returns its number.
    fn arrive(&mut self, hash: B256) -> u64 {
        let arrival = self.arrivals;
        self.arrivals = arrival.saturating_add(1);
        if self.recent.len() >= REMEMBERED_ARRIVALS {
            self.recent.pop_front();
        }
        self.recent.push_back(hash);
        arrival
    }

    fn insert(&mut self, waiting: Waiting) {
        let (sender, nonce) = (waiting.sender, waiting.transaction.nonce());
        let waiting = Arc::new(waiting);
        self.size_bytes += waiting.size_bytes;
        self.by_hash
            .insert(*waiting.transaction.tx_hash(), Arc::clone(&waiting));
        let replaced = self
            .senders
            .entry(sender)
            .or_default()
            .waiting
            .insert(nonce, waiting);
        if let Some(old) = replaced {
            self.forget(&old);
        }
    }

    fn remove(&mut self, hash: B256) -> Option<Arc<Waiting>> {
        let waiting = self.by_hash.get(&hash).cloned()?;
        self.forget(&waiting);
        if let Some(sender) = self.senders.get_mut(&waiting.sender) {
            sender.waiting.remove(&waiting.transaction.nonce());
        }
        self.drop_if_idle(waiting.sender);
        Some(waiting)
    }

    fn drop_if_idle(&mut self, sender: Address) {
        if self
            .senders
            .get(&sender)
            .is_some_and(|entry| entry.waiting.is_empty())
        {
            self.senders.remove(&sender);
        }
    }

    fn forget(&mut self, waiting: &Waiting) {
        self.by_hash.remove(waiting.transaction.tx_hash());
        self.size_bytes = self.size_bytes.saturating_sub(waiting.size_bytes);
    }

    /// Moves a sender to a nonce and drops what that makes impossible.
    fn set_next(&mut self, address: Address, next: u64) {
        let Some(sender) = self.senders.get_mut(&address) else {
            return;
        };
        sender.next = sender.next.max(next);
        let rest = sender.waiting.split_off(&sender.next);
        let gone = std::mem::replace(&mut sender.waiting, rest);
        gone.values().for_each(|waiting| self.forget(waiting));
        self.drop_if_idle(address);
    }
}

fn pays_more(new: &Transaction, old: &Transaction) -> bool {
    let raised = |fee: u128| fee.saturating_add(fee.saturating_mul(REPLACEMENT_PERCENT) / 100);
    let tip = |tx: &Transaction| {
        tx.max_priority_fee_per_gas()
            .unwrap_or(tx.max_fee_per_gas())
    };
    new.max_fee_per_gas() >= raised(old.max_fee_per_gas()).max(old.max_fee_per_gas() + 1)
        && tip(new) >= raised(tip(old))
}
