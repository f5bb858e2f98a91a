//! Batches: answers in order, and transactions sent together.

use serde_json::{Value, json};

use crate::node::{ALICE, BOB, Node};

fn signed(node: &Node, nonce: u64) -> Value {
    let transaction = json!({
        "from": ALICE, "to": BOB, "value": "0x1", "nonce": format!("{nonce:#x}"),
        "gas": "0x5208", "gasPrice": "0x77359400",
    });
    let signed = node.call("eth_signTransaction", json!([transaction]));
    signed.get("raw").unwrap_or(&signed).clone()
}

fn request(id: u64, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn batch(node: &Node, requests: &[Value]) -> Vec<Value> {
    let (_, answers) = node.post(&json!(requests).to_string());
    serde_json::from_str(&answers).unwrap()
}

#[test]
fn transactions_side_by_side_share_a_block_that_exists_when_the_batch_is_answered() {
    let node = Node::start();
    let mut requests: Vec<Value> = (0..5)
        .map(|nonce| {
            request(
                nonce,
                "eth_sendRawTransaction",
                json!([signed(&node, nonce)]),
            )
        })
        .collect();
    requests.push(request(5, "eth_blockNumber", json!([])));
    let answers = batch(&node, &requests);
    assert_eq!(answers[5]["result"], "0x1");
    for (id, answer) in answers[..5].iter().enumerate() {
        assert_eq!(answer["id"], id);
        let receipt = node.call("eth_getTransactionReceipt", json!([answer["result"]]));
        assert_eq!(receipt["blockNumber"], "0x1");
        assert_eq!(receipt["transactionIndex"], format!("{id:#x}"));
    }
}

#[test]
fn one_bad_transaction_of_a_batch_fails_alone() {
    let node = Node::start();
    let good = signed(&node, 0);
    let send = |id, raw: Value| request(id, "eth_sendRawTransaction", json!([raw]));
    let answers = batch(
        &node,
        &[
            send(0, json!("0x01")),
            send(1, good.clone()),
            send(2, good),
            request(3, "eth_sendRawTransaction", json!({"no": "array"})),
            request(4, "eth_nothing", json!([])),
            json!(7),
            send(6, signed(&node, 1)),
        ],
    );
    let failed: Vec<bool> = answers.iter().map(|a| a.get("error").is_some()).collect();
    assert_eq!(failed, [true, false, true, true, true, true, false]);
    assert_eq!(answers[2]["error"]["message"], "already known");
    assert_eq!(answers[3]["error"]["code"], -32_602);
    assert_eq!(answers[4]["error"]["code"], -32_601);
    assert_eq!(answers[5]["error"]["code"], -32_600);
    let count = node.call("eth_getTransactionCount", json!([ALICE, "latest"]));
    assert_eq!(count, "0x2");
}

#[test]
fn batch_of_notifications_has_no_answers_and_an_empty_one_is_invalid() {
    let node = Node::start();
    let notification = json!({"jsonrpc": "2.0", "method": "eth_chainId", "params": []});
    let (_, answer) = node.post(&json!([notification]).to_string());
    // HTTP must answer something: a body of no answers.
    assert_eq!(answer, "null");
    let (_, answer) = node.post("[]");
    assert!(answer.contains("-32600"), "{answer}");
}
