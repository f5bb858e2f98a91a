//! The driver: mines, and answers what the next block will look like.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use alloy_consensus::TypedTransaction;
use alloy_primitives::{Address, B256, Signature, U256};
use assay_chain::{Attributes, Chain, Executed, Refusal, TransactionSource};
use assay_pool::{Best, Pool};
use assay_types::{Genesis, Header, Transaction};

use crate::{Accounts, DevError, Settings, accounts::with_signature, snapshot::Snapshots};

/// Refusals kept until their senders ask, who are waiting for the block already.
const REFUSALS_KEPT: usize = 16_384;

/// Mines a developer's chain.
#[derive(Debug)]
pub struct Dev {
    chain: Arc<Chain>,
    pool: Arc<Pool>,
    accounts: Accounts,
    settings: Mutex<Settings>,
    pub(crate) snapshots: Mutex<Snapshots>,
    /// What the chain began with, when this process began it.
    pub(crate) genesis: Option<Genesis>,
    /// Held while a block is made: one at a time.
    mining: Mutex<()>,
    /// What blocks refused for good, until its sender asks; the newest last.
    refused: Mutex<VecDeque<(B256, Refusal)>>,
}

/// Feeds the builder from the pool and remembers what it refused.
#[derive(Debug)]
pub struct FromPool {
    best: Best,
    invalid: Vec<(B256, Refusal)>,
}

impl FromPool {
    /// Offers what waits in a pool to a block of this base fee.
    #[must_use]
    pub fn new(pool: &Pool, base_fee: Option<u64>) -> Self {
        Self {
            best: pool.best(base_fee.unwrap_or_default()),
            invalid: Vec::new(),
        }
    }

    /// Lists what was refused for good, which no later block will take either.
    pub fn refused_for_good(&self) -> impl Iterator<Item = B256> + '_ {
        self.invalid.iter().map(|(hash, _)| *hash)
    }
}

impl TransactionSource for FromPool {
    fn next(&mut self) -> Option<(Transaction, Address)> {
        self.best
            .next()
            .map(|waiting| (waiting.transaction.clone(), waiting.sender))
    }

    fn refused(&mut self, hash: B256, sender: Address, refusal: Refusal) {
        self.best.skip_sender(sender);
        if matches!(refusal, Refusal::Invalid(_)) {
            self.invalid.push((hash, refusal));
        }
    }
}

impl Dev {
    /// Makes the driver of a chain, mining as transactions arrive.
    #[must_use]
    pub fn new(chain: Arc<Chain>, pool: Arc<Pool>, accounts: Accounts) -> Self {
        let settings = Settings::new(chain.head().header.gas_limit);
        Self {
            chain,
            pool,
            accounts,
            snapshots: Mutex::default(),
            genesis: None,
            settings: Mutex::new(settings),
            mining: Mutex::new(()),
            refused: Mutex::default(),
        }
    }

    /// Tells what the chain began with, so that it can be reset.
    #[must_use]
    pub fn with_genesis(mut self, genesis: Genesis) -> Self {
        self.genesis = Some(genesis);
        self
    }

    /// Returns the chain.
    pub const fn chain(&self) -> &Arc<Chain> {
        &self.chain
    }

