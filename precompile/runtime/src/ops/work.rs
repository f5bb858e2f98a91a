//! Work types: the element types kernels compute in, and how the others reach them.
//!
//! f16 and bf16 are widened to f32, computed and rounded once for each node (Spec: N-10).

use std::borrow::Cow;

use assay_numerics::Engine;
use assay_numerics::cast::{CastTo, cast};
use assay_numerics::half::{Bf16, F16};
use assay_numerics::math;
use assay_numerics::math::Transcendental;
use assay_numerics::softmax::{Softmax, softmax_f32, softmax_f64};

use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Data, Element, Out, View};

/// Is f32 or f64, and reads and writes every float type that computes in it.
pub(crate) trait WorkFloat: Element + Copy {
    /// Reads a tensor, widening narrower floats.
    fn read<'a>(view: View<'a>) -> Result<Cow<'a, [Self]>, OpError>;
    /// Lets `f` write a tensor's elements, rounding once where the tensor's type is narrower.
    fn write<R>(
        out: &mut Out<'_>,
        f: impl FnOnce(&mut [Self]) -> Result<R, OpError>,
    ) -> Result<R, OpError>;
    /// Converts an attribute's value.
    fn of(value: f32) -> Self;
}

impl WorkFloat for f32 {
    fn read<'a>(view: View<'a>) -> Result<Cow<'a, [f32]>, OpError> {
        match view.data {
            Data::F32(v) => Ok(Cow::Borrowed(v)),
            Data::F16(v) => Ok(Cow::Owned(widened(v))),
            Data::Bf16(v) => Ok(Cow::Owned(widened(v))),
            other => Err(no_float(other.dtype())),
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
            other => Err(no_float(other.dtype())),
        }
    }

    fn of(value: f32) -> f32 {
        value
    }
}

impl WorkFloat for f64 {
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
}

/// Is a work type with the functions that round more than once by themselves.
pub(crate) trait Work: Transcendental + WorkFloat {
    /// Computes softmax or its logarithm along the middle axis of `[outer, n, inner]`.
    fn softmax(
        engine: &Engine,
        kind: Softmax,
        extent: (usize, usize),
        x: &[Self],
        out: &mut [Self],
    );
    /// Raises broadcast pairs to powers.
    fn power(engine: &Engine, x: &[Self], y: &[Self], out: &mut [Self]);
}

impl Work for f32 {
    fn softmax(
        engine: &Engine,
        kind: Softmax,
        (n, inner): (usize, usize),
        x: &[f32],
        out: &mut [f32],
    ) {
        softmax_f32(engine, kind, n, inner, x, out);
    }

    fn power(engine: &Engine, x: &[f32], y: &[f32], out: &mut [f32]) {
        math::pow_f32(engine, x, y, out);
    }
}

impl Work for f64 {
    fn softmax(
        engine: &Engine,
        kind: Softmax,
        (n, inner): (usize, usize),
        x: &[f64],
        out: &mut [f64],
    ) {
        softmax_f64(engine, kind, n, inner, x, out);
    }

    fn power(engine: &Engine, x: &[f64], y: &[f64], out: &mut [f64]) {
        math::pow_f64(engine, x, y, out);
    }
}

fn no_float(got: DType) -> OpError {
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

/// Says whether kernels compute a type in f32 or f64.
pub(crate) fn is_work_float(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F16 | DType::Bf16 | DType::F64)
}

/// Refuses types that are not f16, bf16, f32 or f64.
pub(crate) fn want_float(dtype: DType) -> Result<DType, OpError> {
    if is_work_float(dtype) {
        Ok(dtype)
    } else {
        Err(no_float(dtype))
    }
}

/// Refuses a second element type that differs from the first.
pub(crate) fn want_same(expected: DType, got: DType) -> Result<(), OpError> {
    if expected == got {
        Ok(())
    } else {
        Err(OpError::ElementType { expected, got })
    }
}

/// Runs `$body` with `$T` the work type of a float element type.
macro_rules! with_float {
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

/// Runs `$body` with `$T` an integer element type.
macro_rules! with_integer {
    ($dtype:expr, $T:ident => $body:expr) => {
        $crate::ops::work::with_types!($dtype, $T => $body; "an integer tensor";
            I8: i8, I16: i16, I32: i32, I64: i64, U8: u8, U16: u16, U32: u32, U64: u64)
    };
}

/// Runs `$body` with `$T` any element type that stands for itself in memory.
macro_rules! with_plain {
    ($dtype:expr, $T:ident => $body:expr) => {
        $crate::ops::work::with_types!($dtype, $T => $body; "a number, bool or string tensor";
            I8: i8, I16: i16, I32: i32, I64: i64, U8: u8, U16: u16, U32: u32, U64: u64,
            F32: f32, F64: f64, F16: assay_numerics::half::F16, Bf16: assay_numerics::half::Bf16,
            Bool: bool, Str: String)
    };
}

macro_rules! with_types {
    ($dtype:expr, $T:ident => $body:expr; $what:literal; $($kind:ident: $t:ty),*) => {
        match $dtype {
            $($crate::dtype::DType::$kind => {
                type $T = $t;
                $body
            })*
            other => Err($crate::error::OpError::Type { what: $what, got: other }),
        }
    };
}

pub(crate) use {with_float, with_integer, with_plain, with_types};
