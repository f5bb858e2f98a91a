//! A model's outline: its manifest and a chaining value for every chunk, so that each chunk is
//! verified alone, in any order, and a wrong one names the peer that sent it.
//!
//! BLAKE3 is a tree. A chunk is a whole subtree of its file (1 MiB, or the file's end), and the
//! chaining values of all its chunks merge to the file's hash, which the manifest commits to. A file
//! of one chunk needs no value: its hash is the chunk's.

use alloy_primitives::{B256, keccak256};
use blake3::{
    Hasher,
    hazmat::{
        ChainingValue, HasherExt as _, Mode, left_subtree_len, merge_subtrees_non_root,
        merge_subtrees_root,
    },
};
use bytes::{Bytes, BytesMut};

use crate::{
    ModelFile,
    config::{CHUNK_BYTES_MAX, MANIFEST_BYTES_MAX},
};

const CHUNK: u64 = CHUNK_BYTES_MAX as u64;
const VALUE_BYTES: usize = 32;
/// Most bytes of an outline: it travels as one answer.
pub(crate) const OUTLINE_BYTES_MAX: usize = CHUNK_BYTES_MAX as usize;

/// Says why an outline or a chunk is not the model's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OutlineError {
    /// The outline is cut, or goes on after its end.
    #[error("outline has {found} bytes, its parts {expected}")]
    Length {
        /// Bytes of the outline.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// The outline is larger than one may be.
    #[error("outline of {found} bytes, the limit is {limit}")]
    TooLarge {
        /// Bytes of the outline.
        found: u64,
        /// Most bytes.
        limit: u64,
    },
    /// The manifest is not the model's.
    #[error("manifest has hash {found}")]
    Manifest {
        /// Its hash.
        found: B256,
    },
    /// The chaining values of a file do not give its hash.
    #[error("chaining values of file {0} do not give its hash")]
    Values(usize),
    /// A chunk is not the model's.
    #[error("chunk {0} is not the model's")]
    Chunk(usize),
}

/// A part of a model that travels as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Where it begins, in the model's files one after another.
    pub(crate) offset: u64,
    /// Its length.
    pub(crate) length: u32,
    /// Where it begins in its file.
    in_file: u64,
    /// What its bytes must hash to.
    expected: Expected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Root([u8; 32]),
    Inner(ChainingValue),
}

/// The chunks of a model, each with what it must hash to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outline {
    chunks: Vec<Chunk>,
    total_bytes: u64,
}

impl Outline {
    /// Verifies chaining values against the files of a manifest.
    pub(crate) fn verify(files: &[ModelFile], values: &[u8]) -> Result<Self, OutlineError> {
        let expected = values_of(files).saturating_mul(VALUE_BYTES as u64);
        if values.len() as u64 != expected {
            return Err(OutlineError::Length {
                found: values.len(),
                expected: usize::try_from(expected).unwrap_or(usize::MAX),
            });
        }
        let mut values = values.chunks_exact(VALUE_BYTES).map(|value| {
            let mut array = [0; VALUE_BYTES];
            array.copy_from_slice(value);
            array
        });
        let (mut chunks, mut total_bytes) = (Vec::new(), 0_u64);
        for (index, file) in files.iter().enumerate() {
            let count = chunks_of(file.size_bytes);
            let inner = match count {
                0 | 1 => Vec::new(),
                _ => values
                    .by_ref()
                    .take(usize::try_from(count).unwrap_or(usize::MAX))
                    .collect(),
            };
            if !inner.is_empty() && root(&inner, file.size_bytes) != Some(file.blake3) {
                return Err(OutlineError::Values(index));
            }
            chunks.extend(chunks_of_file(total_bytes, file, &inner));
            total_bytes = total_bytes.saturating_add(file.size_bytes);
        }
        Ok(Self {
            chunks,
            total_bytes,
        })
    }

    /// Returns the chunks in order.
    pub(crate) fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// Returns the bytes of all files.
    pub(crate) const fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// Checks a chunk's bytes.
    pub(crate) fn check(&self, index: usize, bytes: &[u8]) -> Result<(), OutlineError> {
        let chunk = self.chunks.get(index).ok_or(OutlineError::Chunk(index))?;
        let right = bytes.len() == chunk.length as usize
            && match chunk.expected {
                Expected::Root(root) => *blake3::hash(bytes).as_bytes() == root,
                Expected::Inner(value) => chaining_value(chunk.in_file, bytes) == value,
            };
        match right {
            true => Ok(()),
            false => Err(OutlineError::Chunk(index)),
        }
    }
}

