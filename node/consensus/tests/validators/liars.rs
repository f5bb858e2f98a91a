//! A faulty validator's machines and key, for networks in real and in virtual time.

use std::sync::Arc;

use alloy_primitives::{Address, B256};
use assay_chain::{Attributes, Chain, ChainError, Executed, TransactionSource};
use assay_types::{RecoveredBlock, certificate::SIGNATURE_BYTES};

use super::{Recompute, Sign, SignError, ValidatorKey};

/// The state root of whoever lies about it.
pub(crate) const WRONG_ROOT: B256 = B256::repeat_byte(0xad);

/// A machine that proposes blocks with a wrong state root, and believes them.
#[derive(Debug)]
pub(crate) struct WrongRoot(pub(crate) Arc<Chain>);

impl Recompute for WrongRoot {
    fn build(
        &self,
        attributes: &Attributes,
        source: &mut dyn TransactionSource,
    ) -> Result<Executed, ChainError> {
        let mut executed = self.0.build(attributes, source)?;
        let (mut block, senders) = executed.block.into_parts();
        block.header.state_root = WRONG_ROOT;
        let block = RecoveredBlock::with_senders(block, senders);
        executed.block = block.expect("the senders are the block's own");
        Ok(executed)
    }

    fn execute(&self, block: RecoveredBlock) -> Result<Executed, ChainError> {
        self.0.execute(block)
    }
}

/// A machine that pays its fees elsewhere: its blocks are valid, and not its twin's.
#[derive(Debug)]
pub(crate) struct OtherTaste(pub(crate) Arc<Chain>);

impl Recompute for OtherTaste {
    fn build(
        &self,
        attributes: &Attributes,
        source: &mut dyn TransactionSource,
    ) -> Result<Executed, ChainError> {
        let beneficiary = Address::repeat_byte(1);
        let attributes = Attributes {
            beneficiary,
            ..attributes.clone()
        };
        self.0.build(&attributes, source)
    }

    fn execute(&self, block: RecoveredBlock) -> Result<Executed, ChainError> {
        self.0.execute(block)
    }
}

/// A key that signs something else than it is asked to.
#[derive(Debug)]
pub(crate) struct FalseKey(pub(crate) ValidatorKey);

impl Sign for FalseKey {
    fn account(&self) -> Address {
        self.0.account()
    }

    fn sign(&self, digest: B256) -> Result<[u8; SIGNATURE_BYTES], SignError> {
        self.0.sign(digest ^ B256::with_last_byte(1))
    }
}
