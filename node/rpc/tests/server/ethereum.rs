//! A genesis without our section makes an ordinary Ethereum chain.

use std::sync::Arc;

use assay_chain::Chain;
use assay_pool::Pool;
use assay_rpc::{Backend, CallLimits};
use assay_state::Store;
use assay_types::Genesis;
use serde_json::{Value, json};

const GENESIS: &str = r#"{
  "config": {"chainId": 5, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0,
    "eip158Block": 0, "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0,
    "istanbulBlock": 0, "berlinBlock": 0, "londonBlock": 0, "terminalTotalDifficulty": 0,
    "shanghaiTime": 0, "cancunTime": 0},
  "nonce": "0x0", "timestamp": "0x0", "extraData": "0x", "gasLimit": "0x3938700",
  "difficulty": "0x0", "coinbase": "0x0000000000000000000000000000000000000000",
  "mixHash": "0x0000000000000000000000000000000000000000000000000000000000000000",
  "alloc": {}}"#;

#[test]
fn our_addresses_are_empty_accounts_there() {
    let genesis = Genesis::from_json(GENESIS).unwrap();
    let chain = Chain::open(&genesis, Store::in_memory().unwrap()).unwrap();
    let node = Backend::new(
        Arc::new(chain),
        Arc::new(Pool::default()),
        CallLimits::default(),
    );
    let call = |method: &str, params: Value| node.call(method, Some(params)).unwrap();
    for last in ["0a11", "0a12", "0a13", "0a14", "00f4"] {
        let address = format!("0x{last:0>40}");
        assert_eq!(call("eth_getCode", json!([address, "latest"])), "0x");
        // predict(bytes32,int256[]) with no arguments: code would refuse it, an account takes it.
        let message = json!({"to": address, "data": "0x01020304"});
        assert_eq!(call("eth_call", json!([message, "latest"])), "0x");
        let proof = call("eth_getProof", json!([address, [], "latest"]));
        assert_eq!(
            (&proof["balance"], &proof["nonce"]),
            (&json!("0x0"), &json!("0x0"))
        );
    }
    assert!(node.call("evm_mine", None).is_err());
}
