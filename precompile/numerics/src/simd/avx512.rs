//! AVX-512 registers.

use std::arch::x86_64::*;

use super::{Real, Simd};

/// Holds 16 f32 in one register.
#[derive(Clone, Copy)]
pub(crate) struct F32x16;

// SAFETY of the blocks below: the trait's contract (AVX-512 is enabled, pointers are valid).
impl Simd for F32x16 {
    type T = f32;
    type V = __m512;
    const W: usize = 16;

    #[inline(always)]
    unsafe fn fetch(line: *const f32) {
        // SAFETY: a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.cast()) }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        // SAFETY: by contract.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        // SAFETY: by contract.
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: __m512) {
        // SAFETY: by contract.
        unsafe { _mm512_storeu_ps(to, v) }
    }
    #[inline(always)]
    unsafe fn load_part(from: *const f32, len: usize) -> __m512 {
        // SAFETY: by contract; masked lanes are not read.
        unsafe { _mm512_maskz_loadu_ps(((1u32 << len) - 1) as u16, from) }
    }
    #[inline(always)]
    unsafe fn store_part(to: *mut f32, len: usize, v: __m512) {
        // SAFETY: by contract; masked lanes are not written.
        unsafe { _mm512_mask_storeu_ps(to, ((1u32 << len) - 1) as u16, v) }
    }
    #[inline(always)]
    unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: by contract.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        // SAFETY: by contract.
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        // SAFETY: by contract.
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn relu(v: __m512) -> __m512 {
        // SAFETY: by contract.
        unsafe {
            let keep = _mm512_cmp_ps_mask::<_CMP_NLE_UQ>(v, _mm512_setzero_ps());
            _mm512_maskz_mov_ps(keep, v)
        }
    }
    #[inline(always)]
    unsafe fn canonical(v: __m512) -> __m512 {
        // SAFETY: by contract.
        unsafe {
            let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(v, v);
            _mm512_mask_mov_ps(v, nan, _mm512_set1_ps(<f32 as Real>::NAN))
        }
    }
    #[inline(always)]
    unsafe fn store_columns<const MR: usize>(
        rows: &[__m512; MR],
        to: *mut f32,
        stride: usize,
        lanes: usize,
        count: usize,
    ) {
        const { assert!(MR < 32) };
        // SAFETY: by contract; masked numbers are not written.
        unsafe {
            let columns = transpose(rows);
            let mask = ((1u32 << count) - 1) as u16;
            for (j, column) in columns.iter().enumerate().take(lanes) {
                _mm512_mask_storeu_ps(to.add(j * stride), mask, *column);
            }
        }
    }
}

/// Turns up to 16 rows into 16 columns; numbers of rows that are missing are zero.
///
/// # Safety
/// AVX-512 is enabled.
#[inline(always)]
unsafe fn transpose<const MR: usize>(rows: &[__m512; MR]) -> [__m512; 16] {
    // SAFETY: these instructions touch registers only.
    unsafe {
        let mut r = [_mm512_setzero_ps(); 16];
        for (r, row) in r.iter_mut().zip(rows) {
            *r = *row;
        }
        // Pairs of rows, then fours: lane L of r[4 q + j] holds column 4 L + j of rows 4 q to 4 q + 3.
        for pair in r.as_chunks_mut::<2>().0 {
            let [a, b] = *pair;
            *pair = [_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)];
        }
        for four in r.as_chunks_mut::<4>().0 {
            let [a, b, c, d] = four.map(|row| _mm512_castps_pd(row));
            let columns = [
                _mm512_unpacklo_pd(a, c),
                _mm512_unpackhi_pd(a, c),
                _mm512_unpacklo_pd(b, d),
                _mm512_unpackhi_pd(b, d),
            ];
            *four = columns.map(|column| _mm512_castpd_ps(column));
        }
        let mut columns = [_mm512_setzero_ps(); 16];
        for j in 0..4 {
            let even = [
                _mm512_shuffle_f32x4::<0x88>(r[j], r[4 + j]),
                _mm512_shuffle_f32x4::<0x88>(r[8 + j], r[12 + j]),
            ];
            let odd = [
                _mm512_shuffle_f32x4::<0xdd>(r[j], r[4 + j]),
                _mm512_shuffle_f32x4::<0xdd>(r[8 + j], r[12 + j]),
            ];
            columns[j] = _mm512_shuffle_f32x4::<0x88>(even[0], even[1]);
            columns[4 + j] = _mm512_shuffle_f32x4::<0x88>(odd[0], odd[1]);
            columns[8 + j] = _mm512_shuffle_f32x4::<0xdd>(even[0], even[1]);
            columns[12 + j] = _mm512_shuffle_f32x4::<0xdd>(odd[0], odd[1]);
        }
        columns
    }
}

/// Holds 8 f64 in one register.
#[derive(Clone, Copy)]
pub(crate) struct F64x8;

// SAFETY of the blocks below: the trait's contract (AVX-512 is enabled, pointers are valid).
impl Simd for F64x8 {
    type T = f64;
    type V = __m512d;
    const W: usize = 8;

    #[inline(always)]
    unsafe fn fetch(line: *const f64) {
        // SAFETY: a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.cast()) }
    }
    #[inline(always)]
    unsafe fn splat(x: f64) -> __m512d {
        // SAFETY: by contract.
        unsafe { _mm512_set1_pd(x) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f64) -> __m512d {
        // SAFETY: by contract.
        unsafe { _mm512_loadu_pd(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f64, v: __m512d) {
        // SAFETY: by contract.
        unsafe { _mm512_storeu_pd(to, v) }
    }
    #[inline(always)]
    unsafe fn load_part(from: *const f64, len: usize) -> __m512d {
        // SAFETY: by contract; masked lanes are not read.
        unsafe { _mm512_maskz_loadu_pd(((1u32 << len) - 1) as u8, from) }
    }
    #[inline(always)]
    unsafe fn store_part(to: *mut f64, len: usize, v: __m512d) {
        // SAFETY: by contract; masked lanes are not written.
        unsafe { _mm512_mask_storeu_pd(to, ((1u32 << len) - 1) as u8, v) }
    }
    #[inline(always)]
    unsafe fn fma(a: __m512d, b: __m512d, c: __m512d) -> __m512d {
        // SAFETY: by contract.
        unsafe { _mm512_fmadd_pd(a, b, c) }
    }
    #[inline(always)]
    unsafe fn add(a: __m512d, b: __m512d) -> __m512d {
        // SAFETY: by contract.
        unsafe { _mm512_add_pd(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m512d, b: __m512d) -> __m512d {
        // SAFETY: by contract.
        unsafe { _mm512_mul_pd(a, b) }
    }
    #[inline(always)]
    unsafe fn relu(v: __m512d) -> __m512d {
        // SAFETY: by contract.
        unsafe {
            let keep = _mm512_cmp_pd_mask::<_CMP_NLE_UQ>(v, _mm512_setzero_pd());
            _mm512_maskz_mov_pd(keep, v)
        }
    }
    #[inline(always)]
    unsafe fn canonical(v: __m512d) -> __m512d {
        // SAFETY: by contract.
        unsafe {
            let nan = _mm512_cmp_pd_mask::<_CMP_UNORD_Q>(v, v);
            _mm512_mask_mov_pd(v, nan, _mm512_set1_pd(<f64 as Real>::NAN))
        }
    }
}
