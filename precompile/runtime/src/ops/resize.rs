//! Resize and Upsample: a grid sampled at other positions.
//!
//! Axes are resized one after the other, in ascending order (Spec: N-30).

mod read;

use assay_numerics::Engine;
use assay_numerics::cast::cast;
use assay_numerics::float::Float;
use assay_numerics::resample::{Axis, AxisMap, Coordinates, Filter, mix};

use super::moves::{axes_in, pad::pick, product, size_from};
use super::{CostCx, Fact, InferCx, Ins, Op, RunCx};
use crate::cost::Cost;
use crate::error::OpError;
use crate::tensor::{Data, Out, View};

pub(crate) use read::TABLE;

/// Says how the target's size follows from given sizes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    Stretch,
    NotLarger,
    NotSmaller,
}

/// Says where scales and sizes come from.
enum Source {
    /// An attribute (Upsample before opset 9).
    Stored(Vec<f32>),
    /// Input 1.
    Scales,
    /// Inputs 1 (region), 2 (scales) and 3 (sizes).
    All,
}

struct Resize {
    filter: Filter,
    /// The mapping; a crop's region is filled in from the input.
    coordinates: Coordinates,
    exclude_outside: bool,
    extrapolation: f32,
    axes: Option<Vec<i64>>,
    policy: Policy,
    source: Source,
}

/// Holds one axis that changes.
struct Pass {
    at: usize,
    axis: Axis,
    coordinates: Coordinates,
}

/// Reads floats of any type as doubles.
fn doubles(view: View<'_>) -> Result<Vec<f64>, OpError> {
    let mut wide = vec![0f64; view.len()];
    match view.data {
        Data::F32(v) => cast(v, &mut wide),
        Data::F64(v) => wide.copy_from_slice(v),
        Data::F16(v) => cast(v, &mut wide),
        other => {
            return Err(OpError::Type {
                what: "floats",
                got: other.dtype(),
            });
        }
    }
    Ok(wide)
}

type Lookup<'l, 'v> = &'l dyn Fn(usize) -> Result<Option<View<'v>>, OpError>;

impl Resize {
    /// Finds the axes that change, with their new lengths.
    fn passes(&self, shape: &[usize], value: Lookup<'_, '_>) -> Result<Vec<Pass>, OpError> {
        let axes = match &self.axes {
            Some(axes) => axes_in(axes, shape.len())?,
            None => (0..shape.len()).collect(),
        };
        let list = |input| match value(input)? {
            Some(view) if !view.is_empty() => Ok::<_, OpError>(Some(view)),
            _ => Ok(None),
        };
        let (scales, sizes) = match &self.source {
            Source::Stored(scales) => (Some(scales.iter().map(|&s| f64::from(s)).collect()), None),
            Source::Scales => (list(1)?.map(doubles).transpose()?, None),
            Source::All => (
                list(2)?.map(doubles).transpose()?,
                list(3)?.map(|view| view.to_i64s()).transpose()?,
            ),
        };
        let check = |len: usize| match len == axes.len() {
            true => Ok(()),
            false => Err(OpError::Value {
                what: "there must be one scale or size for each axis; entries",
                got: len as i64,
            }),
        };
        let resized = match (scales, sizes) {
            (Some(scales), None) => {
                check(scales.len())?;
                by_scales(shape, &axes, &scales)?
            }
            (None, Some(sizes)) => {
                check(sizes.len())?;
                self.by_sizes(shape, &axes, &sizes)?
            }
            _ => {
                let what = "exactly one of scales and sizes must be given; inputs";
                return Err(OpError::Value { what, got: 0 });
            }
        };
        let region = match self.coordinates {
            Coordinates::Crop { .. } => {
                let region = list(1)?.map(doubles).transpose()?.unwrap_or_default();
                check(region.len() / 2)?;
                Some(region)
            }
            _ => None,
        };
        let mut passes: Vec<Pass> = Vec::new();
        for (i, (&at, axis)) in axes.iter().zip(resized).enumerate() {
            let coordinates = match &region {
                Some(region) => Coordinates::Crop {
                    start: region[i],
                    end: region[i + axes.len()],
                },
                None => self.coordinates,
            };
            // An axis that keeps its scale, length and whole region keeps its elements.
            let whole = match coordinates {
                Coordinates::Crop { start, end } => start == 0.0 && end == 1.0,
                _ => true,
            };
            if !(whole && axis.scale == 1.0 && axis.source == axis.target) {
                passes.push(Pass {
                    at,
                    axis,
                    coordinates,
                });
            }
        }
        passes.sort_by_key(|pass| pass.at);
        Ok(passes)
    }

