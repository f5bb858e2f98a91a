//! Whole calls through the dispatcher of a developer's node.

use std::sync::Arc;

use alloy_primitives::U256;
use assay_chain::Chain;
use assay_dev::{Accounts, DEFAULT_MNEMONIC, Dev, DevGenesis};
use assay_pool::Pool;
use assay_state::Store;
use serde_json::{Value, json};

use crate::{Backend, CallLimits, RpcError};

const ALICE: &str = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
const BOB: &str = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8";
const STRANGER: &str = "0x00000000000000000000000000000000000000aa";

/// Deploys code that reverts with the bytes 0xdeadbeef.
const REVERTER: &str = "0x6c63deadbeef6000526004601cfd600052600d6013f3";
/// Deploys code that logs its calldata's first word as a topic.
const LOGGER: &str = "0x6760003560006000a160005260086018f3";

fn backend() -> Backend {
    let accounts = Accounts::derive(DEFAULT_MNEMONIC, 2).unwrap();
    let ether = U256::from(10_u64.pow(18));
    let rich = accounts
        .addresses()
        .into_iter()
        .map(|a| (a, ether * U256::from(100)))
        .collect();
    let genesis = DevGenesis {
        accounts: rich,
        ..DevGenesis::default()
    }
    .build()
    .unwrap();
    let chain = Arc::new(Chain::open(&genesis, Store::in_memory().unwrap()).unwrap());
    let dev = Dev::new(chain, Arc::new(Pool::default()), accounts);
    Backend::with_dev(Arc::new(dev), CallLimits::default())
}

fn call(backend: &Backend, method: &str, params: Value) -> Value {
    backend
        .call(method, Some(params))
        .unwrap_or_else(|error| panic!("{method}: {error}"))
}

fn refused(backend: &Backend, method: &str, params: Value) -> RpcError {
    backend.call(method, Some(params)).unwrap_err()
}

fn deploy(backend: &Backend, code: &str) -> String {
    let transaction = json!([{"from": ALICE, "data": code}]);
    let receipt = call(backend, "eth_sendTransactionSync", transaction);
    assert_eq!(receipt["status"], "0x1");
    receipt["contractAddress"].as_str().unwrap().to_owned()
}

#[test]
fn receipt_is_there_when_a_send_returns() {
    let backend = backend();
    let transfer = json!([{"from": ALICE, "to": BOB, "value": "0x1"}]);
    let hash = call(&backend, "eth_sendTransaction", transfer);
    let receipt = call(&backend, "eth_getTransactionReceipt", json!([hash]));
    assert_eq!(receipt["status"], "0x1");
    assert_eq!(receipt["gasUsed"], "0x5208");
    assert_eq!(call(&backend, "eth_blockNumber", json!([])), "0x1");
    let tx = call(&backend, "eth_getTransactionByHash", json!([hash]));
    assert_eq!(
        (&tx["from"], &tx["blockNumber"]),
        (&json!(ALICE), &json!("0x1"))
    );
}

#[test]
fn revert_carries_code_three_and_its_bytes() {
    let backend = backend();
    let contract = deploy(&backend, REVERTER);
    for method in ["eth_call", "eth_estimateGas"] {
        let error = refused(&backend, method, json!([{"to": contract}]));
        assert_eq!(
            (error.code, error.data),
            (3, Some(json!("0xdeadbeef"))),
            "{method}"
        );
    }
}

