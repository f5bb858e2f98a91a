//! Building and checking are one: what a proposer builds, a validator reproduces.

use std::collections::VecDeque;

use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_primitives::{Address, B256, Signature, TxKind, U256};
use alloy_rlp::Encodable as _;
use assay_state::Store;
use assay_types::{Genesis, RecordsRequest, StateView as _, Transaction};

use super::*;

const GENESIS: &str = r#"{
  "config": {"chainId": 31337, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0,
    "eip158Block": 0, "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0,
    "istanbulBlock": 0, "berlinBlock": 0, "londonBlock": 0, "terminalTotalDifficulty": 0,
    "shanghaiTime": 0, "cancunTime": 0, "pragueTime": 0, "assay": {}},
  "nonce": "0x0", "timestamp": "0x0", "extraData": "0x", "gasLimit": "0x3938700",
  "difficulty": "0x0", "coinbase": "0x0000000000000000000000000000000000000000",
  "mixHash": "0x0000000000000000000000000000000000000000000000000000000000000000",
  "alloc": {}}"#;

#[derive(Default)]
struct Source {
    waiting: VecDeque<(Transaction, Address)>,
    refused: Vec<Refusal>,
}

impl TransactionSource for Source {
    fn next(&mut self) -> Option<(Transaction, Address)> {
        self.waiting.pop_front()
    }

    fn refused(&mut self, _: B256, _: Address, refusal: Refusal) {
        self.refused.push(refusal);
    }
}

/// A transfer whose sender is whoever its fixed signature recovers to.
fn transfer(nonce: u64, gas_limit: u64) -> (Transaction, Address) {
    use alloy_consensus::transaction::SignerRecoverable as _;
    let fields = TxEip1559 {
        chain_id: 31337,
        nonce,
        gas_limit,
        max_fee_per_gas: 10_u128.pow(10),
        to: TxKind::Call(Address::repeat_byte(9)),
        value: U256::from(7),
        ..TxEip1559::default()
    };
    let transaction = Transaction::Eip1559(fields.into_signed(Signature::test_signature()));
    let sender = transaction.recover_signer().unwrap();
    (transaction, sender)
}

fn chain(rich: &[Address]) -> Chain {
    let mut genesis: serde_json::Value = serde_json::from_str(GENESIS).unwrap();
    for address in rich {
        genesis["alloc"][address.to_string()] = serde_json::json!({"balance": "0xde0b6b3a7640000"});
    }
    let genesis = Genesis::from_json(&genesis.to_string()).unwrap();
    Chain::open(&genesis, Store::in_memory().unwrap()).unwrap()
}

fn attributes(timestamp: u64) -> Attributes {
    Attributes {
        timestamp,
        beneficiary: Address::repeat_byte(1),
        gas_limit: 60_000_000,
        base_fee: None,
        mix_hash: B256::ZERO,
        extra_data: Default::default(),
        beacon_root: B256::ZERO,
        withdrawals: Default::default(),
    }
}

#[test]
fn block_built_on_one_chain_executes_to_the_same_on_another() {
    let (transaction, sender) = transfer(0, 21_000);
    let (builder, checker) = (chain(&[sender]), chain(&[sender]));
    let mut source = Source::default();
    source.waiting.push_back((transaction, sender));
    let built = builder.build(&attributes(5), &mut source).unwrap();
    assert_eq!(built.block.block().body.transactions.len(), 1);
    let mut rlp = Vec::new();
    built.block.block().encode(&mut rlp);
    assert_eq!(
        checker.import(&mut rlp.as_slice()).unwrap(),
        built.block.hash()
    );
    let state = checker.reader().unwrap().state(1).unwrap();
    let paid = state.account(Address::repeat_byte(9)).unwrap().unwrap();
    assert_eq!(paid.balance, U256::from(7));
}

#[test]
fn every_block_of_an_assay_chain_carries_the_records_request() {
    let chain = chain(&[]);
    let built = chain.build(&attributes(5), &mut Source::default()).unwrap();
    let last = built.outcome.requests.iter().last().unwrap();
    assert_eq!(RecordsRequest::decode(last), Some(RecordsRequest::of(&[])));
    let hash = built.outcome.requests.requests_hash();
    assert_eq!(built.block.header().requests_hash, Some(hash));
}

