//! Strict ABI: reads exactly the encoding that `abi.encode` writes, in one pass and without copies.
//!
//! Only the canonical layout is taken: offsets point to the next unread byte, padding is zero, nothing
//! follows. Overlapping or repeated tails, which let a small calldata stand for a large one, are
//! refused.

use alloy_primitives::{B256, I256, U256};
use assay_runtime::{DType, Tensor, element_count, elements};

/// Marks calldata that is not the canonical encoding of the method's arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadCalldata;

type Read<T> = Result<T, BadCalldata>;

/// Reads calldata word by word.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts after the selector.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, at: 0 }
    }

    /// Reads one word.
    pub fn word(&mut self) -> Read<&'a [u8; 32]> {
        let rest = self.bytes.get(self.at..).ok_or(BadCalldata)?;
        let word = rest.first_chunk::<32>().ok_or(BadCalldata)?;
        self.at += 32;
        Ok(word)
    }

    /// Reads a 32-byte value.
    pub fn hash(&mut self) -> Read<B256> {
        self.word().map(B256::from)
    }

    /// Reads a signed integer.
    pub fn int(&mut self) -> Read<I256> {
        self.word()
            .map(|word| I256::from_raw(U256::from_be_bytes(*word)))
    }

    /// Reads an unsigned integer.
    pub fn uint(&mut self) -> Read<U256> {
        self.word().map(|word| U256::from_be_bytes(*word))
    }

    /// Reads an unsigned integer of at most 64 bits.
    pub fn u64(&mut self) -> Read<u64> {
        u64::try_from(self.uint()?).map_err(|_| BadCalldata)
    }

    /// Reads an offset that must point exactly `expected` bytes ahead of its frame.
    pub fn offset(&mut self, expected: usize) -> Read<()> {
        if self.u64()? == expected as u64 {
            Ok(())
        } else {
            Err(BadCalldata)
        }
    }

    /// Reads a length; that many words (or bytes) must still be there, so it can be allocated.
    pub fn length(&mut self, unit_bytes: usize) -> Read<usize> {
        let length = usize::try_from(self.u64()?).map_err(|_| BadCalldata)?;
        let needed = length.checked_mul(unit_bytes).ok_or(BadCalldata)?;
        if needed > self.bytes.len().saturating_sub(self.at) {
            return Err(BadCalldata);
        }
        Ok(length)
    }

    /// Reads a list of integers.
    pub fn ints(&mut self) -> Read<Vec<I256>> {
        let length = self.length(32)?;
        (0..length).map(|_| self.int()).collect()
    }

    /// Reads a list of 64-bit integers.
    pub fn u64s(&mut self) -> Read<Vec<u64>> {
        let length = self.length(32)?;
        (0..length).map(|_| self.u64()).collect()
    }

    /// Reads bytes with their zero padding.
    pub fn data(&mut self) -> Read<&'a [u8]> {
        let length = self.length(1)?;
        let padded = length.div_ceil(32) * 32;
        let end = self.at.checked_add(padded).ok_or(BadCalldata)?;
        let all = self.bytes.get(self.at..end).ok_or(BadCalldata)?;
        let (data, padding) = all.split_at(length);
        if padding.iter().any(|&byte| byte != 0) {
            return Err(BadCalldata);
        }
        self.at = end;
        Ok(data)
    }

    /// Reads a list whose elements are dynamic: their offsets in order, then the elements.
    pub fn list<T>(&mut self, mut element: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let length = self.length(32)?;
        let frame = self.at;
        let mut offsets = Reader {
            bytes: self.bytes,
            at: frame,
        };
        self.at = frame + length * 32;
        let mut values = Vec::with_capacity(length);
        for _ in 0..length {
            offsets.offset(self.at - frame)?;
            values.push(element(self)?);
        }
        Ok(values)
    }

    /// Requires that nothing follows.
    pub fn end(&self) -> Read<()> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(BadCalldata)
        }
    }
}

