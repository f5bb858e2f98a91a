//! A JSON-RPC client over HTTP, as the commands that talk to a node need one.

use std::{fmt, time::Duration};

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolCall;
use serde_json::{Value, json};

use crate::cli::Failure;

/// Longest wait for an answer: a commit of a large model replays its samples first.
const TIMEOUT: Duration = Duration::from_secs(600);
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of an answer.
const MAX_ANSWER_BYTES: u64 = 256 << 20;

/// Talks to one node.
pub(crate) struct Client {
    agent: ureq::Agent,
    url: String,
}

/// An error a node answered with.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) code: i64,
    pub(crate) message: String,
    pub(crate) data: Value,
}

/// Why a call gave nothing.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The node answered with an error.
    Refused(Refused),
    /// There was no answer.
    Failed(Failure),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the node refuses: {} (code {})", self.message, self.code)
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(refused) => Failure::failed(refused),
            CallError::Failed(failure) => failure,
        }
    }
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        CallError::Failed(failure)
    }
}

impl Client {
    /// Makes a client of the node at a URL.
    pub(crate) fn new(url: &str) -> Result<Client, Failure> {
        if !url.starts_with("http://") {
            return Err(Failure::usage(format!(
                "--rpc {url:?} is no http:// address: this command speaks plain HTTP"
            ))
            .hint("http://127.0.0.1:8545, or a tunnel to a node elsewhere"));
        }
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .http_status_as_error(false)
            .build();
        Ok(Client {
            agent: config.into(),
            url: url.to_owned(),
        })
    }

    /// Calls a method.
    pub(crate) fn call(&self, method: &str, params: Value) -> Result<Value, CallError> {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let sent = self
            .agent
            .post(&self.url)
            .header("content-type", "application/json")
            .send(request.to_string());
        let mut response = sent.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES);
        let body = body
            .read_to_string()
            .map_err(|error| self.unreachable(&error))?;
        let mut answer: Value = serde_json::from_str(&body).map_err(|_| {
            Failure::failed(format!("{} answers {status}, not JSON-RPC", self.url))
                .hint("the address of a node's RPC port")
        })?;
        if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
            return Err(CallError::Refused(Refused {
                code: error["code"].as_i64().unwrap_or_default(),
                message: error["message"].as_str().unwrap_or_default().to_owned(),
                data: error["data"].clone(),
            }));
        }
        Ok(answer["result"].take())
    }

    /// Asks a contract, without a transaction.
    pub(crate) fn ask<C: SolCall>(&self, to: Address, call: &C) -> Result<C::Return, CallError> {
        let data = Bytes::from(call.abi_encode());
        let answer = self.call("eth_call", json!([{"to": to, "input": data}, "latest"]))?;
        let bytes: Bytes = parse(&answer, C::SIGNATURE)?;
        let decoded = C::abi_decode_returns(&bytes);
        Ok(decoded.map_err(|_| Failure::failed(format!("{to} has no {}", C::SIGNATURE)))?)
    }

    /// Waits for a transaction's receipt; a failed transaction is a failure.
    pub(crate) fn wait(&self, hash: B256, seconds: u64) -> Result<Value, Failure> {
        let receipt = poll(seconds, || {
            let receipt = self.call("eth_getTransactionReceipt", json!([hash]))?;
            Ok((!receipt.is_null()).then_some(receipt))
        })?;
        let receipt = receipt.ok_or_else(|| {
            Failure::failed(format!(
                "transaction {hash} is in no block after {seconds} s"
            ))
        })?;
        match receipt["status"] == "0x1" {
            true => Ok(receipt),
            false => Err(Failure::failed(format!("transaction {hash} reverted"))),
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        Failure::failed(format!("cannot reach {}: {error}", self.url))
            .hint("`assay dev` in another terminal, or another --rpc")
    }
}

/// Looks again and again until there is an answer or the time is up.
pub(crate) fn poll<T>(
    seconds: u64,
    mut look: impl FnMut() -> Result<Option<T>, Failure>,
) -> Result<Option<T>, Failure> {
    const PAUSE: Duration = Duration::from_millis(100);
    let tries = seconds.saturating_mul(10).max(1);
    for attempt in 0..tries {
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        if attempt + 1 < tries {
            std::thread::sleep(PAUSE);
        }
    }
    Ok(None)
}

/// Reads a member of an answer.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(
    value: &Value,
    what: &str,
) -> Result<T, Failure> {
    serde_json::from_value(value.clone())
        .map_err(|error| Failure::failed(format!("the node's {what} is {value}: {error}")))
}

/// Reads a quantity of an answer.
pub(crate) fn number(value: &Value, what: &str) -> Result<u64, Failure> {
    let number: U256 = parse(value, what)?;
    u64::try_from(number).map_err(|_| Failure::failed(format!("the node's {what} is {number}")))
}
