//! Dot products of unsigned by signed bytes: AVX-512 VNNI, AVX2 by 16-bit products, portable.
//!
//! No path saturates: `vpmaddubsw` does, and is not used.
#![allow(unsafe_code)]

use super::pack::{PANEL, PackedBytes};
use crate::engine::Engine;
use crate::isa::Isa;

/// Is the number of rows of A multiplied at a time.
pub(crate) const STRIP_ROWS: usize = 12;

/// Is some rows of A, packed.
#[derive(Clone, Copy)]
pub(crate) struct Strip<'a> {
    pub(crate) quads: &'a [u8],
    pub(crate) rows: usize,
}

/// Holds the sums of one strip and one panel.
type Sums = [[i32; PANEL]; STRIP_ROWS];

/// Multiplies a strip by every panel, into row-major sums.
pub(crate) fn multiply_strip(engine: &Engine, strip: Strip<'_>, b: &PackedBytes, out: &mut [i32]) {
    let [_, n] = b.shape();
    let mut sums: Sums = [[0; PANEL]; STRIP_ROWS];
    for (index, start) in (0..n).step_by(PANEL).enumerate() {
        let columns = (n - start).min(PANEL);
        tile(engine, strip, b.panel(index), columns, &mut sums);
        for (row, sums) in out.chunks_exact_mut(n).zip(&sums) {
            row[start..start + columns].copy_from_slice(&sums[..columns]);
        }
    }
}

/// Computes the sums of one strip and one panel (columns beyond `columns` may be left alone).
fn tile(engine: &Engine, strip: Strip<'_>, panel: &[i8], columns: usize, sums: &mut Sums) {
    let quads = panel.len() / (PANEL * 4);
    assert!(
        strip.quads.len() >= quads * STRIP_ROWS * 4,
        "a strip holds all k"
    );
    #[cfg(target_arch = "x86_64")]
    {
        let a = strip.quads.as_ptr();
        let b = panel.as_ptr();
        if engine.vnni() {
            // SAFETY: the engine says that this machine has VNNI; the lengths were checked.
            return unsafe { x86::vnni_tile(strip.rows, columns > 16, quads, a, b, sums) };
        }
        if engine.isa() >= Isa::Avx2 {
            // SAFETY: as above, for AVX2.
            return unsafe { x86::avx2_tile(strip.rows, columns, quads, a, b, sums) };
        }
    }
    let _ = (engine, columns, Isa::Portable);
    portable_tile(strip, panel, sums);
}

