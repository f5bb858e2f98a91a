//! A validator's promise: it holds the bytes of a model, and its samples gave the same bits here.
//!
//! The signature alone is the promise; anyone may carry it to the registry. The validator's own
//! account does when it can pay.

use std::{collections::BTreeMap, sync::Arc};

use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Signature, TxKind};
use alloy_sol_types::SolCall as _;
use assay_chain::{Attributes, Chain, registry};
use assay_pool::{Pool, PoolError};
use assay_state::StateSnapshot;
use assay_types::{
    Header, StateView as _, Transaction,
    contracts::{IModelRegistry, Summary},
};
use bytes::Bytes;

use crate::LibraryError;

/// Gas limit of an attestation: enough to count those of a hundred validators anew.
const ATTESTATION_GAS: u64 = 2_000_000;
/// The fee offered is so many times the base fee of its time.
const FEE_HEADROOM: u128 = 10;
/// Blocks an attestation may wait before it is sent again.
const RESEND_BLOCKS: u64 = 16;

/// Says why a validator's key did not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the validator's key did not sign: {0}")]
pub struct SignFailed(pub String);

type Sign = Box<dyn Fn(B256) -> Result<[u8; 65], SignFailed> + Send + Sync>;

/// A validator's key, for what it promises about models.
pub struct Attester {
    account: Address,
    sign: Sign,
}

/// A signed promise about a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attestation {
    /// The model.
    pub model: B256,
    /// The summary it was registered under.
    pub summary: Summary,
    /// The signature: r, s, v.
    pub signature: Bytes,
    /// The transaction that carries it; `None` while the account cannot pay for one.
    pub sent: Option<B256>,
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

/// Where a promise stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Promise {
    /// The registry knows it, or there is no registration to attest to.
    Settled,
    /// It waits to be sent, or for its block.
    Waiting,
    /// It is in the pool, as this transaction, which peers should hear of.
    Sent(Bytes),
}

/// Signs attestations and sends them on.
#[derive(Debug)]
pub(crate) struct Desk {
    attester: Attester,
    chain: Arc<Chain>,
    pool: Arc<Pool>,
    made: BTreeMap<B256, Made>,
}

#[derive(Debug)]
struct Made {
    attestation: Attestation,
    /// Height at which it was sent.
    height: u64,
}

impl Desk {
    /// Makes the desk of a validator.
    pub(crate) const fn new(attester: Attester, chain: Arc<Chain>, pool: Arc<Pool>) -> Self {
        Self {
            attester,
            chain,
            pool,
            made: BTreeMap::new(),
        }
    }

    /// Lists the promises made since the node started that the chain does not show yet.
    pub(crate) fn attestations(&self) -> Vec<Attestation> {
        self.made
            .values()
            .map(|made| made.attestation.clone())
            .collect()
    }

    /// Promises that a model is here, unless the registry knows.
    pub(crate) fn attest(
        &mut self,
        registry: Address,
        model: B256,
        summary: Summary,
    ) -> Result<Promise, LibraryError> {
        let reader = self.chain.reader()?;
        let tip = reader.tip();
        let (state, key) = (reader.state(tip)?, summary.key(model));
        if !registry::is_registered(&state, registry, key)? {
            return Ok(Promise::Settled);
        }
        if registry::has_attested(&state, registry, key, self.attester.account)? {
            if self.made.remove(&model).is_some() {
                tracing::info!(%model, "attested");
            }
            return Ok(Promise::Settled);
        }
        let first = !self.made.contains_key(&model);
        if first {
            let genesis = reader.hash(0)?.unwrap_or_default();
            let chain_id = self.chain.spec().chain_id;
            let digest = summary.attestation_digest(model, genesis, chain_id, registry);
            let Some(signature) = self.sign(digest) else {
                return Ok(Promise::Waiting);
            };
            let attestation = Attestation {
                model,
                summary,
                signature: Bytes::copy_from_slice(&signature),
                sent: None,
            };
            let height = tip;
            self.made.insert(
                model,
                Made {
                    attestation,
                    height,
                },
            );
        }
        match self.send(registry, model, &state, tip)? {
            Ok(promise) => Ok(promise),
            Err(error) => {
                if first {
                    let account = self.attester.account;
                    tracing::warn!(
                        %model, %account, %error,
                        "attestation is signed, but the validator's account cannot send it: fund \
                         the account, or have anyone submit the signature"
                    );
                }
                Ok(Promise::Waiting)
            }
        }
    }

    /// Sends a promise, or sends it again after it was lost; answers what the pool says against it.
    fn send(
        &mut self,
        registry: Address,
        model: B256,
        state: &StateSnapshot,
        tip: u64,
    ) -> Result<Result<Promise, PoolError>, LibraryError> {
        let Some(made) = self.made.get(&model) else {
            return Ok(Ok(Promise::Waiting));
        };
        let waits = made.attestation.sent.is_some_and(|hash| {
            self.pool.get(hash).is_some() || tip < made.height.saturating_add(RESEND_BLOCKS)
        });
        if waits {
            return Ok(Ok(Promise::Waiting));
        }
        let call = IModelRegistry::attestCall {
            model,
            summary: made.attestation.summary.clone(),
            signatures: vec![made.attestation.signature.clone().into()],
        };
        let Some(transaction) = self.transaction(registry, &call, state)? else {
            return Ok(Ok(Promise::Waiting));
        };
        let (bytes, hash) = (transaction.encoded_2718(), *transaction.tx_hash());
        let account = self.attester.account;
        let admission = self
            .chain
            .admission(&transaction, account, &self.next_header())?;
        match self.pool.admit(transaction, account, &admission) {
            Ok(_) | Err(PoolError::AlreadyKnown) => {}
            Err(error) => return Ok(Err(error)),
        }
        if let Some(made) = self.made.get_mut(&model) {
            (made.attestation.sent, made.height) = (Some(hash), tip);
        }
        tracing::info!(%model, transaction = %hash, "attestation sent");
        Ok(Ok(Promise::Sent(bytes.into())))
    }

    fn next_header(&self) -> Header {
        let head = self.chain.head();
        self.chain.next_header(&head, &Attributes::following(&head))
    }

    /// Makes the transaction that carries a call, from the validator's account.
    fn transaction(
        &self,
        registry: Address,
        call: &IModelRegistry::attestCall,
        state: &StateSnapshot,
    ) -> Result<Option<Transaction>, LibraryError> {
        let account = self.attester.account;
        let nonce = state.account(account)?.unwrap_or_default().nonce;
        let waiting = self.pool.next_nonce(account).unwrap_or_default();
        let header = self.next_header();
        let base_fee = u128::from(header.base_fee_per_gas.unwrap_or_default());
        let fields = TxEip1559 {
            chain_id: self.chain.spec().chain_id,
            nonce: nonce.max(waiting),
            gas_limit: ATTESTATION_GAS.min(header.gas_limit),
            max_fee_per_gas: base_fee.saturating_mul(FEE_HEADROOM).max(1),
            to: TxKind::Call(registry),
            input: call.abi_encode().into(),
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

    /// Signs a digest; a key that does not is the operator's to mend.
    fn sign(&self, digest: B256) -> Option<[u8; 65]> {
        match (self.attester.sign)(digest) {
            Ok(signature) => Some(signature),
            Err(error) => {
                tracing::error!(%error, "no attestation is made");
                None
            }
        }
    }
}
