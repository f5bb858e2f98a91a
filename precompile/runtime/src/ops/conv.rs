//! Conv and ConvTranspose.

use assay_numerics::conv::{
    ConvShape, ConvWeights, TransposeShape, TransposeWeights, conv, conv_transpose,
};

use super::dense::{Dense, narrow_elements, product, products, refuse, work_bytes};
use super::window::{Window, numbers};
use super::work::{WorkFloat, want_float, want_same, with_float};
use super::{CostCx, Entry, Epilogue, Fact, InferCx, Ins, NodeCx, Op, RunCx, Scratch, TensorFact};
use crate::cost::Cost;
use crate::error::{LimitKind, OpError};
use crate::limits::Limits;
use crate::tensor::{Out, View};

/// Bounds the phases of a transposed convolution: the product of its strides.
const MAX_PHASES: u64 = 1 << 12;

/// Gives weights packed at load back in the type they are computed in.
pub(crate) trait ConvDense: Dense {
    fn forward(packed: &PackedConv) -> Option<&ConvWeights<Self>>;
    fn transposed(packed: &PackedConv) -> Option<&TransposeWeights<Self>>;
    fn wrap_forward(packed: ConvWeights<Self>) -> PackedConv;
    fn wrap_transposed(packed: TransposeWeights<Self>) -> PackedConv;
    /// Borrows the memory for padded copies.
    fn room(scratch: &mut Scratch) -> &mut Vec<Self>;
}

/// Holds constant weights, packed at load.
pub(crate) enum PackedConv {
    Forward32(ConvWeights<f32>),
    Forward64(ConvWeights<f64>),
    Transposed32(TransposeWeights<f32>),
    Transposed64(TransposeWeights<f64>),
}

macro_rules! conv_dense {
    ($t:ident, $forward:ident, $transposed:ident) => {
        impl ConvDense for $t {
            fn forward(packed: &PackedConv) -> Option<&ConvWeights<$t>> {
                match packed {
                    PackedConv::$forward(packed) => Some(packed),
                    _ => None,
                }
            }
            fn transposed(packed: &PackedConv) -> Option<&TransposeWeights<$t>> {
                match packed {
                    PackedConv::$transposed(packed) => Some(packed),
                    _ => None,
                }
            }
            fn wrap_forward(packed: ConvWeights<$t>) -> PackedConv {
                PackedConv::$forward(packed)
            }
            fn wrap_transposed(packed: TransposeWeights<$t>) -> PackedConv {
                PackedConv::$transposed(packed)
            }
            fn room(scratch: &mut Scratch) -> &mut Vec<$t> {
                &mut scratch.$t
            }
        }
    };
}
conv_dense!(f32, Forward32, Transposed32);
conv_dense!(f64, Forward64, Transposed64);

/// Is a convolution fitted to its inputs, still without a kernel's layout.
pub(crate) struct Layer {
    pub(crate) shape: ConvShape,
    pub(crate) images: usize,
    /// Counts the output channels of all groups.
    pub(crate) outputs: usize,
}

impl Layer {
    /// Fits a convolution to the shapes of its input and weights.
    pub(crate) fn new(
        window: &Window,
        groups: usize,
        x: &[usize],
        w: &[usize],
    ) -> Result<Layer, OpError> {
        let ([images, channels, input @ ..], [outputs, group_channels, kernel @ ..]) = (x, w)
        else {
            return Err(refuse(
                "a convolution takes batch, channels and positions",
                &[x, w],
            ));
        };
        if input.is_empty() || kernel.len() != input.len() {
            return Err(refuse(
                "input and weights have unequal or no positions",
                &[x, w],
            ));
        }
        if group_channels.checked_mul(groups) != Some(*channels) || outputs % groups != 0 {
            return Err(refuse("channels do not divide into the groups", &[x, w]));
        }
        let fitted = window.fit(input, kernel)?;
        let shape = ConvShape {
            groups,
            group_channels: *group_channels,
            input: input.to_vec(),
            kernel: fitted.kernel,
            strides: fitted.strides,
            dilations: fitted.dilations,
            pads: fitted.before,
            output: fitted.output,
        };
        Ok(Layer {
            shape,
            images: *images,
            outputs: *outputs,
        })
    }

