//! Validators in one process, over real connections: they decide the same blocks, and a node that
//! comes late or comes back has them too.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

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
    KeyFile, Network, Peers, Running, Settings, Sign as _, ValidatorKey, Voter, Waiting, log_in,
    start,
};
use assay_state::Store;
use assay_types::{AssayParams, Domain, Genesis, RecoveredBlock, Transaction, Validator};

/// Longest wait for something that takes a second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(120);
const CHAIN_ID: u64 = 4_242;

#[derive(Clone, Default)]
struct Queue(Arc<Mutex<VecDeque<(Transaction, Address)>>>);

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

fn secret(index: u8) -> [u8; 32] {
    [index + 1; 32]
}

fn key(index: u8) -> ValidatorKey {
    ValidatorKey::new(&secret(index)).unwrap()
}

/// A transfer whose sender is whoever its fixed signature recovers to.
fn transfer() -> (Transaction, Address) {
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

fn genesis(validators: u8) -> Genesis {
    let founders = (0..validators).map(|index| Founder {
        account: key(index).account(),
        public_key: (U256::from(1), U256::from(index)),
        power: 10,
    });
    let choices = ChainGenesis {
        chain_id: CHAIN_ID,
        timestamp: 1,
        gas_limit: 60_000_000,
        base_fee: 1_000_000_000,
        params: AssayParams::default(),
        accounts: vec![(transfer().1, U256::from(10).pow(U256::from(18)))],
        models: Vec::new(),
        example_contract: false,
        founders: Founders {
            validators: founders.collect(),
            admin: None,
            epoch_blocks: 10,
        },
    };
    choices.build().unwrap()
}

struct Node {
    chain: Arc<Chain>,
    queue: Queue,
    running: Running,
    domain: Domain,
}

/// Takes ports that are free now.
fn addresses(count: usize) -> Vec<SocketAddr> {
    let listeners: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    listeners
        .iter()
        .map(|one| one.local_addr().unwrap())
        .collect()
}

async fn node(
    folder: &Path,
    genesis: &Genesis,
    index: u8,
    all: &[SocketAddr],
    votes: bool,
) -> Node {
    let folder = folder.join(index.to_string());
    let store = Store::open(&folder).unwrap();
    let chain = Arc::new(Chain::open(genesis, store).unwrap());
    let domain = Domain {
        genesis_hash: chain.reader().unwrap().hash(0).unwrap().unwrap(),
        chain_id: CHAIN_ID,
    };
    let listen = all[usize::from(index)];
    let network = Network {
        node_secret: secret(index + 100),
        name: format!("node-{index}"),
        peers: Peers {
            listen,
            known: all.iter().copied().filter(|one| *one != listen).collect(),
            discover: false,
        },
    };
    let settings = Settings {
        propose_timeout: Duration::from_secs(2),
        vote_timeout: Duration::from_millis(500),
        block_interval: Duration::from_millis(100),
        log: log_in(&folder),
        machine: "test".to_owned(),
    };
    let voter = votes.then(|| Voter {
        key: Arc::new(key(index)),
        last: KeyFile::new(folder.join("signed")).open().unwrap(),
    });
    let queue = Queue::default();
    let running = start(
        Arc::clone(&chain),
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

impl Node {
    fn height(&self) -> u64 {
        self.chain.head().header.number
    }

    async fn reach(&self, height: u64) {
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

    fn hash(&self, height: u64) -> B256 {
        self.chain.reader().unwrap().hash(height).unwrap().unwrap()
    }
}

fn set(validators: u8) -> Vec<Validator> {
    (0..validators)
        .map(|index| Validator {
            account: key(index).account(),
            power: 10,
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn four_validators_decide_the_same_blocks_and_certify_them() {
    let (folder, genesis) = (tempfile::tempdir().unwrap(), genesis(4));
    let all = addresses(5);
    let mut nodes = Vec::new();
    for index in 0..4 {
        nodes.push(node(folder.path(), &genesis, index, &all, true).await);
    }
    // Every node has it: whoever proposes includes it.
    let (transaction, sender) = transfer();
    for one in &nodes {
        let mut queue = one.queue.0.lock().unwrap();
        queue.push_back((transaction.clone(), sender));
    }
    for one in &nodes {
        one.reach(5).await;
    }
    for height in 1..=5 {
        let hashes: Vec<B256> = nodes.iter().map(|one| one.hash(height)).collect();
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
        for one in &nodes {
            let certificate = one.chain.reader().unwrap().certificate(height);
            let certificate = certificate.unwrap().unwrap();
            assert_eq!(certificate.block_hash, hashes[0]);
            assert!(certificate.verify(&one.domain, &set(4)).unwrap() >= 30);
        }
    }
    let place = nodes[0]
        .chain
        .reader()
        .unwrap()
        .place(*transaction.tx_hash());
    assert!(place.unwrap().is_some());

    // A node that votes on nothing comes late and has everything.
    let late = node(folder.path(), &genesis, 4, &all, false).await;
    late.reach(5).await;
    assert_eq!(late.hash(5), nodes[0].hash(5));

    // One validator goes, the others go on; it comes back and catches up.
    let gone = nodes.remove(3);
    let stood = gone.height();
    gone.running.stop().await;
    drop(gone.chain);
    let target = nodes[0].height() + 3;
    nodes[0].reach(target).await;
    let back = node(folder.path(), &genesis, 3, &all, true).await;
    assert!(back.height() >= stood);
    back.reach(target).await;
    assert_eq!(back.hash(target), nodes[0].hash(target));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_validator_decides_alone() {
    let (folder, genesis) = (tempfile::tempdir().unwrap(), genesis(1));
    let all = addresses(1);
    let alone = node(folder.path(), &genesis, 0, &all, true).await;
    alone.reach(3).await;
    assert!(alone.running.status().stopped().is_none());
    alone.running.stop().await;
}
