//! Cast, CastLike, BitCast: conversions between all element types (Spec: N-11).

use assay_numerics::cast::{CastTo, Widen, cast, cast_to_scale, cast_to_tiny, cast_to_tiny_int};
use assay_numerics::half::{Bf16, F16};
use assay_numerics::nan::{canonical_f32, canonical_f64};
use assay_numerics::tiny::{ScaleRounding, TinyFloat, TinyInt, decode_scale};

use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Data, Out};

/// Bounds the characters of a number written as text.
const NUMBER_CHARS: usize = 400;

/// Names the float format below 16 bits (with sign) that a type stands for.
pub(crate) fn tiny_float(dtype: DType) -> Option<TinyFloat> {
    match dtype {
        DType::F8E4M3Fn => Some(TinyFloat::E4m3fn),
        DType::F8E4M3Fnuz => Some(TinyFloat::E4m3fnuz),
        DType::F8E5M2 => Some(TinyFloat::E5m2),
        DType::F8E5M2Fnuz => Some(TinyFloat::E5m2fnuz),
        DType::F4E2M1 => Some(TinyFloat::E2m1),
        _ => None,
    }
}

/// Names the integer format below 8 bits that a type stands for.
pub(crate) fn tiny_int(dtype: DType) -> Option<TinyInt> {
    match dtype {
        DType::I4 => Some(TinyInt::Int4),
        DType::U4 => Some(TinyInt::Uint4),
        DType::I2 => Some(TinyInt::Int2),
        DType::U2 => Some(TinyInt::Uint2),
        _ => None,
    }
}

/// Holds what an ONNX cast says besides the target type.
#[derive(Clone, Copy)]
pub(crate) struct CastRule {
    saturate: bool,
    rounding: ScaleRounding,
}

impl Default for CastRule {
    fn default() -> Self {
        CastRule {
            saturate: true,
            rounding: ScaleRounding::Up,
        }
    }
}

/// Is a number that converts to every element type.
trait Source:
    Widen
    + CastTo<f32>
    + CastTo<f64>
    + CastTo<F16>
    + CastTo<Bf16>
    + CastTo<bool>
    + CastTo<i8>
    + CastTo<i16>
    + CastTo<i32>
    + CastTo<i64>
    + CastTo<u8>
    + CastTo<u16>
    + CastTo<u32>
    + CastTo<u64>
{
    /// Writes the number as text.
    fn text(self) -> String;
}

macro_rules! sources {
    ($($t:ty => |$x:ident| $text:expr;)*) => {$(
        impl Source for $t {
            fn text(self) -> String {
                let $x = self;
                $text
            }
        }
    )*};
}

sources! {
    f32 => |x| float_text(x.is_nan(), x.is_infinite(), x < 0.0, x.to_string());
    f64 => |x| float_text(x.is_nan(), x.is_infinite(), x < 0.0, x.to_string());
    F16 => |x| x.to_f32().text();
    Bf16 => |x| x.to_f32().text();
    bool => |x| u8::from(x).to_string();
    i8 => |x| x.to_string();
    i16 => |x| x.to_string();
    i32 => |x| x.to_string();
    i64 => |x| x.to_string();
    u8 => |x| x.to_string();
    u16 => |x| x.to_string();
    u32 => |x| x.to_string();
    u64 => |x| x.to_string();
}

/// Writes a float as ONNX names it: the shortest digits that read back, or NaN, INF, -INF.
fn float_text(nan: bool, infinite: bool, negative: bool, digits: String) -> String {
    match (nan, infinite, negative) {
        (true, ..) => "NaN".into(),
        (_, true, true) => "-INF".into(),
        (_, true, false) => "INF".into(),
        _ => digits,
    }
}

