//! Keys and values as bytes.

use alloy_primitives::{Address, B256, U256};
use assay_types::Account;

use crate::{
    StateError,
    tables::{NODE_KEY_BYTES, SLOT_KEY_BYTES},
};

const ACCOUNT_BYTES: usize = 8 + 32 + 32;

pub(crate) fn encode_account(account: &Account) -> [u8; ACCOUNT_BYTES] {
    let mut out = [0; ACCOUNT_BYTES];
    out[..8].copy_from_slice(&account.nonce.to_be_bytes());
    out[8..40].copy_from_slice(&account.balance.to_be_bytes::<32>());
    out[40..].copy_from_slice(account.code_hash.as_slice());
    out
}

/// Decodes an account; empty bytes stand for none.
pub(crate) fn decode_account(bytes: &[u8]) -> Result<Option<Account>, StateError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let bytes: &[u8; ACCOUNT_BYTES] = bytes
        .try_into()
        .map_err(|_| StateError::Corrupt("account"))?;
    let (nonce, rest) = bytes
        .split_first_chunk::<8>()
        .ok_or(StateError::Corrupt("account"))?;
    let (balance, code) = rest
        .split_first_chunk::<32>()
        .ok_or(StateError::Corrupt("account"))?;
    Ok(Some(Account {
        nonce: u64::from_be_bytes(*nonce),
        balance: U256::from_be_bytes(*balance),
        code_hash: B256::from_slice(code),
    }))
}

pub(crate) fn slot_key(address: Address, slot: U256) -> [u8; SLOT_KEY_BYTES] {
    join(address.as_slice(), &slot.to_be_bytes::<32>())
}

pub(crate) fn account_history_key(address: Address, block: u64) -> [u8; 28] {
    join(address.as_slice(), &block.to_be_bytes())
}

pub(crate) fn storage_history_key(address: Address, slot: U256, block: u64) -> [u8; 60] {
    join(&slot_key(address, slot), &block.to_be_bytes())
}

pub(crate) fn node_key(owner: B256, hash: B256) -> [u8; NODE_KEY_BYTES] {
    join(owner.as_slice(), hash.as_slice())
}

pub(crate) fn log_address_key(address: Address, block: u64) -> [u8; 28] {
    join(address.as_slice(), &block.to_be_bytes())
}

pub(crate) fn log_topic_key(position: u8, topic: B256, block: u64) -> [u8; 41] {
    let head: [u8; 33] = join(&[position], topic.as_slice());
    join(&head, &block.to_be_bytes())
}

/// The first and last key that begin with an owner of `P` bytes among keys of `N`.
pub(crate) fn prefix_range<const N: usize>(prefix: &[u8]) -> std::ops::RangeInclusive<[u8; N]> {
    let (mut first, mut last) = ([0; N], [0xff; N]);
    first[..prefix.len()].copy_from_slice(prefix);
    last[..prefix.len()].copy_from_slice(prefix);
    first..=last
}

/// Takes the block number at the end of an index key.
pub(crate) fn block_of_key(key: &[u8]) -> Result<u64, StateError> {
    let tail = key
        .last_chunk::<8>()
        .ok_or(StateError::Corrupt("index key"))?;
    Ok(u64::from_be_bytes(*tail))
}

/// Joins two parts whose lengths add up to `N`.
fn join<const N: usize>(head: &[u8], tail: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out[..head.len()].copy_from_slice(head);
    out[head.len()..].copy_from_slice(tail);
    out
}

/// The keys a block changed: a count of accounts, the accounts, then slots to the end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ChangedKeys {
    pub(crate) accounts: Vec<Address>,
    pub(crate) slots: Vec<(Address, U256)>,
}

impl ChangedKeys {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let size = 8 + self.accounts.len() * 20 + self.slots.len() * SLOT_KEY_BYTES;
        let mut out = Vec::with_capacity(size);
        out.extend_from_slice(&(self.accounts.len() as u64).to_be_bytes());
        self.accounts
            .iter()
            .for_each(|address| out.extend_from_slice(address.as_slice()));
        self.slots
            .iter()
            .for_each(|(a, slot)| out.extend_from_slice(&slot_key(*a, *slot)));
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        const BAD: StateError = StateError::Corrupt("list of changed keys");
        let (count, mut rest) = bytes.split_first_chunk::<8>().ok_or(BAD)?;
        let mut keys = Self::default();
        for _ in 0..u64::from_be_bytes(*count) {
            let (address, tail) = rest.split_first_chunk::<20>().ok_or(BAD)?;
            keys.accounts.push(Address::from(address));
            rest = tail;
        }
        while let Some((key, tail)) = rest.split_first_chunk::<SLOT_KEY_BYTES>() {
            let (address, slot) = key.split_first_chunk::<20>().ok_or(BAD)?;
            keys.slots
                .push((Address::from(address), U256::from_be_slice(slot)));
            rest = tail;
        }
        match rest.is_empty() {
            true => Ok(keys),
            false => Err(BAD),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_survives_its_encoding() {
        let account = Account {
            nonce: 7,
            balance: U256::MAX,
            code_hash: B256::repeat_byte(3),
        };
        assert_eq!(
            decode_account(&encode_account(&account)).unwrap(),
            Some(account)
        );
        assert_eq!(decode_account(&[]).unwrap(), None);
        assert!(decode_account(&[1; 71]).is_err());
    }

    #[test]
    fn changed_keys_refuse_cut_and_padded_bytes() {
        let keys = ChangedKeys {
            accounts: vec![Address::repeat_byte(1), Address::repeat_byte(2)],
            slots: vec![(Address::repeat_byte(1), U256::from(9))],
        };
        let bytes = keys.encode();
        assert_eq!(ChangedKeys::decode(&bytes).unwrap(), keys);
        assert!(ChangedKeys::decode(&bytes[..bytes.len() - 1]).is_err());
        assert!(ChangedKeys::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
        assert!(ChangedKeys::decode(&bytes[..30]).is_err());
    }
}
