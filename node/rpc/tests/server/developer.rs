//! What developers' tools ask of their node.

use serde_json::json;

use crate::node::{ALICE, BOB, CONTRACT, Node};

/// A token: answers the word at keccak256(its first argument, 0).
const TOKEN: &str = "0x6004355f5260405f20545f5260205ff3";

#[test]
fn receipt_of_every_send_is_there_at_once() {
    let node = Node::start();
    for _ in 0..200 {
        let hash = node.send(BOB, "0x1", "0x");
        let receipt = node.call("eth_getTransactionReceipt", json!([hash]));
        assert_eq!(receipt["transactionHash"], hash);
    }
    assert_eq!(node.call("eth_blockNumber", json!([])), "0xc8");
}

#[test]
fn synchronous_send_waits_for_its_block_as_long_as_it_is_told() {
    let node = Node::start();
    node.call("anvil_setAutomine", json!([false]));
    let send = json!({"from": ALICE, "to": BOB, "value": "0x1"});
    let error = node.refuse("eth_sendTransactionSync", json!([send, 1]));
    assert_eq!(error["code"], 4);
    let waiting = node.call("eth_getTransactionByHash", json!([error["data"]]));
    assert_eq!(waiting["blockNumber"], json!(null));
    std::thread::scope(|scope| {
        let sent = scope.spawn(|| node.call("eth_sendTransactionSync", json!([send])));
        // Mines until the send that waits has its block, however late it comes.
        while !sent.is_finished() {
            node.call("evm_mine", json!([]));
        }
        assert_eq!(sent.join().unwrap()["status"], "0x1");
    });
}

#[test]
fn client_names_anvil_for_the_tools_that_look() {
    let node = Node::start();
    let version = node.call("web3_clientVersion", json!([]));
    assert!(version.as_str().unwrap().starts_with("anvil/"), "{version}");
}

#[test]
fn token_balances_and_allowances_are_set_in_their_slots() {
    let node = Node::start();
    node.put_code(TOKEN);
    node.call("anvil_dealERC20", json!([BOB, CONTRACT, "0x2a"]));
    let ask = |selector: &str, owner: &str| {
        let data = format!("0x{selector}{:0>64}", owner.trim_start_matches("0x"));
        node.call(
            "eth_call",
            json!([{"to": CONTRACT, "data": data}, "latest"]),
        )
    };
    assert_eq!(ask("70a08231", BOB), format!("0x{:064x}", 42));
    assert_eq!(ask("70a08231", ALICE), format!("0x{:064x}", 0));
    let allowance = json!([ALICE, BOB, CONTRACT, "0x7"]);
    node.call("anvil_setERC20Allowance", allowance);
    assert_eq!(ask("dd62ed3e", ALICE), format!("0x{:064x}", 7));
    node.put_code("0x5f5ffd");
    let error = node.refuse("anvil_setERC20Balance", json!([BOB, CONTRACT, "0x1"]));
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("no plain ERC-20")
    );
}

#[test]
fn what_a_chain_without_forks_and_blobs_cannot_do_is_refused_in_words() {
    let node = Node::start();
    for (method, params) in [
        ("anvil_setRpcUrl", json!(["http://elsewhere"])),
        ("anvil_setChainId", json!([5])),
        ("anvil_setMinGasPrice", json!(["0x1"])),
        ("anvil_impersonateSignature", json!(["0x00", BOB])),
        (
            "anvil_reset",
            json!([{"forking": {"jsonRpcUrl": "http://elsewhere"}}]),
        ),
    ] {
        let error = node.refuse(method, params);
        let message = error["message"].as_str().unwrap();
        assert!(
            message.len() > 40 && !message.contains("does not exist"),
            "{method}: {message}"
        );
    }
    let hash = format!("0x{:064x}", 1);
    assert!(node.call("anvil_getBlobByHash", json!([hash])).is_null());
}

