//! Waiting transactions are run before their block, and nothing is run twice.

use serde_json::json;

use super::{backend, call, example_id, predict};
use crate::Backend;

fn pre_executing() -> Backend {
    let backend = backend();
    let preexecution = assay_chain::PreExecution::start(&backend.chain).unwrap();
    backend.pre_execute(preexecution)
}

#[test]
fn waiting_transaction_is_run_before_its_block() {
    let backend = pre_executing();
    call(&backend, "evm_setAutomine", json!([false]));
    call(
        &backend,
        "eth_sendTransaction",
        json!([predict(example_id())]),
    );
    backend.preexecution.as_ref().unwrap().wait_until_idle();
    call(&backend, "evm_mine", json!([]));
    let done = call(&backend, "assay_status", json!([]))["preExecution"].clone();
    assert_eq!(
        (&done["executed"], &done["hits"]),
        (&json!("0x1"), &json!("0x1"))
    );
    assert_eq!(
        (&done["misses"], &done["refused"]),
        (&json!("0x0"), &json!("0x0"))
    );
}

#[test]
fn transaction_that_waits_for_an_earlier_nonce_is_not_run() {
    let backend = pre_executing();
    call(&backend, "evm_setAutomine", json!([false]));
    let mut later = predict(example_id());
    later["nonce"] = json!("0x7");
    call(&backend, "eth_sendTransaction", json!([later]));
    backend.preexecution.as_ref().unwrap().wait_until_idle();
    let done = call(&backend, "assay_status", json!([]))["preExecution"].clone();
    assert_eq!(
        (&done["executed"], &done["skipped"]),
        (&json!("0x0"), &json!("0x1"))
    );
}

#[test]
fn instant_mining_runs_nothing_twice() {
    let backend = pre_executing();
    call(
        &backend,
        "eth_sendTransaction",
        json!([predict(example_id())]),
    );
    let done = call(&backend, "assay_status", json!([]))["preExecution"].clone();
    assert_eq!(
        (&done["executed"], &done["misses"]),
        (&json!("0x0"), &json!("0x1"))
    );
}
