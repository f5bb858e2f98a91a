//! Stored tensors to runtime tensors: every count is checked before anything is allocated.

use assay_numerics::half::{Bf16, F16};

use crate::dtype::DType;
use crate::error::{LoadError, TensorError};
use crate::limits::Limits;
use crate::onnx::proto::tensor_proto::DataLocation;
use crate::onnx::proto::{SparseTensorProto, TensorProto};
use crate::onnx::weights::Buffer;
use crate::tensor::{Data, Tensor};

/// Converts a stored tensor.
pub fn import_tensor(proto: &TensorProto, limits: &Limits) -> Result<Tensor, LoadError> {
    convert(proto, limits).map_err(|why| named(proto, why))
}

fn named(proto: &TensorProto, why: TensorError) -> LoadError {
    let name = proto.name().chars().take(120).collect();
    LoadError::Tensor { name, why }
}

/// Converts a stored tensor whose raw bytes are `len` ones at `start` of a buffer, and cuts the buffer
/// there.
pub(super) fn import_from(
    header: &TensorProto,
    buffer: &mut Buffer,
    start: usize,
    len: usize,
    limits: &Limits,
) -> Result<Tensor, LoadError> {
    convert_from(header, buffer, start, len, limits).map_err(|why| named(header, why))
}

/// Converts a stored sparse tensor to a dense one.
pub fn import_sparse(proto: &SparseTensorProto, limits: &Limits) -> Result<Tensor, LoadError> {
    let name = proto.values.as_ref().map(|v| v.name()).unwrap_or_default();
    convert_sparse(proto, limits).map_err(|why| LoadError::Tensor {
        name: name.chars().take(120).collect(),
        why,
    })
}

fn convert(proto: &TensorProto, limits: &Limits) -> Result<Tensor, TensorError> {
    let (dtype, shape, count) = describe(proto, limits)?;
    let data = match proto.raw_data.as_deref() {
        Some(raw) if dtype != DType::Str => from_raw(dtype, raw, count)?,
        _ => from_fields(proto, dtype, count)?,
    };
    tensor(shape, data, count)
}

/// Converts raw bytes at the end of a buffer, which shrinks step by step where elements are whole.
fn convert_from(
    header: &TensorProto,
    buffer: &mut Buffer,
    start: usize,
    len: usize,
    limits: &Limits,
) -> Result<Tensor, TensorError> {
    /// Bytes converted before the buffer shrinks: whole elements of every type.
    const STEP: usize = 1 << 20;
    let (dtype, shape, count) = describe(header, limits)?;
    let size = dtype.size_bytes();
    let wrong = || TensorError::Length {
        expected: (count as u64).saturating_mul(size as u64),
        got: len as u64,
    };
    let whole = matches!(dtype, DType::F32 | DType::F64 | DType::F16 | DType::Bf16);
    if !whole || count.checked_mul(size) != Some(len) {
        let raw = buffer.bytes().get(start..).and_then(|raw| raw.get(..len));
        let data = from_raw(dtype, raw.ok_or_else(wrong)?, count)?;
        buffer.cut(start);
        return tensor(shape, data, count);
    }
    let mut data = Data::zeros(dtype, count);
    for begin in (0..len).step_by(STEP).rev() {
        let raw = buffer.bytes().get(start + begin..).unwrap_or_default();
        let raw = raw.get(..STEP.min(len - begin)).ok_or_else(wrong)?;
        data.place(begin / size, &from_raw(dtype, raw, raw.len() / size)?);
        buffer.cut(start + begin);
    }
    tensor(shape, data, count)
}

fn tensor(shape: Vec<usize>, data: Data, count: usize) -> Result<Tensor, TensorError> {
    // A wrong count was refused before; the constructor holds the invariant.
    Tensor::new(shape, data).map_err(|_| TensorError::Length {
        expected: count as u64,
        got: 0,
    })
}

/// Checks what stands before the elements and gives type, shape and count.
fn describe(
    proto: &TensorProto,
    limits: &Limits,
) -> Result<(DType, Vec<usize>, usize), TensorError> {
    if proto.segment.is_some() {
        return Err(TensorError::Segment);
    }
    if proto.data_location() == DataLocation::External || !proto.external_data.is_empty() {
        return Err(TensorError::External);
    }
    let dtype = DType::from_onnx(proto.data_type()).ok_or(TensorError::Type(proto.data_type()))?;
    let (shape, count) = import_shape(&proto.dims, limits)?;
    Ok((dtype, shape, count))
}

