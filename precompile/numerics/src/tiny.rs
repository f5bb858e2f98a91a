//! The 8-, 4- and 2-bit formats of ONNX as one byte per element: exact decoding, one rounding.
//!
//! Encoding starts from binary64, in which every wider ONNX value fits or was rounded to odd.

use crate::nan::CANONICAL_F64;

/// Names a float format narrower than 16 bits; codes occupy the low bits of a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TinyFloat {
    /// FLOAT8E4M3FN: bias 7, no infinity, NaN at all ones.
    E4m3fn,
    /// FLOAT8E4M3FNUZ: bias 8, no infinity, one zero, NaN at 0x80.
    E4m3fnuz,
    /// FLOAT8E5M2: bias 15, infinities and NaN as in IEEE 754.
    E5m2,
    /// FLOAT8E5M2FNUZ: bias 16, no infinity, one zero, NaN at 0x80.
    E5m2fnuz,
    /// FLOAT4E2M1: bias 1, finite values only.
    E2m1,
}

/// Names the direction in which a value between two powers of two goes to FLOAT8E8M0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleRounding {
    /// Away from zero.
    Up,
    /// Towards zero.
    Down,
    /// To the nearer power of two, a tie upwards.
    Nearest,
}

/// Names an integer format narrower than 8 bits; a code is stored sign- or zero-extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TinyInt {
    /// INT4, -8 to 7.
    Int4,
    /// UINT4, 0 to 15.
    Uint4,
    /// INT2, -2 to 1.
    Int2,
    /// UINT2, 0 to 3.
    Uint2,
}

struct Layout {
    mantissa_bits: u32,
    bias: i32,
    sign: u8,
    /// The largest finite magnitude's code.
    max: u8,
    /// What a magnitude past the largest becomes without saturation.
    overflow: u8,
    nan: u8,
    negative_zero: bool,
}

impl TinyFloat {
    const fn layout(self) -> Layout {
        match self {
            TinyFloat::E4m3fn => Layout {
                mantissa_bits: 3,
                bias: 7,
                sign: 0x80,
                max: 0x7e,
                overflow: 0x7f,
                nan: 0x7f,
                negative_zero: true,
            },
            TinyFloat::E4m3fnuz => Layout {
                mantissa_bits: 3,
                bias: 8,
                sign: 0x80,
                max: 0x7f,
                overflow: 0x80,
                nan: 0x80,
                negative_zero: false,
            },
            TinyFloat::E5m2 => Layout {
                mantissa_bits: 2,
                bias: 15,
                sign: 0x80,
                max: 0x7b,
                overflow: 0x7c,
                nan: 0x7e,
                negative_zero: true,
            },
            TinyFloat::E5m2fnuz => Layout {
                mantissa_bits: 2,
                bias: 16,
                sign: 0x80,
                max: 0x7f,
                overflow: 0x80,
                nan: 0x80,
                negative_zero: false,
            },
            TinyFloat::E2m1 => Layout {
                mantissa_bits: 1,
                bias: 1,
                sign: 0x08,
                max: 0x07,
                overflow: 0x07,
                // The format has no NaN: the reference conversion of ONNX gives minus zero.
                nan: 0x08,
                negative_zero: true,
            },
        }
    }

    /// Returns the code every NaN becomes.
    pub const fn nan(self) -> u8 {
        self.layout().nan
    }

    /// Decodes a code exactly; every NaN code gives the canonical NaN.
    pub fn decode(self, code: u8) -> f64 {
        let layout = self.layout();
        let code = code & (layout.sign | (layout.sign - 1));
        let magnitude = code & (layout.sign - 1);
        let negative = code & layout.sign != 0;
        let special = match self {
            TinyFloat::E4m3fn => (magnitude == 0x7f).then_some(CANONICAL_F64),
            TinyFloat::E4m3fnuz | TinyFloat::E5m2fnuz => (code == 0x80).then_some(CANONICAL_F64),
            TinyFloat::E5m2 => (magnitude >= 0x7c).then_some(if magnitude == 0x7c {
                f64::INFINITY
            } else {
                CANONICAL_F64
            }),
            TinyFloat::E2m1 => None,
        };
        let value = special.unwrap_or_else(|| {
            let field = i32::from(magnitude >> layout.mantissa_bits);
            let fraction = f64::from(magnitude & ((1 << layout.mantissa_bits) - 1));
            let hidden = if field == 0 {
                0.0
            } else {
                f64::from(1u32 << layout.mantissa_bits)
            };
            let exponent = field.max(1) - layout.bias - layout.mantissa_bits as i32;
            (hidden + fraction) * power_of_two(exponent)
        });
        if negative && !value.is_nan() {
            -value
        } else {
            value
        }
    }

