//! Hazards of the store: old states, proofs, wiped storage, refusals, reopening.

use std::collections::BTreeMap;

use alloy_consensus::BlockBody;
use alloy_eips::eip7685::Requests;
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_trie::{Nibbles, TrieAccount, proof::verify_proof, root::state_root_unhashed};
use assay_types::{Account, AccountChange, Block, Header, RecoveredBlock, StateChanges, StateView};
use proptest::prelude::*;

use super::*;

type World = BTreeMap<Address, (Account, BTreeMap<U256, U256>)>;

fn block(number: u64) -> RecoveredBlock {
    let header = Header {
        number,
        ..Header::default()
    };
    RecoveredBlock::with_senders(Block::new(header, BlockBody::default()), Vec::new()).unwrap()
}

fn account(balance: u64) -> Account {
    Account {
        balance: U256::from(balance),
        nonce: 1,
        ..Account::default()
    }
}

fn change(address: u8, balance: Option<u64>, wiped: bool, slots: &[(u64, u64)]) -> StateChanges {
    let storage = slots
        .iter()
        .map(|(slot, value)| (U256::from(*slot), U256::from(*value)))
        .collect();
    let change = AccountChange {
        account: balance.map(account),
        wiped,
        storage,
    };
    let accounts = [(Address::repeat_byte(address), change)]
        .into_iter()
        .collect();
    StateChanges {
        accounts,
        ..StateChanges::default()
    }
}

fn store(genesis: &StateChanges) -> Store {
    begun(Store::in_memory().unwrap(), genesis)
}

fn begun(store: Store, genesis: &StateChanges) -> Store {
    let trie = store.root(genesis).unwrap();
    store.initialize(&block(0), genesis, &trie).unwrap();
    store
}

fn commit(store: &Store, number: u64, changes: &StateChanges) -> B256 {
    let trie = store.root(changes).unwrap();
    let requests = Requests::default();
    let executed = ExecutedBlock {
        block: &block(number),
        changes,
        trie: &trie,
        receipts: &[],
        records: &[],
        requests: &requests,
        certificate: None,
        set_update: None,
    };
    store.commit(&executed).unwrap();
    trie.root
}

#[test]
fn a_scratch_store_holds_what_one_in_memory_holds() {
    let genesis = change(1, Some(5), false, &[(1, 7)]);
    let next = change(2, Some(9), false, &[(3, 4)]);
    let stores = [Store::in_memory().unwrap(), Store::scratch().unwrap()];
    let [memory, scratch] = stores.map(|store| {
        let store = begun(store, &genesis);
        let root = commit(&store, 1, &next);
        let reader = store.reader().unwrap();
        (root, reader.accounts().unwrap(), reader.tip())
    });
    assert_eq!(memory, scratch);
    assert_eq!((scratch.1.len(), scratch.2), (2, 1));
}

/// What the changes make of a state held in plain maps: the oracle.
fn apply(world: &mut World, changes: &StateChanges) {
    for (address, change) in &changes.accounts {
        let Some(account) = change.account else {
            world.remove(address);
            continue;
        };
        let entry = world.entry(*address).or_default();
        entry.0 = account;
        if change.wiped {
            entry.1.clear();
        }
        for (slot, value) in &change.storage {
            match value.is_zero() {
                true => entry.1.remove(slot),
                false => entry.1.insert(*slot, *value),
            };
        }
    }
}

fn oracle_root(world: &World) -> B256 {
    state_root_unhashed(world.iter().map(|(address, (account, storage))| {
        let slots = storage
            .iter()
            .map(|(slot, value)| (B256::from(*slot), *value));
        let leaf = TrieAccount {
            nonce: account.nonce,
            balance: account.balance,
            storage_root: alloy_trie::root::storage_root_unhashed(slots),
            code_hash: account.code_hash,
        };
        (*address, leaf)
    }))
}

