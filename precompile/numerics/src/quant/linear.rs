//! Quantising and dequantising by a scale and a zero point.

use crate::engine::Engine;
use crate::fma::Fma;
use crate::nan::canonical_f32;

/// Is an integer type that quantised numbers are stored in.
pub trait Quantum: Copy + Send + Sync {
    /// Takes a value that fits.
    fn from_i32(x: i32) -> Self;
    /// Widens the value.
    fn to_i32(self) -> i32;
}

macro_rules! quantum {
    ($($t:ty),*) => {$(
        impl Quantum for $t {
            #[inline(always)]
            fn from_i32(x: i32) -> Self {
                x as Self
            }
            #[inline(always)]
            fn to_i32(self) -> i32 {
                self as i32
            }
        }
    )*};
}
quantum!(i8, u8, i16, u16, i32);

/// Bounds quantised values: both ends can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Is the least value.
    pub min: i32,
    /// Is the greatest value.
    pub max: i32,
}

/// Rounds to the nearest integer, ties to even, without the platform's library.
#[inline(always)]
fn round_even(x: f32) -> f32 {
    // Below 2^23 adding and taking off 2^23 rounds exactly so; above, numbers are integers.
    const STEP: f32 = 8_388_608.0;
    let magnitude = f32::from_bits(x.to_bits() & 0x7fff_ffff);
    let rounded = (magnitude + STEP) - STEP;
    let rounded = if magnitude < STEP { rounded } else { magnitude };
    f32::from_bits(rounded.to_bits() | (x.to_bits() & 0x8000_0000))
}

/// Computes one quantised value: clamp(rne(quotient) + zero point), NaN as 0.
#[inline(always)]
fn quantize_one(quotient: f32, zero: i32, range: Range) -> i32 {
    // `as` saturates and turns NaN into 0. The clamp to +-2^24 keeps the sum inside i32.
    let rounded = (round_even(quotient) as i32).clamp(-(1 << 24), 1 << 24);
    (rounded + zero).clamp(range.min, range.max)
}

/// Is about how many numbers a thread takes at once.
const PIECE: usize = 1 << 13;

multiversion! {
    /// Quantises one run of numbers that share scale and zero point.
    fn quantize_run<T: Quantum>(
        x: &[f32], scale: f32, zero: i32, range: Range, out: &mut [T],
    ) = quantize_body;
    /// Dequantises one run of numbers that share scale and zero point.
    fn dequantize_run<T: Quantum>(
        x: &[T], scale: f32, zero: i32, out: &mut [f32],
    ) = dequantize_body;
    /// Requantises one run of 32-bit sums that share scale and zero point.
    fn quantize_sums_run<T: Quantum>(
        x: &[i32], scale: f32, zero: i32, range: Range, out: &mut [T],
    ) = quantize_sums_body;
}

#[inline(always)]
fn quantize_body<F: Fma, T: Quantum>(
    x: &[f32],
    scale: f32,
    zero: i32,
    range: Range,
    out: &mut [T],
) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = T::from_i32(quantize_one(*x / scale, zero, range));
    }
}

#[inline(always)]
fn dequantize_body<F: Fma, T: Quantum>(x: &[T], scale: f32, zero: i32, out: &mut [f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = canonical_f32(x.to_i32().wrapping_sub(zero) as f32 * scale);
    }
}

#[inline(always)]
fn quantize_sums_body<F: Fma, T: Quantum>(
    x: &[i32],
    scale: f32,
    zero: i32,
    range: Range,
    out: &mut [T],
) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = T::from_i32(quantize_one(*x as f32 * scale, zero, range));
    }
}

/// Computes runs of numbers that share scale and zero point; `parameters(i)` gives those of run `i`.
fn by_runs<X: Sync, Y: Send>(
    engine: &Engine,
    (x, out): (&[X], &mut [Y]),
    run: usize,
    parameters: impl Fn(usize) -> (f32, i32) + Sync,
    each: impl Fn(&[X], f32, i32, &mut [Y]) + Sync,
) {
    assert_eq!(x.len(), out.len(), "one output per input");
    let group = (PIECE / run).max(1);
    engine.pool().run_pieces(out, group * run, |piece, out| {
        for (i, out) in out.chunks_mut(run).enumerate() {
            let i = piece * group + i;
            let (scale, zero) = parameters(i);
            each(&x[i * run..][..out.len()], scale, zero, out);
        }
    });
}

/// Stops on zero points whose sum with a quotient could leave 32 bits.
fn check_zero(zero: i32) {
    assert!(zero.unsigned_abs() <= 1 << 24, "zero point {zero}");
}

/// Quantises: `clamp(rne(x / scale) + zero)`, the quotient rounded to f32, NaN as 0.
///
/// The numbers of one run share scale and zero point; `parameters(i)` gives those of run `i`.
///
/// # Panics
/// Panics when the lengths differ, `run` is 0, or |zero| is above 2^24.
// Spec: N-12
pub fn quantize<T: Quantum>(
    engine: &Engine,
    x: &[f32],
    run: usize,
    parameters: impl Fn(usize) -> (f32, i32) + Sync,
    range: Range,
    out: &mut [T],
) {
    by_runs(engine, (x, out), run, parameters, |x, scale, zero, out| {
        check_zero(zero);
        quantize_run(engine, x, scale, zero, range, out);
    });
}

