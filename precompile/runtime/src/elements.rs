//! Elements as bytes: the one byte form of a tensor's elements, for samples, contracts and files.
//!
//! Spec: M-6 of docs/spec/model.md.

use assay_numerics::half::{Bf16, F16};
use thiserror::Error;

use crate::dtype::DType;
use crate::tensor::Data;

/// Says why bytes are not the elements of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ElementsError {
    /// The bytes do not hold exactly the elements of the shape.
    #[error("{count} {dtype} elements do not take exactly {got} bytes")]
    Length {
        /// The element type.
        dtype: DType,
        /// Elements of the shape.
        count: usize,
        /// Bytes given.
        got: usize,
    },
    /// An element that is not a canonical value of its type.
    #[error("element {index} is not a valid {dtype}")]
    Element {
        /// The element type.
        dtype: DType,
        /// Its position.
        index: usize,
    },
}

/// Bytes of a large tensor that are converted at a time: few enough for the nearest cache, enough for a
/// hash to work on many lanes.
const BLOCK: usize = 16 << 10;
/// Bytes of a small tensor, for which a block is not worth its zeros.
const SMALL: usize = 512;

/// Writes elements in their byte form.
pub fn encode(data: &Data, out: &mut Vec<u8>) {
    out.reserve(encoded_len(data));
    blocks(data, |block| out.extend_from_slice(block));
}

/// Returns the bytes that the byte form takes.
pub fn encoded_len(data: &Data) -> usize {
    match data {
        Data::Str(v) => v.iter().map(|text| 4 + text.len()).sum(),
        _ => data.size_bytes(),
    }
}

/// Gives the byte form piece by piece.
pub fn blocks(data: &Data, mut sink: impl FnMut(&[u8])) {
    macro_rules! little_endian {
        ($values:expr) => {
            pieces($values, &mut sink, |v| v.to_le_bytes())
        };
    }
    match data {
        Data::F32(v) => little_endian!(v),
        Data::F64(v) => little_endian!(v),
        Data::I16(v) => little_endian!(v),
        Data::I32(v) => little_endian!(v),
        Data::I64(v) => little_endian!(v),
        Data::U16(v) => little_endian!(v),
        Data::U32(v) => little_endian!(v),
        Data::U64(v) => little_endian!(v),
        Data::I8(v) | Data::I4(v) | Data::I2(v) => little_endian!(v),
        Data::F16(v) => pieces(v, &mut sink, |half| half.0.to_le_bytes()),
        Data::Bf16(v) => pieces(v, &mut sink, |half| half.0.to_le_bytes()),
        Data::Bool(v) => pieces(v, &mut sink, |&truth| [u8::from(truth)]),
        Data::Str(v) => {
            for text in v {
                // No string of a tensor within the limits reaches 4 GiB.
                let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
                sink(&length.to_le_bytes());
                sink(text.as_bytes());
            }
        }
        Data::U8(v)
        | Data::F8E4M3Fn(v)
        | Data::F8E4M3Fnuz(v)
        | Data::F8E5M2(v)
        | Data::F8E5M2Fnuz(v)
        | Data::F8E8M0(v)
        | Data::U4(v)
        | Data::F4E2M1(v)
        | Data::U2(v) => sink(v),
    }
}

fn pieces<T, const N: usize>(
    values: &[T],
    sink: &mut impl FnMut(&[u8]),
    bytes: impl Fn(&T) -> [u8; N],
) {
    if size_of_val(values) <= SMALL {
        pieces_of::<T, N, SMALL>(values, sink, bytes);
    } else {
        pieces_of::<T, N, BLOCK>(values, sink, bytes);
    }
}

fn pieces_of<T, const N: usize, const SIZE: usize>(
    values: &[T],
    sink: &mut impl FnMut(&[u8]),
    bytes: impl Fn(&T) -> [u8; N],
) {
    let mut block = [0u8; SIZE];
    for part in values.chunks(SIZE / N) {
        let block = &mut block[..part.len() * N];
        for (to, value) in block.chunks_exact_mut(N).zip(part) {
            to.copy_from_slice(&bytes(value));
        }
        sink(block);
    }
}

