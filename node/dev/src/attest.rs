//! The validator's part: it attests to every registered model whose bytes this node holds.
//!
//! A model becomes active through the registry alone, as on any chain: its publisher registers it,
//! the validator signs the registry's digest, and a transaction carries the signature. Here the
//! validator is this node, so the signature follows as soon as both registration and bytes are here.

use alloy_consensus::{TxEip1559, TypedTransaction};
use alloy_primitives::{Address, TxKind};
use alloy_sol_types::{SolCall as _, SolEvent as _};
use assay_chain::{Executed, Held, registry};
use assay_pool::{Admission, PoolError};
use assay_types::{StateView as _, contracts::IModelRegistry};

use crate::{Dev, DevError};

/// Gas limit of an attestation; one takes about a fifth of it.
const ATTESTATION_GAS: u64 = 1_000_000;
/// The fee the driver's own calls offer is so many times the base fee of their time.
const FEE_HEADROOM: u128 = 10;

impl Dev {
    /// Learns that a model's bytes are here: attests when it is registered. In instant mining the
    /// attestation's block exists when this returns.
    ///
    /// # Errors
    /// When the chain service fails.
    pub fn model_held(&self, held: &Held) -> Result<(), DevError> {
        let _mining = self.lock_mining();
        self.attest(held)?;
        self.mine_attestations()
    }

    /// Attests to the models a block registered, as far as they are here.
    pub(crate) fn attest_registered(&self, executed: &Executed) -> Result<(), DevError> {
        let (Some(models), Some(registry)) = (self.chain().models(), self.registry()) else {
            return Ok(());
        };
        let logs = executed
            .outcome
            .receipts
            .iter()
            .flat_map(|receipt| receipt.logs());
        let events = logs
            .filter(|log| log.address == registry)
            .filter_map(|log| IModelRegistry::ModelRegistered::decode_log_data(&log.data).ok());
        for event in events {
            if let Some(held) = models.find(event.model)? {
                self.attest(&held)?;
            }
        }
        Ok(())
    }

    /// Mines the attestations that wait, when mining is instant.
    pub(crate) fn mine_attestations(&self) -> Result<(), DevError> {
        while self.lock_settings().automine && self.attestation_waits() {
            let mined = self.mine_locked()?;
            if mined.block.block().body.transactions.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Tells whether an attestation waits for its block.
    pub(crate) fn attestation_waits(&self) -> bool {
        let validator = self.accounts().validator_account();
        self.pool().next_nonce(validator).is_some()
    }

    /// Sends an attestation to a model unless it is not registered, or attested already.
    pub(crate) fn attest(&self, held: &Held) -> Result<(), DevError> {
        let Some(registry) = self.registry() else {
            return Ok(());
        };
        let (id, summary) = (held.id, held.summary());
        let (key, validator) = (summary.key(id), self.accounts().validator_account());
        let reader = self.chain().reader()?;
        let state = reader.state(reader.tip())?;
        if !registry::is_registered(&state, registry, key)?
            || registry::has_attested(&state, registry, key, validator)?
        {
            return Ok(());
        }
        let genesis = reader.hash(0)?.unwrap_or_default();
        let chain_id = self.chain().spec().chain_id;
        let digest = summary.attestation_digest(id, genesis, chain_id, registry);
        let signature = self.accounts().sign_as_validator(digest)?;
        let call = IModelRegistry::attestCall {
            model: id,
            summary,
            signatures: vec![signature.as_bytes().to_vec().into()],
        };
        drop(state);
        let (fields, admission) = self.next_call(validator, registry, ATTESTATION_GAS)?;
        let fields = TxEip1559 {
            input: call.abi_encode().into(),
            ..fields
        };
        self.send_as_validator(fields, &admission)
    }

    /// Puts a transaction of the validator's into the pool.
    pub(crate) fn send_as_validator(
        &self,
        fields: TxEip1559,
        admission: &Admission,
    ) -> Result<(), DevError> {
        let typed = TypedTransaction::Eip1559(fields);
        let signed = self.accounts().sign_validator_transaction(typed)?;
        let sender = self.accounts().validator_account();
        match self.pool().admit(signed, sender, admission) {
            // The same attestation may wait already.
            Ok(_) | Err(PoolError::AlreadyKnown) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Lays out a sender's next call, and what the pool must know to take it.
    pub(crate) fn next_call(
        &self,
        sender: Address,
        to: Address,
        gas: u64,
    ) -> Result<(TxEip1559, Admission), DevError> {
        let reader = self.chain().reader()?;
        let state = reader.state(reader.tip())?;
        let account = state.account(sender)?.unwrap_or_default();
        let waiting = self.pool().next_nonce(sender).unwrap_or_default();
        let header = self.pending_header();
        let base_fee = u128::from(header.base_fee_per_gas.unwrap_or_default());
        let chain_id = self.chain().spec().chain_id;
        let fields = TxEip1559 {
            chain_id,
            nonce: waiting.max(account.nonce),
            gas_limit: gas.min(header.gas_limit),
            max_fee_per_gas: base_fee.saturating_mul(FEE_HEADROOM).max(1),
            to: TxKind::Call(to),
            ..TxEip1559::default()
        };
        let admission = Admission {
            account,
            chain_id,
            block_gas_limit: header.gas_limit,
            gas_cap: None,
            intrinsic_gas: 0,
            blobs: false,
        };
        Ok((fields, admission))
    }

    pub(crate) fn registry(&self) -> Option<Address> {
        let assay = self.chain().spec().assay.as_ref();
        assay.map(|assay| assay.model_registry)
    }
}
