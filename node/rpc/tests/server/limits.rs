//! What one client may cost, and how it is told.

use assay_rpc::CallLimits;
use serde_json::json;

use crate::node::{ALICE, CONTRACT, Node};

/// Runs for ever.
const LOOP: &str = "0x5b5f56";
/// Returns a million zeros.
const MEGABYTE: &str = "0x620f42405ff3";
/// Logs without topics as often as its calldata has bytes.
const LOGGER: &str = "0x365b80156011575f5fa0600190036001565b00";

#[test]
fn malformed_and_unknown_requests_get_the_codes_of_the_protocol() {
    let node = Node::start();
    let (_, answer) = node.post("{\"jsonrpc\": \"2.0\", ");
    assert!(answer.contains("-32700"), "{answer}");
    assert_eq!(node.refuse("eth_nothing", json!([]))["code"], -32_601);
    assert_eq!(
        node.refuse("eth_getBalance", json!(["0x12"]))["code"],
        -32_602
    );
    assert_eq!(node.refuse("eth_getBalance", json!([]))["code"], -32_602);
}

#[test]
fn long_body_and_long_batch_are_refused_and_others_are_answered() {
    let node = Node::with_limits(CallLimits::default(), |server| {
        server.max_request_bytes = 10_000;
        server.max_batch = 3;
        server.max_response_bytes = 100_000;
    });
    let (status, _) = node.post(&format!("[{}]", " ".repeat(20_000)));
    assert_eq!(status, 413);
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []});
    let batch = |size: usize| json!(vec![request.clone(); size]).to_string();
    let (_, answer) = node.post(&batch(4));
    assert!(answer.contains("\"error\""), "{answer}");
    let (_, answer) = node.post(&batch(3));
    assert_eq!(answer.matches("\"0x7a69\"").count(), 3);
    let long = json!({"to": CONTRACT, "data": "0x"});
    node.put_code(MEGABYTE);
    let error = node.refuse("eth_call", json!([long, "latest"]));
    assert!(
        error["message"].as_str().unwrap().contains("too big"),
        "{error}"
    );
}

#[test]
fn endless_call_ends_at_the_cap_whatever_it_asks_for() {
    let limits = CallLimits {
        gas: 1_000_000,
        ..CallLimits::default()
    };
    let node = Node::with_limits(limits, |_| ());
    node.put_code(LOOP);
    let call = json!({"from": ALICE, "to": CONTRACT, "gas": "0xffffffffffff"});
    let error = node.refuse("eth_call", json!([call, "latest"]));
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("out of gas"), "{message}");
}

#[test]
fn log_queries_are_bound_in_blocks_and_in_answers() {
    let limits = CallLimits {
        log_blocks: 5,
        logs: 3,
        ..CallLimits::default()
    };
    let node = Node::with_limits(limits, |_| ());
    node.put_code(LOGGER);
    node.send(CONTRACT, "0x0", "0x0000");
    node.send(CONTRACT, "0x0", "0x0000");
    let query = |from: &str, to: &str| json!([{"fromBlock": from, "toBlock": to}]);
    let two = node.call("eth_getLogs", query("0x1", "0x1"));
    assert_eq!(two.as_array().unwrap().len(), 2);
    let many = node.refuse("eth_getLogs", query("0x0", "0x2"));
    assert!(many["message"].as_str().unwrap().contains("more than 3"));
    node.call("anvil_mine", json!([10]));
    let wide = node.refuse("eth_getLogs", query("0x0", "0x5"));
    assert_eq!(wide["code"], -32_602);
}
