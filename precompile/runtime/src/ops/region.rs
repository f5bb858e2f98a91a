//! RoiAlign and MaxRoiPool: regions of a feature map, pooled to one size (Spec: N-46).

use assay_numerics::smooth::Smooth;

use super::dense::{Dense, refuse};
use super::work::{want_float, want_same, with_float};
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Out, View};

/// Bounds a pooled side.
const MAX_SIDE: i64 = 1 << 12;
/// Bounds the samples along one side of a bin.
const MAX_SAMPLES: i64 = 1 << 7;

/// Is the sizes of one call: a map of (images, channels, height, width) and its regions.
#[derive(Clone, Copy)]
struct Map {
    images: usize,
    channels: usize,
    height: usize,
    width: usize,
    regions: usize,
}

impl Map {
    fn new(x: &[usize], regions: &[usize], numbers: usize) -> Result<Map, OpError> {
        let (&[images, channels, height, width], &[regions, given]) = (x, regions) else {
            return Err(refuse(
                "regions need a map of rank 4 and a list of rank 2",
                &[x, regions],
            ));
        };
        if given != numbers {
            return Err(refuse("a region has another count of numbers", &[&[given]]));
        }
        Ok(Map {
            images,
            channels,
            height,
            width,
            regions,
        })
    }

    fn output(&self, pooled: [usize; 2]) -> [usize; 4] {
        [self.regions, self.channels, pooled[0], pooled[1]]
    }

    /// Finds a region's image.
    fn image(&self, index: i64) -> Result<usize, OpError> {
        usize::try_from(index)
            .ok()
            .filter(|image| *image < self.images)
            .ok_or(OpError::Index {
                index,
                dim: self.images,
            })
    }

    /// Borrows one channel of one image.
    fn plane<'x, T>(&self, x: &'x [T], image: usize, channel: usize) -> &'x [T] {
        let size = self.height * self.width;
        let start = (image * self.channels + channel) * size;
        &x[start..start + size]
    }
}

/// Says what becomes of the samples of a bin.
#[derive(Clone, Copy, PartialEq)]
enum Pool {
    Mean,
    Max,
}

/// Averages (or takes the largest of) linear samples in the bins of each region.
struct RoiAlign {
    pool: Pool,
    pooled: [usize; 2],
    /// Samples along a side of a bin; 0 takes about one for each position of the map.
    samples: usize,
    scale: f32,
    /// Is subtracted from scaled coordinates.
    offset: f64,
}

/// Holds the samples of all bins along one axis: neighbours and the upper one's weight, `None`
/// outside the map.
struct Side {
    samples: usize,
    at: Vec<Option<(usize, usize, f64)>>,
}

impl RoiAlign {
    /// Bounds the samples along one axis of a bin over `dim` positions.
    fn most(&self, pooled: usize, dim: usize) -> u64 {
        match self.samples {
            0 => (dim as u64).saturating_add(2).div_ceil(pooled as u64),
            samples => samples as u64,
        }
    }

    /// Places the samples of one axis of a region.
    fn side(&self, from: f64, to: f64, pooled: usize, dim: usize) -> Result<Side, OpError> {
        let scale = f64::from(self.scale);
        let start = from * scale - self.offset;
        let mut extent = (to * scale - self.offset) - start;
        if self.offset == 0.0 && extent < 1.0 {
            extent = 1.0;
        }
        let bin = extent / pooled as f64;
        let samples = match self.samples {
            0 if bin.ceil() <= self.most(pooled, dim) as f64 => bin.ceil() as usize,
            0 => {
                return Err(OpError::Value {
                    what: "a region is larger than the map; samples for each bin",
                    got: bin.ceil() as i64,
                });
            }
            samples => samples,
        };
        let mut at = Vec::with_capacity(samples * pooled);
        for target in 0..pooled {
            for sample in 0..samples {
                let step = (sample as f64 + 0.5) * bin / samples as f64;
                at.push(neighbours(start + target as f64 * bin + step, dim));
            }
        }
        Ok(Side { samples, at })
    }

