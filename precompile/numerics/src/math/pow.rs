//! Powers, f32 and f64: an f64 lane whose error is tested for f32, wide arithmetic for the rest.

use super::exp::exp_f64;
use super::log::ln_f64;
use super::step::Step;
use super::unary::BLOCK;
use super::wide::Wide;
use super::wide::functions as wide;
use super::wide::rounding::{BINARY32, BINARY64, Format, Rounded, round, settle};
use crate::engine::Engine;
use crate::fma::{PortableFma, SoftFma};
use crate::nan::{CANONICAL_F64, canonical_f32, canonical_f64};

/// Bounds the relative error of the f64 lane: y ln x is below 128 with three roundings of 2^-52.
const LANE_ERROR: f64 = f64::from_bits((1023 - 42) << 52);

/// Bounds |y ln x| in the lane: beyond, the result is zero or infinite.
const LANE_BOUND: f64 = 120.0;

/// Bounds |y ln x| for f64 results in the same way.
const WIDE_BOUND: f64 = 760.0;

/// Is the number of elements a thread takes at once.
const PIECE: usize = 4096;

/// Computes |x|^y for a finite x other than zero, with an error below [`LANE_ERROR`].
#[inline(always)]
fn lane<S: Step>(x: f32, y: f32) -> f64 {
    let exponent = f64::from(y) * ln_f64::<S>(f64::from(x.abs()));
    let exponent = if exponent > LANE_BOUND {
        LANE_BOUND
    } else {
        exponent
    };
    exp_f64::<S>(if exponent < -LANE_BOUND {
        -LANE_BOUND
    } else {
        exponent
    })
}

/// Rounds the lane's result and gives it x's sign; tells also whether that is certainly right.
#[inline(always)]
fn settle_lane(x: f32, y: f32, result: f64) -> (f32, bool) {
    let low = (result - result * LANE_ERROR) as f32;
    let high = (result + result * LANE_ERROR) as f32;
    // A conversion saturates, so an exponent it does not give back is no integer or a large one.
    let integer = y as i32;
    let sign_known = (x > 0.0) | (integer as f32 == y);
    let finite = (x != 0.0) & (x.abs() < f32::INFINITY) & (y.abs() < f32::INFINITY);
    let negative = (x < 0.0) & (integer & 1 == 1);
    let value = if negative {
        -(result as f32)
    } else {
        result as f32
    };
    (value, (low == high) & sign_known & finite)
}

/// Computes x^y, correctly rounded, with the special cases of IEEE 754's pow.
// Spec: N-8.3
pub fn pow(x: f32, y: f32) -> f32 {
    let (value, certain) = settle_lane(x, y, lane::<PortableFma>(x, y));
    if certain { value } else { rare(x, y) }
}

/// Computes x^y, correctly rounded, with the special cases of IEEE 754's pow, in f64.
// Spec: N-8.3
pub(super) fn pow_double(x: f64, y: f64) -> f64 {
    if y == 2.0 {
        canonical_f64(x * x)
    } else if y == 0.5 && x >= 0.0 {
        // The power of -0 is +0.
        (x + 0.0).sqrt()
    } else if y == -1.0 {
        canonical_f64(1.0 / x)
    } else {
        power(x, y, BINARY64)
    }
}

/// Computes a power that the lane leaves open.
#[cold]
#[inline(never)]
fn rare(x: f32, y: f32) -> f32 {
    canonical_f32(power(f64::from(x), f64::from(y), BINARY32) as f32)
}

/// Computes x^y, rounded to a format that x and y belong to.
fn power(x: f64, y: f64, format: Format) -> f64 {
    if y == 0.0 || x == 1.0 {
        return 1.0;
    }
    if x.is_nan() || y.is_nan() {
        return CANONICAL_F64;
    }
    let whole = y == y.trunc();
    // Above 2^53 every number is even.
    let odd = whole && y.abs() < 9_007_199_254_740_992.0 && (y as i64) & 1 == 1;
    let sign = if odd { 1f64.copysign(x) } else { 1.0 };
    if y.is_infinite() {
        return if x == -1.0 {
            1.0
        } else if (x.abs() > 1.0) == (y > 0.0) {
            f64::INFINITY
        } else {
            0.0
        };
    }
    if x == 0.0 || x.is_infinite() {
        return sign
            * if (x == 0.0) == (y > 0.0) {
                0.0
            } else {
                f64::INFINITY
            };
    }
    if x < 0.0 && !whole {
        return CANONICAL_F64;
    }
    sign * positive(x.abs(), y, format)
}

