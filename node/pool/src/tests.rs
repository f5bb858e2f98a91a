//! Rules of the pool.

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEip4844, TxLegacy};
use alloy_primitives::{Address, Signature, U256};
use assay_types::{Account, Transaction};

use super::*;

fn transaction(nonce: u64, fee: u128, tip: u128) -> Transaction {
    transaction_of(0, nonce, fee, tip)
}

/// A transaction that differs from sender to sender, as signatures would make it.
fn transaction_of(from: u8, nonce: u64, fee: u128, tip: u128) -> Transaction {
    let fields = TxEip1559 {
        chain_id: 1,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: fee,
        max_priority_fee_per_gas: tip,
        value: U256::from(from),
        ..TxEip1559::default()
    };
    Transaction::Eip1559(fields.into_signed(Signature::test_signature()))
}

fn admission(nonce: u64) -> Admission {
    Admission {
        account: Account {
            nonce,
            balance: U256::from(10_u64.pow(18)),
            ..Account::default()
        },
        chain_id: 1,
        block_gas_limit: 60_000_000,
        gas_cap: Some(30_000_000),
        intrinsic_gas: 21_000,
        blobs: false,
    }
}

fn sender(byte: u8) -> Address {
    Address::repeat_byte(byte)
}

fn order(pool: &Pool, base_fee: u64) -> Vec<(Address, u64)> {
    use alloy_consensus::Transaction as _;
    pool.best(base_fee)
        .map(|waiting| (waiting.sender, waiting.transaction.nonce()))
        .collect()
}

#[test]
fn offers_by_tip_among_senders_and_by_nonce_within() {
    let pool = Pool::default();
    for (from, nonce, tip) in [(1, 0, 1), (1, 1, 9), (2, 0, 5), (3, 0, 5)] {
        pool.admit(
            transaction_of(from, nonce, 100, tip),
            sender(from),
            &admission(0),
        )
        .unwrap();
    }
    let expected = [(2, 0), (3, 0), (1, 0), (1, 1)].map(|(from, nonce)| (sender(from), nonce));
    assert_eq!(order(&pool, 10), expected);
}

#[test]
fn holds_back_after_a_gap_and_below_the_base_fee() {
    let pool = Pool::default();
    pool.admit(transaction(0, 100, 1), sender(1), &admission(0))
        .unwrap();
    pool.admit(transaction(2, 100, 1), sender(1), &admission(0))
        .unwrap();
    pool.admit(transaction(0, 50, 1), sender(2), &admission(0))
        .unwrap();
    assert_eq!(order(&pool, 60), [(sender(1), 0)]);
    let (pending, queued) = pool.content();
    assert_eq!(pending[&sender(1)].keys().copied().collect::<Vec<_>>(), [0]);
    assert_eq!(queued[&sender(1)].keys().copied().collect::<Vec<_>>(), [2]);
    assert_eq!(pool.next_nonce(sender(1)), Some(1));
}

#[test]
fn replaces_only_for_a_tenth_more() {
    let pool = Pool::default();
    let first = pool
        .admit(transaction(0, 100, 10), sender(1), &admission(0))
        .unwrap();
    let cheap = pool.admit(transaction(0, 109, 11), sender(1), &admission(0));
    assert_eq!(cheap, Err(PoolError::ReplacementUnderpriced));
    pool.admit(transaction(0, 110, 11), sender(1), &admission(0))
        .unwrap();
    assert_eq!(pool.get(first), None);
    assert_eq!(pool.len(), 1);
}

#[test]
fn drops_what_a_block_included_or_overtook() {
    let pool = Pool::default();
    for nonce in 0..3 {
        pool.admit(transaction(nonce, 100, 1), sender(1), &admission(0))
            .unwrap();
    }
    let included = transaction(1, 100, 1);
    pool.settle([(&included, sender(1))].into_iter());
    assert_eq!(order(&pool, 1), [(sender(1), 2)]);
    assert_eq!(pool.len(), 1);
}

