//! QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear.

use assay_numerics::cast::cast_to_tiny;
use assay_numerics::quant::{
    Quantum, Range, dequantize, dynamic_range, quantize, scaled_floats, unscaled_floats,
};
use assay_numerics::tiny::{TinyFloat, decode_scale};

use super::dense::refuse;
use super::work::{WorkFloat, want_same};
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx, axis_in};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Data, Out, View};

/// Says which scale an element has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grain {
    /// One scale for all.
    Tensor,
    /// One scale for each index of the axis.
    Axis { dim: usize, inner: usize },
    /// One scale for each block along the axis.
    Block {
        dim: usize,
        inner: usize,
        block: usize,
        blocks: usize,
    },
}

impl Grain {
    /// Fits scales to an input.
    fn new(x: &[usize], scale: &[usize], axis: i64, block: usize) -> Result<Grain, OpError> {
        let wrong = |why| refuse(why, &[x, scale]);
        if block == 0 && (scale.is_empty() || scale == [1]) {
            return Ok(Grain::Tensor);
        }
        let axis = axis_in(axis, x.len())?;
        let (Some(&dim), Some(inner)) = (x.get(axis), x.get(axis + 1..)) else {
            return Err(wrong("a scalar has no axis"));
        };
        let inner = inner.iter().product();
        if block == 0 {
            if scale != [dim] {
                return Err(wrong("the scale needs one number per index of the axis"));
            }
            return Ok(Grain::Axis { dim, inner });
        }
        let blocks = dim.div_ceil(block);
        let mut expected = x.to_vec();
        expected[axis] = blocks;
        if scale != expected {
            return Err(wrong("the scale needs one number per block"));
        }
        Ok(Grain::Block {
            dim,
            inner,
            block,
            blocks,
        })
    }

    /// Returns how many adjacent elements share a scale.
    fn run(self, len: usize) -> usize {
        match self {
            Grain::Tensor => len.max(1),
            Grain::Axis { inner, .. } => inner.max(1),
            Grain::Block {
                dim,
                inner: 1,
                block,
                ..
            } if dim % block == 0 => block,
            Grain::Block { .. } => 1,
        }
    }

    /// Returns the scale of the run that begins at an element.
    fn at(self, element: usize) -> usize {
        match self {
            Grain::Tensor => 0,
            Grain::Axis { dim, inner } => element / inner.max(1) % dim.max(1),
            Grain::Block {
                dim,
                inner,
                block,
                blocks,
            } => {
                let (outer, rest) = (element / (dim * inner), element % (dim * inner));
                (outer * blocks + rest / inner / block) * inner + rest % inner
            }
        }
    }
}

/// Says whether zero points and scales have one shape; a list of one stands for a scalar.
fn same_grain(zero: &[usize], scale: &[usize]) -> bool {
    let single = |shape: &[usize]| shape.is_empty() || shape == [1];
    zero == scale || (single(zero) && single(scale))
}

/// Reads the attributes that both directions share.
fn read_grain(cx: &NodeCx<'_>) -> Result<(i64, usize), OpError> {
    let axis = if cx.opset() >= 13 {
        cx.int_or("axis", 1)?
    } else {
        1
    };
    let block = if cx.opset() >= 21 {
        cx.int_or("block_size", 0)?
    } else {
        0
    };
    match block {
        0..=0x7fff_ffff => Ok((axis, block as usize)),
        _ => Err(OpError::Attribute {
            name: "block_size",
            why: "is out of range",
        }),
    }
}

/// Reads an attribute that names an element type; 0 means none.
fn read_dtype(cx: &NodeCx<'_>, name: &'static str) -> Result<Option<DType>, OpError> {
    match cx.int_or(name, 0)? {
        0 => Ok(None),
        number => i32::try_from(number)
            .ok()
            .and_then(DType::from_onnx)
            .map(Some)
            .ok_or(OpError::Attribute {
                name,
                why: "is no supported element type",
            }),
    }
}

