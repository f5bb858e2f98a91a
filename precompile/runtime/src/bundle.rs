//! The single file a model travels in: a manifest and the files it commits to.
//!
//! Layout (docs/spec/model.md, M-4): magic, format version, manifest length, manifest, then the
//! files in the manifest's order without padding. Nothing may follow. Reading verifies every hash.

use std::io::{self, Write};

use bytes::Bytes;
use thiserror::Error;

use crate::identity::ModelId;
use crate::manifest::{FILES_MAX, FileEntry, MANIFEST_BYTES_MAX, Manifest, ManifestError};

/// The first bytes of every bundle.
pub const MAGIC: [u8; 8] = *b"ASSAYMDL";
/// The version of the container format.
pub const VERSION: u32 = 1;
/// Bytes before the manifest.
pub const HEADER_BYTES: usize = 16;

/// Holds a verified model: manifest, id and files.
#[derive(Clone, Debug)]
pub struct Bundle {
    manifest: Manifest,
    manifest_bytes: Bytes,
    files: Vec<Bytes>,
}

/// Says why bytes are not an acceptable bundle.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BundleError {
    /// The bundle is over the caller's limit.
    #[error("bundle has {found} bytes, the limit is {limit}")]
    TooLarge {
        /// Its size.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// The first bytes are not [`MAGIC`].
    #[error("not a model bundle: it does not begin with \"ASSAYMDL\"")]
    BadMagic,
    /// The container's version is unknown.
    #[error("bundle format version {found} is unknown, this program reads {VERSION}")]
    BadVersion {
        /// The version found.
        found: u32,
    },
    /// The bytes end early.
    #[error("bundle ends inside {part}: {needed} bytes are needed, {found} are left")]
    Truncated {
        /// What was being read.
        part: String,
        /// Bytes it takes.
        needed: u64,
        /// Bytes that are left.
        found: u64,
    },
    /// Bytes follow the last file.
    #[error("{found} bytes follow the last file of the bundle")]
    Trailing {
        /// Their number.
        found: u64,
    },
    /// The manifest is not acceptable.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file's bytes are not the ones the manifest commits to.
    #[error("file {name:?} has BLAKE3 {found}, the manifest commits to {expected}")]
    WrongHash {
        /// The file.
        name: String,
        /// The hash in the manifest.
        expected: blake3::Hash,
        /// The hash of the bytes.
        found: blake3::Hash,
    },
    /// More files were given than a manifest may list.
    #[error("{found} files were given, a model has at most {FILES_MAX}")]
    TooManyFiles {
        /// Their number.
        found: usize,
    },
}

