#!/usr/bin/env python3
"""Writes tests/vectors/math/{f32,f64}.txt: inputs and correctly rounded results from MPFR.

Run from the repository root: python3 scripts/gen_math_vectors.py
Needs gmpy2 (PyPI, 2.3.2 with MPFR 4.2.2 was used). A line is: function, input bits (two inputs for
pow and atan2), result bits, in hexadecimal. Inputs are special values, boundaries, and, of many
pseudo-random ones, those whose results lie closest to the middle of two numbers, and some others.
"""

import os
import struct

import gmpy2

UNARY = {
    "exp": (-30, 30, gmpy2.exp),
    "expm1": (-5, 5, gmpy2.expm1),
    "ln": (0, 100, gmpy2.log),
    "log1p": (-1, 10, gmpy2.log1p),
    "sin": (-10, 10, gmpy2.sin),
    "cos": (-10, 10, gmpy2.cos),
    "tan": (-10, 10, gmpy2.tan),
    "asin": (-1, 1, gmpy2.asin),
    "acos": (-1, 1, gmpy2.acos),
    "atan": (-10, 10, gmpy2.atan),
    "sinh": (-10, 10, gmpy2.sinh),
    "cosh": (-10, 10, gmpy2.cosh),
    "tanh": (-5, 5, gmpy2.tanh),
    "asinh": (-10, 10, gmpy2.asinh),
    "acosh": (1, 10, gmpy2.acosh),
    "atanh": (-1, 1, gmpy2.atanh),
    "erf": (-3, 3, gmpy2.erf),
}


class Bits:
    """A fixed pseudo-random sequence (splitmix64)."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        mask = (1 << 64) - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    def unit(self):
        return (self.next() >> 11) / (1 << 53)


class Format:
    """An IEEE format: packing, and MPFR's context that rounds to it."""

    def __init__(self, width):
        self.width = width
        self.context = gmpy2.ieee(width)
        self.code, self.int_code = (("<f", "<I") if width == 32 else ("<d", "<Q"))
        self.precision = 24 if width == 32 else 53
        self.nan = 0x7FC00000 if width == 32 else 0x7FF8000000000000

    def to_bits(self, value):
        if value != value:
            return self.nan
        return struct.unpack(self.int_code, struct.pack(self.code, float(value)))[0]

    def from_bits(self, bits):
        return struct.unpack(self.code, struct.pack(self.int_code, bits))[0]

    def rounded(self, x):
        """Rounds a Python float to this format (exact for binary64)."""
        if self.width == 64:
            return x
        try:
            return struct.unpack("<f", struct.pack("<f", x))[0]
        except OverflowError:
            return float("inf") if x > 0 else float("-inf")

    def evaluate(self, function, *arguments):
        with self.context:
            return self.to_bits(function(*[gmpy2.mpfr(a, 53) for a in arguments]))

    def distance(self, function, *arguments):
        """Tells how close the result is to the middle of two numbers, in last places."""
        with gmpy2.context(precision=self.precision + 64):
            value = function(*[gmpy2.mpfr(a, 53) for a in arguments])
            if not gmpy2.is_finite(value) or value == 0:
                return 1.0
            digits = value.digits(2)[0].lstrip("-")
            tail = digits[self.precision :]
            return abs(int(tail, 2) / (1 << len(tail)) - 0.5) if tail else 0.5


def specials(fmt):
    if fmt.width == 32:
        words = [0, 1, 0x007FFFFF, 0x00800000, 0x33000000, 0x33800000, 0x3F7FFFFF, 0x3F800000,
                 0x3F800001, 0x3FC90FDB, 0x40490FDB, 0x41200000, 0x42B17217, 0x42B17218,
                 0x42CFF1B4, 0x42CFF1B5, 0x42AEAC50, 0x47000000, 0x48800000, 0x48800001,
                 0x5F000000, 0x7F7FFFFF, 0x7F800000, 0x7FC00000]
        return [fmt.from_bits(w | sign) for w in words for sign in (0, 0x80000000)]
    words = [0, 1, 0x000FFFFFFFFFFFFF, 0x0010000000000000, 0x3C90000000000000,
             0x3C9FFFFFFFFFFFFF, 0x3E4FFFFFFFFFFFFF, 0x3E50000000000000, 0x3FEFFFFFFFFFFFFF,
             0x3FF0000000000000, 0x3FF0000000000001, 0x3FF921FB54442D18, 0x400921FB54442D18,
             0x40862E42FEFA39EF, 0x40862E42FEFA39F0, 0x40862B7D369A5AA7, 0x40874910D52D3051,
             0x40874910D52D3052, 0x408633CE8FB9F87D, 0x408633CE8FB9F87E, 0x4330000000000000,
             0x7FEFFFFFFFFFFFFF, 0x7FF0000000000000, 0x7FF8000000000000]
    return [fmt.from_bits(w | sign) for w in words for sign in (0, 1 << 63)]


