//! What voting leaves: certificates, proposals not yet decided, evidence, divergences.

use alloy_primitives::{Address, B256, keccak256};
use assay_types::Certificate;
use redb::{ReadableTable as _, WriteTransaction};

use crate::{Reader, StateError, Store, tables};

/// Most proposals of one height that are kept; each round brings one.
const MOST_PROPOSALS: usize = 64;
/// Most entries a listing answers.
const MOST_LISTED: usize = 1_000;

/// Something kept by height.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The height.
    pub height: u64,
    /// Its bytes, in the form of whoever kept it.
    pub bytes: Vec<u8>,
}

impl Store {
    /// Keeps a proposal until its height is decided: what is voted for must survive a crash.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn keep_proposal(&self, height: u64, hash: B256, bytes: &[u8]) -> Result<(), StateError> {
        let write = self.begin()?;
        {
            let mut table = write.open_table(tables::PROPOSALS)?;
            let kept = table.range(height_range(height))?.count();
            if kept < MOST_PROPOSALS {
                table.insert(height_key(height, hash), bytes)?;
            }
        }
        write.commit()?;
        Ok(())
    }

    /// Keeps evidence that a validator signed two things where it may sign one.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn keep_evidence(
        &self,
        height: u64,
        validator: Address,
        bytes: &[u8],
    ) -> Result<(), StateError> {
        let mut key = [0; 60];
        key[..8].copy_from_slice(&height.to_be_bytes());
        key[8..28].copy_from_slice(validator.as_slice());
        key[28..].copy_from_slice(keccak256(bytes).as_slice());
        let write = self.begin()?;
        write.open_table(tables::EVIDENCE)?.insert(key, bytes)?;
        write.commit()?;
        Ok(())
    }

    /// Keeps the report of a proposal that this node computes differently.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn keep_divergence(&self, height: u64, hash: B256, bytes: &[u8]) -> Result<(), StateError> {
        let write = self.begin()?;
        write
            .open_table(tables::DIVERGENCES)?
            .insert(height_key(height, hash), bytes)?;
        write.commit()?;
        Ok(())
    }
}

impl Reader {
    /// Returns the number of the oldest block whose certificate is kept; `None` when none is.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn first_decided(&self) -> Result<Option<u64>, StateError> {
        let table = self.open(tables::CERTIFICATES)?;
        Ok(table.first()?.map(|(number, _)| number.value()))
    }

    /// Reads what decided a block; `None` where nobody votes.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn certificate(&self, number: u64) -> Result<Option<Certificate>, StateError> {
        let Some(bytes) = self.bytes(tables::CERTIFICATES, number)? else {
            return Ok(None);
        };
        let certificate = Certificate::decode(&bytes);
        certificate
            .map(Some)
            .map_err(|_| StateError::Corrupt("certificate"))
    }

    /// Lists the proposals of a height that is not yet decided.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn proposals(&self, height: u64) -> Result<Vec<Vec<u8>>, StateError> {
        let table = self.open(tables::PROPOSALS)?;
        table
            .range(height_range(height))?
            .map(|entry| Ok(entry?.1.value().to_vec()))
            .collect()
    }

    /// Lists the newest evidence of validators that signed two things.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn evidence(&self) -> Result<Vec<Seen>, StateError> {
        self.newest(tables::EVIDENCE)
    }

    /// Lists the newest reports of proposals that this node computes differently.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn divergences(&self) -> Result<Vec<Seen>, StateError> {
        self.newest(tables::DIVERGENCES)
    }

    fn newest<const N: usize>(
        &self,
        table: redb::TableDefinition<'_, [u8; N], &'static [u8]>,
    ) -> Result<Vec<Seen>, StateError> {
        let table = self.open(table)?;
        let newest = table.iter()?.rev().take(MOST_LISTED);
        newest
            .map(|entry| {
                let (key, bytes) = entry?;
                let height = key.value().first_chunk().copied().unwrap_or_default();
                Ok(Seen {
                    height: u64::from_be_bytes(height),
                    bytes: bytes.value().to_vec(),
                })
            })
            .collect()
    }
}

/// Drops the proposals of a decided height and those before it.
pub(crate) fn drop_proposals(write: &WriteTransaction, height: u64) -> Result<(), StateError> {
    let mut table = write.open_table(tables::PROPOSALS)?;
    table.retain_in(..=height_key(height, B256::repeat_byte(0xff)), |_, _| false)?;
    Ok(())
}

fn height_key(height: u64, hash: B256) -> [u8; 40] {
    let mut key = [0; 40];
    key[..8].copy_from_slice(&height.to_be_bytes());
    key[8..].copy_from_slice(hash.as_slice());
    key
}

fn height_range(height: u64) -> std::ops::RangeInclusive<[u8; 40]> {
    height_key(height, B256::ZERO)..=height_key(height, B256::repeat_byte(0xff))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drop_to(store: &Store, height: u64) {
        let write = store.begin().unwrap();
        drop_proposals(&write, height).unwrap();
        write.commit().unwrap();
    }

    fn store() -> Store {
        let block = assay_types::RecoveredBlock::with_senders(Default::default(), Vec::new());
        let (store, changes) = (Store::in_memory().unwrap(), Default::default());
        let trie = store.root(&changes).unwrap();
        store.initialize(&block.unwrap(), &changes, &trie).unwrap();
        store
    }

    #[test]
    fn proposals_are_kept_until_their_height_is_decided() {
        let store = store();
        let (one, two) = (B256::repeat_byte(1), B256::repeat_byte(2));
        store.keep_proposal(5, one, b"a").unwrap();
        store.keep_proposal(5, two, b"b").unwrap();
        store.keep_proposal(6, one, b"c").unwrap();
        drop_to(&store, 4);
        let read = |height| store.reader().unwrap().proposals(height).unwrap();
        assert_eq!(read(5), [b"a".to_vec(), b"b".to_vec()]);
        drop_to(&store, 5);
        assert!(read(5).is_empty());
        assert_eq!(read(6), [b"c".to_vec()]);
    }

    #[test]
    fn proposals_of_a_height_are_bounded() {
        let store = store();
        for index in 0..=MOST_PROPOSALS {
            let hash = B256::from(alloy_primitives::U256::from(index));
            store.keep_proposal(1, hash, b"x").unwrap();
        }
        let kept = store.reader().unwrap().proposals(1).unwrap();
        assert_eq!(kept.len(), MOST_PROPOSALS);
    }

    #[test]
    fn newest_evidence_comes_first_and_one_piece_is_kept_once() {
        let store = store();
        let liar = Address::repeat_byte(1);
        for (height, bytes) in [(3, b"a"), (9, b"b"), (3, b"a"), (3, b"c")] {
            store.keep_evidence(height, liar, bytes).unwrap();
        }
        let heights = store.reader().unwrap().evidence().unwrap();
        let heights: Vec<u64> = heights.iter().map(|seen| seen.height).collect();
        assert_eq!(heights, [9, 3, 3]);
    }
}
