//! Rules of the dev driver.

use std::sync::Arc;

use alloy_consensus::{TxEip1559, TypedTransaction};
use alloy_primitives::{Address, TxKind, U256, address};
use assay_chain::Chain;
use assay_pool::{Admission, Pool};
use assay_state::Store;
use assay_types::StateView as _;

use super::*;

fn dev() -> Dev {
    let accounts = Accounts::derive(DEFAULT_MNEMONIC, 2).unwrap();
    let rich = accounts
        .addresses()
        .into_iter()
        .map(|a| (a, U256::from(10_u64.pow(19))))
        .collect();
    let genesis = DevGenesis {
        accounts: rich,
        ..DevGenesis::default()
    }
    .build()
    .unwrap();
    let chain = Arc::new(Chain::open(&genesis, Store::in_memory().unwrap()).unwrap());
    Dev::new(chain, Arc::new(Pool::default()), accounts).with_genesis(genesis)
}

fn send(dev: &Dev, nonce: u64) -> alloy_primitives::B256 {
    send_fields(dev, transfer(nonce))
}

fn transfer(nonce: u64) -> TxEip1559 {
    TxEip1559 {
        chain_id: DEFAULT_CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 10_u128.pow(10),
        to: TxKind::Call(Address::repeat_byte(9)),
        value: U256::from(1),
        ..TxEip1559::default()
    }
}

fn send_fields(dev: &Dev, fields: TxEip1559) -> alloy_primitives::B256 {
    let sender = dev.accounts().addresses()[0];
    let transaction = dev.sign(sender, TypedTransaction::Eip1559(fields)).unwrap();
    let state = dev.chain().reader().unwrap();
    let account = state
        .state(state.tip())
        .unwrap()
        .account(sender)
        .unwrap()
        .unwrap();
    let admission = Admission {
        account,
        chain_id: DEFAULT_CHAIN_ID,
        block_gas_limit: 60_000_000,
        gas_cap: None,
        intrinsic_gas: 21_000,
        blobs: false,
    };
    dev.pool().admit(transaction, sender, &admission).unwrap()
}

