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

/// Keys the node signs with.
#[derive(Debug, Clone)]
pub struct Accounts {
    signers: Vec<PrivateKeySigner>,
}

impl Accounts {
    /// Derives the first `count` accounts of a mnemonic.
    ///
    /// # Errors
    /// When the mnemonic is none.
    pub fn derive(mnemonic: &str, count: u32) -> Result<Self, DevError> {
        let signers = (0..count)
            .map(|index| {
                MnemonicBuilder::<English>::default()
                    .phrase(mnemonic)
                    .derivation_path(format!("{DERIVATION_PATH}{index}"))
                    .and_then(|builder| builder.build())
                    .map_err(|error| DevError::Mnemonic(error.to_string()))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { signers })
    }

    /// Lists the accounts' addresses.
    #[must_use]
    pub fn addresses(&self) -> Vec<Address> {
        self.signers.iter().map(PrivateKeySigner::address).collect()
    }

    /// Makes the first account the validator of its chain.
    #[must_use]
    pub fn validator(&self) -> Option<Validator> {
        let signer = self.signers.first()?;
        let point = signer.credential().verifying_key().to_encoded_point(false);
        let (x, y) = (point.x()?, point.y()?);
        let public_key = (U256::from_be_slice(x), U256::from_be_slice(y));
        Some(Validator {
            account: signer.address(),
            public_key,
        })
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
