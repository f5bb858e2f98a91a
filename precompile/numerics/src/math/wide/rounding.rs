//! Rounding of a wide number whose error is bounded, to the nearest number of a format.

use super::Wide;

/// Names the format a result is rounded to.
#[derive(Clone, Copy, Debug)]
pub(in crate::math) struct Format {
    /// Is the number of bits of a mantissa.
    precision: i64,
    /// Is the exponent of the last place of a subnormal number.
    least: i64,
}

/// Is IEEE binary32.
pub(in crate::math) const BINARY32: Format = Format {
    precision: 24,
    least: -149,
};

/// Is IEEE binary64.
pub(in crate::math) const BINARY64: Format = Format {
    precision: 53,
    least: -1074,
};

/// Is what rounding a number with an error gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::math) enum Rounded {
    /// The result, whatever the error is within its bound.
    Certain(f64),
    /// The number is too close to the middle of two results; the even one.
    Unsure(f64),
}

/// Rounds to nearest; the number's relative error is below 2^-`good`.
///
/// Numbers beyond the format's range are not made infinite unless f64 itself ends there.
pub(in crate::math) fn round<const N: usize>(x: &Wide<N>, format: Format, good: usize) -> Rounded {
    if x.is_zero() {
        return Rounded::Certain(0.0);
    }
    let last = (x.exponent() - format.precision).max(format.least);
    let kept = x.exponent() - last;
    if kept < 0 {
        return Rounded::Certain(signed(x, 0.0));
    }
    let kept = kept as usize;
    let mantissa = (0..kept).fold(0u64, |sum, i| sum << 1 | u64::from(x.bit(i)));
    let half = x.bit(kept);
    // The middle is a one and then zeros; from below it looks like a zero and then ones.
    let certain = (kept + 1..good).any(|i| x.bit(i) == half);
    let up = if certain {
        u64::from(half)
    } else {
        mantissa & 1
    };
    let result = signed(x, assemble(mantissa + up, last));
    if certain {
        Rounded::Certain(result)
    } else {
        Rounded::Unsure(result)
    }
}

fn signed<const N: usize>(x: &Wide<N>, magnitude: f64) -> f64 {
    if x.is_negative() {
        -magnitude
    } else {
        magnitude
    }
}

/// Computes mantissa * 2^exponent, which is exact or infinite, for a mantissa of at most 2^53.
fn assemble(mantissa: u64, exponent: i64) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    let width = 64 - i64::from(mantissa.leading_zeros());
    if exponent + width > 1024 {
        return f64::INFINITY;
    }
    let field = exponent + width + 1022;
    if field <= 0 {
        // Subnormal: callers keep the last place at or above 2^-1074.
        return f64::from_bits(mantissa << (exponent + 1074).max(0));
    }
    let shift = 53 - width;
    let fraction = if shift >= 0 {
        mantissa << shift
    } else {
        mantissa >> -shift
    };
    f64::from_bits(((field as u64) << 52) | (fraction & ((1 << 52) - 1)))
}

/// Rounds an expression of the number of limbs, with ever more of them until its error allows it.
///
/// A transcendental value is never the middle of two results, so the widest precision is a formality:
/// the closest cases known for f64 need about 120 bits.
macro_rules! settle {
    ($format:expr, $limbs:ident => $value:expr) => {{
        use $crate::math::wide::functions::good_bits;
        use $crate::math::wide::rounding::{Rounded, round};
        let narrow = {
            const $limbs: usize = 2;
            round(&$value, $format, good_bits($limbs))
        };
        let middle = match narrow {
            Rounded::Certain(_) => narrow,
            Rounded::Unsure(_) => {
                const $limbs: usize = 4;
                round(&$value, $format, good_bits($limbs))
            }
        };
        match middle {
            Rounded::Certain(result) => result,
            Rounded::Unsure(_) => {
                const $limbs: usize = $crate::math::wide::MAX_LIMBS;
                match round(&$value, $format, good_bits($limbs)) {
                    Rounded::Certain(result) | Rounded::Unsure(result) => result,
                }
            }
        }
    }};
}
pub(in crate::math) use settle;
