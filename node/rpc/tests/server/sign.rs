//! Signatures of the developer accounts.

use alloy_primitives::{B256, Signature, hex};
use serde_json::{Value, json};

use crate::node::{ALICE, BOB, Node};

/// Hash to sign of the example in EIP-712.
const EXAMPLE_HASH: [u8; 32] =
    hex!("be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2");

fn example() -> Value {
    let named = |name, kind| json!({"name": name, "type": kind});
    json!({
        "types": {
            "EIP712Domain": [
                named("name", "string"), named("version", "string"),
                named("chainId", "uint256"), named("verifyingContract", "address"),
            ],
            "Person": [named("name", "string"), named("wallet", "address")],
            "Mail": [named("from", "Person"), named("to", "Person"), named("contents", "string")],
        },
        "primaryType": "Mail",
        "domain": {
            "name": "Ether Mail", "version": "1", "chainId": 1,
            "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC",
        },
        "message": {
            "from": {"name": "Cow", "wallet": "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"},
            "to": {"name": "Bob", "wallet": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"},
            "contents": "Hello, Bob!",
        },
    })
}

fn signer(signature: &Value) -> String {
    let bytes = hex::decode(signature.as_str().unwrap()).unwrap();
    let signature = Signature::from_raw(&bytes).unwrap();
    let signer = signature.recover_address_from_prehash(&B256::new(EXAMPLE_HASH));
    signer.unwrap().to_string().to_lowercase()
}

#[test]
fn typed_data_is_signed_as_the_standard_has_it() {
    let node = Node::start();
    let given = [example(), example().to_string().into()];
    for data in given {
        for method in [
            "eth_signTypedData",
            "eth_signTypedData_v3",
            "eth_signTypedData_v4",
        ] {
            let signature = node.call(method, json!([ALICE, data]));
            assert_eq!(signer(&signature), ALICE, "{method}");
        }
    }
    let broken = json!([ALICE, {"types": {}, "primaryType": "Mail", "domain": {}, "message": {}}]);
    assert_eq!(node.refuse("eth_signTypedData_v4", broken)["code"], -32_602);
}

#[test]
fn transaction_is_filled_and_signed_but_not_sent() {
    let node = Node::start();
    let request = json!([{"from": ALICE, "to": BOB, "value": "0x1"}]);
    let filled = node.call("eth_fillTransaction", request.clone());
    assert_eq!(filled["tx"]["nonce"], "0x0");
    assert_eq!(filled["tx"]["gas"], "0x5208");
    assert!(filled["raw"].as_str().unwrap().starts_with("0x02"));
    let raw = node.call("eth_signTransaction", request);
    assert_eq!(node.call("eth_blockNumber", json!([])), "0x0");
    let receipt = node.call("eth_sendRawTransactionSync", json!([raw]));
    assert_eq!(
        (&receipt["from"], &receipt["status"]),
        (&json!(ALICE), &json!("0x1"))
    );
}
