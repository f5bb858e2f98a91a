//! The `ots_` namespace, as Otterscan asks it.

use assay_rpc::CallLimits;
use serde_json::{Value, json};

use crate::node::{ALICE, BOB, CONTRACT, Node, forwarder};

/// Deploys code that stops at once.
const STOPPER: &str = "0x6001600a5f3960015ff300";
/// Reverts with the bytes 0xdeadbeef.
const REVERTER: &str = "0x63deadbeef5f526004601cfd";

#[test]
fn inside_of_a_transaction_is_shown() {
    let node = Node::start();
    node.put_code(&forwarder(BOB));
    let hash = node.send(CONTRACT, "0x5", "0x");
    assert_eq!(node.call("ots_getApiLevel", json!([])), 8);
    assert_eq!(node.call("ots_hasCode", json!([CONTRACT, "latest"])), true);
    assert_eq!(node.call("ots_hasCode", json!([BOB, "latest"])), false);
    let inner = node.call("ots_getInternalOperations", json!([hash]));
    let paid = json!({"type": 0, "from": CONTRACT, "to": BOB, "value": "0x1"});
    assert_eq!(inner, json!([paid]));
    let frames = node.call("ots_traceTransaction", json!([hash]));
    assert_eq!(
        (&frames[0]["type"], &frames[0]["depth"]),
        (&json!("CALL"), &json!(0))
    );
    assert_eq!(
        (&frames[1]["to"], &frames[1]["depth"]),
        (&json!(BOB), &json!(1))
    );
    assert_eq!(node.call("ots_getTransactionError", json!([hash])), "0x");
}

#[test]
fn error_of_a_transaction_is_what_it_reverted_with() {
    let node = Node::start();
    node.put_code(REVERTER);
    let send = json!([{"from": ALICE, "to": CONTRACT, "gas": "0x186a0"}]);
    let hash = node.call("eth_sendTransaction", send);
    assert_eq!(
        node.call("ots_getTransactionError", json!([hash])),
        "0xdeadbeef"
    );
}

#[test]
fn block_is_shown_slim_and_its_transactions_by_the_page() {
    let node = Node::start();
    node.call("anvil_setAutomine", json!([false]));
    let hashes: Vec<Value> = (0..3).map(|_| node.send(BOB, "0x1", "0x")).collect();
    node.call("evm_mine", json!([]));
    let details = node.call("ots_getBlockDetails", json!([1]));
    assert_eq!(details["block"]["transactionCount"], 3);
    assert!(details["block"].get("transactions").is_none());
    assert_ne!(details["totalFees"], "0x0");
    let by_hash = json!([details["block"]["hash"]]);
    assert_eq!(node.call("ots_getBlockDetailsByHash", by_hash), details);
    let page = |number| node.call("ots_getBlockTransactions", json!([1, number, 2]));
    let of = |page: &Value| -> Vec<Value> {
        let transactions = page["fullblock"]["transactions"].as_array().unwrap();
        transactions.iter().map(|tx| tx["hash"].clone()).collect()
    };
    assert_eq!(of(&page(0)), hashes[1..]);
    assert_eq!(of(&page(1)), hashes[..1]);
    assert_eq!(page(1)["receipts"][0]["transactionHash"], hashes[0]);
}

#[test]
fn account_is_found_wherever_it_appears() {
    let node = Node::start();
    node.put_code(&forwarder(BOB));
    let inner = node.send(CONTRACT, "0x5", "0x");
    node.send(ALICE, "0x1", "0x");
    let outer = node.send(BOB, "0x1", "0x");
    let ends = |page: &Value| (page["firstPage"].clone(), page["lastPage"].clone());
    let of = |page: &Value| -> Vec<Value> {
        let transactions = page["txs"].as_array().unwrap();
        transactions.iter().map(|tx| tx["hash"].clone()).collect()
    };
    let before = |block, size| node.call("ots_searchTransactionsBefore", json!([BOB, block, size]));
    let all = before(0, 10);
    assert_eq!(of(&all), [outer.clone(), inner.clone()]);
    assert_eq!(ends(&all), (json!(true), json!(true)));
    let first = before(0, 1);
    assert_eq!(
        (of(&first), ends(&first)),
        (vec![outer.clone()], (json!(true), json!(false)))
    );
    let second = before(3, 1);
    assert_eq!(of(&second).first(), Some(&inner));
    let after = node.call("ots_searchTransactionsAfter", json!([BOB, 0, 10]));
    assert_eq!(of(&after), [outer, inner]);
    assert_eq!(ends(&after), (json!(true), json!(true)));
}

#[test]
fn search_stops_at_its_bound_and_says_where() {
    let limits = CallLimits {
        search_blocks: 5,
        ..CallLimits::default()
    };
    let node = Node::with_limits(limits, |_| ());
    node.call("anvil_mine", json!([20]));
    let error = node.refuse("ots_searchTransactionsBefore", json!([BOB, 0, 10]));
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("block 15"), "{message}");
    let huge = node.refuse("ots_searchTransactionsBefore", json!([BOB, 0, 1_000_000]));
    assert_eq!(huge["code"], -32_602);
}

#[test]
fn creator_and_nonce_lead_to_their_transactions() {
    let node = Node::start();
    node.call("anvil_mine", json!([3]));
    let (contract, hash) = node.deploy(STOPPER);
    node.call("anvil_mine", json!([3]));
    let creator = node.call("ots_getContractCreator", json!([contract]));
    assert_eq!(creator, json!({"hash": hash, "creator": ALICE}));
    assert_eq!(
        node.call("ots_getContractCreator", json!([BOB])),
        Value::Null
    );
    let by_nonce = |nonce| node.call("ots_getTransactionBySenderAndNonce", json!([ALICE, nonce]));
    assert_eq!(by_nonce(0), hash);
    assert_eq!(by_nonce(1), Value::Null);
    let whole = node.call("eth_getTransactionBySenderAndNonce", json!([ALICE, "0x0"]));
    assert_eq!(whole["hash"], hash);
}
