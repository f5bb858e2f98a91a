//! Everything a node keeps: state, its trie, blocks, receipts, records, logs.
//!
//! ```text
//! Store --reader()--> Reader (one moment)  --at(block)--> StateSnapshot: the state after a block
//!       --root()----> TrieUpdate            the root after some changes, nothing written
//!       --commit()--> one transaction: state, trie, history, block, receipts, records, indexes
//! ```
//!
//! Accounts, slots and code lie in flat tables of the newest state: a read is one look-up. Each
//! block leaves what it overwrote in history tables, so an older state is the newest with later
//! blocks' changes taken back. The Merkle trie is kept for the newest state only; a proof of an
//! older one is made on a trie rolled back in memory. A commit is one redb transaction: after a
//! crash the store is as it was after some whole block. Models' bytes are no state: they lie in
//! files of their own ([`ModelStore`]).

mod chain;
mod codec;
mod damage;
mod error;
mod logs;
mod models;
mod pieces;
mod prune;
mod reader;
mod scratch;
mod snapshot;
mod store;
mod tables;
#[cfg(test)]
mod tests;
mod trie;
mod votes;
mod write;

pub use chain::{StoredBlock, TransactionPlace};
pub use error::StateError;
pub use logs::LogQuery;
pub use models::{ModelStore, Progress, StagedFile, Staging, StagingError};
pub use pieces::{KeptBlock, Piece, SLOTS_A_PIECE};
pub use reader::Reader;
pub use snapshot::StateSnapshot;
pub use store::{ExecutedBlock, Origin, Savepoint, Store};
pub use trie::{AccountProof, StorageProof, TrieUpdate};
pub use votes::Seen;
