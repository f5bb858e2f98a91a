//! What voting is doing, for those who watch: numbers without locks, and why it stopped.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

macro_rules! counters {
    ($($(#[$meta:meta])* $name:ident),* $(,)?) => {
        /// Counts of what voting did since the node started, and where it is.
        #[derive(Debug, Default)]
        pub struct Status {
            $($(#[$meta])* pub $name: AtomicU64,)*
            /// Whether this node votes at the height under way.
            pub validates: AtomicBool,
            stopped: OnceLock<String>,
            failed: OnceLock<String>,
        }

        impl Status {
            /// Lists the numbers with their names.
            pub fn counters(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.load(Ordering::Relaxed))),*]
            }
        }
    };
}

counters!(
    /// Height under way.
    height,
    /// Round under way.
    round,
    /// Blocks this node proposed.
    blocks_proposed,
    /// Blocks decided while this node ran.
    blocks_decided,
    /// Blocks fetched from peers because this node was behind.
    blocks_synced,
    /// Proposals found valid.
    proposals_valid,
    /// Proposals found invalid.
    proposals_invalid,
    /// Proposals this node computes differently.
    divergences,
    /// Rounds beyond the first, which a silent or refused proposer costs.
    rounds_lost,
    /// Validators seen signing two things.
    equivocations,
    /// Streams dropped because they break a rule.
    streams_refused,
    /// Decided heights whose certificate lacks this node's vote.
    votes_missed,
    /// Microseconds spent executing proposals.
    execution_us,
);

impl Status {
    /// Says why this node stopped voting; `None` while it votes.
    pub fn stopped(&self) -> Option<&str> {
        self.stopped.get().map(String::as_str)
    }

    pub(crate) fn stop(&self, why: String) {
        // The first reason is the one that counts.
        let _ = self.stopped.set(why);
        self.validates.store(false, Ordering::Relaxed);
    }

    /// Says which fault of this machine ended voting: the process must be started again.
    pub fn failed(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    pub(crate) fn fail(&self, why: String) {
        // What follows a first fault is its consequence.
        let _ = self.failed.set(why);
        self.validates.store(false, Ordering::Relaxed);
    }

    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Writes the engine's own numbers in Prometheus's text format.
#[must_use]
pub fn engine_metrics() -> String {
    let mut text = String::new();
    malachitebft_app::metrics::export(&mut text);
    text
}
