//! A validator's promise: it holds the bytes of a model, and its samples gave the same bits here.
//!
//! The signature alone is the promise; anyone may carry it to the registry. The validator's own
//! account does when it can pay.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256};
use alloy_sol_types::SolCall as _;
use assay_chain::registry;
use assay_pool::PoolError;
use assay_state::StateSnapshot;
use assay_types::contracts::{IModelRegistry, Summary};
use bytes::Bytes;

use crate::{
    LibraryError,
    accuse::Accuser,
    sender::{Sender, Sent},
};

/// Gas limit of an attestation: enough to count those of a hundred validators anew.
const ATTESTATION_GAS: u64 = 2_000_000;

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

/// What a validator tells the chain: it signs attestations and sends them on, and proves evidence.
#[derive(Debug)]
pub(crate) struct Desk {
    sender: Sender,
    made: BTreeMap<B256, Made>,
    accuser: Accuser,
}

#[derive(Debug)]
struct Made {
    attestation: Attestation,
    sent: Option<Sent>,
}

impl Desk {
    /// Makes the desk of a validator.
    pub(crate) fn new(sender: Sender) -> Self {
        Self {
            sender,
            made: BTreeMap::new(),
            accuser: Accuser::default(),
        }
    }

    /// Lists the promises made since the node started that the chain does not show yet.
    pub(crate) fn attestations(&self) -> Vec<Attestation> {
        self.made
            .values()
            .map(|made| made.attestation.clone())
            .collect()
    }

    /// Sends evidence that this node keeps and the chain does not; answers a transaction that peers
    /// should hear of.
    pub(crate) fn accuse(&mut self) -> Result<Option<Bytes>, LibraryError> {
        self.accuser.look(&self.sender)
    }

    /// Promises that a model is here, unless the registry knows.
    pub(crate) fn attest(
        &mut self,
        registry: Address,
        model: B256,
        summary: Summary,
    ) -> Result<Promise, LibraryError> {
        let reader = self.sender.chain().reader()?;
        let tip = reader.tip();
        let (state, key) = (reader.state(tip)?, summary.key(model));
        if !registry::is_registered(&state, registry, key)? {
            return Ok(Promise::Settled);
        }
        if registry::has_attested(&state, registry, key, self.sender.account())? {
            if self.made.remove(&model).is_some() {
                tracing::info!(%model, "attested");
            }
            return Ok(Promise::Settled);
        }
        let first = !self.made.contains_key(&model);
        if first {
            let genesis = reader.hash(0)?.unwrap_or_default();
            let chain_id = self.sender.chain().spec().chain_id;
            let digest = summary.attestation_digest(model, genesis, chain_id, registry);
            let Some(signature) = self.sender.sign(digest) else {
                return Ok(Promise::Waiting);
            };
            let attestation = Attestation {
                model,
                summary,
                signature: Bytes::copy_from_slice(&signature),
                sent: None,
            };
            let sent = None;
            self.made.insert(model, Made { attestation, sent });
        }
        match self.send(registry, model, &state, tip)? {
            Ok(promise) => Ok(promise),
            Err(error) => {
                if first {
                    let account = self.sender.account();
                    tracing::warn!(
                        %model, %account, %error,
                        "attestation is signed, but the validator's account cannot send it: mend \
                         that, or have anyone submit the signature"
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
        let Some(made) = self.made.get_mut(&model) else {
            return Ok(Ok(Promise::Waiting));
        };
        if made.sent.is_some_and(|sent| self.sender.waits(sent, tip)) {
            return Ok(Ok(Promise::Waiting));
        }
        let call = IModelRegistry::attestCall {
            model,
            summary: made.attestation.summary.clone(),
            signatures: vec![made.attestation.signature.clone().into()],
        };
        let call = call.abi_encode();
        let made_one = self
            .sender
            .transaction(registry, call, ATTESTATION_GAS, state)?;
        let Some(transaction) = made_one else {
            return Ok(Ok(Promise::Waiting));
        };
        let (sent, bytes) = match self.sender.submit(transaction, tip)? {
            Ok(sent) => sent,
            Err(error) => return Ok(Err(error)),
        };
        (made.attestation.sent, made.sent) = (Some(sent.hash), Some(sent));
        tracing::info!(%model, transaction = %sent.hash, "attestation sent");
        Ok(Ok(Promise::Sent(bytes)))
    }
}