    /// Returns the output's shape.
    pub(crate) fn output_shape(&self) -> Vec<usize> {
        [&[self.images, self.outputs], self.shape.output.as_slice()].concat()
    }

    /// Counts the multiply-adds.
    pub(crate) fn macs(&self) -> u64 {
        product(&self.output_shape())
            .saturating_mul(product(&self.shape.kernel))
            .saturating_mul(self.shape.group_channels as u64)
    }

    /// Counts the numbers of one image with its padding, which are copied before the products.
    pub(crate) fn padded(&self) -> u64 {
        let s = &self.shape;
        let channels = (s.groups * s.group_channels) as u64;
        (0..s.input.len()).fold(channels, |count, d| {
            let reach = s.output[d].saturating_sub(1) as u64 * s.strides[d] as u64
                + s.kernel[d].saturating_sub(1) as u64 * s.dilations[d] as u64
                + 1;
            count.saturating_mul(reach.max((s.pads[d] + s.input[d]) as u64))
        })
    }
}

/// Refuses a padded copy beyond the limit of one tensor.
pub(crate) fn check_padded(padded: u64, limits: &Limits) -> Result<(), OpError> {
    if padded > limits.elements {
        let (kind, limit) = (LimitKind::Elements, limits.elements);
        return Err(OpError::Limit {
            kind,
            limit,
            got: padded,
        });
    }
    Ok(())
}

/// Refuses a bias that does not hold one number per output channel.
fn check_bias(cx: &InferCx<'_>, outputs: usize) -> Result<(), OpError> {
    let x = cx.tensor(0)?;
    want_float(x.dtype)?;
    want_same(x.dtype, cx.tensor(1)?.dtype)?;
    if let Some(bias) = cx.optional(2)? {
        want_same(x.dtype, bias.dtype)?;
        if bias.shape != [outputs] {
            return Err(refuse(
                "the bias needs one number per output channel",
                &[&bias.shape],
            ));
        }
    }
    Ok(())
}

/// Reads the `group` attribute.
pub(crate) fn groups(cx: &NodeCx<'_>) -> Result<usize, OpError> {
    match cx.int_or("group", 1)? {
        groups @ 1.. => Ok(groups as usize),
        _ => Err(OpError::Attribute {
            name: "group",
            why: "must be positive",
        }),
    }
}

/// Convolves.
struct Conv {
    window: Window,
    groups: usize,
    packed: Option<PackedConv>,
}

impl Conv {
    fn run_in<T: ConvDense>(
        &self,
        cx: &mut RunCx<'_>,
        ins: Ins<'_>,
        out: &mut Out<'_>,
    ) -> Result<(), OpError> {
        let (x, w) = (ins.get(0)?, ins.get(1)?);
        let layer = Layer::new(&self.window, self.groups, x.shape, w.shape)?;
        let fresh;
        let weights = match self.packed.as_ref().and_then(T::forward) {
            Some(weights) => weights,
            None => {
                fresh = pack_forward::<T>(self.groups, w)?;
                &fresh
            }
        };
        let x = T::read(x)?;
        let bias = ins.optional(2).map(T::read).transpose()?;
        let relu = cx.finish().relu;
        let (engine, scratch) = cx.scratch();
        T::write(out, |out| {
            conv(
                engine,
                &layer.shape,
                &x,
                weights,
                bias.as_deref(),
                relu,
                T::room(scratch),
                out,
            );
            Ok(())
        })
    }
}

/// Packs weights of shape (outputs, channels of a group, kernel).
fn pack_forward<T: ConvDense>(groups: usize, w: View<'_>) -> Result<ConvWeights<T>, OpError> {
    let (Some(&outputs), Some(rest)) = (w.shape.first(), w.shape.get(1..)) else {
        return Err(refuse("weights without channels", &[w.shape]));
    };
    Ok(ConvWeights::new(
        &T::read(w)?,
        groups,
        outputs / groups,
        rest.iter().product(),
    ))
}

