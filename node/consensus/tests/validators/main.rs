//! Networks of validators, honest and not, in one process over real connections.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agreement;
mod faults;
mod liars;
mod nodes;

use assay_consensus::{Recompute, Sign, SignError, ValidatorKey};
