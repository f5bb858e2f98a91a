//! The store itself: opening, the first block, commits, savepoints.

use std::path::Path;

use alloy_eips::eip7685::Requests;
use alloy_primitives::B256;
use assay_types::{Certificate, InferenceRecord, Receipt, RecoveredBlock, SetUpdate, StateChanges};
use redb::{
    Database, ReadableDatabase, ReadableTable, TableHandle as _, WriteTransaction,
    backends::InMemoryBackend,
};

use crate::{
    Reader, StateError, TrieUpdate,
    prune::prune,
    scratch,
    tables::{self, meta},
    trie::StateTrie,
    write::{write_block, write_state},
};

const DATABASE_FILE: &str = "chain.redb";
/// Memory for pages of a store with a file; the system's own cache stands behind it.
const CACHE_BYTES: usize = 64 << 20;

/// Everything a node keeps.
pub struct Store {
    database: Database,
    /// Blocks before the newest whose state stays readable; `None` keeps all.
    history_blocks: Option<u64>,
}

/// What a chain was made from: enough to go on with it without being told again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The genesis file, without its accounts: the store has them.
    pub genesis: String,
    /// What else was chosen, in the words of whoever chose.
    pub options: String,
}

/// A point the store can be taken back to, as long as the process lives.
pub struct Savepoint(redb::Savepoint);

/// A block with all its execution left, ready to be stored.
#[derive(Debug, Clone, Copy)]
pub struct ExecutedBlock<'a> {
    /// The block.
    pub block: &'a RecoveredBlock,
    /// The difference to its parent's state.
    pub changes: &'a StateChanges,
    /// The trie's part of that difference.
    pub trie: &'a TrieUpdate,
    /// Receipts of its transactions.
    pub receipts: &'a [Receipt],
    /// Inference calls it made.
    pub records: &'a [InferenceRecord],
    /// Its EIP-7685 requests.
    pub requests: &'a Requests,
    /// What decided it; `None` where nobody votes.
    pub certificate: Option<&'a Certificate>,
    /// Proof of the set of validators that follows this block's, when another one does.
    pub set_update: Option<&'a SetUpdate>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl std::fmt::Debug for Savepoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Savepoint")
    }
}

impl Store {
    /// Opens the store in a directory, making both when they are missing.
    ///
    /// # Errors
    /// When the directory cannot be used or holds a store of another schema.
    pub fn open(directory: &Path) -> Result<Self, StateError> {
        std::fs::create_dir_all(directory).map_err(|source| StateError::Directory {
            path: directory.into(),
            source,
        })?;
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(directory.join(DATABASE_FILE))?;
        Self::with_database(database)
    }

    /// Tells whether a directory holds a store.
    #[must_use]
    pub fn is_in(directory: &Path) -> bool {
        directory.join(DATABASE_FILE).exists()
    }

    /// Moves a closed store from one directory into another that has none.
    ///
    /// # Errors
    /// When the other directory has a store already, or the file cannot be moved.
    pub fn relocate(from: &Path, to: &Path) -> Result<(), StateError> {
        let file = to.join(DATABASE_FILE);
        if Self::is_in(to) {
            return Err(StateError::NotEmpty);
        }
        let moved = std::fs::create_dir_all(to)
            .and_then(|()| std::fs::rename(from.join(DATABASE_FILE), &file))
            .and_then(|()| std::fs::File::open(to)?.sync_all());
        moved.map_err(|source| StateError::Directory {
            path: to.into(),
            source,
        })
    }

    /// Makes an empty store in a temporary file that ends with the process.
    ///
    /// # Errors
    /// When the system gives no temporary file, or the database cannot be made.
    pub fn scratch() -> Result<Self, StateError> {
        Self::with_database(scratch::create(CACHE_BYTES)?)
    }

    /// Makes an empty store that lives in memory only.
    ///
    /// # Errors
    /// When the database cannot be made.
    pub fn in_memory() -> Result<Self, StateError> {
        let database = Database::builder().create_with_backend(InMemoryBackend::new())?;
        Self::with_database(database)
    }

