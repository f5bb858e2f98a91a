//! What a developer may bend: mining, time, fees, who may send.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256};

/// How the next blocks come about.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Mine as soon as a transaction arrives.
    pub automine: bool,
    /// Mine every so many seconds.
    pub interval_s: Option<u64>,
    /// Account that earns the fees.
    pub coinbase: Address,
    /// Gas limit of the next blocks.
    pub gas_limit: u64,
    /// Base fee of the next block alone.
    pub next_base_fee: Option<u64>,
    /// PREVRANDAO of the next block alone.
    pub next_prevrandao: Option<B256>,
    /// Seconds this chain's clock is ahead of the machine's.
    pub time_offset_s: i64,
    /// Time of the next block alone; the clock goes on from there.
    pub next_timestamp: Option<u64>,
    /// Seconds from each block to the next, whatever the clock says.
    pub timestamp_interval_s: Option<u64>,
    /// Accounts that may send without a key.
    pub impersonated: BTreeSet<Address>,
    /// Whether every account may send without a key.
    pub auto_impersonate: bool,
}

impl Settings {
    pub(crate) const fn new(gas_limit: u64) -> Self {
        Self {
            automine: true,
            interval_s: None,
            coinbase: Address::ZERO,
            gas_limit,
            next_base_fee: None,
            next_prevrandao: None,
            time_offset_s: 0,
            next_timestamp: None,
            timestamp_interval_s: None,
            impersonated: BTreeSet::new(),
            auto_impersonate: false,
        }
    }

    /// Tells whether an account may send without a key.
    #[must_use]
    pub fn impersonates(&self, address: Address) -> bool {
        self.auto_impersonate || self.impersonated.contains(&address)
    }

    /// Computes the time of a block that follows `head` at machine time `now`.
    pub(crate) fn timestamp(&self, head: u64, now: u64) -> u64 {
        if let Some(next) = self.next_timestamp {
            return next;
        }
        if let Some(interval) = self.timestamp_interval_s {
            return head.saturating_add(interval);
        }
        now.saturating_add_signed(self.time_offset_s)
            .max(head.saturating_add(1))
    }
}
