//! The log of what a key signed, written before anything is signed.
//!
//! A file of its own, apart from the chain's data: a mark with the version, then entries in the order
//! they were signed. It is cut to the newest height when it grows.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use alloy_primitives::{B256, keccak256};

use super::SignError;

/// First bytes of the log.
const MARK: [u8; 8] = *b"ASSAYSIG";
/// Version of the log that this program writes and reads.
const VERSION: u32 = 1;
/// Bytes of the mark and the version.
const HEAD_BYTES: usize = 8 + 4;
/// Bytes of an entry in the log: height, round, step, digest, block, and a checksum of them.
const ENTRY_BYTES: usize = 8 + 4 + 1 + 32 + 32 + 4;
/// Bytes of the log after which it is written anew with the newest height alone.
const COMPACT_BYTES: u64 = 1 << 20;

/// Where a validator's log of signatures lies.
#[derive(Debug, Clone)]
pub struct KeyFile(PathBuf);

/// A place in the protocol where one thing may be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) round: u32,
    pub(super) step: u8,
}

/// What was signed at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) digest: B256,
    /// The block; zero for none.
    pub(super) block: B256,
}

/// What was signed at the newest height, kept on disk before it is signed.
#[derive(Debug)]
pub struct LastSigned {
    log: File,
    path: PathBuf,
    height: u64,
    signed: BTreeMap<Place, Said>,
    pub(super) length: u64,
}

impl KeyFile {
    /// Names the log of a key's signatures.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Opens the log, making it when it is missing.
    ///
    /// # Errors
    /// When it cannot be used, or is damaged.
    pub fn open(&self) -> Result<LastSigned, SignError> {
        LastSigned::open(&self.0)
    }
}

impl LastSigned {
    pub(super) fn open(path: &Path) -> Result<Self, SignError> {
        let failed = |source| SignError::Log {
            path: path.into(),
            source,
        };
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        let mut log = options.open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        log.read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() < HEAD_BYTES && head().starts_with(&bytes) {
            // New, or the process died while it made the file: nothing was signed yet.
            log.set_len(0).map_err(failed)?;
            log.write_all(&head()).map_err(failed)?;
            log.sync_all().map_err(failed)?;
            sync_folder(path).map_err(failed)?;
            bytes = head().to_vec();
        }
        let entries = check_head(path, &bytes)?;
        let mut last = Self {
            log,
            path: path.into(),
            height: 0,
            signed: BTreeMap::new(),
            length: bytes.len() as u64,
        };
        let (entries, torn) = entries.as_chunks::<ENTRY_BYTES>();
        for (index, entry) in entries.iter().enumerate() {
            let (height, place, said) = decode(entry).ok_or_else(|| SignError::Damaged {
                path: path.into(),
                entry: index,
            })?;
            last.note(height, place, said);
        }
        if !torn.is_empty() {
            // The process died while it wrote an entry; nothing was signed for it yet.
            let whole = bytes.len().saturating_sub(torn.len()) as u64;
            last.log.set_len(whole).map_err(failed)?;
            last.length = whole;
        }
        Ok(last)
    }

    /// Returns the newest height something was signed at.
    #[must_use]
    pub const fn height(&self) -> u64 {
        self.height
    }

    /// Tells what was signed at a place of the newest height.
    pub(super) fn said(&self, height: u64, round: u32, step: u8) -> Option<Said> {
        let signed = self.signed.get(&Place { round, step });
        signed.copied().filter(|_| height == self.height)
    }

