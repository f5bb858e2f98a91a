//! Operators that move elements without computing on them.
//!
//! They take every element type. Each checks its shapes in `infer`, turns into a [`strided`] copy
//! or an indexed one, and hands that to a kernel generic over the element.

macro_rules! pair_kinds {
    ($to:expr, $from:expr, |$d:ident, $s:ident| $body:expr) => {
        pair_kinds!(@ $to, $from, $d, $s, $body,
            F32 U8 I8 U16 I16 I32 I64 Str Bool F16 F64 U32 U64 Bf16 F8E4M3Fn F8E4M3Fnuz F8E5M2
            F8E5M2Fnuz U4 I4 F4E2M1 F8E8M0 U2 I2)
    };
    (@ $to:expr, $from:expr, $d:ident, $s:ident, $body:expr, $($kind:ident)*) => {
        match ($to, $from) {
            $(($crate::tensor::Data::$kind($d), $crate::tensor::Data::$kind($s)) => $body,)*
            (to, from) => Err($crate::error::OpError::ElementType {
                expected: to.dtype(),
                got: from.dtype(),
            }),
        }
    };
}

pub(crate) mod arrange;
pub(crate) mod concat;
pub(crate) mod gather;
pub(crate) mod pad;
pub(crate) mod repeat;
pub(crate) mod reshape;
pub(crate) mod scatter;
pub(crate) mod slice;
pub(crate) mod strided;
pub(crate) mod transpose;

#[cfg(test)]
mod tests;

use super::{CostCx, axis_in};
use crate::cost::Cost;
use crate::error::OpError;

/// Times a random access takes what a simple operation does.
pub(crate) const SCATTERED: u64 = 6;

/// Counts moving every output element once: what is read is what is written. Pieces may be as short as
/// one element, so elements count besides bytes.
pub(crate) fn moved(cx: &CostCx<'_>) -> Result<Cost, OpError> {
    let (mut bytes, mut elements) = (0u64, 0u64);
    let mut output = 0;
    while let Ok(fact) = cx.output(output) {
        bytes = bytes.saturating_add(fact.size_bytes());
        elements = elements.saturating_add(fact.count());
        output += 1;
    }
    // The first output always has a fact.
    cx.output(0)?;
    Ok(Cost {
        bytes_read: bytes,
        bytes_written: bytes,
        elements,
        ..Cost::default()
    })
}

/// Counts moving every output element by itself, by an index of its own.
pub(crate) fn picked(cx: &CostCx<'_>) -> Result<Cost, OpError> {
    Ok(Cost {
        elements: cx.output(0)?.count().saturating_mul(SCATTERED),
        ..moved(cx)?
    })
}

/// Resolves axes that may count from the end; refuses one that is given twice.
pub(crate) fn axes_in(axes: &[i64], rank: usize) -> Result<Vec<usize>, OpError> {
    let mut found = Vec::with_capacity(axes.len().min(rank));
    for &axis in axes {
        let resolved = axis_in(axis, rank)?;
        if found.contains(&resolved) {
            return Err(OpError::Value {
                what: "axis is given twice",
                got: axis,
            });
        }
        found.push(resolved);
    }
    Ok(found)
}

/// Turns a size of a model into one of this machine.
pub(crate) fn size_from(size: i64, what: &'static str) -> Result<usize, OpError> {
    usize::try_from(size).map_err(|_| OpError::Value { what, got: size })
}

/// Resolves an index that may count from the end.
pub(crate) fn index_in(index: i64, dim: usize) -> Result<usize, OpError> {
    let size = dim as i64;
    if index < -size || index >= size {
        return Err(OpError::Index { index, dim });
    }
    Ok(if index < 0 {
        (index + size) as usize
    } else {
        index as usize
    })
}

/// Multiplies the dimensions of a part of a checked shape.
pub(crate) fn product(dims: &[usize]) -> usize {
    dims.iter().fold(1usize, |n, &dim| n.saturating_mul(dim))
}
