//! Inference records and the one request of each block that commits to them.
//!
//! The block's records form a binary Merkle tree: a leaf is `keccak256(0x00 || record)`, a node
//! `keccak256(0x01 || left || right)`, an odd node is promoted unchanged. The request is of type
//! `0xA1` and its data is `uint32 count || root`, big-endian, in every block, so the header's
//! `requestsHash` (EIP-7685) covers the records and needs no new header field.

use alloy_primitives::{Address, B256, Bytes, keccak256};

/// The EIP-7685 request type that carries the root of a block's records.
pub const RECORDS_REQUEST_TYPE: u8 = 0xa1;

/// Bytes of a record's canonical encoding.
pub const RECORD_SIZE_BYTES: usize = 4 + 4 + 20 + 32 + 4 + 32 + 32 + 8 + 1;

const REQUEST_DATA_SIZE_BYTES: usize = 4 + 32;
const LEAF_TAG: u8 = 0;
const NODE_TAG: u8 = 1;

/// One completed call of the inference precompile in a block's canonical execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InferenceRecord {
    /// Index of the transaction in the block.
    pub transaction_index: u32,
    /// Index of the call in the transaction, in order of completion.
    pub call_index: u32,
    /// Account that called the precompile.
    pub caller: Address,
    /// The model that answered.
    pub model_id: B256,
    /// Selector of the method called.
    pub method: [u8; 4],
    /// Keccak-256 of the input bytes.
    pub input_hash: B256,
    /// Keccak-256 of the output bytes.
    pub output_hash: B256,
    /// Gas charged for the call.
    pub gas: u64,
    /// Whether an enclosing frame, or the transaction, reverted later.
    pub reverted: bool,
}

impl InferenceRecord {
    /// Encodes the record: fields in order, integers big-endian, no padding.
    #[must_use]
    pub fn encode(&self) -> [u8; RECORD_SIZE_BYTES] {
        let mut out = [0; RECORD_SIZE_BYTES];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(&self.transaction_index.to_be_bytes());
        put(&self.call_index.to_be_bytes());
        put(self.caller.as_slice());
        put(self.model_id.as_slice());
        put(&self.method);
        put(self.input_hash.as_slice());
        put(self.output_hash.as_slice());
        put(&self.gas.to_be_bytes());
        put(&[u8::from(self.reverted)]);
        out
    }

    /// Decodes exactly one record; `None` for any other bytes than [`Self::encode`] makes.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let record = Self {
            transaction_index: u32::from_be_bytes(take(&mut rest)?),
            call_index: u32::from_be_bytes(take(&mut rest)?),
            caller: Address::new(take(&mut rest)?),
            model_id: B256::new(take(&mut rest)?),
            method: take(&mut rest)?,
            input_hash: B256::new(take(&mut rest)?),
            output_hash: B256::new(take(&mut rest)?),
            gas: u64::from_be_bytes(take(&mut rest)?),
            reverted: match take::<1>(&mut rest)? {
                [0] => false,
                [1] => true,
                _ => return None,
            },
        };
        rest.is_empty().then_some(record)
    }

    /// Hashes the record as a leaf of its block's tree.
    #[must_use]
    pub fn leaf(&self) -> B256 {
        let mut bytes = Vec::with_capacity(1 + RECORD_SIZE_BYTES);
        bytes.push(LEAF_TAG);
        bytes.extend_from_slice(&self.encode());
        keccak256(bytes)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

/// Number and root of a block's records, as its request carries them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordsRequest {
    /// Number of records.
    pub count: u32,
    /// Root of their tree; zero when there are none.
    pub root: B256,
}

impl RecordsRequest {
    /// Commits to a block's records.
    ///
    /// # Panics
    /// Never: a block's gas bounds its records far below `u32::MAX`.
    #[must_use]
    pub fn of(records: &[InferenceRecord]) -> Self {
        let count = u32::try_from(records.len()).expect("invariant: gas bounds a block's records");
        Self {
            count,
            root: records_root(records),
        }
    }

    /// Encodes the request as EIP-7685 has it: the type byte, then the data.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(1 + REQUEST_DATA_SIZE_BYTES);
        out.push(RECORDS_REQUEST_TYPE);
        out.extend_from_slice(&self.count.to_be_bytes());
        out.extend_from_slice(self.root.as_slice());
        out.into()
    }

    /// Decodes a request, type byte included; `None` when it is not one of records.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, mut rest) = bytes.split_first()?;
        if *kind != RECORDS_REQUEST_TYPE {
            return None;
        }
        let count = u32::from_be_bytes(take(&mut rest)?);
        let root = B256::new(take(&mut rest)?);
        rest.is_empty().then_some(Self { count, root })
    }
}

/// Computes the root of a block's records; zero when there are none.
#[must_use]
pub fn records_root(records: &[InferenceRecord]) -> B256 {
    let mut level: Vec<B256> = records.iter().map(InferenceRecord::leaf).collect();
    while level.len() > 1 {
        level = parents(&level);
    }
    level.first().copied().unwrap_or_default()
}

