#!/usr/bin/env python3
"""Writes precompile/numerics/src/math/coefficients.rs (polynomials and split constants) and
constants.rs beside it (ln 2, pi and 2 / pi to many digits).

Run from the repository root: python3 scripts/gen_math_tables.py
Needs mpmath (PyPI, 1.3.0 was used). The output is the same on every machine: 400-bit arithmetic,
fixed nodes, one rounding to binary64 per coefficient.

A polynomial is the weighted least-squares fit over Chebyshev nodes, which lies within a small
factor of the minimax one; the printed bound is the largest weighted error over a denser grid,
before the coefficients are rounded to binary64.
"""

import struct
import sys

from mpmath import mp, mpf

mp.prec = 400
OUT = "precompile/numerics/src/math/coefficients.rs"
OUT_WIDE = "precompile/numerics/src/math/constants.rs"


def to_f64(x):
    """Rounds to the nearest binary64 (all constants here are normal)."""
    man, exp = mp.frexp(mpf(x))
    return mp.ldexp(mp.nint(mp.ldexp(man, 53)), exp - 53)


def literal(x):
    """Prints a binary64 so that Rust reads the same bits back."""
    text = repr(float(mpf(x)))
    return text if ("." in text or "e" in text) else text + ".0"


def chop(x, bits):
    """Keeps the leading `bits` bits (rounded to nearest)."""
    man, exp = mp.frexp(mpf(x))
    return mp.ldexp(mp.nint(mp.ldexp(man, bits)), exp - bits)


def fit(f, lo, hi, degree, weight=lambda x: mpf(1)):
    """Returns the monomial coefficients and the bound of the weighted error."""
    count = 4 * (degree + 1)
    mid, half = (mpf(lo) + hi) / 2, (mpf(hi) - lo) / 2
    nodes = [mp.cos(mp.pi * (2 * i + 1) / (2 * count)) for i in range(count)]
    # Chebyshev basis: the system is well conditioned.
    def basis(t):
        row = [mpf(1), t]
        while len(row) <= degree:
            row.append(2 * t * row[-1] - row[-2])
        return row[: degree + 1]
    # Chebyshev-distributed nodes of equal weight make the least-squares fit near minimax.
    a, b = mp.matrix(count, degree + 1), mp.matrix(count, 1)
    for i, t in enumerate(nodes):
        x = mid + half * t
        w = weight(x)
        for j, value in enumerate(basis(t)):
            a[i, j] = w * value
        b[i] = w * f(x)
    c = mp.lu_solve(a.T * a, a.T * b)
    # From the Chebyshev basis in t to monomials in t, then in x.
    cheb = [[mpf(1)], [mpf(0), mpf(1)]]
    while len(cheb) <= degree:
        shifted = [mpf(0)] + [2 * v for v in cheb[-1]]
        for j, v in enumerate(cheb[-2]):
            shifted[j] -= v
        cheb.append(shifted)
    in_t = [mpf(0)] * (degree + 1)
    for k in range(degree + 1):
        for j, v in enumerate(cheb[k]):
            in_t[j] += c[k] * v
    in_x = [mpf(0)] * (degree + 1)
    power = [mpf(1)]
    for k in range(degree + 1):
        for j, v in enumerate(power):
            in_x[j] += in_t[k] * v
        grown = [mpf(0)] * (len(power) + 1)
        for j, v in enumerate(power):
            grown[j] -= v * mid / half
            grown[j + 1] += v / half
        power = grown
    worst = mpf(0)
    for i in range(10 * count + 1):
        x = mid + half * mp.cos(mp.pi * i / (10 * count))
        value = mp.polyval(in_x[::-1], x)
        worst = max(worst, abs(weight(x) * (value - f(x))))
    return in_x, worst


def series(f_coeff, terms):
    """Sums a power series exactly enough near zero, where closed forms cancel."""
    return lambda x: mp.fsum(f_coeff(k) * mpf(x) ** k for k in range(terms))


lines = []


def const(name, doc, value):
    lines.append(f"/// {doc}\npub(super) const {name}: f64 = {literal(value)};\n")


def poly(name, doc, f, lo, hi, degree, weight=lambda x: mpf(1)):
    coefficients, bound = fit(f, lo, hi, degree, weight)
    bits = float(mp.log(bound, 2))
    print(f"{name}: degree {degree}, weighted error 2^{bits:.1f}", file=sys.stderr)
    body = "".join(f"    {literal(to_f64(c))},\n" for c in coefficients)
    lines.append(
        f"/// {doc} Error 2^{bits:.1f}.\n"
        f"pub(super) const {name}: [f64; {degree + 1}] = [\n{body}];\n"
    )


def split(prefix, doc, value, bits):
    """Writes a constant as a head of few bits and a tail of 53."""
    head = chop(value, bits)
    const(f"{prefix}_HI", f"{doc}: leading {bits} bits.", head)
    const(f"{prefix}_LO", f"{doc}: the rest.", to_f64(value - head))


