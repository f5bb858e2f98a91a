//! The pending block: what the next one would be if it were built now from what waits.

use std::sync::{Arc, PoisonError};

use alloy_primitives::B256;
use assay_chain::Attributes;
use assay_dev::FromPool;
use assay_executor::Outcome;
use assay_state::StoredBlock;

use crate::{Backend, RpcError, resolve::At};

/// The next block, executed on the newest one; its hash is zero, because it has none yet.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) block: StoredBlock,
    pub(crate) outcome: Outcome,
}

/// What a pending block follows from: while it stays, so does the block.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cause {
    chain_revision: u64,
    pool_revision: u64,
    attributes: Attributes,
}

/// The pending block last built, so that a client that asks again does not pay again.
#[derive(Debug, Default)]
pub(crate) struct PendingCache(std::sync::Mutex<Option<(Cause, Arc<Pending>)>>);

impl Backend {
    /// Finds the pending block, building it when something changed since the last one.
    pub(crate) fn pending(&self) -> Result<At, RpcError> {
        // Taken before what they count is read: a change in between only costs a later rebuild.
        let cause = Cause {
            chain_revision: self.chain.revision(),
            pool_revision: self.pool.revision(),
            attributes: self.next_attributes(),
        };
        let reader = self.chain.reader()?;
        let kept = self
            .pending
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let known = kept.as_ref().filter(|(known, pending)| {
            let tip = pending.block.block.header.number.checked_sub(1);
            *known == cause && tip == Some(reader.tip())
        });
        let known = known.map(|(_, pending)| Arc::clone(pending));
        drop(kept);
        let pending = match known {
            Some(pending) => pending,
            None => {
                let pending = Arc::new(self.build_pending(&reader, &cause.attributes)?);
                let mut kept = self
                    .pending
                    .0
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                *kept = Some((cause, Arc::clone(&pending)));
                pending
            }
        };
        Ok(At {
            number: reader.tip(),
            reader,
            pending: Some(pending),
        })
    }

    fn build_pending(
        &self,
        reader: &assay_state::Reader,
        attributes: &Attributes,
    ) -> Result<Pending, RpcError> {
        let base_fee = self.next_header().base_fee_per_gas;
        let mut source = FromPool::new(&self.pool, base_fee);
        let preview = self.chain.preview(reader, attributes, &mut source)?;
        let (block, senders) = preview.block.into_parts();
        Ok(Pending {
            block: StoredBlock {
                block,
                hash: B256::ZERO,
                senders,
            },
            outcome: preview.outcome,
        })
    }
}
