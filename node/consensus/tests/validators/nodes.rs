//! Validators in one process, over real connections.

use std::{
    collections::VecDeque,
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use alloy_consensus::{SignableTransaction as _, TxEip1559, transaction::SignerRecoverable as _};
use alloy_primitives::{Address, B256, Signature, TxKind, U256};
use assay_chain::{Chain, ChainGenesis, Founder, Founders, Refusal, TransactionSource};
use assay_consensus::{
    KeyFile, Network, Peers, Recompute, Running, Settings, Sign, ValidatorKey, Voter, Waiting,
    log_in, start_with,
};
use assay_state::Store;
use assay_types::{Domain, Genesis, RecoveredBlock, Transaction, Validator};

/// Longest wait for something that takes a second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(240);
/// Networks run one at a time: what two validators do at once must not wait for another test's.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
const CHAIN_ID: u64 = 4_242;
/// Time a proposer has.
pub(crate) const PROPOSE_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Clone, Default)]
pub(crate) struct Queue(pub(crate) Arc<Mutex<VecDeque<(Transaction, Address)>>>);

struct Source(VecDeque<(Transaction, Address)>);

impl TransactionSource for Source {
    fn next(&mut self) -> Option<(Transaction, Address)> {
        self.0.pop_front()
    }

    fn refused(&mut self, _: B256, _: Address, _: Refusal) {}
}

impl Waiting for Queue {
    fn open(&self, _: Option<u64>) -> Box<dyn TransactionSource + '_> {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Box::new(Source(waiting.clone()))
    }

    fn settle(&self, block: &RecoveredBlock) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let included = &block.block().body.transactions;
        waiting.retain(|(one, _)| {
            included
                .iter()
                .all(|other| other.tx_hash() != one.tx_hash())
        });
    }
}

pub(crate) fn secret(index: u8) -> [u8; 32] {
    [index + 1; 32]
}

pub(crate) fn key(index: u8) -> ValidatorKey {
    ValidatorKey::new(&secret(index)).unwrap()
}

/// A transfer whose sender is whoever its fixed signature recovers to.
pub(crate) fn transfer() -> (Transaction, Address) {
    let fields = TxEip1559 {
        chain_id: CHAIN_ID,
        gas_limit: 21_000,
        max_fee_per_gas: 10_u128.pow(10),
        to: TxKind::Call(Address::repeat_byte(9)),
        value: U256::from(7),
        ..TxEip1559::default()
    };
    let transaction = Transaction::Eip1559(fields.into_signed(Signature::test_signature()));
    let sender = transaction.recover_signer().unwrap();
    (transaction, sender)
}

pub(crate) fn genesis(validators: u8) -> Genesis {
    let founders = (0..validators).map(|index| Founder {
        account: key(index).account(),
        public_key: (U256::from(1), U256::from(index)),
        power: 10,
    });
    let founders = Founders {
        validators: founders.collect(),
        admin: None,
        epoch_blocks: 10,
    };
    let choices = ChainGenesis {
        accounts: vec![(transfer().1, U256::from(10).pow(U256::from(18)))],
        ..ChainGenesis::new(CHAIN_ID, 1, founders)
    };
    choices.build().unwrap()
}

pub(crate) struct Node {
    pub(crate) chain: Arc<Chain>,
    pub(crate) queue: Queue,
    pub(crate) running: Running,
    pub(crate) domain: Domain,
}

/// Takes ports that are free now.
pub(crate) fn addresses(count: usize) -> Vec<SocketAddr> {
    let listeners: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    listeners
        .iter()
        .map(|one| one.local_addr().unwrap())
        .collect()
}

/// What makes blocks in place of the chain service.
pub(crate) type Machine = fn(Arc<Chain>) -> Arc<dyn Recompute>;

/// A node that is to be started.
pub(crate) struct Plan {
    index: u8,
    key: Option<Arc<dyn Sign>>,
    machine: Machine,
}

impl Plan {
    /// Plans an honest validator with the key and the address of its index.
    pub(crate) fn validator(index: u8) -> Self {
        Self {
            index,
            key: Some(Arc::new(key(index))),
            machine: |chain| chain,
        }
    }

    /// Plans a node that votes on nothing.
    pub(crate) fn follower(index: u8) -> Self {
        Self {
            key: None,
            ..Self::validator(index)
        }
    }

    pub(crate) fn with_key(mut self, key: impl Sign + 'static) -> Self {
        self.key = Some(Arc::new(key));
        self
    }

    pub(crate) fn with_machine(mut self, machine: Machine) -> Self {
        self.machine = machine;
        self
    }

    pub(crate) async fn start(self, folder: &Path, genesis: &Genesis, all: &[SocketAddr]) -> Node {
        let folder = folder.join(self.index.to_string());
        let store = Store::open(&folder).unwrap();
        let chain = Arc::new(Chain::open(genesis, store).unwrap());
        let domain = Domain {
            genesis_hash: chain.reader().unwrap().hash(0).unwrap().unwrap(),
            chain_id: CHAIN_ID,
        };
        let listen = all[usize::from(self.index)];
        let network = Network {
            node_secret: secret(self.index + 100),
            name: format!("node-{}", self.index),
            peers: Peers {
                listen,
                known: all.iter().copied().filter(|one| *one != listen).collect(),
                discover: false,
            },
        };
        let settings = Settings {
            propose_timeout: PROPOSE_TIMEOUT,
            vote_timeout: Duration::from_millis(500),
            block_interval: Duration::from_millis(100),
            log: log_in(&folder),
            machine: "test".to_owned(),
        };
        let voter = self.key.map(|key| Voter {
            key,
            last: KeyFile::new(folder.join("signed")).open().unwrap(),
        });
        let queue = Queue::default();
        let running = start_with(
            Arc::clone(&chain),
            (self.machine)(Arc::clone(&chain)),
            domain,
            queue.clone(),
            voter,
            &network,
            &settings,
        );
        Node {
            running: running.await.unwrap(),
            chain,
            queue,
            domain,
        }
    }
}

impl Node {
    pub(crate) fn height(&self) -> u64 {
        self.chain.head().header.number
    }

    pub(crate) async fn reach(&self, height: u64) {
        let began = Instant::now();
        while self.height() < height {
            assert!(
                began.elapsed() < PATIENCE,
                "height is {}, not {height}",
                self.height()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until something is so.
    pub(crate) async fn wait(&self, what: &str, look: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !look(self) {
            assert!(began.elapsed() < PATIENCE, "not in time: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn hash(&self, height: u64) -> B256 {
        self.chain.reader().unwrap().hash(height).unwrap().unwrap()
    }
}

pub(crate) fn set(validators: u8) -> Vec<Validator> {
    (0..validators)
        .map(|index| Validator {
            account: key(index).account(),
            power: 10,
        })
        .collect()
}

/// Waits until no other network runs; hold the answer as long as this one does.
pub(crate) async fn turn() -> tokio::sync::MutexGuard<'static, ()> {
    TURN.lock().await
}
