//! Networks of validators, honest and not, in one process over real connections.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agreement;
mod faults;
mod nodes;
