//! Answers to peers that ask for models. Runs where it may block.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError, TryLockError},
};

use alloy_primitives::B256;
use bytes::Bytes;

use crate::{
    Host,
    config::CHUNK_BYTES_MAX,
    outline::{self, OutlineError},
    wire::{ModelRequest, ModelResponse},
};

/// Bytes of outlines kept, so that a model is not hashed again for each peer.
const OUTLINES_BYTES_MAX: usize = 32 << 20;

/// Answers from what the host holds.
pub(crate) struct Shelf {
    host: Arc<dyn Host>,
    outlines: Mutex<BTreeMap<B256, Bytes>>,
    /// Held while a model is hashed: one at a time.
    hashing: Mutex<()>,
}

/// Why an outline is not made.
#[derive(Debug, thiserror::Error)]
enum OutlineFailure {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Outline(#[from] OutlineError),
}

impl Shelf {
    /// Makes a shelf of what a host holds.
    pub(crate) fn new(host: Arc<dyn Host>) -> Self {
        Self {
            host,
            outlines: Mutex::default(),
            hashing: Mutex::default(),
        }
    }

    /// Answers a request. What this machine cannot read it says it has not.
    pub(crate) fn answer(&self, request: ModelRequest) -> ModelResponse {
        let answered = match request {
            ModelRequest::Has(model) => self.has(model),
            ModelRequest::Outline(model) => self.outline(model),
            ModelRequest::Chunk {
                model,
                offset,
                length,
            } => self.chunk(model, offset, length),
        };
        answered.unwrap_or_else(|error| {
            tracing::error!(%error, ?request, "model asked for by a peer cannot be read");
            ModelResponse::Absent
        })
    }

    fn has(&self, model: B256) -> Result<ModelResponse, OutlineFailure> {
        let Some(held) = self.host.model(model)? else {
            return Ok(ModelResponse::Absent);
        };
        let sizes = held.files.iter().map(|file| file.size_bytes);
        let total = sizes.fold(0, u64::saturating_add);
        Ok(ModelResponse::Data(total.to_le_bytes().to_vec().into()))
    }

    fn chunk(
        &self,
        model: B256,
        offset: u64,
        length: u32,
    ) -> Result<ModelResponse, OutlineFailure> {
        let length = length.min(CHUNK_BYTES_MAX);
        let chunk = self.host.model_chunk(model, offset, length)?;
        Ok(chunk.map_or(ModelResponse::Absent, ModelResponse::Data))
    }

    fn outline(&self, model: B256) -> Result<ModelResponse, OutlineFailure> {
        if let Some(outline) = self.kept(model) {
            return Ok(ModelResponse::Data(outline));
        }
        let _hashing = match self.hashing.try_lock() {
            Ok(hashing) => hashing,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(ModelResponse::Busy),
        };
        let Some(held) = self.host.model(model)? else {
            return Ok(ModelResponse::Absent);
        };
        let missing = || io::Error::new(io::ErrorKind::NotFound, "model went away");
        let outline = outline::write(&held.manifest, &held.files, |offset, length| {
            let chunk = self.host.model_chunk(model, offset, length)?;
            Ok::<_, OutlineFailure>(chunk.ok_or_else(missing)?)
        })?;
        self.keep(model, outline.clone());
        Ok(ModelResponse::Data(outline))
    }

    fn kept(&self, model: B256) -> Option<Bytes> {
        let outlines = self.outlines.lock().unwrap_or_else(PoisonError::into_inner);
        outlines.get(&model).cloned()
    }

    fn keep(&self, model: B256, outline: Bytes) {
        let mut outlines = self.outlines.lock().unwrap_or_else(PoisonError::into_inner);
        let used = outlines.values().map(Bytes::len);
        let used = used.fold(outline.len(), usize::saturating_add);
        if used > OUTLINES_BYTES_MAX {
            outlines.clear();
        }
        outlines.insert(model, outline);
    }
}

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shelf").finish_non_exhaustive()
    }
}
