//! `web3_`: what this program is.

use alloy_primitives::{Bytes, keccak256};
use serde_json::Value;

use crate::{
    Backend, RpcError,
    arguments::Arguments,
    json::value,
    method::{Method, light},
};

/// hardhat-network-helpers refuse every node but their own and anvil, so a developer's node names
/// anvil first and itself after it.
const DEV_VERSION: &str = concat!("anvil/v1.7.1/assay/v", env!("CARGO_PKG_VERSION"));
const VERSION: &str = concat!("assay/v", env!("CARGO_PKG_VERSION"));

pub(crate) const METHODS: &[Method] = &[
    light("web3_clientVersion", client_version),
    light("web3_sha3", sha3),
];

pub(crate) fn client_version(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    Ok(if backend.dev.is_some() {
        DEV_VERSION
    } else {
        VERSION
    }
    .into())
}

fn sha3(_: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    value(&keccak256(arguments.next::<Bytes>()?))
}
