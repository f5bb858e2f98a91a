//! Protobuf's wire format, read value by value.

use super::decode::DecodeError;

/// The wire types of fields.
pub(super) const WIRE_VARINT: u32 = 0;
pub(super) const WIRE_FIXED64: u32 = 1;
pub(super) const WIRE_BYTES: u32 = 2;
pub(super) const WIRE_FIXED32: u32 = 5;
/// Protobuf varints have at most ten bytes.
const VARINT_BYTES: usize = 10;

/// Reads protobuf's wire format from one message.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    /// Where `bytes` begins in the file.
    base: usize,
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of a message, which begins at `base` in the file.
    pub(super) fn new(bytes: &'a [u8], base: usize) -> Self {
        Reader { bytes, base, at: 0 }
    }

    /// Returns the number of bytes read.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Returns where the next byte lies in the file.
    pub(super) fn offset(&self) -> usize {
        self.base + self.at
    }

    /// Tells whether all bytes were read.
    pub(super) fn is_done(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Reads a length and as many bytes.
    pub(super) fn sized(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.length()?;
        self.take(length)
    }

    /// Passes over a value.
    pub(super) fn skip(&mut self, wire: u32) -> Result<(), DecodeError> {
        match wire {
            WIRE_VARINT => self.varint().map(|_| ()),
            WIRE_FIXED64 => self.take(8).map(|_| ()),
            WIRE_BYTES => self.sized().map(|_| ()),
            WIRE_FIXED32 => self.take(4).map(|_| ()),
            // Groups are not part of ONNX's schema.
            _ => Err(self.bad_wire()),
        }
    }

    /// Says that what comes next is not valid.
    pub(super) fn bad_wire(&self) -> DecodeError {
        DecodeError::BadWire {
            offset: self.base + self.at,
        }
    }

    /// Reads a field's number and wire type, or nothing at the end of the message.
    pub(super) fn key(&mut self) -> Result<Option<(u32, u32)>, DecodeError> {
        if self.is_done() {
            return Ok(None);
        }
        let error = self.bad_wire();
        let key = u32::try_from(self.varint()?).map_err(|_| error.clone())?;
        if key >> 3 == 0 {
            return Err(error);
        }
        Ok(Some((key >> 3, key & 7)))
    }

    /// Reads a length.
    pub(super) fn length(&mut self) -> Result<usize, DecodeError> {
        let error = DecodeError::Truncated {
            offset: self.base + self.at,
        };
        usize::try_from(self.varint()?).map_err(|_| error)
    }

    /// Reads a variable-length integer.
    pub(super) fn varint(&mut self) -> Result<u64, DecodeError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let mut value = 0u64;
        for (index, byte) in rest.iter().take(VARINT_BYTES).enumerate() {
            if index == VARINT_BYTES - 1 && *byte > 1 {
                return Err(self.bad_wire());
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if *byte < 0x80 {
                self.at += index + 1;
                return Ok(value);
            }
        }
        if rest.len() >= VARINT_BYTES {
            return Err(self.bad_wire());
        }
        Err(DecodeError::Truncated {
            offset: self.base + self.at,
        })
    }

    /// Reads some bytes.
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let truncated = DecodeError::Truncated {
            offset: self.base + self.at,
        };
        let end = self.at.checked_add(length).ok_or(truncated.clone())?;
        let bytes = self.bytes.get(self.at..end).ok_or(truncated)?;
        self.at = end;
        Ok(bytes)
    }
}