    fn run_in<T: Dense + Smooth>(
        &self,
        map: Map,
        ins: Ins<'_>,
        out: &mut Out<'_>,
    ) -> Result<(), OpError> {
        let (x, corners) = (T::read(ins.get(0)?)?, T::read(ins.get(1)?)?);
        let images = ins.get(2)?.to_i64s()?;
        let size = self.pooled[0] * self.pooled[1];
        T::write(out, |out| {
            let mut rows = out.chunks_exact_mut(size.max(1));
            for (region, &image) in corners.chunks_exact(4).zip(&images) {
                let image = map.image(image)?;
                let corner = |i: usize| region[i].widened();
                let down = self.side(corner(1), corner(3), self.pooled[0], map.height)?;
                let across = self.side(corner(0), corner(2), self.pooled[1], map.width)?;
                for channel in 0..map.channels {
                    let plane = map.plane(&x, image, channel);
                    let Some(out) = rows.next() else { break };
                    self.bins(plane, map.width, &down, &across, out);
                }
            }
            Ok(())
        })
    }

    fn bins<T: Dense + Smooth>(
        &self,
        plane: &[T],
        width: usize,
        down: &Side,
        across: &Side,
        out: &mut [T],
    ) {
        let count = (down.samples * across.samples).max(1) as f64;
        for (i, out) in out.iter_mut().enumerate() {
            let (row, column) = (i / self.pooled[1], i % self.pooled[1]);
            let (mut sum, mut largest) = (0.0f64, None::<f64>);
            for y in &down.at[row * down.samples..(row + 1) * down.samples] {
                for x in &across.at[column * across.samples..(column + 1) * across.samples] {
                    let parts = parts(plane, width, *y, *x);
                    // Spec: N-46, one rounding for each operation, in this order.
                    sum += ((parts[0] + parts[1]) + parts[2]) + parts[3];
                    let most = parts.into_iter().reduce(larger).unwrap_or(0.0);
                    largest = Some(largest.map_or(most, |largest| larger(largest, most)));
                }
            }
            let pooled = match self.pool {
                Pool::Mean => sum / count,
                Pool::Max => largest.unwrap_or(0.0),
            };
            *out = T::rounded(pooled).canonical();
        }
    }
}

/// Takes the larger number; a NaN wins (Spec: N-5).
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b || (a == b && a.is_sign_positive()) {
        a
    } else {
        b
    }
}

/// Finds the positions around a coordinate and the upper one's weight.
fn neighbours(at: f64, dim: usize) -> Option<(usize, usize, f64)> {
    let inside = at >= -1.0 && at <= dim as f64;
    if !inside || dim == 0 {
        return None;
    }
    let at = if at < 0.0 { 0.0 } else { at };
    let low = at as usize;
    if low + 1 >= dim {
        return Some((dim - 1, dim - 1, 0.0));
    }
    Some((low, low + 1, at - low as f64))
}

/// Weighs the four positions around a sample; zeros outside the map.
fn parts<T: Smooth>(
    plane: &[T],
    width: usize,
    y: Option<(usize, usize, f64)>,
    x: Option<(usize, usize, f64)>,
) -> [f64; 4] {
    let (Some((top, bottom, down)), Some((left, right, across))) = (y, x) else {
        return [0.0; 4];
    };
    let (up, back) = (1.0 - down, 1.0 - across);
    let at = |row: usize, column: usize| plane[row * width + column].widened();
    [
        (up * back) * at(top, left),
        (up * across) * at(top, right),
        (down * back) * at(bottom, left),
        (down * across) * at(bottom, right),
    ]
}

impl Op for RoiAlign {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (x, regions, images) = (cx.tensor(0)?, cx.tensor(1)?, cx.tensor(2)?);
        want_same(want_float(x.dtype)?, regions.dtype)?;
        want_same(DType::I64, images.dtype)?;
        let map = Map::new(&x.shape, &regions.shape, 4)?;
        if images.shape != [map.regions] {
            return Err(refuse("one image for each region", &[&images.shape]));
        }
        Ok(vec![Fact::tensor(x.dtype, map.output(self.pooled))])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let (x, regions) = (cx.input(0)?, cx.input(1)?);
        let map = Map::new(&x.shape, &regions.shape, 4)?;
        let samples = self
            .most(self.pooled[0], map.height)
            .saturating_mul(self.most(self.pooled[1], map.width));
        let taps = cx.output(0)?.count().saturating_mul(samples);
        Ok(Cost {
            macs_f64: taps.saturating_mul(8),
            elements: taps.saturating_mul(8),
            ..cx.traffic()
        })
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let x = ins.get(0)?;
        let map = Map::new(x.shape, ins.get(1)?.shape, 4)?;
        with_float!(x.dtype(), T => self.run_in::<T>(map, ins, &mut outs[0]))
    }
}

