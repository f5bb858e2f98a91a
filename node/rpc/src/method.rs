//! The table of methods and the dispatcher over it.

use std::{collections::HashMap, sync::LazyLock};

use serde_json::Value;

use crate::{
    Backend, RpcError, anvil, arguments::Arguments, assay, debug, erc20, error::METHOD_NOT_FOUND,
    eth, evm, net, ots, storage_range, testing, trace, txpool, web3,
};

/// What answers a call.
pub(crate) type Handler = fn(&Backend, &mut Arguments) -> Result<Value, RpcError>;

/// How long a method may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// A few reads: answered where the request was read.
    Light,
    /// One message's execution, most often short: answered where the request was read, while a
    /// thread of its own reads on for the others.
    Medium,
    /// Mining, or a walk over many blocks: answered on a thread of its own.
    Heavy,
}

/// One method.
#[derive(Clone, Copy)]
pub(crate) struct Method {
    pub(crate) name: &'static str,
    pub(crate) weight: Weight,
    pub(crate) handler: Handler,
}

/// Makes a method that answers from a few reads.
pub(crate) const fn light(name: &'static str, handler: Handler) -> Method {
    Method {
        name,
        weight: Weight::Light,
        handler,
    }
}

/// Makes a method that executes one message.
pub(crate) const fn medium(name: &'static str, handler: Handler) -> Method {
    Method {
        name,
        weight: Weight::Medium,
        handler,
    }
}

/// Makes a method that mines or walks.
pub(crate) const fn heavy(name: &'static str, handler: Handler) -> Method {
    Method {
        name,
        weight: Weight::Heavy,
        handler,
    }
}

/// Methods every node has.
const COMMON: &[&[Method]] = &[
    eth::chain::METHODS,
    eth::block::METHODS,
    eth::state::METHODS,
    eth::call::METHODS,
    eth::simulate::METHODS,
    eth::logs::METHODS,
    eth::send::METHODS,
    eth::sign::METHODS,
    net::METHODS,
    web3::METHODS,
    txpool::METHODS,
    debug::METHODS,
    storage_range::METHODS,
    trace::METHODS,
    ots::METHODS,
    testing::METHODS,
    assay::models::METHODS,
    assay::upload::METHODS,
    assay::infer::METHODS,
    assay::records::METHODS,
    assay::receipts::METHODS,
    assay::replay::METHODS,
    assay::status::METHODS,
    assay::trace::METHODS,
    assay::votes::METHODS,
];

/// Methods of a developer's node alone.
const DEVELOPER: &[&[Method]] = &[anvil::METHODS, erc20::METHODS, evm::METHODS];

static BY_NAME: LazyLock<HashMap<&'static str, (Method, bool)>> = LazyLock::new(|| {
    let common = COMMON
        .iter()
        .copied()
        .flatten()
        .map(|method| (method.name, (*method, false)));
    let developer = DEVELOPER
        .iter()
        .copied()
        .flatten()
        .map(|method| (method.name, (*method, true)));
    common.chain(developer).collect()
});

/// Lists the methods a backend answers.
pub(crate) fn methods(backend: &Backend) -> Vec<Method> {
    let developer = if backend.dev.is_some() {
        DEVELOPER
    } else {
        &[]
    };
    COMMON
        .iter()
        .chain(developer)
        .copied()
        .flatten()
        .copied()
        .collect()
}

impl Backend {
    /// Answers a call.
    ///
    /// # Errors
    /// With what the client is to be told.
    pub fn call(&self, method: &str, params: Option<Value>) -> Result<Value, RpcError> {
        let found = BY_NAME
            .get(method)
            .filter(|(_, dev)| !dev || self.dev.is_some());
        let Some((found, _)) = found else {
            let message = format!("the method {method} does not exist/is not available");
            return Err(RpcError::new(METHOD_NOT_FOUND, message));
        };
        (found.handler)(self, &mut Arguments::new(params)?)
    }
}
