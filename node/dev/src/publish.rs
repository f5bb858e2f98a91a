//! Hot loading: a model given at the start of a chain that exists already.
//!
//! It goes the way every model goes, through the registry; only the publisher's signature is left
//! out, as for any impersonated account.

use alloy_consensus::{TxEip1559, TypedTransaction};
use alloy_primitives::{Address, B256, Signature, U256, uint};
use alloy_sol_types::SolCall as _;
use assay_chain::{Held, registry};
use assay_precompile::registry::Status;
use assay_types::{
    StateView as _,
    contracts::{IModelRegistry, registry as slots},
};

use crate::{Dev, DevError, accounts::with_signature};

/// What a publisher is given to pay for gas: a hundred ether.
const GAS_MONEY: U256 = uint!(100_000_000_000_000_000_000_U256);
/// Gas limit of a registration: enough for the largest manifest a transaction carries.
const REGISTRATION_GAS: u64 = 30_000_000;
/// Gas limit of a transfer; a publisher may be a contract.
const TRANSFER_GAS: u64 = 100_000;

impl Dev {
    /// Registers a model that is here, unless it is, and mines until it is active.
    ///
    /// # Errors
    /// When the registry refuses it, or the chain service fails.
    pub fn publish(&self, held: &Held) -> Result<(), DevError> {
        let _mining = self.lock_mining();
        let Some(registry) = self.registry() else {
            return Ok(());
        };
        if self.is_active(registry, held.id)? {
            return Ok(());
        }
        let summary = held.summary();
        let reader = self.chain().reader()?;
        let state = reader.state(reader.tip())?;
        if !registry::is_registered(&state, registry, summary.key(held.id))? {
            let deposits = state.storage(registry, U256::from(slots::DEPOSITS))?;
            let per_byte: U256 = deposits & ((U256::from(1) << 96) - U256::from(1));
            let deposit = per_byte.saturating_mul(U256::from(held.size_bytes()));
            drop(state);
            self.fund(held.publisher(), deposit.saturating_add(GAS_MONEY))?;
            self.mine_locked()?;
            self.register(held, registry, deposit)?;
            self.mine_locked()?;
        } else {
            self.attest(held)?;
        }
        // The attestation follows the registration.
        self.mine_locked()?;
        match self.is_active(registry, held.id)? {
            true => Ok(()),
            false => Err(DevError::NotActive(held.id)),
        }
    }

    fn is_active(&self, registry: Address, id: B256) -> Result<bool, DevError> {
        let reader = self.chain().reader()?;
        let state = reader.state(reader.tip())?;
        let record = registry::record(&state, registry, id)?;
        Ok(record.status(reader.tip().saturating_add(1)) == Status::Active)
    }

    /// Gives a publisher what the registration costs.
    fn fund(&self, publisher: Address, value: U256) -> Result<(), DevError> {
        let validator = self.accounts().validator_account();
        let (fields, admission) = self.next_call(validator, publisher, TRANSFER_GAS)?;
        self.send_as_validator(TxEip1559 { value, ..fields }, &admission)
    }

    /// Registers a model in its publisher's name, without a signature.
    fn register(&self, held: &Held, registry: Address, value: U256) -> Result<(), DevError> {
        let call = IModelRegistry::registerCall {
            manifest: held.manifest.encode().into(),
            summary: held.summary(),
        };
        let sender = held.publisher();
        let (fields, admission) = self.next_call(sender, registry, REGISTRATION_GAS)?;
        let fields = TxEip1559 {
            value,
            input: call.abi_encode().into(),
            ..fields
        };
        let r = U256::from_be_slice(sender.as_slice());
        let signature = Signature::new(r, U256::from(1), false);
        let transaction = with_signature(TypedTransaction::Eip1559(fields), signature);
        self.pool().admit(transaction, sender, &admission)?;
        Ok(())
    }
}
