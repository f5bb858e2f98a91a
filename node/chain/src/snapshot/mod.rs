//! Snapshots: one file with the newest state and its proof, so that a new node need not replay.
//!
//! ```text
//! genesis --set updates--> validators now --certificate--> newest block --state root--> state
//!                                                               \--parent hashes--> blocks before it
//! ```
//!
//! Whoever reads one believes nothing that this does not prove. docs/spec/snapshot.md has the bytes.

mod frame;
mod read;
mod write;

use std::io;

use alloy_primitives::{Address, B256, U256};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use assay_executor::InvalidBlock;
use assay_state::StateError;
use assay_types::{CertificateError, ReceiptError};

use crate::ChainError;

pub use read::{Restored, restore};
pub use write::{Taken, take};

/// The bytes a snapshot begins with; the digit is the version of its form.
const MAGIC: &[u8; 16] = b"assay-snapshot-1";
/// Blocks a snapshot holds: as many as a contract can ask the hashes of.
const BLOCKS: u64 = 256;

/// Returns the first of the blocks that a snapshot of block `last` holds.
const fn first_of(last: u64) -> u64 {
    match last.saturating_sub(BLOCKS - 1) {
        0 => 1,
        first => first,
    }
}

/// Says why a snapshot is not made, or not believed.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file cannot be read or written.
    #[error("{0}")]
    File(#[from] io::Error),
    /// The store failed, or is of no use here.
    #[error(transparent)]
    Store(#[from] StateError),
    /// The chain has no validators to prove anything.
    #[error("nobody votes on this chain, so nothing proves its state: export --state and --blocks")]
    NoVotes,
    /// There is nothing to skip.
    #[error("the chain has its first block only: there is nothing to skip")]
    NoBlocks,
    /// A block is missing that the snapshot needs.
    #[error("block {0} or its certificate is not kept here")]
    NoBlock(u64),
    /// The file is something else.
    #[error("no snapshot of this version: it begins with {found:?}, not {wanted:?}", wanted = MAGIC.escape_ascii().to_string())]
    Magic {
        /// What it begins with.
        found: String,
    },
    /// The snapshot is another chain's.
    #[error("snapshot is of the chain with genesis {found}, the genesis given has {wanted}")]
    OtherChain {
        /// Genesis hash in the snapshot.
        found: B256,
        /// Genesis hash wanted.
        wanted: B256,
    },
    /// The file ends early, or holds something at the wrong place.
    #[error("snapshot is damaged at byte {offset}: {what}")]
    Damaged {
        /// Where.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// A proof of a validator set does not hold.
    #[error("proof of a validator set: {0}")]
    Set(ReceiptError),
    /// A block is not what its header, or the next block, says.
    #[error("block {number}: {error}")]
    Block {
        /// Number of the block.
        number: u64,
        /// What differs.
        error: InvalidBlock,
    },
    /// The blocks do not follow one another.
    #[error("block {number} does not follow the one before it")]
    Order {
        /// Number of the block.
        number: u64,
    },
    /// The state is not the one its block commits to.
    #[error("state hashes to {got}, block {number} commits to {wanted}: it was changed")]
    State {
        /// Number of the block.
        number: u64,
        /// Root of the state in the snapshot.
        got: B256,
        /// Root in the block.
        wanted: B256,
    },
    /// The state's validators are not those the proofs lead to.
    #[error("validators of block {number} hash to {got}, the proofs lead to {wanted}")]
    Validators {
        /// Number of the block.
        number: u64,
        /// Hash of the set in the state.
        got: B256,
        /// Hash of the set that is proven.
        wanted: B256,
    },
    /// The certificate does not hold.
    #[error("certificate of block {number}: {error}")]
    Certificate {
        /// Number of the block.
        number: u64,
        /// What is wrong with it.
        error: CertificateError,
    },
    /// The genesis, or the chain, is of no use.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// What kind of thing a frame holds. The numbers are the file's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A [`Title`].
    Title = 0,
    /// The JSON of a set update.
    SetUpdate = 1,
    /// A block with its execution.
    Block = 2,
    /// A code.
    Code = 3,
    /// An [`AccountFrame`].
    Account = 4,
    /// A [`SlotsFrame`] of the last account.
    Slots = 5,
    /// Nothing: the end.
    End = 6,
}

/// Which chain and block a snapshot is of.
#[derive(Debug, Clone, PartialEq, Eq, RlpEncodable, RlpDecodable)]
struct Title {
    genesis_hash: B256,
    chain_id: u64,
    number: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, RlpEncodable, RlpDecodable)]
struct AccountFrame {
    address: Address,
    nonce: u64,
    balance: U256,
    code_hash: B256,
}

#[derive(Debug, Clone, PartialEq, Eq, RlpEncodable, RlpDecodable)]
struct SlotsFrame {
    slots: Vec<Slot>,
}

#[derive(Debug, Clone, PartialEq, Eq, RlpEncodable, RlpDecodable)]
struct Slot {
    key: U256,
    value: U256,
}
