//! What the application stands on: the transactions that wait, and the machine that executes.

use assay_chain::{Attributes, Chain, ChainError, Executed, TransactionSource};
use assay_types::RecoveredBlock;

/// Offers the transactions that wait, and learns what became of them.
pub trait Waiting: Send {
    /// Opens what waits for a block of this base fee.
    fn open(&self, base_fee: Option<u64>) -> Box<dyn TransactionSource + '_>;

    /// Learns that a block was decided.
    fn settle(&self, block: &RecoveredBlock);
}

/// Makes and checks blocks: the chain service, which tests replace to play a faulty machine.
pub trait Recompute: Send + Sync {
    /// Builds the next block.
    ///
    /// # Errors
    /// When this machine fails.
    fn build(
        &self,
        attributes: &Attributes,
        source: &mut dyn TransactionSource,
    ) -> Result<Executed, ChainError>;

    /// Executes a block made elsewhere and checks it.
    ///
    /// # Errors
    /// When the block breaks a rule, or this machine fails.
    fn execute(&self, block: RecoveredBlock) -> Result<Executed, ChainError>;
}

impl Recompute for Chain {
    fn build(
        &self,
        attributes: &Attributes,
        source: &mut dyn TransactionSource,
    ) -> Result<Executed, ChainError> {
        Self::build(self, attributes, source)
    }

    fn execute(&self, block: RecoveredBlock) -> Result<Executed, ChainError> {
        Self::execute(self, block)
    }
}