impl Op for Conv {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (x, w) = (cx.tensor(0)?, cx.tensor(1)?);
        let layer = Layer::new(&self.window, self.groups, &x.shape, &w.shape)?;
        check_bias(cx, layer.outputs)?;
        check_padded(layer.padded(), cx.limits())?;
        Ok(vec![Fact::tensor(x.dtype, layer.output_shape())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let (x, w) = (cx.input(0)?, cx.input(1)?);
        let layer = Layer::new(&self.window, self.groups, &x.shape, &w.shape)?;
        // Each image starts its loops anew; a filter that is no weight is packed first.
        let packing = if self.packed.is_some() {
            0
        } else {
            w.count().saturating_mul(4)
        };
        let elements = layer
            .padded()
            .saturating_add(64)
            .saturating_mul(layer.images as u64)
            .saturating_add(packing)
            .saturating_add(narrow_elements(cx, x.dtype)?);
        Ok(products(cx, x.dtype, layer.macs(), elements))
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        with_float!(ins.get(0)?.dtype(), T => self.run_in::<T>(cx, ins, &mut outs[0]))
    }

    fn temporary_bytes(&self, cx: &CostCx<'_>) -> Result<u64, OpError> {
        let (x, w) = (cx.input(0)?, cx.input(1)?);
        let layer = Layer::new(&self.window, self.groups, &x.shape, &w.shape)?;
        let packed = packed_now(self.packed.is_some(), w);
        Ok(work_bytes(x.dtype, layer.padded().saturating_add(packed)))
    }

    fn releases(&self, input: usize) -> bool {
        input == 1 && self.packed.is_some()
    }

    fn accepts(&self, epilogue: Epilogue) -> bool {
        epilogue == Epilogue::Relu
    }
}

/// Bounds the numbers of a filter that is packed for one call: channels may be rounded up to twice
/// as many.
fn packed_now(is_weight: bool, w: &TensorFact) -> u64 {
    if is_weight {
        0
    } else {
        w.count().saturating_mul(2)
    }
}

fn build_conv(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=3, 1)?;
    let (window, groups) = (Window::read(cx)?, groups(cx)?);
    let packed = match cx.constant(1) {
        Some(w)
            if w.shape()
                .first()
                .is_some_and(|outputs| outputs % groups == 0) =>
        {
            with_float!(w.dtype(), T => {
                Ok(Some(T::wrap_forward(pack_forward::<T>(groups, w.view())?)))
            })?
        }
        _ => None,
    };
    Ok(Box::new(Conv {
        window,
        groups,
        packed,
    }))
}

/// Convolves, transposed.
struct ConvTranspose {
    window: Window,
    groups: usize,
    output_padding: Option<Vec<usize>>,
    output_shape: Option<Vec<usize>>,
    packed: Option<PackedConv>,
}

impl ConvTranspose {
    /// Fits the layer to the shapes of its input and weights; gives the number of images too.
    fn fit(&self, x: &[usize], w: &[usize]) -> Result<(usize, TransposeShape), OpError> {
        let ([images, channels, input @ ..], [w_channels, group_outputs, kernel @ ..]) = (x, w)
        else {
            return Err(refuse(
                "a convolution takes batch, channels and positions",
                &[x, w],
            ));
        };
        if channels != w_channels || channels % self.groups != 0 || input.is_empty() {
            return Err(refuse(
                "channels do not fit the weights or the groups",
                &[x, w],
            ));
        }
        let fitted = self.window.fit_transposed(
            input,
            kernel,
            self.output_padding.as_deref(),
            self.output_shape.as_deref(),
        )?;
        if product(&fitted.strides) > MAX_PHASES {
            let got = product(&fitted.strides) as i64;
            return Err(OpError::Value {
                what: "the strides' product exceeds 4096",
                got,
            });
        }
        let shape = TransposeShape {
            groups: self.groups,
            group_channels: channels / self.groups,
            group_outputs: *group_outputs,
            input: input.to_vec(),
            kernel: fitted.kernel,
            strides: fitted.strides,
            dilations: fitted.dilations,
            pads: fitted.before,
            output: fitted.output,
        };
        Ok((*images, shape))
    }

    /// Counts the numbers of one padded image.
    fn padded(shape: &TransposeShape) -> u64 {
        let channels = (shape.groups * shape.group_channels) as u64;
        (0..shape.input.len()).fold(channels, |count, d| {
            let s = shape.strides[d];
            let before = shape.kernel[d].saturating_sub(1) * shape.dilations[d] / s;
            let last = (shape.output[d].saturating_sub(1) + shape.pads[d]) / s;
            count.saturating_mul((before + shape.input[d].max(last + 1)) as u64)
        })
    }

