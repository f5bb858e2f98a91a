//! The border to candle: weights in, tensors across, and our kernels as candle's custom operators.
//!
//! candle holds tensors, places them on devices and reads safetensors; it never rounds a number for
//! us. A model built from candle's tensors gets bits that every validator finds by applying
//! [`MatMul`] and [`Softmax`] instead of candle's own kernels (docs/adr/0001-where-candle-is.md).

mod safetensors;

use assay_numerics::Engine;
use assay_numerics::gemm::{Epilogue, Matrix, Rhs, gemm};
use assay_numerics::half::{Bf16, F16};
use assay_numerics::softmax::{Softmax as Kind, softmax_f32};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Device, Layout, Shape, WithDType};
use thiserror::Error;

pub use self::safetensors::read_safetensors;
use crate::dtype::DType;
use crate::tensor::{Data, Tensor};

/// Says why a tensor does not cross the border.
#[derive(Debug, Error)]
pub enum CandleError {
    /// candle has no such element type.
    #[error("candle has no {0} tensors")]
    Type(DType),
    /// This runtime does not take candle's element type.
    #[error("candle's {0:?} tensors are not supported")]
    CandleType(candle_core::DType),
    /// A tensor of the file exceeds a limit.
    #[error("tensor {name:?} has {got} elements, the limit is {limit}")]
    TooLarge {
        /// The tensor.
        name: String,
        /// The limit.
        limit: u64,
        /// Its elements.
        got: u64,
    },
    /// The file, its header or its count of tensors exceeds a limit.
    #[error("{what}: {got} exceeds the limit of {limit}")]
    Limit {
        /// What is bounded.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// What the file has.
        got: u64,
    },
    /// The header is shorter or longer than the file says.
    #[error("the file says {says} bytes of header, {got} follow")]
    Header {
        /// The length in the first eight bytes.
        says: u64,
        /// The bytes after those.
        got: u64,
    },
    /// The header is not the JSON object it should be.
    #[error("the header is not an object of tensors: {0}")]
    Json(String),
    /// Two tensors have one name.
    #[error("two tensors are named {0:?}")]
    Duplicate(String),
    /// candle refused.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// Copies a tensor to candle, on the CPU.
pub fn to_candle(tensor: &Tensor) -> Result<candle_core::Tensor, CandleError> {
    let shape = Shape::from(tensor.shape());
    let cpu = &Device::Cpu;
    fn make<T: WithDType>(
        values: Vec<T>,
        shape: Shape,
        device: &Device,
    ) -> Result<candle_core::Tensor, CandleError> {
        Ok(candle_core::Tensor::from_vec(values, shape, device)?)
    }
    match tensor.data() {
        Data::F32(v) => make(v.clone(), shape, cpu),
        Data::F64(v) => make(v.clone(), shape, cpu),
        Data::I64(v) => make(v.clone(), shape, cpu),
        Data::I32(v) => make(v.clone(), shape, cpu),
        Data::I16(v) => make(v.clone(), shape, cpu),
        Data::U8(v) => make(v.clone(), shape, cpu),
        Data::U32(v) => make(v.clone(), shape, cpu),
        // The same bits under candle's names for the two half formats.
        Data::F16(v) => make(
            v.iter().map(|h| half::f16::from_bits(h.0)).collect(),
            shape,
            cpu,
        ),
        Data::Bf16(v) => make(
            v.iter().map(|h| half::bf16::from_bits(h.0)).collect(),
            shape,
            cpu,
        ),
        other => Err(CandleError::Type(other.dtype())),
    }
}

/// Copies a tensor from candle, from whatever device it is on.
pub fn from_candle(tensor: &candle_core::Tensor) -> Result<Tensor, CandleError> {
    let flat = tensor.to_device(&Device::Cpu)?.flatten_all()?;
    let data = match flat.dtype() {
        candle_core::DType::F32 => Data::F32(flat.to_vec1()?),
        candle_core::DType::F64 => Data::F64(flat.to_vec1()?),
        candle_core::DType::I64 => Data::I64(flat.to_vec1()?),
        candle_core::DType::I32 => Data::I32(flat.to_vec1()?),
        candle_core::DType::I16 => Data::I16(flat.to_vec1()?),
        candle_core::DType::U8 => Data::U8(flat.to_vec1()?),
        candle_core::DType::U32 => Data::U32(flat.to_vec1()?),
        candle_core::DType::F16 => {
            let bits = flat.to_vec1::<half::f16>()?;
            Data::F16(bits.into_iter().map(|h| F16(h.to_bits())).collect())
        }
        candle_core::DType::BF16 => {
            let bits = flat.to_vec1::<half::bf16>()?;
            Data::Bf16(bits.into_iter().map(|h| Bf16(h.to_bits())).collect())
        }
        other => return Err(CandleError::CandleType(other)),
    };
    Tensor::new(tensor.dims().to_vec(), data)
        .map_err(|error| CandleError::Candle(candle_core::Error::Msg(error.to_string())))
}

/// Multiplies two contiguous f32 matrices by rule N-2; use with `Tensor::apply_op2_no_bwd`.
#[derive(Debug)]
pub struct MatMul<'a> {
    /// The engine the kernel runs on.
    pub engine: &'a Engine,
}

