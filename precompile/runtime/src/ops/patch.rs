//! Col2Im and DeformConv.

use assay_numerics::patch::{Deform, col2im, deform_conv};

use super::conv::{Layer, check_padded, groups};
use super::dense::{product, products, refuse};
use super::window::{Window, numbers};
use super::work::{WorkFloat, want_float, want_same, with_float};
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use crate::cost::Cost;
use crate::error::OpError;
use crate::tensor::Out;

/// Adds blocks back into an image.
struct Col2Im {
    strides: Option<Vec<usize>>,
    dilations: Option<Vec<usize>>,
    pads: Option<Vec<usize>>,
}

/// Is one call's sizes.
struct Sizes {
    images: usize,
    channels: usize,
    image: Vec<usize>,
    block: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    before: Vec<usize>,
    blocks: Vec<usize>,
}

/// Reads positive numbers.
fn positive(list: &[i64]) -> Result<Vec<usize>, OpError> {
    list.iter()
        .map(|&x| match x {
            1..=0x3fff_ffff => Ok(x as usize),
            _ => Err(OpError::Value {
                what: "sizes must be positive",
                got: x,
            }),
        })
        .collect()
}

impl Col2Im {
    fn sizes(&self, x: &[usize], image: &[i64], block: &[i64]) -> Result<Sizes, OpError> {
        let (image, block) = (positive(image)?, positive(block)?);
        let wrong = |why| refuse(why, &[x, &image, &block]);
        let &[images, rows, columns] = x else {
            return Err(wrong("the input needs rank 3"));
        };
        let dims = image.len();
        if dims == 0 || block.len() != dims {
            return Err(wrong("image and block need equal ranks"));
        }
        let fill = |list: &Option<Vec<usize>>, count, default| match list {
            None => Ok(vec![default; count]),
            Some(list) if list.len() == count => Ok(list.clone()),
            Some(_) => Err(wrong("strides, dilations or pads have another rank")),
        };
        let strides = fill(&self.strides, dims, 1)?;
        let dilations = fill(&self.dilations, dims, 1)?;
        let pads = fill(&self.pads, 2 * dims, 0)?;
        let mut blocks = Vec::new();
        for d in 0..dims {
            let padded = image[d] + pads[d] + pads[dims + d];
            let reach = (block[d] - 1) * dilations[d] + 1;
            let room = padded
                .checked_sub(reach)
                .ok_or_else(|| wrong("the block is too large"))?;
            blocks.push(room / strides[d] + 1);
        }
        let taps = product(&block);
        if product(&blocks) != columns as u64 || taps == 0 || !(rows as u64).is_multiple_of(taps) {
            return Err(wrong("the input does not hold the image's blocks"));
        }
        let channels = (rows as u64 / taps) as usize;
        let before = pads[..dims].to_vec();
        Ok(Sizes {
            images,
            channels,
            image,
            block,
            strides,
            dilations,
            before,
            blocks,
        })
    }
}

