//! Sliding windows: kernel sizes, strides, dilations and padding, as convolutions declare them.

use super::NodeCx;
use super::dense::refuse;
use crate::error::OpError;

/// Bounds every number of a window, so that their products stay far inside 64 bits.
const MAX_NUMBER: i64 = 1 << 30;

/// Says how padding is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AutoPad {
    /// By the `pads` attribute.
    NotSet,
    /// None.
    Valid,
    /// As much as keeps the size (over the stride), the odd one at the end.
    SameUpper,
    /// As much as keeps the size (over the stride), the odd one at the start.
    SameLower,
}

/// Holds the attributes that convolutions share.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) kernel: Option<Vec<usize>>,
    pub(crate) auto_pad: AutoPad,
    strides: Option<Vec<usize>>,
    dilations: Option<Vec<usize>>,
    pads: Option<Vec<usize>>,
}

/// Is a window fitted to an input; one entry per spatial dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fitted {
    pub(crate) kernel: Vec<usize>,
    pub(crate) strides: Vec<usize>,
    pub(crate) dilations: Vec<usize>,
    /// Counts what is put before the input.
    pub(crate) before: Vec<usize>,
    /// Counts what is put after the input.
    pub(crate) after: Vec<usize>,
    pub(crate) output: Vec<usize>,
}

impl Window {
    /// Reads the attributes of a node.
    pub(crate) fn read(cx: &NodeCx<'_>) -> Result<Window, OpError> {
        let auto_pad = match cx.string_or("auto_pad", "NOTSET")?.as_str() {
            "NOTSET" | "" => AutoPad::NotSet,
            "VALID" => AutoPad::Valid,
            "SAME_UPPER" => AutoPad::SameUpper,
            "SAME_LOWER" => AutoPad::SameLower,
            other => {
                let what = "auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER";
                return Err(OpError::Text {
                    what,
                    got: other.to_owned(),
                });
            }
        };
        Ok(Window {
            kernel: numbers(cx, "kernel_shape", 1)?,
            auto_pad,
            strides: numbers(cx, "strides", 1)?,
            dilations: numbers(cx, "dilations", 1)?,
            pads: numbers(cx, "pads", 0)?,
        })
    }

    /// Returns strides and dilations for a rank, defaults filled in.
    fn steps(&self, dims: usize) -> Result<[Vec<usize>; 2], OpError> {
        let fill = |list: &Option<Vec<usize>>, name| match list {
            None => Ok(vec![1; dims]),
            Some(list) if list.len() == dims => Ok(list.clone()),
            Some(_) => Err(OpError::Attribute {
                name,
                why: "needs one entry per dimension",
            }),
        };
        Ok([
            fill(&self.strides, "strides")?,
            fill(&self.dilations, "dilations")?,
        ])
    }

    /// Returns the explicit padding before and after.
    fn explicit(&self, dims: usize) -> Result<[Vec<usize>; 2], OpError> {
        match &self.pads {
            None => Ok([vec![0; dims], vec![0; dims]]),
            Some(pads) if pads.len() == 2 * dims => {
                let (before, after) = pads.split_at(dims);
                Ok([before.to_vec(), after.to_vec()])
            }
            Some(_) => {
                let why = "needs a start and an end per dimension";
                Err(OpError::Attribute { name: "pads", why })
            }
        }
    }

    /// Checks a kernel against the declared one.
    fn check_kernel(&self, kernel: &[usize]) -> Result<(), OpError> {
        if self
            .kernel
            .as_deref()
            .is_some_and(|declared| declared != kernel)
        {
            let why = "differs from the weights' kernel";
            return Err(OpError::Attribute {
                name: "kernel_shape",
                why,
            });
        }
        Ok(())
    }

    /// Fits a forward window to an input.
    pub(crate) fn fit(&self, input: &[usize], kernel: &[usize]) -> Result<Fitted, OpError> {
        let dims = input.len();
        if kernel.len() != dims {
            return Err(refuse(
                "input and kernel have different ranks",
                &[input, kernel],
            ));
        }
        self.check_kernel(kernel)?;
        let [strides, dilations] = self.steps(dims)?;
        let [mut before, mut after] = self.explicit(dims)?;
        let mut output = vec![0; dims];
        for d in 0..dims {
            let (size, stride) = (input[d], strides[d]);
            let reach = reach(kernel[d], dilations[d]);
            match self.auto_pad {
                AutoPad::NotSet => {}
                AutoPad::Valid => (before[d], after[d]) = (0, 0),
                AutoPad::SameUpper | AutoPad::SameLower => {
                    let out = size.div_ceil(stride);
                    let needed = out.saturating_sub(1) * stride + reach;
                    (before[d], after[d]) = self.halves(needed.saturating_sub(size));
                }
            }
            let padded = before[d] + size + after[d];
            let Some(room) = padded.checked_sub(reach) else {
                return Err(refuse(
                    "the kernel is larger than the padded input",
                    &[input, kernel],
                ));
            };
            output[d] = room / stride + 1;
        }
        Ok(Fitted {
            kernel: kernel.to_vec(),
            strides,
            dilations,
            before,
            after,
            output,
        })
    }

