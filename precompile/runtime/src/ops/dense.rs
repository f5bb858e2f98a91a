//! Dense numbers: the element types that matrix kernels compute in, and how the others reach them.
//!
//! f16 and bf16 are widened to f32, computed and rounded once for each node (Spec: N-10).

use std::borrow::Cow;

use assay_numerics::cast::{CastTo, cast};
use assay_numerics::gemm::{Matrix, PackedB, Real};
use assay_numerics::half::{Bf16, F16};

use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Data, Element, Out, Tensor, View};

/// Is f32 or f64, and reads and writes every float type that computes in it.
pub(crate) trait Dense: Real + Element {
    /// Reads a tensor, widening narrower floats.
    fn read<'a>(view: View<'a>) -> Result<Cow<'a, [Self]>, OpError>;
    /// Lets `f` write a tensor's elements, rounding once where the tensor's type is narrower.
    fn write<R>(
        out: &mut Out<'_>,
        f: impl FnOnce(&mut [Self]) -> Result<R, OpError>,
    ) -> Result<R, OpError>;
    /// Converts an attribute's value.
    fn of(value: f32) -> Self;
    /// Finds weights packed in this type.
    fn unwrap(packed: &Packed) -> Option<&PackedB<Self>>;
    /// Wraps packed weights.
    fn wrap_packed(packed: PackedB<Self>) -> Packed;
}

/// Holds a constant right-hand side, packed at load.
pub(crate) enum Packed {
    F32(PackedB<f32>),
    F64(PackedB<f64>),
}

impl Dense for f32 {
    fn read<'a>(view: View<'a>) -> Result<Cow<'a, [f32]>, OpError> {
        match view.data {
            Data::F32(v) => Ok(Cow::Borrowed(v)),
            Data::F16(v) => Ok(Cow::Owned(widened(v))),
            Data::Bf16(v) => Ok(Cow::Owned(widened(v))),
            other => Err(want(other.dtype())),
        }
    }

    fn write<R>(
        out: &mut Out<'_>,
        f: impl FnOnce(&mut [f32]) -> Result<R, OpError>,
    ) -> Result<R, OpError> {
        match &mut *out.data {
            Data::F32(v) => f(v),
            Data::F16(v) => narrowed::<F16, R>(v, f),
            Data::Bf16(v) => narrowed::<Bf16, R>(v, f),
            other => Err(want(other.dtype())),
        }
    }

    fn of(value: f32) -> f32 {
        value
    }

    fn unwrap(packed: &Packed) -> Option<&PackedB<f32>> {
        match packed {
            Packed::F32(packed) => Some(packed),
            Packed::F64(_) => None,
        }
    }

    fn wrap_packed(packed: PackedB<f32>) -> Packed {
        Packed::F32(packed)
    }
}

impl Dense for f64 {
    fn read<'a>(view: View<'a>) -> Result<Cow<'a, [f64]>, OpError> {
        view.as_slice::<f64>().map(Cow::Borrowed)
    }

    fn write<R>(
        out: &mut Out<'_>,
        f: impl FnOnce(&mut [f64]) -> Result<R, OpError>,
    ) -> Result<R, OpError> {
        f(out.as_mut::<f64>()?)
    }

    fn of(value: f32) -> f64 {
        f64::from(value)
    }

    fn unwrap(packed: &Packed) -> Option<&PackedB<f64>> {
        match packed {
            Packed::F64(packed) => Some(packed),
            Packed::F32(_) => None,
        }
    }

    fn wrap_packed(packed: PackedB<f64>) -> Packed {
        Packed::F64(packed)
    }
}

fn want(got: DType) -> OpError {
    OpError::Type {
        what: "a float tensor",
        got,
    }
}

fn widened<S: CastTo<f32>>(source: &[S]) -> Vec<f32> {
    let mut wide = vec![0.0; source.len()];
    cast(source, &mut wide);
    wide
}

fn narrowed<D, R>(
    out: &mut [D],
    f: impl FnOnce(&mut [f32]) -> Result<R, OpError>,
) -> Result<R, OpError>
where
    f32: CastTo<D>,
{
    let mut wide = vec![0.0; out.len()];
    let result = f(&mut wide)?;
    cast(&wide, out);
    Ok(result)
}

/// Runs `$body` with `$T` the type a float element type is computed in.
macro_rules! with_dense {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            $crate::dtype::DType::F64 => {
                type $T = f64;
                $body
            }
            $crate::dtype::DType::F32 | $crate::dtype::DType::F16 | $crate::dtype::DType::Bf16 => {
                type $T = f32;
                $body
            }
            other => Err($crate::error::OpError::Type {
                what: "a float tensor",
                got: other,
            }),
        }
    };
}
pub(crate) use with_dense;

/// Refuses types that are not f16, bf16, f32 or f64.
pub(crate) fn want_dense(dtype: DType) -> Result<DType, OpError> {
    match dtype {
        DType::F32 | DType::F16 | DType::Bf16 | DType::F64 => Ok(dtype),
        other => Err(want(other)),
    }
}

/// Refuses a second element type that differs from the first.
pub(crate) fn want_equal(expected: DType, got: DType) -> Result<(), OpError> {
    if expected == got {
        Ok(())
    } else {
        Err(OpError::ElementType { expected, got })
    }
}

/// Refuses shapes, saying why.
pub(crate) fn refuse(why: &'static str, shapes: &[&[usize]]) -> OpError {
    OpError::Shape {
        why,
        shapes: shapes.iter().map(|shape| shape.to_vec()).collect(),
    }
}

/// Multiplies counts, saturating.
pub(crate) fn product(dims: &[usize]) -> u64 {
    dims.iter()
        .fold(1u64, |n, &dim| n.saturating_mul(dim as u64))
}

/// Packs a constant matrix, transposed or not; `None` when it is no float matrix.
pub(crate) fn pack(tensor: Option<&Tensor>, transposed: bool) -> Result<Option<Packed>, OpError> {
    let Some(tensor) = tensor else {
        return Ok(None);
    };
    let &[rows, columns] = tensor.shape() else {
        return Ok(None);
    };
    if want_dense(tensor.dtype()).is_err() {
        return Ok(None);
    }
    with_dense!(tensor.dtype(), T => {
        let data = T::read(tensor.view())?;
        let matrix = Matrix::row_major(&data, rows, columns);
        let matrix = if transposed { matrix.transposed() } else { matrix };
        Ok(Some(T::wrap_packed(PackedB::new(matrix))))
    })
}

/// Files multiply-adds under their kind.
pub(crate) fn macs(dtype: DType, macs: u64, cost: Cost) -> Cost {
    match dtype {
        DType::F64 => Cost {
            macs_f64: macs,
            ..cost
        },
        dtype if dtype.is_integer() => Cost {
            macs_int: macs,
            ..cost
        },
        _ => Cost {
            macs_f32: macs,
            ..cost
        },
    }
}