def main():
    ln2 = mp.log(2)
    half_ln2 = ln2 / 2 * mpf("1.0001")
    split("LN2", "ln 2", ln2, 40)
    const("LOG2_E", "1 / ln 2.", to_f64(1 / ln2))
    poly(
        "EXP",
        "(e^r - 1 - r) / r^2 for |r| <= ln(2) / 2.",
        series(lambda k: 1 / mp.factorial(k + 2), 60),
        -half_ln2,
        half_ln2,
        9,
    )
    s_max = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2 * mpf("1.0001")
    poly(
        "LOG",
        "(2 atanh(s) - 2 s) / s^3 as a polynomial in s^2, |s| <= (sqrt 2 - 1) / (sqrt 2 + 1).",
        series(lambda k: mpf(2) / (2 * k + 3), 90),
        0,
        s_max,
        7,
    )
    # erf(x) = 1 - exp(-x G(x / 2 - 1)): G is smooth on [0, 4]; the weight is what erf sees of it.
    def g(t):
        x = 2 * (t + 1)
        if abs(x) < mpf(2) ** -60:
            return 2 / mp.sqrt(mp.pi)
        return -mp.log(mp.erfc(x)) / x
    def g_weight(t):
        x = 2 * (t + 1)
        if abs(x) < mpf(2) ** -60:
            return mp.sqrt(mp.pi) / 2
        return x * mp.erfc(x) / mp.erf(x)
    poly("ERF", "-ln(erfc x) / x as a polynomial in t = x / 2 - 1, 0 <= x <= 4.",
         g, -1, 1, 22, g_weight)
    pi = mp.pi
    quarter = pi / 4 * mpf("1.0001")
    poly(
        "SIN",
        "(sin(r) - r) / r^3 as a polynomial in r^2, |r| <= pi / 4.",
        series(lambda k: (-1) ** (k + 1) / mp.factorial(2 * k + 3), 40),
        0,
        quarter**2,
        5,
    )
    poly(
        "COS",
        "(cos(r) - 1 + r^2 / 2) / r^4 as a polynomial in r^2, |r| <= pi / 4.",
        series(lambda k: (-1) ** k / mp.factorial(2 * k + 4), 40),
        0,
        quarter**2,
        5,
    )
    half_pi = pi / 2
    const("TWO_OVER_PI", "2 / pi.", to_f64(2 / pi))
    first = chop(half_pi, 33)
    second = chop(half_pi - first, 33)
    const("HALF_PI_1", "pi / 2: the first 33 bits.", first)
    const("HALF_PI_2", "pi / 2: the next 33 bits.", second)
    const("HALF_PI_3", "pi / 2: the rest.", to_f64(half_pi - first - second))
    const("HALF_PI", "pi / 2, rounded.", to_f64(half_pi))
    const("HALF_PI_TAIL", "pi / 2 less its rounded value.", to_f64(half_pi - to_f64(half_pi)))
    const("QUARTER_PI", "pi / 4, rounded.", to_f64(pi / 4))
    const("QUARTER_PI_TAIL", "pi / 4 less its rounded value.", to_f64(pi / 4 - to_f64(pi / 4)))
    const("TAN_EIGHTH", "tan(pi / 8), where atan changes its reduction.", to_f64(mp.tan(pi / 8)))
    const("TAN_3_EIGHTHS", "tan(3 pi / 8), where atan changes again.", to_f64(mp.tan(3 * pi / 8)))
    limit = mp.tan(pi / 8) * mpf("1.0001")
    poly(
        "ATAN",
        "(atan(a) - a) / a^3 as a polynomial in a^2, |a| <= tan(pi / 8).",
        series(lambda k: (-1) ** (k + 1) / mpf(2 * k + 3), 400),
        0,
        limit**2,
        10,
    )
    head = (
        "//! Coefficients of the math kernels. Generated by scripts/gen_math_tables.py: do not edit.\n"
        "#![allow(clippy::excessive_precision, clippy::approx_constant, clippy::unreadable_literal)]\n\n"
    )
    with open(OUT, "w", encoding="ascii") as out:
        out.write(head + "\n".join(lines))


def wide_constants():
    """Writes the constants of the wide arithmetic, most significant limb first."""
    mp.prec = 2600
    rows = []
    for name, doc, value, limbs in [
        ("LN2", "ln 2", mp.log(2), 17),
        ("QUARTER_PI", "pi / 4", mp.pi / 4, 17),
        ("TWO_OVER_PI", "2 / pi", 2 / mp.pi, 36),
    ]:
        bits = int(mp.floor(mp.ldexp(value, 64 * limbs)))
        body = "".join(
            f"    0x{(bits >> (64 * (limbs - 1 - i))) & (2**64 - 1):016x},\n" for i in range(limbs)
        )
        rows.append(
            f"/// {doc}, truncated to {64 * limbs} bits below the point, most significant first.\n"
            f"pub(super) const {name}: [u64; {limbs}] = [\n{body}];\n"
        )
    head = (
        "//! Digits of constants. Generated by scripts/gen_math_tables.py: do not edit.\n"
        "#![allow(clippy::unreadable_literal)]\n\n"
    )
    with open(OUT_WIDE, "w", encoding="ascii") as out:
        out.write(head + "\n".join(rows))


if __name__ == "__main__":
    main()
    wide_constants()
