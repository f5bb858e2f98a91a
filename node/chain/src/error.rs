//! What can go wrong between a block and the store.

use alloy_primitives::B256;
use assay_executor::{ExecuteError, InvalidBlock};
use assay_state::StateError;

/// Says why a block was not executed, built or stored.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The block breaks a rule: every honest node says the same.
    #[error(transparent)]
    Invalid(#[from] InvalidBlock),
    /// The block's bytes do not decode.
    #[error("block does not decode: {0}")]
    Encoding(#[from] alloy_rlp::Error),
    /// The block does not follow the newest one.
    #[error("block {number} has parent {parent}, the newest block is {head}")]
    NotOnHead {
        /// Number of the block.
        number: u64,
        /// Its parent.
        parent: B256,
        /// Hash of the newest block.
        head: B256,
    },
    /// This machine's store failed: it says nothing about the block.
    #[error(transparent)]
    Store(#[from] StateError),
    /// A precompile failed for a reason of this machine's: it says nothing about the block.
    #[error("this node cannot run a precompile: {0}")]
    Precompile(String),
    /// The store holds no chain.
    #[error("the data directory holds no chain yet: give its genesis")]
    EmptyStore,
    /// Blocks are asked for that the store never had.
    #[error(
        "this chain began with a snapshot and keeps blocks from {0} on: ask a node that has them all"
    )]
    BeganLater(u64),
    /// The genesis kept with the data, or given, is refused.
    #[error(transparent)]
    Genesis(#[from] assay_types::GenesisError),
    /// The time asked for is not after the newest block's.
    #[error("timestamp {got} is not above the newest block's {head}")]
    Timestamp {
        /// Time asked for.
        got: u64,
        /// Time of the newest block.
        head: u64,
    },
}

impl ChainError {
    /// Tells whether the block is at fault, rather than this machine.
    #[must_use]
    pub const fn blames_block(&self) -> bool {
        matches!(self, Self::Invalid(_) | Self::Encoding(_))
    }

    /// Tells whether a block that obeys every other rule has other results than execution gave.
    #[must_use]
    pub fn differs(&self) -> bool {
        match self {
            Self::Invalid(InvalidBlock::GasUsed { .. }) => true,
            Self::Invalid(InvalidBlock::Root { field, .. }) => *field != "transactionsRoot",
            _ => false,
        }
    }
}

impl From<ExecuteError<StateError>> for ChainError {
    fn from(error: ExecuteError<StateError>) -> Self {
        match error {
            ExecuteError::Invalid(error) => Self::Invalid(error),
            ExecuteError::Local(error) => Self::Store(error),
            ExecuteError::Precompile(reason) => Self::Precompile(reason),
        }
    }
}
