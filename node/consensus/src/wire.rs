//! Reading and writing of messages: fixed-width fields, big-endian, every length checked first.

use bytes::Bytes;

/// Says why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The message ends too soon.
    #[error("message ends where {wanted} bytes of {field} are due, {left} are left")]
    Short {
        /// What was due.
        field: &'static str,
        /// Bytes it takes.
        wanted: usize,
        /// Bytes left.
        left: usize,
    },
    /// Bytes follow the message.
    #[error("{0} bytes follow the message")]
    Surplus(usize),
    /// A field has a value no message has.
    #[error("{field} is {found}, at most {limit}")]
    Range {
        /// The field.
        field: &'static str,
        /// Its value.
        found: u64,
        /// Greatest value.
        limit: u64,
    },
    /// A message cannot be written: it is longer than any that can be read.
    #[error("{0} does not fit a message")]
    TooLong(&'static str),
}

/// Takes a message apart.
#[derive(Debug)]
pub(crate) struct Reader(Bytes);

impl Reader {
    pub(crate) const fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&mut self, field: &'static str, wanted: usize) -> Result<Bytes, WireError> {
        let left = self.0.len();
        match wanted <= left {
            true => Ok(self.0.split_to(wanted)),
            false => Err(WireError::Short {
                field,
                wanted,
                left,
            }),
        }
    }

    pub(crate) fn array<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<[u8; N], WireError> {
        let bytes = self.bytes(field, N)?;
        let mut array = [0; N];
        array.copy_from_slice(&bytes);
        Ok(array)
    }

    pub(crate) fn u8(&mut self, field: &'static str, limit: u8) -> Result<u8, WireError> {
        let [found] = self.array(field)?;
        check(field, found.into(), limit.into())?;
        Ok(found)
    }

    pub(crate) fn u32(&mut self, field: &'static str, limit: u32) -> Result<u32, WireError> {
        let found = u32::from_be_bytes(self.array(field)?);
        check(field, found.into(), limit.into())?;
        Ok(found)
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, WireError> {
        Ok(u64::from_be_bytes(self.array(field)?))
    }

    /// Reads bytes that their length goes before.
    pub(crate) fn string(&mut self, field: &'static str, limit: u32) -> Result<Bytes, WireError> {
        let length = self.u32(field, limit)?;
        self.bytes(field, usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// Reads a list that its count goes before.
    pub(crate) fn list<T>(
        &mut self,
        field: &'static str,
        limit: u32,
        mut item: impl FnMut(&mut Self) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        let count = self.u32(field, limit)?;
        (0..count).map(|_| item(self)).collect()
    }

    /// Takes what is left.
    pub(crate) fn rest(&mut self) -> Bytes {
        self.0.split_off(0)
    }

    pub(crate) fn end(self) -> Result<(), WireError> {
        match self.0.len() {
            0 => Ok(()),
            surplus => Err(WireError::Surplus(surplus)),
        }
    }
}

const fn check(field: &'static str, found: u64, limit: u64) -> Result<(), WireError> {
    if found <= limit {
        return Ok(());
    }
    Err(WireError::Range {
        field,
        found,
        limit,
    })
}

/// Puts a message together.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(crate) fn count(
        &mut self,
        field: &'static str,
        count: usize,
    ) -> Result<&mut Self, WireError> {
        let count = u32::try_from(count).map_err(|_| WireError::TooLong(field))?;
        Ok(self.u32(count))
    }

    pub(crate) fn string(
        &mut self,
        field: &'static str,
        bytes: &[u8],
    ) -> Result<&mut Self, WireError> {
        Ok(self.count(field, bytes.len())?.bytes(bytes))
    }

    pub(crate) fn finish(self) -> Bytes {
        self.0.into()
    }
}
