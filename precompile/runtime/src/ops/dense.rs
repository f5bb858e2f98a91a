//! Dense numbers: the element types that matrix kernels compute in, weights packed in them, and what
//! the operators on matrices share.

use assay_numerics::gemm::{Matrix, PackedB, Real};

use super::CostCx;
use super::work::{WorkFloat, want_float, with_float};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::Tensor;

/// Is a work type that matrix kernels compute in.
pub(crate) trait Dense: Real + WorkFloat {
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
    if want_float(tensor.dtype()).is_err() {
        return Ok(None);
    }
    with_float!(tensor.dtype(), T => {
        let data = T::read(tensor.view())?;
        let matrix = Matrix::row_major(&data, rows, columns);
        let matrix = if transposed { matrix.transposed() } else { matrix };
        Ok(Some(T::wrap_packed(PackedB::new(matrix))))
    })
}

/// Returns the bytes of numbers in the type that a type is computed in.
pub(crate) fn work_bytes(dtype: DType, count: u64) -> u64 {
    let size = match dtype {
        DType::F16 | DType::Bf16 => DType::F32.size_bytes(),
        dtype => dtype.size_bytes(),
    };
    count.saturating_mul(size as u64)
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

/// What one small product takes besides its multiply-adds, in multiply-adds.
const PRODUCT_START: u64 = 768;

/// Elements that each row of a right-hand side counts when the call packs it: even one column is
/// widened to a whole panel.
pub(crate) const PACKED_ROW: u64 = 8;

/// Counts a stack of matrix products, with the elements that packing takes. Integers of 32 and 64 bits have no packed kernel, and narrow
/// floats are widened and rounded one by one.
pub(crate) fn stacked(
    cx: &CostCx<'_>,
    dtype: DType,
    count: u64,
    batches: u64,
    packing: u64,
) -> Result<Cost, OpError> {
    let out = cx.output(0)?.count();
    let (factor, elements) = match dtype {
        dtype if dtype.is_integer() => (3, out.saturating_mul(4)),
        _ => (1, out.saturating_add(narrow_elements(cx, dtype)?)),
    };
    let elements = elements.saturating_add(packing);
    let count = count
        .saturating_mul(factor)
        .saturating_add(batches.saturating_mul(PRODUCT_START));
    Ok(products(cx, dtype, count, elements))
}

/// Counts what 16-bit floats take before and after a product: each is widened, each result rounded.
pub(crate) fn narrow_elements(cx: &CostCx<'_>, dtype: DType) -> Result<u64, OpError> {
    if !matches!(dtype, DType::F16 | DType::Bf16) {
        return Ok(0);
    }
    let ins = cx.input(0)?.count().saturating_add(cx.input(1)?.count());
    Ok(ins.saturating_add(cx.output(0)?.count()))
}

/// Counts multiply-adds and single operations besides the traffic.
pub(crate) fn products(cx: &CostCx<'_>, dtype: DType, count: u64, elements: u64) -> Cost {
    let cost = Cost {
        elements,
        ..cx.traffic()
    };
    macs(dtype, count, cost)
}