    /// Returns the pool.
    pub const fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Returns the developer accounts.
    pub const fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Returns the settings as they are now.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.lock_settings().clone()
    }

    /// Changes the settings.
    pub fn configure<T>(&self, change: impl FnOnce(&mut Settings) -> T) -> T {
        change(&mut self.lock_settings())
    }

    /// Lays out the header of the next block, as the pending tag shows it.
    #[must_use]
    pub fn pending_header(&self) -> Header {
        let attributes = self.attributes();
        self.chain.next_header(&self.chain.head(), &attributes)
    }

    /// Sets the time of the next block; the clock goes on from there.
    ///
    /// # Errors
    /// When it is not after the newest block's.
    pub fn set_next_timestamp(&self, timestamp: u64) -> Result<(), DevError> {
        let head = self.chain.head().header.timestamp;
        if timestamp <= head {
            return Err(DevError::Timestamp {
                got: timestamp,
                head,
            });
        }
        self.lock_settings().next_timestamp = Some(timestamp);
        Ok(())
    }

    /// Learns that a transaction waits in the pool: mines it now when mining is instant. Returns
    /// when its block exists, or when it cannot be included yet.
    ///
    /// # Errors
    /// When a rule the pool does not know of refuses it, or the chain service fails.
    pub fn submitted(&self, hash: B256) -> Result<(), DevError> {
        match self.submitted_together(&[hash])?.pop() {
            Some((_, refusal)) => Err(DevError::Refused(refusal)),
            None => Ok(()),
        }
    }

    /// Learns that transactions wait in the pool: when mining is instant, mines them now, all that
    /// have room in one block. Returns when the block of each exists or it cannot be included yet,
    /// with those that a rule the pool does not know of refused.
    ///
    /// # Errors
    /// When the chain service fails.
    pub fn submitted_together(&self, hashes: &[B256]) -> Result<Vec<(B256, Refusal)>, DevError> {
        while self.lock_settings().automine && self.pool.contains_any(hashes) {
            let _mining = self.lock_mining();
            // Another thread may have mined them while this one waited.
            if !self.pool.contains_any(hashes) {
                break;
            }
            let mined = self.mine_locked()?;
            if mined.block.block().body.transactions.is_empty() || !self.could_follow(hashes) {
                break;
            }
        }
        if self.attestation_waits() {
            let _mining = self.lock_mining();
            self.mine_attestations()?;
        }
        Ok(self.take_refusals(hashes))
    }

    /// Mines one block.
    ///
    /// # Errors
    /// When the chain service fails.
    pub fn mine(&self) -> Result<Executed, DevError> {
        let _mining = self.lock_mining();
        self.mine_locked()
    }

    /// Mines blocks so many seconds apart.
    ///
    /// # Errors
    /// When the chain service fails.
    pub fn mine_many(&self, blocks: u64, interval_s: Option<u64>) -> Result<(), DevError> {
        let _mining = self.lock_mining();
        for index in 0..blocks {
            if let Some(interval) = interval_s.filter(|_| index > 0) {
                let next = self.chain.head().header.timestamp.saturating_add(interval);
                self.lock_settings().next_timestamp = Some(next);
            }
            self.mine_locked()?;
        }
        Ok(())
    }

    /// Signs a transaction of a developer account; one of an impersonated account gets a signature
    /// that names it, which nobody checks here.
    ///
    /// # Errors
    /// When the sender is neither.
    pub fn sign(
        &self,
        sender: Address,
        transaction: TypedTransaction,
    ) -> Result<Transaction, DevError> {
        match self.accounts.sign(sender, transaction.clone()) {
            Err(DevError::NoSigner(_)) if self.lock_settings().impersonates(sender) => {
                let r = U256::from_be_slice(sender.as_slice());
                let signature = Signature::new(r, U256::from(1), false);
                Ok(with_signature(transaction, signature))
            }
            outcome => outcome,
        }
    }

    pub(crate) fn lock_mining(&self) -> MutexGuard<'_, ()> {
        self.mining.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lock_settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Mines a block; what it refuses for good leaves the pool.
    pub(crate) fn mine_locked(&self) -> Result<Executed, DevError> {
        let attributes = self.attributes();
        let header = self.chain.next_header(&self.chain.head(), &attributes);
        let mut source = FromPool::new(&self.pool, header.base_fee_per_gas);
        let executed = self.chain.build(&attributes, &mut source)?;
        self.chain.commit(&executed)?;
        self.pool.settle(executed.block.transactions());
        self.drop_refused(source.invalid);
        self.move_clock(&executed);
        self.attest_registered(&executed)?;
        Ok(executed)
    }

    /// Takes what a block refused for good out of the pool, and keeps the reasons for the senders.
    fn drop_refused(&self, invalid: Vec<(B256, Refusal)>) {
        let mut refused = self.lock_refused();
        for (hash, refusal) in invalid {
            if refused.len() >= REFUSALS_KEPT {
                refused.pop_front();
            }
            refused.push_back((hash, refusal));
            // After its reason is there: who no longer finds it in the pool looks for that.
            self.pool.remove(hash);
        }
    }

    /// Takes out the refusals of some transactions.
    fn take_refusals(&self, hashes: &[B256]) -> Vec<(B256, Refusal)> {
        let mut refused = self.lock_refused();
        if refused.is_empty() {
            return Vec::new();
        }
        let ours: BTreeSet<&B256> = hashes.iter().collect();
        let (asked, others) = std::mem::take(&mut *refused)
            .into_iter()
            .partition(|(hash, _)| ours.contains(hash));
        *refused = others;
        Vec::from(asked)
    }

    fn lock_refused(&self) -> MutexGuard<'_, VecDeque<(B256, Refusal)>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what was set for one block alone, and lets the clock go on from its time.
    fn move_clock(&self, executed: &Executed) {
        let mut settings = self.lock_settings();
        if settings.next_timestamp.take().is_some() {
            let (set, now) = (executed.block.header().timestamp, machine_time());
            let ahead = i128::from(set) - i128::from(now);
            settings.time_offset_s = i64::try_from(ahead).unwrap_or(i64::MAX);
        }
        settings.next_base_fee = None;
        settings.next_prevrandao = None;
    }

    /// Decides about the next block as it would be mined now.
    #[must_use]
    pub fn attributes(&self) -> Attributes {
        let settings = self.lock_settings();
        let head = self.chain.head();
        Attributes {
            timestamp: settings.timestamp(head.header.timestamp, machine_time()),
            beneficiary: settings.coinbase,
            gas_limit: settings.gas_limit,
            base_fee: settings.next_base_fee,
            mix_hash: settings.next_prevrandao.unwrap_or_default(),
            extra_data: Default::default(),
            beacon_root: B256::ZERO,
            withdrawals: Default::default(),
        }
    }

    /// Tells whether one of some transactions still waits and could be mined next.
    fn could_follow(&self, hashes: &[B256]) -> bool {
        if !self.pool.contains_any(hashes) {
            return false;
        }
        let ours: BTreeSet<&B256> = hashes.iter().collect();
        let base_fee = self.pending_header().base_fee_per_gas.unwrap_or_default();
        self.pool
            .best(base_fee)
            .any(|waiting| ours.contains(waiting.transaction.tx_hash()))
    }
}

/// Reads the machine's clock, in whole seconds since 1970.
pub(crate) fn machine_time() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}
