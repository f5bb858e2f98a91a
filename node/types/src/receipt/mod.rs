//! Receipts: a record of an inference, proven to whoever knows the validators.
//!
//! ```text
//! record --branch--> root of records --digests--> requestsHash of the header --hash--> certificate
//! ```
//!
//! docs/spec/wire.md is the law; `contracts/src/verify/InferenceVerifier.sol` checks the same bytes.

mod abi;
mod json;
#[cfg(test)]
mod tests;

use alloy_eips::eip7685::Requests;
use alloy_primitives::{B256, Bytes, U256, keccak256};
use alloy_rlp::Decodable as _;
use alloy_sol_types::SolValue as _;
use sha2::{Digest as _, Sha256};

use crate::{
    Certificate, CertificateError, Domain, Header, InferenceRecord, RecordsRequest, Validator,
    certificate::{MAX_VALIDATORS, SIGNATURE_BYTES, total_power},
    digest::set_hash,
    record::{RECORDS_REQUEST_TYPE, climb, records_branch},
    validators::NEXT_SET_REQUEST_TYPE,
};

/// Most bytes of a receipt. Spec: W-2.
pub const MAX_RECEIPT_BYTES: usize = 65_536;
/// Most siblings in a branch: more than 32 bits of index need. Spec: W-2.
pub const MAX_BRANCH: usize = 32;
/// Most digests of requests on one side of the request of records. Spec: W-2.
pub const MAX_REQUESTS: usize = 16;
/// Most bytes of a header. Spec: W-2.
pub const MAX_HEADER_BYTES: usize = 4_096;

/// Says why bytes are no receipt, or a receipt proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// A part is larger than any receipt's.
    #[error("receipt: {what} is {got}, the limit is {limit}")]
    TooLarge {
        /// The part.
        what: &'static str,
        /// Most there may be.
        limit: usize,
        /// What there is.
        got: usize,
    },
    /// The bytes are not the one encoding of a receipt.
    #[error("receipt: not the canonical ABI encoding of an InferenceReceipt")]
    Encoding,
    /// The text is not a receipt in JSON.
    #[error("receipt: {0}")]
    Json(#[from] serde_json::Error),
    /// The header does not decode, or commits to no requests.
    #[error("receipt: header is no RLP of a header with a requestsHash")]
    Header,
    /// The validators are not the set that is trusted at this height.
    #[error("receipt: validators hash to {got}, the set in force at height {height} is {expected}")]
    WrongSet {
        /// Number of the block.
        height: u64,
        /// Hash of the trusted set.
        expected: B256,
        /// Hash of the set given.
        got: B256,
    },
    /// The certificate does not hold.
    #[error("receipt: {0}")]
    Certificate(#[from] CertificateError),
    /// The branch does not fit the record's place.
    #[error("receipt: branch of {siblings} siblings does not fit record {index} of {count}")]
    Branch {
        /// Place of the record.
        index: u32,
        /// Number of records.
        count: u32,
        /// Siblings given.
        siblings: usize,
    },
    /// The header does not commit to the record.
    #[error(
        "receipt: record, branch and requests hash to {got}, the header has requestsHash {expected}: \
         one of them was changed"
    )]
    Requests {
        /// What the header says.
        expected: B256,
        /// What the receipt's parts give.
        got: B256,
    },
}

/// Proof that the validators decided on a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// RLP of the block's header.
    pub header: Bytes,
    /// Round in which it was decided.
    pub round: u32,
    /// Precommits, in ascending order of their signers.
    pub signatures: Vec<[u8; SIGNATURE_BYTES]>,
    /// Set in force at the block's height, in ascending order of accounts.
    pub validators: Vec<Validator>,
}

/// Proof that a record is one of a decided block's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InferenceReceipt {
    /// The record.
    pub record: InferenceRecord,
    /// Its place among the block's records.
    pub index: u32,
    /// Number of the block's records.
    pub count: u32,
    /// Siblings from the record's leaf up to the root.
    pub branch: Vec<B256>,
    /// SHA-256 digests of the block's requests before the one of records.
    pub requests_before: Vec<B256>,
    /// SHA-256 digests of those after it.
    pub requests_after: Vec<B256>,
    /// Proof of the block.
    pub decision: Decision,
}

