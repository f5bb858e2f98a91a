//! The Merkle trie over the flat state: roots and proofs. The seam around `eth_trie`.
//!
//! Nodes are kept by hash under their owner: the account trie, or one contract's storage trie. Only
//! the newest state's nodes are kept, so a node is dropped when its place in the trie changes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use alloy_consensus::constants::EMPTY_ROOT_HASH;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::{Decodable, Encodable};
use alloy_trie::TrieAccount;
use assay_types::{Account, AccountChange, StateChanges};
use eth_trie::{DB, EthTrie, Trie, TrieError};
use redb::{ReadOnlyTable, ReadTransaction};

use crate::{
    StateError,
    codec::node_key,
    tables::{self, NODE_KEY_BYTES, meta},
};

/// The table of nodes as one moment saw it.
pub(crate) type NodeTable = ReadOnlyTable<[u8; NODE_KEY_BYTES], &'static [u8]>;

/// Owner of the account trie's nodes.
const ACCOUNT_TRIE: B256 = B256::ZERO;

/// What a new root adds to the stored trie and drops from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrieUpdate {
    /// The new root.
    pub root: B256,
    /// Nodes to store, or to drop, by owner and hash.
    pub(crate) nodes: BTreeMap<(B256, B256), Option<Vec<u8>>>,
    /// Owners all of whose stored nodes go first.
    pub(crate) wiped: Vec<B256>,
}

/// An account with the nodes that prove it, as `eth_getProof` gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountProof {
    /// The account; `None` when the proof is one of absence.
    pub account: Option<Account>,
    /// Root of its storage trie.
    pub storage_root: B256,
    /// Nodes from the state root down.
    pub nodes: Vec<Bytes>,
    /// Proofs of the slots asked for, in the order asked.
    pub storage: Vec<StorageProof>,
}

/// A slot with the nodes that prove it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageProof {
    /// The slot.
    pub slot: U256,
    /// Its value; zero when the proof is one of absence.
    pub value: U256,
    /// Nodes from the storage root down.
    pub nodes: Vec<Bytes>,
}

/// Nodes of one owner: the stored ones, with changes on top.
struct NodeDb {
    owner: B256,
    /// `None` when the owner starts afresh and stored nodes must not be seen.
    table: Option<Arc<NodeTable>>,
    changes: Mutex<BTreeMap<B256, Option<Vec<u8>>>>,
}

impl NodeDb {
    const fn new(owner: B256, table: Option<Arc<NodeTable>>) -> Self {
        Self {
            owner,
            table,
            changes: Mutex::new(BTreeMap::new()),
        }
    }

    fn set(&self, hash: B256, node: Option<Vec<u8>>) {
        // The empty trie needs no node, and two tries may share its hash.
        if hash != EMPTY_ROOT_HASH {
            let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            changes.insert(hash, node);
        }
    }
}

impl DB for NodeDb {
    type Error = StateError;

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let hash = hash_of(key)?;
        if hash == EMPTY_ROOT_HASH {
            return Ok(Some(vec![alloy_rlp::EMPTY_STRING_CODE]));
        }
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = changes.get(&hash) {
            return Ok(node.clone());
        }
        let Some(table) = &self.table else {
            return Ok(None);
        };
        Ok(table
            .get(node_key(self.owner, hash))?
            .map(|node| node.value().to_vec()))
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> Result<(), StateError> {
        self.set(hash_of(key)?, Some(value));
        Ok(())
    }

    fn remove(&self, key: &[u8]) -> Result<(), StateError> {
        self.set(hash_of(key)?, None);
        Ok(())
    }

    fn flush(&self) -> Result<(), StateError> {
        Ok(())
    }
}

fn hash_of(key: &[u8]) -> Result<B256, StateError> {
    B256::try_from(key).map_err(|_| StateError::Corrupt("trie node key"))
}

/// The trie of the newest state, being changed in memory.
pub(crate) struct StateTrie {
    table: Arc<NodeTable>,
    accounts: EthTrie<NodeDb>,
    root: B256,
    storage: BTreeMap<B256, Arc<NodeDb>>,
    wiped: Vec<B256>,
}

impl StateTrie {
    /// Opens the trie of the newest state, which is empty in an empty store.
    pub(crate) fn newest(read: &ReadTransaction) -> Result<Self, StateError> {
        let root = read.open_table(tables::META)?.get(meta::TRIE_ROOT)?;
        let root = root.map_or(EMPTY_ROOT_HASH, |root| B256::from_slice(root.value()));
        let table = Arc::new(read.open_table(tables::TRIE)?);
        let db = Arc::new(NodeDb::new(ACCOUNT_TRIE, Some(Arc::clone(&table))));
        let accounts = open_trie(db, root)?;
        Ok(Self {
            table,
            accounts,
            root,
            storage: BTreeMap::new(),
            wiped: Vec::new(),
        })
    }

    /// Applies changes and returns the new root.
    pub(crate) fn apply(&mut self, changes: &StateChanges) -> Result<B256, StateError> {
        for (address, change) in &changes.accounts {
            self.apply_account(*address, change)?;
        }
        self.root = commit(&mut self.accounts, self.root)?;
        Ok(self.root)
    }

