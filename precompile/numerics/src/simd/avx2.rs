//! AVX2 registers with FMA.

use std::arch::x86_64::*;

use super::{Real, Simd};

/// Gives, from position `8 - len` on, `len` words with the sign bit set, then zeros.
static MASK_32: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
static MASK_64: [i64; 8] = [-1, -1, -1, -1, 0, 0, 0, 0];

/// Holds 8 f32 in one register.
#[derive(Clone, Copy)]
pub(crate) struct F32x8;

// SAFETY of the blocks below: the trait's contract (AVX2 and FMA are enabled, pointers are valid).
impl Simd for F32x8 {
    type T = f32;
    type V = __m256;
    const W: usize = 8;

    #[inline(always)]
    unsafe fn fetch(line: *const f32) {
        // SAFETY: a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.cast()) }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> __m256 {
        // SAFETY: by contract.
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        // SAFETY: by contract.
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: __m256) {
        // SAFETY: by contract.
        unsafe { _mm256_storeu_ps(to, v) }
    }
    #[inline(always)]
    unsafe fn load_part(from: *const f32, len: usize) -> __m256 {
        // SAFETY: by contract; len < 8, so the mask lies inside the table; masked lanes are not
        // read.
        unsafe {
            let mask = _mm256_loadu_si256(MASK_32.as_ptr().add(8 - len).cast());
            _mm256_maskload_ps(from, mask)
        }
    }
    #[inline(always)]
    unsafe fn store_part(to: *mut f32, len: usize, v: __m256) {
        // SAFETY: as in `load_part`.
        unsafe {
            let mask = _mm256_loadu_si256(MASK_32.as_ptr().add(8 - len).cast());
            _mm256_maskstore_ps(to, mask, v);
        }
    }
    #[inline(always)]
    unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: by contract.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        // SAFETY: by contract.
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        // SAFETY: by contract.
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn relu(v: __m256) -> __m256 {
        // SAFETY: by contract.
        unsafe {
            let keep = _mm256_cmp_ps::<_CMP_NLE_UQ>(v, _mm256_setzero_ps());
            _mm256_and_ps(keep, v)
        }
    }
    #[inline(always)]
    unsafe fn canonical(v: __m256) -> __m256 {
        // SAFETY: by contract.
        unsafe {
            let nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(v, v);
            _mm256_blendv_ps(v, _mm256_set1_ps(<f32 as Real>::NAN), nan)
        }
    }
}

/// Holds 4 f64 in one register.
#[derive(Clone, Copy)]
pub(crate) struct F64x4;

// SAFETY of the blocks below: the trait's contract (AVX2 and FMA are enabled, pointers are valid).
impl Simd for F64x4 {
    type T = f64;
    type V = __m256d;
    const W: usize = 4;

    #[inline(always)]
    unsafe fn fetch(line: *const f64) {
        // SAFETY: a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.cast()) }
    }
    #[inline(always)]
    unsafe fn splat(x: f64) -> __m256d {
        // SAFETY: by contract.
        unsafe { _mm256_set1_pd(x) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f64) -> __m256d {
        // SAFETY: by contract.
        unsafe { _mm256_loadu_pd(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f64, v: __m256d) {
        // SAFETY: by contract.
        unsafe { _mm256_storeu_pd(to, v) }
    }
    #[inline(always)]
    unsafe fn load_part(from: *const f64, len: usize) -> __m256d {
        // SAFETY: by contract; len < 4, so the mask lies inside the table; masked lanes are not
        // read.
        unsafe {
            let mask = _mm256_loadu_si256(MASK_64.as_ptr().add(4 - len).cast());
            _mm256_maskload_pd(from, mask)
        }
    }
    #[inline(always)]
    unsafe fn store_part(to: *mut f64, len: usize, v: __m256d) {
        // SAFETY: as in `load_part`.
        unsafe {
            let mask = _mm256_loadu_si256(MASK_64.as_ptr().add(4 - len).cast());
            _mm256_maskstore_pd(to, mask, v);
        }
    }
    #[inline(always)]
    unsafe fn fma(a: __m256d, b: __m256d, c: __m256d) -> __m256d {
        // SAFETY: by contract.
        unsafe { _mm256_fmadd_pd(a, b, c) }
    }
    #[inline(always)]
    unsafe fn add(a: __m256d, b: __m256d) -> __m256d {
        // SAFETY: by contract.
        unsafe { _mm256_add_pd(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m256d, b: __m256d) -> __m256d {
        // SAFETY: by contract.
        unsafe { _mm256_mul_pd(a, b) }
    }
    #[inline(always)]
    unsafe fn relu(v: __m256d) -> __m256d {
        // SAFETY: by contract.
        unsafe {
            let keep = _mm256_cmp_pd::<_CMP_NLE_UQ>(v, _mm256_setzero_pd());
            _mm256_and_pd(keep, v)
        }
    }
    #[inline(always)]
    unsafe fn canonical(v: __m256d) -> __m256d {
        // SAFETY: by contract.
        unsafe {
            let nan = _mm256_cmp_pd::<_CMP_UNORD_Q>(v, v);
            _mm256_blendv_pd(v, _mm256_set1_pd(<f64 as Real>::NAN), nan)
        }
    }
}