/// Takes the largest element in the whole positions of each bin of each region.
struct MaxRoiPool {
    pooled: [usize; 2],
    scale: f32,
}

impl MaxRoiPool {
    /// Bounds the positions that all bins along one axis cover together.
    fn covered(pooled: usize, dim: usize) -> u64 {
        (dim as u64).saturating_add(2 * pooled as u64)
    }

    /// Finds the positions that each bin covers along one axis.
    fn spans(&self, from: f64, to: f64, pooled: usize, dim: usize) -> Vec<(usize, usize)> {
        let scale = f64::from(self.scale);
        let (start, end) = ((from * scale).round(), (to * scale).round());
        let extent = end - start + 1.0;
        let extent = if extent > 1.0 { extent } else { 1.0 };
        let bin = extent / pooled as f64;
        // Saturating and zero for NaN: a region nowhere has empty bins.
        let place = |at: f64| ((at + start) as i64).clamp(0, dim as i64) as usize;
        (0..pooled)
            .map(|i| {
                (
                    place((i as f64 * bin).floor()),
                    place(((i as f64 + 1.0) * bin).ceil()),
                )
            })
            .collect()
    }

    fn run_in<T: Dense + Smooth>(
        &self,
        map: Map,
        ins: Ins<'_>,
        out: &mut Out<'_>,
    ) -> Result<(), OpError> {
        let (x, regions): (View<'_>, _) = (ins.get(0)?, T::read(ins.get(1)?)?);
        let x = T::read(x)?;
        T::write(out, |out| {
            let mut rest = out.iter_mut();
            for region in regions.chunks_exact(5) {
                let number = |i: usize| region[i].widened();
                let image = map.image(number(0) as i64)?;
                let down = self.spans(number(2), number(4), self.pooled[0], map.height);
                let across = self.spans(number(1), number(3), self.pooled[1], map.width);
                for channel in 0..map.channels {
                    let plane = map.plane(&x, image, channel);
                    let bins = down.iter().flat_map(|y| across.iter().map(move |x| (y, x)));
                    for ((&(top, bottom), &(left, right)), out) in bins.zip(&mut rest) {
                        let rows = (top..bottom.max(top)).map(|row| row * map.width);
                        let inside = rows.flat_map(|row| {
                            plane[row + left..row + right.max(left)].iter().copied()
                        });
                        let largest = inside.map(Smooth::widened).reduce(larger);
                        *out = T::rounded(largest.unwrap_or(0.0)).canonical();
                    }
                }
            }
            Ok(())
        })
    }
}

impl Op for MaxRoiPool {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (x, regions) = (cx.tensor(0)?, cx.tensor(1)?);
        want_same(want_float(x.dtype)?, regions.dtype)?;
        let map = Map::new(&x.shape, &regions.shape, 5)?;
        Ok(vec![Fact::tensor(x.dtype, map.output(self.pooled))])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let (x, regions) = (cx.input(0)?, cx.input(1)?);
        let map = Map::new(&x.shape, &regions.shape, 5)?;
        let each = Self::covered(self.pooled[0], map.height)
            .saturating_mul(Self::covered(self.pooled[1], map.width));
        Ok(Cost {
            elements: (map.regions as u64)
                .saturating_mul(map.channels as u64)
                .saturating_mul(each),
            ..cx.traffic()
        })
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let x = ins.get(0)?;
        let map = Map::new(x.shape, ins.get(1)?.shape, 5)?;
        with_float!(x.dtype(), T => self.run_in::<T>(map, ins, &mut outs[0]))
    }
}

/// Refuses a number outside its bounds.
fn within(
    name: &'static str,
    value: i64,
    range: std::ops::RangeInclusive<i64>,
) -> Result<usize, OpError> {
    if range.contains(&value) {
        return Ok(value as usize);
    }
    Err(OpError::Attribute {
        name,
        why: "is out of range: a pooled side is 1 to 4096, a sampling ratio 0 to 128",
    })
}

