//! A snapshot restores what the chain had, and nothing else passes for one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::VecDeque;

use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_primitives::{Address, B256, Signature, TxKind, U256, keccak256};
use assay_chain::{
    Attributes, Chain, ChainGenesis, Founder, Founders, Refusal, TransactionSource,
    snapshot::{SnapshotError, Taken, restore, take},
};
use assay_state::Store;
use assay_types::{
    Certificate, Domain, Genesis, StateView as _, Transaction, Validator,
    certificate::SIGNATURE_BYTES,
    digest::{Ballot, set_hash},
};
use k256::ecdsa::SigningKey;

const CHAIN_ID: u64 = 7171;

/// The one validator, who may change its own power and is rich.
fn key() -> SigningKey {
    SigningKey::from_slice(&[7; 32]).unwrap()
}

fn account() -> Address {
    Address::from_public_key(key().verifying_key())
}

fn genesis(chain_id: u64) -> Genesis {
    let point = key().verifying_key().to_encoded_point(false);
    let coordinate = |bytes: Option<&[u8]>| U256::from_be_slice(bytes.unwrap());
    let founders = Founders {
        validators: vec![Founder {
            account: account(),
            public_key: (
                coordinate(point.x().map(AsRef::as_ref)),
                coordinate(point.y().map(AsRef::as_ref)),
            ),
            power: 10,
        }],
        admin: Some(account()),
        epoch_blocks: 1,
    };
    let mut choices = ChainGenesis::new(chain_id, 1_700_000_000, founders);
    choices.accounts = vec![(account(), U256::MAX >> 1)];
    choices.build().unwrap()
}

struct Waiting(VecDeque<(Transaction, Address)>);

impl TransactionSource for Waiting {
    fn next(&mut self) -> Option<(Transaction, Address)> {
        self.0.pop_front()
    }

    fn refused(&mut self, _: B256, _: Address, refusal: Refusal) {
        panic!("{refusal:?}");
    }
}

fn sign(digest: B256) -> Signature {
    let (signature, odd) = key().sign_prehash_recoverable(digest.as_slice()).unwrap();
    Signature::from_signature_and_parity(signature, odd.is_y_odd())
}

/// A chain on which the validator decides what it sends.
struct Decided {
    chain: Chain,
    domain: Domain,
    nonce: u64,
}

impl Decided {
    fn start() -> Self {
        let chain = Chain::open(&genesis(CHAIN_ID), Store::in_memory().unwrap()).unwrap();
        let domain = Domain {
            genesis_hash: chain.head().hash,
            chain_id: CHAIN_ID,
        };
        Self {
            chain,
            domain,
            nonce: 0,
        }
    }

    fn send(&mut self, to: TxKind, data: Vec<u8>) -> (Transaction, Address) {
        let fields = TxEip1559 {
            chain_id: CHAIN_ID,
            nonce: self.nonce,
            gas_limit: 1_000_000,
            max_fee_per_gas: 10_u128.pow(12),
            to,
            input: data.into(),
            ..TxEip1559::default()
        };
        self.nonce += 1;
        let signature = sign(fields.signature_hash());
        let transaction = Transaction::Eip1559(fields.into_signed(signature));
        (transaction, account())
    }

    /// Decides a block of these transactions.
    fn decide(&self, transactions: impl IntoIterator<Item = (Transaction, Address)>) {
        let attributes = Attributes::following(&self.chain.head());
        let mut waiting = Waiting(transactions.into_iter().collect());
        let executed = self.chain.build(&attributes, &mut waiting).unwrap();
        let (height, block_hash) = (executed.block.header().number, executed.block.hash());
        let digest = self
            .domain
            .vote(Ballot::Precommit, height, 0, Some(block_hash));
        let signature: [u8; SIGNATURE_BYTES] = sign(digest).as_bytes();
        let certificate = Certificate {
            height,
            round: 0,
            block_hash,
            signatures: vec![signature],
        };
        self.chain.commit_decided(&executed, &certificate).unwrap();
    }

