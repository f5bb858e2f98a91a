//! What can go wrong in the dev driver.

use std::path::PathBuf;

use alloy_primitives::{Address, B256};
use assay_chain::{ChainError, Refusal};

/// Says why the dev driver did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// The chain service failed.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A rule refuses the transaction in any block on this state.
    #[error("transaction refused: {0:?}")]
    Refused(Refusal),
    /// The mnemonic is none, or derives no such key.
    #[error("mnemonic: {0}")]
    Mnemonic(String),
    /// No key of this account is at hand.
    #[error("no signer for {0}: it is neither a developer account nor impersonated")]
    NoSigner(Address),
    /// The key did not sign.
    #[error("signing failed: {0}")]
    Signing(String),
    /// The time asked for lies before the newest block's.
    #[error("timestamp {got} is not above the newest block's {head}")]
    Timestamp {
        /// Time asked for.
        got: u64,
        /// Time of the newest block.
        head: u64,
    },
    /// The chain was begun by another process, so its first state is not at hand.
    #[error(
        "this chain was begun by an earlier process and cannot be reset; start without --datadir, or with an empty one"
    )]
    BegunElsewhere,
    /// The genesis made of the options is none.
    #[error(transparent)]
    Genesis(#[from] assay_types::GenesisError),
    /// A model cannot be published.
    #[error("model {path}: {reason}")]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A model of this node cannot be read.
    #[error(transparent)]
    Models(#[from] assay_chain::ModelError),
    /// A model given at the start did not become active.
    #[error("model {0} was registered and attested but is not active: the registry refused it")]
    NotActive(B256),
    /// The pool refused a transaction of the driver's own.
    #[error("the driver's own transaction: {0}")]
    Pool(#[from] assay_pool::PoolError),
    /// A dump of state does not decode.
    #[error("state dump: {0}")]
    Dump(#[from] serde_json::Error),
}

impl From<assay_state::StateError> for DevError {
    fn from(error: assay_state::StateError) -> Self {
        Self::Chain(error.into())
    }
}