/// Computes x^y for finite x > 0 and finite y.
fn positive(x: f64, y: f64, format: Format) -> f64 {
    if let Some((mantissa, exponent)) = exact_power(x, y) {
        let exact = Wide::<2>::from_int(mantissa).scaled(exponent);
        return match round(&exact, format, 128) {
            Rounded::Certain(result) | Rounded::Unsure(result) => result,
        };
    }
    // Subnormal numbers are scaled: the f64 logarithm wants a normal one.
    let scaled = x < f64::MIN_POSITIVE;
    let ln = if scaled {
        ln_f64::<SoftFma>(x * 18_014_398_509_481_984.0) - 54.0 * std::f64::consts::LN_2
    } else {
        ln_f64::<SoftFma>(x)
    };
    let estimate = y * ln;
    if estimate > WIDE_BOUND {
        f64::INFINITY
    } else if estimate < -WIDE_BOUND {
        0.0
    } else if estimate.abs() < f64::from_bits((1023 - 56) << 52) {
        // Under a quarter ulp from 1, and x^y is not 1.
        1.0
    } else {
        settle!(format, N => wide::pow(Wide::<N>::from_f64(x), Wide::from_f64(y)))
    }
}

/// Computes x^y = m 2^e where m has at most 54 bits, so that it may be the middle of two results;
/// elsewhere it has more bits or is irrational.
///
/// Let x = m 2^e with m odd, y = n / 2^k with n odd or k = 0. The power is rational only if m and 2^e
/// are 2^k-th powers. Then it is that root to the n-th; m > 1 to a negative power is no binary
/// fraction, and m^n of at most 54 bits wants n <= 34.
fn exact_power(x: f64, y: f64) -> Option<(u64, i64)> {
    let (mut mantissa, mut exponent) = odd_part(x);
    let (numerator, mut shift) = odd_part(y.abs());
    let sign = if y < 0.0 { -1 } else { 1 };
    while shift < 0 {
        let root = integer_root(mantissa)?;
        if exponent % 2 != 0 {
            return None;
        }
        // 1 is its own root: only the exponent ends the loop, and it halves each time.
        (mantissa, exponent, shift) = (root, exponent / 2, shift + 1);
        if mantissa == 1 && exponent == 0 {
            return Some((1, 0));
        }
    }
    if shift > 12 || (mantissa > 1 && (sign < 0 || shift > 5)) {
        return None;
    }
    let power = numerator.checked_mul(1 << shift)?;
    if mantissa == 1 {
        let power = i64::try_from(power).ok()?.checked_mul(sign * exponent)?;
        return (power.abs() < 4096).then_some((1, power));
    }
    let power = u32::try_from(power).ok().filter(|&power| power <= 34)?;
    let mantissa = mantissa.checked_pow(power).filter(|m| *m < 1 << 54)?;
    Some((mantissa, exponent * i64::from(power)))
}

/// Splits a positive finite number into an odd integer and a power of two.
fn odd_part(x: f64) -> (u64, i64) {
    let bits = x.to_bits();
    let field = (bits >> 52) as i64;
    let fraction = bits & ((1 << 52) - 1);
    let (mantissa, exponent) = if field == 0 {
        (fraction, -1074)
    } else {
        (fraction | 1 << 52, field - 1075)
    };
    let zeros = mantissa.trailing_zeros();
    (mantissa >> zeros, exponent + i64::from(zeros))
}

/// Computes the square root of an integer below 2^53 if it is an integer.
fn integer_root(x: u64) -> Option<u64> {
    let root = (x as f64).sqrt() as u64;
    (root * root == x).then_some(root)
}

/// Computes `x[i]^y[i]` into `out`.
///
/// # Panics
/// Panics when the lengths differ.
// Spec: N-8.3
pub fn pow_f32(engine: &Engine, x: &[f32], y: &[f32], out: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "bases and exponents have the same length");
    assert_eq!(x.len(), out.len(), "input and output have the same length");
    let first = y.first().copied().unwrap_or(1.0);
    if y.iter().all(|y| y.to_bits() == first.to_bits()) {
        return pow_scalar_f32(engine, x, first, out);
    }
    engine.pool().run_pieces(out, PIECE, |i, out| {
        let range = i * PIECE..i * PIECE + out.len();
        map(engine, &x[range.clone()], &y[range], out);
    });
}