    fn run_in<T: ConvDense>(
        &self,
        cx: &mut RunCx<'_>,
        ins: Ins<'_>,
        out: &mut Out<'_>,
    ) -> Result<(), OpError> {
        let (x, w) = (ins.get(0)?, ins.get(1)?);
        let (_, shape) = self.fit(x.shape, w.shape)?;
        let fresh;
        let weights = match self.packed.as_ref().and_then(T::transposed) {
            Some(weights) => weights,
            None => {
                fresh = TransposeWeights::new(&shape, &T::read(w)?);
                &fresh
            }
        };
        let x = T::read(x)?;
        let bias = ins.optional(2).map(T::read).transpose()?;
        let (engine, scratch) = cx.scratch();
        T::write(out, |out| {
            let room = T::room(scratch);
            conv_transpose(engine, &shape, &x, weights, bias.as_deref(), room, out);
            Ok(())
        })
    }
}

impl Op for ConvTranspose {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (x, w) = (cx.tensor(0)?, cx.tensor(1)?);
        let (images, shape) = self.fit(&x.shape, &w.shape)?;
        let outputs = shape.groups * shape.group_outputs;
        check_bias(cx, outputs)?;
        check_padded(Self::padded(&shape), cx.limits())?;
        let out = [&[images, outputs], shape.output.as_slice()].concat();
        Ok(vec![Fact::tensor(x.dtype, out)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let (x, w) = (cx.input(0)?, cx.input(1)?);
        let (images, shape) = self.fit(&x.shape, &w.shape)?;
        // A phase meets at most one tap in `stride` per dimension.
        let taps = (0..shape.kernel.len())
            .map(|d| shape.kernel[d].div_ceil(shape.strides[d].min(shape.kernel[d].max(1))))
            .fold(1u64, |taps, n| taps.saturating_mul(n as u64));
        let stepped = shape.dilations.iter().any(|&dilation| dilation != 1);
        let taps = if stepped {
            product(&shape.kernel)
        } else {
            taps
        };
        let count = cx
            .output(0)?
            .count()
            .saturating_mul(taps)
            .saturating_mul(shape.group_channels as u64);
        let elements = Self::padded(&shape)
            .saturating_mul(images as u64)
            .saturating_add(cx.output(0)?.count().saturating_mul(2))
            .saturating_add(product(&shape.strides).saturating_mul(w.count().max(1)));
        Ok(products(cx, x.dtype, count, elements))
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        with_float!(ins.get(0)?.dtype(), T => self.run_in::<T>(cx, ins, &mut outs[0]))
    }

    fn temporary_bytes(&self, cx: &CostCx<'_>) -> Result<u64, OpError> {
        let (x, w) = (cx.input(0)?, cx.input(1)?);
        let (_, shape) = self.fit(&x.shape, &w.shape)?;
        // One phase's outputs, at most all of them, are computed side by side first.
        let numbers = Self::padded(&shape)
            .saturating_add(cx.output(0)?.count())
            .saturating_add(packed_now(self.packed.is_some(), w));
        Ok(work_bytes(x.dtype, numbers))
    }

    fn releases(&self, input: usize) -> bool {
        input == 1 && self.packed.is_some()
    }
}

fn build_transpose(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=3, 1)?;
    let mut op = ConvTranspose {
        window: Window::read(cx)?,
        groups: groups(cx)?,
        output_padding: numbers(cx, "output_padding", 0)?,
        output_shape: numbers(cx, "output_shape", 0)?,
        packed: None,
    };
    if let Some(w) = cx.constant(1)
        && let [channels, _, kernel @ ..] = w.shape()
    {
        // Packing needs channels, kernel and strides; the input's size plays no part in it.
        let unit = [&[1, *channels], vec![1; kernel.len()].as_slice()].concat();
        if let Ok((_, shape)) = op.fit(&unit, w.shape()) {
            op.packed = with_float!(w.dtype(), T => {
                let weights = TransposeWeights::new(&shape, &T::read(w.view())?);
                Ok(Some(T::wrap_transposed(weights)))
            })?;
        }
    }
    Ok(Box::new(op))
}

/// Lists the family.
pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("Conv", 1, build_conv),
    Entry::onnx("ConvTranspose", 1, build_transpose),
];
