//! The bytes of the engine's messages, on the wire and in its log.
//!
//! docs/spec/consensus.md lays each of them out. Every decoder reads all of its message or refuses
//! it, and checks every count before it makes room.

use std::ops::RangeInclusive;

use alloy_primitives::{Address, B256};
use assay_types::certificate::MAX_VALIDATORS;
use bytes::Bytes;
use malachitebft_app::{
    consensus::{LivenessMsg, SignedConsensusMsg},
    streaming::{StreamContent, StreamId, StreamMessage},
    types::{
        PeerId, ProposedValue,
        codec::{Codec as EngineCodec, HasEncodedLen},
        core::{
            ExtendedCommitCertificate, ExtendedCommitSignature, NilOrVal, PolkaCertificate,
            PolkaSignature, Round, RoundCertificate, RoundCertificateType, RoundSignature,
            SignedMessage, ValidatorProof, Validity, VoteType,
        },
        sync::{RawDecidedValue, Request, Response, Status},
    },
};

use malachitebft_sync::{ValueRequest, ValueResponse};

use crate::{
    context::{Account, Announcement, Assay, BlockId, Height, Part, Proposal, Seal, Vote},
    wire::{Reader, WireError, Writer},
};

/// Most bytes of a part's data.
pub(crate) const PART_BYTES: usize = 128 << 10;
/// Most bytes of a proposal: a block at its greatest, and its records.
pub(crate) const PROPOSAL_BYTES: u32 = 12 << 20;
/// Most blocks one answer of a peer that is asked for old ones may hold.
const VALUES: u32 = 1_024;
/// Bytes of the name of a stream.
const STREAM_ID_BYTES: u32 = 64;
/// Bytes of a peer's name or key.
const PEER_BYTES: u32 = 128;
const SIGNERS: u32 = MAX_VALIDATORS as u32;
/// A round that is none.
const NO_ROUND: u32 = u32::MAX;

/// Writes and reads the engine's messages.
#[derive(Debug, Clone, Copy)]
pub struct Codec;

/// A message that has a form in bytes.
trait Message: Sized {
    fn write(&self, to: &mut Writer) -> Result<(), WireError>;
    fn read(from: &mut Reader) -> Result<Self, WireError>;
}

macro_rules! engine_codec {
    ($($message:ty),* $(,)?) => {
        $(impl EngineCodec<$message> for Codec {
            type Error = WireError;

            fn decode(&self, bytes: Bytes) -> Result<$message, WireError> {
                let mut reader = Reader::new(bytes);
                let message = <$message>::read(&mut reader)?;
                reader.end()?;
                Ok(message)
            }

            fn encode(&self, message: &$message) -> Result<Bytes, WireError> {
                let mut writer = Writer::default();
                message.write(&mut writer)?;
                Ok(writer.finish())
            }
        })*
    };
}

engine_codec!(
    Part,
    SignedConsensusMsg<Assay>,
    LivenessMsg<Assay>,
    StreamMessage<Part>,
    ValidatorProof<Assay>,
    ProposedValue<Assay>,
    PolkaCertificate<Assay>,
    Status<Assay>,
    Request<Assay>,
    Response<Assay>,
);

impl HasEncodedLen<Response<Assay>> for Codec {
    fn encoded_len(&self, message: &Response<Assay>) -> Result<usize, WireError> {
        let Response::ValueResponse(response) = message;
        let each = response.values.iter().map(|value| {
            let signatures = value.certificate.commit_signatures.len();
            4 + value.value_bytes.len() + 48 + signatures * (20 + 65)
        });
        Ok(8 + 4 + each.sum::<usize>())
    }
}

impl Message for Height {
    fn write(&self, to: &mut Writer) -> Result<(), WireError> {
        to.u64(self.0);
        Ok(())
    }

    fn read(from: &mut Reader) -> Result<Self, WireError> {
        from.u64("height").map(Self)
    }
}

impl Message for Round {
    fn write(&self, to: &mut Writer) -> Result<(), WireError> {
        to.u32(self.as_u32().unwrap_or(NO_ROUND));
        Ok(())
    }

    fn read(from: &mut Reader) -> Result<Self, WireError> {
        let round = from.u32("round", NO_ROUND)?;
        Ok(match round {
            NO_ROUND => Self::Nil,
            round => Self::new(round),
        })
    }
}

impl Message for Account {
    fn write(&self, to: &mut Writer) -> Result<(), WireError> {
        to.bytes(self.0.as_slice());
        Ok(())
    }

    fn read(from: &mut Reader) -> Result<Self, WireError> {
        Ok(Self(Address::from(from.array("account")?)))
    }
}

impl Message for Seal {
    fn write(&self, to: &mut Writer) -> Result<(), WireError> {
        to.bytes(&self.0);
        Ok(())
    }

    fn read(from: &mut Reader) -> Result<Self, WireError> {
        from.array("signature").map(Self)
    }
}

impl Message for B256 {
    fn write(&self, to: &mut Writer) -> Result<(), WireError> {
        to.bytes(self.as_slice());
        Ok(())
    }