/// Returns the bounds of an integer type that numbers are quantised to.
fn bounds(dtype: DType) -> Option<Range> {
    let (min, max) = match dtype {
        DType::U8 => (0, 255),
        DType::I8 => (-128, 127),
        DType::U16 => (0, 65_535),
        DType::I16 => (-32_768, 32_767),
        DType::U4 => (0, 15),
        DType::I4 => (-8, 7),
        DType::U2 => (0, 3),
        DType::I2 => (-2, 1),
        _ => return None,
    };
    Some(Range { min, max })
}

/// Returns the format of a narrow float.
fn tiny(dtype: DType) -> Option<TinyFloat> {
    Some(match dtype {
        DType::F8E4M3Fn => TinyFloat::E4m3fn,
        DType::F8E4M3Fnuz => TinyFloat::E4m3fnuz,
        DType::F8E5M2 => TinyFloat::E5m2,
        DType::F8E5M2Fnuz => TinyFloat::E5m2fnuz,
        DType::F4E2M1 => TinyFloat::E2m1,
        _ => return None,
    })
}

/// Reads scales as f32: every scale type converts exactly, int32 rounds once.
fn read_scale(view: View<'_>) -> Result<Vec<f32>, OpError> {
    match view.data {
        Data::F8E8M0(codes) => Ok(codes
            .iter()
            .map(|code| decode_scale(*code) as f32)
            .collect()),
        Data::I32(values) => Ok(values.iter().map(|x| *x as f32).collect()),
        _ => Ok(f32::read(view)?.into_owned()),
    }
}

/// Refuses types that are no scales.
fn want_scale(dtype: DType) -> Result<DType, OpError> {
    match dtype {
        DType::F32 | DType::F16 | DType::Bf16 | DType::I32 | DType::F8E8M0 => Ok(dtype),
        got => Err(OpError::Type {
            what: "a float, float16, bfloat16 or float8e8m0 scale",
            got,
        }),
    }
}

/// Runs `$body` with `$v` the elements of an integer tensor.
macro_rules! with_quanta {
    ($data:expr, $v:ident => $body:expr) => {
        match $data {
            Data::U8($v) | Data::U4($v) | Data::U2($v) => $body,
            Data::I8($v) | Data::I4($v) | Data::I2($v) => $body,
            Data::U16($v) => $body,
            Data::I16($v) => $body,
            Data::I32($v) => $body,
            other => Err(OpError::Type {
                what: "a quantised tensor",
                got: other.dtype(),
            }),
        }
    };
}

/// Reads zero points of an integer type; none is 0.
fn read_zero(view: Option<View<'_>>) -> Result<Vec<i32>, OpError> {
    let Some(view) = view else {
        return Ok(Vec::new());
    };
    with_quanta!(view.data, v => Ok(v.iter().map(|x| x.to_i32()).collect()))
}

/// Reads codes of a narrow float.
fn read_tiny(view: View<'_>, format: TinyFloat) -> Result<Vec<f32>, OpError> {
    let codes = view.data.codes().ok_or(OpError::Type {
        what: "a narrow float tensor",
        got: view.dtype(),
    })?;
    // Every narrow float is an f32.
    Ok(codes
        .iter()
        .map(|code| format.decode(*code) as f32)
        .collect())
}

/// Quantises.
struct Quantize {
    axis: i64,
    block: usize,
    dtype: Option<DType>,
    saturate: bool,
}

impl Quantize {
    fn grain(&self, x: &[usize], scale: &[usize]) -> Result<Grain, OpError> {
        Grain::new(x, scale, self.axis, self.block)
    }
}

