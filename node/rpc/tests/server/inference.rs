//! Model calls as a client sees them: answers, and errors that decode by name.

use alloy_primitives::{B256, I256, b256, hex};
use alloy_sol_types::{SolCall as _, SolError};
use assay_precompile::abi::IInference;
use serde_json::{Value, json};

use crate::node::{ALICE, Node};

const PRECOMPILE: &str = "0x0000000000000000000000000000000000000a11";
/// The trained example that forecasts volatility from five features.
const VOLATILITY: B256 = b256!("a750e69ad44be5dee05ed66bcb3004b1259d6dabf9d707bf664e98edf7fefee9");
/// Two calm weeks and a fall, as the README has them.
const FEATURES: [i64; 5] = [21_000, 19_000, 17_000, -12_000, 9_000];

fn predict(model: B256, features: &[i64]) -> Value {
    let features = features.iter().map(|f| I256::try_from(*f).unwrap());
    let call = IInference::predictCall {
        model,
        features: features.collect(),
    };
    json!({"from": ALICE, "to": PRECOMPILE, "data": hex::encode_prefixed(call.abi_encode())})
}

fn assert_reverts(node: &Node, request: &Value, wanted: &impl SolError) {
    for method in ["eth_call", "eth_estimateGas"] {
        let error = node.refuse(method, json!([request]));
        assert_eq!(error["code"], 3, "{error}");
        assert_eq!(
            error["data"],
            hex::encode_prefixed(wanted.abi_encode()),
            "{error}"
        );
    }
}

#[test]
fn prediction_is_the_published_one_to_the_last_digit() {
    let node = Node::with_examples();
    let answer = node.call(
        "eth_call",
        json!([predict(VOLATILITY, &FEATURES), "latest"]),
    );
    let bytes = hex::decode(answer.as_str().unwrap()).unwrap();
    let values = IInference::predictCall::abi_decode_returns(&bytes).unwrap();
    assert_eq!(
        values,
        [I256::try_from(18_722_712_993_621_826_i64).unwrap()]
    );
    let gas = node.call("eth_estimateGas", json!([predict(VOLATILITY, &FEATURES)]));
    let mut enough = predict(VOLATILITY, &FEATURES);
    enough["gas"] = gas;
    let receipt = node.call("eth_sendTransactionSync", json!([enough]));
    assert_eq!(receipt["status"], "0x1");
}

#[test]
fn errors_of_a_model_call_decode_by_name() {
    let node = Node::with_examples();
    let unknown = B256::repeat_byte(7);
    let error = IInference::UnknownModel { model: unknown };
    assert_reverts(&node, &predict(unknown, &FEATURES), &error);
    let error = IInference::WrongInputCount {
        expected: alloy_primitives::U256::from(5),
        got: alloy_primitives::U256::from(4),
    };
    assert_reverts(&node, &predict(VOLATILITY, &FEATURES[..4]), &error);
    let mut paid = predict(VOLATILITY, &FEATURES);
    paid["value"] = json!("0x1");
    assert_reverts(&node, &paid, &IInference::NotPayable {});
    let mut noise = predict(VOLATILITY, &FEATURES);
    noise["data"] = json!("0x01020304");
    assert_reverts(&node, &noise, &IInference::BadCalldata {});
}

#[test]
fn call_without_enough_gas_is_out_of_gas_and_no_model_error() {
    let node = Node::with_examples();
    let mut poor = predict(VOLATILITY, &FEATURES);
    poor["gas"] = json!("0x7530");
    let error = node.refuse("eth_call", json!([poor, "latest"]));
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("out of gas"), "{message}");
    assert!(error.get("data").is_none());
}