fn arbitrary_change() -> impl Strategy<Value = StateChanges> {
    let one = (
        0_u8..6,
        prop::option::weighted(0.8, 0_u64..9),
        prop::bool::weighted(0.2),
        prop::collection::vec((0_u64..12, 0_u64..3), 0..6),
    );
    prop::collection::vec(one, 1..5).prop_map(|entries| {
        let mut changes = StateChanges::default();
        for (address, balance, wiped, mut slots) in entries {
            if balance.is_none() {
                slots.clear();
            }
            changes
                .accounts
                .extend(change(address, balance, wiped, &slots).accounts);
        }
        changes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Every state the store has held stays readable and provable, and each root is the one an
    /// independent implementation computes from scratch.
    #[test]
    fn every_state_keeps_its_root_values_and_proofs(
        blocks in prop::collection::vec(arbitrary_change(), 1..8)
    ) {
        let store = store(&StateChanges::default());
        let mut worlds = vec![World::new()];
        for (number, changes) in (1_u64..).zip(&blocks) {
            let mut world = worlds.last().unwrap().clone();
            apply(&mut world, changes);
            prop_assert_eq!(commit(&store, number, changes), oracle_root(&world));
            worlds.push(world);
        }
        let reader = store.reader().unwrap();
        for (number, world) in (0_u64..).zip(&worlds) {
            let state = reader.state(number).unwrap();
            for address in (0..6).map(Address::repeat_byte) {
                let expected = world.get(&address);
                prop_assert_eq!(state.account(address).unwrap(), expected.map(|entry| entry.0));
                let slots: Vec<U256> = (0..12).map(U256::from).collect();
                let proof = reader.prove(number, address, &slots).unwrap();
                prop_assert_eq!(proof.account, expected.map(|entry| entry.0));
                check_proof(oracle_root(world), address, &proof);
                for (slot, proved) in slots.iter().zip(&proof.storage) {
                    let value = expected.and_then(|e| e.1.get(slot)).copied().unwrap_or_default();
                    prop_assert_eq!(state.storage(address, *slot).unwrap(), value);
                    prop_assert_eq!(proved.value, value);
                }
            }
        }
    }
}

fn check_proof(root: B256, address: Address, proof: &AccountProof) {
    let leaf = proof.account.map(|account| {
        alloy_rlp::encode(TrieAccount {
            nonce: account.nonce,
            balance: account.balance,
            storage_root: proof.storage_root,
            code_hash: account.code_hash,
        })
    });
    verify_proof(
        root,
        Nibbles::unpack(keccak256(address)),
        leaf,
        &proof.nodes,
    )
    .unwrap();
    for slot in &proof.storage {
        let value = (!slot.value.is_zero()).then(|| alloy_rlp::encode(slot.value));
        let key = Nibbles::unpack(keccak256(slot.slot.to_be_bytes::<32>()));
        verify_proof(proof.storage_root, key, value, &slot.nodes).unwrap();
    }
}

#[test]
fn trie_of_an_emptied_state_leaves_no_nodes() {
    let store = store(&change(1, Some(5), false, &[(1, 1), (2, 2), (3, 3)]));
    commit(&store, 1, &change(1, None, true, &[]));
    let table = store
        .reader()
        .unwrap()
        .transaction
        .open_table(tables::TRIE)
        .unwrap();
    assert!(redb::ReadableTableMetadata::is_empty(&table).unwrap());
}

#[test]
fn change_outside_blocks_shows_now_but_not_in_the_past() {
    let store = store(&change(1, Some(5), false, &[]));
    commit(&store, 1, &change(1, Some(6), false, &[]));
    store.amend(&change(1, Some(7), false, &[])).unwrap();
    let balance = |number| {
        let state = store.reader().unwrap().state(number).unwrap();
        state
            .account(Address::repeat_byte(1))
            .unwrap()
            .unwrap()
            .balance
    };
    assert_eq!(balance(0), U256::from(5));
    assert_eq!(balance(1), U256::from(7));
}

#[test]
fn restore_takes_back_blocks_and_changes_outside_them() {
    let store = store(&change(1, Some(5), false, &[]));
    let savepoint = store.savepoint().unwrap();
    store.amend(&change(1, Some(7), false, &[])).unwrap();
    commit(&store, 1, &change(2, Some(1), false, &[]));
    store.restore(&savepoint).unwrap();
    let reader = store.reader().unwrap();
    assert_eq!(reader.tip(), 0);
    let state = reader.state(0).unwrap();
    assert_eq!(
        state.account(Address::repeat_byte(1)).unwrap(),
        Some(account(5))
    );
    assert_eq!(state.account(Address::repeat_byte(2)).unwrap(), None);
    drop((state, reader));
    commit(&store, 1, &change(3, Some(1), false, &[]));
}

#[test]
fn block_out_of_order_and_unknown_state_are_refused() {
    let store = store(&StateChanges::default());
    let trie = store.root(&StateChanges::default()).unwrap();
    let (changes, requests) = (StateChanges::default(), Requests::default());
    let executed = ExecutedBlock {
        block: &block(2),
        changes: &changes,
        trie: &trie,
        receipts: &[],
        records: &[],
        requests: &requests,
        certificate: None,
        set_update: None,
    };
    assert!(matches!(
        store.commit(&executed),
        Err(StateError::Order { got: 2, tip: 0 })
    ));
    let reader = store.reader().unwrap();
    assert!(matches!(
        reader.state(1),
        Err(StateError::NoState { number: 1, .. })
    ));
}

#[test]
fn reopened_store_continues_and_refuses_another_chain() {
    let folder = tempfile::tempdir().unwrap();
    let genesis = change(1, Some(5), false, &[(1, 9)]);
    {
        let store = Store::open(folder.path()).unwrap();
        let trie = store.root(&genesis).unwrap();
        store.initialize(&block(0), &genesis, &trie).unwrap();
        commit(&store, 1, &change(1, Some(6), false, &[]));
    }
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.reader().unwrap().tip(), 1);
    let none = TrieUpdate::default();
    store.initialize(&block(0), &genesis, &none).unwrap();
    assert!(matches!(
        store.initialize(&block(7), &genesis, &none),
        Err(StateError::Genesis { .. })
    ));
    let state = store.reader().unwrap().state(1).unwrap();
    assert_eq!(
        state
            .storage(Address::repeat_byte(1), U256::from(1))
            .unwrap(),
        U256::from(9)
    );
}

#[test]
fn store_of_an_unknown_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(Store::open(folder.path()).unwrap());
    {
        let database = redb::Database::open(folder.path().join("chain.redb")).unwrap();
        let write = database.begin_write().unwrap();
        write
            .open_table(tables::META)
            .unwrap()
            .insert(tables::meta::SCHEMA, 99_u32.to_be_bytes().as_slice())
            .unwrap();
        write.commit().unwrap();
    }
    let error = Store::open(folder.path()).unwrap_err();
    assert!(matches!(
        error,
        StateError::Schema {
            found: 99,
            known: tables::SCHEMA_VERSION
        }
    ));
}

