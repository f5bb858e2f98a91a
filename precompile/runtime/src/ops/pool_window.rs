//! Geometry of pooling windows: attributes, padding and output extents.

use assay_numerics::pooling::Window;

use super::NodeCx;
use crate::error::OpError;

/// Names how padding is found.
#[derive(Clone, Copy, PartialEq)]
enum AutoPad {
    Explicit,
    Valid,
    SameUpper,
    SameLower,
}

/// Holds the attributes that pooling operators share.
pub(crate) struct WindowAttributes {
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    pads: Vec<usize>,
    auto_pad: AutoPad,
    ceil: bool,
}

/// Reads a list of whole numbers that are at least `least`, or gives the default.
fn whole(
    cx: &NodeCx<'_>,
    name: &'static str,
    len: usize,
    least: i64,
    default: usize,
) -> Result<Vec<usize>, OpError> {
    let Some(list) = cx.ints(name)? else {
        return Ok(vec![default; len]);
    };
    if list.len() != len {
        return Err(OpError::Attribute {
            name,
            why: "needs one number for each axis",
        });
    }
    list.into_iter()
        .map(|n| {
            usize::try_from(n)
                .ok()
                .filter(|_| n >= least && n <= i64::from(i32::MAX))
                .ok_or(OpError::Attribute {
                    name,
                    why: "is out of range",
                })
        })
        .collect()
}

impl WindowAttributes {
    /// Reads kernel_shape, strides, pads, auto_pad and where the operator has them dilations and
    /// ceil_mode.
    pub(crate) fn read(cx: &NodeCx<'_>, dilated: bool, ceil: bool) -> Result<Self, OpError> {
        let rank = cx
            .ints("kernel_shape")?
            .ok_or(OpError::Attribute {
                name: "kernel_shape",
                why: "is missing",
            })?
            .len();
        if rank == 0 {
            return Err(OpError::Attribute {
                name: "kernel_shape",
                why: "is empty",
            });
        }
        let auto_pad = match cx.string_or("auto_pad", "NOTSET")?.as_str() {
            "NOTSET" | "" => AutoPad::Explicit,
            "VALID" => AutoPad::Valid,
            "SAME_UPPER" => AutoPad::SameUpper,
            "SAME_LOWER" => AutoPad::SameLower,
            _ => {
                return Err(OpError::Attribute {
                    name: "auto_pad",
                    why: "is not a known mode",
                });
            }
        };
        let dilations = if dilated {
            whole(cx, "dilations", rank, 1, 1)?
        } else {
            vec![1; rank]
        };
        Ok(Self {
            kernel: whole(cx, "kernel_shape", rank, 1, 1)?,
            strides: whole(cx, "strides", rank, 1, 1)?,
            dilations,
            pads: whole(cx, "pads", rank * 2, 0, 0)?,
            auto_pad,
            ceil: ceil && cx.flag("ceil_mode", false)?,
        })
    }

    /// Returns the number of spatial axes.
    pub(crate) fn rank(&self) -> usize {
        self.kernel.len()
    }

    /// Returns the kernel's extents.
    pub(crate) fn kernel(&self) -> &[usize] {
        &self.kernel
    }

    /// Returns the strides.
    pub(crate) fn strides(&self) -> &[usize] {
        &self.strides
    }

    /// Returns the padding before and after an axis.
    pub(crate) fn pads(&self, axis: usize) -> (usize, usize) {
        let at = |i: usize| self.pads.get(i).copied().unwrap_or(0);
        (at(axis), at(axis + self.rank()))
    }

    /// Computes the windows over an input of shape `[batch, channels, spatial ...]`.
    pub(crate) fn windows(&self, shape: &[usize]) -> Result<Vec<Window>, OpError> {
        let spatial = shape
            .get(2..)
            .filter(|spatial| spatial.len() == self.rank());
        let spatial = spatial.ok_or_else(|| OpError::Shape {
            why: "needs batch, channels and one axis for each of kernel_shape",
            shapes: vec![shape.to_vec(), self.kernel.clone()],
        })?;
        (0..self.rank())
            .map(|axis| self.window(shape, spatial, axis))
            .collect()
    }

    fn window(&self, shape: &[usize], spatial: &[usize], axis: usize) -> Result<Window, OpError> {
        let too_large = || OpError::Shape {
            why: "the window is larger than the padded input",
            shapes: vec![shape.to_vec(), self.kernel.clone()],
        };
        let at = |list: &[usize]| list.get(axis).copied().unwrap_or(1);
        let (input, kernel) = (at(spatial), at(&self.kernel));
        let (stride, dilation) = (at(&self.strides), at(&self.dilations));
        // Attributes are below 2^31 and dimensions below 2^48: no sum or product here overflows
        // 64 bits but the dilated kernel, which is checked.
        let span = (kernel - 1).checked_mul(dilation).ok_or_else(too_large)? + 1;
        let (output, pad_begin, pad_end) = match self.auto_pad {
            AutoPad::Explicit | AutoPad::Valid => {
                let (begin, end) = if self.auto_pad == AutoPad::Valid {
                    (0, 0)
                } else {
                    self.pads(axis)
                };
                let room = (input + begin + end)
                    .checked_sub(span)
                    .ok_or_else(too_large)?;
                let mut output = room / stride + 1;
                if self.ceil {
                    output = room.div_ceil(stride) + 1;
                    // The last window must start inside the input or the padding before it.
                    if (output - 1) * stride >= input + begin {
                        output -= 1;
                    }
                }
                (output, begin, end)
            }
            AutoPad::SameUpper | AutoPad::SameLower => {
                let output = input.div_ceil(stride);
                let needed = (output.saturating_sub(1) * stride + span).saturating_sub(input);
                let small = needed / 2;
                match self.auto_pad {
                    AutoPad::SameUpper => (output, small, needed - small),
                    _ => (output, needed - small, small),
                }
            }
        };
        Ok(Window {
            input,
            output,
            kernel,
            stride,
            dilation,
            pad_begin,
            pad_end,
        })
    }
}
