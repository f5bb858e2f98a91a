//! `assay_`: which models there are, what they are, and their bytes.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::SolEvent as _;
use assay_chain::{Held, registry as stored};
use assay_precompile::{abi::IInference, registry::Status};
use assay_state::LogQuery;
use assay_types::contracts::{IModelRegistry, IValidatorSet};
use serde_json::{Value, json};

use super::registry::{ask, find_model, models, registry_address};
use crate::{
    Backend, RpcError,
    arguments::Arguments,
    json::{quantity, value},
    method::{Method, heavy},
    resolve::At,
};

/// Bytes of one chunk of a download or upload.
pub(super) const CHUNK_BYTES: usize = 1 << 20;
/// Models one list names.
const MAX_LISTED: u64 = 1_000;

pub(crate) const METHODS: &[Method] = &[
    heavy("assay_listModels", list),
    heavy("assay_getModel", get),
    heavy("assay_downloadModel", download),
];

/// Lists the models the registry holds active, in order, then those only this node holds.
fn list(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let first = arguments.optional_number()?.unwrap_or_default();
    let at = backend.at(None)?;
    let (state, registry) = (at.state()?, registry_address(backend)?);
    let held = models(backend)?.list()?;
    let mut ids = stored::active_models(&state, registry, first, MAX_LISTED)?;
    let active: BTreeSet<B256> = ids.iter().copied().collect();
    if first == 0 {
        ids.extend(
            held.iter()
                .map(|held| held.id)
                .filter(|id| !active.contains(id)),
        );
    }
    let entries = ids.into_iter().map(|id| {
        let own = held.iter().find(|held| held.id == id);
        summary(backend, &at, id, own)
    });
    Ok(entries.collect::<Result<Vec<_>, _>>()?.into())
}

/// Writes what one line says of a model.
fn summary(backend: &Backend, at: &At, id: B256, held: Option<&Held>) -> Result<Value, RpcError> {
    let registry = registry_address(backend)?;
    let state = at.state()?;
    let record = stored::record(&state, registry, id)?;
    let status = record.status(at.number.saturating_add(u64::from(at.pending.is_some())));
    let gas = match (status, held) {
        (Status::Active, Some(held)) if !held.manifest.schema.features.is_empty() => {
            Some(predict_gas(backend, at, id)?)
        }
        _ => None,
    };
    Ok(json!({
        "id": id,
        "name": held.map(|held| &held.manifest.name),
        "version": held.map(|held| &held.manifest.version),
        "status": status_name(status),
        "deprecated": record.deprecated,
        "size": quantity(held.map_or(record.size_bytes, Held::size_bytes)),
        "held": held.is_some(),
        "gas": gas,
    }))
}

/// Quotes one row: gas of a warm call, and what the first touch in a transaction adds.
pub(super) fn predict_gas(backend: &Backend, at: &At, id: B256) -> Result<Value, RpcError> {
    let assay = backend.chain.spec().assay.as_ref();
    let precompile = assay.map(|assay| assay.inference).unwrap_or_default();
    let call = IInference::quotePredictCall {
        model: id,
        rows: alloy_primitives::U256::from(1),
    };
    let quote = ask(backend, at, precompile, &call)?;
    Ok(json!({"predict": quantity(quote.gas), "coldExtra": quantity(quote.coldExtra)}))
}

/// Names a status as JSON-RPC shows it.
pub(super) const fn status_name(status: Status) -> &'static str {
    match status {
        Status::Unknown => "unknown",
        Status::Pending => "pending",
        Status::Scheduled => "scheduled",
        Status::Active => "active",
        Status::Suspended => "suspended",
    }
}

