//! `assay_`: uploads of models, for this node's operator.

use alloy_primitives::{B256, Bytes};
use assay_state::Progress;
use serde_json::{Value, json};

use super::{
    models::CHUNK_BYTES,
    registry::{find_model, models},
};
use crate::{
    Backend, RpcError,
    arguments::Arguments,
    json::quantity,
    method::{Method, heavy, light},
};

pub(crate) const METHODS: &[Method] = &[
    heavy("assay_beginUpload", begin),
    heavy("assay_putChunk", put),
    heavy("assay_commitUpload", commit),
    light("assay_getUpload", get),
    heavy("assay_cancelUpload", cancel),
];

/// Uploads are the operator's alone: whoever else can reach this port must not fill the disk.
fn require_operator(backend: &Backend) -> Result<(), RpcError> {
    match backend.uploads {
        true => Ok(()),
        false => Err(RpcError::server(
            "uploads are off: this node takes models only from its operator, on a loopback \
             address or with --allow-upload",
        )),
    }
}

fn progress(id: B256, progress: Progress) -> Value {
    json!({
        "id": id,
        "received": quantity(progress.received_bytes),
        "size": quantity(progress.total_bytes),
        "chunkSize": quantity(CHUNK_BYTES),
    })
}

/// Begins an upload with the manifest, or says where one goes on.
fn begin(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    require_operator(backend)?;
    let manifest: Bytes = arguments.next()?;
    let models = models(backend)?;
    let (held, state) = models.begin_upload(&manifest)?;
    let mut answer = progress(held.id, state);
    if let (Some(map), true) = (answer.as_object_mut(), models.find(held.id)?.is_some()) {
        models
            .store()
            .staging()
            .cancel(held.id)
            .map_err(assay_chain::ModelError::from)?;
        map.insert("held".into(), true.into());
    }
    Ok(answer)
}

fn put(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    require_operator(backend)?;
    let (id, offset) = (arguments.hash()?, arguments.number()?);
    let chunk: Bytes = arguments.next()?;
    if chunk.len() > CHUNK_BYTES {
        return Err(RpcError::params(format!(
            "chunk has {} bytes, at most {CHUNK_BYTES} a call",
            chunk.len()
        )));
    }
    Ok(progress(
        id,
        models(backend)?.put_chunk(id, offset, &chunk)?,
    ))
}

/// Ends an upload: the model is loaded, its samples replayed; a validator then attests.
fn commit(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    require_operator(backend)?;
    let held = models(backend)?.commit_upload(arguments.hash()?)?;
    if let Some(dev) = &backend.dev {
        dev.model_held(&held)?;
    }
    Ok(json!({"id": held.id, "held": true}))
}

fn get(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let text: String = arguments.next()?;
    let id = find_model(backend, &backend.at(None)?, &text)?;
    let state = models(backend)?.store().staging().progress(id);
    Ok(state.map_or(Value::Null, |state| progress(id, state)))
}

fn cancel(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    require_operator(backend)?;
    let id = arguments.hash()?;
    let cancelled = models(backend)?.store().staging().cancel(id);
    Ok(cancelled.map_err(assay_chain::ModelError::from)?.into())
}
