//! Sample rows of a model: inputs and the exact output bits every validator must reproduce.
//!
//! They are the bundle's optional file `samples.bin`; its format is M-5 of docs/spec/model.md.

use bytes::{BufMut, Bytes};
use thiserror::Error;

/// The name of the file in a bundle.
pub const FILE_NAME: &str = "samples.bin";
/// The first bytes of the file.
pub const MAGIC: [u8; 8] = *b"ASSAYSMP";
/// The version of the format.
pub const VERSION: u32 = 1;
/// Rows of one file.
pub const ROWS_MAX: usize = 256;
/// Inputs or outputs of one row.
pub const TENSORS_MAX: usize = 512;
/// Dimensions of one tensor.
pub const RANK_MAX: usize = 8;
/// Bytes of the whole file.
pub const FILE_BYTES_MAX: usize = 16 << 20;

const DTYPE_STRING: u8 = 8;
const DTYPE_BOOL: u8 = 9;

/// Holds the sample rows of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    /// The rows, in order.
    pub rows: Vec<SampleRow>,
}

/// Pairs one call's inputs with its expected outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SampleRow {
    /// One tensor for each input of the model.
    pub inputs: Vec<EncodedTensor>,
    /// One tensor for each output of the model.
    pub outputs: Vec<EncodedTensor>,
}

/// Holds a tensor in the byte form of M-6: little-endian, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedTensor {
    /// ONNX TensorProto number of the element type.
    pub dtype: u8,
    /// Dimensions, outermost first.
    pub shape: Vec<u64>,
    /// The elements.
    pub data: Bytes,
}

/// Says why bytes are not acceptable sample rows.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SamplesError {
    /// The first bytes are not [`MAGIC`].
    #[error("not a sample file: it does not begin with \"ASSAYSMP\"")]
    BadMagic,
    /// The format's version is unknown.
    #[error("sample format version {found} is unknown, this program reads {VERSION}")]
    BadVersion {
        /// The version found.
        found: u32,
    },
    /// A count or size is over its limit.
    #[error("samples have {found} {what}, the limit is {limit}")]
    TooMany {
        /// What was counted.
        what: &'static str,
        /// The count.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// Rows differ in their number of tensors.
    #[error("row {row} has {found} {what}, the first row has {expected}")]
    Uneven {
        /// The row.
        row: usize,
        /// Inputs or outputs.
        what: &'static str,
        /// Tensors of the first row.
        expected: usize,
        /// Tensors of this row.
        found: usize,
    },
    /// The bytes end early.
    #[error("samples end inside the value at byte {offset}: {needed} bytes are needed")]
    Truncated {
        /// Where the value begins.
        offset: usize,
        /// Bytes it takes.
        needed: u64,
    },
    /// Bytes follow the last row.
    #[error("{found} bytes follow the last sample row")]
    Trailing {
        /// Their number.
        found: usize,
    },
    /// An element type that tensors of a model cannot have.
    #[error("dtype {found} of the tensor at byte {offset} is not supported")]
    BadDtype {
        /// Where the tensor begins.
        offset: usize,
        /// The number found.
        found: u8,
    },
    /// An element that is not a canonical value of its type.
    #[error("element {index} of the tensor at byte {offset} is not a valid {what}")]
    BadElement {
        /// Where the tensor begins.
        offset: usize,
        /// The element.
        index: u64,
        /// The type's name.
        what: &'static str,
    },
}

/// Returns the bytes of one element of a dtype; nothing for strings and unknown numbers.
pub fn element_bytes(dtype: u8) -> Option<u64> {
    match dtype {
        // uint8, int8, bool, the float8 kinds, and 2- and 4-bit types with one byte each.
        2 | 3 | DTYPE_BOOL | 17..=26 => Some(1),
        // uint16, int16, float16, bfloat16.
        4 | 5 | 10 | 16 => Some(2),
        // float, int32, uint32.
        1 | 6 | 12 => Some(4),
        // int64, double, uint64.
        7 | 11 | 13 => Some(8),
        _ => None,
    }
}

impl Samples {
    /// Parses the bytes of a sample file; tensors share its buffer.
    pub fn parse(file: &Bytes) -> Result<Self, SamplesError> {
        at_most("bytes", file.len() as u64, FILE_BYTES_MAX as u64)?;
        let mut reader = Reader { file, at: 0 };
        if reader.take(8)? != MAGIC[..] {
            return Err(SamplesError::BadMagic);
        }
        let version = reader.u32()?;
        if version != VERSION {
            return Err(SamplesError::BadVersion { found: version });
        }
        let rows = reader.count("rows", ROWS_MAX)?;
        let inputs = reader.count("inputs", TENSORS_MAX)?;
        let outputs = reader.count("outputs", TENSORS_MAX)?;
        let mut samples = Self::default();
        for _ in 0..rows {
            let inputs = reader.tensors(inputs)?;
            let outputs = reader.tensors(outputs)?;
            samples.rows.push(SampleRow { inputs, outputs });
        }
        match file.len() - reader.at {
            0 => Ok(samples),
            found => Err(SamplesError::Trailing { found }),
        }
    }

