//! The registry's storage, as far as a call depends on it: one word for each model.
//!
//! The layout is the contract's; contracts/STORAGE.md describes it.

use alloy_primitives::{B256, U256, keccak256};

/// The storage slot of the mapping from model id to its record.
const RECORDS_SLOT: u64 = 4;

/// Holds the first word of a model's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    status: u8,
    /// Whether the owner warns against new use.
    pub deprecated: bool,
    /// First block at which an attested model runs.
    pub activation_height: u64,
    /// Bytes of the bundle's files.
    pub size_bytes: u64,
}

/// Says where a model stands at a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The registry has no such id.
    Unknown,
    /// Waits for attestations.
    Pending,
    /// Attested; runs from the activation height on.
    Scheduled,
    /// Runs.
    Active,
    /// Suspended by the validators.
    Suspended,
}

impl Record {
    /// Returns the storage key of a model's record.
    pub fn key(model: B256) -> U256 {
        let mut bytes = [0u8; 64];
        bytes[..32].copy_from_slice(model.as_slice());
        bytes[32..].copy_from_slice(&U256::from(RECORDS_SLOT).to_be_bytes::<32>());
        U256::from_be_bytes(keccak256(bytes).0)
    }

    /// Decodes the word.
    pub fn decode(word: U256) -> Record {
        let field = |from: usize, bits: usize| {
            let mask = if bits == 64 {
                u64::MAX
            } else {
                (1 << bits) - 1
            };
            (word >> from).as_limbs()[0] & mask
        };
        Record {
            status: field(0, 8) as u8,
            deprecated: field(8, 8) != 0,
            activation_height: field(16, 64),
            size_bytes: field(80, 64),
        }
    }

    /// Says where the model stands at a height.
    pub fn status(&self, height: u64) -> Status {
        match self.status {
            1 => Status::Pending,
            3 if height < self.activation_height => Status::Scheduled,
            3 => Status::Active,
            4 => Status::Suspended,
            // 2 is computed, never stored; the contract writes nothing else.
            _ => Status::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_lie_where_the_contract_puts_them() {
        let word = U256::from(3u64)
            | U256::from(1u64) << 8
            | U256::from(77u64) << 16
            | U256::from(123_456u64) << 80;
        let record = Record::decode(word);
        assert!(record.deprecated);
        assert_eq!((record.activation_height, record.size_bytes), (77, 123_456));
        assert_eq!(record.status(76), Status::Scheduled);
        assert_eq!(record.status(77), Status::Active);
        assert_eq!(Record::decode(U256::ZERO).status(0), Status::Unknown);
    }
}