    /// Rounds to nearest even; past the range it saturates, or becomes infinity or NaN.
    pub fn encode(self, value: f64, saturate: bool) -> u8 {
        let layout = self.layout();
        if value.is_nan() {
            return layout.nan;
        }
        let bits = value.to_bits();
        let sign = if bits >> 63 == 0 { 0 } else { layout.sign };
        let magnitude = f64::from_bits(bits & !(1 << 63));
        let code = match round_magnitude(magnitude, layout.mantissa_bits, layout.bias) {
            Some(code) if code <= u32::from(layout.max) => code as u8,
            _ if saturate => layout.max,
            // Only formats without negative zero have one NaN; the others keep the sign.
            _ if !layout.negative_zero => return layout.nan,
            _ => layout.overflow,
        };
        if code == 0 && !layout.negative_zero {
            0
        } else {
            code | sign
        }
    }
}

impl TinyInt {
    /// Keeps the low bits of an integer (Spec: N-11, integers wrap).
    pub const fn wrap(self, value: i32) -> u8 {
        match self {
            TinyInt::Int4 => (((value << 28) >> 28) as i8) as u8,
            TinyInt::Uint4 => (value & 15) as u8,
            TinyInt::Int2 => (((value << 30) >> 30) as i8) as u8,
            TinyInt::Uint2 => (value & 3) as u8,
        }
    }

    /// Returns the value of a stored byte.
    pub const fn value(self, byte: u8) -> i32 {
        match self {
            TinyInt::Int4 | TinyInt::Int2 => byte as i8 as i32,
            TinyInt::Uint4 | TinyInt::Uint2 => byte as i32,
        }
    }

    /// Returns the smallest and the largest value.
    pub const fn range(self) -> (i32, i32) {
        match self {
            TinyInt::Int4 => (-8, 7),
            TinyInt::Uint4 => (0, 15),
            TinyInt::Int2 => (-2, 1),
            TinyInt::Uint2 => (0, 3),
        }
    }
}

/// Decodes FLOAT8E8M0: the power of two with exponent `code - 127`, 0xff is NaN.
pub fn decode_scale(code: u8) -> f64 {
    if code == 0xff {
        CANONICAL_F64
    } else {
        power_of_two(i32::from(code) - 127)
    }
}

/// Encodes the magnitude of a value as FLOAT8E8M0; the sign is dropped.
///
/// Past the range it saturates, zero to the smallest power; without saturation the answer is NaN.
pub fn encode_scale(value: f64, saturate: bool, rounding: ScaleRounding) -> u8 {
    const NAN: u8 = 0xff;
    const MAX: u8 = 0xfe;
    let magnitude = value.abs();
    if value.is_nan() {
        return NAN;
    }
    if magnitude < power_of_two(-127) {
        return if saturate { 0 } else { NAN };
    }
    if magnitude.is_infinite() {
        return if saturate { MAX } else { NAN };
    }
    let bits = magnitude.to_bits();
    let exponent = (bits >> 52) as i32 - 1023;
    let fraction = bits & ((1 << 52) - 1);
    let up = match rounding {
        ScaleRounding::Up => fraction != 0,
        ScaleRounding::Down => false,
        ScaleRounding::Nearest => fraction >= 1 << 51,
    };
    let code = exponent + 127 + i32::from(up);
    match u8::try_from(code) {
        Ok(code) if code <= MAX => code,
        _ if saturate => MAX,
        _ => NAN,
    }
}

/// Rounds a magnitude to a code of unbounded exponent; infinity gives none.
fn round_magnitude(magnitude: f64, mantissa_bits: u32, bias: i32) -> Option<u32> {
    if magnitude.is_infinite() {
        return None;
    }
    let bits = magnitude.to_bits();
    let exponent = (bits >> 52) as i32 - 1023;
    if exponent > 127 {
        return None;
    }
    // In units of the last place at this exponent, or of the smallest subnormal.
    let place = exponent.max(1 - bias) - mantissa_bits as i32;
    let units = magnitude * power_of_two(-place);
    // Below 2^52 adding and taking away 2^52 rounds to nearest even.
    let whole = (units + 4503599627370496.0) - 4503599627370496.0;
    let field = (exponent.max(1 - bias) + bias - 1) as u32;
    // A rounding up to the next binade carries into the field by itself.
    Some((field << mantissa_bits) + whole as u32)
}

