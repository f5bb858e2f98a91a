//! Waiting for a transaction's block, for the `…Sync` ways of sending (EIP-7966).

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use assay_chain::Chain;

/// Calls that may wait at a time: each holds a thread others need.
const MAX_WAITING: usize = 64;

/// Counts blocks, so that calls can wait for the next one.
#[derive(Debug, Default)]
pub(crate) struct Mined {
    state: Mutex<State>,
    grew: Condvar,
}

#[derive(Debug, Default)]
struct State {
    blocks: u64,
    waiting: usize,
}

impl Mined {
    /// Counts the blocks of a chain from now on.
    pub(crate) fn watch(chain: &Chain) -> Arc<Self> {
        let mined = Arc::new(Self::default());
        let counter = Arc::clone(&mined);
        chain.subscribe(move |_| {
            let mut state = counter.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.blocks = state.blocks.wrapping_add(1);
            counter.grew.notify_all();
        });
        mined
    }

    /// Asks `find` now and after each block until it finds something or time is up; asks only once
    /// when too many wait already.
    pub(crate) fn wait_for<T, E>(
        &self,
        timeout: Duration,
        find: impl Fn() -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        let begun = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let full = state.waiting >= MAX_WAITING;
        state.waiting += 1;
        let found = loop {
            let seen = state.blocks;
            // Not under the lock: a block that comes meanwhile must be counted.
            drop(state);
            let found = find();
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let left = timeout.saturating_sub(begun.elapsed());
            if full || left.is_zero() || !matches!(found, Ok(None)) {
                break found;
            }
            let wait = self
                .grew
                .wait_timeout_while(state, left, |state| state.blocks == seen);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        };
        state.waiting -= 1;
        found
    }
}
