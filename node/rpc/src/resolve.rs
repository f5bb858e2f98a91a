//! Which block a client means.

use std::sync::Arc;

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::U256;
use assay_chain::{Attributes, Head};
use assay_state::{Reader, StateSnapshot, StoredBlock};
use assay_types::{Header, Overlay, Receipt, StateChanges};

use crate::{Backend, RpcError, error::PRUNED_HISTORY, pending::Pending};

/// The moment of the store a call reads, and the block it means.
pub(crate) struct At {
    pub(crate) reader: Reader,
    /// The block, or the newest one when the pending block is meant.
    pub(crate) number: u64,
    /// The block after the newest one, when that is meant.
    pub(crate) pending: Option<Arc<Pending>>,
}

impl Backend {
    /// Finds the block a client means; `None` when there is no such block.
    pub(crate) fn find(&self, id: Option<BlockId>) -> Result<Option<At>, RpcError> {
        let id = id.unwrap_or_default();
        if id == BlockId::pending() {
            return self.pending().map(Some);
        }
        let reader = self.chain.reader()?;
        let tip = reader.tip();
        let number = match id {
            BlockId::Hash(hash) => match reader.number(hash.block_hash)? {
                Some(number) => number,
                None => return Ok(None),
            },
            BlockId::Number(BlockNumberOrTag::Number(number)) => number,
            BlockId::Number(BlockNumberOrTag::Earliest) => 0,
            // A decided block is final: the newest is safe and finalized.
            BlockId::Number(_) => tip,
        };
        if number > tip {
            return Ok(None);
        }
        require_kept(&reader, number)?;
        Ok(Some(At::mined(reader, number)))
    }

    /// Finds the block a client means, which must be there.
    pub(crate) fn at(&self, id: Option<BlockId>) -> Result<At, RpcError> {
        self.find(id)?
            .ok_or_else(|| RpcError::server("header not found"))
    }

    /// Decides about the next block as this node would build it now.
    pub(crate) fn next_attributes(&self) -> Attributes {
        if let Some(dev) = &self.dev {
            return dev.attributes();
        }
        Attributes::following(&self.chain.head())
    }

    /// Lays out the header of the next block, without looking at what waits for it.
    pub(crate) fn next_header(&self) -> Header {
        let head: Arc<Head> = self.chain.head();
        self.chain.next_header(&head, &self.next_attributes())
    }
}

impl At {
    /// Means a block of the chain.
    pub(crate) const fn mined(reader: Reader, number: u64) -> Self {
        Self {
            reader,
            number,
            pending: None,
        }
    }

    pub(crate) fn header(&self) -> Result<Header, RpcError> {
        if let Some(pending) = &self.pending {
            return Ok(pending.block.block.header.clone());
        }
        let header = self.reader.header(self.number)?;
        header.ok_or_else(|| RpcError::server("header not found"))
    }

    pub(crate) fn block(&self) -> Result<StoredBlock, RpcError> {
        if let Some(pending) = &self.pending {
            return Ok(pending.block.clone());
        }
        let block = self.reader.block(self.number)?;
        block.ok_or_else(|| RpcError::server("block not found"))
    }

    pub(crate) fn receipts(&self) -> Result<Vec<Receipt>, RpcError> {
        match &self.pending {
            Some(pending) => Ok(pending.outcome.receipts.clone()),
            None => Ok(self.reader.receipts(self.number)?.unwrap_or_default()),
        }
    }

    /// Opens the state after the block.
    pub(crate) fn state(&self) -> Result<Overlay<StateSnapshot>, RpcError> {
        Ok(Overlay::new(
            self.reader.state(self.number)?,
            self.changes(),
        ))
    }

    /// Lists what the block changes that is not stored: all of a pending block, nothing of others.
    pub(crate) fn changes(&self) -> StateChanges {
        self.pending
            .as_ref()
            .map(|pending| pending.outcome.changes.clone())
            .unwrap_or_default()
    }

    /// Opens the state the block was executed on.
    pub(crate) fn parent_state(&self) -> Result<StateSnapshot, RpcError> {
        let parent = match &self.pending {
            Some(_) => self.number,
            None => self
                .number
                .checked_sub(1)
                .ok_or_else(|| RpcError::server("genesis is not traceable"))?,
        };
        Ok(self.reader.state(parent)?)
    }
}

/// Refuses a block that a node which began with a snapshot never had.
pub(crate) fn require_kept(reader: &Reader, number: u64) -> Result<(), RpcError> {
    let first = reader.oldest_block();
    match number == 0 || number >= first {
        true => Ok(()),
        false => Err(RpcError::new(
            PRUNED_HISTORY,
            format!("pruned history unavailable: this node keeps blocks from {first} on"),
        )),
    }
}

/// Reads a storage key the way geth does: hex of up to 32 bytes, leading zeros left out or not.
pub(crate) fn storage_key(text: &str) -> Result<U256, RpcError> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if digits.len() > 64 {
        return Err(RpcError::params(format!(
            "storage key too long (want at most 32 bytes): {text:?}"
        )));
    }
    if digits.is_empty() {
        return Ok(U256::ZERO);
    }
    U256::from_str_radix(digits, 16)
        .map_err(|_| RpcError::params(format!("invalid hex in storage key: {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_key_may_be_short_but_not_long_or_no_hex() {
        assert_eq!(storage_key("0x0a").unwrap(), U256::from(10));
        assert_eq!(storage_key("0x").unwrap(), U256::ZERO);
        assert!(storage_key(&format!("0x{}", "0".repeat(65))).is_err());
        assert!(storage_key("0xasdf").is_err());
    }
}