    fn read(from: &mut Reader) -> Result<Self, WireError> {
        from.array("hash").map(Self::new)
    }
}

impl Message for NilOrVal<B256> {
    fn write(&self, to: &mut Writer) -> Result<(), WireError> {
        match self {
            Self::Nil => {
                to.u8(0);
                Ok(())
            }
            Self::Val(block) => block.write(to.u8(1)),
        }
    }

    fn read(from: &mut Reader) -> Result<Self, WireError> {
        Ok(match from.u8("presence of a block", 1)? {
            0 => Self::Nil,
            _ => Self::Val(B256::read(from)?),
        })
    }
}

impl Message for VoteType {
    fn write(&self, to: &mut Writer) -> Result<(), WireError> {
        to.u8(u8::from(*self == Self::Precommit));
        Ok(())
    }

    fn read(from: &mut Reader) -> Result<Self, WireError> {
        Ok(match from.u8("kind of vote", 1)? {
            0 => Self::Prevote,
            _ => Self::Precommit,
        })
    }
}

/// Gives a message the form of its fields, one after the other.
macro_rules! fields {
    ($($message:ty { $($field:ident),* $(,)? })*) => {
        $(impl Message for $message {
            fn write(&self, to: &mut Writer) -> Result<(), WireError> {
                $(self.$field.write(to)?;)*
                Ok(())
            }

            fn read(from: &mut Reader) -> Result<Self, WireError> {
                Ok(Self { $($field: Message::read(from)?),* })
            }
        })*
    };
}

fields!(
    Vote { kind, height, round, block, voter }
    Proposal { height, round, valid_round, block, proposer }
    Announcement { height, round, valid_round, proposer, size_bytes, payload_hash, seal }
    ProposedValue<Assay> { height, round, valid_round, proposer, value, validity }
    PolkaCertificate<Assay> { height, round, value_id, polka_signatures }
    RoundCertificate<Assay> { height, round, cert_type, round_signatures }
    ExtendedCommitCertificate<Assay> { height, round, value_id, commit_signatures }
);

/// Gives lists of signatures their form: a count within a limit, then each.
macro_rules! lists {
    ($($signature:ty, $most:expr;)*) => {
        $(impl Message for Vec<$signature> {
            fn write(&self, to: &mut Writer) -> Result<(), WireError> {
                to.count("signatures", self.len())?;
                self.iter().try_for_each(|one| one.write(to))
            }

            fn read(from: &mut Reader) -> Result<Self, WireError> {
                from.list("signatures", $most, Message::read)
            }
        })*
    };
}

lists!(
    PolkaSignature<Assay>, SIGNERS;
    // A round may have both votes of everyone.
    RoundSignature<Assay>, SIGNERS * 2;
    ExtendedCommitSignature<Assay>, SIGNERS;
);

fields!(
    PolkaSignature<Assay> { address, signature }
    RoundSignature<Assay> { vote_type, value_id, address, signature }
);

impl Message for ExtendedCommitSignature<Assay> {
    fn write(&self, to: &mut Writer) -> Result<(), WireError> {
        self.address.write(to)?;
        self.signature.write(to)
    }

    fn read(from: &mut Reader) -> Result<Self, WireError> {
        let (account, seal) = (Account::read(from)?, Seal::read(from)?);
        Ok(Self::new(account, seal, None))
    }
}

impl<M: Message> Message for SignedMessage<Assay, M> {
    fn write(&self, to: &mut Writer) -> Result<(), WireError> {
        self.message.write(to)?;
        self.signature.write(to)
    }

    fn read(from: &mut Reader) -> Result<Self, WireError> {
        Ok(Self::new(M::read(from)?, Seal::read(from)?))
    }
}

impl Message for u64 {
    fn write(&self, to: &mut Writer) -> Result<(), WireError> {
        to.u64(*self);
        Ok(())
    }

    fn read(from: &mut Reader) -> Result<Self, WireError> {
        from.u64("number")
    }
}

impl Message for BlockId {
    fn write(&self, to: &mut Writer) -> Result<(), WireError> {
        self.0.write(to)
    }

    fn read(from: &mut Reader) -> Result<Self, WireError> {
        B256::read(from).map(Self)
    }
}

impl Message for Validity {
    fn write(&self, to: &mut Writer) -> Result<(), WireError> {
        to.u8(u8::from(self.is_valid()));
        Ok(())
    }

    fn read(from: &mut Reader) -> Result<Self, WireError> {
        Ok(Self::from_bool(from.u8("validity", 1)? == 1))
    }
}

impl Message for RoundCertificateType {
    fn write(&self, to: &mut Writer) -> Result<(), WireError> {
        to.u8(u8::from(*self == Self::Precommit));
        Ok(())
    }

    fn read(from: &mut Reader) -> Result<Self, WireError> {
        Ok(match from.u8("kind of certificate", 1)? {
            0 => Self::Skip,
            _ => Self::Precommit,
        })
    }
}

impl Message for SignedConsensusMsg<Assay> {
    fn write(&self, to: &mut Writer) -> Result<(), WireError> {
        match self {
            Self::Vote(vote) => vote.write(to.u8(0)),
            Self::Proposal(proposal) => proposal.write(to.u8(1)),
        }
    }