#[test]
fn refused_transactions_leave_the_block_without_them() {
    let (gap, sender) = transfer(1, 21_000);
    let (greedy, other) = transfer(0, 30_000_001);
    let chain = chain(&[sender, other]);
    let mut source = Source::default();
    source.waiting.extend([(gap, sender), (greedy, other)]);
    let built = chain.build(&attributes(5), &mut source).unwrap();
    assert!(built.block.block().body.transactions.is_empty());
    assert!(matches!(
        source.refused.as_slice(),
        [
            Refusal::Invalid(revm::context::result::InvalidTransaction::NonceTooHigh { .. }),
            Refusal::Invalid(
                revm::context::result::InvalidTransaction::TxGasLimitGreaterThanCap { .. }
            )
        ]
    ));
}

#[test]
fn block_with_a_wrong_state_root_blames_the_block() {
    let (builder, checker) = (chain(&[]), chain(&[]));
    let built = builder
        .build(&attributes(5), &mut Source::default())
        .unwrap();
    let mut block = built.block.block().clone();
    block.header.state_root = B256::repeat_byte(1);
    let mut rlp = Vec::new();
    block.encode(&mut rlp);
    let error = checker.import(&mut rlp.as_slice()).unwrap_err();
    assert!(error.blames_block(), "{error}");
}

#[test]
fn preview_shows_the_next_block_and_stores_nothing() {
    let (transaction, sender) = transfer(0, 21_000);
    let chain = chain(&[sender]);
    let (before, revision) = (chain.head(), chain.revision());
    let mut source = Source::default();
    source.waiting.push_back((transaction, sender));
    let reader = chain.reader().unwrap();
    let preview = chain.preview(&reader, &attributes(5), &mut source).unwrap();
    assert_eq!(preview.block.senders(), [sender]);
    assert_eq!(preview.outcome.gas_used, 21_000);
    assert_eq!((chain.head(), chain.revision()), (before, revision));
}

#[test]
fn restored_chain_has_its_old_head() {
    let chain = chain(&[]);
    let (savepoint, before) = (chain.savepoint().unwrap(), chain.head());
    let built = chain.build(&attributes(5), &mut Source::default()).unwrap();
    chain.commit(&built).unwrap();
    assert_ne!(chain.head(), before);
    chain.restore(&savepoint).unwrap();
    assert_eq!(chain.head(), before);
    chain.commit(&built).unwrap();
}

#[test]
fn reopened_chain_needs_no_genesis_and_another_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let genesis = Genesis::from_json(GENESIS).unwrap();
    let open = || Store::open(folder.path()).unwrap();
    let head = {
        let chain = Chain::open_with(&genesis, "chosen".to_owned(), open()).unwrap();
        let built = chain.build(&attributes(5), &mut Source::default()).unwrap();
        chain.commit(&built).unwrap();
        chain.head()
    };
    {
        let chain = Chain::reopen(open()).unwrap();
        assert_eq!(chain.head(), head);
        assert_eq!(chain.spec().chain_id, genesis.spec.chain_id);
        assert_eq!(chain.spec().assay, genesis.spec.assay);
        assert_eq!(chain.store().origin().unwrap().unwrap().options, "chosen");
    }
    let other = GENESIS.replace("\"timestamp\": \"0x0\"", "\"timestamp\": \"0x1\"");
    let other = Genesis::from_json(&other).unwrap();
    assert!(Chain::open(&other, open()).is_err());
    assert!(matches!(
        Chain::reopen(Store::in_memory().unwrap()),
        Err(ChainError::EmptyStore)
    ));
}

#[test]
fn exported_blocks_import_and_exported_state_begins_a_chain() {
    let (transaction, sender) = transfer(0, 21_000);
    let (from, to) = (chain(&[sender]), chain(&[sender]));
    let mut source = Source::default();
    source.waiting.push_back((transaction, sender));
    from.commit(&from.build(&attributes(5), &mut source).unwrap())
        .unwrap();
    let mut bytes = Vec::new();
    assert_eq!(from.export_blocks(&mut bytes).unwrap().unwrap(), 1);
    let mut rest = bytes.as_slice();
    to.import(&mut rest).unwrap();
    assert!(rest.is_empty());
    assert_eq!(to.head(), from.head());
    let genesis = Genesis::new(from.export_state().unwrap()).unwrap();
    let begun = Chain::open(&genesis, Store::in_memory().unwrap()).unwrap();
    assert_eq!(
        begun.head().header.state_root,
        from.head().header.state_root
    );
    assert_eq!(begun.accounts().unwrap(), from.accounts().unwrap());
}