/// Returns 2^exponent for exponents of normal binary64 values.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOATS: [TinyFloat; 5] = [
        TinyFloat::E4m3fn,
        TinyFloat::E4m3fnuz,
        TinyFloat::E5m2,
        TinyFloat::E5m2fnuz,
        TinyFloat::E2m1,
    ];

    fn codes(format: TinyFloat) -> std::ops::RangeInclusive<u8> {
        if format == TinyFloat::E2m1 {
            0..=15
        } else {
            0..=255
        }
    }

    #[test]
    fn every_code_comes_back() {
        for format in FLOATS {
            for code in codes(format) {
                let value = format.decode(code);
                let want = if value.is_nan() { format.nan() } else { code };
                assert_eq!(format.encode(value, false), want, "{format:?} {code:#x}");
            }
        }
        for code in 0..=255u8 {
            for rounding in [
                ScaleRounding::Up,
                ScaleRounding::Down,
                ScaleRounding::Nearest,
            ] {
                assert_eq!(encode_scale(decode_scale(code), true, rounding), code);
            }
        }
    }

    #[test]
    fn the_largest_values_are_those_of_the_onnx_table() {
        let largest = [448.0, 240.0, 57344.0, 57344.0, 6.0];
        for (format, want) in FLOATS.into_iter().zip(largest) {
            assert_eq!(format.decode(format.layout().max), want);
            assert_eq!(format.encode(f64::INFINITY, true), format.layout().max);
            assert_eq!(format.encode(1e6, true), format.layout().max);
        }
        assert_eq!(TinyFloat::E5m2.encode(f64::NEG_INFINITY, false), 0xfc);
        assert_eq!(TinyFloat::E4m3fn.encode(f64::INFINITY, false), 0x7f);
        assert_eq!(TinyFloat::E4m3fn.encode(-1e6, false), 0xff);
        assert_eq!(TinyFloat::E4m3fnuz.encode(-1e6, false), 0x80);
    }

    #[test]
    fn rounding_is_to_the_nearest_value_and_ties_to_the_even_code() {
        for format in FLOATS {
            let layout = format.layout();
            for code in 0..layout.max {
                let (low, high) = (format.decode(code), format.decode(code + 1));
                let tie = (low + high) / 2.0;
                let even = if code & 1 == 0 { code } else { code + 1 };
                assert_eq!(format.encode(tie, false), even, "{format:?} {code}");
                let above = f64::from_bits(tie.to_bits() + 1);
                let below = f64::from_bits(tie.to_bits() - 1);
                assert_eq!(format.encode(above, false), code + 1);
                assert_eq!(format.encode(below, false), code);
            }
        }
    }

    #[test]
    fn zero_has_a_sign_only_where_the_format_has() {
        assert_eq!(TinyFloat::E4m3fn.encode(-0.0, true), 0x80);
        assert_eq!(TinyFloat::E4m3fnuz.encode(-0.0, true), 0);
        assert_eq!(TinyFloat::E5m2fnuz.encode(-1e-30, true), 0);
        assert_eq!(TinyFloat::E2m1.encode(-0.0, true), 8);
        assert_eq!(TinyFloat::E2m1.encode(f64::NAN, true), 8);
    }

    #[test]
    fn scales_round_as_asked() {
        let cases = [
            (1.1, 128, 127, 127),
            (1.5, 128, 127, 128),
            (0.124, 124, 123, 124),
        ];
        for (value, up, down, nearest) in cases {
            assert_eq!(encode_scale(value, true, ScaleRounding::Up), up);
            assert_eq!(encode_scale(value, true, ScaleRounding::Down), down);
            assert_eq!(encode_scale(value, true, ScaleRounding::Nearest), nearest);
        }
        assert_eq!(encode_scale(0.0, true, ScaleRounding::Up), 0);
        assert_eq!(encode_scale(0.0, false, ScaleRounding::Nearest), 0xff);
        assert_eq!(encode_scale(f64::INFINITY, true, ScaleRounding::Up), 0xfe);
        assert_eq!(encode_scale(1e300, false, ScaleRounding::Up), 0xff);
    }

    #[test]
    fn tiny_integers_keep_low_bits() {
        assert_eq!(TinyInt::Int4.value(TinyInt::Int4.wrap(-9)), 7);
        assert_eq!(TinyInt::Int4.value(TinyInt::Int4.wrap(8)), -8);
        assert_eq!(TinyInt::Uint4.value(TinyInt::Uint4.wrap(-1)), 15);
        assert_eq!(TinyInt::Int2.value(TinyInt::Int2.wrap(2)), -2);
        assert_eq!(TinyInt::Uint2.value(TinyInt::Uint2.wrap(-3)), 1);
    }
}
