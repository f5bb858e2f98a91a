//! What can go wrong with the store: always this machine's matter, never a block's.

use std::path::PathBuf;

use alloy_primitives::B256;

/// Says what is wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] Box<redb::Error>),
    /// The data directory cannot be made or opened.
    #[error("data directory {path}: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The store was written by another version of this program.
    #[error("store has schema {found}, this program reads {known}: use the program that wrote it")]
    Schema {
        /// Version the store says it has.
        found: u32,
        /// Version this program knows.
        known: u32,
    },
    /// The store belongs to another chain.
    #[error("store begins with genesis {found}, this chain with {wanted}: give another --datadir")]
    Genesis {
        /// Genesis hash in the store.
        found: B256,
        /// Genesis hash of the chain asked for.
        wanted: B256,
    },
    /// A stored value does not decode: the file was damaged.
    #[error("store is damaged: bad {0}")]
    Corrupt(&'static str),
    /// The state trie is damaged.
    #[error("state trie: {0}")]
    Trie(String),
    /// An account refers to code the store lacks.
    #[error("store is damaged: no code {0}")]
    MissingCode(B256),
    /// The state of that block is not kept.
    #[error("no state of block {number}: kept are {first} to {last}")]
    NoState {
        /// Block asked for.
        number: u64,
        /// Oldest block whose state is kept.
        first: u64,
        /// Newest block.
        last: u64,
    },
    /// A block was to be stored out of order.
    #[error("block {got} cannot follow block {tip}")]
    Order {
        /// Number of the block given.
        got: u64,
        /// Number of the newest block stored.
        tip: u64,
    },
}

macro_rules! from_redb {
    ($($error:ty),*) => {
        $(impl From<$error> for StateError {
            fn from(error: $error) -> Self {
                Self::Database(Box::new(error.into()))
            }
        })*
    };
}

from_redb!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::DatabaseError,
    redb::SavepointError,
    redb::SetDurabilityError
);
