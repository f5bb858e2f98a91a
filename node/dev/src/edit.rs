//! Changes of the newest state outside any block, and whole states in and out.

use std::collections::BTreeMap;

use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, Bytes, U256, keccak256};
use assay_types::{Account, AccountChange, StateChanges, StateView as _, allocate};
use serde::{Deserialize, Serialize};

use crate::{Dev, DevError};

/// A whole state, as `--state` and `anvil_dumpState` keep it.
#[derive(Debug, Serialize, Deserialize)]
struct Dump {
    /// A genesis file's accounts serve as well.
    #[serde(alias = "alloc")]
    accounts: BTreeMap<Address, GenesisAccount>,
}

impl Dev {
    /// Changes an account's own fields.
    ///
    /// # Errors
    /// When the store fails.
    pub fn edit_account(
        &self,
        address: Address,
        edit: impl FnOnce(&mut Account),
    ) -> Result<(), DevError> {
        let _mining = self.lock_mining();
        let mut account = self.account(address)?;
        edit(&mut account);
        self.amend(address, account, StateChanges::default(), BTreeMap::new())?;
        self.pool().set_nonce(address, account.nonce);
        Ok(())
    }

    /// Puts code at an address.
    ///
    /// # Errors
    /// When the store fails.
    pub fn set_code(&self, address: Address, code: Bytes) -> Result<(), DevError> {
        let _mining = self.lock_mining();
        let mut account = self.account(address)?;
        account.code_hash = keccak256(&code);
        let mut changes = StateChanges::default();
        changes.codes.insert(account.code_hash, code);
        self.amend(address, account, changes, BTreeMap::new())
    }

    /// Writes a slot of an account's storage.
    ///
    /// # Errors
    /// When the store fails.
    pub fn set_storage(&self, address: Address, slot: U256, value: U256) -> Result<(), DevError> {
        let _mining = self.lock_mining();
        let account = self.account(address)?;
        self.amend(
            address,
            account,
            StateChanges::default(),
            [(slot, value)].into(),
        )
    }

    /// Writes out the newest state.
    ///
    /// # Errors
    /// When the store fails.
    pub fn dump(&self) -> Result<Vec<u8>, DevError> {
        let accounts = self.chain().accounts()?;
        Ok(serde_json::to_vec(&Dump { accounts })?)
    }

    /// Reads a state back in, over the newest one.
    ///
    /// # Errors
    /// When the bytes are no dump, or the store fails.
    pub fn load(&self, bytes: &[u8]) -> Result<(), DevError> {
        let dump: Dump = serde_json::from_slice(bytes)?;
        let _mining = self.lock_mining();
        Ok(self.chain().amend(&allocate(&dump.accounts))?)
    }

    fn account(&self, address: Address) -> Result<Account, DevError> {
        let reader = self.chain().reader()?;
        Ok(reader
            .state(reader.tip())?
            .account(address)?
            .unwrap_or_default())
    }

    fn amend(
        &self,
        address: Address,
        account: Account,
        mut changes: StateChanges,
        storage: BTreeMap<U256, U256>,
    ) -> Result<(), DevError> {
        let change = AccountChange {
            account: Some(account),
            wiped: false,
            storage,
        };
        changes.accounts.insert(address, change);
        Ok(self.chain().amend(&changes)?)
    }
}
