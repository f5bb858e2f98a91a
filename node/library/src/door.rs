//! The node as its peers see it: it judges their transactions and lends them its models.

use std::{io, sync::Arc};

use alloy_consensus::transaction::SignerRecoverable as _;
use alloy_eips::eip2718::Decodable2718 as _;
use alloy_primitives::{Address, B256};
use assay_chain::{Attributes, Chain};
use assay_network::{HeldModel, Host, Verdict};
use assay_pool::{Pool, PoolError};
use assay_types::Transaction;
use bytes::Bytes;

use crate::sink::files;

type Admitted = Box<dyn Fn(&Transaction, Address) + Send + Sync>;

/// What peers reach of a node.
pub struct Door {
    chain: Arc<Chain>,
    pool: Arc<Pool>,
    admitted: Option<Admitted>,
}

impl Door {
    /// Opens a door to a chain and its pool.
    #[must_use]
    pub const fn new(chain: Arc<Chain>, pool: Arc<Pool>) -> Self {
        Self {
            chain,
            pool,
            admitted: None,
        }
    }

    /// Calls a function with each transaction of a peer that the pool took, so that subscribers
    /// hear of it and it is run before its block.
    #[must_use]
    pub fn on_admitted(
        mut self,
        call: impl Fn(&Transaction, Address) + Send + Sync + 'static,
    ) -> Self {
        self.admitted = Some(Box::new(call));
        self
    }

    /// Takes a transaction that could be valid into the pool.
    fn admit(&self, transaction: Transaction, sender: Address) -> Verdict {
        let head = self.chain.head();
        let header = self.chain.next_header(&head, &Attributes::following(&head));
        let admission = match self.chain.admission(&transaction, sender, &header) {
            Ok(admission) => admission,
            Err(error) => {
                tracing::error!(%error, "a peer's transaction cannot be judged");
                return Verdict::Ignore;
            }
        };
        let hash = match self.pool.admit(transaction, sender, &admission) {
            Ok(hash) => hash,
            Err(error) => return verdict_of(&error),
        };
        if let (Some(call), Some(waiting)) = (&self.admitted, self.pool.get(hash)) {
            call(&waiting.transaction, sender);
        }
        Verdict::Accept
    }
}

impl Host for Door {
    fn transaction(&self, bytes: Bytes) -> Verdict {
        let mut rest = bytes.as_ref();
        let Ok(transaction) = Transaction::decode_2718(&mut rest) else {
            return Verdict::Reject;
        };
        if !rest.is_empty() {
            return Verdict::Reject;
        }
        // Recovered before anything is looked up: a signature that fits nobody is never valid.
        match transaction.recover_signer() {
            Ok(sender) => self.admit(transaction, sender),
            Err(_) => Verdict::Reject,
        }
    }

    fn model(&self, id: B256) -> io::Result<Option<HeldModel>> {
        let Some(models) = self.chain.models() else {
            return Ok(None);
        };
        let held = models.find(id).map_err(io::Error::other)?;
        Ok(held.map(|held| HeldModel {
            files: files(&held),
            manifest: held.manifest.encode().into(),
        }))
    }

    fn model_chunk(&self, id: B256, offset: u64, length: u32) -> io::Result<Option<Bytes>> {
        match self.chain.models() {
            Some(models) => models.read_files(id, offset, length as usize),
            None => Ok(None),
        }
    }
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

/// Says whether a refusal of the pool holds on any state, so that the sender must have known.
const fn verdict_of(error: &PoolError) -> Verdict {
    match error {
        PoolError::Oversized { .. }
        | PoolError::Unsupported
        | PoolError::ChainId { .. }
        | PoolError::NonceMax
        | PoolError::ExceedsGasCap { .. }
        | PoolError::IntrinsicGas { .. }
        | PoolError::TipAboveFee { .. } => Verdict::Reject,
        PoolError::AlreadyKnown
        | PoolError::ReplacementUnderpriced
        | PoolError::Full
        | PoolError::SenderFull { .. }
        | PoolError::NonceTooLow { .. }
        | PoolError::ExceedsBlockGasLimit
        | PoolError::InsufficientFunds { .. } => Verdict::Ignore,
    }
}