/// Reads a number written as text, rounding once.
fn parse(text: &str) -> Result<f64, OpError> {
    let trimmed = text.trim();
    let upper = trimmed.to_ascii_uppercase();
    let special = match upper.as_str() {
        "INF" | "+INF" => Some(f64::INFINITY),
        "-INF" => Some(f64::NEG_INFINITY),
        "NAN" => Some(f64::NAN),
        _ => None,
    };
    let plain = trimmed.len() <= NUMBER_CHARS
        && trimmed
            .bytes()
            .all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    special
        .or_else(|| {
            if plain {
                trimmed.parse::<f64>().ok()
            } else {
                None
            }
        })
        .map(canonical_f64)
        .ok_or_else(|| OpError::Text {
            what: "must be a number",
            got: text.chars().take(64).collect(),
        })
}

/// Converts `source` into `out`, whose type decides the conversion.
pub(crate) fn convert(rule: CastRule, source: &Data, out: &mut Data) -> Result<(), OpError> {
    match source {
        Data::F32(v) => from_numbers(rule, v, out),
        Data::F64(v) => from_numbers(rule, v, out),
        Data::F16(v) => from_numbers(rule, v, out),
        Data::Bf16(v) => from_numbers(rule, v, out),
        Data::Bool(v) => from_numbers(rule, v, out),
        Data::I8(v) => from_numbers(rule, v, out),
        Data::I16(v) => from_numbers(rule, v, out),
        Data::I32(v) => from_numbers(rule, v, out),
        Data::I64(v) => from_numbers(rule, v, out),
        Data::U8(v) => from_numbers(rule, v, out),
        Data::U16(v) => from_numbers(rule, v, out),
        Data::U32(v) => from_numbers(rule, v, out),
        Data::U64(v) => from_numbers(rule, v, out),
        Data::I4(v) | Data::I2(v) => from_numbers(rule, v, out),
        Data::U4(v) | Data::U2(v) => from_numbers(rule, v, out),
        Data::F8E8M0(v) => {
            let wide: Vec<f64> = v.iter().map(|code| decode_scale(*code)).collect();
            from_numbers(rule, &wide, out)
        }
        Data::F8E4M3Fn(v)
        | Data::F8E4M3Fnuz(v)
        | Data::F8E5M2(v)
        | Data::F8E5M2Fnuz(v)
        | Data::F4E2M1(v) => {
            let format = tiny_float(source.dtype()).ok_or(OpError::Type {
                what: "a float8 or float4 tensor",
                got: source.dtype(),
            })?;
            let wide: Vec<f64> = v.iter().map(|code| format.decode(*code)).collect();
            from_numbers(rule, &wide, out)
        }
        Data::Str(v) => from_text(rule, v, out),
    }
}

fn from_text(rule: CastRule, source: &[String], out: &mut Data) -> Result<(), OpError> {
    match out {
        Data::Str(v) => {
            v.clone_from_slice(source);
            Ok(())
        }
        // Integers are read as integers where they are, so that 64 bits survive.
        Data::I64(v) => {
            for (o, text) in v.iter_mut().zip(source) {
                *o = match text.trim().parse::<i64>() {
                    Ok(whole) => whole,
                    Err(_) => parse(text)?.cast(),
                };
            }
            Ok(())
        }
        Data::U64(v) => {
            for (o, text) in v.iter_mut().zip(source) {
                *o = match text.trim().parse::<u64>() {
                    Ok(whole) => whole,
                    Err(_) => parse(text)?.cast(),
                };
            }
            Ok(())
        }
        // A number in f32 is rounded once, straight from its digits.
        Data::F32(v) => {
            for (o, text) in v.iter_mut().zip(source) {
                let wide = parse(text)?;
                let direct = text.trim().parse::<f32>().ok();
                *o = canonical_f32(direct.unwrap_or(wide as f32));
            }
            Ok(())
        }
        out => {
            let wide: Vec<f64> = source
                .iter()
                .map(|text| parse(text))
                .collect::<Result<_, _>>()?;
            from_numbers(rule, &wide, out)
        }
    }
}

