//! Executes blocks: (parent state, block) in, outcome out. No I/O, no clock, no async.
//!
//! ```text
//! Executor::begin(view, header) --> Execution --transact--> Execution --finish--> Outcome
//!                                   (system calls first)      (rewards, withdrawals, requests)
//! Executor::execute(view, block)  = begin, transact each transaction, finish
//! Executor::simulate(view, ...)   = one message on a state that is thrown away
//! ```
//!
//! A proposer builds a block with the very calls a validator checks it with, and a node replays
//! with. The rules of each fork come from revm and alloy-evm; this crate chooses them by genesis,
//! composes the precompiles, collects inference records and checks headers.
//!
//! Faults are kept apart: [`ExecuteError::Invalid`] is the block's, [`ExecuteError::Local`] is this
//! machine's and must never turn into a verdict about the block.

mod changes;
mod env;
mod error;
mod execution;
mod outcome;
mod precompiles;
mod receipt;
mod relocate;
mod reward;
mod seal;
mod simulate;
#[cfg(test)]
mod tests;
mod validate;
mod view;

pub use alloy_evm::Evm;
pub use env::Executor;
pub use error::{ExecuteError, InvalidBlock, TransactError};
pub use execution::{BlockDb, ChainEvm, EvmContext, Execution};
pub use outcome::Outcome;
pub use precompiles::ChainPrecompiles;
pub use relocate::Relocated;
pub use reward::{Rewards, rewards};
pub use simulate::{Simulation, SimulationRules, message};
pub use validate::{
    next_base_fee, next_excess_blob_gas, validate_body, validate_header, validate_outcome,
};
pub use view::ViewDb;
