//! The tables. Keys are fixed-width and big-endian, so that order in the file is order of meaning.

use redb::TableDefinition;

/// Version of this layout; another one is refused.
pub(crate) const SCHEMA_VERSION: u32 = 4;

/// Bytes of an address followed by a slot.
pub(crate) const SLOT_KEY_BYTES: usize = 52;
/// Bytes of a trie node's key: hashed address of its owner (zero for the account trie), node hash.
pub(crate) const NODE_KEY_BYTES: usize = 64;

/// Single values by name: schema, tip, genesis hash, trie root.
pub(crate) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// Address -> account, of the newest state.
pub(crate) const ACCOUNTS: TableDefinition<'_, [u8; 20], &[u8]> = TableDefinition::new("accounts");
/// Address, slot -> value, of the newest state; zero is absence.
pub(crate) const STORAGE: TableDefinition<'_, [u8; SLOT_KEY_BYTES], [u8; 32]> =
    TableDefinition::new("storage");
/// Code hash -> code.
pub(crate) const CODE: TableDefinition<'_, [u8; 32], &[u8]> = TableDefinition::new("code");
/// Owner, node hash -> node, of the newest state.
pub(crate) const TRIE: TableDefinition<'_, [u8; NODE_KEY_BYTES], &[u8]> =
    TableDefinition::new("trie");

/// Address, block -> account before that block; empty when there was none.
pub(crate) const ACCOUNT_HISTORY: TableDefinition<'_, [u8; 28], &[u8]> =
    TableDefinition::new("account_history");
/// Address, slot, block -> value before that block.
pub(crate) const STORAGE_HISTORY: TableDefinition<'_, [u8; 60], [u8; 32]> =
    TableDefinition::new("storage_history");
/// Block -> keys of accounts and slots it changed.
pub(crate) const CHANGED: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("changed");

/// Number -> block, RLP.
pub(crate) const BLOCKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("blocks");
/// Number -> hash.
pub(crate) const HASHES: TableDefinition<'_, u64, [u8; 32]> = TableDefinition::new("hashes");
/// Hash -> number.
pub(crate) const NUMBERS: TableDefinition<'_, [u8; 32], u64> = TableDefinition::new("numbers");
/// Number -> senders of its transactions, 20 bytes each.
pub(crate) const SENDERS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("senders");
/// Number -> receipts, RLP list of EIP-2718 strings.
pub(crate) const RECEIPTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("receipts");
/// Number -> inference records, one after another; absent when there are none.
pub(crate) const RECORDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");
/// Number -> EIP-7685 requests, RLP list of strings; absent when there are none.
pub(crate) const REQUESTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("requests");
/// Transaction hash -> block number, index in the block.
pub(crate) const TRANSACTIONS: TableDefinition<'_, [u8; 32], (u64, u32)> =
    TableDefinition::new("transactions");

/// Address, block -> (): blocks with logs of that address.
pub(crate) const LOG_ADDRESSES: TableDefinition<'_, [u8; 28], ()> =
    TableDefinition::new("log_addresses");
/// Position, topic, block -> (): blocks with logs that have that topic there.
pub(crate) const LOG_TOPICS: TableDefinition<'_, [u8; 41], ()> = TableDefinition::new("log_topics");

/// Number -> certificate of the block; absent on chains without validators.
pub(crate) const CERTIFICATES: TableDefinition<'_, u64, &[u8]> =
    TableDefinition::new("certificates");
/// Number of a validator set's last block -> proof of the set that follows, JSON.
pub(crate) const SET_UPDATES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("set_updates");
/// Height, block hash -> a proposal seen at that height, until a block of it is decided.
pub(crate) const PROPOSALS: TableDefinition<'_, [u8; 40], &[u8]> =
    TableDefinition::new("proposals");
/// Height, validator, digest of the evidence -> evidence that the validator signed two things.
pub(crate) const EVIDENCE: TableDefinition<'_, [u8; 60], &[u8]> = TableDefinition::new("evidence");
/// Height, block hash -> report of a proposal that this node computes differently.
pub(crate) const DIVERGENCES: TableDefinition<'_, [u8; 40], &[u8]> =
    TableDefinition::new("divergences");

/// Names in [`META`].
pub(crate) mod meta {
    /// Layout version, u32.
    pub(crate) const SCHEMA: &str = "schema";
    /// Number of the newest block, u64.
    pub(crate) const TIP: &str = "tip";
    /// Hash of the first block.
    pub(crate) const GENESIS: &str = "genesis";
    /// Genesis file the chain was made from, without its accounts.
    pub(crate) const GENESIS_FILE: &str = "genesis_file";
    /// Choices of whoever made the chain, in the form they gave them.
    pub(crate) const OPTIONS: &str = "options";
    /// Root of the trie of the newest state.
    pub(crate) const TRIE_ROOT: &str = "trie_root";
    /// Oldest block whose state can be read.
    pub(crate) const FIRST_STATE: &str = "first_state";
    /// Oldest block kept after the first one; absent when all are.
    pub(crate) const FIRST_BLOCK: &str = "first_block";
}
