//! Runs Ethereum's public test suites through our own executor, state and chain service.
//!
//! ```text
//! folder --find--> *.json --parse--> cases --state_test / blockchain_test--> Report
//! ```
//!
//! Every state root compared is computed by our store, every header is checked by our rules. The
//! data is not part of the repository: its folder is an argument.

pub mod blockchain;
pub mod fork;
pub mod report;
pub mod rpc;
pub mod state;

pub use report::{Report, run_folder};
