//! What can go wrong, sorted by whose fault it is.

use alloy_primitives::{B256, Bloom, U256};
use assay_types::SenderError;
use revm::context::result::InvalidTransaction;

/// Says why a block did not execute to an outcome.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<E: std::error::Error + 'static> {
    /// The block breaks a rule: every honest node says the same.
    #[error(transparent)]
    Invalid(#[from] InvalidBlock),
    /// This machine could not read its own state: it says nothing about the block.
    #[error("this node cannot read its state: {0}")]
    Local(#[source] E),
    /// A precompile failed for a reason of this machine's: it says nothing about the block.
    #[error("this node cannot run a precompile: {0}")]
    Precompile(String),
}

/// Says why a transaction was not added to a block under construction.
#[derive(Debug, thiserror::Error)]
pub enum TransactError<E: std::error::Error + 'static> {
    /// The transaction breaks a rule in this state; the block goes on without it.
    #[error(transparent)]
    Invalid(#[from] InvalidTransaction),
    /// The transaction asks for more gas than the block has left; a smaller one may fit.
    #[error("transaction gas limit {limit} is above the {left} gas left in the block")]
    BlockGasLeft {
        /// Gas the transaction may use.
        limit: u64,
        /// Gas the block has left.
        left: u64,
    },
    /// The block itself cannot go on.
    #[error(transparent)]
    Fatal(#[from] ExecuteError<E>),
}

/// Names the rule a block breaks, with what was found and what was due.
#[derive(Debug, thiserror::Error)]
pub enum InvalidBlock {
    /// The header breaks a rule that needs no execution.
    #[error("header field {field} is {got}, should be {want}")]
    Header {
        /// Name of the field, as in JSON-RPC.
        field: &'static str,
        /// What the header says.
        got: String,
        /// What the rule says.
        want: String,
    },
    /// A header field is present though the fork lacks it, or the other way round.
    #[error("header field {field} must be {}", if *.due { "present" } else { "absent" })]
    HeaderFork {
        /// Name of the field, as in JSON-RPC.
        field: &'static str,
        /// Whether the fork has the field.
        due: bool,
    },
    /// A transaction names no sender.
    #[error(transparent)]
    Sender(#[from] SenderError),
    /// A transaction breaks a rule.
    #[error("transaction {index} ({hash}) is invalid: {reason}")]
    Transaction {
        /// Position in the block.
        index: usize,
        /// Hash of the transaction.
        hash: B256,
        /// The rule.
        reason: InvalidTransaction,
    },
    /// A transaction asks for more gas than the block has left.
    #[error("transaction {index} asks for {limit} gas, the block has {left} left")]
    BlockGasLeft {
        /// Position in the block.
        index: usize,
        /// Gas the transaction may use.
        limit: u64,
        /// Gas the block has left.
        left: u64,
    },
    /// The block as a whole is larger than EIP-7934 allows.
    #[error("block has {size} bytes, at most {limit} are allowed")]
    Size {
        /// Bytes of the block's RLP.
        size: usize,
        /// Most bytes allowed.
        limit: usize,
    },
    /// A system contract is missing or failed, or its requests do not parse.
    #[error("system call: {0}")]
    SystemCall(String),
    /// The outcome's gas differs from the header's.
    #[error("block used {got} gas, header says {want}")]
    GasUsed {
        /// What execution used.
        got: u64,
        /// What the header says.
        want: u64,
    },
    /// A root or hash of the outcome differs from the header's.
    #[error("outcome's {field} is {got}, header says {want}")]
    Root {
        /// Name of the header field.
        field: &'static str,
        /// What execution gave.
        got: B256,
        /// What the header says.
        want: B256,
    },
    /// The logs' bloom filter differs from the header's.
    #[error("outcome's logsBloom differs from the header's")]
    Bloom(Box<(Bloom, Bloom)>),
}

impl InvalidBlock {
    /// Names a header field that is not what the rules ask for.
    pub fn header(
        field: &'static str,
        got: impl std::fmt::Display,
        want: impl std::fmt::Display,
    ) -> Self {
        Self::Header {
            field,
            got: got.to_string(),
            want: want.to_string(),
        }
    }

    pub(crate) fn difficulty(got: U256) -> Self {
        Self::header("difficulty", got, 0)
    }
}
