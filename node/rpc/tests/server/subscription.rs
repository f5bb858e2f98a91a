//! Subscriptions over WebSocket, and filters that are asked again.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use serde_json::{Value, json};

use crate::node::{BOB, CONTRACT, Node};

/// Logs without topics and data.
const LOGGER: &str = "0x5f5fa0";

/// The least of a WebSocket client: short text messages, one after another.
struct Socket(TcpStream);

impl Socket {
    fn open(node: &Node) -> Self {
        let mut stream = TcpStream::connect(node.address()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let request = "GET / HTTP/1.1\r\nHost: node\r\nUpgrade: websocket\r\n\
                       Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
                       Sec-WebSocket-Version: 13\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        assert!(head.starts_with(b"HTTP/1.1 101"));
        Self(stream)
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        let length = u8::try_from(text.len()).unwrap();
        // A masked text frame whose mask is zero: the text stays as it is.
        let mut frame = match length {
            0..126 => vec![0x81, 0x80 | length],
            _ => vec![0x81, 0x80 | 126, 0, length],
        };
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        self.0.write_all(&frame).unwrap();
    }

    fn receive(&mut self) -> Value {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).unwrap();
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                self.0.read_exact(&mut length).unwrap();
                usize::from(u16::from_be_bytes(length))
            }
            short => usize::from(short),
        };
        let mut text = vec![0; length];
        self.0.read_exact(&mut text).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    fn subscribe(&mut self, params: Value) {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe",
                             "params": params});
        self.send(&request);
        let answer = self.receive();
        assert!(answer["result"].is_string(), "{answer}");
    }

    fn news(&mut self) -> Value {
        self.receive()["params"]["result"].take()
    }
}

#[test]
fn subscribers_hear_of_blocks_logs_and_waiting_transactions() {
    let node = Node::start();
    node.put_code(LOGGER);
    let (mut heads, mut logs, mut waiting) = (
        Socket::open(&node),
        Socket::open(&node),
        Socket::open(&node),
    );
    heads.subscribe(json!(["newHeads"]));
    logs.subscribe(json!(["logs", {"address": CONTRACT}]));
    waiting.subscribe(json!(["newPendingTransactions"]));
    node.call("anvil_setAutomine", json!([false]));
    let hash = node.send(CONTRACT, "0x0", "0x");
    // Told before the block: none exists yet.
    assert_eq!(waiting.news(), hash);
    node.call("evm_mine", json!([]));
    let head = heads.news();
    assert_eq!(head["number"], "0x1");
    let log = logs.news();
    assert_eq!(
        (&log["transactionHash"], &log["blockHash"]),
        (&hash, &head["hash"])
    );
}

#[test]
fn filters_tell_what_is_new_once() {
    let node = Node::start();
    let blocks = node.call("eth_newBlockFilter", json!([]));
    let waiting = node.call("eth_newPendingTransactionFilter", json!([]));
    node.call("anvil_setAutomine", json!([false]));
    let hash = node.send(BOB, "0x1", "0x");
    let changes = |id: &Value| node.call("eth_getFilterChanges", json!([id]));
    assert_eq!(changes(&waiting), json!([hash]));
    assert_eq!(changes(&blocks), json!([]));
    node.call("evm_mine", json!([]));
    assert_eq!(changes(&blocks).as_array().unwrap().len(), 1);
    assert_eq!(
        (changes(&blocks), changes(&waiting)),
        (json!([]), json!([]))
    );
    node.call("eth_uninstallFilter", json!([blocks]));
    let error = node.refuse("eth_getFilterChanges", json!([blocks]));
    assert_eq!(error["message"], "filter not found");
}
