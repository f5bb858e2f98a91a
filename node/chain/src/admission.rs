//! What the pool must know of the chain to judge a transaction.

use alloy_primitives::Address;
use assay_pool::Admission;
use assay_types::{Header, StateView as _, Transaction};

use crate::{Chain, ChainError};

impl Chain {
    /// Reads what the pool must know to judge a transaction against the newest state, for a block
    /// with this header.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn admission(
        &self,
        transaction: &Transaction,
        sender: Address,
        header: &Header,
    ) -> Result<Admission, ChainError> {
        let (spec, state) = (self.spec(), self.parent_state(&self.head())?);
        Ok(Admission {
            account: state.account(sender)?.unwrap_or_default(),
            chain_id: spec.chain_id,
            block_gas_limit: header.gas_limit,
            gas_cap: spec.assay.as_ref().map(|assay| assay.transaction_gas_cap),
            intrinsic_gas: self.executor().intrinsic_gas(transaction, sender, header),
            blobs: spec.assay.is_none() && spec.blob_params(header.timestamp).is_some(),
        })
    }
}
