//! Attention masks: booleans or numbers, broadcast to the scores.

use std::borrow::Cow;

use assay_numerics::smooth::Smooth;

use super::sizes::Sizes;
use crate::dtype::DType;
use crate::error::OpError;
use crate::ops::broadcast;
use crate::ops::dense::{Dense, refuse};
use crate::ops::work::want_float;
use crate::tensor::{Data, View};

/// Holds a mask broadcast to (sample, head, query, key).
pub(super) enum Mask<'a, T: Clone> {
    None,
    Bool([usize; 4], usize, &'a [bool]),
    Number([usize; 4], usize, Cow<'a, [T]>),
}

impl<'a, T: Dense + Smooth> Mask<'a, T> {
    pub(super) fn read(sizes: &Sizes, view: Option<View<'a>>) -> Result<Self, OpError> {
        let Some(view) = view else {
            return Ok(Mask::None);
        };
        let (strides, keys) = (
            mask_strides(view.shape, sizes),
            mask_keys(view.shape, sizes),
        );
        match view.data {
            Data::Bool(bits) => Ok(Mask::Bool(strides, keys, bits)),
            _ => Ok(Mask::Number(strides, keys, T::read(view)?)),
        }
    }

    /// Returns the number added, `None` where the mask hides the key.
    pub(super) fn at(&self, sample: usize, head: usize, query: usize, key: usize) -> Option<T> {
        let index = |strides: &[usize; 4]| {
            sample * strides[0] + head * strides[1] + query * strides[2] + key * strides[3]
        };
        match self {
            Mask::None => Some(T::ZERO),
            Mask::Bool(strides, keys, bits) => {
                let seen = key < *keys && bits.get(index(strides)).copied().unwrap_or(false);
                seen.then_some(T::ZERO)
            }
            Mask::Number(strides, keys, numbers) if key < *keys => {
                numbers.get(index(strides)).copied()
            }
            Mask::Number(..) => None,
        }
    }
}

/// Returns how many keys a mask speaks of: one number stands for all.
fn mask_keys(shape: &[usize], sizes: &Sizes) -> usize {
    match shape.last() {
        None => sizes.keys(),
        Some(1) if sizes.keys() == 1 || shape.len() == 1 => sizes.keys(),
        Some(keys) => *keys,
    }
}

/// Returns the strides of a mask over (sample, head, query, key), 0 where it is broadcast.
fn mask_strides(shape: &[usize], sizes: &Sizes) -> [usize; 4] {
    let mut strides = [0; 4];
    let mut stride = 1;
    for (d, &dim) in shape.iter().rev().enumerate().take(4) {
        let whole = d == 0 && mask_keys(shape, sizes) == dim;
        strides[3 - d] = if dim == 1 && !whole { 0 } else { stride };
        stride *= dim;
    }
    strides
}

/// Refuses a mask that does not broadcast to the scores; it may have fewer keys.
pub(super) fn check_mask(shape: &[usize], sizes: &Sizes) -> Result<(), OpError> {
    let wrong = || {
        refuse(
            "the mask does not broadcast to the scores",
            &[shape, &sizes.scores()],
        )
    };
    let mut filled = shape.to_vec();
    if let Some(keys) = filled.last_mut() {
        if *keys > sizes.keys() {
            return Err(wrong());
        }
        *keys = sizes.keys();
    }
    match broadcast(&filled, &sizes.scores()) {
        Ok(joined) if joined == sizes.scores() => Ok(()),
        _ => Err(wrong()),
    }
}

/// Refuses masks that are neither booleans nor floats.
pub(super) fn want_mask(dtype: DType) -> Result<(), OpError> {
    if dtype == DType::Bool {
        return Ok(());
    }
    want_float(dtype).map(|_| ())
}