    /// Gives the validator another power from the next epoch on.
    fn change_power(&mut self, power: u64) {
        // changeByAdmin((address,uint64,bytes32,bytes32)[])
        let selector = &keccak256("changeByAdmin((address,uint64,bytes32,bytes32)[])")[..4];
        let word = |value: u64| U256::from(value).to_be_bytes::<32>();
        let data = [
            selector,
            &word(32),
            &word(1),
            account().into_word().as_slice(),
            &word(power),
            &word(0),
            &word(0),
        ]
        .concat();
        let contract = self.chain.spec().assay.as_ref().unwrap().validator_set;
        let change = self.send(TxKind::Call(contract), data);
        self.decide([change]);
    }

    fn snapshot(&self) -> (Vec<u8>, Taken) {
        snapshot(&self.chain)
    }
}

fn snapshot(chain: &Chain) -> (Vec<u8>, Taken) {
    let mut file = Vec::new();
    let taken = take(chain, &mut file).unwrap();
    (file, taken)
}

fn restored(file: &[u8]) -> Result<Chain, SnapshotError> {
    let store = Store::in_memory()?;
    restore(&genesis(CHAIN_ID), &store, file, |_| {})?;
    Ok(Chain::open(&genesis(CHAIN_ID), store)?)
}

/// A chain of `blocks` blocks with storage, code, logs and two changes of the set.
fn lively(blocks: u64) -> Decided {
    let mut decided = Decided::start();
    decided.change_power(12);
    // Stores a word, logs, and leaves a byte of code.
    let code = [
        0x60, 1, 0x60, 0, 0x55, 0x60, 32, 0x60, 0, 0xa0, 0x60, 1, 0x60, 0, 0xf3,
    ];
    let create = decided.send(TxKind::Create, code.to_vec());
    decided.decide([create]);
    decided.change_power(15);
    while decided.chain.head().header.number < blocks {
        let to = Address::left_padding_from(&decided.nonce.to_be_bytes());
        let transfer = decided.send(TxKind::Call(to), Vec::new());
        decided.decide([transfer]);
    }
    decided
}

#[test]
fn restored_chain_goes_on_as_the_first_one_does() {
    let mut first = lively(300);
    let (file, taken) = first.snapshot();
    let second = restored(&file).unwrap();
    assert_eq!((taken.number, taken.hash), (300, second.head().hash));
    assert_eq!(second.head(), first.chain.head());
    // What it holds is what the first one holds of it, so that its own snapshot is the same file.
    assert_eq!(snapshot(&second), (file, taken));
    let (reader, old) = (second.reader().unwrap(), first.chain.reader().unwrap());
    assert_eq!((reader.first_block(), reader.first_state()), (45, 300));
    assert_eq!(reader.first_decided().unwrap(), Some(300));
    assert!(reader.block(44).unwrap().is_none() && reader.state(299).is_err());
    assert_eq!(reader.receipts(299).unwrap(), old.receipts(299).unwrap());
    // A contract that asks for the oldest hash it may ask for is answered: BLOCKHASH(number - 256).
    let asks = vec![0x61, 0, 45, 0x40, 0x60, 0, 0x55, 0];
    let transaction = first.send(TxKind::Create, asks);
    let address = account().create(first.nonce - 1);
    let attributes = Attributes::following(&first.chain.head());
    let mut waiting = Waiting([transaction].into());
    let built = first.chain.build(&attributes, &mut waiting).unwrap();
    let executed = second.execute(built.block.clone()).unwrap();
    second.commit(&executed).unwrap();
    let state = second.reader().unwrap().state(301).unwrap();
    let word = state.storage(address, U256::ZERO).unwrap();
    assert_eq!(B256::from(word), old.hash(45).unwrap().unwrap());
}

#[test]
fn proofs_lead_from_the_first_set_to_the_newest() {
    let first = lively(5);
    let updates = first.chain.reader().unwrap().set_updates().unwrap();
    let hash = |power| {
        let account = account();
        set_hash(&[Validator { account, power }])
    };
    let sets: Vec<B256> = updates.iter().map(|one| one.next_set_hash).collect();
    assert_eq!(sets, [hash(12), hash(15)]);
    let (file, _) = first.snapshot();
    let store = Store::in_memory().unwrap();
    let proven = restore(&genesis(CHAIN_ID), &store, file.as_slice(), |_| {}).unwrap();
    assert_eq!((proven.signed, proven.total), (15, 15));
    // Without the middle one, the last proves nothing.
    let text = updates[0].to_json().unwrap().to_string();
    let at = file
        .windows(text.len())
        .position(|part| part == text.as_bytes());
    let at = at.unwrap();
    let cut = [&file[..at - 5], &file[at + text.len()..]].concat();
    assert!(matches!(restored(&cut), Err(SnapshotError::Set(_))));
}

