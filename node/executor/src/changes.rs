//! Turns revm's bundle of changes into ours.

use std::collections::BTreeMap;

use assay_types::{Account, AccountChange, StateChanges};
use revm::{
    database::{BundleAccount, BundleState},
    state::AccountInfo,
};

/// Lists a bundle's changes in canonical order.
pub(crate) fn from_bundle(bundle: &BundleState) -> StateChanges {
    let accounts = bundle
        .state
        .iter()
        .filter_map(|(address, account)| Some((*address, account_change(account)?)))
        .collect();
    let codes = bundle
        .contracts
        .iter()
        .map(|(hash, code)| (*hash, code.original_bytes()))
        .filter(|(_, code)| !code.is_empty())
        .collect();
    StateChanges { accounts, codes }
}

fn account_change(bundle: &BundleAccount) -> Option<AccountChange> {
    let wiped = bundle.was_destroyed();
    let storage: BTreeMap<_, _> = bundle
        .storage
        .iter()
        .filter(|(_, slot)| wiped || slot.is_changed())
        .map(|(slot, value)| (*slot, value.present_value))
        .collect();
    let unchanged = bundle.info == bundle.original_info && storage.is_empty() && !wiped;
    (!unchanged).then(|| AccountChange {
        account: bundle.info.as_ref().map(account),
        wiped,
        storage,
    })
}

pub(crate) fn account(info: &AccountInfo) -> Account {
    Account {
        nonce: info.nonce,
        balance: info.balance,
        code_hash: info.code_hash,
    }
}
