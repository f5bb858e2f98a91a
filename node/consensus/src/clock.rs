//! What time it is: by the machine's clock, or by one that the simulation moves.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

/// Tells the time that goes into blocks and is held against those of others.
pub(crate) trait Clock: Send + Sync + fmt::Debug {
    /// Reads the clock, in whole seconds since 1970.
    fn seconds(&self) -> u64;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MachineClock;

impl Clock for MachineClock {
    fn seconds(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |elapsed| elapsed.as_secs())
    }
}
