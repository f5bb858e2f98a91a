//! `assay_`: the validators, and how this node is.

use assay_chain::registry::active_count;
use assay_types::{
    StateView as _, certificate::total_power, contracts::IModelRegistry, validators::set_at,
};
use serde_json::{Value, json};

use super::{
    registry::{ask, models, registry_address},
    votes,
};
use crate::{
    Backend, RpcError,
    arguments::Arguments,
    json::quantity,
    method::{Method, heavy},
};

pub(crate) const METHODS: &[Method] = &[
    heavy("assay_getValidators", validators),
    heavy("assay_status", status),
];

/// Lists the set that decides on the block after the one meant.
fn validators(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let at = backend.at(arguments.optional()?)?;
    registry_address(backend)?;
    let assay = backend.chain.spec().assay.as_ref();
    let contract = assay.map(|assay| assay.validator_set).unwrap_or_default();
    let (state, next) = (at.state()?, at.number.saturating_add(1));
    let set = set_at(next, |slot| state.storage(contract, slot))?;
    let total = total_power(&set);
    let members: Vec<Value> = set
        .iter()
        .map(|one| json!({"account": one.account, "power": quantity(one.power)}))
        .collect();
    Ok(json!({
        "block": quantity(at.number),
        "totalPower": quantity(total),
        "validators": members,
    }))
}

fn status(backend: &Backend, _: &mut Arguments) -> Result<Value, RpcError> {
    let (at, spec) = (backend.at(None)?, backend.chain.spec());
    let mut answer = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "chainId": quantity(spec.chain_id),
        "genesisHash": at.reader.hash(0)?,
        "head": {"number": quantity(at.number), "hash": at.reader.hash(at.number)?},
        "oldestState": quantity(at.reader.first_state()),
        "pool": quantity(backend.pool.len()),
        "dev": backend.dev.is_some(),
        "addresses": spec.assay.as_ref().map(|assay| json!({
            "inference": assay.inference,
            "modelRegistry": assay.model_registry,
            "validatorSet": assay.validator_set,
        })),
    });
    if let (Some(map), Some(preexecution)) = (answer.as_object_mut(), &backend.preexecution) {
        let done = preexecution.counters();
        map.insert(
            "preExecution".into(),
            json!({
                "executed": quantity(done.executed),
                "skipped": quantity(done.skipped),
                "refused": quantity(done.refused),
                "hits": quantity(done.hits),
                "misses": quantity(done.misses),
                "savedMs": quantity(done.saved_us / 1_000),
            }),
        );
    }
    if let (Some(map), Some(voting)) = (answer.as_object_mut(), &backend.votes) {
        map.insert("voting".into(), votes::voting(voting.as_ref()));
    }
    let (Some(map), Ok(models)) = (answer.as_object_mut(), models(backend)) else {
        return Ok(answer);
    };
    let (state, registry) = (at.state()?, registry_address(backend)?);
    let held = models.store().ids().map_err(RpcError::internal)?;
    let results = models.host().result_usage();
    let active_bytes = ask(backend, &at, registry, &IModelRegistry::totalBytesCall {})?;
    let params = spec.assay.as_ref();
    let limit = params.map_or(0, |one| one.total_model_size_limit_bytes);
    map.insert(
        "models".into(),
        json!({
            "active": quantity(active_count(&state, registry)?),
            "activeBytes": quantity(active_bytes),
            "limitBytes": quantity(limit),
            "held": quantity(held.len()),
            "heldBytes": quantity(models.store().total_bytes().map_err(RpcError::internal)?),
            "uploads": backend.uploads,
            "stagingQuota": quantity(models.store().staging().quota_bytes()),
        }),
    );
    map.insert(
        "resultCache".into(),
        json!({
            "entries": quantity(results.entries),
            "bytes": quantity(results.bytes),
            "hits": quantity(results.hits),
            "misses": quantity(results.misses),
        }),
    );
    Ok(answer)
}
