//! What can go wrong with the store: always this machine's matter, never a block's.

use std::{io::ErrorKind, path::PathBuf};

use alloy_primitives::B256;

/// Says what is wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The database failed.
    #[error("database: {0}{remedy}", remedy = remedy(.0))]
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
    /// A store that must be empty holds a chain.
    #[error("the data directory holds a chain already: give another --datadir")]
    NotEmpty,
    /// A block was to be stored out of order.
    #[error("block {got} cannot follow block {tip}")]
    Order {
        /// Number of the block given.
        got: u64,
        /// Number of the newest block stored.
        tip: u64,
    },
}

impl StateError {
    /// Tells whether the disk failed: the store takes nothing more before it is opened again.
    #[must_use]
    pub const fn is_of_the_disk(&self) -> bool {
        match self {
            Self::Database(error) => {
                matches!(**error, redb::Error::Io(_) | redb::Error::PreviousIo)
            }
            _ => false,
        }
    }
}

/// Says what to do about a failure of the database that a person can mend.
fn remedy(error: &redb::Error) -> &'static str {
    match error {
        redb::Error::Io(error) => match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                ": free space on the disk of the data directory, then start the node again"
            }
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
                ": make the data directory writable, then start the node again"
            }
            _ => ": check the disk of the data directory, then start the node again",
        },
        redb::Error::PreviousIo => ": the disk failed before: see to it, then start the node again",
        redb::Error::DatabaseAlreadyOpen => {
            ": another process uses this data directory: stop it, or name another directory"
        }
        _ => "",
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: ErrorKind) -> StateError {
        StateError::from(redb::StorageError::Io(kind.into()))
    }

    #[test]
    fn failure_of_the_disk_says_what_to_do() {
        let full = of(ErrorKind::StorageFull);
        assert!(full.to_string().contains("free space"), "{full}");
        let protected = of(ErrorKind::ReadOnlyFilesystem);
        assert!(protected.to_string().contains("writable"), "{protected}");
        assert!(full.is_of_the_disk() && protected.is_of_the_disk());
        assert!(!StateError::Corrupt("block").is_of_the_disk());
    }
}