#[test]
fn every_method_tools_know_answers_to_its_name() {
    let node = Node::start();
    let unknown = |method: &&&str| node.ask(method, json!([]))["error"]["code"] == -32_601;
    let missing: Vec<_> = METHODS.iter().filter(unknown).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Methods that anvil, Hardhat and explorers have, less those that contradict finality or mean nothing
/// on a chain without work and fee tokens.
const METHODS: &[&str] = &[
    "web3_clientVersion",
    "web3_sha3",
    "eth_protocolVersion",
    "eth_chainId",
    "eth_networkId",
    "net_version",
    "eth_hashrate",
    "eth_gasPrice",
    "eth_maxPriorityFeePerGas",
    "eth_blobBaseFee",
    "eth_accounts",
    "eth_requestAccounts",
    "eth_blockNumber",
    "eth_coinbase",
    "eth_getBalance",
    "eth_getAccount",
    "eth_getAccountInfo",
    "eth_getStorageAt",
    "eth_getStorageValues",
    "eth_getBlockByHash",
    "eth_getBlockByNumber",
    "eth_getTransactionCount",
    "eth_getBlockTransactionCountByHash",
    "eth_getBlockTransactionCountByNumber",
    "eth_getUncleCountByBlockHash",
    "eth_getUncleCountByBlockNumber",
    "eth_getCode",
    "eth_getProof",
    "eth_sign",
    "eth_signTransaction",
    "eth_signTypedData",
    "eth_signTypedData_v3",
    "eth_signTypedData_v4",
    "eth_sendTransaction",
    "eth_sendTransactionSync",
    "eth_sendRawTransaction",
    "eth_sendRawTransactionSync",
    "eth_call",
    "eth_simulateV1",
    "eth_createAccessList",
    "eth_estimateGas",
    "eth_fillTransaction",
    "eth_getTransactionByHash",
    "eth_getTransactionByBlockHashAndIndex",
    "eth_getTransactionByBlockNumberAndIndex",
    "eth_getRawTransactionByHash",
    "eth_getRawTransactionByBlockHashAndIndex",
    "eth_getRawTransactionByBlockNumberAndIndex",
    "eth_getTransactionReceipt",
    "eth_getBlockReceipts",
    "eth_getUncleByBlockHashAndIndex",
    "eth_getUncleByBlockNumberAndIndex",
    "eth_getLogs",
    "eth_newFilter",
    "eth_getFilterChanges",
    "eth_newBlockFilter",
    "eth_newPendingTransactionFilter",
    "eth_getFilterLogs",
    "eth_uninstallFilter",
    "eth_feeHistory",
    "eth_syncing",
    "eth_config",
    "eth_sendUnsignedTransaction",
    "eth_getTransactionBySenderAndNonce",
    "net_listening",
    "personal_sign",
    "anvil_getBlobByHash",
    "anvil_getBlobsByTransactionHash",
    "anvil_getGenesisTime",
    "anvil_impersonateAccount",
    "hardhat_impersonateAccount",
    "anvil_stopImpersonatingAccount",
    "hardhat_stopImpersonatingAccount",
    "anvil_autoImpersonateAccount",
    "hardhat_autoImpersonateAccount",
    "anvil_impersonateSignature",
    "anvil_getAutomine",
    "hardhat_getAutomine",
    "anvil_mine",
    "hardhat_mine",
    "anvil_setAutomine",
    "evm_setAutomine",
    "anvil_setIntervalMining",
    "evm_setIntervalMining",
    "anvil_getIntervalMining",
    "anvil_dropTransaction",
    "hardhat_dropTransaction",
    "anvil_dropAllTransactions",
    "hardhat_dropAllTransactions",
    "anvil_reset",
    "hardhat_reset",
    "anvil_setRpcUrl",
    "anvil_setBalance",
    "hardhat_setBalance",
    "tenderly_setBalance",
    "anvil_addBalance",
    "hardhat_addBalance",
    "tenderly_addBalance",
    "anvil_dealERC20",
    "hardhat_dealERC20",
    "anvil_setERC20Balance",
    "anvil_setERC20Allowance",
    "anvil_setCode",
    "hardhat_setCode",
    "anvil_setNonce",
    "hardhat_setNonce",
    "evm_setAccountNonce",
    "anvil_setStorageAt",
    "hardhat_setStorageAt",
    "anvil_setCoinbase",
    "hardhat_setCoinbase",
    "anvil_setChainId",
    "anvil_setLoggingEnabled",
    "hardhat_setLoggingEnabled",
    "anvil_setMinGasPrice",
    "hardhat_setMinGasPrice",
    "anvil_setNextBlockBaseFeePerGas",
    "hardhat_setNextBlockBaseFeePerGas",
    "anvil_setTime",
    "evm_setTime",
    "anvil_dumpState",
    "hardhat_dumpState",
    "anvil_loadState",
    "hardhat_loadState",
    "anvil_nodeInfo",
    "anvil_metadata",
    "hardhat_metadata",
    "anvil_snapshot",
    "evm_snapshot",
    "anvil_revert",
    "anvil_increaseTime",
    "evm_increaseTime",
    "anvil_setNextBlockTimestamp",
    "evm_setNextBlockTimestamp",
    "anvil_setBlockGasLimit",
    "evm_setBlockGasLimit",
    "anvil_setBlockTimestampInterval",
    "anvil_removeBlockTimestampInterval",
    "anvil_mine_detailed",
    "evm_mine_detailed",
    "anvil_removePoolTransactions",
    "debug_getRawTransaction",
    "debug_traceTransaction",
    "debug_traceCall",
    "debug_codeByHash",
    "debug_dbGet",
    "debug_traceBlockByHash",
    "debug_traceBlockByNumber",
    "trace_transaction",
    "trace_block",
    "trace_filter",
    "trace_replayBlockTransactions",
    "evm_mine",
    "txpool_status",
    "txpool_inspect",
    "txpool_content",
    "erigon_getHeaderByNumber",
    "ots_getApiLevel",
    "ots_getInternalOperations",
    "ots_hasCode",
    "ots_traceTransaction",
    "ots_getTransactionError",
    "ots_getBlockDetails",
    "ots_getBlockDetailsByHash",
    "ots_getBlockTransactions",
    "ots_searchTransactionsBefore",
    "ots_searchTransactionsAfter",
    "ots_getTransactionBySenderAndNonce",
    "ots_getContractCreator",
    "trace_replayTransaction",
    "trace_get",
    "trace_call",
    "trace_callMany",
    "trace_rawTransaction",
    "hardhat_setPrevRandao",
    "debug_getRawBlock",
    "debug_getRawHeader",
    "debug_getRawReceipts",
    "debug_traceBlock",
    "txpool_contentFrom",
    "testing_buildBlockV1",
];
