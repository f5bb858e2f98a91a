//! `net_`: the network as clients see it.

use serde_json::{Value, json};

use crate::{
    Backend, RpcError,
    arguments::Arguments,
    json::quantity,
    method::{Method, light},
};

pub(crate) const METHODS: &[Method] = &[
    light("net_version", version),
    light("eth_networkId", version),
    light("net_listening", listening),
    light("net_peerCount", peer_count),
];

fn version(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    Ok(backend.chain.spec().chain_id.to_string().into())
}

fn listening(_: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    Ok(json!(true))
}

fn peer_count(_: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    Ok(quantity(0_u64))
}