    fn read(from: &mut Reader) -> Result<Self, WireError> {
        Ok(match from.u8("kind of message", 1)? {
            0 => Self::Vote(SignedMessage::read(from)?),
            _ => Self::Proposal(SignedMessage::read(from)?),
        })
    }
}

impl Message for LivenessMsg<Assay> {
    fn write(&self, to: &mut Writer) -> Result<(), WireError> {
        match self {
            Self::Vote(vote) => vote.write(to.u8(0)),
            Self::PolkaCertificate(certificate) => certificate.write(to.u8(1)),
            Self::SkipRoundCertificate(certificate) => certificate.write(to.u8(2)),
        }
    }

    fn read(from: &mut Reader) -> Result<Self, WireError> {
        Ok(match from.u8("kind of message", 2)? {
            0 => Self::Vote(SignedMessage::read(from)?),
            1 => Self::PolkaCertificate(PolkaCertificate::read(from)?),
            _ => Self::SkipRoundCertificate(RoundCertificate::read(from)?),
        })
    }
}

impl Message for Part {
    fn write(&self, to: &mut Writer) -> Result<(), WireError> {
        match self {
            Self::Announcement(announcement) => announcement.write(to.u8(0)),
            Self::Data(data) => {
                to.u8(1).string("part", data)?;
                Ok(())
            }
        }
    }

    fn read(from: &mut Reader) -> Result<Self, WireError> {
        Ok(match from.u8("kind of part", 1)? {
            0 => Self::Announcement(Announcement::read(from)?),
            _ => Self::Data(from.string("part", PART_BYTES as u32)?),
        })
    }
}

impl Message for StreamMessage<Part> {
    fn write(&self, to: &mut Writer) -> Result<(), WireError> {
        to.string("stream", &self.stream_id.to_bytes())?;
        to.u64(self.sequence);
        match &self.content {
            StreamContent::Fin => {
                to.u8(0);
                Ok(())
            }
            StreamContent::Data(part) => part.write(to.u8(1)),
        }
    }

    fn read(from: &mut Reader) -> Result<Self, WireError> {
        let stream = StreamId::new(from.string("stream", STREAM_ID_BYTES)?);
        let sequence = from.u64("sequence")?;
        let content = match from.u8("kind of content", 1)? {
            0 => StreamContent::Fin,
            _ => StreamContent::Data(Part::read(from)?),
        };
        Ok(Self::new(stream, sequence, content))
    }
}

impl Message for ValidatorProof<Assay> {
    fn write(&self, to: &mut Writer) -> Result<(), WireError> {
        to.string("key", &self.public_key)?
            .string("peer", &self.peer_id)?;
        self.signature.write(to)
    }

    fn read(from: &mut Reader) -> Result<Self, WireError> {
        let key = from.string("key", PEER_BYTES)?.to_vec();
        let peer = from.string("peer", PEER_BYTES)?.to_vec();
        Ok(Self::new(key, peer, Seal::read(from)?))
    }
}

impl Message for Status<Assay> {
    fn write(&self, to: &mut Writer) -> Result<(), WireError> {
        to.string("peer", &self.peer_id.to_bytes())?;
        self.tip_height.write(to)?;
        self.history_min_height.write(to)
    }

    fn read(from: &mut Reader) -> Result<Self, WireError> {
        let peer = from.string("peer", PEER_BYTES)?;
        let peer_id = PeerId::from_bytes(&peer).map_err(|_| WireError::Range {
            field: "peer",
            found: peer.len() as u64,
            limit: PEER_BYTES.into(),
        })?;
        Ok(Self {
            peer_id,
            tip_height: Height::read(from)?,
            history_min_height: Height::read(from)?,
        })
    }
}

impl Message for Request<Assay> {
    fn write(&self, to: &mut Writer) -> Result<(), WireError> {
        let Self::ValueRequest(request) = self;
        request.range.start().write(to)?;
        request.range.end().write(to)
    }

    fn read(from: &mut Reader) -> Result<Self, WireError> {
        let range = RangeInclusive::new(Height::read(from)?, Height::read(from)?);
        Ok(Self::ValueRequest(ValueRequest::new(range)))
    }
}

impl Message for Response<Assay> {
    fn write(&self, to: &mut Writer) -> Result<(), WireError> {
        let Self::ValueResponse(response) = self;
        response.start_height.write(to)?;
        to.count("blocks", response.values.len())?;
        response.values.iter().try_for_each(|value| {
            to.string("block", &value.value_bytes)?;
            value.certificate.write(to)
        })
    }

    fn read(from: &mut Reader) -> Result<Self, WireError> {
        let start_height = Height::read(from)?;
        let values = from.list("blocks", VALUES, |from| {
            let bytes = from.string("block", PROPOSAL_BYTES)?;
            Ok(RawDecidedValue::new(
                bytes,
                ExtendedCommitCertificate::read(from)?,
            ))
        })?;
        Ok(Self::ValueResponse(ValueResponse::new(
            start_height,
            values,
        )))
    }
}
