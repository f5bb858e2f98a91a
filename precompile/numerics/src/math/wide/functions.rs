//! The transcendental functions on wide numbers.
//!
//! Every function's relative error is below 2^-[`good_bits`] for f64 arguments of at least 2^-54
//! (where smaller ones matter, the callers know the result): sums keep the small term exact where a
//! result may be near zero, at most 28 bits are lost where one does not (ln(1 + t) with t about
//! 2^-27 in the inverse hyperbolic functions), 10 in y ln x, and fewer than 2^8 truncations add up.

use super::super::constants::{LN2, QUARTER_PI};
use super::super::log::log1p_f64;
use super::Wide;
use crate::fma::SoftFma;

/// Is the number of bits of a result that count as right.
pub(in crate::math) const fn good_bits(limbs: usize) -> usize {
    64 * limbs - 48
}

/// Returns the number 1.
fn one<const N: usize>() -> Wide<N> {
    Wide::from_int(1)
}

/// Returns pi / 2.
pub(in crate::math) fn half_pi<const N: usize>() -> Wide<N> {
    Wide::from_constant(&QUARTER_PI, 1)
}

/// Tells whether a term no longer matters beside a sum.
fn is_negligible<const N: usize>(term: &Wide<N>, sum: &Wide<N>) -> bool {
    term.is_zero() || term.exponent() < sum.exponent() - 64 * N as i64
}

/// Splits x into k ln 2 + r and returns k and e^r - 1, |r| < 0.4; wants |x| < 2^20.
fn exp_parts<const N: usize>(x: Wide<N>) -> (i64, Wide<N>) {
    let k = (x.to_f64() * std::f64::consts::LOG2_E).round() as i64;
    let multiple = Wide::from_constant(&LN2, 0).mul_int(k.unsigned_abs());
    let r = if k < 0 {
        x.add(multiple)
    } else {
        x.sub(multiple)
    };
    let halvings = 8 + 2 * N as i64;
    let r = r.scaled(-halvings);
    let (mut term, mut sum) = (r, r);
    let mut n = 2;
    while !is_negligible(&term, &sum) {
        term = term.mul(r).div_int(n);
        sum = sum.add(term);
        n += 1;
    }
    // (1 + t)^2 - 1 = 2 t + t^2 keeps a small t exact.
    for _ in 0..halvings {
        sum = sum.scaled(1).add(sum.mul(sum));
    }
    (k, sum)
}

/// Computes e^x for |x| < 2^20.
pub(in crate::math) fn exp<const N: usize>(x: Wide<N>) -> Wide<N> {
    let (k, rest) = exp_parts(x);
    one().add(rest).scaled(k)
}

/// Computes e^x - 1 for |x| < 2^20.
pub(in crate::math) fn expm1<const N: usize>(x: Wide<N>) -> Wide<N> {
    let (k, rest) = exp_parts(x);
    if k == 0 {
        return rest;
    }
    rest.scaled(k).add(one().scaled(k).sub(one()))
}

/// Computes ln x for x > 0; near 1 as exactly as x - 1 is.
pub(in crate::math) fn ln<const N: usize>(x: Wide<N>) -> Wide<N> {
    // x = 2^k m with m in about [2/3, 4/3].
    let mut k = x.exponent();
    if x.scaled(-k).to_f64() < 0.67 {
        k -= 1;
    }
    let m = x.scaled(-k);
    let excess = m.sub(one());
    let mut y = Wide::from_f64(log1p_f64::<SoftFma>(excess.to_f64()));
    // ln m = y + 2 atanh((m - e^y) / (m + e^y)); each step triples the right bits.
    let mut bits = 48;
    while bits < 64 * N && !excess.is_zero() {
        let rest = expm1(y);
        let step = excess.sub(rest).div(m.add(one().add(rest)));
        y = y.add(step.scaled(1));
        bits *= 3;
    }
    let multiple = Wide::from_constant(&LN2, 0).mul_int(k.unsigned_abs());
    if k < 0 {
        y.sub(multiple)
    } else {
        y.add(multiple)
    }
}

/// Computes sine and cosine of |r| < 2.
pub(in crate::math) fn sin_cos<const N: usize>(r: Wide<N>) -> (Wide<N>, Wide<N>) {
    let square = r.mul(r).negated();
    let series = |first: Wide<N>, start: u64| {
        let (mut term, mut sum, mut n) = (first, first, start);
        while !is_negligible(&term, &sum) {
            term = term.mul(square).div_int(n * (n + 1));
            sum = sum.add(term);
            n += 2;
        }
        sum
    };
    (series(r, 2), series(one(), 1))
}