impl Bundle {
    /// Reads a bundle of at most `limit_bytes` and verifies every file; files share the buffer.
    pub fn read(bytes: Bytes, limit_bytes: u64) -> Result<Self, BundleError> {
        let found = length(&bytes);
        if found > limit_bytes {
            return Err(BundleError::TooLarge {
                found,
                limit: limit_bytes,
            });
        }
        let mut rest = bytes;
        let header = split(&mut rest, HEADER_BYTES as u64, "the header")?;
        let (magic, numbers) = header.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(BundleError::BadMagic);
        }
        let (version, manifest_length) = numbers.split_at(4);
        let version = u32_from(version);
        if version != VERSION {
            return Err(BundleError::BadVersion { found: version });
        }
        let found = u32_from(manifest_length) as usize;
        if found > MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLarge {
                found,
                limit: MANIFEST_BYTES_MAX,
            }
            .into());
        }
        let manifest_bytes = split(&mut rest, found as u64, "the manifest")?;
        let manifest = Manifest::parse(&manifest_bytes)?;
        // All sizes are compared before any byte is hashed: a lie about a size costs nothing.
        let files = split_files(&manifest, &mut rest)?;
        for (entry, bytes) in manifest.files.iter().zip(&files) {
            verify(entry, bytes)?;
        }
        Ok(Self {
            manifest,
            manifest_bytes,
            files,
        })
    }

    /// Packs files under a manifest whose file list is filled in here.
    pub fn pack(mut manifest: Manifest, files: Vec<(String, Bytes)>) -> Result<Self, BundleError> {
        if files.len() > FILES_MAX {
            return Err(BundleError::TooManyFiles { found: files.len() });
        }
        let mut files = files;
        files.sort_by(|a, b| a.0.cmp(&b.0));
        let entry = |(name, bytes): &(String, Bytes)| FileEntry {
            name: name.clone(),
            size_bytes: length(bytes),
            blake3: *blake3::hash(bytes).as_bytes(),
        };
        manifest.files = files.iter().map(entry).collect();
        let manifest_bytes = Bytes::from(manifest.encode());
        // What is written must be readable: the parser is the judge.
        let manifest = Manifest::parse(&manifest_bytes)?;
        let files = files.into_iter().map(|(_, bytes)| bytes).collect();
        Ok(Self {
            manifest,
            manifest_bytes,
            files,
        })
    }

    /// Lays out what precedes the files: header and manifest.
    pub fn head(manifest: &[u8]) -> Vec<u8> {
        let length = u32::try_from(manifest.len()).unwrap_or(u32::MAX);
        [
            &MAGIC[..],
            &VERSION.to_le_bytes(),
            &length.to_le_bytes(),
            manifest,
        ]
        .concat()
    }

    /// Reads where the manifest ends from a container's first [`HEADER_BYTES`]; `None` when they
    /// begin no container.
    pub fn manifest_end(header: &[u8]) -> Option<u64> {
        let numbers = header.get(..HEADER_BYTES)?.strip_prefix(&MAGIC)?;
        let (version, length) = numbers.split_at_checked(4)?;
        (u32_from(version) == VERSION).then(|| HEADER_BYTES as u64 + u64::from(u32_from(length)))
    }

    /// Writes the container.
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&Bundle::head(&self.manifest_bytes))?;
        self.files.iter().try_for_each(|file| out.write_all(file))
    }

    /// Returns the manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the manifest's exact bytes.
    pub fn manifest_bytes(&self) -> &Bytes {
        &self.manifest_bytes
    }

    /// Computes the model's id.
    pub fn model_id(&self) -> ModelId {
        ModelId::of_manifest(&self.manifest_bytes)
    }

    /// Finds a file's bytes.
    pub fn file(&self, name: &str) -> Option<&Bytes> {
        let index = self
            .manifest
            .files
            .iter()
            .position(|file| file.name == name)?;
        self.files.get(index)
    }

    /// Returns the size of the container in bytes.
    pub fn size_bytes(&self) -> u64 {
        let files: u64 = self.files.iter().map(length).sum();
        HEADER_BYTES as u64 + length(&self.manifest_bytes) + files
    }
}

fn split_files(manifest: &Manifest, rest: &mut Bytes) -> Result<Vec<Bytes>, BundleError> {
    let mut files = Vec::with_capacity(manifest.files.len());
    for entry in &manifest.files {
        files.push(split(
            rest,
            entry.size_bytes,
            &format!("file {:?}", entry.name),
        )?);
    }
    if !rest.is_empty() {
        return Err(BundleError::Trailing {
            found: length(rest),
        });
    }
    Ok(files)
}

fn split(rest: &mut Bytes, needed: u64, part: &str) -> Result<Bytes, BundleError> {
    match usize::try_from(needed) {
        Ok(count) if count <= rest.len() => Ok(rest.split_to(count)),
        _ => Err(BundleError::Truncated {
            part: part.to_owned(),
            needed,
            found: length(rest),
        }),
    }
}

fn verify(entry: &FileEntry, bytes: &Bytes) -> Result<(), BundleError> {
    let (expected, found) = (blake3::Hash::from_bytes(entry.blake3), blake3::hash(bytes));
    if expected != found {
        return Err(BundleError::WrongHash {
            name: entry.name.clone(),
            expected,
            found,
        });
    }
    Ok(())
}

