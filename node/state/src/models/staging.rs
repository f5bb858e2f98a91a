//! Uploads under way: bytes arrive in order, each file is verified as soon as it is whole.
//!
//! An upload is named by its model's id and begins with the manifest, so the size and hash of every
//! file are known before its first byte. What was received survives a restart: beginning again goes
//! on where it stopped, after hashing what is there.

mod upload;

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use alloy_primitives::B256;
use bytes::Bytes;

use super::{absent, id_of};
use upload::{Sink, Upload};

/// Bytes all uploads together may take, unless it is set otherwise.
const DEFAULT_QUOTA_BYTES: u64 = 1 << 30;
/// Uploads under way at a time.
const MAX_UPLOADS: usize = 16;
const EXTENSION: &str = "part";

/// One file an upload must bring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedFile {
    /// Its name, for messages.
    pub name: String,
    /// Its size.
    pub size_bytes: u64,
    /// Its BLAKE3 hash.
    pub blake3: [u8; 32],
}

/// How far an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of files received and kept.
    pub received_bytes: u64,
    /// Bytes of all files.
    pub total_bytes: u64,
}

/// Says why bytes were not taken.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// The uploads under way leave no room.
    #[error(
        "upload of {asked} bytes does not fit: {used} of {limit} staging bytes are taken by \
         uploads under way"
    )]
    Quota {
        /// Bytes the upload would take.
        asked: u64,
        /// Bytes taken.
        used: u64,
        /// Most bytes.
        limit: u64,
    },
    /// Too many uploads are under way.
    #[error("{found} uploads are under way, at most {limit}: finish or cancel one")]
    TooMany {
        /// Uploads under way.
        found: usize,
        /// Most uploads.
        limit: usize,
    },
    /// No upload of this model is under way.
    #[error("no upload of model {0} is under way: begin one")]
    Unknown(B256),
    /// The chunk does not follow what was received.
    #[error("chunk offset is {found}, the next byte wanted is {wanted}")]
    Offset {
        /// Offset of the chunk.
        found: u64,
        /// Offset wanted.
        wanted: u64,
    },
    /// More bytes than the files have.
    #[error("chunk ends at byte {found}, the files end at {limit}")]
    TooLong {
        /// End of the chunk.
        found: u64,
        /// End of the files.
        limit: u64,
    },
    /// A file's bytes are not those the manifest commits to; they are dropped.
    #[error("file {name:?} has BLAKE3 {found}, the manifest commits to {expected}: send it again")]
    WrongHash {
        /// The file.
        name: String,
        /// The hash in the manifest.
        expected: blake3::Hash,
        /// The hash of the bytes.
        found: blake3::Hash,
    },
    /// Bytes are missing.
    #[error("{received} of {total} bytes are here")]
    Incomplete {
        /// Bytes received.
        received: u64,
        /// Bytes of all files.
        total: u64,
    },
    /// The disk failed.
    #[error("staging: {0}")]
    Io(#[from] io::Error),
}

/// The uploads under way.
#[derive(Debug)]
pub struct Staging {
    folder: Option<PathBuf>,
    quota_bytes: u64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    open: BTreeMap<B256, Upload>,
    /// Left by an earlier run and not begun again: id and bytes.
    idle: BTreeMap<B256, u64>,
}

impl Default for Staging {
    fn default() -> Self {
        Self {
            folder: None,
            quota_bytes: DEFAULT_QUOTA_BYTES,
            inner: Mutex::default(),
        }
    }
}