/// Computes the arc tangent of a / b, neither negative, not both zero.
pub(in crate::math) fn atan<const N: usize>(a: Wide<N>, b: Wide<N>) -> Wide<N> {
    if a.is_zero() {
        return Wide::ZERO;
    }
    if a.is_larger(&b) {
        return half_pi().sub(atan(b, a));
    }
    let x = a.div(b);
    // atan x = y + atan((x cos y - sin y) / (cos y + x sin y)) with y close to atan x.
    let guess = super::super::arc::atan_f64::<SoftFma>(x.to_f64(), 1.0);
    let y = if guess > 0.0 {
        Wide::from_f64(guess)
    } else {
        x
    };
    let (sin, cos) = sin_cos(y);
    let t = x.mul(cos).sub(sin).div(cos.add(x.mul(sin)));
    let square = t.mul(t).negated();
    let (mut power, mut sum, mut n) = (t, t, 3);
    while !is_negligible(&power, &sum) {
        power = power.mul(square);
        sum = sum.add(power.div_int(n));
        n += 2;
    }
    y.add(sum)
}

/// Computes the arc sine of |x| <= 1.
pub(in crate::math) fn asin<const N: usize>(x: Wide<N>) -> Wide<N> {
    let a = x.magnitude();
    let cos = one().sub(a).mul(one().add(a)).sqrt();
    let angle = atan(a, cos);
    if x.is_negative() {
        angle.negated()
    } else {
        angle
    }
}

/// Computes the arc cosine of |x| <= 1.
pub(in crate::math) fn acos<const N: usize>(x: Wide<N>) -> Wide<N> {
    atan(one().sub(x).sqrt(), one().add(x).sqrt()).scaled(1)
}

/// Computes the hyperbolic sine for |x| < 2^20.
pub(in crate::math) fn sinh<const N: usize>(x: Wide<N>) -> Wide<N> {
    let e = expm1(x.magnitude());
    let result = e.add(e.div(e.add(one()))).scaled(-1);
    if x.is_negative() {
        result.negated()
    } else {
        result
    }
}

/// Computes the hyperbolic cosine for |x| < 2^20.
pub(in crate::math) fn cosh<const N: usize>(x: Wide<N>) -> Wide<N> {
    let e = exp(x);
    e.add(one().div(e)).scaled(-1)
}

/// Computes the hyperbolic tangent for |x| < 2^20.
pub(in crate::math) fn tanh<const N: usize>(x: Wide<N>) -> Wide<N> {
    let e = expm1(x.scaled(1));
    e.div(e.add(Wide::from_int(2)))
}

/// Computes the inverse hyperbolic sine.
pub(in crate::math) fn asinh<const N: usize>(x: Wide<N>) -> Wide<N> {
    let a = x.magnitude();
    let result = ln(a.add(one().add(a.mul(a)).sqrt()));
    if x.is_negative() {
        result.negated()
    } else {
        result
    }
}

/// Computes the inverse hyperbolic cosine of x >= 1.
pub(in crate::math) fn acosh<const N: usize>(x: Wide<N>) -> Wide<N> {
    ln(x.add(x.sub(one()).mul(x.add(one())).sqrt()))
}

/// Computes the inverse hyperbolic tangent of |x| < 1.
pub(in crate::math) fn atanh<const N: usize>(x: Wide<N>) -> Wide<N> {
    ln(one().add(x).div(one().sub(x))).scaled(-1)
}

/// Computes the error function for |x| < 8.
pub(in crate::math) fn erf<const N: usize>(x: Wide<N>) -> Wide<N> {
    // erf x = 2 x / sqrt(pi) * e^(-x^2) * sum of (2 x^2)^n / (1 * 3 * ... * (2 n + 1)).
    let square = x.mul(x);
    let double = square.scaled(1);
    let (mut term, mut sum, mut n) = (one(), one(), 3);
    while !is_negligible(&term, &sum) {
        term = term.mul(double).div_int(n);
        sum = sum.add(term);
        n += 2;
    }
    let root_pi = half_pi::<N>().scaled(1).sqrt();
    sum.mul(exp(square.negated())).mul(x).scaled(1).div(root_pi)
}

/// Computes x^y for x > 0 and |y ln x| < 2^20.
pub(in crate::math) fn pow<const N: usize>(x: Wide<N>, y: Wide<N>) -> Wide<N> {
    exp(y.mul(ln(x)))
}