/// Splits an outline's bytes into the manifest of a model and chaining values.
pub(crate) fn split(id: B256, outline: &Bytes) -> Result<(Bytes, Bytes), OutlineError> {
    let short = |expected| OutlineError::Length {
        found: outline.len(),
        expected,
    };
    let (length, rest) = outline.split_first_chunk::<4>().ok_or(short(4))?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > MANIFEST_BYTES_MAX {
        return Err(OutlineError::TooLarge {
            found: length as u64,
            limit: MANIFEST_BYTES_MAX as u64,
        });
    }
    if rest.len() < length {
        return Err(short(length.saturating_add(4)));
    }
    let mut rest = outline.slice(4..);
    let values = rest.split_off(length);
    let found = keccak256(&rest);
    match found == id {
        true => Ok((rest, values)),
        false => Err(OutlineError::Manifest { found }),
    }
}

/// Writes an outline, reading the files' bytes with `read(offset, length)`.
pub(crate) fn write<E: From<OutlineError>>(
    manifest: &[u8],
    files: &[ModelFile],
    mut read: impl FnMut(u64, u32) -> Result<Bytes, E>,
) -> Result<Bytes, E> {
    let values = values_of(files).saturating_mul(VALUE_BYTES as u64);
    let bytes = values.saturating_add(4 + manifest.len() as u64);
    if bytes > OUTLINE_BYTES_MAX as u64 {
        return Err(E::from(OutlineError::TooLarge {
            found: bytes,
            limit: OUTLINE_BYTES_MAX as u64,
        }));
    }
    let mut out = BytesMut::new();
    let length = u32::try_from(manifest.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(manifest);
    let mut first = 0_u64;
    for file in files {
        if chunks_of(file.size_bytes) > 1 {
            for chunk in chunks_of_file(first, file, &[]) {
                let bytes = read(chunk.offset, chunk.length)?;
                out.extend_from_slice(&chaining_value(chunk.in_file, &bytes));
            }
        }
        first = first.saturating_add(file.size_bytes);
    }
    Ok(out.freeze())
}

/// Lays out the chunks of a file that begins at an offset.
fn chunks_of_file<'a>(
    first: u64,
    file: &'a ModelFile,
    values: &'a [ChainingValue],
) -> impl Iterator<Item = Chunk> + 'a {
    (0..chunks_of(file.size_bytes)).map(move |index| {
        let in_file = index.saturating_mul(CHUNK);
        let value = usize::try_from(index)
            .ok()
            .and_then(|index| values.get(index));
        let length = file.size_bytes.saturating_sub(in_file).min(CHUNK);
        Chunk {
            offset: first.saturating_add(in_file),
            length: u32::try_from(length).unwrap_or(CHUNK_BYTES_MAX),
            in_file,
            expected: value.map_or(Expected::Root(file.blake3), |value| Expected::Inner(*value)),
        }
    })
}

/// Counts the chaining values of a model: one a chunk, in files of more than one.
fn values_of(files: &[ModelFile]) -> u64 {
    let counts = files.iter().map(|file| chunks_of(file.size_bytes));
    counts
        .filter(|count| *count > 1)
        .fold(0, u64::saturating_add)
}

const fn chunks_of(size_bytes: u64) -> u64 {
    size_bytes.div_ceil(CHUNK)
}

/// Hashes a subtree. The offset is a multiple of 1 MiB and the bytes at most 1 MiB, as BLAKE3 asks.
fn chaining_value(in_file: u64, bytes: &[u8]) -> ChainingValue {
    let bytes = bytes.get(..CHUNK_BYTES_MAX as usize).unwrap_or(bytes);
    match bytes.is_empty() {
        // No subtree is empty; a wrong answer must not end the process.
        true => [0; VALUE_BYTES],
        false => Hasher::new()
            .set_input_offset(in_file)
            .update(bytes)
            .finalize_non_root(),
    }
}

/// Merges the values of a file of two chunks or more to its hash.
fn root(values: &[ChainingValue], size_bytes: u64) -> Option<[u8; 32]> {
    let (left, right) = halves(values, size_bytes)?;
    Some(*merge_subtrees_root(&left, &right, Mode::Hash).as_bytes())
}

fn merged(values: &[ChainingValue], size_bytes: u64) -> Option<ChainingValue> {
    match values {
        [] => None,
        [value] => Some(*value),
        _ => {
            let (left, right) = halves(values, size_bytes)?;
            Some(merge_subtrees_non_root(&left, &right, Mode::Hash))
        }
    }
}