/// Describes a model: registry, manifest, gas, who holds it.
fn get(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let text: String = arguments.next()?;
    let at = backend.at(arguments.optional()?)?;
    let id = find_model(backend, &at, &text)?;
    let (state, registry) = (at.state()?, registry_address(backend)?);
    let height = at.number.saturating_add(u64::from(at.pending.is_some()));
    let record = stored::record(&state, registry, id)?;
    let status = record.status(height);
    let held = models(backend)?.find(id)?;
    if held.is_none() && status == Status::Unknown {
        return Err(RpcError::server(format!(
            "no model {id}: neither registered nor held here"
        )));
    }
    let entry = ask(
        backend,
        &at,
        registry,
        &IModelRegistry::entryCall { model: id },
    )?;
    let mut answer = summary(backend, &at, id, held.as_ref())?;
    let Some(map) = answer.as_object_mut() else {
        return Err(RpcError::internal("summary is no object"));
    };
    map.insert(
        "activationHeight".into(),
        quantity(record.activation_height),
    );
    map.insert("names".into(), names(&at, registry, id)?.into());
    if let Some(held) = &held {
        let summary = held.summary();
        let registered = stored::is_registered(&state, registry, summary.key(id))?;
        map.insert("registered".into(), registered.into());
        map.insert("publisher".into(), value(&held.publisher())?);
        map.insert("schemaHash".into(), value(&summary.schemaHash)?);
        map.insert("holders".into(), value(&holders(backend, &at, held)?)?);
        let bytes = held.manifest.encode();
        let manifest = serde_json::from_slice(&bytes).map_err(RpcError::internal)?;
        map.insert("manifest".into(), manifest);
        map.insert("manifestBytes".into(), value(&Bytes::from(bytes))?);
    } else {
        map.insert("registered".into(), true.into());
        map.insert("publisher".into(), value(&entry.publisher)?);
        map.insert("schemaHash".into(), value(&entry.schemaHash)?);
    }
    map.insert("owner".into(), value(&entry.owner)?);
    Ok(answer)
}

/// Lists the validators that attested to a model.
fn holders(backend: &Backend, at: &At, held: &Held) -> Result<Vec<Address>, RpcError> {
    let Some(assay) = &backend.chain.spec().assay else {
        return Ok(Vec::new());
    };
    let validators = ask(
        backend,
        at,
        assay.validator_set,
        &IValidatorSet::validatorsCall {},
    )?;
    let (state, key) = (at.state()?, held.summary().key(held.id));
    let mut holders = Vec::new();
    for validator in validators {
        if stored::has_attested(&state, assay.model_registry, key, validator.account)? {
            holders.push(validator.account);
        }
    }
    Ok(holders)
}

/// Lists the names that were published for a model.
fn names(at: &At, registry: Address, id: B256) -> Result<Vec<Value>, RpcError> {
    let mut query = LogQuery::default();
    query.addresses.insert(registry);
    query.topics[0].insert(IModelRegistry::NamePublished::SIGNATURE_HASH);
    query.topics[2].insert(id);
    let mut names = Vec::new();
    for number in at.reader.blocks_with_logs(&query, 0, at.number)? {
        let receipts = at.reader.receipts(number)?.unwrap_or_default();
        let logs = receipts.iter().flat_map(|receipt| receipt.logs());
        for log in logs.filter(|log| query.matches(log)) {
            if let Ok(event) = IModelRegistry::NamePublished::decode_log_data(&log.data) {
                names.push(json!({
                    "name": event.name,
                    "version": quantity(event.version),
                    "effectiveAt": quantity(event.effectiveAt),
                }));
            }
        }
    }
    Ok(names)
}

/// Reads a chunk of a model's bundle.
fn download(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let text: String = arguments.next()?;
    let offset = arguments.optional_number()?.unwrap_or_default();
    let length = arguments.optional_number()?.unwrap_or(CHUNK_BYTES as u64);
    if length > CHUNK_BYTES as u64 {
        return Err(RpcError::params(format!(
            "length is {length}, at most {CHUNK_BYTES} bytes a call"
        )));
    }
    let id = find_model(backend, &backend.at(None)?, &text)?;
    let store = models(backend)?.store();
    let missing = || RpcError::from(assay_chain::ModelError::NotHeld(id));
    let size = store
        .size_bytes(id)
        .map_err(RpcError::internal)?
        .ok_or_else(missing)?;
    let length = usize::try_from(length).unwrap_or(CHUNK_BYTES);
    let chunk = store.read(id, offset, length).map_err(RpcError::internal)?;
    let chunk: Bytes = chunk.ok_or_else(missing)?.into();
    Ok(json!({"id": id, "size": quantity(size), "offset": quantity(offset), "data": chunk}))
}