/// Collects the siblings from a record's leaf up to the root; `None` past the last record.
#[must_use]
pub fn records_branch(records: &[InferenceRecord], index: usize) -> Option<Vec<B256>> {
    records.get(index)?;
    let mut level: Vec<B256> = records.iter().map(InferenceRecord::leaf).collect();
    let mut position = index;
    let mut branch = Vec::new();
    while level.len() > 1 {
        // A promoted node has no sibling: its level adds nothing to the branch.
        branch.extend(level.get(position ^ 1));
        level = parents(&level);
        position /= 2;
    }
    Some(branch)
}

/// Checks that a leaf stands at `index` of the `count` leaves under `root`.
#[must_use]
pub fn verify_branch(leaf: B256, index: u32, count: u32, branch: &[B256], root: B256) -> bool {
    climb(leaf, index, count, branch) == Some(root)
}

/// Climbs from a leaf at `index` of `count` to the root; `None` when the branch has not as many
/// siblings as such a place has, or there is no such place.
#[must_use]
pub fn climb(leaf: B256, index: u32, count: u32, branch: &[B256]) -> Option<B256> {
    if index >= count {
        return None;
    }
    let (mut node, mut position, mut width) = (leaf, index, count);
    let mut siblings = branch.iter();
    while width > 1 {
        let promoted = position == width - 1 && width % 2 == 1;
        if !promoted {
            let sibling = siblings.next()?;
            node = match position % 2 {
                0 => parent(&node, sibling),
                _ => parent(sibling, &node),
            };
        }
        position /= 2;
        width = width.div_ceil(2);
    }
    siblings.next().is_none().then_some(node)
}

fn parents(level: &[B256]) -> Vec<B256> {
    level
        .chunks(2)
        .map(|pair| match pair {
            [left, right] => parent(left, right),
            [odd] => *odd,
            _ => B256::ZERO,
        })
        .collect()
}

fn parent(left: &B256, right: &B256) -> B256 {
    let mut bytes = [NODE_TAG; 65];
    bytes[1..33].copy_from_slice(left.as_slice());
    bytes[33..].copy_from_slice(right.as_slice());
    keccak256(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(count: u32) -> Vec<InferenceRecord> {
        (0..count)
            .map(|i| InferenceRecord {
                transaction_index: i / 3,
                call_index: i % 3,
                caller: Address::repeat_byte(7),
                model_id: B256::repeat_byte(9),
                method: [1, 2, 3, 4],
                input_hash: keccak256(i.to_be_bytes()),
                output_hash: keccak256(i.to_le_bytes()),
                gas: 1_000 + u64::from(i),
                reverted: i % 2 == 1,
            })
            .collect()
    }

    #[test]
    fn every_branch_proves_its_record_at_its_index_only() {
        for count in 1..=17 {
            let records = records(count);
            let root = records_root(&records);
            for (index, record) in (0..count).zip(&records) {
                let branch = records_branch(&records, index as usize).unwrap();
                assert!(verify_branch(record.leaf(), index, count, &branch, root));
                for other in (0..=count).filter(|other| *other != index) {
                    assert!(!verify_branch(record.leaf(), other, count, &branch, root));
                }
            }
        }
    }

    #[test]
    fn branch_refuses_missing_and_surplus_siblings() {
        let records = records(5);
        let root = records_root(&records);
        let mut branch = records_branch(&records, 1).unwrap();
        branch.push(B256::ZERO);
        assert!(!verify_branch(records[1].leaf(), 1, 5, &branch, root));
        branch.truncate(2);
        assert!(!verify_branch(records[1].leaf(), 1, 5, &branch, root));
        assert_eq!(records_branch(&records, 5), None);
    }

    #[test]
    fn record_survives_its_encoding_and_refuses_other_bytes() {
        let record = records(2)[1];
        let bytes = record.encode();
        assert_eq!(InferenceRecord::decode(&bytes), Some(record));
        assert_eq!(InferenceRecord::decode(&bytes[1..]), None);
        assert_eq!(
            InferenceRecord::decode(&[bytes.as_slice(), &[0]].concat()),
            None
        );
        let mut odd = bytes;
        odd[RECORD_SIZE_BYTES - 1] = 2;
        assert_eq!(InferenceRecord::decode(&odd), None);
    }

    #[test]
    fn request_of_no_records_has_a_zero_root() {
        let request = RecordsRequest::of(&[]);
        assert_eq!(
            request,
            RecordsRequest {
                count: 0,
                root: B256::ZERO
            }
        );
        assert_eq!(request.encode().len(), 37);
        assert_eq!(RecordsRequest::decode(&request.encode()), Some(request));
    }

    #[test]
    fn two_records_hash_as_specified() {
        let records = records(2);
        let leaf = |r: &InferenceRecord| keccak256([&[0u8][..], &r.encode()].concat());
        let (left, right) = (leaf(&records[0]), leaf(&records[1]));
        let root = keccak256([&[1u8][..], left.as_slice(), right.as_slice()].concat());
        assert_eq!(records_root(&records), root);
    }
}
