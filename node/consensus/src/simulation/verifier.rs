//! Checks each signature once for all nodes: what one node found, the others would find too.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use alloy_primitives::B256;
use assay_types::Domain;
use async_trait::async_trait;
use malachitebft_app::types::core::{ValidatorProof, VoteExtensionScope};
use malachitebft_signing::{Error, VerificationResult, Verifier};

use crate::{
    context::{Account, Assay, Proposal, Seal, Vote},
    signer::EngineVerifier,
};

type Checked = BTreeMap<(B256, Seal, Account), bool>;

/// The true verifier, asked once for each message, signature and account.
#[derive(Debug, Clone)]
pub(super) struct Remembering {
    domain: Domain,
    checked: Arc<Mutex<Checked>>,
}

impl Remembering {
    pub(super) fn new(domain: Domain) -> Self {
        Self {
            domain,
            checked: Arc::default(),
        }
    }

    pub(super) const fn domain(&self) -> Domain {
        self.domain
    }

    const fn verifier(&self) -> EngineVerifier {
        EngineVerifier {
            domain: self.domain,
        }
    }

    fn remembered(&self, key: &(B256, Seal, Account)) -> Option<VerificationResult> {
        let checked = self.checked.lock().unwrap();
        checked.get(key).copied().map(VerificationResult::from_bool)
    }

    fn remember(&self, key: (B256, Seal, Account), result: &VerificationResult) {
        let mut checked = self.checked.lock().unwrap();
        checked.insert(key, result.is_valid());
    }
}

#[async_trait]
impl Verifier<Assay> for Remembering {
    async fn verify_signed_vote(
        &self,
        vote: &Vote,
        seal: &Seal,
        account: &Account,
    ) -> Result<VerificationResult, Error> {
        let key = (
            vote.digest(&self.domain).unwrap_or_default(),
            *seal,
            *account,
        );
        if let Some(result) = self.remembered(&key) {
            return Ok(result);
        }
        let result = self
            .verifier()
            .verify_signed_vote(vote, seal, account)
            .await?;
        self.remember(key, &result);
        Ok(result)
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        seal: &Seal,
        account: &Account,
    ) -> Result<VerificationResult, Error> {
        let key = (
            proposal.digest(&self.domain).unwrap_or_default(),
            *seal,
            *account,
        );
        if let Some(result) = self.remembered(&key) {
            return Ok(result);
        }
        let verifier = self.verifier();
        let result = verifier
            .verify_signed_proposal(proposal, seal, account)
            .await?;
        self.remember(key, &result);
        Ok(result)
    }

    async fn verify_signed_vote_extension(
        &self,
        scope: &VoteExtensionScope<Assay>,
        extension: &(),
        seal: &Seal,
        account: &Account,
    ) -> Result<VerificationResult, Error> {
        let verifier = self.verifier();
        verifier
            .verify_signed_vote_extension(scope, extension, seal, account)
            .await
    }

    async fn verify_validator_proof(
        &self,
        proof: &ValidatorProof<Assay>,
    ) -> Result<VerificationResult, Error> {
        self.verifier().verify_validator_proof(proof).await
    }
}
