//! What a proposer streams: the block, and the list of inferences it found.
//!
//! The list is not needed to check the block, whose header commits to it. It is there so that a
//! validator which finds another root can name the first inference that differs.

use alloy_primitives::{Address, B256, Bytes as Blob, keccak256};
use alloy_rlp::Encodable as _;
use assay_types::{
    Block, Certificate, InferenceRecord,
    certificate::{MAX_VALIDATORS, SIGNATURE_BYTES},
    record::RECORD_SIZE_BYTES,
};
use bytes::Bytes;

use crate::{
    codec::{PART_BYTES, PROPOSAL_BYTES},
    context::{Account, Announcement, Height, Part, Seal},
    wire::{Reader, WireError, Writer},
};

/// Most bytes of a certificate.
const CERTIFICATE_BYTES: u32 = (44 + MAX_VALIDATORS * SIGNATURE_BYTES) as u32;

/// A block as it is proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The block, RLP.
    pub(crate) block: Bytes,
    /// The inferences the proposer found.
    pub(crate) records: Vec<InferenceRecord>,
}

/// A proposal that arrived whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// Its announcement.
    pub(crate) announcement: Announcement,
    /// Its bytes.
    pub(crate) payload: Bytes,
}

/// A decided block as peers that fell behind get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decided {
    /// The block, RLP.
    pub(crate) block: Bytes,
    /// What decided it.
    pub(crate) certificate: Certificate,
}

impl Candidate {
    pub(crate) fn new(block: &Block, records: &[InferenceRecord]) -> Self {
        let mut rlp = Vec::new();
        block.encode(&mut rlp);
        Self {
            block: rlp.into(),
            records: records.to_vec(),
        }
    }

    /// Encodes: the block's length and bytes, then the records one after another.
    pub(crate) fn encode(&self) -> Result<Bytes, WireError> {
        let mut writer = Writer::default();
        writer.string("block", &self.block)?;
        for record in &self.records {
            writer.bytes(&record.encode());
        }
        Ok(writer.finish())
    }

    pub(crate) fn decode(payload: Bytes) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        let block = reader.string("block", PROPOSAL_BYTES)?;
        let rest = reader.rest();
        let (records, surplus) = rest.as_chunks::<RECORD_SIZE_BYTES>();
        if !surplus.is_empty() {
            return Err(WireError::Surplus(surplus.len()));
        }
        let records = records.iter().map(|bytes| {
            InferenceRecord::decode(bytes).ok_or(WireError::Range {
                field: "flag of a record",
                found: u64::from(bytes.last().copied().unwrap_or_default()),
                limit: 1,
            })
        });
        Ok(Self {
            block,
            records: records.collect::<Result<_, _>>()?,
        })
    }
}

impl Arrived {
    /// Cuts the proposal into parts as they are published.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let first = Part::Announcement(self.announcement.clone());
        let mut rest = self.payload.clone();
        let mut parts = vec![first];
        while !rest.is_empty() {
            parts.push(Part::Data(rest.split_to(rest.len().min(PART_BYTES))));
        }
        parts
    }

    /// Encodes for the store: the announcement, then the payload.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let announcement = &self.announcement;
        let round =
            |round: malachitebft_app::types::core::Round| round.as_u32().unwrap_or(u32::MAX);
        let mut writer = Writer::default();
        writer
            .u64(announcement.height.0)
            .u32(round(announcement.round))
            .u32(round(announcement.valid_round))
            .bytes(announcement.proposer.0.as_slice())
            .bytes(&announcement.seal.0)
            .bytes(&self.payload);
        writer.finish().into()
    }

    pub(crate) fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let round = |round| match round {
            u32::MAX => malachitebft_app::types::core::Round::Nil,
            round => malachitebft_app::types::core::Round::new(round),
        };
        let mut reader = Reader::new(bytes);
        let height = Height(reader.u64("height")?);
        let (at, valid) = (
            round(reader.u32("round", u32::MAX)?),
            round(reader.u32("valid round", u32::MAX)?),
        );
        let proposer = Account(Address::from(reader.array("proposer")?));
        let seal = Seal(reader.array("signature")?);
        let payload = reader.rest();
        Ok(Self {
            announcement: Announcement {
                height,
                round: at,
                valid_round: valid,
                proposer,
                size_bytes: payload.len() as u64,
                payload_hash: keccak256(&payload),
                seal,
            },
            payload,
        })
    }
}

impl Decided {
    pub(crate) fn encode(&self) -> Result<Bytes, WireError> {
        let mut writer = Writer::default();
        writer
            .string("certificate", &self.certificate.encode())?
            .bytes(&self.block);
        Ok(writer.finish())
    }

    /// Decodes; `None` when the certificate is none.
    pub(crate) fn decode(bytes: Bytes) -> Result<Option<Self>, WireError> {
        let mut reader = Reader::new(bytes);
        let certificate = reader.string("certificate", CERTIFICATE_BYTES)?;
        let block = reader.rest();
        let certificate = Certificate::decode(&certificate).ok();
        Ok(certificate.map(|certificate| Self { block, certificate }))
    }
}

/// Tells where two lists of inferences first differ.
pub(crate) fn first_difference(
    ours: &[InferenceRecord],
    theirs: &[InferenceRecord],
) -> Option<(Option<InferenceRecord>, Option<InferenceRecord>)> {
    let longest = ours.len().max(theirs.len());
    (0..longest)
        .map(|index| (ours.get(index).copied(), theirs.get(index).copied()))
        .find(|(ours, theirs)| ours != theirs)
}

/// Names a proposal's stream: its height, round and payload.
pub(crate) fn stream_name(announcement: &Announcement) -> Blob {
    let mut name = Vec::with_capacity(44);
    name.extend_from_slice(&announcement.height.0.to_be_bytes());
    name.extend_from_slice(
        &announcement
            .round
            .as_u32()
            .unwrap_or(u32::MAX)
            .to_be_bytes(),
    );
    name.extend_from_slice(B256::as_slice(&announcement.payload_hash));
    name.into()
}