#[test]
fn snapshot_with_another_byte_or_without_its_end_is_refused() {
    let (file, _) = lively(6).snapshot();
    let whole = restored(&file).unwrap();
    for at in (0..file.len()).step_by(307) {
        let mut other = file.clone();
        other[at] ^= 0x20;
        // The letters of hexadecimal digits in a set update may be small or capital.
        if let Ok(chain) = restored(&other) {
            assert_eq!(snapshot(&chain), snapshot(&whole), "byte {at}");
        }
        assert!(restored(&file[..at]).is_err(), "cut at {at}");
    }
}

/// Cuts a snapshot into its title's bytes and its frames.
fn frames(file: &[u8]) -> Vec<&[u8]> {
    let (magic, mut rest) = file.split_at(16);
    let mut parts = vec![magic];
    while let Some(length) = rest.get(1..5) {
        let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        let (frame, after) = rest.split_at(5 + length);
        parts.push(frame);
        rest = after;
    }
    parts
}

#[test]
fn snapshot_with_a_part_too_few_or_too_many_is_refused() {
    let (file, _) = lively(6).snapshot();
    let parts = frames(&file);
    assert_eq!(parts.concat(), file);
    for at in 0..parts.len() {
        let fewer = [&parts[..at], &parts[at + 1..]].concat().concat();
        assert!(restored(&fewer).is_err(), "part {at} is missing");
        let kind = parts[at][0];
        // A code that is there twice, or that nobody has, changes nothing.
        if kind != 3 {
            let more = [&parts[..=at], &parts[at..]].concat().concat();
            assert!(
                restored(&more).is_err(),
                "part {at} of kind {kind} is there twice"
            );
        }
    }
    let more = [file.as_slice(), &[0]].concat();
    let error = restored(&more).unwrap_err();
    assert!(error.to_string().contains("follows the end"), "{error}");
}

#[test]
fn snapshot_of_another_chain_or_of_no_chain_is_refused_by_name() {
    let (file, _) = lively(4).snapshot();
    let refuse = |genesis: &Genesis, file: &[u8]| {
        let store = Store::in_memory().unwrap();
        restore(genesis, &store, file, |_| {}).unwrap_err()
    };
    let error = refuse(&genesis(CHAIN_ID + 1), &file);
    assert!(matches!(error, SnapshotError::OtherChain { .. }), "{error}");
    let error = refuse(&genesis(CHAIN_ID), b"hello");
    assert!(matches!(error, SnapshotError::Magic { .. }), "{error}");
    // A length that lies takes no room.
    let mut lie = file[..16].to_vec();
    lie.extend([0, 0xff, 0xff, 0xff, 0xff]);
    let error = refuse(&genesis(CHAIN_ID), &lie);
    assert!(error.to_string().contains("64 MiB"), "{error}");
    let store = Store::in_memory().unwrap();
    restore(&genesis(CHAIN_ID), &store, file.as_slice(), |_| {}).unwrap();
    let again = restore(&genesis(CHAIN_ID), &store, file.as_slice(), |_| {});
    assert!(again.is_err(), "a store in use was filled again");
}

#[test]
fn chain_without_blocks_or_votes_has_no_snapshot() {
    let chain = Decided::start().chain;
    let error = take(&chain, Vec::new()).unwrap_err();
    assert!(matches!(error, SnapshotError::NoBlocks), "{error}");
    let attributes = Attributes::following(&chain.head());
    let mut nothing = Waiting(VecDeque::new());
    let executed = chain.build(&attributes, &mut nothing).unwrap();
    chain.commit(&executed).unwrap();
    let error = take(&chain, Vec::new()).unwrap_err();
    assert!(matches!(error, SnapshotError::NoVotes), "{error}");
}
