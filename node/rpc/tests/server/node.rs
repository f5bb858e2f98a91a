//! A developer's node on a port of its own, and the least of an HTTP client.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use alloy_primitives::U256;
use assay_chain::{Chain, Models};
use assay_dev::{Accounts, DEFAULT_MNEMONIC, Dev, DevGenesis, dev_params, pin_examples};
use assay_pool::Pool;
use assay_rpc::{Backend, CallLimits, ServerOptions, start};
use assay_runtime::Limits as ModelLimits;
use assay_state::{ModelStore, Store};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

pub(crate) const ALICE: &str = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
pub(crate) const BOB: &str = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8";
/// An account without a key, where tests put code.
pub(crate) const CONTRACT: &str = "0x00000000000000000000000000000000000c0de0";

/// A node that answers until it is dropped.
pub(crate) struct Node {
    address: SocketAddr,
    _runtime: Runtime,
}

impl Node {
    /// Starts a node with the usual limits.
    pub(crate) fn start() -> Self {
        Self::with_limits(CallLimits::default(), |_| ())
    }

    /// Starts a node with limits of the test's own.
    pub(crate) fn with_limits(limits: CallLimits, server: impl FnOnce(&mut ServerOptions)) -> Self {
        let chain = chain(DevGenesis::default());
        Self::serve(chain, limits, server)
    }

    /// Starts a node whose chain has the trained example models.
    pub(crate) fn with_examples() -> Self {
        let models = Models::new(
            ModelStore::in_memory(),
            ModelLimits::default(),
            dev_params(),
        );
        let chain = chain(DevGenesis {
            models: pin_examples(&models).unwrap(),
            validator: accounts().validator(),
            ..DevGenesis::default()
        });
        let chain = chain.with_models(Arc::new(models));
        Self::serve(chain, CallLimits::default(), |_| ())
    }

    fn serve(chain: Chain, limits: CallLimits, server: impl FnOnce(&mut ServerOptions)) -> Self {
        let dev = Dev::new(Arc::new(chain), Arc::new(Pool::default()), accounts());
        let backend = Arc::new(Backend::with_dev(Arc::new(dev), limits));
        let mut options = ServerOptions::new(SocketAddr::from(([127, 0, 0, 1], 0)));
        server(&mut options);
        let runtime = Runtime::new().unwrap();
        let (address, handle) = runtime.block_on(start(backend, options)).unwrap();
        runtime.spawn(handle.stopped());
        Self {
            address,
            _runtime: runtime,
        }
    }

    /// Returns where the node listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Posts a body and returns the status and what came back.
    pub(crate) fn post(&self, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: node\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        // A server that refuses a long body may close before it has read all of it.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }

    /// Asks and returns the whole answer.
    pub(crate) fn ask(&self, method: &str, params: Value) -> Value {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        serde_json::from_str(&self.post(&request.to_string()).1).unwrap()
    }

    /// Asks for a result.
    pub(crate) fn call(&self, method: &str, params: Value) -> Value {
        let mut answer = self.ask(method, params);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    /// Asks for an error.
    pub(crate) fn refuse(&self, method: &str, params: Value) -> Value {
        let mut answer = self.ask(method, params);
        assert!(answer.get("result").is_none(), "{method}: {answer}");
        answer["error"].take()
    }

    /// Puts code at [`CONTRACT`].
    pub(crate) fn put_code(&self, code: &str) {
        self.call("anvil_setCode", json!([CONTRACT, code]));
    }

    /// Sends a transaction of Alice's and returns its hash.
    pub(crate) fn send(&self, to: &str, value: &str, data: &str) -> Value {
        let transaction = json!({"from": ALICE, "to": to, "value": value, "data": data});
        self.call("eth_sendTransaction", json!([transaction]))
    }

    /// Deploys code and returns the contract's address and the transaction.
    pub(crate) fn deploy(&self, code: &str) -> (Value, Value) {
        let transaction = json!([{"from": ALICE, "data": code}]);
        let receipt = self.call("eth_sendTransactionSync", transaction);
        (
            receipt["contractAddress"].clone(),
            receipt["transactionHash"].clone(),
        )
    }
}

fn accounts() -> Accounts {
    Accounts::derive(DEFAULT_MNEMONIC, 2).unwrap()
}

fn chain(genesis: DevGenesis) -> Chain {
    let balance = U256::from(10_u64.pow(18)) * U256::from(100);
    let rich = accounts().addresses().into_iter();
    let genesis = DevGenesis {
        accounts: rich.map(|address| (address, balance)).collect(),
        ..genesis
    };
    Chain::open(&genesis.build().unwrap(), Store::in_memory().unwrap()).unwrap()
}

/// Code that pays one wei on to an account and stops.
pub(crate) fn forwarder(to: &str) -> String {
    format!("0x5f5f5f5f600173{}5af100", to.trim_start_matches("0x"))
}