    /// Returns the bytes of the sample file, or says which limit the rows break.
    pub fn encode(&self) -> Result<Bytes, SamplesError> {
        let first = self.rows.first();
        let inputs = first.map_or(0, |row| row.inputs.len());
        let outputs = first.map_or(0, |row| row.outputs.len());
        let mut file = MAGIC.to_vec();
        file.put_u32_le(VERSION);
        for count in [self.rows.len(), inputs, outputs] {
            file.put_u32_le(u32::try_from(count).unwrap_or(u32::MAX));
        }
        for (row, sample) in self.rows.iter().enumerate() {
            even(row, "inputs", inputs, sample.inputs.len())?;
            even(row, "outputs", outputs, sample.outputs.len())?;
            for tensor in sample.inputs.iter().chain(&sample.outputs) {
                file.put_u8(tensor.dtype);
                file.put_u8(u8::try_from(tensor.shape.len()).unwrap_or(u8::MAX));
                tensor.shape.iter().for_each(|size| file.put_u64_le(*size));
                file.put_slice(&tensor.data);
            }
        }
        let file = Bytes::from(file);
        // What is written must be readable: the parser is the judge of limits and element counts.
        Self::parse(&file)?;
        Ok(file)
    }
}

fn even(row: usize, what: &'static str, expected: usize, found: usize) -> Result<(), SamplesError> {
    if expected != found {
        return Err(SamplesError::Uneven {
            row,
            what,
            expected,
            found,
        });
    }
    Ok(())
}

fn at_most(what: &'static str, found: u64, limit: u64) -> Result<(), SamplesError> {
    if found > limit {
        return Err(SamplesError::TooMany { what, found, limit });
    }
    Ok(())
}