fn import_shape(dims: &[i64], limits: &Limits) -> Result<(Vec<usize>, usize), TensorError> {
    if dims.len() as u64 > limits.rank {
        return Err(TensorError::Rank {
            rank: dims.len(),
            limit: limits.rank,
        });
    }
    let too_many = || TensorError::Elements {
        shape: dims.to_vec(),
        limit: limits.elements,
    };
    let mut shape = Vec::with_capacity(dims.len());
    let mut count: u64 = 1;
    for &dim in dims {
        let size = u64::try_from(dim).map_err(|_| TensorError::NegativeDim(dim))?;
        if size > limits.elements {
            return Err(too_many());
        }
        shape.push(size as usize);
        count = count.checked_mul(size.max(1)).ok_or_else(too_many)?;
    }
    if count > limits.elements {
        return Err(too_many());
    }
    Ok((
        shape.clone(),
        if shape.contains(&0) {
            0
        } else {
            count as usize
        },
    ))
}

fn from_raw(dtype: DType, raw: &[u8], count: usize) -> Result<Data, TensorError> {
    let per_byte = match dtype {
        DType::U4 | DType::I4 | DType::F4E2M1 => 2,
        DType::U2 | DType::I2 => 4,
        _ => 1,
    };
    let expected = match per_byte {
        1 => count * dtype.size_bytes(),
        n => count.div_ceil(n),
    };
    if raw.len() != expected {
        return Err(TensorError::Length {
            expected: expected as u64,
            got: raw.len() as u64,
        });
    }
    macro_rules! little_endian {
        ($t:ty) => {
            raw.chunks_exact(size_of::<$t>())
                .map(|b| <$t>::from_le_bytes(b.try_into().expect("invariant: chunk of the size")))
                .collect()
        };
    }
    Ok(match dtype {
        DType::F32 => Data::F32(little_endian!(f32)),
        DType::F64 => Data::F64(little_endian!(f64)),
        DType::I8 => Data::I8(raw.iter().map(|&b| b as i8).collect()),
        DType::I16 => Data::I16(little_endian!(i16)),
        DType::I32 => Data::I32(little_endian!(i32)),
        DType::I64 => Data::I64(little_endian!(i64)),
        DType::U16 => Data::U16(little_endian!(u16)),
        DType::U32 => Data::U32(little_endian!(u32)),
        DType::U64 => Data::U64(little_endian!(u64)),
        DType::Bool => Data::Bool(raw.iter().map(|&b| b != 0).collect()),
        DType::F16 => {
            let bits: Vec<u16> = little_endian!(u16);
            Data::F16(bits.into_iter().map(F16).collect())
        }
        DType::Bf16 => {
            let bits: Vec<u16> = little_endian!(u16);
            Data::Bf16(bits.into_iter().map(Bf16).collect())
        }
        DType::U8 => Data::U8(raw.to_vec()),
        DType::F8E4M3Fn => Data::F8E4M3Fn(raw.to_vec()),
        DType::F8E4M3Fnuz => Data::F8E4M3Fnuz(raw.to_vec()),
        DType::F8E5M2 => Data::F8E5M2(raw.to_vec()),
        DType::F8E5M2Fnuz => Data::F8E5M2Fnuz(raw.to_vec()),
        DType::F8E8M0 => Data::F8E8M0(raw.to_vec()),
        DType::U4 => Data::U4(unpack(raw, 4, count)),
        DType::F4E2M1 => Data::F4E2M1(unpack(raw, 4, count)),
        DType::U2 => Data::U2(unpack(raw, 2, count)),
        DType::I4 => Data::I4(unpack(raw, 4, count).into_iter().map(sign4).collect()),
        DType::I2 => Data::I2(unpack(raw, 2, count).into_iter().map(sign2).collect()),
        DType::Str => return Err(TensorError::Type(i32::from(dtype.onnx()))),
    })
}

