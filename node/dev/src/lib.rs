//! The dev driver: a chain for one developer, without an engine and without peers.
//!
//! ```text
//! rpc --submitted(hash)--> Dev --build, commit--> Chain
//! evm_mine, a timer -------^        \--settle--> Pool
//! ```
//!
//! It mines when a transaction arrives, on a timer, or when told; it bends time, fees and accounts
//! as test suites ask. It calls the same chain service a validator does, and it is synchronous: a
//! call returns when its block exists.

mod accounts;
mod attest;
mod driver;
mod edit;
mod error;
mod genesis;
mod models;
mod publish;
mod settings;
mod snapshot;
#[cfg(test)]
mod tests;

pub use accounts::{Accounts, DEFAULT_MNEMONIC, with_signature};
pub use assay_chain::EXAMPLE_CONTRACT;
pub use driver::{Dev, FromPool};
pub use error::DevError;
pub use genesis::{DEFAULT_CHAIN_ID, DevGenesis, Validator, dev_params};
pub use models::{add_file, example, pin_examples};
pub use settings::Settings;