struct Reader<'a> {
    file: &'a Bytes,
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self, needed: u64) -> Result<Bytes, SamplesError> {
        let left = self.file.len() - self.at;
        match usize::try_from(needed) {
            Ok(count) if count <= left => {
                let start = self.at;
                self.at += count;
                Ok(self.file.slice(start..self.at))
            }
            _ => Err(SamplesError::Truncated {
                offset: self.at,
                needed,
            }),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SamplesError> {
        let bytes = self.take(N as u64)?;
        let mut array = [0; N];
        array.copy_from_slice(&bytes);
        Ok(array)
    }

    fn u32(&mut self) -> Result<u32, SamplesError> {
        self.array().map(u32::from_le_bytes)
    }

    fn count(&mut self, what: &'static str, limit: usize) -> Result<usize, SamplesError> {
        let found = self.u32()?;
        at_most(what, u64::from(found), limit as u64)?;
        Ok(found as usize)
    }

    fn tensors(&mut self, count: usize) -> Result<Vec<EncodedTensor>, SamplesError> {
        (0..count).map(|_| self.tensor()).collect()
    }

    fn tensor(&mut self) -> Result<EncodedTensor, SamplesError> {
        let offset = self.at;
        let [dtype, rank] = self.array()?;
        at_most("dimensions", u64::from(rank), RANK_MAX as u64)?;
        let mut shape = Vec::with_capacity(usize::from(rank));
        let mut elements = Some(1u64);
        for _ in 0..rank {
            let size = self.array().map(u64::from_le_bytes)?;
            elements = elements.and_then(|elements| elements.checked_mul(size));
            shape.push(size);
        }
        let too_many = SamplesError::TooMany {
            what: "elements in a tensor",
            found: u64::MAX,
            limit: FILE_BYTES_MAX as u64,
        };
        let elements = elements.ok_or(too_many)?;
        // No element takes less than a byte, so this bounds the loops below.
        at_most("elements in a tensor", elements, FILE_BYTES_MAX as u64)?;
        let data = match element_bytes(dtype) {
            Some(width) => self.take(elements.saturating_mul(width))?,
            None if dtype == DTYPE_STRING => self.strings(offset, elements)?,
            None => {
                return Err(SamplesError::BadDtype {
                    offset,
                    found: dtype,
                });
            }
        };
        check_elements(offset, dtype, &data)?;
        Ok(EncodedTensor { dtype, shape, data })
    }

    /// Takes `elements` length-prefixed texts.
    fn strings(&mut self, offset: usize, elements: u64) -> Result<Bytes, SamplesError> {
        let start = self.at;
        for index in 0..elements {
            let length = self.u32()?;
            let text = self.take(u64::from(length))?;
            if std::str::from_utf8(&text).is_err() {
                return Err(SamplesError::BadElement {
                    offset,
                    index,
                    what: "UTF-8 string",
                });
            }
        }
        Ok(self.file.slice(start..self.at))
    }
}

/// Refuses bytes that spell no value of the narrow types, so that every value has one spelling.
fn check_elements(offset: usize, dtype: u8, data: &[u8]) -> Result<(), SamplesError> {
    let (valid, what): (fn(u8) -> bool, _) = match dtype {
        DTYPE_BOOL => (|byte| byte <= 1, "bool"),
        21 => (|byte| byte < 16, "uint4"),
        22 => (|byte| (-8..8).contains(&byte.cast_signed()), "int4"),
        23 => (|byte| byte < 16, "float4e2m1"),
        25 => (|byte| byte < 4, "uint2"),
        26 => (|byte| (-2..2).contains(&byte.cast_signed()), "int2"),
        _ => return Ok(()),
    };
    match data.iter().position(|byte| !valid(*byte)) {
        Some(index) => Err(SamplesError::BadElement {
            offset,
            index: index as u64,
            what,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tensor(dtype: u8, shape: &[u64], data: &'static [u8]) -> EncodedTensor {
        EncodedTensor {
            dtype,
            shape: shape.to_vec(),
            data: Bytes::from_static(data),
        }
    }

    fn sample() -> Samples {
        let row = SampleRow {
            inputs: vec![
                tensor(1, &[1, 2], &[0, 0, 128, 63, 0, 0, 192, 127]),
                tensor(DTYPE_STRING, &[2], b"\x03\0\0\0abc\0\0\0\0"),
                tensor(DTYPE_BOOL, &[2], &[0, 1]),
            ],
            outputs: vec![
                tensor(7, &[], &[1, 0, 0, 0, 0, 0, 0, 0]),
                tensor(22, &[1], &[0xf8]),
            ],
        };
        Samples {
            rows: vec![row.clone(), row],
        }
    }

    #[test]
    fn parses_what_it_encoded() {
        let file = sample().encode().expect("within limits");
        assert_eq!(Samples::parse(&file), Ok(sample()));
        let empty = Samples::default().encode().expect("within limits");
        assert_eq!(Samples::parse(&empty), Ok(Samples::default()));
    }

    #[test]
    fn refuses_any_cut_and_any_tail() {
        let file = sample().encode().expect("within limits");
        for cut in 0..file.len() {
            assert!(Samples::parse(&file.slice(..cut)).is_err(), "cut at {cut}");
        }
        let mut tail = file.to_vec();
        tail.push(0);
        let error = Samples::parse(&Bytes::from(tail));
        assert_eq!(error, Err(SamplesError::Trailing { found: 1 }));
    }

    #[test]
    fn refuses_shapes_that_wrap() {
        let row = |shape: &[u64]| SampleRow {
            inputs: vec![tensor(1, shape, &[])],
            outputs: vec![],
        };
        for shape in [
            &[1 << 32, 1 << 32][..],
            &[u64::MAX],
            &[1 << 62, 4],
            &[1 << 30],
        ] {
            let error = Samples {
                rows: vec![row(shape)],
            }
            .encode()
            .expect_err("wraps");
            assert!(matches!(
                error,
                SamplesError::TooMany {
                    what: "elements in a tensor",
                    ..
                }
            ));
        }
        // An empty tensor is fine whatever its other sizes are.
        assert!(
            Samples {
                rows: vec![row(&[0, 1 << 40])]
            }
            .encode()
            .is_ok()
        );
    }

    #[test]
    fn refuses_values_with_two_spellings() {
        for (dtype, byte) in [
            (DTYPE_BOOL, &[2u8]),
            (21, &[16]),
            (22, &[8]),
            (25, &[4]),
            (26, &[2]),
        ] {
            let row = SampleRow {
                inputs: vec![tensor(dtype, &[1], byte)],
                outputs: vec![],
            };
            let error = Samples { rows: vec![row] }
                .encode()
                .expect_err("not canonical");
            assert!(
                matches!(error, SamplesError::BadElement { index: 0, .. }),
                "dtype {dtype}"
            );
        }
    }

    #[test]
    fn refuses_counts_before_allocating() {
        let mut file = MAGIC.to_vec();
        file.put_u32_le(VERSION);
        file.put_u32_le(257);
        let error = Samples::parse(&Bytes::from(file));
        assert_eq!(
            error,
            Err(SamplesError::TooMany {
                what: "rows",
                found: 257,
                limit: 256
            })
        );
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut framed = MAGIC.to_vec();
            framed.put_u32_le(VERSION);
            framed.extend_from_slice(&bytes);
            let _ = Samples::parse(&Bytes::from(framed));
        }

        #[test]
        fn what_parses_encodes_to_the_same_bytes(at in 0usize..200, byte in any::<u8>()) {
            let mut file = sample().encode().expect("within limits").to_vec();
            let at = at % file.len();
            file[at] = byte;
            let file = Bytes::from(file);
            if let Ok(samples) = Samples::parse(&file) {
                // A file without rows still states counts of tensors.
                if !samples.rows.is_empty() {
                    prop_assert_eq!(samples.encode(), Ok(file));
                }
            }
        }
    }
}
