//! Building a block, and streaming it.

use alloy_primitives::{B256, keccak256};
use assay_chain::Attributes;
use bytes::Bytes;
use malachitebft_app::{
    streaming::{StreamContent, StreamId, StreamMessage},
    types::core::Round,
};
use malachitebft_app_channel::NetworkMsg;

use super::{Application, ApplicationError, Waiting};
use crate::{
    Status,
    context::{Account, Announcement, Height, Seal},
    proposal::{Arrived, Candidate, stream_name},
    signer::SignError,
};

impl<W: Waiting> Application<W> {
    /// Builds the block to propose; the same one when it was built before a crash.
    pub(super) fn propose(
        &mut self,
        height: Height,
        round: Round,
    ) -> Result<Option<Arrived>, ApplicationError> {
        let Some(key) = self.key.clone().filter(|_| height == self.height()) else {
            return Ok(None);
        };
        let own = Account(key.account());
        let before = self
            .kept(height)?
            .into_iter()
            .find(|one| one.announcement.round == round && one.announcement.proposer == own);
        if let Some(before) = before {
            self.judge(&before)?;
            return Ok(Some(before));
        }
        let head = self.chain.head();
        let now = self.choices.clock.seconds();
        let attributes = Attributes {
            timestamp: now.max(head.header.timestamp.saturating_add(1)),
            beneficiary: own.0,
            mix_hash: B256::ZERO,
            ..Attributes::following(&head)
        };
        let base_fee = self.chain.next_header(&head, &attributes).base_fee_per_gas;
        let executed = {
            let mut source = self.waiting.open(base_fee);
            self.machine.build(&attributes, &mut *source)?
        };
        let candidate = Candidate::new(executed.block.block(), &executed.outcome.records);
        let arrived = self.sign_stream(height, round, Round::Nil, candidate.encode()?)?;
        self.keep(&arrived, executed)?;
        Status::count(&self.status.blocks_proposed);
        Ok(Some(arrived))
    }

    /// Streams again a block that a quorum prevoted for in an earlier round.
    pub(super) fn propose_again(
        &mut self,
        height: Height,
        round: Round,
        valid_round: Round,
        block: B256,
    ) -> Result<(), ApplicationError> {
        for before in self.kept(height)? {
            if self.hash_of(&before)? == block {
                let again = self.sign_stream(height, round, valid_round, before.payload)?;
                self.publish(&again);
                break;
            }
        }
        Ok(())
    }

    pub(super) fn sign_stream(
        &self,
        height: Height,
        round: Round,
        valid_round: Round,
        payload: Bytes,
    ) -> Result<Arrived, ApplicationError> {
        let key = self.key.as_ref().ok_or(SignError::NoRound)?;
        let mut announcement = Announcement {
            height,
            round,
            valid_round,
            proposer: Account(key.account()),
            size_bytes: payload.len() as u64,
            payload_hash: keccak256(&payload),
            seal: Seal([0; 65]),
        };
        let digest = announcement.digest(&self.domain);
        announcement.seal = Seal(key.sign(digest.ok_or(SignError::NoRound)?)?);
        Ok(Arrived {
            announcement,
            payload,
        })
    }

    pub(super) fn publish(&self, arrived: &Arrived) {
        let stream = StreamId::new(stream_name(&arrived.announcement).0);
        let parts = arrived.parts();
        let end = parts.len() as u64;
        let data = (0..)
            .zip(parts)
            .map(|(index, part)| (index, StreamContent::Data(part)));
        for (index, content) in data.chain([(end, StreamContent::Fin)]) {
            let message = StreamMessage::new(stream.clone(), index, content);
            // The engine is gone when nobody listens: its end is told elsewhere.
            let _ = self
                .parts
                .blocking_send(NetworkMsg::PublishProposalPart(message));
        }
    }
}