#[test]
fn logs_are_found_by_address_and_topic_and_by_filter() {
    let backend = backend();
    let contract = deploy(&backend, LOGGER);
    let filter = json!([{"address": contract}]);
    let id = call(&backend, "eth_newFilter", filter);
    let word = format!("0x{:064x}", 7);
    let send = json!([{"from": ALICE, "to": contract, "data": word}]);
    call(&backend, "eth_sendTransaction", send);
    let whole = json!([{"fromBlock": "0x0", "address": contract, "topics": [word]}]);
    assert_eq!(
        call(&backend, "eth_getLogs", whole)
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let other = json!([{"fromBlock": "0x0", "topics": [format!("0x{:064x}", 8)]}]);
    assert_eq!(call(&backend, "eth_getLogs", other), json!([]));
    let changes = call(&backend, "eth_getFilterChanges", json!([id]));
    assert_eq!(changes.as_array().unwrap().len(), 1);
    assert_eq!(
        call(&backend, "eth_getFilterChanges", json!([id])),
        json!([])
    );
}

#[test]
fn impersonated_account_sends_and_others_do_not() {
    let backend = backend();
    let send = json!([{"from": STRANGER, "to": BOB, "value": "0x1"}]);
    call(
        &backend,
        "anvil_setBalance",
        json!([STRANGER, "0xde0b6b3a7640000"]),
    );
    let error = refused(&backend, "eth_sendTransaction", send.clone());
    assert!(error.message.starts_with("no signer"), "{error}");
    call(&backend, "hardhat_impersonateAccount", json!([STRANGER]));
    call(&backend, "eth_sendTransaction", send);
}

#[test]
fn snapshot_takes_balances_and_blocks_back() {
    let backend = backend();
    let id = call(&backend, "evm_snapshot", json!([]));
    call(&backend, "anvil_setBalance", json!([STRANGER, "0x5"]));
    call(&backend, "evm_mine", json!([]));
    assert_eq!(
        call(&backend, "eth_getBalance", json!([STRANGER, "latest"])),
        "0x5"
    );
    assert_eq!(call(&backend, "evm_revert", json!([id])), true);
    assert_eq!(
        call(&backend, "eth_getBalance", json!([STRANGER, "latest"])),
        "0x0"
    );
    assert_eq!(call(&backend, "eth_blockNumber", json!([])), "0x0");
}

#[test]
fn past_state_answers_as_it_was() {
    let backend = backend();
    let transfer = json!([{"from": ALICE, "to": STRANGER, "value": "0x9"}]);
    call(&backend, "eth_sendTransaction", transfer);
    assert_eq!(
        call(&backend, "eth_getBalance", json!([STRANGER, "0x0"])),
        "0x0"
    );
    assert_eq!(
        call(&backend, "eth_getBalance", json!([STRANGER, "0x1"])),
        "0x9"
    );
    let error = refused(&backend, "eth_getBalance", json!([STRANGER, "0x2"]));
    assert_eq!(error.message, "header not found");
}

#[test]
fn transaction_below_the_base_fee_is_refused_in_instant_mining() {
    let backend = backend();
    let send = json!([{"from": ALICE, "to": BOB, "gas": "0x5208", "gasPrice": "0x1"}]);
    let error = refused(&backend, "eth_sendTransaction", send);
    assert_eq!(error.message, "max fee per gas less than block base fee");
}

#[test]
fn call_traces_name_caller_and_callee() {
    let backend = backend();
    let transfer = json!([{"from": ALICE, "to": BOB, "value": "0x1"}]);
    let hash = call(&backend, "eth_sendTransaction", transfer);
    let options = json!({"tracer": "callTracer"});
    let trace = call(&backend, "debug_traceTransaction", json!([hash, options]));
    assert_eq!((&trace["from"], &trace["to"]), (&json!(ALICE), &json!(BOB)));
}

#[test]
fn inference_account_has_its_marker_code() {
    let backend = backend();
    let chain = backend.chain.spec().assay.as_ref().unwrap();
    let code = call(&backend, "eth_getCode", json!([chain.inference, "latest"]));
    assert_eq!(code, "0xfe");
}

#[test]
fn unknown_and_developer_methods_do_not_exist_elsewhere() {
    let dev = backend();
    assert_eq!(refused(&dev, "eth_nothing", json!([])).code, -32_601);
    let plain = Backend::new(
        Arc::clone(&dev.chain),
        Arc::clone(&dev.pool),
        CallLimits::default(),
    );
    assert_eq!(refused(&plain, "evm_mine", json!([])).code, -32_601);
}
