//! The pending tag means the next block as it would be built now.

use serde_json::json;

use crate::node::{ALICE, BOB, CONTRACT, Node};

/// Stores its calldata's first word in slot zero; without calldata returns the slot.
const CELL: &str = "0x3615600a575f355f55005b5f545f5260205ff3";
/// Reverts before the time 4,000,000,000.
const LATER: &str = "0x63ee6b28004210600b57005b5f5ffd";

#[test]
fn pending_state_and_block_include_what_waits() {
    let node = Node::start();
    node.put_code(CELL);
    node.call("anvil_setAutomine", json!([false]));
    let word = format!("0x{:064x}", 7);
    let hash = node.send(CONTRACT, "0x0", &word);
    let count = |tag| node.call("eth_getTransactionCount", json!([ALICE, tag]));
    assert_eq!(
        (count("latest"), count("pending")),
        (json!("0x0"), json!("0x1"))
    );
    let cell = |tag| node.call("eth_call", json!([{"to": CONTRACT}, tag]));
    assert_eq!(cell("latest"), format!("0x{:064x}", 0));
    assert_eq!(cell("pending"), word);
    let slot = node.call("eth_getStorageAt", json!([CONTRACT, "0x0", "pending"]));
    assert_eq!(slot, word);
    let block = node.call("eth_getBlockByNumber", json!(["pending", false]));
    assert_eq!(block["transactions"], json!([hash]));
    assert_eq!(
        (&block["hash"], &block["number"]),
        (&json!(null), &json!("0x1"))
    );
    let full = node.call("eth_getBlockByNumber", json!(["pending", true]));
    assert_eq!(full["transactions"][0]["hash"], hash);
    let length = "eth_getBlockTransactionCountByNumber";
    assert_eq!(node.call(length, json!(["pending"])), "0x1");
}

#[test]
fn pending_block_that_is_mined_is_what_was_shown() {
    let node = Node::start();
    node.call("anvil_setAutomine", json!([false]));
    node.call("evm_setNextBlockTimestamp", json!([4_000_000_000_u64]));
    node.send(BOB, "0x5", "0x");
    let shown = node.call("eth_getBlockByNumber", json!(["pending", false]));
    node.call("evm_mine", json!([]));
    let mined = node.call("eth_getBlockByNumber", json!(["latest", false]));
    for field in [
        "stateRoot",
        "receiptsRoot",
        "gasUsed",
        "timestamp",
        "transactions",
    ] {
        assert_eq!(shown[field], mined[field], "{field}");
    }
    let next = node.call("eth_getBlockByNumber", json!(["pending", false]));
    assert_eq!(
        (&next["number"], &next["transactions"]),
        (&json!("0x2"), &json!([]))
    );
}

#[test]
fn estimate_without_a_tag_sees_the_time_set_for_the_next_block() {
    let node = Node::start();
    node.put_code(LATER);
    let request = json!({"from": ALICE, "to": CONTRACT});
    assert_eq!(node.refuse("eth_estimateGas", json!([request]))["code"], 3);
    node.call("evm_setNextBlockTimestamp", json!([4_000_000_001_u64]));
    node.call("eth_estimateGas", json!([request]));
    node.call("eth_call", json!([request, "pending"]));
    assert_eq!(
        node.refuse("eth_call", json!([request, "latest"]))["code"],
        3
    );
}

#[test]
fn edits_of_the_state_show_in_the_pending_block() {
    let node = Node::start();
    let balance = || node.call("eth_getBalance", json!([CONTRACT, "pending"]));
    assert_eq!(balance(), "0x0");
    node.call("anvil_setBalance", json!([CONTRACT, "0x9"]));
    assert_eq!(balance(), "0x9");
}
