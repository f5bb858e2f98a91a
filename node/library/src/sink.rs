//! Fetched models go where uploads go: into the staging folder, verified file by file.

use std::sync::Arc;

use alloy_primitives::B256;
use assay_chain::{Held, ModelError, Models};
use assay_network::{Beginning, ModelFile, Sink, SinkError};
use assay_state::StagingError;

/// Takes a fetched model into the store's staging.
#[derive(Debug)]
pub(crate) struct StagingSink {
    models: Arc<Models>,
    id: B256,
}

impl StagingSink {
    /// Makes a sink for a model.
    pub(crate) const fn new(models: Arc<Models>, id: B256) -> Self {
        Self { models, id }
    }
}

impl Sink for StagingSink {
    fn begin(&mut self, manifest: &[u8]) -> Result<Beginning, SinkError> {
        let (held, progress) = self.models.begin_upload(manifest).map_err(blame)?;
        Ok(Beginning {
            files: files(&held),
            received_bytes: progress.received_bytes,
        })
    }

    fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<u64, SinkError> {
        match self.models.put_chunk(self.id, offset, bytes) {
            Ok(progress) => Ok(progress.received_bytes),
            // Bytes of an earlier attempt: the file begins again.
            Err(ModelError::Staging(StagingError::WrongHash { .. })) => {
                let progress = self.models.store().staging().progress(self.id);
                Ok(progress.map_or(0, |progress| progress.received_bytes))
            }
            Err(ModelError::Staging(StagingError::Offset { wanted, .. })) => Ok(wanted),
            Err(error) => Err(blame(error)),
        }
    }
}

/// Lists the files of a model as the network speaks of them.
pub(crate) fn files(held: &Held) -> Vec<ModelFile> {
    let files = held.manifest.files.iter().map(|file| ModelFile {
        size_bytes: file.size_bytes,
        blake3: file.blake3,
    });
    files.collect()
}

/// Says whether a model is unwanted for good, or this machine failed.
fn blame(error: ModelError) -> SinkError {
    match error {
        ModelError::TooLarge { .. } | ModelError::Manifest(_) => SinkError::Refused(error.into()),
        error => SinkError::Machine(error.into()),
    }
}
