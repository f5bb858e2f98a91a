//! State tests: one transaction on one state, the root and logs compared.

use std::collections::BTreeMap;

use alloy_consensus::{BlockBody, transaction::SignerRecoverable as _};
use alloy_eips::eip2718::Decodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, Log, U256, keccak256};
use alloy_rlp::Encodable as _;
use assay_executor::{Executor, SimulationRules, TransactError, message};
use assay_state::Store;
use assay_types::{
    Block, GenesisAccount, Header, RecoveredBlock, StateChanges, Transaction, allocate,
};
use eyre::{OptionExt as _, Result, bail, ensure};
use revm::inspector::NoOpInspector;
use serde::Deserialize;
use serde_json::Value;

use crate::fork::{BlobSchedule, chain_spec};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    env: Env,
    pre: BTreeMap<Address, GenesisAccount>,
    post: BTreeMap<String, Vec<Expected>>,
    #[serde(default)]
    config: Config,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    chainid: Option<U256>,
    blob_schedule: BlobSchedule,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Env {
    current_coinbase: Address,
    current_gas_limit: U256,
    current_number: U256,
    current_timestamp: U256,
    current_difficulty: Option<U256>,
    current_random: Option<U256>,
    current_base_fee: Option<U256>,
    current_excess_blob_gas: Option<U256>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expected {
    hash: B256,
    logs: B256,
    txbytes: Bytes,
    expect_exception: Option<String>,
}

/// Runs every fork and variant of a state test.
pub fn run(name: &str, case: Value, record: &mut dyn FnMut(String, Result<()>)) {
    let case: Case = match serde_json::from_value(case) {
        Ok(case) => case,
        Err(error) => return record(name.to_owned(), Err(error.into())),
    };
    for (fork, variants) in &case.post {
        for (index, expected) in variants.iter().enumerate() {
            record(
                format!("{name}[{fork} {index}]"),
                run_variant(&case, fork, expected),
            );
        }
    }
}

fn run_variant(case: &Case, fork: &str, expected: &Expected) -> Result<()> {
    let chain_id = case.config.chainid.map_or(1, |id| id.saturating_to());
    let spec = chain_spec(fork, chain_id, &case.config.blob_schedule)?;
    let merged = spec.config.terminal_total_difficulty.is_some();
    let header = case.env.header(merged);
    let pre = allocate(&case.pre);
    let store = store_of(&pre)?;
    let executor = Executor::new(spec.into());
    let (changes, logs) = match execute(&executor, &store, &header, &expected.txbytes)? {
        Some(result) => {
            ensure!(
                expected.expect_exception.is_none(),
                "accepted an invalid transaction"
            );
            result
        }
        None => {
            let reason = &expected.expect_exception;
            ensure!(reason.is_some(), "refused a valid transaction");
            (StateChanges::default(), Vec::new())
        }
    };
    let root = store.root(&changes)?.root;
    ensure!(
        root == expected.hash,
        "state root is {root}, should be {}",
        expected.hash
    );
    let mut encoded = Vec::new();
    logs.encode(&mut encoded);
    let hash = keccak256(encoded);
    ensure!(
        hash == expected.logs,
        "logs hash is {hash}, should be {}",
        expected.logs
    );
    Ok(())
}

/// Runs the transaction; `None` when a rule refuses it.
fn execute(
    executor: &Executor,
    store: &Store,
    header: &Header,
    bytes: &Bytes,
) -> Result<Option<(StateChanges, Vec<Log>)>> {
    let Ok(transaction) = Transaction::decode_2718_exact(bytes) else {
        return Ok(None);
    };
    let Ok(sender) = transaction.recover_signer() else {
        return Ok(None);
    };
    if exceeds_blob_limit(executor, header, &transaction) {
        return Ok(None);
    }
    let view = store.reader()?.state(0)?;
    let mut simulation = executor.simulation(view, header, SimulationRules::BLOCK, NoOpInspector);
    match simulation.run(message(&transaction, sender)) {
        Ok(result) => {
            simulation.commit(result.state);
            Ok(Some((simulation.take_changes(), result.result.into_logs())))
        }
        Err(TransactError::Invalid(_)) => Ok(None),
        Err(error) => bail!("{error}"),
    }
}

/// A block holds the blobs of a transaction to its limit; here the transaction is the block.
fn exceeds_blob_limit(executor: &Executor, header: &Header, transaction: &Transaction) -> bool {
    use alloy_consensus::Transaction as _;
    let limit = executor.spec().blob_params(header.timestamp);
    let used = transaction.blob_gas_used().unwrap_or_default();
    limit.is_some_and(|limit| used > limit.max_blob_gas_per_block())
}

fn store_of(pre: &StateChanges) -> Result<Store> {
    let store = Store::in_memory()?;
    let trie = store.root(pre)?;
    let block = Block::new(Header::default(), BlockBody::default());
    let block = RecoveredBlock::with_senders(block, Vec::new()).ok_or_eyre("no transactions")?;
    store.initialize(&block, pre, &trie)?;
    Ok(store)
}

impl Env {
    fn header(&self, merged: bool) -> Header {
        let number = |value: Option<U256>| value.map(|value| value.saturating_to::<u64>());
        Header {
            beneficiary: self.current_coinbase,
            gas_limit: self.current_gas_limit.saturating_to(),
            number: self.current_number.saturating_to(),
            timestamp: self.current_timestamp.saturating_to(),
            difficulty: match merged {
                true => U256::ZERO,
                false => self.current_difficulty.unwrap_or_default(),
            },
            mix_hash: self.current_random.unwrap_or_default().into(),
            base_fee_per_gas: number(self.current_base_fee),
            excess_blob_gas: number(self.current_excess_blob_gas),
            ..Header::default()
        }
    }
}