fn roi_align(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(3..=3, 1)?;
    let wrong = |name, why| OpError::Attribute { name, why };
    let pool = match cx.string_or("mode", "avg")?.as_str() {
        "avg" => Pool::Mean,
        "max" => Pool::Max,
        _ => return Err(wrong("mode", "must be avg or max")),
    };
    let half = if cx.opset() < 16 {
        "output_half_pixel"
    } else {
        "half_pixel"
    };
    let name = "coordinate_transformation_mode";
    let offset = match cx.string_or(name, half)?.as_str() {
        "half_pixel" => 0.5,
        "output_half_pixel" => 0.0,
        _ => return Err(wrong(name, "must be half_pixel or output_half_pixel")),
    };
    let ratio = "sampling_ratio";
    let size = |name: &'static str| within(name, cx.int_or(name, 1)?, 1..=MAX_SIDE);
    Ok(Box::new(RoiAlign {
        pool,
        pooled: [size("output_height")?, size("output_width")?],
        samples: within(ratio, cx.int_or(ratio, 0)?, 0..=MAX_SAMPLES)?,
        scale: cx.float_or("spatial_scale", 1.0)?,
        offset,
    }))
}

fn max_roi_pool(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    let name = "pooled_shape";
    let pooled = match cx.ints(name)?.as_deref() {
        Some(&[height, width]) => [
            within(name, height, 1..=MAX_SIDE)?,
            within(name, width, 1..=MAX_SIDE)?,
        ],
        _ => {
            return Err(OpError::Attribute {
                name,
                why: "needs a height and a width",
            });
        }
    };
    Ok(Box::new(MaxRoiPool {
        pooled,
        scale: cx.float_or("spatial_scale", 1.0)?,
    }))
}

/// Lists the family.
pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("RoiAlign", 10, roi_align),
    Entry::onnx("MaxRoiPool", 1, max_roi_pool),
];

#[cfg(test)]
mod tests {
    use crate::Tensor;
    use crate::ops::testing::{Case, count};

    fn regions(numbers: &[f32], of: usize) -> Tensor {
        Tensor::from_vec([numbers.len() / of, of], numbers.to_vec()).expect("whole regions")
    }

    fn answer(case: Case) -> Vec<f32> {
        let outputs = case.run().expect("runs");
        let tensor = outputs[0].as_tensor().expect("a tensor");
        tensor.as_slice::<f32>().expect("floats").to_vec()
    }

    #[test]
    fn max_roi_pool_takes_the_largest_of_whole_positions() {
        // A 4 x 4 map that counts from 0, cut into 2 x 2 bins; then one bin below its corner; then a
        // region outside, whose bins are empty.
        let rois = regions(
            &[0., 0., 0., 3., 3., 0., 2., 2., 3., 3., 0., 9., 9., 12., 12.],
            5,
        );
        let case = Case::new("MaxRoiPool", 17, 1)
            .input(count(&[1, 1, 4, 4]))
            .input(rois)
            .ints("pooled_shape", &[2, 2]);
        assert_eq!(
            answer(case),
            [5., 7., 13., 15., 10., 11., 14., 15., 0., 0., 0., 0.]
        );
    }

    #[test]
    fn regions_of_images_that_are_not_there_are_refused() {
        for image in [-1.0, 1.0] {
            let case = Case::new("MaxRoiPool", 17, 1)
                .input(count(&[1, 1, 4, 4]))
                .input(regions(&[image, 0., 0., 3., 3.], 5))
                .ints("pooled_shape", &[2, 2]);
            assert!(case.run().is_err(), "{image}");
        }
    }

    #[test]
    fn adaptive_samples_of_a_region_larger_than_the_map_are_refused() {
        let align = |corner: f32| {
            Case::new("RoiAlign", 16, 1)
                .input(count(&[1, 1, 4, 4]))
                .input(regions(&[0., 0., corner, corner], 4))
                .input(crate::ops::testing::ints(&[0]))
        };
        assert_eq!(answer(align(4.0)).len(), 1);
        for corner in [7.0, 1e30, f32::INFINITY, f32::NAN] {
            assert!(align(corner).run().is_err(), "{corner}");
        }
        // A fixed number of samples bounds the work by itself.
        assert_eq!(answer(align(1e30).int("sampling_ratio", 2)), [0.0]);
    }
}
