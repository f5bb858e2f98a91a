//! Evidence of equivocation on its way from a node's store to the chain, through the contract itself.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolEvent as _;
use assay_library::Policy;
use assay_types::{
    Domain, StateView as _,
    contracts::{IValidatorSet, validators as slots},
    digest::Ballot,
    evidence::{Evidence, Kind, Signed},
};
use support::{CHAIN_ID, Node, block, key, validators};

/// What is signed: a block or none, and a proposal's valid round.
type What = (Option<B256>, Option<u32>);

const ONE: B256 = B256::repeat_byte(1);
const ROUND: u32 = 3;

fn contract(node: &Node) -> Address {
    node.chain.spec().assay.as_ref().unwrap().validator_set
}

fn word(node: &Node, slot: U256) -> u64 {
    let reader = node.chain.reader().unwrap();
    let state = reader.state(reader.tip()).unwrap();
    state.storage(contract(node), slot).unwrap().to()
}

/// Signs two things with a validator's own digests.
fn evidence(
    node: &Node,
    by: &PrivateKeySigner,
    height: u64,
    kind: Kind,
    both: [What; 2],
) -> Evidence {
    let domain = Domain {
        genesis_hash: node.chain.reader().unwrap().hash(0).unwrap().unwrap(),
        chain_id: CHAIN_ID,
    };
    let [first, second] = both.map(|(block_hash, valid_round)| {
        let digest = match kind {
            Kind::Prevote => domain.vote(Ballot::Prevote, height, ROUND, block_hash),
            Kind::Precommit => domain.vote(Ballot::Precommit, height, ROUND, block_hash),
            Kind::Proposal => domain.proposal(height, ROUND, valid_round, block_hash.unwrap()),
        };
        let signature = by.sign_hash_sync(&digest).unwrap().as_bytes();
        Signed {
            block_hash,
            valid_round,
            signature: Bytes::copy_from_slice(&signature),
        }
    });
    Evidence {
        validator: by.address(),
        height,
        round: Some(ROUND),
        kind,
        first,
        second,
    }
}

fn keep(node: &Node, evidence: &Evidence) {
    let store = node.chain.store();
    let (height, validator) = (evidence.height, evidence.validator);
    store
        .keep_evidence(height, validator, &evidence.encode())
        .unwrap();
}

/// Makes blocks, a look around after each, until something holds or so many were made.
async fn blocks_until(nodes: &[&Node], most: u64, holds: impl Fn() -> bool) {
    for _ in 0..most {
        if holds() {
            return;
        }
        let mut looks: Vec<_> = nodes.iter().map(|node| node.librarian.watch()).collect();
        block(nodes);
        for look in &mut looks {
            let looked = tokio::time::timeout(Duration::from_secs(30), look.changed()).await;
            looked.unwrap().unwrap();
        }
    }
}

/// Lists the events of the contract, with what they say and in which block.
fn events(node: &Node) -> Vec<(u64, IValidatorSet::Equivocated)> {
    let reader = node.chain.reader().unwrap();
    let blocks = (1..=reader.tip()).flat_map(|number| {
        let receipts = reader.receipts(number).unwrap().unwrap();
        let logs = receipts.into_iter().flat_map(|one| one.logs().to_vec());
        logs.map(|log| (number, log)).collect::<Vec<_>>()
    });
    let ours = blocks.filter(|(_, log)| log.address == contract(node));
    ours.filter_map(|(number, log)| {
        let event = IValidatorSet::Equivocated::decode_log_data(&log.data);
        Some((number, event.ok()?))
    })
    .collect()
}

fn nonce(node: &Node) -> u64 {
    let reader = node.chain.reader().unwrap();
    let state = reader.state(reader.tip()).unwrap();
    let account = state.account(node.key.address()).unwrap();
    account.unwrap_or_default().nonce
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_keeps_the_chain_keeps_too_once_for_each_deed() {
    let nodes = validators(2, &Policy::All).await;
    let all: Vec<&Node> = nodes.iter().collect();
    let (first, liar) = (all[0], key(2));
    block(&all);
    let kept = [
        (Kind::Prevote, [(Some(ONE), None), (None, None)]),
        (Kind::Precommit, [(None, None), (Some(B256::ZERO), None)]),
        (Kind::Proposal, [(Some(ONE), None), (Some(ONE), Some(0))]),
    ];
    let kept = kept.map(|(kind, both)| evidence(first, &liar, 1, kind, both));
    kept.iter().for_each(|one| keep(first, one));
    // The same deed once more, with other signatures: the chain takes one.
    let again = [(Some(B256::repeat_byte(2)), None), (Some(ONE), None)];
    keep(first, &evidence(first, &liar, 1, Kind::Prevote, again));

    let proven = |one: &Evidence| word(first, one.deed().unwrap().slot());
    blocks_until(&all, 48, || kept.iter().all(|one| proven(one) > 0)).await;
    let events = events(first);
    let mut kinds: Vec<u8> = events.iter().map(|(_, event)| event.kind).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, [0, 1, 2]);
    for (number, event) in &events {
        let of_it = kept
            .iter()
            .find(|one| one.kind as u8 == event.kind)
            .unwrap();
        assert_eq!(
            proven(of_it),
            *number,
            "the storage names the event's block"
        );
        assert_eq!(
            (event.account, event.height, event.round),
            (liar.address(), 1, ROUND)
        );
    }
    assert_eq!(word(first, U256::from(slots::MISDEEDS)), 3);
    // Three proofs against one validator say enough for a thousand blocks.
    let more = [(Some(ONE), None), (None, None)];
    keep(first, &evidence(first, &liar, 2, Kind::Prevote, more));
    blocks_until(&all, 16, || false).await;
    assert_eq!(
        nonce(first),
        3,
        "one transaction for each deed, none that reverts, and no more than are enough"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_pay_lets_its_turn_pass() {
    // The last validator's account is empty.
    let nodes = validators(2, &Policy::All).await;
    let all: Vec<&Node> = nodes.iter().collect();
    let (rich, poor) = (all[0], all[1]);
    block(&all);
    let both = [(Some(ONE), None), (None, None)];
    let kept = evidence(rich, &key(2), 1, Kind::Precommit, both);
    keep(poor, &kept);
    blocks_until(&all, 16, || false).await;
    assert_eq!((nonce(rich), nonce(poor)), (0, 0));
    keep(rich, &kept);
    let slot = kept.deed().unwrap().slot();
    blocks_until(&all, 24, || word(poor, slot) > 0).await;
    assert!(word(poor, slot) > 0);
    assert_eq!((nonce(rich), nonce(poor)), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_chain_refuses_is_not_sent() {
    let nodes = validators(2, &Policy::All).await;
    let all: Vec<&Node> = nodes.iter().collect();
    let only = all[0];
    block(&all);
    let both = [(Some(ONE), None), (None, None)];
    // Of a stranger; of the validator with a garbled signature; and bytes that are no evidence.
    keep(only, &evidence(only, &key(77), 1, Kind::Prevote, both));
    let mut garbled = evidence(only, &only.key, 1, Kind::Prevote, both);
    garbled.second.signature = Bytes::from_static(&[1; 65]);
    keep(only, &garbled);
    let store = only.chain.store();
    store.keep_evidence(1, only.key.address(), b"?").unwrap();
    blocks_until(&all, 24, || false).await;
    assert_eq!((nonce(only), events(only).len()), (0, 0));
    let good = evidence(only, &only.key, 2, Kind::Prevote, both);
    keep(only, &good);
    blocks_until(&all, 24, || !events(only).is_empty()).await;
    assert_eq!((nonce(only), events(only).len()), (1, 1));
}
