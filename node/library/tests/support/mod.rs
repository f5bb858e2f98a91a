//! Validators for tests: real TCP on loopback; the first makes the blocks and the others import
//! them, as if the engine had decided.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses its part, and a test may panic"
)]

use std::{sync::Arc, time::Duration};

use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_primitives::{Address, B256, TxKind, U256};
use alloy_rlp::Encodable as _;
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolCall as _;
use assay_chain::{Attributes, Chain, ChainGenesis, Founder, Founders, Held, Models, registry};
use assay_dev::FromPool;
use assay_library::{Attester, Door, Librarian, Policy};
use assay_network::{Config, Multiaddr, Network, NodeKey};
use assay_pool::Pool;
use assay_precompile::registry::Status;
use assay_runtime::{Limits, bundle::Bundle};
use assay_state::{ModelStore, Store};
use assay_types::{
    Genesis, StateView as _, Transaction,
    contracts::{IModelRegistry, mapping_slot, registry as slots},
};
use bytes::Bytes;

const DEADLINE: Duration = Duration::from_secs(60);
pub(crate) const CHAIN_ID: u64 = 7;
const ETHER: u128 = 1_000_000_000_000_000_000;
const VOLATILITY: &[u8] = include_bytes!("../../../../precompile/runtime/models/volatility.assay");

/// Makes a key from a number.
pub(crate) fn key(number: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(number)).unwrap()
}

/// Makes a bundle of the publisher's; a broken one has samples that no machine reproduces.
pub(crate) fn bundle(publisher: Address, broken: bool) -> Bytes {
    let source = Bundle::read(Bytes::from_static(VOLATILITY), 1 << 20).unwrap();
    let files = source.manifest().files.iter().map(|file| {
        let mut bytes = source.file(&file.name).unwrap().to_vec();
        if broken && file.name == "samples.bin" {
            *bytes.last_mut().unwrap() ^= 1;
        }
        (file.name.clone(), Bytes::from(bytes))
    });
    let mut manifest = source.manifest().clone();
    manifest.publisher = publisher;
    let bundle = Bundle::pack(manifest, files.collect()).unwrap();
    let mut bytes = Vec::new();
    bundle.write_to(&mut bytes).unwrap();
    bytes.into()
}

/// Makes the genesis of validators of equal power; all but the last have funds.
pub(crate) fn genesis(validators: &[PrivateKeySigner], publisher: Address) -> Genesis {
    genesis_with(validators, publisher, Vec::new())
}

/// Makes such a genesis with models that are active from the start.
pub(crate) fn genesis_with(
    validators: &[PrivateKeySigner],
    publisher: Address,
    models: Vec<Held>,
) -> Genesis {
    let founders = validators.iter().map(|key| {
        let point = key.credential().verifying_key().to_encoded_point(false);
        let word = |bytes: &[u8]| U256::from_be_slice(bytes);
        Founder {
            account: key.address(),
            public_key: (word(point.x().unwrap()), word(point.y().unwrap())),
            power: 1,
        }
    });
    let rich = validators
        .iter()
        .rev()
        .skip(1)
        .map(PrivateKeySigner::address);
    let founders = Founders {
        validators: founders.collect(),
        admin: None,
        epoch_blocks: 10,
    };
    let genesis = ChainGenesis {
        accounts: rich
            .chain([publisher])
            .map(|account| (account, U256::from(100 * ETHER)))
            .collect(),
        models,
        ..ChainGenesis::new(CHAIN_ID, 1, founders)
    };
    genesis.build().unwrap()
}

/// A node of a test.
pub(crate) struct Node {
    pub(crate) key: PrivateKeySigner,
    pub(crate) chain: Arc<Chain>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) network: Network,
    pub(crate) librarian: Librarian,
}

impl Node {
    pub(crate) async fn start(
        genesis: &Genesis,
        key: PrivateKeySigner,
        policy: Policy,
        peers: &[Multiaddr],
    ) -> Self {
        let params = genesis.spec.assay.clone().unwrap();
        let models = Models::new(ModelStore::in_memory(), Limits::default(), params);
        let chain = Chain::open(genesis, Store::in_memory().unwrap()).unwrap();
        let chain = Arc::new(chain.with_models(Arc::new(models)));
        let pool = Arc::new(Pool::default());
        let hash = chain.reader().unwrap().hash(0).unwrap().unwrap();
        let listen = "/ip4/127.0.0.1/tcp/0".parse().unwrap();
        let mut config = Config::new(NodeKey::generate(), CHAIN_ID, hash, listen);
        config.peers = peers.to_vec();
        let door = Door::new(Arc::clone(&chain), Arc::clone(&pool));
        let network = Network::start(config, Arc::new(door)).await.unwrap();
        let librarian = librarian(&chain, &pool, &network, policy, &key);
        Self {
            key,
            chain,
            pool,
            network,
            librarian,
        }
    }

    pub(crate) fn models(&self) -> &Models {
        self.chain.models().unwrap()
    }

    pub(crate) fn holds(&self, id: B256) -> bool {
        self.models().store().size_bytes(id).unwrap().is_some()
    }