    /// Resolves given sizes, which may have to keep the ratio of the axes.
    fn by_sizes(
        &self,
        shape: &[usize],
        axes: &[usize],
        sizes: &[i64],
    ) -> Result<Vec<Axis>, OpError> {
        let mut resized = Vec::with_capacity(axes.len());
        for (&at, &size) in axes.iter().zip(sizes) {
            let target = size_from(size, "a size cannot be negative")?;
            let scale = f64::from_count(target) / f64::from_count(shape[at]);
            resized.push(Axis {
                source: shape[at],
                target,
                scale,
            });
        }
        if self.policy != Policy::Stretch {
            let larger = self.policy == Policy::NotSmaller;
            let scales = resized.iter().map(|axis| axis.scale);
            let best = scales.reduce(|a, b| if (b > a) == larger { b } else { a });
            for axis in &mut resized {
                axis.scale = best.unwrap_or(axis.scale);
                let length = (axis.scale * f64::from_count(axis.source) + 0.5).round_down();
                // Casts saturate, and the limits refuse what is too long.
                axis.target = length as usize;
            }
        }
        check_sources(&resized)?;
        Ok(resized)
    }

    fn maps(&self, passes: &[Pass]) -> Vec<AxisMap> {
        let map = |pass: &Pass| {
            pass.axis
                .map(pass.coordinates, self.filter, self.exclude_outside)
        };
        passes.iter().map(map).collect()
    }
}

fn by_scales(shape: &[usize], axes: &[usize], scales: &[f64]) -> Result<Vec<Axis>, OpError> {
    let mut resized = Vec::with_capacity(axes.len());
    for (&at, &scale) in axes.iter().zip(scales) {
        let target = (f64::from_count(shape[at]) * scale).round_down() as usize;
        resized.push(Axis {
            source: shape[at],
            target,
            scale,
        });
    }
    check_sources(&resized)?;
    Ok(resized)
}

/// Refuses scales that are not positive numbers and targets without a source.
fn check_sources(axes: &[Axis]) -> Result<(), OpError> {
    for (at, axis) in axes.iter().enumerate() {
        let empty = axis.source == 0 && axis.target == 0;
        if !(empty || axis.scale > 0.0 && axis.scale < f64::INFINITY && axis.source > 0) {
            let what = "scales and sizes must be positive, and the axis not empty; axis";
            return Err(OpError::Value {
                what,
                got: at as i64,
            });
        }
    }
    Ok(())
}

