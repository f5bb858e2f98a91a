//! The first block's call to the validator set: the contract learns the hash of the genesis block.
//!
//! The hash covers the contract's own storage, so genesis cannot hold it; and later blocks cannot
//! look so far back. Every digest a validator signs is bound to it.

use std::fmt::Debug;

use alloy_sol_types::SolCall as _;
use assay_types::{StateView, contracts::IValidatorSet};
use revm::Inspector;

use crate::{EvmContext, ExecuteError, Execution};

/// Number of the block that makes the call.
const SEALING_BLOCK: u64 = 1;

impl<V, I> Execution<'_, V, I>
where
    V: StateView + Debug,
    I: Inspector<EvmContext<V>>,
{
    /// Makes the call when this is the block for it and the chain has the contract.
    ///
    /// Spec: contracts/STORAGE.md, "Genesis hash".
    pub(crate) fn seal_genesis(&mut self, number: u64) -> Result<(), ExecuteError<V::Error>> {
        let Some(validator_set) = self.validator_set().filter(|_| number == SEALING_BLOCK) else {
            return Ok(());
        };
        if !self.has_code(validator_set)? {
            return Ok(());
        }
        let data = IValidatorSet::sealGenesisCall {}.abi_encode();
        self.call_as_system(validator_set, data.into())
    }
}
