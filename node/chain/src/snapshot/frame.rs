//! The frames a snapshot is made of: kind, length, bytes. Nothing is believed before it is read.

use std::io::{self, Read, Write};

use alloy_primitives::Bytes;
use alloy_rlp::{Decodable, Encodable};

use super::{Kind, MAGIC, SnapshotError};

/// Most bytes of a frame: a block of our gas limit with all its logs has fewer.
const MAX_FRAME_BYTES: u32 = 64 << 20;

/// Writes frames.
pub(super) struct Writer<W>(W);

impl<W: Write> Writer<W> {
    pub(super) fn new(mut out: W) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        Ok(Self(out))
    }

    pub(super) fn frame(&mut self, kind: Kind, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).ok();
        let Some(length) = length.filter(|length| *length <= MAX_FRAME_BYTES) else {
            let what = format!(
                "a part of {} bytes, the limit is {MAX_FRAME_BYTES}",
                payload.len()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        };
        self.0.write_all(&[kind as u8])?;
        self.0.write_all(&length.to_be_bytes())?;
        self.0.write_all(payload)
    }

    pub(super) fn rlp(&mut self, kind: Kind, value: &impl Encodable) -> io::Result<()> {
        self.frame(kind, &alloy_rlp::encode(value))
    }

    pub(super) fn end(mut self) -> io::Result<W> {
        self.frame(Kind::End, &[])?;
        self.0.flush()?;
        Ok(self.0)
    }
}

/// Reads frames, each within its limit.
pub(super) struct Reader<R> {
    input: R,
    offset: u64,
}

impl<R: Read> Reader<R> {
    /// Begins to read what must be a snapshot.
    pub(super) fn new(mut input: R) -> Result<Self, SnapshotError> {
        let mut found = Vec::new();
        input
            .by_ref()
            .take(MAGIC.len() as u64)
            .read_to_end(&mut found)?;
        if found != MAGIC {
            let found = found.escape_ascii().to_string();
            return Err(SnapshotError::Magic { found });
        }
        let offset = MAGIC.len() as u64;
        Ok(Self { input, offset })
    }

    /// Returns how many bytes were read.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Says that what was read last is wrong.
    pub(super) const fn damaged(&self, what: &'static str) -> SnapshotError {
        let offset = self.offset;
        SnapshotError::Damaged { offset, what }
    }

    /// Tells whether nothing follows.
    pub(super) fn is_at_end(&mut self) -> Result<bool, SnapshotError> {
        Ok(self.input.read(&mut [0])? == 0)
    }

    /// Reads the next frame.
    pub(super) fn next(&mut self) -> Result<(Kind, Bytes), SnapshotError> {
        let mut head = Vec::new();
        self.input.by_ref().take(5).read_to_end(&mut head)?;
        let Ok([kind, length @ ..]) = <[u8; 5]>::try_from(head) else {
            return Err(self.damaged("it ends early"));
        };
        let kind = kind_of(kind).ok_or_else(|| self.damaged("a part of no known kind"))?;
        let length = u32::from_be_bytes(length);
        if length > MAX_FRAME_BYTES {
            return Err(self.damaged("a part is over its limit of 64 MiB"));
        }
        // Room is made as bytes come: a length alone costs nothing.
        let mut payload = Vec::new();
        let wanted = u64::from(length);
        let got = self.input.by_ref().take(wanted).read_to_end(&mut payload)?;
        self.offset += 5 + got as u64;
        match got as u64 == wanted {
            true => Ok((kind, payload.into())),
            false => Err(self.damaged("it ends early")),
        }
    }

    /// Decodes what a frame holds, all of it.
    pub(super) fn decode<T: Decodable>(&self, payload: &[u8]) -> Result<T, SnapshotError> {
        alloy_rlp::decode_exact(payload).map_err(|_| self.damaged("a part does not decode"))
    }
}

const fn kind_of(byte: u8) -> Option<Kind> {
    Some(match byte {
        0 => Kind::Title,
        1 => Kind::SetUpdate,
        2 => Kind::Block,
        3 => Kind::Code,
        4 => Kind::Account,
        5 => Kind::Slots,
        6 => Kind::End,
        _ => return None,
    })
}
