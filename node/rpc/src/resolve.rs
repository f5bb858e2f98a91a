//! Which block a client means.

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::U256;
use assay_chain::{Attributes, Head};
use assay_state::{Reader, StateSnapshot, StoredBlock};
use assay_types::Header;

use crate::{Backend, RpcError};

/// The moment of the store a call reads, and the block it means.
pub(crate) struct At {
    pub(crate) reader: Reader,
    pub(crate) number: u64,
    /// Whether the block after the newest one is meant.
    pub(crate) pending: bool,
}

impl Backend {
    /// Finds the block a client means; `None` when there is no such block.
    pub(crate) fn find(&self, id: Option<BlockId>) -> Result<Option<At>, RpcError> {
        let reader = self.chain.reader()?;
        let tip = reader.tip();
        let (number, pending) = match id.unwrap_or_default() {
            BlockId::Hash(hash) => match reader.number(hash.block_hash)? {
                Some(number) => (number, false),
                None => return Ok(None),
            },
            BlockId::Number(BlockNumberOrTag::Number(number)) => (number, false),
            BlockId::Number(BlockNumberOrTag::Earliest) => (0, false),
            BlockId::Number(BlockNumberOrTag::Pending) => (tip, true),
            // A decided block is final: the newest is safe and finalized.
            BlockId::Number(_) => (tip, false),
        };
        Ok((number <= tip).then_some(At {
            reader,
            number,
            pending,
        }))
    }

    /// Finds the block a client means, which must be there.
    pub(crate) fn at(&self, id: Option<BlockId>) -> Result<At, RpcError> {
        self.find(id)?
            .ok_or_else(|| RpcError::server("header not found"))
    }

    /// Lays out the header a message at this moment runs under.
    pub(crate) fn header_at(&self, at: &At) -> Result<Header, RpcError> {
        let header = at.header()?;
        if !at.pending {
            return Ok(header);
        }
        if let Some(dev) = &self.dev {
            return Ok(dev.pending_header());
        }
        let hash = at.reader.hash(at.number)?.unwrap_or_default();
        let attributes = Attributes {
            timestamp: header.timestamp.saturating_add(1),
            beneficiary: header.beneficiary,
            gas_limit: header.gas_limit,
            base_fee: None,
            mix_hash: header.mix_hash,
            extra_data: Default::default(),
        };
        Ok(self.chain.next_header(&Head { header, hash }, &attributes))
    }
}

impl At {
    pub(crate) fn header(&self) -> Result<Header, RpcError> {
        let header = self.reader.header(self.number)?;
        header.ok_or_else(|| RpcError::server("header not found"))
    }

    pub(crate) fn block(&self) -> Result<StoredBlock, RpcError> {
        let block = self.reader.block(self.number)?;
        block.ok_or_else(|| RpcError::server("block not found"))
    }

    pub(crate) fn state(&self) -> Result<StateSnapshot, RpcError> {
        Ok(self.reader.state(self.number)?)
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
