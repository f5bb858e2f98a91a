//! One upload under way: what arrived, hashed file by file, and where it is kept.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
};

use bytes::Bytes;

use super::{Progress, StagedFile, StagingError};

/// Bytes hashed at a time when an upload is taken up again.
const REHASH_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Upload {
    pub(super) head_bytes: u64,
    pub(super) files: Vec<StagedFile>,
    pub(super) progress: Progress,
    /// File that is arriving, how much of it has, and its hash so far.
    pub(super) current: usize,
    pub(super) arrived: u64,
    pub(super) hasher: blake3::Hasher,
    pub(super) sink: Sink,
}

#[derive(Debug)]
pub(super) enum Sink {
    Memory(Vec<u8>),
    Disk(File),
}

impl Upload {
    /// Goes through what an earlier run received; anything that does not fit is cut off.
    pub(super) fn take_up(&mut self, head: &[u8]) -> Result<(), StagingError> {
        let Sink::Disk(file) = &mut self.sink else {
            return self.pass_empty_files();
        };
        let mut found = vec![0; head.len()];
        let whole = file.read_exact(&mut found).is_ok() && found == head;
        if !whole {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(head)?;
        }
        let mut rest = file.try_clone()?;
        rest.seek(SeekFrom::Start(self.head_bytes))?;
        self.pass_empty_files()?;
        let mut chunk = vec![0; REHASH_BYTES];
        loop {
            let left = self.progress.total_bytes - self.progress.received_bytes;
            let most = usize::try_from(left)
                .unwrap_or(REHASH_BYTES)
                .min(REHASH_BYTES);
            let count = rest.read(chunk.get_mut(..most).unwrap_or_default())?;
            let bytes = chunk.get(..count).unwrap_or_default();
            if bytes.is_empty() {
                break;
            }
            match self.account(bytes) {
                Ok(()) => {}
                Err(StagingError::WrongHash { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        self.sink
            .cut(self.head_bytes.saturating_add(self.progress.received_bytes))?;
        Ok(())
    }

    pub(super) fn put(&mut self, offset: u64, chunk: &[u8]) -> Result<(), StagingError> {
        let Progress {
            received_bytes: wanted,
            total_bytes: limit,
        } = self.progress;
        if offset != wanted {
            return Err(StagingError::Offset {
                found: offset,
                wanted,
            });
        }
        let found = offset.saturating_add(chunk.len() as u64);
        if found > limit {
            return Err(StagingError::TooLong { found, limit });
        }
        self.sink.write(chunk)?;
        let accounted = self.account(chunk);
        if accounted.is_err() {
            self.sink
                .cut(self.head_bytes.saturating_add(self.progress.received_bytes))?;
        }
        accounted
    }

    /// Hashes bytes that were written; a file whose hash is wrong counts as not received.
    fn account(&mut self, mut bytes: &[u8]) -> Result<(), StagingError> {
        while !bytes.is_empty() {
            let Some(file) = self.files.get(self.current) else {
                break;
            };
            let wanted = file.size_bytes.saturating_sub(self.arrived);
            let count = usize::try_from(wanted)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            let (part, rest) = bytes.split_at(count);
            self.hasher.update(part);
            self.arrived = self.arrived.saturating_add(count as u64);
            self.progress.received_bytes += count as u64;
            bytes = rest;
            self.end_file()?;
            self.pass_empty_files()?;
        }
        Ok(())
    }

    /// Compares the hash of a file that is whole.
    fn end_file(&mut self) -> Result<(), StagingError> {
        let Some(file) = self.files.get(self.current) else {
            return Ok(());
        };
        if self.arrived < file.size_bytes {
            return Ok(());
        }
        let (found, expected) = (
            self.hasher.finalize(),
            blake3::Hash::from_bytes(file.blake3),
        );
        let arrived = std::mem::take(&mut self.arrived);
        self.hasher.reset();
        if found != expected {
            self.progress.received_bytes -= arrived;
            return Err(StagingError::WrongHash {
                name: file.name.clone(),
                expected,
                found,
            });
        }
        self.current += 1;
        Ok(())
    }

    pub(super) fn pass_empty_files(&mut self) -> Result<(), StagingError> {
        while self
            .files
            .get(self.current)
            .is_some_and(|file| file.size_bytes == 0)
        {
            self.end_file()?;
        }
        Ok(())
    }
}

impl Sink {
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Memory(kept) => {
                kept.extend_from_slice(bytes);
                Ok(())
            }
            Self::Disk(file) => file.write_all(bytes),
        }
    }

    /// Drops everything from a length on.
    pub(super) fn cut(&mut self, length: u64) -> io::Result<()> {
        match self {
            Self::Memory(kept) => {
                kept.truncate(usize::try_from(length).unwrap_or(usize::MAX));
                Ok(())
            }
            Self::Disk(file) => {
                file.set_len(length)?;
                file.seek(SeekFrom::Start(length)).map(|_| ())
            }
        }
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, StagingError> {
        match self {
            Self::Memory(kept) => Ok(Bytes::copy_from_slice(kept)),
            Self::Disk(file) => {
                let mut bytes = Vec::new();
                file.seek(SeekFrom::Start(0))?;
                file.read_to_end(&mut bytes)?;
                Ok(bytes.into())
            }
        }
    }
}