/// Reads `count` elements from exactly these bytes. Nothing is allocated before the bytes are known
/// to hold that many.
pub fn decode(dtype: DType, count: usize, bytes: &[u8]) -> Result<Data, ElementsError> {
    if dtype == DType::Str {
        return decode_strings(count, bytes);
    }
    let wrong_length = ElementsError::Length {
        dtype,
        count,
        got: bytes.len(),
    };
    if count.checked_mul(dtype.size_bytes()) != Some(bytes.len()) {
        return Err(wrong_length);
    }
    macro_rules! little_endian {
        ($t:ty) => {
            bytes
                .chunks_exact(size_of::<$t>())
                .map(|b| <$t>::from_le_bytes(b.try_into().expect("invariant: chunk of the size")))
        };
    }
    let codes = |limit: u8| match bytes.iter().position(|&b| b >= limit) {
        Some(index) => Err(ElementsError::Element { dtype, index }),
        None => Ok(bytes.to_vec()),
    };
    let signed = |limit: i8| {
        let invalid = bytes
            .iter()
            .position(|&b| !(-limit..limit).contains(&(b as i8)));
        match invalid {
            Some(index) => Err(ElementsError::Element { dtype, index }),
            None => Ok(bytes.iter().map(|&b| b as i8).collect()),
        }
    };
    Ok(match dtype {
        DType::F32 => Data::F32(little_endian!(f32).collect()),
        DType::F64 => Data::F64(little_endian!(f64).collect()),
        DType::I16 => Data::I16(little_endian!(i16).collect()),
        DType::I32 => Data::I32(little_endian!(i32).collect()),
        DType::I64 => Data::I64(little_endian!(i64).collect()),
        DType::U16 => Data::U16(little_endian!(u16).collect()),
        DType::U32 => Data::U32(little_endian!(u32).collect()),
        DType::U64 => Data::U64(little_endian!(u64).collect()),
        DType::F16 => Data::F16(little_endian!(u16).map(F16).collect()),
        DType::Bf16 => Data::Bf16(little_endian!(u16).map(Bf16).collect()),
        DType::I8 => Data::I8(bytes.iter().map(|&b| b as i8).collect()),
        DType::Bool => Data::Bool(codes(2)?.into_iter().map(|b| b == 1).collect()),
        DType::U8 => Data::U8(bytes.to_vec()),
        DType::F8E4M3Fn => Data::F8E4M3Fn(bytes.to_vec()),
        DType::F8E4M3Fnuz => Data::F8E4M3Fnuz(bytes.to_vec()),
        DType::F8E5M2 => Data::F8E5M2(bytes.to_vec()),
        DType::F8E5M2Fnuz => Data::F8E5M2Fnuz(bytes.to_vec()),
        DType::F8E8M0 => Data::F8E8M0(bytes.to_vec()),
        DType::U4 => Data::U4(codes(16)?),
        DType::F4E2M1 => Data::F4E2M1(codes(16)?),
        DType::U2 => Data::U2(codes(4)?),
        DType::I4 => Data::I4(signed(8)?),
        DType::I2 => Data::I2(signed(2)?),
        DType::Str => return Err(wrong_length),
    })
}

fn decode_strings(count: usize, bytes: &[u8]) -> Result<Data, ElementsError> {
    let dtype = DType::Str;
    let wrong_length = ElementsError::Length {
        dtype,
        count,
        got: bytes.len(),
    };
    // Each string takes at least its length.
    if count.checked_mul(4).is_none_or(|least| least > bytes.len()) {
        return Err(wrong_length);
    }
    let mut texts = Vec::with_capacity(count);
    let mut rest = bytes;
    for index in 0..count {
        let (head, tail) = rest.split_first_chunk::<4>().ok_or(wrong_length)?;
        let length = u32::from_le_bytes(*head) as usize;
        let (text, tail) = tail.split_at_checked(length).ok_or(wrong_length)?;
        let text =
            std::str::from_utf8(text).map_err(|_| ElementsError::Element { dtype, index })?;
        texts.push(text.to_owned());
        rest = tail;
    }
    if rest.is_empty() {
        Ok(Data::Str(texts))
    } else {
        Err(wrong_length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn decoding_inverts_encoding(kind in 0usize..24, bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let dtype = DType::ALL[kind];
            let count = bytes.len() / dtype.size_bytes().min(8);
            if let Ok(data) = decode(dtype, count, &bytes) {
                let mut again = Vec::new();
                encode(&data, &mut again);
                prop_assert_eq!(encoded_len(&data), again.len());
                prop_assert_eq!(again, bytes);
            }
        }

        #[test]
        fn strings_survive(texts in prop::collection::vec(".{0,8}", 0..8)) {
            let data = Data::Str(texts.clone());
            let mut bytes = Vec::new();
            encode(&data, &mut bytes);
            prop_assert_eq!(decode(DType::Str, texts.len(), &bytes), Ok(data));
        }
    }

    #[test]
    fn large_tensors_are_written_whole() {
        for length in [
            SMALL / 8,
            SMALL / 8 + 1,
            BLOCK / 8,
            BLOCK / 8 + 1,
            3 * BLOCK,
        ] {
            let values: Vec<i64> = (0..length as i64).map(|i| i.wrapping_mul(i)).collect();
            let expected: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            let mut bytes = vec![7];
            encode(&Data::I64(values), &mut bytes);
            assert_eq!(bytes[1..], expected);
        }
    }

    #[test]
    fn refuses_codes_outside_the_type() {
        let refused = |dtype, byte| decode(dtype, 1, &[byte]);
        for (dtype, byte) in [
            (DType::Bool, 2),
            (DType::U4, 16),
            (DType::I4, 8),
            (DType::I4, 0xf7),
            (DType::U2, 4),
            (DType::I2, 2),
        ] {
            assert_eq!(
                refused(dtype, byte),
                Err(ElementsError::Element { dtype, index: 0 })
            );
        }
        assert!(decode(DType::Str, usize::MAX, &[0; 8]).is_err());
        assert!(decode(DType::F32, usize::MAX, &[0; 8]).is_err());
    }
}
