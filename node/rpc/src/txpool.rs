//! `txpool_`: what waits for a block.

use alloy_consensus::Transaction as _;
use alloy_primitives::Address;
use assay_pool::{Content, Waiting};
use serde_json::{Map, Value, json};

use crate::{
    Backend, RpcError,
    arguments::Arguments,
    json::{pending_transaction, quantity},
    method::{Method, heavy, light},
};

pub(crate) const METHODS: &[Method] = &[
    light("txpool_status", status),
    heavy("txpool_content", content),
    heavy("txpool_contentFrom", content_from),
    heavy("txpool_inspect", inspect),
];

fn status(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    let (pending, queued) = backend.pool.content();
    let count = |content: &Content| content.values().map(|nonces| nonces.len()).sum::<usize>();
    Ok(json!({"pending": quantity(count(&pending)), "queued": quantity(count(&queued))}))
}

fn content(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    list(backend, |waiting| {
        pending_transaction(&waiting.transaction, waiting.sender)
    })
}

fn inspect(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    list(backend, |waiting| {
        let tx = &waiting.transaction;
        let to = tx
            .to()
            .map_or_else(|| "contract creation".into(), |to| to.to_string());
        let (value, gas, price) = (tx.value(), tx.gas_limit(), tx.max_fee_per_gas());
        Ok(format!("{to}: {value} wei + {gas} gas × {price} wei").into())
    })
}

fn content_from(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let sender: Address = arguments.next()?;
    let (pending, queued) = backend.pool.content();
    let of = |content: &Content| -> Result<Value, RpcError> {
        let mut map = Map::new();
        for (nonce, waiting) in content.get(&sender).into_iter().flatten() {
            map.insert(
                nonce.to_string(),
                pending_transaction(&waiting.transaction, sender)?,
            );
        }
        Ok(map.into())
    };
    Ok(json!({"pending": of(&pending)?, "queued": of(&queued)?}))
}

fn list(
    backend: &Backend,
    show: impl Fn(&Waiting) -> Result<Value, RpcError>,
) -> Result<Value, RpcError> {
    let (pending, queued) = backend.pool.content();
    let all = |content: &Content| -> Result<Value, RpcError> {
        let mut senders = Map::new();
        for (sender, waiting) in content {
            let mut nonces = Map::new();
            for (nonce, waiting) in waiting {
                nonces.insert(nonce.to_string(), show(waiting)?);
            }
            senders.insert(sender.to_string(), nonces.into());
        }
        Ok(senders.into())
    };
    Ok(json!({"pending": all(&pending)?, "queued": all(&queued)?}))
}