/// Unpacks fields of `bits` bits, the lowest first.
fn unpack(raw: &[u8], bits: usize, count: usize) -> Vec<u8> {
    let mask = (1u8 << bits) - 1;
    let per_byte = 8 / bits;
    raw.iter()
        .flat_map(|&byte| (0..per_byte).map(move |i| (byte >> (i * bits)) & mask))
        .take(count)
        .collect()
}

fn sign4(code: u8) -> i8 {
    ((code << 4) as i8) >> 4
}

fn sign2(code: u8) -> i8 {
    ((code << 6) as i8) >> 6
}

fn from_fields(proto: &TensorProto, dtype: DType, count: usize) -> Result<Data, TensorError> {
    let check = |got: usize, expected: usize| {
        if got == expected {
            Ok(())
        } else {
            Err(TensorError::Length {
                expected: expected as u64,
                got: got as u64,
            })
        }
    };
    macro_rules! narrow {
        ($field:ident, $t:ty) => {{
            check(proto.$field.len(), count)?;
            proto
                .$field
                .iter()
                .map(|&v| <$t>::try_from(v).map_err(|_| TensorError::Range(v as i64)))
                .collect::<Result<Vec<$t>, _>>()?
        }};
    }
    Ok(match dtype {
        DType::F32 => {
            check(proto.float_data.len(), count)?;
            Data::F32(proto.float_data.clone())
        }
        DType::F64 => {
            check(proto.double_data.len(), count)?;
            Data::F64(proto.double_data.clone())
        }
        DType::I64 => {
            check(proto.int64_data.len(), count)?;
            Data::I64(proto.int64_data.clone())
        }
        DType::U64 => {
            check(proto.uint64_data.len(), count)?;
            Data::U64(proto.uint64_data.clone())
        }
        DType::U32 => Data::U32(narrow!(uint64_data, u32)),
        DType::I32 => {
            check(proto.int32_data.len(), count)?;
            Data::I32(proto.int32_data.clone())
        }
        DType::I8 => Data::I8(narrow!(int32_data, i8)),
        DType::I16 => Data::I16(narrow!(int32_data, i16)),
        DType::U8 => Data::U8(narrow!(int32_data, u8)),
        DType::U16 => Data::U16(narrow!(int32_data, u16)),
        DType::Bool => Data::Bool(
            narrow!(int32_data, u8)
                .into_iter()
                .map(|v| v != 0)
                .collect(),
        ),
        DType::F16 => Data::F16(narrow!(int32_data, u16).into_iter().map(F16).collect()),
        DType::Bf16 => Data::Bf16(narrow!(int32_data, u16).into_iter().map(Bf16).collect()),
        DType::F8E4M3Fn => Data::F8E4M3Fn(narrow!(int32_data, u8)),
        DType::F8E4M3Fnuz => Data::F8E4M3Fnuz(narrow!(int32_data, u8)),
        DType::F8E5M2 => Data::F8E5M2(narrow!(int32_data, u8)),
        DType::F8E5M2Fnuz => Data::F8E5M2Fnuz(narrow!(int32_data, u8)),
        DType::F8E8M0 => Data::F8E8M0(narrow!(int32_data, u8)),
        DType::U4 | DType::I4 | DType::F4E2M1 | DType::U2 | DType::I2 => {
            // Packed fields, one byte of them in each 32-bit integer.
            let bytes: Vec<u8> = proto.int32_data.iter().map(|&v| v as u8).collect();
            from_raw(dtype, &bytes, count)?
        }
        DType::Str => {
            check(proto.string_data.len(), count)?;
            let text = proto.string_data.iter().map(|bytes| {
                std::str::from_utf8(bytes)
                    .map(str::to_owned)
                    .map_err(|_| TensorError::Utf8)
            });
            Data::Str(text.collect::<Result<_, _>>()?)
        }
    })
}

