//! A database in a temporary file that ends with the process: memory stays flat while a chain grows.

use std::io;

use redb::{Database, StorageBackend, backends::FileBackend};

use crate::StateError;

/// Keeps a database in a file without a name. Nothing outlives the process, so nothing is forced to the disk.
#[derive(Debug)]
struct Scratch(FileBackend);

impl StorageBackend for Scratch {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}

/// Makes an empty database in a temporary file, which the system removes with the process.
pub(crate) fn create(cache_bytes: usize) -> Result<Database, StateError> {
    let file = tempfile::tempfile().map_err(|source| StateError::Directory {
        path: std::env::temp_dir(),
        source,
    })?;
    let backend = Scratch(FileBackend::new(file)?);
    Ok(Database::builder()
        .set_cache_size(cache_bytes)
        .create_with_backend(backend)?)
}
