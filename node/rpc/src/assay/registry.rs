//! What the `assay_` methods ask the chain: the registry and the validator set, by calls that are
//! thrown away, and models by the words people use for them.

use std::sync::Arc;

use alloy_primitives::{Address, B256, TxKind};
use alloy_rpc_types_eth::{TransactionInput, TransactionRequest};
use alloy_sol_types::SolCall;
use assay_chain::{Held, Models};
use assay_types::contracts::IModelRegistry;
use revm::context::result::ExecutionResult;

use crate::{
    Backend, RpcError,
    eth::call::{failure, scene},
    resolve::At,
};

/// Returns where the registry is.
pub(super) fn registry_address(backend: &Backend) -> Result<Address, RpcError> {
    let assay = backend.chain.spec().assay.as_ref();
    assay.map(|assay| assay.model_registry).ok_or_else(|| {
        RpcError::server("this chain has no inference: its genesis lacks config.assay")
    })
}

/// Returns the models of this node.
pub(super) fn models(backend: &Backend) -> Result<&Arc<Models>, RpcError> {
    let models = backend.chain.models();
    models.ok_or_else(|| RpcError::server("this node runs no models"))
}

/// Calls a contract in a state, throws the effects away, and decodes the answer.
pub(super) fn ask<C: SolCall>(
    backend: &Backend,
    at: &At,
    contract: Address,
    call: &C,
) -> Result<C::Return, RpcError> {
    let request = TransactionRequest {
        to: Some(TxKind::Call(contract)),
        input: TransactionInput::new(call.abi_encode().into()),
        ..TransactionRequest::default()
    };
    let scene = scene(backend, &request, at, None, None)?;
    match scene.run(backend)? {
        ExecutionResult::Success { output, .. } => C::abi_decode_returns(output.data())
            .map_err(|_| RpcError::server(format!("{contract} has no {}", C::SIGNATURE))),
        failed => Err(failure(&failed, scene.message.gas_limit)),
    }
}

/// Finds the model that an id, a registry name or a held model's title means.
pub(super) fn find_model(backend: &Backend, at: &At, text: &str) -> Result<B256, RpcError> {
    if let Some(digits) = text.strip_prefix("0x") {
        return match (digits.len(), text.parse()) {
            (64, Ok(id)) => Ok(id),
            _ => Err(RpcError::params(format!(
                "model {text:?} is no id: an id has 64 hexadecimal digits"
            ))),
        };
    }
    if text.contains('/') {
        let registry = registry_address(backend)?;
        let name = text.to_owned();
        let found = ask(backend, at, registry, &IModelRegistry::resolveCall { name })?;
        return match found.model.is_zero() {
            false => Ok(found.model),
            true => Err(RpcError::server(format!(
                "the name {text:?} has no model yet"
            ))),
        };
    }
    by_title(&models(backend)?.list()?, text)
}

/// Finds a held model by its manifest's name, with or without its version.
fn by_title(held: &[Held], text: &str) -> Result<B256, RpcError> {
    let named = |held: &&Held| held.manifest.name == text || held.title() == text;
    let found: Vec<&Held> = held.iter().filter(named).collect();
    match found.as_slice() {
        [one] => Ok(one.id),
        [] => Err(RpcError::server(format!(
            "no model is called {text:?} here: give an id, owner/name, or a title of assay_listModels"
        ))),
        [first, second, ..] => Err(RpcError::server(format!(
            "{text:?} may mean {} or {}: give an id",
            first.id, second.id
        ))),
    }
}
