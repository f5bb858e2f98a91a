//! The EVM surface of inference.
//!
//! ```text
//! CALL -> provider (revm: who may call, registry state, gas) -> reader (strict ABI)
//!      -> call (charge first, then run) -> host (loaded models, result cache) -> assay-runtime
//! ```
//!
//! Gas and answers are functions of calldata and chain state alone. The two caches save time, never
//! gas. A fault of this machine (a model's bytes are not here) is an `Err` that aborts the block; it
//! is never a revert.

pub mod abi;
pub mod cache;
pub mod gas;
pub mod host;
pub mod provider;
pub mod reader;
pub mod recompute;
pub mod registry;
pub mod trace;

mod answer;
mod call;
mod describe;
mod digests;
mod reverts;

pub use host::{Answers, Host, HostFault, ModelSource};
pub use provider::{Addresses, CallRecord, Inference};
