//! Making a snapshot of a chain.

use std::io::Write;

use alloy_primitives::B256;
use assay_state::Piece;

use super::{AccountFrame, Kind, Slot, SlotsFrame, SnapshotError, Title, first_of, frame::Writer};
use crate::Chain;

/// What a snapshot was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Number of the newest block.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// Accounts in the state.
    pub accounts: u64,
}

/// Writes a snapshot of the newest state.
///
/// # Errors
/// When the chain has no votes or no blocks, or a file fails.
pub fn take(chain: &Chain, out: impl Write) -> Result<Taken, SnapshotError> {
    let reader = chain.store().reader()?;
    let tip = reader.tip();
    if chain.spec().assay.is_none() {
        return Err(SnapshotError::NoVotes);
    }
    if tip == 0 {
        return Err(SnapshotError::NoBlocks);
    }
    let mut writer = Writer::new(out)?;
    let title = Title {
        genesis_hash: reader.hash(0)?.unwrap_or_default(),
        chain_id: chain.spec().chain_id,
        number: tip,
    };
    writer.rlp(Kind::Title, &title)?;
    for update in reader.set_updates()? {
        let text = update.to_json().map_err(SnapshotError::Set)?.to_string();
        writer.frame(Kind::SetUpdate, text.as_bytes())?;
    }
    for number in first_of(tip)..=tip {
        let kept = reader.kept(number)?;
        let kept = kept.ok_or(SnapshotError::NoBlock(number))?;
        if number == tip && kept.certificate.is_none() {
            return Err(SnapshotError::NoVotes);
        }
        writer.frame(Kind::Block, &kept.encode())?;
    }
    let mut accounts = 0;
    reader.pieces(|piece| -> Result<(), SnapshotError> {
        match piece {
            Piece::Code(code) => writer.frame(Kind::Code, &code)?,
            Piece::Account(address, account) => {
                accounts += 1;
                let frame = AccountFrame {
                    address,
                    nonce: account.nonce,
                    balance: account.balance,
                    code_hash: account.code_hash,
                };
                writer.rlp(Kind::Account, &frame)?;
            }
            Piece::Slots(slots) => {
                let slots = slots.into_iter().map(|(key, value)| Slot { key, value });
                let slots = slots.collect();
                writer.rlp(Kind::Slots, &SlotsFrame { slots })?;
            }
        }
        Ok(())
    })?;
    writer.end()?;
    Ok(Taken {
        number: tip,
        hash: chain.head().hash,
        accounts,
    })
}
