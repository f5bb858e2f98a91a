//! Arrays of four that every machine has: the oracle of the others, and NEON's source on aarch64.

use super::{Real, Simd};
use crate::fma::{Fma, PortableFma};

/// Holds 4 f32 in an array.
#[derive(Clone, Copy)]
pub(crate) struct F32x4;

impl Simd for F32x4 {
    type T = f32;
    type V = [f32; 4];
    const W: usize = 4;

    #[inline(always)]
    unsafe fn splat(x: f32) -> [f32; 4] {
        [x; 4]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> [f32; 4] {
        // SAFETY: the caller promises four numbers.
        unsafe { from.cast::<[f32; 4]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: [f32; 4]) {
        // SAFETY: the caller promises room for four numbers.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn load_part(from: *const f32, len: usize) -> [f32; 4] {
        let mut v = [0.0; 4];
        for (i, v) in v.iter_mut().enumerate().take(len) {
            // SAFETY: the caller promises `len` numbers.
            *v = unsafe { *from.add(i) };
        }
        v
    }
    #[inline(always)]
    unsafe fn store_part(to: *mut f32, len: usize, v: [f32; 4]) {
        for (i, v) in v.iter().enumerate().take(len) {
            // SAFETY: the caller promises room for `len` numbers.
            unsafe { *to.add(i) = *v };
        }
    }
    #[inline(always)]
    unsafe fn fma(a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| PortableFma::fma32(a[i], b[i], c[i]))
    }
    #[inline(always)]
    unsafe fn add(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn mul(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn relu(v: [f32; 4]) -> [f32; 4] {
        v.map(|x| if x <= 0.0 { 0.0 } else { x })
    }
    #[inline(always)]
    unsafe fn canonical(v: [f32; 4]) -> [f32; 4] {
        v.map(Real::canonical)
    }
}

/// Holds 4 f64 in an array.
#[derive(Clone, Copy)]
pub(crate) struct F64x4;

impl Simd for F64x4 {
    type T = f64;
    type V = [f64; 4];
    const W: usize = 4;

    #[inline(always)]
    unsafe fn splat(x: f64) -> [f64; 4] {
        [x; 4]
    }
    #[inline(always)]
    unsafe fn load(from: *const f64) -> [f64; 4] {
        // SAFETY: the caller promises four numbers.
        unsafe { from.cast::<[f64; 4]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f64, v: [f64; 4]) {
        // SAFETY: the caller promises room for four numbers.
        unsafe { to.cast::<[f64; 4]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn load_part(from: *const f64, len: usize) -> [f64; 4] {
        let mut v = [0.0; 4];
        for (i, v) in v.iter_mut().enumerate().take(len) {
            // SAFETY: the caller promises `len` numbers.
            *v = unsafe { *from.add(i) };
        }
        v
    }
    #[inline(always)]
    unsafe fn store_part(to: *mut f64, len: usize, v: [f64; 4]) {
        for (i, v) in v.iter().enumerate().take(len) {
            // SAFETY: the caller promises room for `len` numbers.
            unsafe { *to.add(i) = *v };
        }
    }
    #[inline(always)]
    unsafe fn fma(a: [f64; 4], b: [f64; 4], c: [f64; 4]) -> [f64; 4] {
        std::array::from_fn(|i| PortableFma::fma64(a[i], b[i], c[i]))
    }
    #[inline(always)]
    unsafe fn add(a: [f64; 4], b: [f64; 4]) -> [f64; 4] {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn mul(a: [f64; 4], b: [f64; 4]) -> [f64; 4] {
        std::array::from_fn(|i| a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn relu(v: [f64; 4]) -> [f64; 4] {
        v.map(|x| if x <= 0.0 { 0.0 } else { x })
    }
    #[inline(always)]
    unsafe fn canonical(v: [f64; 4]) -> [f64; 4] {
        v.map(Real::canonical)
    }
}
