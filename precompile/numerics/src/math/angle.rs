//! Reduction of an angle to a quarter turn and a rest.

use super::coefficients::{HALF_PI, HALF_PI_1, HALF_PI_2, HALF_PI_3, TWO_OVER_PI};
use super::constants::TWO_OVER_PI as TWO_OVER_PI_BITS;
use super::exp::ROUNDER;
use super::step::Step;

/// Bounds the angles that [`reduce`] takes.
pub(super) const FAST_BOUND: f32 = 262_144.0;

/// Is the number of bits of 2 / pi used below the binary point of a quarter turn.
const FRACTION_BITS: u32 = 126;

/// Splits |x| <= FAST_BOUND into quarter turns (the low two bits count) and the rest, |r| <= pi / 4.
#[inline(always)]
pub(super) fn reduce<S: Step>(x: f64) -> (u64, f64) {
    let shifted = S::mul_add(x, TWO_OVER_PI, ROUNDER);
    let k = shifted - ROUNDER;
    // k has at most 18 bits and the first two parts 33: their products are exact.
    let r = S::mul_add(k, -HALF_PI_2, S::mul_add(k, -HALF_PI_1, x));
    (shifted.to_bits(), S::mul_add(k, -HALF_PI_3, r))
}

/// Splits any finite angle above [`FAST_BOUND`] in the same way, in integers.
///
/// With x = m * 2^e the bits of 2 / pi that make multiples of four quarter turns are left out, and
/// the 128 bits that follow times m give the turns to 2^-102; no f32 comes closer to a multiple of
/// a quarter turn than 2^-31, so the rest keeps 70 bits before it is rounded.
pub(super) fn reduce_large(x: f32) -> (u64, f64) {
    let bits = x.to_bits();
    let exponent = ((bits >> 23) & 0xff) as i32 - 150;
    let mantissa = u128::from((bits & 0x007f_ffff) | 0x0080_0000);
    // (2 / pi * 2^exponent mod 4) * 2^126, of the 256 bits that are stored.
    let shift = (256 - FRACTION_BITS as i32 - exponent).unsigned_abs();
    let turns = mantissa.wrapping_mul(window(shift));
    let rounded = turns.wrapping_add(1 << (FRACTION_BITS - 1)) >> FRACTION_BITS;
    let rest = turns.wrapping_sub(rounded << FRACTION_BITS) as i128;
    let unit = f64::from_bits(u64::from(1023 - FRACTION_BITS) << 52);
    let rest = rest as f64 * unit * HALF_PI;
    (rounded as u64, rest)
}

/// Returns the 128 bits of 2 / pi that end `shift` bits above the last stored one.
fn window(shift: u32) -> u128 {
    let [a, b, c, d, ..] = TWO_OVER_PI_BITS.map(u128::from);
    let (high, low) = ((a << 64) | b, (c << 64) | d);
    match shift {
        0 => low,
        1..128 => (high << (128 - shift)) | (low >> shift),
        _ => high.checked_shr(shift - 128).unwrap_or(0),
    }
}
