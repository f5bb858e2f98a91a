//! The `trace_` namespace.

use serde_json::{Value, json};

use crate::node::{ALICE, BOB, CONTRACT, Node, forwarder};

/// A node with one transaction that pays Bob a wei through a contract.
fn forwarded() -> (Node, Value) {
    let node = Node::start();
    node.put_code(&forwarder(BOB));
    let hash = node.send(CONTRACT, "0x5", "0x");
    (node, hash)
}

#[test]
fn transaction_is_traced_frame_by_frame() {
    let (node, hash) = forwarded();
    let traces = node.call("trace_transaction", json!([hash]));
    let frames = traces.as_array().unwrap();
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[0]["action"]["from"], ALICE);
    assert_eq!(frames[0]["subtraces"], 1);
    assert_eq!(frames[1]["traceAddress"], json!([0]));
    assert_eq!(frames[1]["action"]["to"], BOB);
    assert_eq!(frames[1]["action"]["value"], "0x1");
    assert_eq!(node.call("trace_block", json!(["0x1"])), traces);
    assert_eq!(node.call("trace_get", json!([hash, ["0x0"]])), frames[1]);
    let unknown = format!("0x{:064x}", 1);
    assert_eq!(
        node.call("trace_transaction", json!([unknown])),
        Value::Null
    );
}

#[test]
fn filter_finds_frames_by_their_ends_page_by_page() {
    let (node, _) = forwarded();
    node.send(CONTRACT, "0x5", "0x");
    let find = |filter| node.call("trace_filter", json!([filter]));
    let to_bob = find(json!({"fromBlock": "earliest", "toBlock": "latest", "toAddress": [BOB]}));
    assert_eq!(to_bob.as_array().unwrap().len(), 2);
    let second = json!({"fromBlock": "0x0", "toBlock": "0x2", "toAddress": [BOB], "after": 1,
                        "count": 1});
    assert_eq!(find(second), json!([to_bob[1]]));
    let none = json!({"fromBlock": "0x0", "toBlock": "0x2", "fromAddress": [BOB]});
    assert_eq!(find(none), json!([]));
}

#[test]
fn calls_are_traced_one_on_top_of_another() {
    let (node, _) = forwarded();
    let call = json!({"from": ALICE, "to": CONTRACT});
    let types = json!(["trace", "stateDiff", "vmTrace"]);
    let one = node.call("trace_call", json!([call, types, "latest"]));
    assert_eq!(one["trace"].as_array().unwrap().len(), 2);
    assert!(one["stateDiff"].get(BOB).is_some(), "{one}");
    assert!(!one["vmTrace"]["ops"].as_array().unwrap().is_empty());
    // Four wei are left: the fifth call has nothing to pay on.
    let calls: Vec<Value> = (0..5).map(|_| json!([call, ["stateDiff"]])).collect();
    let many = node.call("trace_callMany", json!([calls, "latest"]));
    assert!(many[3]["stateDiff"].get(BOB).is_some());
    assert!(many[4]["stateDiff"].get(BOB).is_none());
}

#[test]
fn replayed_transactions_tell_what_they_changed() {
    let (node, hash) = forwarded();
    let one = node.call("trace_replayTransaction", json!([hash, ["stateDiff"]]));
    let paid = &one["stateDiff"][BOB]["balance"]["*"];
    assert_eq!(paid["from"], "0x56bc75e2d63100000");
    assert_eq!(paid["to"], "0x56bc75e2d63100001");
    let all = node.call("trace_replayBlockTransactions", json!(["0x1", ["trace"]]));
    assert_eq!(all[0]["transactionHash"], hash);
    assert_eq!(all[0]["trace"].as_array().unwrap().len(), 2);
}

#[test]
fn signed_transaction_is_traced_without_being_sent() {
    let (node, _) = forwarded();
    let transaction = json!({"from": ALICE, "to": CONTRACT});
    let raw = node.call("eth_signTransaction", json!([transaction]));
    let traced = node.call("trace_rawTransaction", json!([raw, ["trace"]]));
    assert_eq!(traced["trace"][1]["action"]["to"], BOB);
    assert_eq!(node.call("eth_blockNumber", json!([])), "0x1");
}