/// Holds a tensor of `run` before its bytes are converted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawTensor<'a> {
    /// The ONNX number of the element type.
    pub dtype: u8,
    /// The dimensions.
    pub shape: Vec<u64>,
    /// The elements.
    pub data: &'a [u8],
}

impl<'a> RawTensor<'a> {
    /// Reads one tensor of `run`.
    pub fn read(reader: &mut Reader<'a>) -> Read<Self> {
        let dtype = u8::try_from(reader.u64()?).map_err(|_| BadCalldata)?;
        reader.offset(96)?;
        let tail = reader.u64()?;
        let before = reader.at;
        let shape = reader.u64s()?;
        // The data begins where the shape ended: 96 bytes of head, then the shape's words.
        if tail != 96 + (reader.at - before) as u64 {
            return Err(BadCalldata);
        }
        Ok(RawTensor {
            dtype,
            shape,
            data: reader.data()?,
        })
    }

    /// Converts to a tensor; the bytes must be exactly the elements of the shape.
    pub fn to_tensor(&self) -> Read<Tensor> {
        let dtype = DType::from_onnx(i32::from(self.dtype)).ok_or(BadCalldata)?;
        let shape = self
            .shape
            .iter()
            .map(|&size| usize::try_from(size).map_err(|_| BadCalldata))
            .collect::<Read<Vec<_>>>()?;
        let count = element_count(&shape).ok_or(BadCalldata)?;
        let data = elements::decode(dtype, count, self.data).map_err(|_| BadCalldata)?;
        Tensor::new(shape, data).map_err(|_| BadCalldata)
    }
}

#[cfg(test)]
mod tests {
    use alloy_sol_types::SolCall;
    use proptest::prelude::*;

    use super::*;
    use crate::abi::{self, IInference};

    type Owned = (u8, Vec<u64>, Vec<u8>);

    fn raw(calldata: &[u8]) -> Read<(B256, Vec<Owned>)> {
        let mut reader = Reader::new(&calldata[4..]);
        let model = reader.hash()?;
        reader.offset(64)?;
        let tensors = reader.list(RawTensor::read)?;
        reader.end()?;
        let owned = tensors
            .into_iter()
            .map(|t| (t.dtype, t.shape, t.data.to_vec()))
            .collect();
        Ok((model, owned))
    }

    proptest! {
        #[test]
        fn reads_what_solidity_encodes(
            model in any::<[u8; 32]>(),
            tensors in prop::collection::vec(
                (any::<u8>(), prop::collection::vec(any::<u64>(), 0..4), prop::collection::vec(any::<u8>(), 0..70)),
                0..4,
            ),
        ) {
            let inputs = tensors.iter().map(|(dtype, shape, data)| abi::Tensor {
                dtype: *dtype, shape: shape.clone(), data: data.clone().into(),
            }).collect();
            let call = IInference::runCall { model: model.into(), inputs };
            prop_assert_eq!(raw(&call.abi_encode()), Ok((B256::from(model), tensors)));
        }

        #[test]
        fn takes_no_other_bytes(
            at in 0usize..400, bit in 0u8..8,
        ) {
            let inputs = vec![abi::Tensor { dtype: 1, shape: vec![1], data: vec![0, 0, 128, 63].into() }];
            let call = IInference::runCall { model: Default::default(), inputs };
            let mut bytes = call.abi_encode();
            let at = 4 + at % (bytes.len() - 4);
            let before = raw(&bytes);
            bytes[at] ^= 1 << bit;
            // A changed bit is either refused or another value, never the same one.
            prop_assert!(raw(&bytes) != before);
        }
    }

    #[test]
    fn refuses_repeated_tails_and_huge_lengths() {
        let mut words = [[0u8; 32]; 3];
        words[0][31] = 2; // two elements, both at the same offset
        words[1][31] = 64;
        words[2][31] = 64;
        let mut bytes = words.concat();
        bytes.extend([0u8; 32]);
        assert_eq!(Reader::new(&bytes).list(|r| r.u64s()), Err(BadCalldata));
        let huge = [0xffu8; 32];
        assert_eq!(Reader::new(&huge).ints(), Err(BadCalldata));
    }
}