fn from_numbers<S: Source>(rule: CastRule, source: &[S], out: &mut Data) -> Result<(), OpError> {
    let dtype = out.dtype();
    match out {
        Data::F32(v) => cast(source, v),
        Data::F64(v) => cast(source, v),
        Data::F16(v) => cast(source, v),
        Data::Bf16(v) => cast(source, v),
        Data::Bool(v) => cast(source, v),
        Data::I8(v) => cast(source, v),
        Data::I16(v) => cast(source, v),
        Data::I32(v) => cast(source, v),
        Data::I64(v) => cast(source, v),
        Data::U8(v) => cast(source, v),
        Data::U16(v) => cast(source, v),
        Data::U32(v) => cast(source, v),
        Data::U64(v) => cast(source, v),
        Data::Str(v) => {
            for (o, x) in v.iter_mut().zip(source) {
                *o = x.text();
            }
        }
        Data::F8E8M0(v) => cast_to_scale(rule.rounding, rule.saturate, source, v),
        Data::I4(v) | Data::I2(v) => {
            let format = tiny_int(dtype).ok_or(OpError::Type {
                what: "int4 or int2",
                got: dtype,
            })?;
            let mut codes = vec![0u8; source.len()];
            cast_to_tiny_int(format, source, &mut codes);
            cast(&codes, v);
        }
        Data::U4(v) | Data::U2(v) => {
            let format = tiny_int(dtype).ok_or(OpError::Type {
                what: "uint4 or uint2",
                got: dtype,
            })?;
            cast_to_tiny_int(format, source, v);
        }
        Data::F8E4M3Fn(v)
        | Data::F8E4M3Fnuz(v)
        | Data::F8E5M2(v)
        | Data::F8E5M2Fnuz(v)
        | Data::F4E2M1(v) => {
            let format = tiny_float(dtype).ok_or(OpError::Type {
                what: "float8 or float4",
                got: dtype,
            })?;
            cast_to_tiny(format, rule.saturate || dtype == DType::F4E2M1, source, v);
        }
    }
    Ok(())
}

/// Converts to a fixed type, or with none to the type of input 1.
struct Cast {
    to: Option<DType>,
    rule: CastRule,
}