impl Op for Quantize {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (x, scale) = (cx.tensor(0)?, cx.tensor(1)?);
        if !matches!(x.dtype, DType::F32 | DType::F16 | DType::Bf16 | DType::I32) {
            let what = "a float, float16, bfloat16 or int32 tensor";
            return Err(OpError::Type { what, got: x.dtype });
        }
        want_scale(scale.dtype)?;
        self.grain(&x.shape, &scale.shape)?;
        let mut dtype = self.dtype;
        if let Some(zero) = cx.optional(2)? {
            want_same(*dtype.get_or_insert(zero.dtype), zero.dtype)?;
            if !same_grain(&zero.shape, &scale.shape) {
                let why = "scale and zero point have different shapes";
                return Err(refuse(why, &[&scale.shape, &zero.shape]));
            }
        }
        let dtype = dtype.unwrap_or(DType::U8);
        if bounds(dtype).is_none() && tiny(dtype).is_none() {
            return Err(OpError::Type {
                what: "a quantised output type",
                got: dtype,
            });
        }
        Ok(vec![Fact::tensor(dtype, x.shape.clone())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        // One scale for all is a pass of its own kind; otherwise each element finds its scale.
        let each = if cx.input(1)?.count() == 1 { 2 } else { 8 };
        let elements = cx.output(0)?.count().saturating_mul(each);
        Ok(Cost {
            elements,
            ..cx.traffic()
        })
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (x, scale, zero) = (ins.get(0)?, ins.get(1)?, ins.optional(2));
        let grain = self.grain(x.shape, scale.shape)?;
        let scales = read_scale(scale)?;
        let x = match x.data {
            Data::I32(values) => values.iter().map(|x| *x as f32).collect(),
            _ => f32::read(x)?.into_owned(),
        };
        let out = &mut outs[0];
        let scale = |i: usize| scales.get(i).copied().unwrap_or(1.0);
        let dtype = out.data.dtype();
        if let Some(format) = tiny(dtype) {
            let zeros = zero
                .map(|zero| read_tiny(zero, format))
                .transpose()?
                .unwrap_or_default();
            let parameters = |element: usize| {
                let i = grain.at(element);
                (scale(i), zeros.get(i).copied().unwrap_or(0.0))
            };
            let mut scaled = vec![0.0; x.len()];
            scaled_floats(&x, parameters, &mut scaled);
            if let Some(codes) = out.data.codes_mut() {
                cast_to_tiny(format, self.saturate, &scaled, codes);
            }
            return Ok(());
        }
        let zeros = read_zero(zero)?;
        let Some(range) = bounds(dtype) else {
            return Err(OpError::Type {
                what: "a quantised output type",
                got: dtype,
            });
        };
        let run = grain.run(x.len());
        let parameters = |i: usize| {
            let i = grain.at(i * run);
            (scale(i), zeros.get(i).copied().unwrap_or(0))
        };
        with_quanta!(&mut *out.data, v => {
            quantize(cx.engine(), &x, run, parameters, range, v);
            Ok(())
        })
    }
}

/// Dequantises.
struct Dequantize {
    axis: i64,
    block: usize,
    dtype: Option<DType>,
}

impl Dequantize {
    fn grain(&self, x: &[usize], scale: &[usize]) -> Result<Grain, OpError> {
        Grain::new(x, scale, self.axis, self.block)
    }
}

impl Op for Dequantize {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (x, scale) = (cx.tensor(0)?, cx.tensor(1)?);
        if bounds(x.dtype).is_none() && tiny(x.dtype).is_none() && x.dtype != DType::I32 {
            return Err(OpError::Type {
                what: "a quantised tensor",
                got: x.dtype,
            });
        }
        want_scale(scale.dtype)?;
        self.grain(&x.shape, &scale.shape)?;
        if let Some(zero) = cx.optional(2)? {
            want_same(x.dtype, zero.dtype)?;
            if !same_grain(&zero.shape, &scale.shape) {
                let why = "scale and zero point have different shapes";
                return Err(refuse(why, &[&scale.shape, &zero.shape]));
            }
        }
        match self.dtype.unwrap_or(scale.dtype) {
            dtype @ (DType::F32 | DType::F16 | DType::Bf16) => {
                Ok(vec![Fact::tensor(dtype, x.shape.clone())])
            }
            got => Err(OpError::Type {
                what: "a float, float16 or bfloat16 output",
                got,
            }),
        }
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        cx.elementwise()
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (x, scale, zero) = (ins.get(0)?, ins.get(1)?, ins.optional(2));
        let grain = self.grain(x.shape, scale.shape)?;
        let scales = read_scale(scale)?;
        let scale = |i: usize| scales.get(i).copied().unwrap_or(1.0);
        if let Some(format) = tiny(x.dtype()) {
            let zeros = zero
                .map(|zero| read_tiny(zero, format))
                .transpose()?
                .unwrap_or_default();
            let x = read_tiny(x, format)?;
            let parameters = |element: usize| {
                let i = grain.at(element);
                (scale(i), zeros.get(i).copied().unwrap_or(0.0))
            };
            return f32::write(&mut outs[0], |out| {
                unscaled_floats(&x, parameters, out);
                Ok(())
            });
        }
        let zeros = read_zero(zero)?;
        let run = grain.run(x.len());
        let parameters = |i: usize| {
            let i = grain.at(i * run);
            (scale(i), zeros.get(i).copied().unwrap_or(0))
        };
        f32::write(&mut outs[0], |out| {
            with_quanta!(x.data, v => {
                dequantize(cx.engine(), v, run, parameters, out);
                Ok(())
            })
        })
    }
}