    /// Waits until something holds, looking whenever the librarian or the network did something.
    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let (mut looks, mut changes) = (self.librarian.watch(), self.network.watch());
        let waiting = async {
            while !holds(self) {
                tokio::select! {
                    looked = looks.changed() => looked.unwrap(),
                    changed = changes.changed() => changed.unwrap(),
                }
            }
        };
        let waited = tokio::time::timeout(DEADLINE, waiting).await;
        let standings = self.librarian.standings();
        assert!(waited.is_ok(), "never: {what}; {standings:?}");
    }

    pub(crate) fn status(&self, id: B256) -> Status {
        let reader = self.chain.reader().unwrap();
        let (tip, registry) = (reader.tip(), self.registry());
        let record = registry::record(&reader.state(tip).unwrap(), registry, id).unwrap();
        record.status(tip + 1)
    }

    pub(crate) fn attested(&self, held: &Held, account: Address) -> bool {
        let reader = self.chain.reader().unwrap();
        let state = reader.state(reader.tip()).unwrap();
        let key = held.summary().key(held.id);
        registry::has_attested(&state, self.registry(), key, account).unwrap()
    }

    /// Reads the word of a registration.
    pub(crate) fn registration(&self, held: &Held) -> U256 {
        let reader = self.chain.reader().unwrap();
        let state = reader.state(reader.tip()).unwrap();
        let key = held.summary().key(held.id);
        let slot = mapping_slot(key, U256::from(slots::REGISTRATIONS));
        state.storage(self.registry(), slot).unwrap()
    }

    pub(crate) fn registry(&self) -> Address {
        self.chain.spec().assay.as_ref().unwrap().model_registry
    }
}

/// Starts so many validators; each knows the first. The last one's account is empty.
pub(crate) async fn validators(count: u8, policy: &Policy) -> Vec<Node> {
    let keys: Vec<_> = (1..=count).map(key).collect();
    let genesis = genesis(&keys, key(99).address());
    let mut nodes: Vec<Node> = Vec::new();
    for key in keys {
        let peers: Vec<_> = nodes
            .first()
            .map(|first| first.network.address())
            .into_iter()
            .collect();
        nodes.push(Node::start(&genesis, key, policy.clone(), &peers).await);
    }
    nodes
}

/// Starts a librarian that signs with a key.
pub(crate) fn librarian(
    chain: &Arc<Chain>,
    pool: &Arc<Pool>,
    network: &Network,
    policy: Policy,
    key: &PrivateKeySigner,
) -> Librarian {
    let signer = key.clone();
    let attester = Attester::new(key.address(), move |digest| {
        Ok(signer.sign_hash_sync(&digest).unwrap().as_bytes())
    });
    let (chain, pool) = (Arc::clone(chain), Arc::clone(pool));
    let started = Librarian::start(chain, pool, network.clone(), policy, Some(attester));
    started.unwrap()
}

/// Makes a block of what waits at the first node; the others import it.
pub(crate) fn block(nodes: &[&Node]) {
    let first = nodes[0];
    let head = first.chain.head();
    let attributes = Attributes::following(&head);
    let base_fee = first.chain.next_header(&head, &attributes).base_fee_per_gas;
    let mut source = FromPool::new(&first.pool, base_fee);
    let built = first.chain.build(&attributes, &mut source).unwrap();
    first.chain.commit(&built).unwrap();
    let mut rlp = Vec::new();
    built.block.block().encode(&mut rlp);
    for node in &nodes[1..] {
        node.chain.import(&mut rlp.as_slice()).unwrap();
    }
    for node in nodes {
        node.pool.settle(built.block.transactions());
    }
}

/// Signs a transaction.
pub(crate) fn signed(key: &PrivateKeySigner, fields: TxEip1559) -> Transaction {
    let signature = key.sign_hash_sync(&fields.signature_hash()).unwrap();
    Transaction::Eip1559(fields.into_signed(signature))
}

/// Puts a registration into the first node's pool.
pub(crate) fn register(node: &Node, publisher: &PrivateKeySigner, bytes: &Bytes) -> Held {
    let bundle = Bundle::read(bytes.clone(), 1 << 20).unwrap();
    let held = Held::of_manifest(bundle.manifest_bytes()).unwrap();
    let reader = node.chain.reader().unwrap();
    let state = reader.state(reader.tip()).unwrap();
    let deposits = state
        .storage(node.registry(), U256::from(slots::DEPOSITS))
        .unwrap();
    let per_byte: U256 = deposits & ((U256::from(1) << 96) - U256::from(1));
    let account = state.account(publisher.address()).unwrap().unwrap();
    let call = IModelRegistry::registerCall {
        manifest: held.manifest.encode().into(),
        summary: held.summary(),
    };
    let fields = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce: account.nonce,
        gas_limit: 20_000_000,
        max_fee_per_gas: 10_000_000_000,
        to: TxKind::Call(node.registry()),
        value: per_byte * U256::from(held.size_bytes()),
        input: call.abi_encode().into(),
        ..TxEip1559::default()
    };
    let (transaction, sender) = (signed(publisher, fields), publisher.address());
    let head = node.chain.head();
    let header = node.chain.next_header(&head, &Attributes::following(&head));
    let admission = node.chain.admission(&transaction, sender, &header).unwrap();
    node.pool.admit(transaction, sender, &admission).unwrap();
    held
}