    /// Fits a transposed window to an input.
    pub(crate) fn fit_transposed(
        &self,
        input: &[usize],
        kernel: &[usize],
        output_padding: Option<&[usize]>,
        output_shape: Option<&[usize]>,
    ) -> Result<Fitted, OpError> {
        let dims = input.len();
        if kernel.len() != dims {
            return Err(refuse(
                "input and kernel have different ranks",
                &[input, kernel],
            ));
        }
        self.check_kernel(kernel)?;
        let one_each = |list: Option<&[usize]>, name| match list {
            Some(list) if list.len() != dims => Err(OpError::Attribute {
                name,
                why: "needs one entry per dimension",
            }),
            _ => Ok(()),
        };
        one_each(output_padding, "output_padding")?;
        one_each(output_shape, "output_shape")?;
        let [strides, dilations] = self.steps(dims)?;
        let [mut before, mut after] = self.explicit(dims)?;
        let mut output = vec![0; dims];
        for d in 0..dims {
            let spread = input[d].saturating_sub(1) * strides[d] + reach(kernel[d], dilations[d]);
            let full = spread + output_padding.map_or(0, |padding| padding[d]);
            let same = matches!(self.auto_pad, AutoPad::SameUpper | AutoPad::SameLower);
            let wanted = match output_shape {
                Some(shape) => Some(shape[d]),
                None if same => Some(input[d] * strides[d]),
                None => None,
            };
            if self.auto_pad == AutoPad::Valid {
                (before[d], after[d]) = (0, 0);
            }
            output[d] = match wanted {
                Some(size) => {
                    // Unlike a forward window, all but SAME_UPPER cut the odd one at the start.
                    (before[d], after[d]) = self.halves(full.saturating_sub(size));
                    size
                }
                None => full
                    .checked_sub(before[d] + after[d])
                    .ok_or_else(|| refuse("padding is larger than the output", &[input, kernel]))?,
            };
        }
        Ok(Fitted {
            kernel: kernel.to_vec(),
            strides,
            dilations,
            before,
            after,
            output,
        })
    }

    /// Halves a total: the odd one at the end for SAME_UPPER, else at the start.
    fn halves(&self, total: usize) -> (usize, usize) {
        let less = total / 2;
        match self.auto_pad {
            AutoPad::SameUpper => (less, total - less),
            _ => (total - less, less),
        }
    }
}

/// Returns how many inputs a dilated kernel spans.
fn reach(kernel: usize, dilation: usize) -> usize {
    kernel.saturating_sub(1) * dilation + 1
}

/// Reads a list of numbers of at least `least`.
pub(crate) fn numbers(
    cx: &NodeCx<'_>,
    name: &'static str,
    least: i64,
) -> Result<Option<Vec<usize>>, OpError> {
    let Some(list) = cx.ints(name)? else {
        return Ok(None);
    };
    list.iter()
        .map(|&x| {
            if x < least || x > MAX_NUMBER {
                return Err(OpError::Attribute {
                    name,
                    why: "has an entry out of range",
                });
            }
            Ok(x as usize)
        })
        .collect::<Result<_, _>>()
        .map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(auto_pad: AutoPad, strides: &[usize], pads: &[usize]) -> Window {
        Window {
            kernel: None,
            auto_pad,
            strides: Some(strides.to_vec()),
            dilations: None,
            pads: Some(pads.to_vec()),
        }
    }

    #[test]
    fn same_padding_puts_the_odd_one_where_it_belongs() {
        for (auto_pad, before) in [(AutoPad::SameUpper, 0), (AutoPad::SameLower, 1)] {
            let fitted = window(auto_pad, &[2], &[0, 0]).fit(&[6], &[3]).unwrap();
            assert_eq!((fitted.output, fitted.before), (vec![3], vec![before]));
        }
    }

    #[test]
    fn a_kernel_larger_than_its_input_is_refused() {
        assert!(
            window(AutoPad::NotSet, &[1], &[0, 1])
                .fit(&[2], &[4])
                .is_err()
        );
        assert!(
            window(AutoPad::NotSet, &[1], &[1, 1])
                .fit(&[2], &[4])
                .is_ok()
        );
    }

    #[test]
    fn a_transposed_window_undoes_a_forward_one() {
        let fitted = window(AutoPad::NotSet, &[2, 3], &[1, 0, 1, 0])
            .fit_transposed(&[4, 5], &[3, 4], None, None)
            .unwrap();
        assert_eq!(fitted.output, [7, 16]);
        let fitted = window(AutoPad::SameUpper, &[2], &[0, 0])
            .fit_transposed(&[3], &[3], None, None)
            .unwrap();
        assert_eq!((fitted.output, fitted.before), (vec![6], vec![0]));
    }
}