impl Op for Col2Im {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        want_float(x.dtype)?;
        let s = self.sizes(&x.shape, &cx.ints(1)?, &cx.ints(2)?)?;
        let shape = [&[s.images, s.channels], s.image.as_slice()].concat();
        Ok(vec![Fact::tensor(x.dtype, shape)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let elements = cx
            .input(0)?
            .count()
            .saturating_mul(4)
            .saturating_add(cx.output(0)?.count());
        Ok(Cost {
            elements,
            ..cx.traffic()
        })
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let x = ins.get(0)?;
        let s = self.sizes(x.shape, &ins.get(1)?.to_i64s()?, &ins.get(2)?.to_i64s()?)?;
        with_float!(x.dtype(), T => {
            let x = T::read(x)?;
            T::write(&mut outs[0], |out| {
                let steps = [&s.strides[..], &s.dilations, &s.before];
                col2im(cx.engine(), &x, &s.image, &s.block, &s.blocks, steps, out);
                Ok(())
            })
        })
    }
}

fn build_col2im(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(3..=3, 1)?;
    Ok(Box::new(Col2Im {
        strides: numbers(cx, "strides", 1)?,
        dilations: numbers(cx, "dilations", 1)?,
        pads: numbers(cx, "pads", 0)?,
    }))
}

/// Convolves at positions that inputs move.
struct DeformConv {
    window: Window,
    groups: usize,
    offset_groups: usize,
}

impl DeformConv {
    fn layer(&self, x: &[usize], w: &[usize]) -> Result<Layer, OpError> {
        let layer = Layer::new(&self.window, self.groups, x, w)?;
        let channels = layer.shape.groups * layer.shape.group_channels;
        if layer.shape.input.len() != 2 || !channels.is_multiple_of(self.offset_groups) {
            return Err(refuse(
                "DeformConv takes images whose channels divide into groups",
                &[x, w],
            ));
        }
        Ok(layer)
    }
}

impl Op for DeformConv {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (x, w) = (cx.tensor(0)?, cx.tensor(1)?);
        want_float(x.dtype)?;
        let layer = self.layer(&x.shape, &w.shape)?;
        check_padded(layer.padded(), cx.limits())?;
        let taps = layer.shape.kernel_positions() * self.offset_groups;
        let maps = |count: usize| [&[layer.images, count], layer.shape.output.as_slice()].concat();
        let mut wanted = vec![(1, w.shape.clone()), (2, maps(2 * taps))];
        wanted.extend([(3, vec![layer.outputs]), (4, maps(taps))]);
        for (input, shape) in wanted {
            if let Some(fact) = cx.optional(input)? {
                want_same(x.dtype, fact.dtype)?;
                if fact.shape != shape {
                    return Err(refuse(
                        "an input has the wrong shape",
                        &[&fact.shape, &shape],
                    ));
                }
            }
        }
        cx.tensor(2)?;
        // One image's gathered values are held at a time.
        let gathered = product(&layer.shape.output)
            .saturating_mul(product(&layer.shape.kernel))
            .saturating_mul((layer.shape.groups * layer.shape.group_channels) as u64);
        check_padded(gathered, cx.limits())?;
        Ok(vec![Fact::tensor(x.dtype, layer.output_shape())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let (x, w) = (cx.input(0)?, cx.input(1)?);
        let layer = self.layer(&x.shape, &w.shape)?;
        let gathered = layer.macs() / (layer.outputs.max(1) as u64) * self.groups as u64;
        let elements = gathered.saturating_mul(24);
        Ok(products(cx, x.dtype, layer.macs(), elements))
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (x, w, offsets) = (ins.get(0)?, ins.get(1)?, ins.get(2)?);
        let layer = self.layer(x.shape, w.shape)?;
        with_float!(x.dtype(), T => {
            let (x, w, offsets) = (T::read(x)?, T::read(w)?, T::read(offsets)?);
            let bias = ins.optional(3).map(T::read).transpose()?;
            let mask = ins.optional(4).map(T::read).transpose()?;
            let deform = Deform {
                shape: &layer.shape,
                rows: layer.outputs / self.groups,
                offset_groups: self.offset_groups,
                offsets: &offsets,
                mask: mask.as_deref(),
                bias: bias.as_deref(),
            };
            T::write(&mut outs[0], |out| {
                deform_conv(cx.engine(), &deform, &x, &w, out);
                Ok(())
            })
        })
    }
}

fn build_deform(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(3..=5, 1)?;
    let offset_groups = match cx.int_or("offset_group", 1)? {
        groups @ 1..=0xffff => groups as usize,
        _ => {
            return Err(OpError::Attribute {
                name: "offset_group",
                why: "is out of range",
            });
        }
    };
    Ok(Box::new(DeformConv {
        window: Window::read(cx)?,
        groups: groups(cx)?,
        offset_groups,
    }))
}

/// Lists the family.
pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("Col2Im", 18, build_col2im),
    Entry::onnx("DeformConv", 19, build_deform),
];