/// Computes `x[i]^y[i]` into `out`, in f64.
///
/// # Panics
/// Panics when the lengths differ.
// Spec: N-8.3
pub fn pow_f64(engine: &Engine, x: &[f64], y: &[f64], out: &mut [f64]) {
    assert_eq!(x.len(), y.len(), "bases and exponents have the same length");
    assert_eq!(x.len(), out.len(), "input and output have the same length");
    engine.pool().run_pieces(out, BLOCK, |i, out| {
        for (j, out) in out.iter_mut().enumerate() {
            *out = pow_double(x[i * BLOCK + j], y[i * BLOCK + j]);
        }
    });
}

/// Computes `x[i]^y` into `out`; faster than equal exponents in a slice for 2, 3, 1/2 and -1.
///
/// # Panics
/// Panics when the lengths differ.
// Spec: N-8.3
pub fn pow_scalar_f32(engine: &Engine, x: &[f32], y: f32, out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "input and output have the same length");
    engine.pool().run_pieces(out, PIECE, |i, out| {
        let x = &x[i * PIECE..i * PIECE + out.len()];
        if y == 2.0 {
            square(engine, x, out);
        } else if y == 0.5 {
            root(engine, x, out);
        } else if y == -1.0 {
            reciprocal(engine, x, out);
        } else if y == 3.0 {
            cube(engine, x, out);
        } else {
            map_scalar(engine, x, y, out);
        }
    });
}

multiversion! {
    fn map(x: &[f32], y: &[f32], out: &mut [f32]) = map_body;
    fn map_scalar(x: &[f32], y: f32, out: &mut [f32]) = map_scalar_body;
    fn square(x: &[f32], out: &mut [f32]) = square_body;
    fn root(x: &[f32], out: &mut [f32]) = root_body;
    fn reciprocal(x: &[f32], out: &mut [f32]) = reciprocal_body;
    fn cube(x: &[f32], out: &mut [f32]) = cube_body;
}

/// Computes a block of powers by `lane`, then the uncertain ones again.
#[inline(always)]
fn block(x: &[f32], y: &[f32; BLOCK], out: &mut [f32], lane: impl Fn(f32, f32) -> f64) {
    let mut bases = [1.0f32; BLOCK];
    bases[..x.len()].copy_from_slice(x);
    let mut results = [0.0f32; BLOCK];
    let mut uncertain = [0u32; BLOCK];
    for i in 0..BLOCK {
        let (value, certain) = settle_lane(bases[i], y[i], lane(bases[i], y[i]));
        results[i] = value;
        uncertain[i] = u32::from(!certain);
    }
    if uncertain.iter().fold(0, |any, one| any | one) != 0 {
        for i in 0..BLOCK {
            if uncertain[i] != 0 {
                results[i] = rare(bases[i], y[i]);
            }
        }
    }
    out.copy_from_slice(&results[..out.len()]);
}

#[inline(always)]
fn map_body<S: Step>(x: &[f32], y: &[f32], out: &mut [f32]) {
    let exponents = y.chunks(BLOCK);
    for ((x, y), out) in x.chunks(BLOCK).zip(exponents).zip(out.chunks_mut(BLOCK)) {
        let mut exponents = [1.0; BLOCK];
        exponents[..y.len()].copy_from_slice(y);
        block(x, &exponents, out, lane::<S>);
    }
}

#[inline(always)]
fn map_scalar_body<S: Step>(x: &[f32], y: f32, out: &mut [f32]) {
    for (x, out) in x.chunks(BLOCK).zip(out.chunks_mut(BLOCK)) {
        block(x, &[y; BLOCK], out, lane::<S>);
    }
}

#[inline(always)]
fn cube_body<S: Step>(x: &[f32], out: &mut [f32]) {
    for (x, out) in x.chunks(BLOCK).zip(out.chunks_mut(BLOCK)) {
        // The square of an f32 is exact in f64, so the cube has one rounding.
        block(x, &[3.0; BLOCK], out, |x, _| {
            let x = f64::from(x.abs());
            x * x * x
        });
    }
}

#[inline(always)]
fn square_body<S: Step>(x: &[f32], out: &mut [f32]) {
    for (x, out) in x.iter().zip(out) {
        *out = canonical_f32(x * x);
    }
}

#[inline(always)]
fn root_body<S: Step>(x: &[f32], out: &mut [f32]) {
    for (x, out) in x.iter().zip(out) {
        // Unlike the square root, the power of -0 is +0 and that of -infinity is infinity.
        let root = canonical_f32((x + 0.0).sqrt());
        *out = if *x == f32::NEG_INFINITY {
            f32::INFINITY
        } else {
            root
        };
    }
}

#[inline(always)]
fn reciprocal_body<S: Step>(x: &[f32], out: &mut [f32]) {
    for (x, out) in x.iter().zip(out) {
        *out = canonical_f32(1.0 / x);
    }
}
