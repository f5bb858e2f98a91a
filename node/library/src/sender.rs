//! What a validator's own account sends: its key signs, its balance pays, its node's pool takes it.

use std::sync::Arc;

use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Signature, TxKind};
use assay_chain::{Attributes, Chain};
use assay_pool::{Pool, PoolError};
use assay_state::StateSnapshot;
use assay_types::{Header, StateView as _, Transaction};
use bytes::Bytes;

use crate::LibraryError;

/// The fee offered is so many times the base fee of its time.
const FEE_HEADROOM: u128 = 10;
/// Blocks a transaction may wait before it is sent again.
const RESEND_BLOCKS: u64 = 16;

/// Says why a validator's key did not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the validator's key did not sign: {0}")]
pub struct SignFailed(pub String);

type Sign = Box<dyn Fn(B256) -> Result<[u8; 65], SignFailed> + Send + Sync>;

/// A validator's key, for what it tells the chain: models it holds, equivocations it saw.
pub struct Attester {
    account: Address,
    sign: Sign,
}

impl Attester {
    /// Takes the account of a key and how it signs a digest: 65 bytes r, s, v with low s and v 27
    /// or 28.
    pub fn new(
        account: Address,
        sign: impl Fn(B256) -> Result<[u8; 65], SignFailed> + Send + Sync + 'static,
    ) -> Self {
        Self {
            account,
            sign: Box::new(sign),
        }
    }

    /// Returns the key's account.
    #[must_use]
    pub const fn account(&self) -> Address {
        self.account
    }
}

impl std::fmt::Debug for Attester {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Attester").field(&self.account).finish()
    }
}

/// Sends transactions from a validator's account.
#[derive(Debug)]
pub(crate) struct Sender {
    attester: Attester,
    chain: Arc<Chain>,
    pool: Arc<Pool>,
}

/// A transaction that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) hash: B256,
    /// Newest block when it was sent.
    height: u64,
}

impl Sender {
    pub(crate) const fn new(attester: Attester, chain: Arc<Chain>, pool: Arc<Pool>) -> Self {
        Self {
            attester,
            chain,
            pool,
        }
    }

    pub(crate) const fn account(&self) -> Address {
        self.attester.account
    }

    pub(crate) fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Tells whether something of the account waits for its block.
    pub(crate) fn is_busy(&self) -> bool {
        self.pool.next_nonce(self.account()).is_some()
    }

    /// Tells whether to wait on for a transaction's block: it is not lost, or not long enough.
    pub(crate) fn waits(&self, sent: Sent, tip: u64) -> bool {
        self.pool.get(sent.hash).is_some() || tip < sent.height.saturating_add(RESEND_BLOCKS)
    }

    /// Signs a digest; a key that does not is the operator's to mend.
    pub(crate) fn sign(&self, digest: B256) -> Option<[u8; 65]> {
        match (self.attester.sign)(digest) {
            Ok(signature) => Some(signature),
            Err(error) => {
                tracing::error!(%error, "nothing is sent from the validator's account");
                None
            }
        }
    }

    /// Makes the transaction that carries a call; `None` when the key does not sign.
    pub(crate) fn transaction(
        &self,
        contract: Address,
        call: Vec<u8>,
        gas: u64,
        state: &StateSnapshot,
    ) -> Result<Option<Transaction>, LibraryError> {
        let account = self.account();
        let nonce = state.account(account)?.unwrap_or_default().nonce;
        let waiting = self.pool.next_nonce(account).unwrap_or_default();
        let header = self.next_header();
        let base_fee = u128::from(header.base_fee_per_gas.unwrap_or_default());
        let fields = TxEip1559 {
            chain_id: self.chain.spec().chain_id,
            nonce: nonce.max(waiting),
            gas_limit: gas.min(header.gas_limit),
            max_fee_per_gas: base_fee.saturating_mul(FEE_HEADROOM).max(1),
            to: TxKind::Call(contract),
            input: call.into(),
            ..TxEip1559::default()
        };
        let Some(signature) = self.sign(fields.signature_hash()) else {
            return Ok(None);
        };
        let Ok(signature) = Signature::from_raw_array(&signature) else {
            tracing::error!("the validator's key gave a signature that is none");
            return Ok(None);
        };
        Ok(Some(Transaction::Eip1559(fields.into_signed(signature))))
    }

    /// Puts a transaction into the pool; answers its bytes for the peers, or what the pool says
    /// against it.
    pub(crate) fn submit(
        &self,
        transaction: Transaction,
        tip: u64,
    ) -> Result<Result<(Sent, Bytes), PoolError>, LibraryError> {
        let (bytes, hash) = (transaction.encoded_2718(), *transaction.tx_hash());
        let account = self.account();
        let admission = self
            .chain
            .admission(&transaction, account, &self.next_header())?;
        match self.pool.admit(transaction, account, &admission) {
            Ok(_) | Err(PoolError::AlreadyKnown) => {}
            Err(error) => return Ok(Err(error)),
        }
        let sent = Sent { hash, height: tip };
        Ok(Ok((sent, bytes.into())))
    }

    fn next_header(&self) -> Header {
        let head = self.chain.head();
        self.chain.next_header(&head, &Attributes::following(&head))
    }
}