/// Merges each half of a subtree. As deep as the logarithm of the number of chunks.
fn halves(values: &[ChainingValue], size_bytes: u64) -> Option<(ChainingValue, ChainingValue)> {
    if size_bytes <= CHUNK {
        return None;
    }
    let left_bytes = left_subtree_len(size_bytes);
    let middle = usize::try_from(left_bytes / CHUNK).ok()?;
    let (left, right) = values.split_at_checked(middle)?;
    let right_bytes = size_bytes.checked_sub(left_bytes)?;
    Some((merged(left, left_bytes)?, merged(right, right_bytes)?))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Failed(OutlineError);

    impl From<OutlineError> for Failed {
        fn from(error: OutlineError) -> Self {
            Self(error)
        }
    }

    impl From<Infallible> for Failed {
        fn from(never: Infallible) -> Self {
            match never {}
        }
    }

    fn content(size: usize) -> Vec<u8> {
        (0..size).map(|i| (i / 7 % 251) as u8).collect()
    }

    fn model(sizes: &[usize]) -> (Vec<ModelFile>, Vec<u8>) {
        let contents: Vec<Vec<u8>> = sizes.iter().map(|size| content(*size)).collect();
        let files = contents.iter().map(|bytes| ModelFile {
            size_bytes: bytes.len() as u64,
            blake3: *blake3::hash(bytes).as_bytes(),
        });
        (files.collect(), contents.concat())
    }

    fn outline(files: &[ModelFile], all: &[u8]) -> (Bytes, Bytes) {
        let manifest = b"{\"a\":1}";
        let bytes = write::<Failed>(manifest, files, |offset, length| {
            let first = offset as usize;
            Ok(Bytes::copy_from_slice(&all[first..first + length as usize]))
        });
        split(keccak256(manifest), &bytes.unwrap()).unwrap()
    }

    #[test]
    fn chunks_of_files_of_any_size_verify_against_the_files_hashes() {
        const M: usize = 1 << 20;
        for sizes in [
            &[0][..],
            &[1],
            &[M],
            &[M + 1],
            &[2 * M, 5],
            &[3 * M - 1, 0, 5 * M + 1024],
            &[7 * M + 3, M],
        ] {
            let (files, all) = model(sizes);
            let (_, values) = outline(&files, &all);
            let outline = Outline::verify(&files, &values).unwrap();
            assert_eq!(outline.total_bytes(), all.len() as u64);
            let mut next = 0;
            for (index, chunk) in outline.chunks().iter().enumerate() {
                assert_eq!(chunk.offset, next, "{sizes:?}");
                next += u64::from(chunk.length);
                let bytes = &all[chunk.offset as usize..next as usize];
                assert_eq!(
                    outline.check(index, bytes),
                    Ok(()),
                    "{sizes:?} chunk {index}"
                );
                let mut wrong = bytes.to_vec();
                wrong[bytes.len() / 2] ^= 1;
                assert_eq!(
                    outline.check(index, &wrong),
                    Err(OutlineError::Chunk(index))
                );
                let cut = &bytes[1..];
                assert_eq!(outline.check(index, cut), Err(OutlineError::Chunk(index)));
            }
            assert_eq!(next, all.len() as u64);
        }
    }

    #[test]
    fn changed_chaining_values_are_refused() {
        let (files, all) = model(&[5, 3 << 20]);
        let (_, values) = outline(&files, &all);
        for index in [0, 40, 95] {
            let mut wrong = values.to_vec();
            wrong[index] ^= 1;
            let refused = Outline::verify(&files, &wrong);
            assert_eq!(refused, Err(OutlineError::Values(1)));
        }
        let cut = Outline::verify(&files, &values[..64]);
        assert!(matches!(cut, Err(OutlineError::Length { .. })));
    }

    #[test]
    fn an_outline_of_another_manifest_or_a_cut_one_is_refused() {
        let whole = Bytes::from_static(b"\x02\0\0\0{}rest");
        assert!(split(keccak256("{}"), &whole).is_ok());
        let other = split(B256::ZERO, &whole);
        assert!(matches!(other, Err(OutlineError::Manifest { .. })));
        for cut in 0..6 {
            let refused = split(keccak256("{}"), &whole.slice(..cut));
            assert!(matches!(refused, Err(OutlineError::Length { .. })), "{cut}");
        }
        let long = Bytes::from_static(&[0xff; 8]);
        let refused = split(B256::ZERO, &long);
        assert!(matches!(refused, Err(OutlineError::TooLarge { .. })));
    }

    #[test]
    fn a_model_too_large_for_one_outline_is_refused_before_it_is_read() {
        let huge = ModelFile {
            size_bytes: 1 << 50,
            blake3: [0; 32],
        };
        let refused = write::<Failed>(b"{}", &[huge, huge], |_, _| unreachable!());
        assert!(matches!(
            refused,
            Err(Failed(OutlineError::TooLarge { .. }))
        ));
        let sizes = ModelFile {
            size_bytes: u64::MAX,
            blake3: [0; 32],
        };
        assert!(Outline::verify(&[sizes, sizes], &[0; 64]).is_err());
    }
}
