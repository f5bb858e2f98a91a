//! The chain service: tip, state and store behind one struct, below every driver.
//!
//! ```text
//! build(attributes, source) --> Executed --commit--> store, new head, listeners told
//! execute(block)            --> Executed      (a block made elsewhere: every rule checked)
//! ```
//!
//! The dev driver calls these when a transaction arrives or a timer fires, the consensus driver
//! when the engine asks: both run the same code. Nothing here knows async, peers or RPC.

mod admission;
mod build;
mod error;
mod export;
mod genesis;
pub mod models;
mod predeploys;
mod preexecution;
pub mod registry;
mod service;
pub mod snapshot;
#[cfg(test)]
mod tests;

pub use build::{Attributes, Preview, Refusal, TransactionSource};
pub use error::ChainError;
pub use genesis::ChainGenesis;
pub use models::{Held, ModelError, Models};
pub use predeploys::{EXAMPLE_CONTRACT, Founder, Founders};
pub use preexecution::{PreExecution, PreExecutionCounters};
pub use service::{Chain, Executed, Head};
