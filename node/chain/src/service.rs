//! The service: what the newest block is, how the next one is checked and stored.

use std::sync::{
    Arc, Mutex, PoisonError, RwLock,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use alloy_hardforks::EthereumHardfork;
use alloy_primitives::{B256, Bytes};
use alloy_rlp::Decodable;
use assay_executor::{
    Executor, InvalidBlock, Outcome, validate_body, validate_header, validate_outcome,
};
use assay_state::{ExecutedBlock, Origin, Reader, Savepoint, StateSnapshot, Store, TrieUpdate};
use assay_types::{
    Block, Certificate, ChainSpec, Decision, Genesis, Header, RecoveredBlock, SetUpdate,
    StateChanges, StateView as _,
    validators::{NEXT_SET_REQUEST_TYPE, set_at},
};

use crate::{ChainError, Models};

/// The newest block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its header.
    pub header: Header,
    /// Its hash.
    pub hash: B256,
}

/// A block with everything its execution gave, ready to be committed.
#[derive(Debug, Clone)]
pub struct Executed {
    /// The block.
    pub block: RecoveredBlock,
    /// What executing it gave.
    pub outcome: Outcome,
    pub(crate) trie: TrieUpdate,
}

/// A block under execution.
pub(crate) struct Executing<'a>(&'a AtomicUsize);

impl Drop for Executing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

type Listener = Box<dyn Fn(&Executed) + Send + Sync>;

/// Tip, state and store of one chain.
pub struct Chain {
    executor: Executor,
    store: Store,
    models: Option<Arc<Models>>,
    /// Blocks under execution, which everything else gives way to.
    executing: AtomicUsize,
    head: RwLock<Arc<Head>>,
    /// Held while the newest block changes: one block at a time.
    writing: Mutex<()>,
    revision: AtomicU64,
    listeners: RwLock<Vec<Listener>>,
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain")
            .field("head", &self.head())
            .finish_non_exhaustive()
    }
}

impl Chain {
    /// Opens a chain over a store, writing its first block when the store is empty.
    ///
    /// # Errors
    /// When the store belongs to another chain, or cannot be used.
    pub fn open(genesis: &Genesis, store: Store) -> Result<Self, ChainError> {
        Self::open_with(genesis, String::new(), store)
    }

    /// Opens a chain over a store as [`Self::open`] does, and keeps the options it was made with.
    ///
    /// # Errors
    /// When the store belongs to another chain, or cannot be used.
    pub fn open_with(genesis: &Genesis, options: String, store: Store) -> Result<Self, ChainError> {
        if store.genesis()?.is_none() {
            let genesis = genesis.rules()?;
            store.set_origin(&Origin { genesis, options })?;
        }
        // The root of the first state alone, whatever the store holds by now.
        let root = Store::in_memory()?.root(&genesis.state())?.root;
        Self::begin(
            genesis.spec.clone(),
            genesis.block(root),
            &genesis.state(),
            store,
        )
    }

    /// Goes on with the chain of a store, from what the store knows alone.
    ///
    /// # Errors
    /// When the store is empty, or cannot be used.
    pub fn reopen(store: Store) -> Result<Self, ChainError> {
        let origin = store.origin()?.ok_or(ChainError::EmptyStore)?;
        let genesis = Genesis::from_json(&origin.genesis)?;
        Self::over(genesis.spec, store)
    }

    /// Opens a chain that begins with a given block and state.
    ///
    /// # Errors
    /// When the block's root is not the state's, the store belongs to another chain, or cannot be
    /// used.
    pub fn begin(
        spec: ChainSpec,
        first: Block,
        state: &StateChanges,
        store: Store,
    ) -> Result<Self, ChainError> {
        let block = first_block(first)?;
        // A store in use is checked by its first block's hash, which holds the root.
        let trie = match store.genesis()? {
            None => {
                let trie = store.root(state)?;
                check_root(trie.root, block.header())?;
                trie
            }
            Some(_) => TrieUpdate::default(),
        };
        store.initialize(&block, state, &trie)?;
        Self::over(spec, store)
    }

    fn over(spec: ChainSpec, store: Store) -> Result<Self, ChainError> {
        let head = RwLock::new(Arc::new(read_head(&store.reader()?)?));
        Ok(Self {
            executor: Executor::new(Arc::new(spec)),
            store,
            models: None,
            executing: AtomicUsize::new(0),
            head,
            writing: Mutex::new(()),
            revision: AtomicU64::new(0),
            listeners: RwLock::new(Vec::new()),
        })
    }

    /// Gives the chain the models its inference precompile runs, before anything is executed.
    #[must_use]
    pub fn with_models(mut self, models: Arc<Models>) -> Self {
        self.executor = self.executor.with_models(Arc::clone(models.host()));
        self.models = Some(models);
        self
    }