/// Dequantises: `(x - zero) * scale`, the difference wrapping in 32 bits and then rounded to f32.
///
/// # Panics
/// Panics when the lengths differ or `run` is 0.
// Spec: N-12
pub fn dequantize<T: Quantum>(
    engine: &Engine,
    x: &[T],
    run: usize,
    parameters: impl Fn(usize) -> (f32, i32) + Sync,
    out: &mut [f32],
) {
    by_runs(engine, (x, out), run, parameters, |x, scale, zero, out| {
        dequantize_run(engine, x, scale, zero, out);
    });
}

/// Requantises 32-bit sums: `clamp(rne(f32(x) * scale) + zero)`.
///
/// # Panics
/// Panics when the lengths differ, `run` is 0, or |zero| is above 2^24.
// Spec: N-12
pub fn quantize_sums<T: Quantum>(
    engine: &Engine,
    x: &[i32],
    run: usize,
    parameters: impl Fn(usize) -> (f32, i32) + Sync,
    range: Range,
    out: &mut [T],
) {
    by_runs(engine, (x, out), run, parameters, |x, scale, zero, out| {
        check_zero(zero);
        quantize_sums_run(engine, x, scale, zero, range, out);
    });
}

/// Joins the scales of a product and of its result: (a * b) / y, two roundings.
// Spec: N-12
pub fn joined_scale(a: f32, b: f32, y: f32) -> f32 {
    a * b / y
}

/// Quantises to a narrow float: the codes of x / scale + zero, each step rounded to f32.
// Spec: N-12
pub fn scaled_floats(x: &[f32], parameters: impl Fn(usize) -> (f32, f32), out: &mut [f32]) {
    for (i, (x, out)) in x.iter().zip(out).enumerate() {
        let (scale, zero) = parameters(i);
        *out = canonical_f32(*x / scale + zero);
    }
}

/// Dequantises narrow floats: (x - zero) * scale, each step rounded to f32.
// Spec: N-12
pub fn unscaled_floats(x: &[f32], parameters: impl Fn(usize) -> (f32, f32), out: &mut [f32]) {
    for (i, (x, out)) in x.iter().zip(out).enumerate() {
        let (scale, zero) = parameters(i);
        *out = canonical_f32((*x - zero) * scale);
    }
}

/// Chooses scale and zero point of unsigned bytes for the range of `x`, zero included.
///
/// `scale = (max - min) / 255`; `zero = clamp(rne(0 - min / scale), 0, 255)`. An all-zero input
/// (or an empty one) has scale 0 and zero point 0 in this rule; its quotients are NaN, thus 0.
// Spec: N-12
pub fn dynamic_range(x: &[f32]) -> (f32, u8) {
    let mut least = 0.0f32;
    let mut most = 0.0f32;
    for x in x {
        least = if *x < least || x.is_nan() { *x } else { least };
        most = if *x > most || x.is_nan() { *x } else { most };
    }
    let scale = (most - least) / 255.0;
    let zero = quantize_one(0.0 - least / scale, 0, Range { min: 0, max: 255 });
    (canonical_f32(scale), zero as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_ties_to_even_and_keeps_large_numbers() {
        for (x, want) in [
            (0.5, 0.0),
            (1.5, 2.0),
            (-2.5, -2.0),
            (2.5000002, 3.0),
            (8388609.0, 8388609.0),
        ] {
            assert_eq!(round_even(x), want);
        }
        assert!(round_even(f32::NAN).is_nan());
        assert_eq!(round_even(f32::NEG_INFINITY), f32::NEG_INFINITY);
    }

    #[test]
    fn quantising_clamps_and_takes_nan_as_the_zero_point() {
        let engine = Engine::single();
        let x = [
            0.0,
            2.0,
            3.0,
            1000.0,
            -254.0,
            -1000.0,
            f32::NAN,
            f32::INFINITY,
        ];
        let mut out = [0u8; 8];
        quantize(
            &engine,
            &x,
            8,
            |_| (2.0, 128),
            Range { min: 0, max: 255 },
            &mut out,
        );
        assert_eq!(out, [128, 129, 130, 255, 1, 0, 128, 255]);
    }

    #[test]
    fn dequantising_multiplies_the_exact_difference() {
        let engine = Engine::single();
        let mut out = [0.0; 3];
        dequantize(&engine, &[0u8, 3, 255], 3, |_| (2.0, 128), &mut out);
        assert_eq!(out, [-256.0, -250.0, 254.0]);
    }

    #[test]
    fn the_dynamic_range_holds_zero() {
        let (scale, zero) = dynamic_range(&[1.0, 2.0, 5.1]);
        assert_eq!((scale, zero), (5.1 / 255.0, 0));
        let (scale, zero) = dynamic_range(&[-1.0, 1.0]);
        assert_eq!((scale, zero), (2.0 / 255.0, 127));
        assert_eq!(dynamic_range(&[0.0, 0.0]), (0.0, 0));
    }
}
