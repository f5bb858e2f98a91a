//! The validator set as the ValidatorSet contract stores it (contracts/STORAGE.md).

use alloy_primitives::{Address, B256, U256};

use crate::{
    certificate::MAX_VALIDATORS,
    contracts::{array_slot, validators},
    digest::{Validator, set_hash},
};

/// The EIP-7685 request type that carries the hash of the set that follows this block's.
pub const NEXT_SET_REQUEST_TYPE: u8 = 0xa2;

/// When the set in force gives way to the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Schedule {
    switch_height: u64,
    current: u8,
}

impl Schedule {
    fn decode(word: U256) -> Self {
        let [_, _, switch_height, rest] = *word.as_limbs();
        let current = u8::try_from((rest >> 32) & 0xff).unwrap_or_default();
        Self {
            switch_height,
            current,
        }
    }

    const fn buffer_at(self, height: u64) -> u64 {
        let switched = self.switch_height != 0 && height >= self.switch_height;
        let current = (self.current & 1) as u64;
        if switched { 1 - current } else { current }
    }
}

/// Reads the set in force at a height out of the contract's storage.
///
/// # Errors
/// When the storage cannot be read.
pub fn set_at<E>(
    height: u64,
    mut read: impl FnMut(U256) -> Result<U256, E>,
) -> Result<Vec<Validator>, E> {
    let schedule = Schedule::decode(read(U256::from(validators::EPOCHS))?);
    let slot = validators::MEMBERS + schedule.buffer_at(height);
    let count = read(U256::from(slot))?.saturating_to::<u64>();
    let first = array_slot(slot);
    (0..count.min(MAX_VALIDATORS as u64))
        .map(|index| {
            let word = read(first.wrapping_add(U256::from(index)))?;
            Ok(Validator {
                account: Address::from_word(B256::from(word)),
                power: (word >> 160_usize).as_limbs()[0],
            })
        })
        .collect()
}

/// Writes the request of a block after which another set is in force; `None` when the set stays.
///
/// # Errors
/// When the storage cannot be read.
pub fn next_set_request<E>(
    block: u64,
    mut read: impl FnMut(U256) -> Result<U256, E>,
) -> Result<Option<Vec<u8>>, E> {
    let schedule = Schedule::decode(read(U256::from(validators::EPOCHS))?);
    let next = block.saturating_add(1);
    if schedule.switch_height != next {
        return Ok(None);
    }
    let set = set_at(next, read)?;
    let mut request = vec![NEXT_SET_REQUEST_TYPE];
    request.extend_from_slice(set_hash(&set).as_slice());
    Ok(Some(request))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, convert::Infallible};

    use super::*;

    fn word(validator: Validator) -> U256 {
        U256::from_be_bytes(validator.account.into_word().0) | U256::from(validator.power) << 160
    }

    /// Two sets, the second in force from height 10.
    fn storage() -> (BTreeMap<U256, U256>, Validator, Validator) {
        let one = Validator {
            account: Address::repeat_byte(1),
            power: 3,
        };
        let two = Validator {
            account: Address::repeat_byte(2),
            power: u64::MAX,
        };
        let schedule = U256::from(5) | U256::from(1) << 64 | U256::from(10) << 128;
        let slots = [
            (U256::from(validators::EPOCHS), schedule),
            (U256::from(6), U256::from(1)),
            (array_slot(6), word(one)),
            (U256::from(7), U256::from(2)),
            (array_slot(7), word(one)),
            (array_slot(7) + U256::from(1), word(two)),
        ];
        (slots.into(), one, two)
    }

    #[test]
    fn set_changes_at_its_height() {
        let (slots, one, two) = storage();
        let read = |slot| Ok::<_, Infallible>(slots.get(&slot).copied().unwrap_or_default());
        assert_eq!(set_at(9, read).unwrap(), [one]);
        assert_eq!(set_at(10, read).unwrap(), [one, two]);
    }

    #[test]
    fn last_block_of_a_set_names_the_next_and_no_other_does() {
        let (slots, one, two) = storage();
        let read = |slot| Ok::<_, Infallible>(slots.get(&slot).copied().unwrap_or_default());
        let request = next_set_request(9, read).unwrap().unwrap();
        assert_eq!(request[0], NEXT_SET_REQUEST_TYPE);
        assert_eq!(request[1..], set_hash(&[one, two])[..]);
        for block in [0, 8, 10, u64::MAX] {
            assert_eq!(next_set_request(block, read).unwrap(), None);
        }
    }
}