fn length(bytes: &Bytes) -> u64 {
    bytes.len() as u64
}

fn u32_from(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::tests::sample;
    use proptest::prelude::*;

    const LIMIT: u64 = 1 << 20;

    fn packed() -> (Bundle, Vec<u8>) {
        let files = vec![
            ("model.onnx".to_owned(), Bytes::from_static(b"graph bytes")),
            ("card.md".to_owned(), Bytes::from_static(b"# A card")),
        ];
        let bundle = Bundle::pack(sample(), files).expect("sample packs");
        let mut bytes = Vec::new();
        bundle.write_to(&mut bytes).expect("writes to memory");
        (bundle, bytes)
    }

    #[test]
    fn reads_back_what_it_wrote() {
        let (bundle, bytes) = packed();
        assert_eq!(bundle.size_bytes(), bytes.len() as u64);
        let read = Bundle::read(Bytes::from(bytes), LIMIT).expect("reads");
        assert_eq!(read.model_id(), bundle.model_id());
        assert_eq!(read.model_id(), read.manifest().model_id());
        assert_eq!(read.file("model.onnx").expect("graph"), &b"graph bytes"[..]);
        assert_eq!(read.file("card.md").expect("card"), &b"# A card"[..]);
        assert_eq!(read.file("absent"), None);
    }

    #[test]
    fn files_share_the_buffer() {
        let bytes = Bytes::from(packed().1);
        let range = bytes.as_ptr_range();
        let read = Bundle::read(bytes.clone(), LIMIT).expect("reads");
        assert!(range.contains(&read.file("model.onnx").expect("graph").as_ptr()));
    }

    #[test]
    fn refuses_any_cut_and_any_tail() {
        let (_, bytes) = packed();
        for cut in 0..bytes.len() {
            let error = Bundle::read(Bytes::copy_from_slice(&bytes[..cut]), LIMIT).err();
            assert!(
                matches!(error, Some(BundleError::Truncated { .. })),
                "cut at {cut}"
            );
        }
        let mut tail = bytes;
        tail.push(0);
        let error = Bundle::read(Bytes::from(tail), LIMIT).err();
        assert_eq!(error, Some(BundleError::Trailing { found: 1 }));
    }

    #[test]
    fn refuses_files_the_manifest_does_not_commit_to() {
        let (_, mut bytes) = packed();
        *bytes.last_mut().expect("not empty") ^= 1;
        let error = Bundle::read(Bytes::from(bytes), LIMIT).err();
        assert!(matches!(error, Some(BundleError::WrongHash { name, .. }) if name == "model.onnx"));
    }

    #[test]
    fn refuses_bundles_over_the_limit_before_reading() {
        let error = Bundle::read(Bytes::from(vec![0; 11]), 10).err();
        assert_eq!(
            error,
            Some(BundleError::TooLarge {
                found: 11,
                limit: 10
            })
        );
    }

    #[test]
    fn refuses_missing_main_file_and_repeated_names() {
        assert!(Bundle::pack(sample(), vec![("card.md".into(), Bytes::new())]).is_err());
        let twice = vec![
            ("model.onnx".into(), Bytes::new()),
            ("model.onnx".into(), Bytes::new()),
        ];
        assert!(Bundle::pack(sample(), twice).is_err());
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_noticed(at in 0usize..2000, bit in 0u8..8) {
            let (_, mut bytes) = packed();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let before = packed().0.model_id();
            // A changed manifest may still be a valid one, but then it names another model.
            if let Ok(read) = Bundle::read(Bytes::from(bytes), LIMIT) {
                prop_assert_ne!(read.model_id(), before);
            }
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut framed = MAGIC.to_vec();
            framed.extend_from_slice(&VERSION.to_le_bytes());
            framed.extend_from_slice(&bytes);
            let _ = Bundle::read(Bytes::from(framed), LIMIT);
            let _ = Bundle::read(Bytes::from(bytes), LIMIT);
        }
    }
}