impl CustomOp2 for MatMul<'_> {
    fn name(&self) -> &'static str {
        "assay-matmul"
    }

    fn cpu_fwd(
        &self,
        left: &CpuStorage,
        left_layout: &Layout,
        right: &CpuStorage,
        right_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (m, k) = left_layout.shape().dims2()?;
        let (inner, n) = right_layout.shape().dims2()?;
        if inner != k {
            candle_core::bail!("assay-matmul: {m}x{k} does not multiply {inner}x{n}");
        }
        let a = contiguous(self.name(), left, left_layout)?;
        let b = contiguous(self.name(), right, right_layout)?;
        let mut out = vec![0f32; m * n];
        let b = Rhs::Plain(Matrix::row_major(b, k, n));
        gemm(
            self.engine,
            Matrix::row_major(a, m, k),
            b,
            &Epilogue::default(),
            &mut out,
            n,
        );
        Ok((CpuStorage::F32(out), Shape::from((m, n))))
    }
}

/// Computes softmax over the last axis of a contiguous f32 tensor by rule N-6.
#[derive(Debug)]
pub struct Softmax<'a> {
    /// The engine the kernel runs on.
    pub engine: &'a Engine,
}

impl CustomOp1 for Softmax<'_> {
    fn name(&self) -> &'static str {
        "assay-softmax"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let x = contiguous(self.name(), storage, layout)?;
        let n = layout.shape().dims().last().copied().unwrap_or(1);
        let mut out = vec![0f32; x.len()];
        if n > 0 {
            softmax_f32(self.engine, Kind::Plain, n, 1, x, &mut out);
        }
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }
}

fn contiguous<'s>(
    name: &'static str,
    storage: &'s CpuStorage,
    layout: &Layout,
) -> candle_core::Result<&'s [f32]> {
    let values = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => Err(candle_core::Error::RequiresContiguous { op: name }.bt()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    fn tensor(shape: &[usize]) -> Tensor {
        let count: usize = shape.iter().product();
        let values = (0..count)
            .map(|i| (i * 37 % 101) as f32 / 101.0 - 0.5)
            .collect();
        Tensor::from_vec(shape, values).unwrap()
    }

    #[test]
    fn tensors_survive_the_round_trip() {
        for data in [
            Data::F32(vec![1.0, -0.0]),
            Data::F64(vec![1.0, 2.0]),
            Data::I64(vec![-1, i64::MAX]),
            Data::U8(vec![0, 255]),
            Data::F16(vec![F16(0x3c00), F16(0x8000)]),
            Data::Bf16(vec![Bf16(0x3f80), Bf16(1)]),
        ] {
            let tensor = Tensor::new([2, 1], data).unwrap();
            assert_eq!(from_candle(&to_candle(&tensor).unwrap()).unwrap(), tensor);
        }
        let text = Tensor::from_vec([1], vec![String::new()]).unwrap();
        assert!(matches!(
            to_candle(&text),
            Err(CandleError::Type(DType::Str))
        ));
    }

    #[test]
    fn candle_models_get_the_bits_of_our_kernels() {
        let engine = Engine::single();
        let (a, b) = (tensor(&[5, 70]), tensor(&[70, 9]));
        let product = to_candle(&a)
            .unwrap()
            .apply_op2_no_bwd(&to_candle(&b).unwrap(), &MatMul { engine: &engine })
            .unwrap();
        let mut expected = vec![0f32; 45];
        for (at, out) in expected.iter_mut().enumerate() {
            for k in 0..70 {
                let left = a.as_slice::<f32>().unwrap()[at / 9 * 70 + k];
                let right = b.as_slice::<f32>().unwrap()[k * 9 + at % 9];
                *out = assay_numerics::fma::fma_f32(left, right, *out);
            }
        }
        assert_eq!(
            from_candle(&product).unwrap().as_slice::<f32>().unwrap(),
            expected
        );
        let soft = product
            .apply_op1_no_bwd(&Softmax { engine: &engine })
            .unwrap();
        let sums = soft
            .sum_keepdim(1)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-6));
    }

    #[test]
    fn safetensors_are_read_by_name_and_damage_is_refused() {
        let file = std::env::temp_dir().join(format!("assay-{}.safetensors", std::process::id()));
        let tensors = std::collections::HashMap::from([
            ("b".to_owned(), to_candle(&tensor(&[2, 3])).unwrap()),
            ("a".to_owned(), to_candle(&tensor(&[4])).unwrap()),
        ]);
        candle_core::safetensors::save(&tensors, &file).unwrap();
        let bytes = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        let read = read_safetensors(&bytes, &Limits::default()).unwrap();
        assert_eq!(
            read,
            [
                ("a".to_owned(), tensor(&[4])),
                ("b".to_owned(), tensor(&[2, 3]))
            ]
        );
        let small = Limits {
            elements: 5,
            ..Limits::default()
        };
        assert!(matches!(
            read_safetensors(&bytes, &small),
            Err(CandleError::TooLarge {
                got: 6,
                limit: 5,
                ..
            })
        ));
        for end in 0..bytes.len() {
            assert!(read_safetensors(&bytes[..end], &Limits::default()).is_err());
        }
        let mut huge = bytes.clone();
        huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(read_safetensors(&huge, &Limits::default()).is_err());
    }
}