impl Op for Resize {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let fact = cx.tensor(0)?;
        let value = |input| {
            if cx.has(input) {
                cx.value(input).map(Some)
            } else {
                Ok(None)
            }
        };
        let mut shape = fact.shape.clone();
        for pass in self.passes(&fact.shape, &value)? {
            shape[pass.at] = pass.axis.target;
        }
        Ok(vec![Fact::tensor(fact.dtype, shape)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let (input, output) = (cx.input(0)?, cx.output(0)?);
        let mut cost = cx.traffic();
        let taps = match self.filter {
            Filter::Nearest(_) => 1,
            Filter::Cubic { .. } => 12,
            _ => 6,
        };
        cost.elements = output.count().saturating_mul(taps);
        if matches!(self.filter, Filter::Nearest(_)) {
            return Ok(cost);
        }
        // By the shapes alone: a widened filter reaches over at most twice its width per source.
        let reach: u64 = if matches!(self.filter, Filter::Cubic { .. }) {
            4
        } else {
            2
        };
        let mut shape = input.shape.clone();
        for (at, &target) in output.shape.iter().enumerate() {
            let taps = (shape[at] as u64 / (target as u64).max(1)).saturating_add(1);
            shape[at] = target;
            let elements = shape
                .iter()
                .fold(1u64, |n, &dim| n.saturating_mul(dim as u64));
            cost.macs_f64 = cost
                .macs_f64
                .saturating_add(elements.saturating_mul(taps.saturating_mul(reach)));
        }
        Ok(cost)
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let input = ins.get(0)?;
        let passes = self.passes(input.shape, &|at| Ok(ins.optional(at)))?;
        let maps = self.maps(&passes);
        let out = &mut outs[0];
        if super::moves::product(out.shape) == 0 {
            return Ok(());
        }
        if matches!(self.filter, Filter::Nearest(_)) {
            let mut sources: Vec<Vec<usize>> =
                input.shape.iter().map(|&dim| (0..dim).collect()).collect();
            for (pass, map) in passes.iter().zip(&maps) {
                sources[pass.at].clone_from(&map.index);
            }
            pair_kinds!(&mut *out.data, input.data, |to, from| {
                pick(to, from, input.shape, &sources);
                Ok(())
            })?;
        } else {
            blend(cx.engine(), input, &passes, &maps, out)?;
        }
        self.extrapolate(&passes, &maps, out)
    }
}

impl Resize {
    /// Overwrites what lies outside the cropped region on any axis.
    fn extrapolate(
        &self,
        passes: &[Pass],
        maps: &[AxisMap],
        out: &mut Out<'_>,
    ) -> Result<(), OpError> {
        if !maps.iter().any(|map| map.outside.contains(&true)) {
            return Ok(());
        }
        macro_rules! write {
            ($($kind:ident)*) => {
                match &mut *out.data {
                    $(Data::$kind(values) => {
                        let mut value = [Default::default()];
                        cast(&[self.extrapolation], &mut value);
                        overwrite(values, out.shape, passes, maps, value[0]);
                    })*
                    other => return Err(OpError::Type { what: "numbers", got: other.dtype() }),
                }
            };
        }
        write!(F32 F64 F16 Bf16 I8 I16 I32 I64 U8 U16 U32 U64);
        Ok(())
    }
}

fn overwrite<T: Copy>(
    values: &mut [T],
    shape: &[usize],
    passes: &[Pass],
    maps: &[AxisMap],
    value: T,
) {
    for (pass, map) in passes.iter().zip(maps) {
        let inner = product(&shape[pass.at + 1..]);
        for block in values.chunks_exact_mut((shape[pass.at] * inner).max(1)) {
            for (row, outside) in block.chunks_exact_mut(inner.max(1)).zip(&map.outside) {
                if *outside {
                    row.fill(value);
                }
            }
        }
    }
}

/// Mixes axis after axis in the type the element computes in.
fn blend(
    engine: &Engine,
    input: View<'_>,
    passes: &[Pass],
    maps: &[AxisMap],
    out: &mut Out<'_>,
) -> Result<(), OpError> {
    macro_rules! compute {
        ([$($same:ident)*] [$($kind:ident => $wide:ty),*]) => {
            match (&mut *out.data, input.data) {
                $((Data::$same(to), Data::$same(from)) => {
                    let mixed = mix_axes(engine, from.clone(), input.shape, passes, maps);
                    to.copy_from_slice(&mixed);
                })*
                $((Data::$kind(to), Data::$kind(from)) => {
                    let mut wide: Vec<$wide> = vec![0.0; from.len()];
                    cast(from.as_slice(), &mut wide);
                    cast(&mix_axes(engine, wide, input.shape, passes, maps), to);
                })*
                (_, other) => {
                    return Err(OpError::Type { what: "numbers (or mode nearest)", got: other.dtype() });
                }
            }
        };
    }
    // Spec: N-10 for the halves; integers compute in f64 and truncate by N-11.
    compute!([F32 F64] [
        F16 => f32, Bf16 => f32, I8 => f64, I16 => f64, I32 => f64, I64 => f64, U8 => f64,
        U16 => f64, U32 => f64, U64 => f64
    ]);
    Ok(())
}

fn mix_axes<T: Float>(
    engine: &Engine,
    input: Vec<T>,
    shape: &[usize],
    passes: &[Pass],
    maps: &[AxisMap],
) -> Vec<T> {
    let mut shape = shape.to_vec();
    let mut values = input;
    for (pass, map) in passes.iter().zip(maps) {
        let source = shape[pass.at];
        let inner = product(&shape[pass.at + 1..]);
        shape[pass.at] = pass.axis.target;
        let mut mixed = vec![T::ZERO; product(&shape)];
        mix(engine, &values, source, inner, map, &mut mixed);
        values = mixed;
    }
    values
}