impl Staging {
    pub(super) fn open(folder: PathBuf) -> io::Result<Self> {
        let mut idle = BTreeMap::new();
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            match id_of(&path, EXTENSION) {
                Some(id) => {
                    idle.insert(id, fs::metadata(&path)?.len());
                }
                // A bundle that was being written when the process ended.
                None => fs::remove_file(&path)?,
            }
        }
        let inner = Inner {
            idle,
            ..Inner::default()
        };
        Ok(Self {
            folder: Some(folder),
            inner: Mutex::new(inner),
            ..Self::default()
        })
    }

    /// Changes how many bytes all uploads together may take.
    #[must_use]
    pub const fn with_quota(mut self, bytes: u64) -> Self {
        self.quota_bytes = bytes;
        self
    }

    /// Returns how many bytes all uploads together may take.
    #[must_use]
    pub const fn quota_bytes(&self) -> u64 {
        self.quota_bytes
    }

    /// Begins an upload, or goes on with one: `head` is what precedes the files in the bundle.
    ///
    /// # Errors
    /// When there is no room, or the disk fails.
    pub fn begin(
        &self,
        id: B256,
        head: &[u8],
        files: Vec<StagedFile>,
    ) -> Result<Progress, StagingError> {
        let mut inner = self.lock();
        if let Some(upload) = inner.open.get(&id) {
            return Ok(upload.progress);
        }
        if inner.open.len() >= MAX_UPLOADS {
            return Err(StagingError::TooMany {
                found: inner.open.len(),
                limit: MAX_UPLOADS,
            });
        }
        let sizes = files.iter().map(|file| file.size_bytes);
        let total = sizes.fold(0, u64::saturating_add);
        self.make_room(&mut inner, id, total.saturating_add(head.len() as u64))?;
        let upload = self.start(id, head, files, total)?;
        let progress = upload.progress;
        inner.idle.remove(&id);
        inner.open.insert(id, upload);
        Ok(progress)
    }

    /// Takes the next bytes of the files.
    ///
    /// # Errors
    /// When they do not follow what is here, a file's hash is wrong, or the disk fails.
    pub fn put(&self, id: B256, offset: u64, chunk: &[u8]) -> Result<Progress, StagingError> {
        let mut inner = self.lock();
        let upload = inner.open.get_mut(&id).ok_or(StagingError::Unknown(id))?;
        upload.put(offset, chunk)?;
        Ok(upload.progress)
    }

    /// Ends an upload whose bytes are all here and verified, and hands over the bundle.
    ///
    /// # Errors
    /// When bytes are missing, or the disk fails; the upload then goes on.
    pub fn finish(&self, id: B256) -> Result<Bytes, StagingError> {
        let mut inner = self.lock();
        let upload = inner.open.get_mut(&id).ok_or(StagingError::Unknown(id))?;
        let Progress {
            received_bytes: received,
            total_bytes: total,
        } = upload.progress;
        if received != total {
            return Err(StagingError::Incomplete { received, total });
        }
        upload.sink.bytes()
    }

    /// Drops an upload. Returns whether there was one.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn cancel(&self, id: B256) -> Result<bool, StagingError> {
        let mut inner = self.lock();
        let open = inner.open.remove(&id).is_some();
        let idle = inner.idle.remove(&id).is_some();
        self.delete(id)?;
        Ok(open || idle)
    }

    /// Tells how far an upload is; `None` when none is under way.
    #[must_use]
    pub fn progress(&self, id: B256) -> Option<Progress> {
        self.lock().open.get(&id).map(|upload| upload.progress)
    }

    /// Drops leftovers of earlier runs, then refuses, when an upload does not fit.
    fn make_room(&self, inner: &mut Inner, id: B256, asked: u64) -> Result<(), StagingError> {
        let open = inner
            .open
            .values()
            .map(|upload| upload.progress.total_bytes);
        let open = open.fold(0, u64::saturating_add);
        if open.saturating_add(asked) > self.quota_bytes {
            return Err(StagingError::Quota {
                asked,
                used: open,
                limit: self.quota_bytes,
            });
        }
        let mut others: Vec<(B256, u64)> = inner.idle.iter().map(|(k, v)| (*k, *v)).collect();
        others.retain(|(other, _)| *other != id);
        let mut idle = others
            .iter()
            .fold(0_u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
        for (other, bytes) in others {
            if open.saturating_add(idle).saturating_add(asked) <= self.quota_bytes {
                break;
            }
            self.delete(other)?;
            inner.idle.remove(&other);
            idle = idle.saturating_sub(bytes);
        }
        Ok(())
    }

    fn start(
        &self,
        id: B256,
        head: &[u8],
        files: Vec<StagedFile>,
        total_bytes: u64,
    ) -> Result<Upload, StagingError> {
        let sink = match self.path(id) {
            None => Sink::Memory(head.to_vec()),
            Some(path) => {
                let mut options = OpenOptions::new();
                options.read(true).write(true).create(true).truncate(false);
                Sink::Disk(options.open(path)?)
            }
        };
        let mut upload = Upload {
            head_bytes: head.len() as u64,
            files,
            progress: Progress {
                received_bytes: 0,
                total_bytes,
            },
            current: 0,
            arrived: 0,
            hasher: blake3::Hasher::new(),
            sink,
        };
        upload.take_up(head)?;
        Ok(upload)
    }

    fn path(&self, id: B256) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        Some(folder.join(format!("{id}.{EXTENSION}")))
    }

    fn delete(&self, id: B256) -> io::Result<()> {
        match self.path(id) {
            Some(path) => absent(fs::remove_file(path)).map(|_| ()),
            None => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
