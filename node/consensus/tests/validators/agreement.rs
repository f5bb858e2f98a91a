//! Validators decide the same blocks, and a node that comes late or comes back has them too.

use alloy_primitives::B256;
use assay_chain::snapshot;
use assay_state::Store;

use crate::nodes::{Plan, addresses, genesis, set, transfer, turn};

#[tokio::test(flavor = "multi_thread")]
async fn four_validators_decide_the_same_blocks_and_certify_them() {
    let _turn = turn().await;
    let (folder, genesis) = (tempfile::tempdir().unwrap(), genesis(4));
    let all = addresses(5);
    let mut nodes = Vec::new();
    for index in 0..4 {
        let plan = Plan::validator(index);
        nodes.push(plan.start(folder.path(), &genesis, &all).await);
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
    let late = Plan::follower(4).start(folder.path(), &genesis, &all).await;
    late.reach(5).await;
    assert_eq!(late.hash(5), nodes[0].hash(5));

    // One validator goes, the others go on; it comes back and catches up.
    let gone = nodes.remove(3);
    let stood = gone.height();
    gone.running.stop().await;
    drop(gone.chain);
    let target = nodes[0].height() + 3;
    nodes[0].reach(target).await;
    let back = Plan::validator(3)
        .start(folder.path(), &genesis, &all)
        .await;
    assert!(back.height() >= stood);
    back.reach(target).await;
    assert_eq!(back.hash(target), nodes[0].hash(target));
}

#[tokio::test(flavor = "multi_thread")]
async fn node_that_begins_with_a_snapshot_follows_and_skips_what_was_before() {
    let _turn = turn().await;
    let (folder, genesis) = (tempfile::tempdir().unwrap(), genesis(1));
    let all = addresses(3);
    let first = Plan::validator(0)
        .start(folder.path(), &genesis, &all)
        .await;
    first.reach(4).await;
    let mut file = Vec::new();
    let taken = snapshot::take(&first.chain, &mut file).unwrap();
    let store = Store::open(&folder.path().join("1")).unwrap();
    let proven = snapshot::restore(&genesis, &store, file.as_slice(), |_| {}).unwrap();
    assert_eq!((proven.number, proven.hash), (taken.number, taken.hash));
    drop(store);
    let second = Plan::follower(1).start(folder.path(), &genesis, &all).await;
    let target = taken.number + 3;
    second.reach(target).await;
    assert_eq!(second.hash(target), first.hash(target));
    let reader = second.chain.reader().unwrap();
    assert_eq!(reader.first_decided().unwrap(), Some(taken.number));
    assert!(reader.certificate(taken.number - 1).unwrap().is_none());

    // A third node that knows only this one's blocks cannot have the first ones from it; with the
    // validator's beside them it has all.
    let third = Plan::follower(2).start(folder.path(), &genesis, &all).await;
    third.reach(target).await;
    assert_eq!(third.hash(1), first.hash(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_validator_decides_alone() {
    let _turn = turn().await;
    let (folder, genesis) = (tempfile::tempdir().unwrap(), genesis(1));
    let all = addresses(1);
    let alone = Plan::validator(0)
        .start(folder.path(), &genesis, &all)
        .await;
    alone.reach(3).await;
    assert!(alone.running.status().stopped().is_none());
    alone.running.stop().await;
}
