//! The f64 functions: correctly rounded by wide integer arithmetic, exact but slow.
//!
//! Each function first answers what needs no arithmetic: special values, results beyond the range,
//! and arguments so small that the result is the number next to a known value.

use super::pow::pow_double;
use super::wide::Wide;
use super::wide::angle::reduce;
use super::wide::functions as wide;
use super::wide::rounding::{BINARY64, settle};
use crate::engine::Engine;
use crate::nan::{CANONICAL_F64, canonical_f64};

/// Bounds arguments where f(x) = x + c x^2 ... rounds to x: the rest is under a quarter ulp.
const TINY: f64 = f64::from_bits((1023 - 54) << 52);

/// Bounds arguments where f(x) = x + c x^3 ... rounds to x, |c| <= 1/3.
const SMALL: f64 = f64::from_bits((1023 - 27) << 52);

/// Bounds the arguments of the exponential functions: beyond lies infinity.
const EXP_BOUND: f64 = 711.0;

/// Bounds the argument of `exp` from below: under it, the result rounds to zero.
const EXP_LEAST: f64 = -746.0;

/// Is the number of elements a thread takes at once.
const PIECE: usize = 64;

/// Computes e^x, correctly rounded.
// Spec: N-8
pub fn exp(x: f64) -> f64 {
    if x.is_nan() {
        CANONICAL_F64
    } else if x > EXP_BOUND {
        f64::INFINITY
    } else if x < EXP_LEAST {
        0.0
    } else if x.abs() < TINY {
        1.0
    } else {
        settle!(BINARY64, N => wide::exp(Wide::<N>::from_f64(x)))
    }
}

/// Computes e^x - 1, correctly rounded.
// Spec: N-8
pub fn expm1(x: f64) -> f64 {
    if x.is_nan() || x.abs() < TINY {
        canonical_f64(x)
    } else if x > EXP_BOUND {
        f64::INFINITY
    } else if x < -40.0 {
        // e^-40 is under a quarter of an ulp.
        -1.0
    } else {
        settle!(BINARY64, N => wide::expm1(Wide::<N>::from_f64(x)))
    }
}

/// Computes the natural logarithm, correctly rounded.
// Spec: N-8
pub fn ln(x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        CANONICAL_F64
    } else if x == 0.0 {
        f64::NEG_INFINITY
    } else if x.is_infinite() {
        x
    } else {
        settle!(BINARY64, N => wide::ln(Wide::<N>::from_f64(x)))
    }
}

/// Computes ln(1 + x), correctly rounded.
// Spec: N-8
pub fn log1p(x: f64) -> f64 {
    if x.is_nan() || x < -1.0 {
        CANONICAL_F64
    } else if x == -1.0 {
        f64::NEG_INFINITY
    } else if x.is_infinite() || x.abs() < TINY {
        x
    } else {
        settle!(BINARY64, N => wide::ln(Wide::<N>::from_int(1).add(Wide::from_f64(x))))
    }
}

/// Computes the sine of a reduced angle, `turn` quarter turns further.
fn sine<const N: usize>(x: f64, turn: u64) -> Wide<N> {
    let (quarter, r) = reduce::<N>(x);
    let quarter = quarter.wrapping_add(turn);
    let (sin, cos) = wide::sin_cos(r);
    let value = if quarter & 1 == 0 { sin } else { cos };
    if quarter & 2 == 0 {
        value
    } else {
        value.negated()
    }
}

/// Computes the sine, correctly rounded.
// Spec: N-8
pub fn sin(x: f64) -> f64 {
    if !x.is_finite() {
        CANONICAL_F64
    } else if x.abs() < SMALL {
        x
    } else {
        settle!(BINARY64, N => sine::<N>(x, 0))
    }
}

/// Computes the cosine, correctly rounded.
// Spec: N-8
pub fn cos(x: f64) -> f64 {
    if !x.is_finite() {
        CANONICAL_F64
    } else if x.abs() < SMALL {
        1.0
    } else {
        settle!(BINARY64, N => sine::<N>(x, 1))
    }
}

/// Computes the tangent, correctly rounded.
// Spec: N-8
pub fn tan(x: f64) -> f64 {
    if !x.is_finite() {
        CANONICAL_F64
    } else if x.abs() < SMALL {
        x
    } else {
        settle!(BINARY64, N => sine::<N>(x, 0).div(sine::<N>(x, 1)))
    }
}

/// Computes the arc sine, correctly rounded.
// Spec: N-8
pub fn asin(x: f64) -> f64 {
    if x.is_nan() || x.abs() > 1.0 {
        CANONICAL_F64
    } else if x.abs() < SMALL {
        x
    } else {
        settle!(BINARY64, N => wide::asin(Wide::<N>::from_f64(x)))
    }
}

/// Computes the arc cosine, correctly rounded.
// Spec: N-8
pub fn acos(x: f64) -> f64 {
    if x.is_nan() || x.abs() > 1.0 {
        CANONICAL_F64
    } else {
        settle!(BINARY64, N => wide::acos(Wide::<N>::from_f64(x)))
    }
}

