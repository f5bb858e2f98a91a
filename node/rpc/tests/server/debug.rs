//! The `debug_` namespace.

use serde_json::{Value, json};

use crate::node::{ALICE, BOB, CONTRACT, Node, forwarder};

#[test]
fn every_standard_tracer_traces_transactions_blocks_and_calls() {
    let node = Node::start();
    node.put_code(&forwarder(BOB));
    let hash = node.send(CONTRACT, "0x5", "0x70a08231");
    let block = node.call("eth_getBlockByNumber", json!(["latest", false]))["hash"].clone();
    let rlp = node.call("debug_getRawBlock", json!(["latest"]));
    let mux = json!({"callTracer": {}, "4byteTracer": null});
    for options in [
        json!({}),
        json!({"tracer": "callTracer", "tracerConfig": {"withLog": true}}),
        json!({"tracer": "prestateTracer", "tracerConfig": {"diffMode": true}}),
        json!({"tracer": "4byteTracer"}),
        json!({"tracer": "flatCallTracer"}),
        json!({"tracer": "noopTracer"}),
        json!({"tracer": "muxTracer", "tracerConfig": mux}),
    ] {
        let one = node.call("debug_traceTransaction", json!([hash, options]));
        let in_block = json!([{"txHash": hash, "result": one}]);
        for (method, place) in [
            ("debug_traceBlockByHash", &block),
            ("debug_traceBlockByNumber", &json!("0x1")),
            ("debug_traceBlock", &rlp),
        ] {
            assert_eq!(
                node.call(method, json!([place, options])),
                in_block,
                "{method} {options}"
            );
        }
        let call = json!({"from": ALICE, "to": CONTRACT});
        node.call("debug_traceCall", json!([call, "latest", options]));
    }
    let unknown = json!([hash, {"tracer": "{step: function() {}}"}]);
    assert!(node.refuse("debug_traceTransaction", unknown)["message"].is_string());
}

#[test]
fn each_transaction_is_traced_on_what_the_ones_before_it_left() {
    let node = Node::start();
    node.call("anvil_setAutomine", json!([false]));
    let first = node.send(BOB, "0x1", "0x");
    let second = node.send(BOB, "0x2", "0x");
    node.call("evm_mine", json!([]));
    let options = json!({"tracer": "prestateTracer"});
    let block = node.call("debug_traceBlockByNumber", json!(["0x1", options]));
    let nonce = |traced: &Value| traced[ALICE]["nonce"].as_u64().unwrap_or_default();
    assert_eq!(
        (&block[0]["txHash"], nonce(&block[0]["result"])),
        (&first, 0)
    );
    assert_eq!(
        (&block[1]["txHash"], nonce(&block[1]["result"])),
        (&second, 1)
    );
    let alone = node.call("debug_traceTransaction", json!([second, options]));
    assert_eq!(alone, block[1]["result"]);
}

#[test]
fn code_is_found_by_its_hash_and_by_gets_of_the_database() {
    let node = Node::start();
    node.put_code("0x6001");
    let proof = node.call("eth_getProof", json!([CONTRACT, [], "latest"]));
    let hash = proof["codeHash"].as_str().unwrap();
    assert_eq!(node.call("debug_codeByHash", json!([hash])), "0x6001");
    let key = format!("0x63{}", hash.trim_start_matches("0x"));
    assert_eq!(node.call("debug_dbGet", json!([key])), "0x6001");
    assert_eq!(node.call("debug_dbGet", json!(["0x00"])), Value::Null);
}

/// Stores its calldata's second word in the slot its first word names.
const CELLS: &str = "0x6020355f355500";

#[test]
fn storage_is_listed_as_it_was_before_a_transaction() {
    let node = Node::start();
    node.put_code(CELLS);
    node.call("anvil_setAutomine", json!([false]));
    let write = |slot: u8, word: u8| {
        let data = format!("0x{slot:064x}{word:064x}");
        let send = json!([{"from": ALICE, "to": CONTRACT, "data": data, "gas": "0x186a0"}]);
        node.call("eth_sendTransaction", send)
    };
    write(1, 5);
    write(2, 6);
    write(1, 0);
    node.call("evm_mine", json!([]));
    let hash = node.call("eth_getBlockByNumber", json!(["latest", false]))["hash"].clone();
    let range = |index: u64, most: u64| {
        let params = json!([hash, index, CONTRACT, "0x", most]);
        node.call("debug_storageRangeAt", params)
    };
    let size = |answer: &Value| answer["storage"].as_object().unwrap().len();
    assert_eq!(
        [0, 1, 2, 3].map(|index| size(&range(index, 9))),
        [0, 1, 2, 1]
    );
    let first = range(2, 1);
    let (shown, next) = (first["storage"].as_object().unwrap(), &first["nextKey"]);
    let params = json!([hash, 2, CONTRACT, next, 9]);
    let second = node.call("debug_storageRangeAt", params);
    assert_eq!((size(&second), &second["nextKey"]), (1, &Value::Null));
    assert!(
        second["storage"]
            .get(shown.keys().next().unwrap())
            .is_none()
    );
}