def inputs(fmt, name, low, high, function, draws, hard, plain):
    bits = Bits(sum(ord(c) << (8 * i) for i, c in enumerate(name)))
    drawn = []
    for i in range(draws):
        if i % 4 == 0:
            x = fmt.from_bits(bits.next() >> (64 - fmt.width))
        else:
            x = fmt.rounded(low + (high - low) * bits.unit())
        drawn.append(x)
    drawn = [x for x in drawn if x == x]
    ranked = sorted(drawn, key=lambda x: (fmt.distance(function, x), fmt.to_bits(x)))
    return specials(fmt) + ranked[:hard] + drawn[:plain]


def pow_inputs(fmt):
    bits = Bits(2024)
    edge = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -2.0, 3.0, -3.0, float("inf"), float("-inf"),
            float("nan"), fmt.rounded(1e30), fmt.from_bits(1), fmt.rounded(0.1)]
    pairs = [(x, y) for x in edge for y in edge]
    # Exact results and exact middles of two numbers.
    pairs += [(4097.0, 2.0), (8193.0, 2.0), (3.0, 15.0), (3.0, 16.0), (3.0, 33.0), (3.0, 34.0),
              (16785409.0, 0.5), (9.0, 1.5), (81.0, 0.75), (6561.0, 0.375), (2.0, -149.0),
              (2.0, -150.0), (2.0, -151.0), (2.0, -1074.0), (2.0, -1075.0), (0.5, 1074.0),
              (0.25, 537.5), (94906267.0, 2.0), (208065.0, 3.0), (5.0, 23.0), (7.0, 19.0),
              (1.5, 2.0), (-1.5, 3.0), (-27.0, 5.0), (1.25, 0.5), (6.25, 0.5), (6.25, 1.5)]
    for i in range(400):
        x = fmt.rounded(20 * bits.unit())
        y = fmt.rounded(40 * bits.unit() - 20)
        if i % 8 == 0:
            x = fmt.rounded(1 + (bits.unit() - 0.5) / 1000)
            y = fmt.rounded(100000 * (bits.unit() - 0.5))
        if i % 8 == 1:
            x = fmt.from_bits((bits.next() >> (64 - fmt.width)) & ~(1 << (fmt.width - 1)))
            y = fmt.rounded(4 * bits.unit() - 2)
        pairs.append((x, y))
    return [(fmt.rounded(x), fmt.rounded(y)) for x, y in pairs]


def atan2_inputs(fmt):
    bits = Bits(7)
    edge = [0.0, -0.0, 1.0, -1.0, float("inf"), float("-inf"), float("nan"), fmt.from_bits(1),
            fmt.from_bits(3), fmt.from_bits(0x80000005), fmt.rounded(-2.0), fmt.rounded(4.0),
            fmt.from_bits(0x7F7FFFFF), fmt.rounded(1e-30), fmt.rounded(-1e30)]
    pairs = [(y, x) for y in edge for x in edge]
    for i in range(300):
        wide = i % 3 == 0
        draw = lambda: fmt.from_bits(bits.next() >> 32) if wide else fmt.rounded(bits.unit() - 0.5)
        pairs.append((draw(), draw()))
    return pairs


def main():
    os.makedirs("tests/vectors/math", exist_ok=True)
    for fmt, draws, hard, plain in ((Format(32), 4000, 60, 60), (Format(64), 1000, 25, 25)):
        digits = fmt.width // 4
        rows = []
        for name, (low, high, function) in UNARY.items():
            for x in inputs(fmt, name, low, high, function, draws, hard, plain):
                result = fmt.evaluate(function, x)
                rows.append(f"{name} {fmt.to_bits(x):0{digits}x} {result:0{digits}x}")
        for x, y in pow_inputs(fmt):
            result = fmt.evaluate(lambda a, b: a**b, x, y)
            rows.append(
                f"pow {fmt.to_bits(x):0{digits}x} {fmt.to_bits(y):0{digits}x} {result:0{digits}x}"
            )
        if fmt.width == 32:
            for y, x in atan2_inputs(fmt):
                result = fmt.evaluate(gmpy2.atan2, y, x)
                rows.append(f"atan2 {fmt.to_bits(y):08x} {fmt.to_bits(x):08x} {result:08x}")
        with open(f"tests/vectors/math/f{fmt.width}.txt", "w", encoding="ascii") as out:
            out.write("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