#[test]
fn derives_the_accounts_every_tool_knows() {
    let accounts = Accounts::derive(DEFAULT_MNEMONIC, 2).unwrap();
    assert_eq!(
        accounts.addresses(),
        [
            address!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
            address!("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
        ]
    );
}

#[test]
fn send_returns_once_the_block_exists() {
    let dev = dev();
    let hash = send(&dev, 0);
    dev.submitted(hash).unwrap();
    let place = dev.chain().reader().unwrap().place(hash).unwrap().unwrap();
    assert_eq!((place.number, place.index), (1, 0));
    assert!(dev.pool().is_empty());
}

#[test]
fn refusal_of_a_block_reaches_the_sender() {
    let dev = dev();
    // The pool does not know this rule: creation code has a greatest size.
    let creation = TxEip1559 {
        to: TxKind::Create,
        gas_limit: 16_000_000,
        input: vec![0; 50_000].into(),
        ..transfer(0)
    };
    let hash = send_fields(&dev, creation);
    let error = dev.submitted(hash).unwrap_err();
    assert!(matches!(error, DevError::Refused(_)), "{error}");
    assert!(dev.pool().is_empty());
    let next = send(&dev, 0);
    dev.submitted(next).unwrap();
    assert!(dev.chain().reader().unwrap().place(next).unwrap().is_some());
}

#[test]
fn transactions_sent_together_share_a_block() {
    let dev = dev();
    let hashes: Vec<_> = (0..20).map(|nonce| send(&dev, nonce)).collect();
    assert!(dev.submitted_together(&hashes).unwrap().is_empty());
    let block = dev.chain().reader().unwrap().block(1).unwrap().unwrap();
    assert_eq!(block.block.body.transactions.len(), 20);
    assert_eq!(dev.chain().head().header.number, 1);
}

#[test]
fn refusal_reaches_its_own_sender_whoever_mined() {
    let dev = dev();
    let creation = TxEip1559 {
        to: TxKind::Create,
        gas_limit: 16_000_000,
        input: vec![0; 50_000].into(),
        ..transfer(1)
    };
    let good = send(&dev, 0);
    let bad = send_fields(&dev, creation);
    // The first sender's block takes both up; the second finds its own refused.
    dev.submitted(good).unwrap();
    assert!(dev.pool().is_empty());
    let error = dev.submitted(bad).unwrap_err();
    assert!(matches!(error, DevError::Refused(_)), "{error}");
    // It is told once.
    dev.submitted(bad).unwrap();
}

#[test]
fn largest_manifest_fits_in_a_transaction() {
    let dev = dev();
    let registration = TxEip1559 {
        gas_limit: 30_000_000,
        input: vec![0xff; assay_runtime::manifest::MANIFEST_BYTES_MAX + 1_024].into(),
        ..transfer(0)
    };
    // Its calldata must cost less than the most a transaction may.
    let hash = send_fields(&dev, registration);
    dev.submitted(hash).unwrap();
    let place = dev.chain().reader().unwrap().place(hash).unwrap().unwrap();
    assert_eq!(place.number, 1);
}

#[test]
fn transaction_after_a_gap_waits_and_follows() {
    let dev = dev();
    let late = send(&dev, 1);
    dev.submitted(late).unwrap();
    assert_eq!(dev.pool().len(), 1);
    let first = send(&dev, 0);
    dev.submitted(first).unwrap();
    assert!(dev.chain().reader().unwrap().place(late).unwrap().is_some());
}

#[test]
fn revert_takes_back_blocks_edits_and_settings() {
    let dev = dev();
    let id = dev.snapshot().unwrap();
    dev.edit_account(Address::repeat_byte(3), |account| {
        account.balance = U256::from(5)
    })
    .unwrap();
    dev.configure(|settings| settings.coinbase = Address::repeat_byte(4));
    let hash = send(&dev, 0);
    dev.submitted(hash).unwrap();
    assert!(dev.revert(id).unwrap());
    assert!(!dev.revert(id).unwrap());
    assert_eq!(dev.chain().head().header.number, 0);
    assert_eq!(dev.settings().coinbase, Address::ZERO);
    let state = dev.chain().reader().unwrap().state(0).unwrap();
    assert_eq!(state.account(Address::repeat_byte(3)).unwrap(), None);
}

#[test]
fn clock_goes_on_from_the_time_set() {
    let dev = dev();
    dev.set_next_timestamp(5_000_000_000).unwrap();
    assert_eq!(dev.mine().unwrap().block.header().timestamp, 5_000_000_000);
    let next = dev.mine().unwrap().block.header().timestamp;
    assert!((5_000_000_001..5_000_000_100).contains(&next), "{next}");
    assert!(matches!(
        dev.set_next_timestamp(1),
        Err(DevError::Timestamp { .. })
    ));
}

#[test]
fn dump_loads_into_another_chain() {
    let (from, to) = (dev(), dev());
    let contract = Address::repeat_byte(5);
    from.set_code(contract, vec![0x60, 0x01].into()).unwrap();
    from.set_storage(contract, U256::from(1), U256::from(2))
        .unwrap();
    to.load(&from.dump().unwrap()).unwrap();
    let state = to.chain().reader().unwrap().state(0).unwrap();
    assert_eq!(
        state.storage(contract, U256::from(1)).unwrap(),
        U256::from(2)
    );
    assert!(state.account(contract).unwrap().unwrap().has_code());
}

#[test]
fn a_reset_chain_is_as_it_began() {
    let dev = dev();
    let first = dev.chain().head().hash;
    let id = dev.snapshot().unwrap();
    let sent = send(&dev, 0);
    dev.submitted(sent).unwrap();
    assert_eq!(dev.chain().head().header.number, 1);
    dev.configure(|settings| settings.automine = false);

    dev.reset().unwrap();
    assert_eq!(dev.chain().head().hash, first);
    assert!(dev.settings().automine);
    assert!(!dev.revert(id).unwrap());
    // The first block's state is back, whole: the same transaction is good again.
    assert_eq!(send(&dev, 0), sent);
    dev.submitted(sent).unwrap();
    assert_eq!(dev.chain().head().header.number, 1);
}
