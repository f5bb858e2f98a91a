//! Element types: the ONNX `TensorProto.DataType` numbers this runtime computes with.

use std::fmt;

/// Names the element type of a tensor; the discriminant is the ONNX number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum DType {
    /// IEEE binary32.
    F32 = 1,
    /// Unsigned 8-bit integer.
    U8 = 2,
    /// Signed 8-bit integer.
    I8 = 3,
    /// Unsigned 16-bit integer.
    U16 = 4,
    /// Signed 16-bit integer.
    I16 = 5,
    /// Signed 32-bit integer.
    I32 = 6,
    /// Signed 64-bit integer.
    I64 = 7,
    /// UTF-8 string.
    Str = 8,
    /// Boolean.
    Bool = 9,
    /// IEEE binary16.
    F16 = 10,
    /// IEEE binary64.
    F64 = 11,
    /// Unsigned 32-bit integer.
    U32 = 12,
    /// Unsigned 64-bit integer.
    U64 = 13,
    /// bfloat16.
    Bf16 = 16,
    /// 8-bit float, 4 exponent bits, no infinity.
    F8E4M3Fn = 17,
    /// 8-bit float, 4 exponent bits, no infinity, no negative zero.
    F8E4M3Fnuz = 18,
    /// 8-bit float, 5 exponent bits.
    F8E5M2 = 19,
    /// 8-bit float, 5 exponent bits, no infinity, no negative zero.
    F8E5M2Fnuz = 20,
    /// Unsigned 4-bit integer, one per byte in memory.
    U4 = 21,
    /// Signed 4-bit integer, one per byte in memory.
    I4 = 22,
    /// 4-bit float, one per byte in memory.
    F4E2M1 = 23,
    /// 8-bit power-of-two scale.
    F8E8M0 = 24,
    /// Unsigned 2-bit integer, one per byte in memory.
    U2 = 25,
    /// Signed 2-bit integer, one per byte in memory.
    I2 = 26,
}

impl DType {
    /// Every element type, in the order of their ONNX numbers.
    pub const ALL: [DType; 24] = [
        DType::F32,
        DType::U8,
        DType::I8,
        DType::U16,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::Str,
        DType::Bool,
        DType::F16,
        DType::F64,
        DType::U32,
        DType::U64,
        DType::Bf16,
        DType::F8E4M3Fn,
        DType::F8E4M3Fnuz,
        DType::F8E5M2,
        DType::F8E5M2Fnuz,
        DType::U4,
        DType::I4,
        DType::F4E2M1,
        DType::F8E8M0,
        DType::U2,
        DType::I2,
    ];

    /// Finds the type with an ONNX number; complex types and undefined give `None`.
    pub fn from_onnx(number: i32) -> Option<DType> {
        Self::ALL
            .into_iter()
            .find(|dtype| i32::from(dtype.onnx()) == number)
    }

    /// Returns the ONNX number.
    pub fn onnx(self) -> u8 {
        self as u8
    }

    /// Returns the bytes one element takes in memory; a string counts its handle.
    pub fn size_bytes(self) -> usize {
        match self {
            DType::F64 | DType::I64 | DType::U64 => 8,
            DType::F32 | DType::I32 | DType::U32 => 4,
            DType::F16 | DType::Bf16 | DType::I16 | DType::U16 => 2,
            DType::Str => 24,
            _ => 1,
        }
    }

    /// Says whether the type is a floating-point format.
    pub fn is_float(self) -> bool {
        matches!(
            self,
            DType::F32
                | DType::F64
                | DType::F16
                | DType::Bf16
                | DType::F8E4M3Fn
                | DType::F8E4M3Fnuz
                | DType::F8E5M2
                | DType::F8E5M2Fnuz
                | DType::F4E2M1
                | DType::F8E8M0
        )
    }

    /// Says whether the type is an integer of any width.
    pub fn is_integer(self) -> bool {
        !self.is_float() && !matches!(self, DType::Str | DType::Bool)
    }

    /// Returns the name ONNX documents use.
    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "float32",
            DType::U8 => "uint8",
            DType::I8 => "int8",
            DType::U16 => "uint16",
            DType::I16 => "int16",
            DType::I32 => "int32",
            DType::I64 => "int64",
            DType::Str => "string",
            DType::Bool => "bool",
            DType::F16 => "float16",
            DType::F64 => "float64",
            DType::U32 => "uint32",
            DType::U64 => "uint64",
            DType::Bf16 => "bfloat16",
            DType::F8E4M3Fn => "float8e4m3fn",
            DType::F8E4M3Fnuz => "float8e4m3fnuz",
            DType::F8E5M2 => "float8e5m2",
            DType::F8E5M2Fnuz => "float8e5m2fnuz",
            DType::U4 => "uint4",
            DType::I4 => "int4",
            DType::F4E2M1 => "float4e2m1",
            DType::F8E8M0 => "float8e8m0",
            DType::U2 => "uint2",
            DType::I2 => "int2",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_by_its_number() {
        for dtype in DType::ALL {
            assert_eq!(DType::from_onnx(i32::from(dtype.onnx())), Some(dtype));
        }
        for missing in [-1, 0, 14, 15, 27, 255] {
            assert_eq!(DType::from_onnx(missing), None);
        }
    }
}