impl Op for Cast {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        let to = match self.to {
            Some(to) => to,
            None => cx.tensor(1)?.dtype,
        };
        Ok(vec![Fact::tensor(to, x.shape.clone())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let (from, to) = (cx.input(0)?, cx.output(0)?);
        // Text takes about as long as a transcendental function, and no number is longer.
        if from.dtype == DType::Str || to.dtype == DType::Str {
            let transcendentals = to.count().saturating_mul(8);
            return Ok(Cost {
                transcendentals,
                ..cx.traffic()
            });
        }
        let tiny = [from.dtype, to.dtype]
            .into_iter()
            .any(|d| tiny_float(d).is_some());
        Ok(Cost {
            elements: to.count().saturating_mul(if tiny { 3 } else { 1 }),
            ..cx.traffic()
        })
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        convert(self.rule, ins.get(0)?.data, outs[0].data)
    }
}

/// Reads the same bits as another type of the same width; float NaNs become canonical.
struct BitCast {
    to: DType,
}

/// Returns the width of a type in bits.
fn bits(dtype: DType) -> usize {
    match dtype {
        DType::I4 | DType::U4 | DType::F4E2M1 => 4,
        DType::I2 | DType::U2 => 2,
        other => other.size_bytes() * 8,
    }
}

/// Reads elements as unsigned bits.
fn to_bits(data: &Data) -> Result<Vec<u64>, OpError> {
    macro_rules! read {
        ($($kind:ident: |$x:ident| $bits:expr;)*) => {
            match data {
                $(Data::$kind(v) => Ok(v.iter().map(|&$x| $bits).collect()),)*
                other => match other.codes() {
                    Some(codes) => Ok(codes.iter().map(|&code| u64::from(code)).collect()),
                    None => Err(OpError::Type { what: "anything but strings", got: other.dtype() }),
                },
            }
        };
    }
    read! {
        F32: |x| u64::from(x.to_bits());
        F64: |x| x.to_bits();
        F16: |x| u64::from(x.0);
        Bf16: |x| u64::from(x.0);
        Bool: |x| u64::from(x);
        I8: |x| u64::from(x as u8);
        I16: |x| u64::from(x as u16);
        I32: |x| u64::from(x as u32);
        I64: |x| x as u64;
        U16: |x| u64::from(x);
        U32: |x| u64::from(x);
        U64: |x| x;
        I4: |x| u64::from(x as u8 & 15);
        I2: |x| u64::from(x as u8 & 3);
    }
}

/// Writes unsigned bits as elements.
fn from_bits(bits: &[u64], out: &mut Data) -> Result<(), OpError> {
    let tiny = tiny_float(out.dtype());
    macro_rules! write {
        ($($kind:ident: |$x:ident| $value:expr;)*) => {
            match out {
                $(Data::$kind(v) => {
                    for (o, &$x) in v.iter_mut().zip(bits) {
                        *o = $value;
                    }
                    Ok(())
                })*
                other => {
                    let got = other.dtype();
                    let codes = other
                        .codes_mut()
                        .ok_or(OpError::Type { what: "anything but strings", got })?;
                    for (o, &x) in codes.iter_mut().zip(bits) {
                        let code = x as u8;
                        *o = match tiny {
                            Some(format) if format.decode(code).is_nan() => format.nan(),
                            _ => code,
                        };
                    }
                    Ok(())
                }
            }
        };
    }
    write! {
        F32: |x| canonical_f32(f32::from_bits(x as u32));
        F64: |x| canonical_f64(f64::from_bits(x));
        F16: |x| F16::from_f32(F16(x as u16).to_f32());
        Bf16: |x| Bf16::from_f32(Bf16(x as u16).to_f32());
        Bool: |x| x != 0;
        I8: |x| x as i8;
        I16: |x| x as i16;
        I32: |x| x as i32;
        I64: |x| x as i64;
        U16: |x| x as u16;
        U32: |x| x as u32;
        U64: |x| x;
        I4: |x| TinyInt::Int4.wrap(x as i32) as i8;
        I2: |x| TinyInt::Int2.wrap(x as i32) as i8;
    }
}

impl Op for BitCast {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        if x.dtype == DType::Str || bits(x.dtype) != bits(self.to) {
            return Err(OpError::Type {
                what: "a type as wide as the target",
                got: x.dtype,
            });
        }
        Ok(vec![Fact::tensor(self.to, x.shape.clone())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        cx.elementwise()
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        from_bits(&to_bits(ins.get(0)?.data)?, outs[0].data)
    }
}

fn target(cx: &NodeCx<'_>) -> Result<DType, OpError> {
    let number = cx.int("to")?.ok_or(OpError::Attribute {
        name: "to",
        why: "is missing",
    })?;
    i32::try_from(number)
        .ok()
        .and_then(DType::from_onnx)
        .ok_or(OpError::Attribute {
            name: "to",
            why: "is not a supported element type",
        })
}

fn rule(cx: &NodeCx<'_>) -> Result<CastRule, OpError> {
    let saturate = cx.opset() < 19 || cx.flag("saturate", true)?;
    let rounding = if cx.opset() < 24 {
        "up".into()
    } else {
        cx.string_or("round_mode", "up")?
    };
    let rounding = match rounding.as_str() {
        "up" => ScaleRounding::Up,
        "down" => ScaleRounding::Down,
        "nearest" => ScaleRounding::Nearest,
        _ => {
            return Err(OpError::Attribute {
                name: "round_mode",
                why: "must be up, down or nearest",
            });
        }
    };
    Ok(CastRule { saturate, rounding })
}

fn cast_op(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    Ok(Box::new(Cast {
        to: Some(target(cx)?),
        rule: rule(cx)?,
    }))
}

fn cast_like(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    Ok(Box::new(Cast {
        to: None,
        rule: rule(cx)?,
    }))
}

fn bit_cast(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    let to = target(cx)?;
    if to == DType::Str {
        return Err(OpError::Attribute {
            name: "to",
            why: "must not be string",
        });
    }
    Ok(Box::new(BitCast { to }))
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("Cast", 6, cast_op),
    Entry::onnx("CastLike", 15, cast_like),
    Entry::onnx("BitCast", 26, bit_cast),
];