/// Computes the arc tangent, correctly rounded.
// Spec: N-8
pub fn atan(x: f64) -> f64 {
    if x.is_nan() || x.abs() < SMALL {
        return canonical_f64(x);
    }
    let result = if x.is_infinite() {
        settle!(BINARY64, N => wide::atan(Wide::<N>::from_int(1), Wide::ZERO))
    } else {
        settle!(BINARY64, N => wide::atan(Wide::<N>::from_f64(x.abs()), Wide::from_int(1)))
    };
    result.copysign(x)
}

/// Computes the hyperbolic sine, correctly rounded.
// Spec: N-8
pub fn sinh(x: f64) -> f64 {
    if x.is_nan() || x.abs() < SMALL {
        canonical_f64(x)
    } else if x.abs() > EXP_BOUND {
        f64::INFINITY.copysign(x)
    } else {
        settle!(BINARY64, N => wide::sinh(Wide::<N>::from_f64(x)))
    }
}

/// Computes the hyperbolic cosine, correctly rounded.
// Spec: N-8
pub fn cosh(x: f64) -> f64 {
    if x.is_nan() {
        CANONICAL_F64
    } else if x.abs() < SMALL {
        1.0
    } else if x.abs() > EXP_BOUND {
        f64::INFINITY
    } else {
        settle!(BINARY64, N => wide::cosh(Wide::<N>::from_f64(x)))
    }
}

/// Computes the hyperbolic tangent, correctly rounded.
// Spec: N-8
pub fn tanh(x: f64) -> f64 {
    if x.is_nan() || x.abs() < SMALL {
        canonical_f64(x)
    } else if x.abs() > 20.0 {
        // 2 e^-40 is under a quarter of an ulp.
        1f64.copysign(x)
    } else {
        settle!(BINARY64, N => wide::tanh(Wide::<N>::from_f64(x)))
    }
}

/// Computes the inverse hyperbolic sine, correctly rounded.
// Spec: N-8
pub fn asinh(x: f64) -> f64 {
    if !x.is_finite() || x.abs() < SMALL {
        canonical_f64(x)
    } else {
        settle!(BINARY64, N => wide::asinh(Wide::<N>::from_f64(x)))
    }
}

/// Computes the inverse hyperbolic cosine, correctly rounded.
// Spec: N-8
pub fn acosh(x: f64) -> f64 {
    if x.is_nan() || x < 1.0 {
        CANONICAL_F64
    } else if x.is_infinite() {
        x
    } else {
        settle!(BINARY64, N => wide::acosh(Wide::<N>::from_f64(x)))
    }
}

/// Computes the inverse hyperbolic tangent, correctly rounded.
// Spec: N-8
pub fn atanh(x: f64) -> f64 {
    if x.is_nan() || x.abs() > 1.0 {
        CANONICAL_F64
    } else if x.abs() == 1.0 {
        f64::INFINITY.copysign(x)
    } else if x.abs() < SMALL {
        x
    } else {
        settle!(BINARY64, N => wide::atanh(Wide::<N>::from_f64(x)))
    }
}

/// Computes the error function, correctly rounded.
// Spec: N-8
pub fn erf(x: f64) -> f64 {
    if x.is_nan() || x == 0.0 {
        canonical_f64(x)
    } else if x.abs() > 6.0 {
        // erfc 6 is under half an ulp below 1.
        1f64.copysign(x)
    } else {
        settle!(BINARY64, N => wide::erf(Wide::<N>::from_f64(x)))
    }
}

/// Computes x^y, correctly rounded, with the special cases of IEEE 754's pow.
// Spec: N-8.3
pub fn pow(x: f64, y: f64) -> f64 {
    pow_double(x, y)
}

/// Declares a slice form of each function.
macro_rules! slices {
    ($($one:ident => $slice:ident;)+) => {$(
        #[doc = concat!("Computes `", stringify!($one), "` of every element of `x` into `y`.")]
        ///
        /// # Panics
        /// Panics when the lengths differ.
        // Spec: N-8
        pub fn $slice(engine: &Engine, x: &[f64], y: &mut [f64]) {
            assert_eq!(x.len(), y.len(), "input and output have the same length");
            engine.pool().run_pieces(y, PIECE, |i, y| {
                for (y, &x) in y.iter_mut().zip(&x[i * PIECE..]) {
                    *y = $one(x);
                }
            });
        }
    )+};
}

slices! {
    exp => exp_f64;
    expm1 => expm1_f64;
    ln => ln_f64;
    log1p => log1p_f64;
    sin => sin_f64;
    cos => cos_f64;
    tan => tan_f64;
    asin => asin_f64;
    acos => acos_f64;
    atan => atan_f64;
    sinh => sinh_f64;
    cosh => cosh_f64;
    tanh => tanh_f64;
    asinh => asinh_f64;
    acosh => acosh_f64;
    atanh => atanh_f64;
    erf => erf_f64;
}
