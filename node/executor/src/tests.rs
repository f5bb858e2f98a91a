//! Faults kept apart, and the precompile seam.

use alloy_consensus::{BlockBody, SignableTransaction as _, TxLegacy};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use assay_types::{Account, Block, ChainSpec, Header, RecoveredBlock, StateView, Transaction};

use super::*;

/// A state that knows one rich account, or cannot be read at all.
#[derive(Debug)]
struct View {
    broken: bool,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("disk gone")]
struct DiskGone;

impl StateView for View {
    type Error = DiskGone;

    fn account(&self, address: Address) -> Result<Option<Account>, DiskGone> {
        if self.broken {
            return Err(DiskGone);
        }
        let balance = U256::from(10_u64.pow(18));
        Ok((address == sender()).then(|| Account {
            balance,
            ..Account::default()
        }))
    }

    fn storage(&self, _: Address, _: U256) -> Result<U256, DiskGone> {
        Ok(U256::ZERO)
    }

    fn code(&self, _: B256) -> Result<Bytes, DiskGone> {
        Ok(Bytes::new())
    }

    fn block_hash(&self, _: u64) -> Result<B256, DiskGone> {
        Ok(B256::ZERO)
    }
}

fn sender() -> Address {
    Address::repeat_byte(0x11)
}

fn executor(config: &str) -> Executor {
    Executor::new(ChainSpec::new(serde_json::from_str(config).unwrap(), None).into())
}

fn block(nonce: u64) -> RecoveredBlock {
    let fields = TxLegacy {
        nonce,
        gas_price: 1,
        gas_limit: 21_000,
        to: TxKind::Call(Address::repeat_byte(0x22)),
        value: U256::from(5),
        ..TxLegacy::default()
    };
    let signature = Signature::test_signature();
    let transaction = Transaction::Legacy(fields.into_signed(signature));
    let header = Header {
        number: 1,
        gas_limit: 30_000_000,
        ..Header::default()
    };
    let body = BlockBody {
        transactions: vec![transaction],
        ..BlockBody::default()
    };
    RecoveredBlock::with_senders(Block::new(header, body), vec![sender()]).unwrap()
}

const BERLIN: &str = r#"{"chainId":1,"homesteadBlock":0,"eip150Block":0,"eip155Block":0,
    "eip158Block":0,"byzantiumBlock":0,"constantinopleBlock":0,"petersburgBlock":0,
    "istanbulBlock":0,"berlinBlock":0}"#;

#[test]
fn broken_disk_is_never_the_fault_of_the_block() {
    let outcome = executor(BERLIN).execute(View { broken: true }, &block(0));
    assert!(matches!(outcome, Err(ExecuteError::Local(DiskGone))));
}

#[test]
fn broken_disk_in_a_system_call_is_never_the_fault_of_the_block() {
    let config = BERLIN.replace(
        "\"berlinBlock\":0",
        "\"berlinBlock\":0,\"londonBlock\":0,\"terminalTotalDifficulty\":0,\"shanghaiTime\":0,
         \"cancunTime\":0",
    );
    let header = Header {
        number: 1,
        parent_beacon_block_root: Some(B256::ZERO),
        excess_blob_gas: Some(0),
        ..Header::default()
    };
    let executor = executor(&config);
    let begun = executor.begin(View { broken: true }, &header, &[], None);
    assert!(matches!(
        begun.map(|_| ()),
        Err(ExecuteError::Local(DiskGone))
    ));
}

/// A state whose disk goes away once the transactions are through.
#[derive(Debug)]
struct Failing(std::cell::Cell<bool>);

impl StateView for &Failing {
    type Error = DiskGone;

    fn account(&self, _: Address) -> Result<Option<Account>, DiskGone> {
        if self.0.get() {
            Err(DiskGone)
        } else {
            Ok(None)
        }
    }

    fn storage(&self, _: Address, _: U256) -> Result<U256, DiskGone> {
        Ok(U256::ZERO)
    }

    fn code(&self, _: B256) -> Result<Bytes, DiskGone> {
        Ok(Bytes::new())
    }

    fn block_hash(&self, _: u64) -> Result<B256, DiskGone> {
        Ok(B256::ZERO)
    }
}

#[test]
fn disk_that_breaks_at_the_end_is_never_the_fault_of_the_block() {
    let executor = executor(BERLIN);
    let (view, header) = (Failing(false.into()), block(0).header().clone());
    let execution = executor.begin(&view, &header, &[], None).unwrap();
    view.0.set(true);
    assert!(matches!(
        execution.finish(),
        Err(ExecuteError::Local(DiskGone))
    ));
}

#[test]
fn transfer_pays_receiver_and_miner_and_names_both() {
    let outcome = executor(BERLIN)
        .execute(View { broken: false }, &block(0))
        .unwrap();
    let balance = |address: Address| {
        outcome.changes.accounts[&address]
            .account
            .map(|account| account.balance)
    };
    assert_eq!(outcome.gas_used, 21_000);
    assert_eq!(balance(Address::repeat_byte(0x22)), Some(U256::from(5)));
    let reward = U256::from(2 * 10_u64.pow(18) + 21_000);
    assert_eq!(balance(Address::ZERO), Some(reward));
}

#[test]
fn wrong_nonce_makes_the_block_invalid_and_names_the_transaction() {
    let outcome = executor(BERLIN).execute(View { broken: false }, &block(3));
    let Err(ExecuteError::Invalid(InvalidBlock::Transaction { index, reason, .. })) = outcome
    else {
        panic!("{outcome:?}");
    };
    assert_eq!(index, 0);
    assert!(reason.to_string().contains("nonce"), "{reason}");
}