/// Computes one tile on any machine: the oracle of the others.
pub(crate) fn portable_tile(strip: Strip<'_>, panel: &[i8], sums: &mut Sums) {
    for (i, sums) in sums.iter_mut().enumerate().take(strip.rows) {
        sums.fill(0);
        for (a, b) in strip
            .quads
            .chunks_exact(STRIP_ROWS * 4)
            .zip(panel.chunks_exact(PANEL * 4))
        {
            let a = &a[i * 4..][..4];
            let [a0, a1, a2, a3] = [0, 1, 2, 3].map(|l| i32::from(a[l]));
            for (sum, b) in sums.iter_mut().zip(b.chunks_exact(4)) {
                let low = a0 * i32::from(b[0]) + a1 * i32::from(b[1]);
                let high = a2 * i32::from(b[2]) + a3 * i32::from(b[3]);
                *sum = sum.wrapping_add(low + high);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{PANEL, STRIP_ROWS, Sums};
    use std::arch::x86_64::*;

    /// Runs the tile whose number of rows is known when compiling.
    ///
    /// # Safety
    /// VNNI is available; `a` and `b` hold `quads` groups of a strip and a panel.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    pub(super) unsafe fn vnni_tile(
        rows: usize,
        wide: bool,
        quads: usize,
        a: *const u8,
        b: *const i8,
        sums: &mut Sums,
    ) {
        macro_rules! pick {
            ($($rows:literal)*) => {
                match (rows, wide) {
                    // SAFETY: the caller's promise.
                    $(($rows, true) => unsafe { vnni::<$rows, 2>(quads, a, b, sums) },
                    // SAFETY: the caller's promise.
                    ($rows, false) => unsafe { vnni::<$rows, 1>(quads, a, b, sums) },)*
                    _ => {}
                }
            };
        }
        pick!(1 2 3 4 5 6 7 8 9 10 11 12);
    }

    /// Adds four products per lane and step, in 32 bits without saturation.
    ///
    /// # Safety
    /// As for [`vnni_tile`].
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    unsafe fn vnni<const MR: usize, const NV: usize>(
        quads: usize,
        a: *const u8,
        b: *const i8,
        sums: &mut Sums,
    ) {
        let mut acc = [[_mm512_setzero_si512(); NV]; MR];
        for quad in 0..quads {
            // SAFETY: group `quad` of the strip and of the panel exist; reads are unaligned.
            unsafe {
                let a = a.add(quad * STRIP_ROWS * 4);
                let b = b.add(quad * PANEL * 4);
                let mut columns = [_mm512_setzero_si512(); NV];
                for (v, column) in columns.iter_mut().enumerate() {
                    *column = _mm512_loadu_si512(b.add(v * 64).cast());
                }
                for (i, row) in acc.iter_mut().enumerate() {
                    let x = _mm512_set1_epi32(a.add(i * 4).cast::<i32>().read_unaligned());
                    for (sum, column) in row.iter_mut().zip(columns) {
                        *sum = _mm512_dpbusd_epi32(*sum, x, column);
                    }
                }
            }
        }
        for (row, sums) in acc.iter().zip(sums.iter_mut()) {
            for (v, sum) in row.iter().enumerate() {
                // SAFETY: a row of sums has room for two registers.
                unsafe { _mm512_storeu_si512(sums.as_mut_ptr().add(v * 16).cast(), *sum) };
            }
        }
    }

    /// Computes a tile two rows and sixteen columns at a time.
    ///
    /// # Safety
    /// AVX2 is available; `a` and `b` hold `quads` groups of a strip and a panel.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn avx2_tile(
        rows: usize,
        columns: usize,
        quads: usize,
        a: *const u8,
        b: *const i8,
        sums: &mut Sums,
    ) {
        for start in (0..columns.next_multiple_of(16)).step_by(16) {
            for i in (0..rows).step_by(2) {
                let pair = rows - i >= 2;
                // SAFETY: rows i and (for a pair) i + 1, columns start to start + 16 exist.
                unsafe {
                    let (a, b) = (a.add(i * 4), b.add(start * 4));
                    if pair {
                        avx2::<2>(quads, a, b, &mut sums[i..], start);
                    } else {
                        avx2::<1>(quads, a, b, &mut sums[i..], start);
                    }
                }
            }
        }
    }

    /// Multiplies in 16 bits: each 32-bit lane holds two exact products of one column.
    ///
    /// # Safety
    /// As for [`avx2_tile`].
    #[target_feature(enable = "avx2")]
    unsafe fn avx2<const MR: usize>(
        quads: usize,
        a: *const u8,
        b: *const i8,
        sums: &mut [[i32; PANEL]],
        start: usize,
    ) {
        let mut acc = [[_mm256_setzero_si256(); 4]; MR];
        for quad in 0..quads {
            // SAFETY: group `quad` of the strip and of the panel exist; reads are unaligned.
            unsafe {
                let a = a.add(quad * STRIP_ROWS * 4);
                let b = b.add(quad * PANEL * 4);
                let mut x = [_mm256_setzero_si256(); MR];
                for (i, x) in x.iter_mut().enumerate() {
                    let bytes = _mm_set1_epi32(a.add(i * 4).cast::<i32>().read_unaligned());
                    *x = _mm256_cvtepu8_epi16(bytes);
                }
                for v in 0..4 {
                    let four = _mm_loadu_si128(b.add(v * 16).cast());
                    let column = _mm256_cvtepi8_epi16(four);
                    for (row, x) in acc.iter_mut().zip(x) {
                        row[v] = _mm256_add_epi32(row[v], _mm256_madd_epi16(x, column));
                    }
                }
            }
        }
        for (row, sums) in acc.iter().zip(sums.iter_mut()) {
            for (v, lanes) in row.iter().enumerate() {
                let mut pairs = [0i32; 8];
                // SAFETY: the array holds 32 bytes.
                unsafe { _mm256_storeu_si256(pairs.as_mut_ptr().cast(), *lanes) };
                for (j, pair) in pairs.chunks_exact(2).enumerate() {
                    sums[start + v * 4 + j] = pair[0].wrapping_add(pair[1]);
                }
            }
        }
    }
}