    fn with_database(database: Database) -> Result<Self, StateError> {
        let store = Self {
            database,
            history_blocks: None,
        };
        let write = store.begin()?;
        {
            let mut table = write.open_table(tables::META)?;
            let found = table.get(meta::SCHEMA)?.map(|value| value.value().to_vec());
            match found {
                None => {
                    table.insert(
                        meta::SCHEMA,
                        tables::SCHEMA_VERSION.to_be_bytes().as_slice(),
                    )?;
                }
                Some(bytes) => {
                    let bytes = bytes
                        .try_into()
                        .map_err(|_| StateError::Corrupt("schema version"))?;
                    let found = u32::from_be_bytes(bytes);
                    if found != tables::SCHEMA_VERSION {
                        return Err(StateError::Schema {
                            found,
                            known: tables::SCHEMA_VERSION,
                        });
                    }
                }
            }
        }
        create_tables(&write)?;
        write.commit()?;
        Ok(store)
    }

    /// Chooses for how many blocks before the newest the state stays readable; `None` keeps all.
    #[must_use]
    pub const fn with_history(mut self, blocks: Option<u64>) -> Self {
        self.history_blocks = blocks;
        self
    }

    /// Reads what the chain was made from; `None` when the store is empty.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn origin(&self) -> Result<Option<Origin>, StateError> {
        if self.genesis()?.is_none() {
            return Ok(None);
        }
        let read = self.database.begin_read()?;
        let table = read.open_table(tables::META)?;
        let text = |name| -> Result<String, StateError> {
            let bytes = table.get(name)?.map(|bytes| bytes.value().to_vec());
            String::from_utf8(bytes.unwrap_or_default())
                .map_err(|_| StateError::Corrupt("origin of the chain"))
        };
        let (genesis, options) = (text(meta::GENESIS_FILE)?, text(meta::OPTIONS)?);
        Ok((!genesis.is_empty()).then_some(Origin { genesis, options }))
    }

    /// Keeps what the chain is made from, before its first block is written.
    ///
    /// # Errors
    /// When the store has a first block already, or cannot be written.
    pub fn set_origin(&self, origin: &Origin) -> Result<(), StateError> {
        if let Some(found) = self.genesis()? {
            let wanted = B256::ZERO;
            return Err(StateError::Genesis { found, wanted });
        }
        let write = self.begin()?;
        {
            let mut table = write.open_table(tables::META)?;
            table.insert(meta::GENESIS_FILE, origin.genesis.as_bytes())?;
            table.insert(meta::OPTIONS, origin.options.as_bytes())?;
        }
        write.commit()?;
        Ok(())
    }

    /// Puts the first block and its state into an empty store, or checks that the store begins
    /// with that block.
    ///
    /// # Errors
    /// When the store belongs to another chain, or cannot be written.
    pub fn initialize(
        &self,
        block: &RecoveredBlock,
        changes: &StateChanges,
        trie: &TrieUpdate,
    ) -> Result<(), StateError> {
        if let Some(found) = self.genesis()? {
            let wanted = block.hash();
            return match found == wanted {
                true => Ok(()),
                false => Err(StateError::Genesis { found, wanted }),
            };
        }
        let write = self.begin()?;
        write_first(&write, block, changes, trie)?;
        write.commit()?;
        Ok(())
    }

    /// Empties the store and puts its first block and state back, as developers' tools ask for.
    ///
    /// # Errors
    /// When the block is not the store's first, or the store cannot be written.
    pub fn begin_again(
        &self,
        block: &RecoveredBlock,
        changes: &StateChanges,
        trie: &TrieUpdate,
    ) -> Result<(), StateError> {
        let (found, wanted) = (self.genesis()?.unwrap_or_default(), block.hash());
        if found != wanted {
            return Err(StateError::Genesis { found, wanted });
        }
        let write = self.begin()?;
        for table in write.list_tables()?.collect::<Vec<_>>() {
            if table.name() != tables::META.name() {
                write.delete_table(table)?;
            }
        }
        create_tables(&write)?;
        write_first(&write, block, changes, trie)?;
        write.commit()?;
        Ok(())
    }

    /// Reads the hash of the first block; `None` when the store is empty.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn genesis(&self) -> Result<Option<B256>, StateError> {
        let read = self.database.begin_read()?;
        let table = read.open_table(tables::META)?;
        Ok(table
            .get(meta::GENESIS)?
            .map(|hash| B256::from_slice(hash.value())))
    }

    /// Takes the present moment for reading.
    ///
    /// # Errors
    /// When the store is empty or cannot be read.
    pub fn reader(&self) -> Result<Reader, StateError> {
        Reader::new(self.database.begin_read()?)
    }

    /// Computes the root of the newest state after some changes, without writing anything.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn root(&self, changes: &StateChanges) -> Result<TrieUpdate, StateError> {
        let mut trie = StateTrie::newest(&self.database.begin_read()?)?;
        trie.apply(changes)?;
        Ok(trie.into_update())
    }

    /// Stores a block and its state as one transaction.
    ///
    /// # Errors
    /// When the block does not follow the newest one, or the store cannot be written.
    pub fn commit(&self, block: &ExecutedBlock<'_>) -> Result<(), StateError> {
        let (got, tip) = (block.block.header().number, self.reader()?.tip());
        if Some(got) != tip.checked_add(1) {
            return Err(StateError::Order { got, tip });
        }
        let write = self.begin()?;
        write_block(&write, block)?;
        if let Some(blocks) = self.history_blocks {
            prune(&write, got, blocks)?;
        }
        write.commit()?;
        Ok(())
    }

    /// Changes the newest state outside any block, as developers' tools ask for. The newest
    /// header's state root then no longer names the state; the next block's does.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn amend(&self, changes: &StateChanges) -> Result<(), StateError> {
        let trie = self.root(changes)?;
        let tip = self.reader()?.tip();
        let write = self.begin()?;
        write_state(&write, tip, changes, &trie)?;
        write.commit()?;
        Ok(())
    }

    /// Marks the present moment, to come back to.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn savepoint(&self) -> Result<Savepoint, StateError> {
        let write = self.begin()?;
        let savepoint = write.ephemeral_savepoint()?;
        write.abort()?;
        Ok(Savepoint(savepoint))
    }

    /// Takes the store back to a savepoint; later savepoints are lost.
    ///
    /// # Errors
    /// When the savepoint is lost, or the store cannot be written.
    pub fn restore(&self, savepoint: &Savepoint) -> Result<(), StateError> {
        let mut write = self.begin()?;
        write.restore_savepoint(&savepoint.0)?;
        write.commit()?;
        Ok(())
    }

    pub(crate) fn begin(&self) -> Result<WriteTransaction, StateError> {
        Ok(self.database.begin_write()?)
    }
}

