//! The vocabulary of the chain: blocks, state changes, genesis, forks, inference records.
//!
//! Everything here is data and pure functions over it. Blocks, headers, transactions and receipts
//! are Ethereum's, byte for byte, so that every library computes our hashes; what Assay adds rides
//! in the header's `requestsHash` (see [`record`]).
//!
//! ```text
//! genesis.json --parse--> Genesis --> ChainSpec (forks, limits) + first Block + first state
//! rpc, pool, network --> Transaction --> executor --> StateChanges, receipts, InferenceRecord
//!                                                        |
//!                                        state: applied, rooted, stored
//! ```

pub mod account;
pub mod block;
pub mod certificate;
pub mod contracts;
pub mod digest;
pub mod evidence;
pub mod genesis;
pub mod overlay;
pub mod receipt;
pub mod record;
pub mod spec;
pub mod validators;

pub use account::{Account, AccountChange, StateChanges, StateView};
pub use alloy_genesis::{ChainConfig, GenesisAccount};
pub use block::{Block, Header, Receipt, RecoveredBlock, SenderError, Transaction};
pub use certificate::{Certificate, CertificateError};
pub use digest::{Domain, Validator};
pub use evidence::Evidence;
pub use genesis::{Genesis, GenesisError, allocate};
pub use overlay::Overlay;
pub use receipt::{Decision, InferenceReceipt, ReceiptError, SetUpdate};
pub use record::{InferenceRecord, RecordsRequest};
pub use spec::{AssayParams, BlockForks, ChainSpec};
