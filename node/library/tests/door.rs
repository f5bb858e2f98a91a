//! What a node thinks of its peers' transactions, and what it lends them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use alloy_consensus::TxEip1559;
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, TxKind};
use assay_chain::{Chain, Models};
use assay_library::Door;
use assay_network::{Host as _, Verdict};
use assay_pool::Pool;
use assay_runtime::Limits;
use assay_state::{ModelStore, Store};
use bytes::Bytes;
use support::{CHAIN_ID, bundle, genesis, key, signed};

fn door() -> (Door, Arc<AtomicUsize>, Arc<Chain>) {
    let genesis = genesis(&[key(1), key(2)], key(99).address());
    let params = genesis.spec.assay.clone().unwrap();
    let models = Models::new(ModelStore::in_memory(), Limits::default(), params);
    let chain = Chain::open(&genesis, Store::in_memory().unwrap()).unwrap();
    let chain = Arc::new(chain.with_models(Arc::new(models)));
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let door = Door::new(Arc::clone(&chain), Arc::new(Pool::default()));
    let door = door.on_admitted(move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    (door, count, chain)
}

fn transfer() -> TxEip1559 {
    TxEip1559 {
        chain_id: CHAIN_ID,
        gas_limit: 21_000,
        max_fee_per_gas: 10_000_000_000,
        to: TxKind::Call(Address::repeat_byte(9)),
        ..TxEip1559::default()
    }
}

fn bytes(number: u8, fields: TxEip1559) -> Bytes {
    signed(&key(number), fields).encoded_2718().into()
}

#[test]
fn new_transactions_are_accepted_once() {
    let (door, admitted, _) = door();
    let transaction = bytes(1, transfer());
    assert_eq!(door.transaction(transaction.clone()), Verdict::Accept);
    assert_eq!(door.transaction(transaction), Verdict::Ignore);
    assert_eq!(admitted.load(Ordering::SeqCst), 1);
}

#[test]
fn what_no_state_could_make_valid_is_rejected() {
    let (door, _, _) = door();
    let good = bytes(1, transfer());
    let trailing = Bytes::from([good.as_ref(), &[0]].concat());
    let other_chain = TxEip1559 {
        chain_id: CHAIN_ID + 1,
        ..transfer()
    };
    let too_little_gas = TxEip1559 {
        gas_limit: 20_999,
        ..transfer()
    };
    let greedy = TxEip1559 {
        max_priority_fee_per_gas: 20_000_000_000,
        ..transfer()
    };
    let rejected = [
        Bytes::new(),
        Bytes::from_static(b"garbage"),
        Bytes::from_static(&[2; 300]),
        good.slice(..good.len() - 1),
        trailing,
        bytes(1, other_chain),
        bytes(1, too_little_gas),
        bytes(1, greedy),
    ];
    for (index, bytes) in rejected.into_iter().enumerate() {
        assert_eq!(door.transaction(bytes), Verdict::Reject, "case {index}");
    }
}

#[test]
fn what_another_state_could_make_valid_is_ignored() {
    let (door, _, _) = door();
    // Account 2 is the last validator, which has nothing; a changed signature is somebody's else.
    assert_eq!(door.transaction(bytes(2, transfer())), Verdict::Ignore);
    assert_eq!(door.transaction(bytes(55, transfer())), Verdict::Ignore);
}

#[test]
fn models_are_lent_as_their_manifest_and_files() {
    let (door, _, chain) = door();
    let bundle = bundle(key(99).address(), false);
    let held = chain.models().unwrap().add(bundle.clone()).unwrap();
    let lent = door.model(held.id).unwrap().unwrap();
    assert_eq!(alloy_primitives::keccak256(&lent.manifest), held.id);
    let total: u64 = lent.files.iter().map(|file| file.size_bytes).sum();
    assert_eq!(total, held.size_bytes());
    let all = door.model_chunk(held.id, 0, 1 << 20).unwrap().unwrap();
    assert!(bundle.ends_with(&all) && all.len() as u64 == total);
    let first = lent.files[0].size_bytes as usize;
    assert_eq!(
        *blake3::hash(&all[..first]).as_bytes(),
        lent.files[0].blake3
    );
    let part = door.model_chunk(held.id, 5, 7).unwrap().unwrap();
    assert_eq!(part, all.slice(5..12));
    assert_eq!(door.model(B256::ZERO).unwrap(), None);
    assert_eq!(door.model_chunk(B256::ZERO, 0, 9).unwrap(), None);
}