    /// Ends the changes and hands over what to store.
    pub(crate) fn into_update(self) -> TrieUpdate {
        let mut nodes = BTreeMap::new();
        for db in self.storage.values().chain([&self.accounts.db]) {
            let mut changes = db.changes.lock().unwrap_or_else(PoisonError::into_inner);
            let owner = db.owner;
            nodes.extend(
                std::mem::take(&mut *changes)
                    .into_iter()
                    .map(|(hash, node)| ((owner, hash), node)),
            );
        }
        TrieUpdate {
            root: self.root,
            nodes,
            wiped: self.wiped,
        }
    }

    /// Proves an account and some of its slots.
    pub(crate) fn prove(
        &mut self,
        address: Address,
        slots: &[U256],
    ) -> Result<AccountProof, StateError> {
        let key = keccak256(address);
        let leaf = self.leaf(key)?;
        let storage_root = leaf.map_or(EMPTY_ROOT_HASH, |leaf| leaf.storage_root);
        let mut storage_trie = open_trie(self.storage_db(key), storage_root)?;
        let storage = slots
            .iter()
            .map(|slot| {
                let key = keccak256(slot.to_be_bytes::<32>());
                let value = storage_trie.get(key.as_slice()).map_err(trie_error)?;
                let value = value.map_or(Ok(U256::ZERO), |bytes| decode::<U256>(&bytes))?;
                Ok(StorageProof {
                    slot: *slot,
                    value,
                    nodes: proof(&mut storage_trie, key)?,
                })
            })
            .collect::<Result<Vec<_>, StateError>>()?;
        let account = leaf.map(|leaf| Account {
            nonce: leaf.nonce,
            balance: leaf.balance,
            code_hash: leaf.code_hash,
        });
        Ok(AccountProof {
            account,
            storage_root,
            nodes: proof(&mut self.accounts, key)?,
            storage,
        })
    }

    fn apply_account(
        &mut self,
        address: Address,
        change: &AccountChange,
    ) -> Result<(), StateError> {
        let key = keccak256(address);
        let leaf = self.leaf(key)?;
        let mut storage_root = leaf.map_or(EMPTY_ROOT_HASH, |leaf| leaf.storage_root);
        if change.wiped || change.account.is_none() {
            if storage_root != EMPTY_ROOT_HASH {
                self.wiped.push(key);
                self.storage.insert(key, Arc::new(NodeDb::new(key, None)));
            }
            storage_root = EMPTY_ROOT_HASH;
        }
        let Some(account) = change.account else {
            // Removing an absent key would drop nodes that are still in use.
            if leaf.is_some() {
                self.accounts.remove(key.as_slice()).map_err(trie_error)?;
            }
            return Ok(());
        };
        if !change.storage.is_empty() {
            storage_root = self.apply_storage(key, storage_root, &change.storage)?;
        }
        let leaf = TrieAccount {
            nonce: account.nonce,
            balance: account.balance,
            storage_root,
            code_hash: account.code_hash,
        };
        self.accounts
            .insert(key.as_slice(), &encode(&leaf))
            .map_err(trie_error)
    }

    fn apply_storage(
        &mut self,
        owner: B256,
        root: B256,
        slots: &BTreeMap<U256, U256>,
    ) -> Result<B256, StateError> {
        let mut trie = open_trie(self.storage_db(owner), root)?;
        for (slot, value) in slots {
            let key = keccak256(slot.to_be_bytes::<32>());
            if !value.is_zero() {
                trie.insert(key.as_slice(), &encode(value))
                    .map_err(trie_error)?;
            } else if trie.contains(key.as_slice()).map_err(trie_error)? {
                trie.remove(key.as_slice()).map_err(trie_error)?;
            }
        }
        commit(&mut trie, root)
    }

    fn storage_db(&mut self, owner: B256) -> Arc<NodeDb> {
        let db = self
            .storage
            .entry(owner)
            .or_insert_with(|| Arc::new(NodeDb::new(owner, Some(Arc::clone(&self.table)))));
        Arc::clone(db)
    }

    fn leaf(&self, key: B256) -> Result<Option<TrieAccount>, StateError> {
        let leaf = self.accounts.get(key.as_slice()).map_err(trie_error)?;
        leaf.map(|bytes| decode(&bytes)).transpose()
    }
}

fn open_trie(db: Arc<NodeDb>, root: B256) -> Result<EthTrie<NodeDb>, StateError> {
    match root == EMPTY_ROOT_HASH {
        true => Ok(EthTrie::new(db)),
        false => EthTrie::from(db, root).map_err(trie_error),
    }
}

/// Writes a trie's changes into its node database and drops the root it replaces: the library
/// drops the nodes below, but holds the root apart.
fn commit(trie: &mut EthTrie<NodeDb>, old: B256) -> Result<B256, StateError> {
    let root = trie.root_hash().map_err(trie_error)?;
    if root != old {
        trie.db.set(old, None);
    }
    Ok(root)
}

fn proof(trie: &mut EthTrie<NodeDb>, key: B256) -> Result<Vec<Bytes>, StateError> {
    let nodes = trie.get_proof(key.as_slice()).map_err(trie_error)?;
    Ok(nodes.into_iter().map(Bytes::from).collect())
}

fn encode(value: &impl Encodable) -> Vec<u8> {
    let mut out = Vec::new();
    value.encode(&mut out);
    out
}

fn decode<T: Decodable>(bytes: &[u8]) -> Result<T, StateError> {
    T::decode(&mut &*bytes).map_err(|_| StateError::Corrupt("trie leaf"))
}

fn trie_error(error: TrieError) -> StateError {
    StateError::Trie(error.to_string())
}