#[test]
fn full_pool_makes_room_for_those_who_pay_more_only() {
    let pool = Pool::new(Limits {
        transactions: 2,
        ..Limits::default()
    });
    pool.admit(transaction_of(1, 0, 100, 1), sender(1), &admission(0))
        .unwrap();
    pool.admit(transaction_of(2, 0, 90, 1), sender(2), &admission(0))
        .unwrap();
    let poor = pool.admit(transaction_of(3, 0, 90, 1), sender(3), &admission(0));
    assert_eq!(poor, Err(PoolError::Full));
    pool.admit(transaction_of(3, 0, 95, 1), sender(3), &admission(0))
        .unwrap();
    assert_eq!(order(&pool, 1), [(sender(1), 0), (sender(3), 0)]);
}

#[test]
fn refuses_what_could_never_be_included() {
    let pool = Pool::default();
    let refuse = |transaction, admission: Admission| {
        pool.admit(transaction, sender(1), &admission)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refuse(transaction(0, 1, 1), admission(1)),
        "nonce too low: next nonce 1, tx nonce 0"
    );
    assert!(refuse(transaction(0, 1, 2), admission(0)).starts_with("max priority fee"));
    let poor = Admission {
        account: Account::default(),
        ..admission(0)
    };
    assert!(refuse(transaction(0, 1, 1), poor).starts_with("insufficient funds"));
    let needy = Admission {
        intrinsic_gas: 21_001,
        ..admission(0)
    };
    assert!(refuse(transaction(0, 1, 1), needy).starts_with("intrinsic gas too low"));
    let other = TxLegacy {
        chain_id: Some(5),
        gas_limit: 21_000,
        ..TxLegacy::default()
    };
    let other = Transaction::Legacy(other.into_signed(Signature::test_signature()));
    assert_eq!(
        refuse(other, admission(0)),
        "invalid chain id for signer: have 5 want 1"
    );
    let small = Admission {
        block_gas_limit: 20_000,
        ..admission(0)
    };
    assert_eq!(
        refuse(transaction(0, 1, 1), small),
        "exceeds block gas limit"
    );
}

#[test]
fn blobs_wait_only_where_the_chain_has_them() {
    let pool = Pool::default();
    let fields = TxEip4844 {
        chain_id: 1,
        gas_limit: 21_000,
        max_fee_per_gas: 100,
        max_fee_per_blob_gas: 10_u128.pow(13),
        blob_versioned_hashes: vec![alloy_primitives::B256::repeat_byte(1)],
        ..TxEip4844::default()
    };
    let blob = Transaction::Eip4844(fields.into_signed(Signature::test_signature()));
    let refused = pool.admit(blob.clone(), sender(1), &admission(0));
    assert_eq!(refused, Err(PoolError::Unsupported));
    let ethereum = Admission {
        blobs: true,
        ..admission(0)
    };
    // 131,072 blob gas at 10^13 are more than the sender has: the blobs are paid for too.
    let poor = pool.admit(blob.clone(), sender(1), &ethereum);
    assert!(matches!(poor, Err(PoolError::InsufficientFunds { .. })));
    let rich = Admission {
        account: Account {
            balance: U256::MAX,
            ..Account::default()
        },
        ..ethereum
    };
    pool.admit(blob, sender(1), &rich).unwrap();
}

#[test]
fn arrivals_are_told_once_each_even_when_they_are_gone() {
    let pool = Pool::default();
    let admit = |nonce| {
        let new = transaction(nonce, 100, 1);
        pool.admit(new, sender(1), &admission(0)).unwrap()
    };
    let (first, asked) = (admit(0), pool.arrivals());
    let (second, third) = (admit(1), admit(2));
    pool.clear();
    assert_eq!(pool.arrived_since(asked), [second, third]);
    assert_eq!(pool.arrived_since(0), [first, second, third]);
    assert!(pool.arrived_since(pool.arrivals()).is_empty());
}

#[test]
fn sender_without_transactions_is_forgotten() {
    let pool = Pool::default();
    for from in 1..100 {
        let included = transaction_of(from, 0, 100, 1);
        pool.settle([(&included, sender(from))].into_iter());
        pool.set_nonce(sender(from), 7);
    }
    assert_eq!(pool.senders(), 0);
    pool.admit(transaction(0, 100, 1), sender(1), &admission(0))
        .unwrap();
    assert_eq!(pool.senders(), 1);
    pool.settle([(&transaction(0, 100, 1), sender(1))].into_iter());
    assert_eq!(pool.senders(), 0);
}
