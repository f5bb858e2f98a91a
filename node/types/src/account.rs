//! Accounts, the changes a block makes to them, and how executed code reads them.

use std::collections::BTreeMap;

use alloy_consensus::constants::KECCAK_EMPTY;
use alloy_primitives::{Address, B256, Bytes, U256};

/// An account's own fields; its storage and code live beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Number of transactions sent, or of contracts created.
    pub nonce: u64,
    /// Balance in wei.
    pub balance: U256,
    /// Keccak-256 of the code; [`KECCAK_EMPTY`] when there is none.
    pub code_hash: B256,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            nonce: 0,
            balance: U256::ZERO,
            code_hash: KECCAK_EMPTY,
        }
    }
}

impl Account {
    /// Tells whether the account holds nothing (EIP-161).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance.is_zero() && self.code_hash == KECCAK_EMPTY
    }

    /// Tells whether the account has code.
    #[must_use]
    pub fn has_code(&self) -> bool {
        self.code_hash != KECCAK_EMPTY
    }
}

/// What happened to one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountChange {
    /// The account afterwards; `None` when it is gone.
    pub account: Option<Account>,
    /// Whether everything it stored before is gone; `storage` then lists all it stores now.
    pub wiped: bool,
    /// Slots written, with their values afterwards; zero clears a slot.
    pub storage: BTreeMap<U256, U256>,
}

/// The difference between two states, in a canonical order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateChanges {
    /// Changed accounts by address.
    pub accounts: BTreeMap<Address, AccountChange>,
    /// Code that became known, by hash.
    pub codes: BTreeMap<B256, Bytes>,
}

impl StateChanges {
    /// Tells whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.codes.is_empty()
    }
}

/// Reads one state: that after some block. Every read is of the same moment.
pub trait StateView {
    /// What can go wrong on this machine; never the fault of a transaction.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Reads an account; `None` when it does not exist.
    ///
    /// # Errors
    /// When this machine cannot read its store.
    fn account(&self, address: Address) -> Result<Option<Account>, Self::Error>;

    /// Reads a slot of an account's storage; zero when it was never written.
    ///
    /// # Errors
    /// When this machine cannot read its store.
    fn storage(&self, address: Address, slot: U256) -> Result<U256, Self::Error>;

    /// Reads code by its hash.
    ///
    /// # Errors
    /// When this machine cannot read its store, or when it lacks code an account refers to.
    fn code(&self, hash: B256) -> Result<Bytes, Self::Error>;

    /// Reads the hash of an earlier block; zero when there is no such block.
    ///
    /// # Errors
    /// When this machine cannot read its store.
    fn block_hash(&self, number: u64) -> Result<B256, Self::Error>;
}

macro_rules! delegate {
    ($pointer:ty) => {
        impl<V: StateView + ?Sized> StateView for $pointer {
            type Error = V::Error;

            fn account(&self, address: Address) -> Result<Option<Account>, Self::Error> {
                (**self).account(address)
            }

            fn storage(&self, address: Address, slot: U256) -> Result<U256, Self::Error> {
                (**self).storage(address, slot)
            }

            fn code(&self, hash: B256) -> Result<Bytes, Self::Error> {
                (**self).code(hash)
            }

            fn block_hash(&self, number: u64) -> Result<B256, Self::Error> {
                (**self).block_hash(number)
            }
        }
    };
}

delegate!(&V);
delegate!(std::sync::Arc<V>);
