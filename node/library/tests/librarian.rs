//! A model's way from its registration to being callable, on validators that are not the same.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use alloy_primitives::{Signature, U256};
use assay_chain::Held;
use assay_library::{Policy, Standing};
use assay_precompile::registry::Status;
use assay_runtime::bundle::Bundle;
use support::{Node, block, bundle, genesis, genesis_with, key, librarian, register, validators};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registered_model_spreads_is_attested_and_becomes_active() {
    let nodes = validators(4, &Policy::All).await;
    let all: Vec<&Node> = nodes.iter().collect();
    let (first, poor) = (all[0], all[3]);
    let bytes = bundle(key(99).address(), false);
    let held = register(first, &key(99), &bytes);
    first.models().add(bytes.clone()).unwrap();
    block(&all);
    for node in &all {
        node.until("model held", |node| node.holds(held.id)).await;
        assert_eq!(node.models().store().get(held.id).unwrap().unwrap(), bytes);
    }
    // Three validators can pay for their attestation; the proposer hears of all three.
    first
        .until("attestations wait", |first| first.pool.len() == 3)
        .await;
    poor.until("signature kept", |poor| {
        !poor.librarian.attestations().is_empty()
    })
    .await;
    assert_eq!(first.status(held.id), Status::Pending);
    block(&all);
    while first.status(held.id) == Status::Scheduled {
        block(&all);
    }
    assert_eq!(first.status(held.id), Status::Active);
    for node in &all[..3] {
        assert!(first.attested(&held, node.key.address()));
        node.until("settled", |node| node.librarian.standings().is_empty())
            .await;
        assert!(node.librarian.attestations().is_empty());
    }
    // What the poor one signed is whole: anyone may submit it.
    let kept = poor.librarian.attestations();
    let summary = held.summary();
    assert_eq!(
        (kept[0].model, kept[0].summary.clone(), kept[0].sent),
        (held.id, summary.clone(), None)
    );
    let genesis = poor.chain.reader().unwrap().hash(0).unwrap().unwrap();
    let registry = poor.registry();
    let digest = summary.attestation_digest(held.id, genesis, support::CHAIN_ID, registry);
    let signature = Signature::from_raw(&kept[0].signature).unwrap();
    let signer = signature.recover_address_from_prehash(&digest).unwrap();
    assert_eq!(signer, poor.key.address());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_joins_attests_to_the_models_of_the_genesis() {
    let bytes = bundle(key(99).address(), false);
    let read = Bundle::read(bytes.clone(), 1 << 20).unwrap();
    let held = Held::of_manifest(read.manifest_bytes()).unwrap();
    // The last of the two founders has no funds, the publisher, who joins, has.
    let (founders, joins) = ([key(1), key(2)], key(99));
    let genesis = genesis_with(&founders, joins.address(), vec![held.clone()]);
    let first = Node::start(&genesis, key(1), Policy::All, &[]).await;
    first.models().add(bytes).unwrap();
    let peers = [first.network.address()];
    let candidate = Node::start(&genesis, joins, Policy::All, &peers).await;
    assert_eq!(first.status(held.id), Status::Active);
    block(&[&first, &candidate]);
    candidate
        .until("model held", |candidate| candidate.holds(held.id))
        .await;
    first
        .until("attestation waits", |first| first.pool.len() == 1)
        .await;
    assert!(!first.attested(&held, candidate.key.address()));
    block(&[&first, &candidate]);
    for account in [&founders[0], &founders[1], &candidate.key] {
        assert!(first.attested(&held, account.address()));
    }
    // The contract read the genesis's registration as its own: it counts the founders' power still.
    let registration = first.registration(&held);
    let (power, version) = (U256::from(2), U256::from(1));
    assert_eq!(registration, U256::from(1) | power << 8 | version << 72);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_neither_forgets_nor_repeats() {
    let nodes = validators(2, &Policy::All).await;
    let all: Vec<&Node> = nodes.iter().collect();
    let first = all[0];
    let bytes = bundle(key(99).address(), false);
    let held = register(first, &key(99), &bytes);
    first.models().add(bytes).unwrap();
    block(&all);
    first
        .until("attestation waits", |first| first.pool.len() == 1)
        .await;
    block(&all);
    assert!(first.attested(&held, first.key.address()));
    let (chain, pool, network) = (&first.chain, &first.pool, &first.network);
    let again = librarian(chain, pool, network, Policy::All, &first.key);
    let mut looks = again.watch();
    let knows = || {
        let standings = again.standings();
        standings.len() == 1 && standings[0].1 == Standing::Held
    };
    while !knows() {
        looks.changed().await.unwrap();
    }
    assert!(again.attestations().is_empty());
    assert!(first.pool.is_empty());
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_policy_does_not_take_is_fetched_once_it_is_active() {
    let keys: Vec<_> = (1..=4).map(key).collect();
    let genesis = genesis(&keys, key(99).address());
    let first = Node::start(&genesis, keys[0].clone(), Policy::All, &[]).await;
    let peers = [first.network.address()];
    let mut nodes = vec![first];
    for key in &keys[1..3] {
        nodes.push(Node::start(&genesis, key.clone(), Policy::All, &peers).await);
    }
    // The picky one votes with the others, and lags behind until it must.
    let picky = Policy::Only(Default::default());
    nodes.push(Node::start(&genesis, keys[3].clone(), picky, &peers).await);
    let all: Vec<&Node> = nodes.iter().collect();
    let (first, picky) = (all[0], all[3]);
    let bytes = bundle(key(99).address(), false);
    let held = register(first, &key(99), &bytes);
    first.models().add(bytes).unwrap();
    block(&all);
    let unwanted = |node: &Node| {
        let standings = node.librarian.standings();
        standings
            .iter()
            .any(|(_, standing)| *standing == Standing::Unwanted)
    };
    picky.until("not wanted", unwanted).await;
    assert!(!picky.holds(held.id));
    first
        .until("attestations wait", |first| first.pool.len() == 3)
        .await;
    block(&all);
    assert_ne!(first.status(held.id), Status::Pending);
    picky
        .until("fetched all the same", |picky| picky.holds(held.id))
        .await;
    picky
        .until("nothing missing", |picky| {
            picky.librarian.missing().is_empty()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_whose_samples_do_not_reproduce_is_refused_and_not_attested() {
    let nodes = validators(2, &Policy::All).await;
    let all: Vec<&Node> = nodes.iter().collect();
    let (first, second) = (all[0], all[1]);
    let bytes = bundle(key(99).address(), true);
    let held = register(first, &key(99), &bytes);
    // A faulty node claims to hold it.
    first.models().store().pin(held.id, bytes);
    block(&all);
    let refused = |node: &Node| {
        let standings = node.librarian.standings();
        standings
            .iter()
            .any(|(_, standing)| *standing == Standing::Refused)
    };
    second.until("refused", refused).await;
    assert!(!second.holds(held.id));
    assert!(second.librarian.attestations().is_empty());
    assert_eq!(
        second.network.counters().bans,
        0,
        "the bytes were those registered"
    );
}
