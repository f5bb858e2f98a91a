//! JSON-RPC over the real server: what a client sees on the wire.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod batch;
mod debug;
mod developer;
mod ethereum;
mod inference;
mod limits;
mod node;
mod otterscan;
mod pending;
mod sign;
mod subscription;
mod trace;
