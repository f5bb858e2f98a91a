//! The developer accounts: keys derived from a mnemonic, as anvil and Hardhat derive them.

use alloy_consensus::{SignableTransaction as _, TypedTransaction};
use alloy_primitives::{Address, B256, Signature, U256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::{MnemonicBuilder, PrivateKeySigner, coins_bip39::English};
use assay_types::Transaction;

use crate::{DevError, Validator};

/// The mnemonic whose accounts every tool knows. Never send real money to them.
pub const DEFAULT_MNEMONIC: &str = "test test test test test test test test test test test junk";

const DERIVATION_PATH: &str = "m/44'/60'/0'/0/";
/// Path of the node's own key: apart from the developer's, whose nonces must not move by themselves.
const VALIDATOR_PATH: &str = "m/44'/60'/1'/0/0";

/// Keys the node signs with.
#[derive(Debug, Clone)]
pub struct Accounts {
    signers: Vec<PrivateKeySigner>,
    validator: PrivateKeySigner,
}

impl Accounts {
    /// Derives the first `count` accounts of a mnemonic.
    ///
    /// # Errors
    /// When the mnemonic is none.
    pub fn derive(mnemonic: &str, count: u32) -> Result<Self, DevError> {
        let derive = |path: String| {
            MnemonicBuilder::<English>::default()
                .phrase(mnemonic)
                .derivation_path(path)
                .and_then(|builder| builder.build())
                .map_err(|error| DevError::Mnemonic(error.to_string()))
        };
        let signers = (0..count)
            .map(|index| derive(format!("{DERIVATION_PATH}{index}")))
            .collect::<Result<Vec<_>, _>>()?;
        let validator = derive(VALIDATOR_PATH.to_owned())?;
        Ok(Self { signers, validator })
    }

    /// Lists the accounts' addresses.
    #[must_use]
    pub fn addresses(&self) -> Vec<Address> {
        self.signers.iter().map(PrivateKeySigner::address).collect()
    }

    /// Returns the chain's one validator: a key of the node's own. The first developer account may
    /// change the set.
    #[must_use]
    pub fn validator(&self) -> Option<Validator> {
        let key = self.validator.credential().verifying_key();
        let point = key.to_encoded_point(false);
        let (x, y) = (point.x()?, point.y()?);
        let public_key = (U256::from_be_slice(x), U256::from_be_slice(y));
        let account = self.validator.address();
        Some(Validator {
            account,
            public_key,
            admin: self
                .signers
                .first()
                .map_or(account, PrivateKeySigner::address),
        })
    }

    /// Signs a 32-byte hash as the validator.
    ///
    /// # Errors
    /// When the key does not sign.
    pub(crate) fn sign_as_validator(&self, hash: B256) -> Result<Signature, DevError> {
        self.validator
            .sign_hash_sync(&hash)
            .map_err(|error| DevError::Signing(error.to_string()))
    }

    /// Returns the validator's account, which sends its attestations.
    pub(crate) fn validator_account(&self) -> Address {
        self.validator.address()
    }

    /// Signs a transaction of the validator's.
    ///
    /// # Errors
    /// When the key does not sign.
    pub(crate) fn sign_validator_transaction(
        &self,
        transaction: TypedTransaction,
    ) -> Result<Transaction, DevError> {
        let signature = self.sign_as_validator(signature_hash(&transaction))?;
        Ok(with_signature(transaction, signature))
    }

    /// Lists the accounts' keys, to show them to the developer.
    #[must_use]
    pub fn keys(&self) -> Vec<B256> {
        self.signers
            .iter()
            .map(PrivateKeySigner::to_bytes)
            .collect()
    }

    /// Signs a 32-byte hash.
    ///
    /// # Errors
    /// When the account is not one of these.
    pub fn sign_hash(&self, address: Address, hash: B256) -> Result<Signature, DevError> {
        self.find(address)?
            .sign_hash_sync(&hash)
            .map_err(|error| DevError::Signing(error.to_string()))
    }

    /// Signs a message as `personal_sign` does (EIP-191).
    ///
    /// # Errors
    /// When the account is not one of these.
    pub fn sign_message(&self, address: Address, message: &[u8]) -> Result<Signature, DevError> {
        self.find(address)?
            .sign_message_sync(message)
            .map_err(|error| DevError::Signing(error.to_string()))
    }

    /// Signs a transaction.
    ///
    /// # Errors
    /// When the account is not one of these.
    pub fn sign(
        &self,
        address: Address,
        transaction: TypedTransaction,
    ) -> Result<Transaction, DevError> {
        let signature = self.sign_hash(address, signature_hash(&transaction))?;
        Ok(with_signature(transaction, signature))
    }

    fn find(&self, address: Address) -> Result<&PrivateKeySigner, DevError> {
        let found = self
            .signers
            .iter()
            .find(|signer| signer.address() == address);
        found.ok_or(DevError::NoSigner(address))
    }
}

fn signature_hash(transaction: &TypedTransaction) -> B256 {
    match transaction {
        TypedTransaction::Legacy(tx) => tx.signature_hash(),
        TypedTransaction::Eip2930(tx) => tx.signature_hash(),
        TypedTransaction::Eip1559(tx) => tx.signature_hash(),
        TypedTransaction::Eip4844(tx) => tx.signature_hash(),
        TypedTransaction::Eip7702(tx) => tx.signature_hash(),
    }
}

/// Joins a transaction and a signature.
#[must_use]
pub fn with_signature(transaction: TypedTransaction, signature: Signature) -> Transaction {
    match transaction {
        TypedTransaction::Legacy(tx) => Transaction::Legacy(tx.into_signed(signature)),
        TypedTransaction::Eip2930(tx) => Transaction::Eip2930(tx.into_signed(signature)),
        TypedTransaction::Eip1559(tx) => Transaction::Eip1559(tx.into_signed(signature)),
        TypedTransaction::Eip4844(tx) => {
            Transaction::Eip4844(alloy_consensus::TxEip4844::from(tx).into_signed(signature))
        }
        TypedTransaction::Eip7702(tx) => Transaction::Eip7702(tx.into_signed(signature)),
    }
}