#[test]
fn pruned_store_reads_the_states_it_keeps_and_no_older() {
    let genesis = change(1, Some(5), false, &[(1, 1)]);
    let (all, few) = (store(&genesis), store(&genesis).with_history(Some(2)));
    for number in 1..=6 {
        let changes = change(1, Some(number), number == 4, &[(1, number + 10)]);
        assert_eq!(
            commit(&all, number, &changes),
            commit(&few, number, &changes)
        );
    }
    let (all, few) = (all.reader().unwrap(), few.reader().unwrap());
    assert_eq!((all.first_state(), few.first_state()), (0, 4));
    assert!(matches!(
        few.state(3),
        Err(StateError::NoState { first: 4, .. })
    ));
    let address = Address::repeat_byte(1);
    for number in 4..=6 {
        let (kept, pruned) = (all.state(number).unwrap(), few.state(number).unwrap());
        assert_eq!(
            kept.account(address).unwrap(),
            pruned.account(address).unwrap()
        );
        let slot = U256::from(1);
        assert_eq!(
            kept.storage(address, slot).unwrap(),
            pruned.storage(address, slot).unwrap()
        );
    }
    assert!(few.hash(1).unwrap().is_some());
}

#[test]
fn origin_is_kept_with_the_chain_and_cannot_change_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin {
        genesis: "{}".to_owned(),
        options: "chosen".to_owned(),
    };
    let none = StateChanges::default();
    {
        let store = Store::open(folder.path()).unwrap();
        store.set_origin(&origin).unwrap();
        // Without a first block there is no chain yet.
        assert_eq!(store.origin().unwrap(), None);
        let trie = store.root(&none).unwrap();
        store.initialize(&block(0), &none, &trie).unwrap();
        assert!(store.set_origin(&origin).is_err());
    }
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.origin().unwrap(), Some(origin));
}