/// Proof that a set of validators gives way to the next. Spec: W-7.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetUpdate {
    /// Hash of the set in force from the next block on.
    pub next_set_hash: B256,
    /// SHA-256 digests of the block's requests before the one that names the set.
    pub requests_before: Vec<B256>,
    /// SHA-256 digests of those after it.
    pub requests_after: Vec<B256>,
    /// Proof of the set's last block.
    pub decision: Decision,
}

/// What a receipt proves beside its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proven {
    /// Name of the record, which no other has. Spec: W-8.
    pub id: B256,
    /// Hash of the block.
    pub block_hash: B256,
    /// Number of the block.
    pub height: u64,
    /// Time of the block, in seconds since 1970.
    pub time: u64,
    /// Power that signed.
    pub signed: u64,
    /// Power of all.
    pub total: u64,
}

impl InferenceReceipt {
    /// Cuts the receipt of a block's record; `None` when the block has no such record or no request
    /// of records.
    #[must_use]
    pub fn cut(
        records: &[InferenceRecord],
        index: u32,
        requests: &Requests,
        decision: Decision,
    ) -> Option<Self> {
        let place = usize::try_from(index).ok()?;
        let (_, requests_before, requests_after) = around(requests, RECORDS_REQUEST_TYPE)?;
        Some(Self {
            record: *records.get(place)?,
            index,
            count: u32::try_from(records.len()).ok()?,
            branch: records_branch(records, place)?,
            requests_before,
            requests_after,
            decision,
        })
    }

    /// Checks the receipt against the set that is trusted at its height, named by its hash.
    ///
    /// # Errors
    /// With the first part that does not hold.
    pub fn verify(&self, domain: &Domain, trusted_set: B256) -> Result<Proven, ReceiptError> {
        self.check_limits()?;
        let (header, proven) = self.decision.verify(domain, trusted_set)?;
        let leaf = self.record.leaf();
        let root =
            climb(leaf, self.index, self.count, &self.branch).ok_or(ReceiptError::Branch {
                index: self.index,
                count: self.count,
                siblings: self.branch.len(),
            })?;
        let count = self.count;
        let digest = sha256(&RecordsRequest { count, root }.encode());
        let got = requests_hash(&self.requests_before, digest, &self.requests_after);
        let expected = header.requests_hash.ok_or(ReceiptError::Header)?;
        if got != expected {
            return Err(ReceiptError::Requests { expected, got });
        }
        let id = keccak256((proven.block_hash, U256::from(self.index)).abi_encode());
        Ok(Proven { id, ..proven })
    }

    /// Decodes the header, without checking that anybody signed it.
    ///
    /// # Errors
    /// When the bytes are no header with a requests hash.
    pub fn header(&self) -> Result<Header, ReceiptError> {
        self.decision.decode_header()
    }

    fn check_limits(&self) -> Result<(), ReceiptError> {
        check("branch", self.branch.len(), MAX_BRANCH)?;
        self.decision
            .check_limits(&self.requests_before, &self.requests_after)
    }
}

impl SetUpdate {
    /// Cuts the proof out of a block; `None` when its set stays in force.
    #[must_use]
    pub fn cut(requests: &Requests, decision: Decision) -> Option<Self> {
        let (request, requests_before, requests_after) = around(requests, NEXT_SET_REQUEST_TYPE)?;
        Some(Self {
            next_set_hash: B256::try_from(request.get(1..)?).ok()?,
            requests_before,
            requests_after,
            decision,
        })
    }

    /// Checks that the set that is trusted at the block's height names the next one, and that the
    /// block is its last.
    ///
    /// # Errors
    /// With the first part that does not hold.
    pub fn verify(&self, domain: &Domain, trusted_set: B256) -> Result<Proven, ReceiptError> {
        self.check_limits()?;
        let (header, proven) = self.decision.verify(domain, trusted_set)?;
        let request = [&[NEXT_SET_REQUEST_TYPE], self.next_set_hash.as_slice()].concat();
        let digest = sha256(&request);
        let got = requests_hash(&self.requests_before, digest, &self.requests_after);
        let expected = header.requests_hash.ok_or(ReceiptError::Header)?;
        match got == expected {
            true => Ok(proven),
            false => Err(ReceiptError::Requests { expected, got }),
        }
    }

