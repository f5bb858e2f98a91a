//! JSON-RPC: what clients ask, answered from the chain service, the pool and the dev driver.
//!
//! ```text
//! HTTP, WebSocket --server--> call(method, params) --> method table --> handler --> JSON
//! ```
//!
//! Each namespace is a table of methods in a file of its own; a handler is a plain function of
//! (backend, arguments). The server is one way in, tests call the same dispatcher. Answers have
//! geth's shapes, errors geth's codes and messages.

mod anvil;
mod arguments;
mod assay;
mod backend;
mod batch;
mod debug;
mod erc20;
mod error;
mod eth;
mod evm;
mod fees;
mod filters;
mod json;
mod method;
mod mined;
mod net;
mod ots;
mod pending;
mod probe;
mod replay;
mod resolve;
mod server;
mod storage_range;
mod testing;
#[cfg(test)]
mod tests;
mod trace;
mod txpool;
mod web3;

pub use backend::{Backend, CallLimits, Promised, Votes};
pub use error::RpcError;
pub use server::{ServerError, ServerOptions, start};
