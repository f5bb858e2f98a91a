//! The model store: bundles by model id, on disk or in memory, and uploads that are under way.
//!
//! Layout below the data directory: `models/<id>.assay` for what is held, `models/staging/<id>.part`
//! for what arrives. A bundle appears under its name only when it is whole and on the disk: it is
//! written beside, synced, then renamed. Whoever opens a bundle verifies it; the store does not.
//!
//! Bytes are read, not memory-mapped: a mapped file that is cut or changed under the process would
//! end it, or change a model after it was verified (adr/0020).

mod staging;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use alloy_primitives::B256;
use bytes::Bytes;

pub use staging::{Progress, StagedFile, Staging, StagingError};

const FOLDER: &str = "models";
const STAGING_FOLDER: &str = "staging";
const EXTENSION: &str = "assay";
const DAMAGED_EXTENSION: &str = "damaged";

/// Keeps bundles by model id.
#[derive(Debug, Default)]
pub struct ModelStore {
    folder: Option<PathBuf>,
    memory: RwLock<BTreeMap<B256, Bytes>>,
    staging: Staging,
}

impl ModelStore {
    /// Opens the store below a data directory, making its folders when they are missing.
    ///
    /// # Errors
    /// When the folders cannot be made or read.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let folder = directory.join(FOLDER);
        let staging = folder.join(STAGING_FOLDER);
        fs::create_dir_all(&staging)?;
        Ok(Self {
            staging: Staging::open(staging)?,
            folder: Some(folder),
            memory: RwLock::default(),
        })
    }

    /// Makes an empty store that lives in memory only.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// Changes how many bytes the uploads under way may take.
    #[must_use]
    pub fn with_staging_quota(mut self, bytes: u64) -> Self {
        self.staging = self.staging.with_quota(bytes);
        self
    }

    /// Returns the uploads under way.
    pub const fn staging(&self) -> &Staging {
        &self.staging
    }

    /// Keeps a bundle in memory, for those that are part of the program.
    pub fn pin(&self, id: B256, bundle: Bytes) {
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        memory.insert(id, bundle);
    }

    /// Keeps a bundle; after a crash it is there as a whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn insert(&self, id: B256, bundle: Bytes) -> io::Result<()> {
        let Some(folder) = &self.folder else {
            self.pin(id, bundle);
            return Ok(());
        };
        let temporary = folder.join(STAGING_FOLDER).join(format!("{id}.new"));
        let mut file = File::create(&temporary)?;
        file.write_all(&bundle)?;
        file.sync_all()?;
        fs::rename(&temporary, file_of(folder, id))?;
        // The name itself must survive, too.
        File::open(folder)?.sync_all()
    }

    /// Puts a bundle that is not what its name says beside the others, so that it is here no more;
    /// its bytes stay for whoever looks into it.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn set_aside(&self, id: B256) -> io::Result<()> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let kept = folder.join(format!("{id}.{DAMAGED_EXTENSION}"));
        absent(fs::rename(file_of(folder, id), kept)).map(|_| ())
    }

    /// Tells how many bytes a bundle has; `None` when it is not here.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn size_bytes(&self, id: B256) -> io::Result<Option<u64>> {
        if let Some(bundle) = self.pinned(id) {
            return Ok(Some(bundle.len() as u64));
        }
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        absent(fs::metadata(file_of(folder, id)).map(|meta| meta.len()))
    }

    /// Sums the bytes of all bundles here.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn total_bytes(&self) -> io::Result<u64> {
        let mut sizes = self.ids()?.into_iter().map(|id| self.size_bytes(id));
        sizes.try_fold(0_u64, |sum, size| {
            Ok(sum.saturating_add(size?.unwrap_or_default()))
        })
    }

    /// Reads a bundle; `None` when it is not here.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn get(&self, id: B256) -> io::Result<Option<Bytes>> {
        if let Some(bundle) = self.pinned(id) {
            return Ok(Some(bundle));
        }
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        Ok(absent(fs::read(file_of(folder, id)))?.map(Bytes::from))
    }

    /// Reads up to `length` bytes of a bundle from an offset; `None` when it is not here.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn read(&self, id: B256, offset: u64, length: usize) -> io::Result<Option<Bytes>> {
        if let Some(bundle) = self.pinned(id) {
            let first = usize::try_from(offset)
                .unwrap_or(usize::MAX)
                .min(bundle.len());
            let last = first.saturating_add(length).min(bundle.len());
            return Ok(Some(bundle.slice(first..last)));
        }
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        let Some(mut file) = absent(File::open(file_of(folder, id)))? else {
            return Ok(None);
        };
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(length as u64).read_to_end(&mut bytes)?;
        Ok(Some(bytes.into()))
    }

    /// Lists the models that are here, by id.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn ids(&self) -> io::Result<Vec<B256>> {
        let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
        let mut ids: Vec<B256> = memory.keys().copied().collect();
        drop(memory);
        if let Some(folder) = &self.folder {
            for entry in fs::read_dir(folder)? {
                ids.extend(id_of(&entry?.path(), EXTENSION));
            }
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    fn pinned(&self, id: B256) -> Option<Bytes> {
        let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
        memory.get(&id).cloned()
    }
}

fn file_of(folder: &Path, id: B256) -> PathBuf {
    folder.join(format!("{id}.{EXTENSION}"))
}

/// Reads the id in a file's name.
fn id_of(path: &Path, extension: &str) -> Option<B256> {
    if path.extension()? != extension {
        return None;
    }
    path.file_stem()?.to_str()?.parse().ok()
}

/// Turns a missing file into none.
fn absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