/// Quantises to bytes with the scale and zero point of the input's own range.
struct DynamicQuantize;

impl Op for DynamicQuantize {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        want_same(DType::F32, x.dtype)?;
        let mut facts = vec![
            Fact::tensor(DType::U8, x.shape.clone()),
            Fact::tensor(DType::F32, []),
            Fact::tensor(DType::U8, []),
        ];
        facts.truncate(cx.outputs());
        Ok(facts)
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let elements = cx.input(0)?.count().saturating_mul(3);
        Ok(Cost {
            elements,
            ..cx.traffic()
        })
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let x = ins.get(0)?.as_slice::<f32>()?;
        let (scale, zero) = dynamic_range(x);
        for (i, out) in outs.iter_mut().enumerate() {
            match i {
                0 => {
                    let range = Range { min: 0, max: 255 };
                    let parameters = |_| (scale, i32::from(zero));
                    let out = out.as_mut::<u8>()?;
                    quantize(cx.engine(), x, x.len().max(1), parameters, range, out);
                }
                1 => out.as_mut::<f32>()?.fill(scale),
                _ => out.as_mut::<u8>()?.fill(zero),
            }
        }
        Ok(())
    }
}

fn build_quantize(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=3, 1)?;
    let (axis, block) = read_grain(cx)?;
    if cx.opset() >= 23 && !matches!(read_dtype(cx, "precision")?, None | Some(DType::F32)) {
        let what = "a division precision other than float".into();
        return Err(OpError::Unsupported { what });
    }
    let dtype = if cx.opset() >= 21 {
        read_dtype(cx, "output_dtype")?
    } else {
        None
    };
    let saturate = cx.opset() < 19 || cx.flag("saturate", true)?;
    Ok(Box::new(Quantize {
        axis,
        block,
        dtype,
        saturate,
    }))
}

fn build_dequantize(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=3, 1)?;
    let (axis, block) = read_grain(cx)?;
    let dtype = if cx.opset() >= 23 {
        read_dtype(cx, "output_dtype")?
    } else {
        None
    };
    Ok(Box::new(Dequantize { axis, block, dtype }))
}

fn build_dynamic(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 3)?;
    Ok(Box::new(DynamicQuantize))
}

/// Lists the family.
pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("QuantizeLinear", 10, build_quantize),
    Entry::onnx("DequantizeLinear", 10, build_dequantize),
    Entry::onnx("DynamicQuantizeLinear", 11, build_dynamic),
];
