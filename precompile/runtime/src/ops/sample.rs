//! GridSample and AffineGrid.

use assay_numerics::grid::{Interpolation, MAX_DIMS, Outside, Sampling, affine_grid, grid_sample};

use super::dense::refuse;
use super::work::{WorkFloat, want_float, want_same, with_float};
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::Out;

/// Samples images at the positions of a grid.
struct GridSample {
    sampling: Sampling,
}

/// Finds the output's shape.
fn sampled(x: &[usize], grid: &[usize]) -> Result<Vec<usize>, OpError> {
    let wrong = |why| refuse(why, &[x, grid]);
    let ([images, channels, size @ ..], [grids, positions @ .., tuple]) = (x, grid) else {
        return Err(wrong("GridSample takes batch, channels and positions"));
    };
    let dims = size.len();
    if !(1..=MAX_DIMS).contains(&dims) || positions.len() != dims || *tuple != dims {
        return Err(wrong("GridSample takes one to three spatial dimensions"));
    }
    if images != grids {
        return Err(wrong("input and grid have different batches"));
    }
    let out = [&[*images, *channels], positions].concat();
    if size.contains(&0) && !out.contains(&0) {
        return Err(wrong("an image without positions cannot be sampled"));
    }
    Ok(out)
}

impl Op for GridSample {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (x, grid) = (cx.tensor(0)?, cx.tensor(1)?);
        want_float(x.dtype)?;
        want_float(grid.dtype)?;
        if (x.dtype == DType::F64) != (grid.dtype == DType::F64) {
            return Err(OpError::ElementType {
                expected: x.dtype,
                got: grid.dtype,
            });
        }
        Ok(vec![Fact::tensor(x.dtype, sampled(&x.shape, &grid.shape)?)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let dims = cx.input(0)?.shape.len().saturating_sub(2) as u32;
        let taps: u64 = match self.sampling.interpolation {
            Interpolation::Nearest => 1,
            Interpolation::Linear => 2,
            Interpolation::Cubic => 8,
        };
        let elements = cx
            .output(0)?
            .count()
            .saturating_mul(8 * taps.saturating_pow(dims));
        Ok(Cost {
            elements,
            ..cx.traffic()
        })
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (x, grid) = (ins.get(0)?, ins.get(1)?);
        let [_, channels, size @ ..] = x.shape else {
            return Err(refuse(
                "GridSample takes batch, channels and positions",
                &[x.shape],
            ));
        };
        with_float!(x.dtype(), T => {
            let (x, grid) = (T::read(x)?, T::read(grid)?);
            T::write(&mut outs[0], |out| {
                grid_sample(cx.engine(), self.sampling, &x, *channels, size, &grid, out);
                Ok(())
            })
        })
    }
}

fn build_sample(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    let text = |what, got| Err(OpError::Text { what, got });
    let interpolation = match cx.string_or("mode", "linear")?.as_str() {
        "linear" | "bilinear" => Interpolation::Linear,
        "nearest" => Interpolation::Nearest,
        "cubic" | "bicubic" => Interpolation::Cubic,
        other => return text("mode must be linear, nearest or cubic", other.to_owned()),
    };
    let outside = match cx.string_or("padding_mode", "zeros")?.as_str() {
        "zeros" => Outside::Zeros,
        "border" => Outside::Border,
        "reflection" => Outside::Reflection,
        other => {
            return text(
                "padding_mode must be zeros, border or reflection",
                other.to_owned(),
            );
        }
    };
    let align_corners = cx.flag("align_corners", false)?;
    Ok(Box::new(GridSample {
        sampling: Sampling {
            interpolation,
            outside,
            align_corners,
        },
    }))
}

/// Makes the grid of an affine transform.
struct AffineGrid {
    align_corners: bool,
}

/// Finds the spatial size and the output's shape.
fn affine(theta: &[usize], size: &[i64]) -> Result<(Vec<usize>, Vec<usize>), OpError> {
    let dims = size.len().saturating_sub(2);
    let size: Vec<usize> = size
        .iter()
        .map(|&dim| {
            usize::try_from(dim).map_err(|_| OpError::Value {
                what: "negative size",
                got: dim,
            })
        })
        .collect::<Result<_, _>>()?;
    let (Some(&images), Some(spatial)) = (size.first(), size.get(2..)) else {
        return Err(refuse("size needs batch, channels and positions", &[&size]));
    };
    if !(2..=MAX_DIMS).contains(&dims) || theta != [images, dims, dims + 1] {
        return Err(refuse("theta does not fit the size", &[theta, &size]));
    }
    let out = [&[images], spatial, &[dims]].concat();
    Ok((spatial.to_vec(), out))
}

impl Op for AffineGrid {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let theta = cx.tensor(0)?;
        want_float(theta.dtype)?;
        want_same(DType::I64, cx.tensor(1)?.dtype)?;
        let (_, out) = affine(&theta.shape, &cx.ints(1)?)?;
        Ok(vec![Fact::tensor(theta.dtype, out)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let elements = cx.output(0)?.count().saturating_mul(28);
        Ok(Cost {
            elements,
            ..cx.traffic()
        })
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let theta = ins.get(0)?;
        let (size, _) = affine(theta.shape, &ins.get(1)?.to_i64s()?)?;
        with_float!(theta.dtype(), T => {
            let theta = T::read(theta)?;
            T::write(&mut outs[0], |out| {
                affine_grid(&theta, &size, self.align_corners, out);
                Ok(())
            })
        })
    }
}

fn build_affine(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    Ok(Box::new(AffineGrid {
        align_corners: cx.flag("align_corners", false)?,
    }))
}

/// Lists the family.
pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("GridSample", 16, build_sample),
    Entry::onnx("AffineGrid", 20, build_affine),
];