    /// Returns the models of this node; `None` on a chain without inference.
    pub const fn models(&self) -> Option<&Arc<Models>> {
        self.models.as_ref()
    }

    /// Tells whether a block is being executed.
    pub fn is_executing(&self) -> bool {
        self.executing.load(Ordering::Relaxed) > 0
    }

    /// Says that a block is being executed, until the answer is dropped.
    pub(crate) fn begin_executing(&self) -> Executing<'_> {
        self.executing.fetch_add(1, Ordering::Relaxed);
        Executing(&self.executing)
    }

    /// Returns the chain's rules.
    pub fn spec(&self) -> &ChainSpec {
        self.executor.spec()
    }

    /// Returns the executor, for simulations.
    pub const fn executor(&self) -> &Executor {
        &self.executor
    }

    /// Returns the store.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Returns the newest block.
    pub fn head(&self) -> Arc<Head> {
        Arc::clone(&self.head.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the present moment of the store for reading.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn reader(&self) -> Result<Reader, ChainError> {
        Ok(self.store.reader()?)
    }

    /// Calls a function after each block that becomes the newest.
    pub fn subscribe(&self, listener: impl Fn(&Executed) + Send + Sync + 'static) {
        let mut listeners = self
            .listeners
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        listeners.push(Box::new(listener));
    }

    /// Decodes a block and recovers its senders.
    ///
    /// # Errors
    /// When the bytes are no block, or a signature recovers no sender.
    pub fn decode(&self, rlp: &mut &[u8]) -> Result<RecoveredBlock, ChainError> {
        let block = Block::decode(rlp)?;
        let forks = self.spec().forks_at(&block.header);
        let allow_high_s = !forks.is_active(EthereumHardfork::Homestead);
        Ok(RecoveredBlock::recover(block, allow_high_s).map_err(InvalidBlock::from)?)
    }

    /// Checks and executes a block on the newest one. Nothing is stored.
    ///
    /// # Errors
    /// When the block breaks a rule, does not follow the newest one, or this machine fails.
    pub fn execute(&self, block: RecoveredBlock) -> Result<Executed, ChainError> {
        let head = self.head();
        let header = block.header();
        if header.parent_hash != head.hash {
            return Err(ChainError::NotOnHead {
                number: header.number,
                parent: header.parent_hash,
                head: head.hash,
            });
        }
        validate_header(self.spec(), header, &head.header, head.hash)?;
        validate_body(self.spec(), block.block())?;
        let executing = self.begin_executing();
        let outcome = self.executor.execute(self.parent_state(&head)?, &block)?;
        drop(executing);
        let (outcome, trie) = self.root(outcome)?;
        validate_outcome(header, &outcome, trie.root)?;
        Ok(Executed {
            block,
            outcome,
            trie,
        })
    }

    /// Executes a block on the newest one whatever its header says of the outcome: what this node
    /// finds where another one's header differs.
    ///
    /// # Errors
    /// When a transaction cannot be executed, or this machine fails.
    pub fn recompute(&self, block: &RecoveredBlock) -> Result<Outcome, ChainError> {
        let _executing = self.begin_executing();
        let state = self.parent_state(&self.head())?;
        Ok(self.executor.execute(state, block)?)
    }

    /// Stores an executed block as the newest one and tells the listeners.
    ///
    /// # Errors
    /// When the block does not follow the newest one, or the store fails.
    pub fn commit(&self, executed: &Executed) -> Result<(), ChainError> {
        self.write(executed, None)
    }

    /// Stores an executed block with what decided it, as [`Self::commit`] does.
    ///
    /// # Errors
    /// When the block does not follow the newest one, or the store fails.
    pub fn commit_decided(
        &self,
        executed: &Executed,
        certificate: &Certificate,
    ) -> Result<(), ChainError> {
        self.write(executed, Some(certificate))
    }

    fn write(
        &self,
        executed: &Executed,
        certificate: Option<&Certificate>,
    ) -> Result<(), ChainError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (header, head) = (executed.block.header(), self.head());
        if header.parent_hash != head.hash {
            return Err(ChainError::NotOnHead {
                number: header.number,
                parent: header.parent_hash,
                head: head.hash,
            });
        }
        let set_update = match certificate {
            Some(certificate) => self.set_update(executed, certificate)?,
            None => None,
        };
        self.store.commit(&ExecutedBlock {
            block: &executed.block,
            changes: &executed.outcome.changes,
            trie: &executed.trie,
            receipts: &executed.outcome.receipts,
            records: &executed.outcome.records,
            requests: &executed.outcome.requests,
            certificate,
            set_update: set_update.as_ref(),
        })?;
        self.set_head(Head {
            header: header.clone(),
            hash: executed.block.hash(),
        });
        let listeners = self
            .listeners
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        listeners.iter().for_each(|listener| listener(executed));
        Ok(())
    }

    /// Cuts the proof that a block is the last of its validator set, while the state that names
    /// the set is at hand; `None` when it is not the last.
    fn set_update(
        &self,
        executed: &Executed,
        certificate: &Certificate,
    ) -> Result<Option<SetUpdate>, ChainError> {
        let requests = &executed.outcome.requests;
        let named = |request: &Bytes| request.first() == Some(&NEXT_SET_REQUEST_TYPE);
        let (true, Some(params)) = (requests.iter().any(named), &self.spec().assay) else {
            return Ok(None);
        };
        let state = self.parent_state(&self.head())?;
        let header = executed.block.header();
        let validators = set_at(header.number, |slot| {
            state.storage(params.validator_set, slot)
        })?;
        let decision = Decision::new(header, certificate, validators);
        Ok(SetUpdate::cut(requests, decision))
    }

    /// Decodes, executes and stores a block.
    ///
    /// # Errors
    /// As [`Self::decode`], [`Self::execute`] and [`Self::commit`].
    pub fn import(&self, rlp: &mut &[u8]) -> Result<B256, ChainError> {
        let executed = self.execute(self.decode(rlp)?)?;
        self.commit(&executed)?;
        Ok(executed.block.hash())
    }

    /// Changes the newest state outside any block, for developers' tools.
    ///
    /// # Errors
    /// When the store fails.
    pub fn amend(&self, changes: &StateChanges) -> Result<(), ChainError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.store.amend(changes)?;
        self.changed();
        Ok(())
    }

    /// Counts the changes of the newest state, by blocks and otherwise: while the number stays, so
    /// does the state.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    fn changed(&self) {
        self.revision.fetch_add(1, Ordering::Release);
    }

    /// Marks the present moment, to come back to with [`Self::restore`].
    ///
    /// # Errors
    /// When the store fails.
    pub fn savepoint(&self) -> Result<Savepoint, ChainError> {
        Ok(self.store.savepoint()?)
    }

    /// Takes the chain back to a savepoint; later savepoints are lost. For developers' tools only:
    /// a decided block is never taken back.
    ///
    /// # Errors
    /// When the savepoint is lost, or the store fails.
    pub fn restore(&self, savepoint: &Savepoint) -> Result<(), ChainError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.store.restore(savepoint)?;
        self.set_head(read_head(&self.store.reader()?)?);
        Ok(())
    }

    /// Takes the chain back to its first block, which is this genesis's. For developers' tools only.
    ///
    /// # Errors
    /// When the chain does not begin with this genesis, or the store fails.
    pub fn reset(&self, genesis: &Genesis) -> Result<(), ChainError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let state = genesis.state();
        let trie = Store::in_memory()?.root(&state)?;
        let block = first_block(genesis.block(trie.root))?;
        self.store.begin_again(&block, &state, &trie)?;
        self.set_head(read_head(&self.store.reader()?)?);
        Ok(())
    }

    pub(crate) fn parent_state(&self, head: &Head) -> Result<StateSnapshot, ChainError> {
        Ok(self.store.reader()?.state(head.header.number)?)
    }

    /// Computes the state root of an outcome, and those its receipts carry before Byzantium.
    pub(crate) fn root(&self, mut outcome: Outcome) -> Result<(Outcome, TrieUpdate), ChainError> {
        let steps = std::mem::take(&mut outcome.changes_by_transaction);
        let roots = steps
            .iter()
            .map(|changes| Ok(self.store.root(changes)?.root))
            .collect::<Result<Vec<_>, ChainError>>()?;
        outcome.set_transaction_roots(roots);
        let trie = self.store.root(&outcome.changes)?;
        Ok((outcome, trie))
    }

    fn set_head(&self, head: Head) {
        *self.head.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(head);
        self.changed();
    }
}

/// Computes the first block of a genesis.
pub(crate) fn genesis_block(genesis: &Genesis) -> Result<RecoveredBlock, ChainError> {
    let root = Store::in_memory()?.root(&genesis.state())?.root;
    Ok(first_block(genesis.block(root))?)
}

/// Takes a block that has no transactions, as a first block must.
fn first_block(block: Block) -> Result<RecoveredBlock, InvalidBlock> {
    RecoveredBlock::with_senders(block, Vec::new())
        .ok_or_else(|| InvalidBlock::header("transactionsRoot", "not empty", "empty"))
}

fn check_root(got: B256, header: &Header) -> Result<(), InvalidBlock> {
    let want = header.state_root;
    match got == want {
        true => Ok(()),
        false => Err(InvalidBlock::Root {
            field: "stateRoot",
            got,
            want,
        }),
    }
}

pub(crate) fn read_head(reader: &Reader) -> Result<Head, ChainError> {
    let number = reader.tip();
    let missing = assay_state::StateError::Corrupt("newest block is missing");
    match (reader.header(number)?, reader.hash(number)?) {
        (Some(header), Some(hash)) => Ok(Head { header, hash }),
        _ => Err(missing.into()),
    }
}
