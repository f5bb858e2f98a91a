//! A view with changes on top: what a state would be if they were made.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256};

use crate::{Account, AccountChange, StateChanges, StateView};

/// A view with changes on top.
#[derive(Debug, Clone)]
pub struct Overlay<V> {
    base: V,
    changes: StateChanges,
    hashes: BTreeMap<u64, B256>,
}

impl<V> Overlay<V> {
    /// Puts changes on top of a view.
    pub const fn new(base: V, changes: StateChanges) -> Self {
        Self {
            base,
            changes,
            hashes: BTreeMap::new(),
        }
    }

    /// Returns the view underneath.
    pub const fn base(&self) -> &V {
        &self.base
    }

    /// Returns all changes on top.
    pub const fn changes(&self) -> &StateChanges {
        &self.changes
    }

    /// Puts more changes on top of those already there.
    pub fn apply(&mut self, changes: StateChanges) {
        self.changes.codes.extend(changes.codes);
        for (address, change) in changes.accounts {
            match self.changes.accounts.get_mut(&address) {
                Some(old) => merge(old, change),
                None => {
                    self.changes.accounts.insert(address, change);
                }
            }
        }
    }

    /// Makes a block known that the view underneath does not have.
    pub fn set_block_hash(&mut self, number: u64, hash: B256) {
        self.hashes.insert(number, hash);
    }
}

fn merge(old: &mut AccountChange, new: AccountChange) {
    if new.wiped || new.account.is_none() {
        old.wiped = true;
        old.storage.clear();
    }
    old.account = new.account;
    old.storage.extend(new.storage);
}

impl<V: StateView> StateView for Overlay<V> {
    type Error = V::Error;

    fn account(&self, address: Address) -> Result<Option<Account>, V::Error> {
        match self.changes.accounts.get(&address) {
            Some(change) => Ok(change.account),
            None => self.base.account(address),
        }
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, V::Error> {
        match self.changes.accounts.get(&address) {
            Some(change) => match change.storage.get(&slot) {
                Some(value) => Ok(*value),
                None if change.wiped || change.account.is_none() => Ok(U256::ZERO),
                None => self.base.storage(address, slot),
            },
            None => self.base.storage(address, slot),
        }
    }

    fn code(&self, hash: B256) -> Result<Bytes, V::Error> {
        match self.changes.codes.get(&hash) {
            Some(code) => Ok(code.clone()),
            None => self.base.code(hash),
        }
    }

    fn block_hash(&self, number: u64) -> Result<B256, V::Error> {
        match self.hashes.get(&number) {
            Some(hash) => Ok(*hash),
            None => self.base.block_hash(number),
        }
    }
}
