//! Products of quantised numbers: MatMulInteger, QLinearMatMul, ConvInteger, QLinearConv.

use assay_numerics::Engine;
use assay_numerics::quant::{
    ByteMatrix, Bytes, PackedBytes, Range, conv_bytes, gemm_bytes, joined_scale, quantize_sums,
};

use super::conv::{Layer, check_padded, groups};
use super::dense::{refuse, work_bytes};
use super::matmul::Stack;
use super::window::Window;
use super::work::{WorkFloat, want_float, want_same};
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Data, Out, Tensor, View};

/// Views a tensor of bytes.
fn bytes<'a>(view: View<'a>) -> Result<Bytes<'a>, OpError> {
    match view.data {
        Data::U8(data) => Ok(Bytes::Unsigned(data)),
        Data::I8(data) => Ok(Bytes::Signed(data)),
        other => Err(OpError::Type {
            what: "an int8 or uint8 tensor",
            got: other.dtype(),
        }),
    }
}

/// Takes a part of some bytes.
fn part(bytes: Bytes<'_>, range: std::ops::Range<usize>) -> Bytes<'_> {
    match bytes {
        Bytes::Unsigned(data) => Bytes::Unsigned(&data[range]),
        Bytes::Signed(data) => Bytes::Signed(&data[range]),
    }
}

/// Refuses types other than int8 and uint8.
fn want_bytes(dtype: DType) -> Result<DType, OpError> {
    match dtype {
        DType::I8 | DType::U8 => Ok(dtype),
        got => Err(OpError::Type {
            what: "an int8 or uint8 tensor",
            got,
        }),
    }
}

/// Reads zero points; none is 0.
fn zeros(view: Option<View<'_>>) -> Result<Vec<i32>, OpError> {
    let Some(view) = view else { return Ok(vec![0]) };
    Ok(match bytes(view)? {
        Bytes::Unsigned(data) => data.iter().map(|x| i32::from(*x)).collect(),
        Bytes::Signed(data) => data.iter().map(|x| i32::from(*x)).collect(),
    })
}

/// Names the inputs of one form of a product.
#[derive(Clone, Copy)]
struct Inputs {
    a: usize,
    a_zero: usize,
    b: usize,
    b_zero: usize,
    /// Gives the scales of a, b and y and the zero point of y, for the forms that requantise.
    scales: Option<[usize; 4]>,
}

const INTEGER: Inputs = Inputs {
    a: 0,
    a_zero: 2,
    b: 1,
    b_zero: 3,
    scales: None,
};
const LINEAR: Inputs = Inputs {
    a: 0,
    a_zero: 2,
    b: 3,
    b_zero: 5,
    scales: Some([1, 4, 6, 7]),
};

/// Reads a list of scales as f32.
fn scales(view: View<'_>) -> Result<Vec<f32>, OpError> {
    Ok(f32::read(view)?.into_owned())
}

/// Refuses parameters that are neither one nor one per row or column.
fn want_count(shape: &[usize], per: usize) -> Result<(), OpError> {
    match *shape {
        [] | [1] => Ok(()),
        [count] if count == per => Ok(()),
        [count, 1] if count == per => Ok(()),
        _ => Err(refuse(
            "scales and zero points: one, or one per row or column",
            &[shape, &[per]],
        )),
    }
}

impl Inputs {
    /// Checks types and parameter counts; gives the output's type.
    fn check(self, cx: &InferCx<'_>, a_per: usize, b_per: usize) -> Result<DType, OpError> {
        let (a, b) = (
            want_bytes(cx.tensor(self.a)?.dtype)?,
            want_bytes(cx.tensor(self.b)?.dtype)?,
        );
        for (input, dtype, per) in [(self.a_zero, a, a_per), (self.b_zero, b, b_per)] {
            if let Some(zero) = cx.optional(input)? {
                want_same(dtype, zero.dtype)?;
                want_count(&zero.shape, per)?;
            }
        }
        let Some([a_scale, b_scale, y_scale, y_zero]) = self.scales else {
            return Ok(DType::I32);
        };
        for (input, per) in [(a_scale, a_per), (b_scale, b_per), (y_scale, 1)] {
            let scale = cx.tensor(input)?;
            if want_float(scale.dtype)? == DType::F64 {
                return Err(OpError::Type {
                    what: "a float, float16 or bfloat16 scale",
                    got: DType::F64,
                });
            }
            want_count(&scale.shape, per)?;
        }
        let zero = cx.tensor(y_zero)?;
        want_count(&zero.shape, 1)?;
        want_bytes(zero.dtype)
    }

    /// Requantises sums: `row` and `column` tell which parameters an element has.
    fn requantise(
        self,
        engine: &Engine,
        ins: Ins<'_>,
        sums: &[i32],
        run: usize,
        at: impl Fn(usize) -> [usize; 2] + Sync,
        out: &mut Out<'_>,
    ) -> Result<(), OpError> {
        let Some([a_scale, b_scale, y_scale, y_zero]) = self.scales else {
            out.as_mut::<i32>()?.copy_from_slice(sums);
            return Ok(());
        };
        let (a, b) = (scales(ins.get(a_scale)?)?, scales(ins.get(b_scale)?)?);
        let y = scales(ins.get(y_scale)?)?.first().copied().unwrap_or(1.0);
        let zero = zeros(Some(ins.get(y_zero)?))?.first().copied().unwrap_or(0);
        let pick = |list: &[f32], i: usize| {
            list.get(if list.len() == 1 { 0 } else { i })
                .copied()
                .unwrap_or(1.0)
        };
        let parameters = |i: usize| {
            let [row, column] = at(i);
            (joined_scale(pick(&a, row), pick(&b, column), y), zero)
        };
        match &mut *out.data {
            Data::U8(out) => {
                quantize_sums(
                    engine,
                    sums,
                    run,
                    parameters,
                    Range { min: 0, max: 255 },
                    out,
                );
            }
            Data::I8(out) => {
                quantize_sums(
                    engine,
                    sums,
                    run,
                    parameters,
                    Range {
                        min: -128,
                        max: 127,
                    },
                    out,
                );
            }
            other => {
                return Err(OpError::Type {
                    what: "an int8 or uint8 tensor",
                    got: other.dtype(),
                });
            }
        }
        Ok(())
    }
}

/// Multiplies matrices of bytes.
struct ByteMatMul {
    inputs: Inputs,
    packed: Option<PackedBytes>,
}

impl Op for ByteMatMul {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (a, b) = (cx.tensor(self.inputs.a)?, cx.tensor(self.inputs.b)?);
        let stack = Stack::new(&a.shape, &b.shape)?;
        let dtype = self.inputs.check(cx, stack.m, stack.n)?;
        Ok(vec![Fact::tensor(dtype, stack.shape)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let (a, b) = (cx.input(self.inputs.a)?, cx.input(self.inputs.b)?);
        let macs_int = Stack::new(&a.shape, &b.shape)?.macs();
        // Rows are summed for the zero points, and the right matrix is packed when it is no weight.
        let elements = cx.output(0)?.count().saturating_mul(5);
        let elements = elements.saturating_add(b.count() / 2);
        Ok(Cost {
            macs_int,
            elements,
            ..cx.traffic()
        })
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (a, b) = (ins.get(self.inputs.a)?, ins.get(self.inputs.b)?);
        let stack = Stack::new(a.shape, b.shape)?;
        let a_zero = zeros(ins.optional(self.inputs.a_zero))?;
        let b_zero = zeros(ins.optional(self.inputs.b_zero))?;
        let (m, k, n) = (stack.m, stack.k, stack.n);
        let mut sums = vec![0; outs[0].data.len()];
        let a_bytes = bytes(a)?;
        let engine = cx.engine();
        stack.for_products(&mut sums, |offsets, sums| {
            for (&[a_start, b_start], sums) in offsets.iter().zip(sums.chunks_exact_mut(m * n)) {
                let left = part(a_bytes, a_start..a_start + m * k);
                let left = ByteMatrix::new(left, [m, k], [k, 1]);
                if let Some(packed) = &self.packed {
                    gemm_bytes(engine, left, &a_zero, packed, &b_zero, sums);
                } else if let Ok(b) = bytes(b) {
                    let right = part(b, b_start..b_start + k * n);
                    let packed = PackedBytes::new(ByteMatrix::new(right, [k, n], [n, 1]));
                    gemm_bytes(engine, left, &a_zero, &packed, &b_zero, sums);
                }
            }
        });
        let (m, n) = (m.max(1), n.max(1));
        let by_column = self.inputs.scales.is_some_and(|[_, b_scale, ..]| {
            ins.optional(b_scale).is_some_and(|scale| scale.len() != 1)
        });
        let out = &mut outs[0];
        if by_column {
            let at = |i: usize| [i / n % m, i % n];
            self.inputs.requantise(engine, ins, &sums, 1, at, out)
        } else {
            self.inputs
                .requantise(engine, ins, &sums, n, |i| [i % m, 0], out)
        }
    }

    fn temporary_bytes(&self, cx: &CostCx<'_>) -> Result<u64, OpError> {
        let (a, b) = (cx.input(self.inputs.a)?, cx.input(self.inputs.b)?);
        let stack = Stack::new(&a.shape, &b.shape)?;
        // A right-hand side that is no weight is packed, its columns rounded up to a panel.
        let packed = match &self.packed {
            Some(_) => 0,
            None => (stack.k as u64 + 4).saturating_mul(stack.n as u64 + 32),
        };
        Ok(sum_bytes(cx)?.saturating_add(packed))
    }

    fn releases(&self, input: usize) -> bool {
        input == self.inputs.b && self.packed.is_some()
    }
}

/// Packs a constant matrix of bytes.
fn pack(tensor: Option<&Tensor>) -> Option<PackedBytes> {
    let tensor = tensor?;
    let &[k, n] = tensor.shape() else { return None };
    Some(PackedBytes::new(ByteMatrix::new(
        bytes(tensor.view()).ok()?,
        [k, n],
        [n, 1],
    )))
}

fn matmul_integer(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=4, 1)?;
    Ok(Box::new(ByteMatMul {
        inputs: INTEGER,
        packed: pack(cx.constant(INTEGER.b)),
    }))
}

fn qlinear_matmul(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(8..=8, 1)?;
    Ok(Box::new(ByteMatMul {
        inputs: LINEAR,
        packed: pack(cx.constant(LINEAR.b)),
    }))
}

/// Convolves bytes.
struct ByteConv {
    inputs: Inputs,
    window: Window,
    groups: usize,
    packed: Option<Vec<PackedBytes>>,
}

/// Is the position of QLinearConv's bias.
const BIAS: usize = 8;

/// Returns the bytes of the 32-bit sums.
fn sum_bytes(cx: &CostCx<'_>) -> Result<u64, OpError> {
    Ok(work_bytes(DType::I32, cx.output(0)?.count()))
}

/// Packs every group's weights.
fn pack_groups(w: View<'_>, groups: usize) -> Result<Vec<PackedBytes>, OpError> {
    let (Some(&outputs), Some(rest)) = (w.shape.first(), w.shape.get(1..)) else {
        return Err(refuse("weights without channels", &[w.shape]));
    };
    let (rows, depth) = (outputs / groups, rest.iter().product::<usize>());
    let all = bytes(w)?;
    Ok((0..groups)
        .map(|group| {
            let size = rows * depth;
            let data = part(all, group * size..(group + 1) * size);
            PackedBytes::new(ByteMatrix::new(data, [depth, rows], [1, depth]))
        })
        .collect())
}

impl ByteConv {
    fn layer(&self, x: &[usize], w: &[usize]) -> Result<Layer, OpError> {
        Layer::new(&self.window, self.groups, x, w)
    }
}

impl Op for ByteConv {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (x, w) = (cx.tensor(self.inputs.a)?, cx.tensor(self.inputs.b)?);
        let layer = self.layer(&x.shape, &w.shape)?;
        check_padded(layer.padded(), cx.limits())?;
        let dtype = self.inputs.check(cx, 1, layer.outputs)?;
        if self.inputs.scales.is_some()
            && let Some(bias) = cx.optional(BIAS)?
        {
            want_same(DType::I32, bias.dtype)?;
            if bias.shape != [layer.outputs] {
                return Err(refuse(
                    "the bias needs one number per output channel",
                    &[&bias.shape],
                ));
            }
        }
        Ok(vec![Fact::tensor(dtype, layer.output_shape())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let (x, w) = (cx.input(self.inputs.a)?, cx.input(self.inputs.b)?);
        let layer = self.layer(&x.shape, &w.shape)?;
        let gathered = layer.macs() / (layer.outputs.max(1) as u64);
        let elements = gathered
            .saturating_mul(self.groups as u64)
            .saturating_add(layer.padded().saturating_mul(layer.images as u64))
            .saturating_add(cx.output(0)?.count());
        Ok(Cost {
            macs_int: layer.macs(),
            elements,
            ..cx.traffic()
        })
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (x, w) = (ins.get(self.inputs.a)?, ins.get(self.inputs.b)?);
        let layer = self.layer(x.shape, w.shape)?;
        let x_zero = zeros(ins.optional(self.inputs.a_zero))?
            .first()
            .copied()
            .unwrap_or(0);
        let w_zero = zeros(ins.optional(self.inputs.b_zero))?;
        let fresh;
        let weights = match &self.packed {
            Some(packed) => packed,
            None => {
                fresh = pack_groups(w, self.groups)?;
                &fresh
            }
        };
        let (engine, scratch) = cx.scratch();
        let mut sums = vec![0; outs[0].data.len()];
        conv_bytes(
            engine,
            &layer.shape,
            bytes(x)?,
            x_zero,
            weights,
            &w_zero,
            &mut scratch.u8,
            &mut sums,
        );
        let plane = layer.shape.output_plane().max(1);
        if self.inputs.scales.is_some()
            && let Some(bias) = ins.optional(BIAS)
        {
            let bias = bias.as_slice::<i32>()?;
            for (channel, sums) in sums.chunks_exact_mut(plane).enumerate() {
                let bias = bias.get(channel % layer.outputs).copied().unwrap_or(0);
                sums.iter_mut()
                    .for_each(|sum| *sum = sum.wrapping_add(bias));
            }
        }
        let at = |channel: usize| [0, channel % layer.outputs.max(1)];
        self.inputs
            .requantise(engine, ins, &sums, plane, at, &mut outs[0])
    }

    fn temporary_bytes(&self, cx: &CostCx<'_>) -> Result<u64, OpError> {
        /// Positions whose inputs are gathered at a time.
        const GATHERED: u64 = 96;
        let (x, w) = (cx.input(self.inputs.a)?, cx.input(self.inputs.b)?);
        let layer = self.layer(&x.shape, &w.shape)?;
        let depth = w.count() / (layer.outputs.max(1) as u64);
        let packed = match &self.packed {
            Some(_) => 0,
            None => w.count().saturating_mul(2),
        };
        Ok(sum_bytes(cx)?
            .saturating_add(layer.padded())
            .saturating_add(depth.saturating_mul(GATHERED))
            .saturating_add(packed))
    }

    fn releases(&self, input: usize) -> bool {
        input == self.inputs.b && self.packed.is_some()
    }
}

fn byte_conv(cx: &NodeCx<'_>, inputs: Inputs) -> Result<Box<dyn Op>, OpError> {
    let (window, groups) = (Window::read(cx)?, groups(cx)?);
    let packed = match cx.constant(inputs.b) {
        Some(w)
            if w.shape()
                .first()
                .is_some_and(|outputs| outputs % groups == 0) =>
        {
            Some(pack_groups(w.view(), groups)?)
        }
        _ => None,
    };
    Ok(Box::new(ByteConv {
        inputs,
        window,
        groups,
        packed,
    }))
}

fn conv_integer(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=4, 1)?;
    byte_conv(cx, INTEGER)
}

fn qlinear_conv(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(8..=9, 1)?;
    byte_conv(cx, LINEAR)
}

/// Lists the family.
pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("MatMulInteger", 10, matmul_integer),
    Entry::onnx("QLinearMatMul", 10, qlinear_matmul),
    Entry::onnx("ConvInteger", 10, conv_integer),
    Entry::onnx("QLinearConv", 10, qlinear_conv),
];