    /// Decodes the header, without checking that anybody signed it.
    ///
    /// # Errors
    /// When the bytes are no header with a requests hash.
    pub fn header(&self) -> Result<Header, ReceiptError> {
        self.decision.decode_header()
    }

    fn check_limits(&self) -> Result<(), ReceiptError> {
        self.decision
            .check_limits(&self.requests_before, &self.requests_after)
    }
}

impl Decision {
    /// Gathers what proves that the validators in force at a block's height decided on it.
    #[must_use]
    pub fn new(header: &Header, certificate: &Certificate, validators: Vec<Validator>) -> Self {
        Self {
            header: alloy_rlp::encode(header).into(),
            round: certificate.round,
            signatures: certificate.signatures.clone(),
            validators,
        }
    }

    fn check_limits(&self, before: &[B256], after: &[B256]) -> Result<(), ReceiptError> {
        check("requestsBefore", before.len(), MAX_REQUESTS)?;
        check("requestsAfter", after.len(), MAX_REQUESTS)?;
        check("header", self.header.len(), MAX_HEADER_BYTES)?;
        check("signatures", self.signatures.len(), MAX_VALIDATORS)?;
        check("validators", self.validators.len(), MAX_VALIDATORS)
    }

    /// Checks that the trusted set decided on the header; the name of no record is in the answer.
    fn verify(&self, domain: &Domain, trusted: B256) -> Result<(Header, Proven), ReceiptError> {
        let header = self.decode_header()?;
        let (height, block_hash) = (header.number, keccak256(&self.header));
        let got = set_hash(&self.validators);
        if got != trusted {
            return Err(ReceiptError::WrongSet {
                height,
                expected: trusted,
                got,
            });
        }
        let certificate = Certificate {
            height,
            round: self.round,
            block_hash,
            signatures: self.signatures.clone(),
        };
        let signed = certificate.verify(domain, &self.validators)?;
        let proven = Proven {
            id: B256::ZERO,
            block_hash,
            height,
            time: header.timestamp,
            signed,
            total: total_power(&self.validators),
        };
        Ok((header, proven))
    }

    fn decode_header(&self) -> Result<Header, ReceiptError> {
        let mut rest: &[u8] = &self.header;
        let header = Header::decode(&mut rest).map_err(|_| ReceiptError::Header)?;
        match rest.is_empty() && header.requests_hash.is_some() {
            true => Ok(header),
            false => Err(ReceiptError::Header),
        }
    }
}

/// Finds the request of a type, and the digests of those before and after it.
fn around(requests: &Requests, kind: u8) -> Option<(&Bytes, Vec<B256>, Vec<B256>)> {
    let at = requests
        .iter()
        .position(|request| request.first() == Some(&kind))?;
    let digests: Vec<B256> = requests.iter().map(|request| sha256(request)).collect();
    let (before, rest) = digests.split_at_checked(at)?;
    let (_, after) = rest.split_first()?;
    Some((requests.get(at)?, before.to_vec(), after.to_vec()))
}

/// Hashes a block's requests, one of them given by its digest. Spec: EIP-7685.
fn requests_hash(before: &[B256], digest: B256, after: &[B256]) -> B256 {
    let mut hash = Sha256::new();
    for one in before.iter().chain([&digest]).chain(after) {
        hash.update(one);
    }
    B256::from_slice(&hash.finalize())
}

fn check(what: &'static str, got: usize, limit: usize) -> Result<(), ReceiptError> {
    match got <= limit {
        true => Ok(()),
        false => Err(ReceiptError::TooLarge { what, limit, got }),
    }
}

fn sha256(bytes: &[u8]) -> B256 {
    B256::from_slice(&Sha256::digest(bytes))
}