    /// Allows a digest at a place, once it is on disk.
    pub(super) fn allow(
        &mut self,
        height: u64,
        round: u32,
        step: u8,
        said: Said,
    ) -> Result<(), SignError> {
        let place = Place { round, step };
        let refuse = |what| SignError::SignedBefore {
            height,
            round,
            what,
            last: self.height,
        };
        if height < self.height {
            return Err(refuse("at a later height"));
        }
        if height == self.height {
            // The engine's log replays a height: what was signed is signed again, nothing else is.
            match self.signed.get(&place) {
                Some(before) if *before == said => return Ok(()),
                Some(_) => return Err(refuse("another message")),
                None => {}
            }
        }
        self.write(height, place, said)
            .map_err(|source| SignError::Log {
                path: self.path.clone(),
                source,
            })?;
        self.note(height, place, said);
        Ok(())
    }

    fn write(&mut self, height: u64, place: Place, said: Said) -> io::Result<()> {
        let entry = encode(height, place, said);
        if self.length >= COMPACT_BYTES && height > self.height {
            return self.begin_anew(&entry);
        }
        let written = self.log.write_all(&entry);
        if let Err(error) = written.and_then(|()| self.log.sync_data()) {
            // A full disk takes part of an entry; the next one must not follow that part. Where
            // even this fails the log is damaged, and says so when it is opened.
            self.log.set_len(self.length)?;
            return Err(error);
        }
        self.length += ENTRY_BYTES as u64;
        Ok(())
    }

    /// Puts a log of one entry in this one's place: a new height needs nothing of the old ones but
    /// their number, which the entry has.
    fn begin_anew(&mut self, entry: &[u8; ENTRY_BYTES]) -> io::Result<()> {
        let next = self.path.with_extension("next");
        let mut file = File::create(&next)?;
        file.write_all(&head())?;
        file.write_all(entry)?;
        file.sync_all()?;
        std::fs::rename(&next, &self.path)?;
        // Without this the old log could come back after a power cut, and with it what it lacks.
        sync_folder(&self.path)?;
        self.log = OpenOptions::new()
            .read(true)
            .append(true)
            .open(&self.path)?;
        self.length = (HEAD_BYTES + ENTRY_BYTES) as u64;
        Ok(())
    }

    fn note(&mut self, height: u64, place: Place, said: Said) {
        if height > self.height {
            self.height = height;
            self.signed.clear();
        }
        self.signed.insert(place, said);
    }
}

fn head() -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(&MARK);
    head[8..].copy_from_slice(&VERSION.to_be_bytes());
    head
}

/// Checks the mark and the version, and returns what follows them.
fn check_head<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a [u8], SignError> {
    let foreign = || SignError::Foreign { path: path.into() };
    let rest = bytes.strip_prefix(&MARK).ok_or_else(foreign)?;
    let (version, entries) = rest.split_first_chunk().ok_or_else(foreign)?;
    let found = u32::from_be_bytes(*version);
    if found != VERSION {
        return Err(SignError::Version {
            path: path.into(),
            found,
            known: VERSION,
        });
    }
    Ok(entries)
}

/// Makes a file's name in its folder survive a power cut.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|one| !one.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn encode(height: u64, place: Place, said: Said) -> [u8; ENTRY_BYTES] {
    let mut entry = [0; ENTRY_BYTES];
    entry[..8].copy_from_slice(&height.to_be_bytes());
    entry[8..12].copy_from_slice(&place.round.to_be_bytes());
    entry[12] = place.step;
    entry[13..45].copy_from_slice(said.digest.as_slice());
    entry[45..77].copy_from_slice(said.block.as_slice());
    let sum = keccak256(&entry[..77]);
    entry[77..].copy_from_slice(&sum[..4]);
    entry
}

fn decode(entry: &[u8; ENTRY_BYTES]) -> Option<(u64, Place, Said)> {
    let height = u64::from_be_bytes(*entry.first_chunk()?);
    let round = u32::from_be_bytes(*entry.get(8..)?.first_chunk()?);
    let step = *entry.get(12)?;
    let digest = B256::from_slice(entry.get(13..45)?);
    let block = B256::from_slice(entry.get(45..77)?);
    let (place, said) = (Place { round, step }, Said { digest, block });
    (encode(height, place, said) == *entry).then_some((height, place, said))
}