fn convert_sparse(proto: &SparseTensorProto, limits: &Limits) -> Result<Tensor, TensorError> {
    let (shape, count) = import_shape(&proto.dims, limits)?;
    let values = convert(proto.values.as_ref().ok_or(TensorError::Sparse)?, limits)?;
    let indices = convert(proto.indices.as_ref().ok_or(TensorError::Sparse)?, limits)?;
    let Data::I64(index) = indices.data() else {
        return Err(TensorError::Sparse);
    };
    let n = values.data().len();
    let flat: Vec<usize> = match indices.shape() {
        [len] if *len == n => index
            .iter()
            .map(|&i| usize::try_from(i).map_err(|_| TensorError::Sparse))
            .collect::<Result<_, _>>()?,
        [len, rank] if *len == n && *rank == shape.len() && *rank > 0 => index
            .chunks_exact(*rank)
            .map(|coordinates| flatten(coordinates, &shape))
            .collect::<Result<_, _>>()?,
        _ => return Err(TensorError::Sparse),
    };
    let mut dense = Data::zeros(values.dtype(), count);
    scatter(&mut dense, values.data(), &flat)?;
    Tensor::new(shape, dense).map_err(|_| TensorError::Sparse)
}

fn flatten(coordinates: &[i64], shape: &[usize]) -> Result<usize, TensorError> {
    coordinates
        .iter()
        .zip(shape)
        .try_fold(0usize, |flat, (&c, &dim)| match usize::try_from(c) {
            Ok(c) if c < dim => Ok(flat * dim + c),
            _ => Err(TensorError::Sparse),
        })
}

fn scatter(dense: &mut Data, values: &Data, flat: &[usize]) -> Result<(), TensorError> {
    macro_rules! place {
        ($($kind:ident)*) => {
            match (dense, values) {
                $((Data::$kind(to), Data::$kind(from)) => {
                    for (&at, value) in flat.iter().zip(from) {
                        *to.get_mut(at).ok_or(TensorError::Sparse)? = value.clone();
                    }
                    Ok(())
                })*
                _ => Err(TensorError::Sparse),
            }
        };
    }
    place!(F32 F64 F16 Bf16 I8 I16 I32 I64 U8 U16 U32 U64 Bool Str)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn proto(dtype: DType, dims: &[i64], raw: &[u8]) -> TensorProto {
        TensorProto {
            dims: dims.to_vec(),
            data_type: Some(i32::from(dtype.onnx())),
            raw_data: Some(Bytes::copy_from_slice(raw)),
            ..Default::default()
        }
    }

    fn why(proto: &TensorProto) -> TensorError {
        convert(proto, &Limits::default()).expect_err("must be refused")
    }

    #[test]
    fn reads_little_endian_floats() {
        let tensor = import_tensor(
            &proto(DType::F32, &[2], &[0, 0, 128, 63, 0, 0, 0, 192]),
            &Limits::default(),
        );
        assert_eq!(tensor.unwrap().as_slice::<f32>().unwrap(), &[1.0, -2.0]);
    }

    #[test]
    fn unpacks_four_bit_integers_lowest_first() {
        let tensor =
            import_tensor(&proto(DType::I4, &[3], &[0x7f, 0x08]), &Limits::default()).unwrap();
        assert_eq!(tensor.data(), &Data::I4(vec![-1, 7, -8]));
    }

    #[test]
    fn refuses_raw_bytes_that_do_not_fill_the_shape() {
        assert_eq!(
            why(&proto(DType::F32, &[2], &[0; 7])),
            TensorError::Length {
                expected: 8,
                got: 7
            }
        );
    }

    #[test]
    fn refuses_dimensions_that_wrap_to_zero() {
        let dims = [1 << 32, 1 << 32];
        assert!(matches!(
            why(&proto(DType::F32, &dims, &[])),
            TensorError::Elements { .. }
        ));
        let dims = [0, 1 << 27, 1 << 27];
        assert!(matches!(
            why(&proto(DType::F32, &dims, &[])),
            TensorError::Elements { .. }
        ));
        assert_eq!(
            why(&proto(DType::F32, &[-1], &[])),
            TensorError::NegativeDim(-1)
        );
    }

    #[test]
    fn refuses_external_data_and_unknown_types() {
        let mut external = proto(DType::F32, &[0], &[]);
        external.data_location = Some(DataLocation::External as i32);
        assert_eq!(why(&external), TensorError::External);
        let mut complex = proto(DType::F32, &[0], &[]);
        complex.data_type = Some(14);
        assert_eq!(why(&complex), TensorError::Type(14));
    }
}