/// Writes the first block and its state.
pub(crate) fn write_first(
    write: &WriteTransaction,
    block: &RecoveredBlock,
    changes: &StateChanges,
    trie: &TrieUpdate,
) -> Result<(), StateError> {
    let number = block.header().number;
    {
        let mut table = write.open_table(tables::META)?;
        table.insert(meta::GENESIS, block.hash().as_slice())?;
        table.insert(meta::FIRST_STATE, number.to_be_bytes().as_slice())?;
    }
    let first = ExecutedBlock {
        block,
        changes,
        trie,
        receipts: &[],
        records: &[],
        requests: &Requests::default(),
        certificate: None,
        set_update: None,
    };
    write_block(write, &first)
}

fn create_tables(write: &WriteTransaction) -> Result<(), StateError> {
    write.open_table(tables::ACCOUNTS)?;
    write.open_table(tables::STORAGE)?;
    write.open_table(tables::CODE)?;
    write.open_table(tables::TRIE)?;
    write.open_table(tables::ACCOUNT_HISTORY)?;
    write.open_table(tables::STORAGE_HISTORY)?;
    write.open_table(tables::CHANGED)?;
    write.open_table(tables::BLOCKS)?;
    write.open_table(tables::HASHES)?;
    write.open_table(tables::NUMBERS)?;
    write.open_table(tables::SENDERS)?;
    write.open_table(tables::RECEIPTS)?;
    write.open_table(tables::RECORDS)?;
    write.open_table(tables::REQUESTS)?;
    write.open_table(tables::TRANSACTIONS)?;
    write.open_table(tables::LOG_ADDRESSES)?;
    write.open_table(tables::LOG_TOPICS)?;
    write.open_table(tables::CERTIFICATES)?;
    write.open_table(tables::SET_UPDATES)?;
    write.open_table(tables::PROPOSALS)?;
    write.open_table(tables::EVIDENCE)?;
    write.open_table(tables::DIVERGENCES)?;
    Ok(())
}
