//! Resizing along one axis: which source positions each target position mixes, and the mixing.

use crate::elementwise::Number;
use crate::float::Float;
use crate::fma::Fma;

/// Says how a target position maps to a source coordinate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Coordinates {
    /// (y + 1/2) / scale - 1/2.
    HalfPixel,
    /// As half-pixel, around the centre of the source.
    HalfPixelSymmetric,
    /// As half-pixel, but -1/2 for a target of one position.
    PytorchHalfPixel,
    /// The first and last positions of source and target coincide.
    AlignCorners,
    /// y / scale.
    Asymmetric,
    /// Positions of a region of the source, in parts of its length.
    Crop {
        /// Where the region begins.
        start: f64,
        /// Where it ends.
        end: f64,
    },
}

/// Says how source positions are mixed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Filter {
    /// The nearest position; a tie or any fraction resolves by the rule.
    Nearest(Nearest),
    /// Two positions by distance; `antialias` widens the filter when shrinking.
    Linear {
        /// Whether the filter is widened.
        antialias: bool,
    },
    /// Four positions by a cubic; `antialias` widens the filter when shrinking.
    Cubic {
        /// The cubic's parameter.
        a: f64,
        /// Whether the filter is widened.
        antialias: bool,
    },
}

/// Says which neighbour is the nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nearest {
    /// The nearer one; the left one in the middle.
    PreferFloor,
    /// The nearer one; the right one in the middle.
    PreferCeil,
    /// The left one.
    Floor,
    /// The right one.
    Ceil,
}

/// Holds the positions and weights of one axis.
#[derive(Clone, Debug, PartialEq)]
pub struct AxisMap {
    /// Positions mixed for each target position.
    pub taps: usize,
    /// Source positions, `taps` for each target position.
    pub index: Vec<usize>,
    /// Their weights.
    pub weight: Vec<f64>,
    /// Whether a target position lies outside the cropped source.
    pub outside: Vec<bool>,
}

/// Describes one axis of a resize.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    /// Length of the source, at least 1.
    pub source: usize,
    /// Length of the target.
    pub target: usize,
    /// Target over source, as a positive number.
    pub scale: f64,
}

impl Axis {
    /// Maps a target position to a source coordinate.
    // Spec: N-30.1
    fn coordinate(&self, coordinates: Coordinates, y: usize) -> f64 {
        let (y, source) = (f64::from_count(y), f64::from_count(self.source));
        let length = self.scale * source;
        let single = (length - 1.0).is_zero();
        match coordinates {
            Coordinates::PytorchHalfPixel if single => -0.5,
            Coordinates::HalfPixel | Coordinates::PytorchHalfPixel => (y + 0.5) / self.scale - 0.5,
            Coordinates::HalfPixelSymmetric => {
                let adjustment = f64::from_count(self.target) / length;
                let offset = source / 2.0 * (1.0 - adjustment);
                offset + (y + 0.5) / self.scale - 0.5
            }
            Coordinates::AlignCorners if single => 0.0,
            Coordinates::AlignCorners => y * (source - 1.0) / (length - 1.0),
            Coordinates::Asymmetric => y / self.scale,
            Coordinates::Crop { start, end } => {
                let inside = if single {
                    (end - start) * (source - 1.0) / 2.0
                } else {
                    y * (end - start) * (source - 1.0) / (length - 1.0)
                };
                inside + start * (source - 1.0)
            }
        }
    }

    /// Finds positions and weights for every target position.
    // Spec: N-30.2
    pub fn map(&self, coordinates: Coordinates, filter: Filter, exclude_outside: bool) -> AxisMap {
        // Without a target the scale has no bound, and neither has the width of a filter.
        let taps = if self.target == 0 {
            1
        } else {
            filter.taps(self.scale)
        };
        let last = f64::from_count(self.source) - 1.0;
        let mut map = AxisMap {
            taps,
            index: Vec::new(),
            weight: Vec::new(),
            outside: Vec::new(),
        };
        let mut weights = vec![0.0; taps];
        for y in 0..self.target {
            let x = self.coordinate(coordinates, y);
            let crop = matches!(coordinates, Coordinates::Crop { .. });
            map.outside.push(crop && !(x >= 0.0 && x <= last));
            // The left neighbour and the distance from it, in (0, 1]: a whole coordinate is the
            // right neighbour of the position before it.
            let floor = x.round_down();
            let (left, ratio) = if floor < x {
                (floor, x - floor)
            } else {
                (x - 1.0, 1.0)
            };
            let first = left - f64::from_count(taps / 2) + if taps == 1 { 0.0 } else { 1.0 };
            let first = filter.weigh(ratio, self.scale, first, &mut weights);
            if exclude_outside {
                drop_outside(&mut weights, first, last);
            }
            for (k, weight) in weights.iter().enumerate() {
                let at = first + f64::from_count(k);
                map.index.push(at.max_of(0.0).min_of(last) as usize);
                map.weight.push(*weight);
            }
        }
        map
    }
}

/// Zeroes the weights of positions outside the source and scales the others to sum to one.
fn drop_outside(weights: &mut [f64], first: f64, last: f64) {
    let mut sum = 0.0;
    for (k, weight) in weights.iter_mut().enumerate() {
        let at = first + f64::from_count(k);
        if at < 0.0 || at > last {
            *weight = 0.0;
        }
        sum += *weight;
    }
    if !sum.is_zero() {
        weights.iter_mut().for_each(|weight| *weight /= sum);
    }
}

impl Filter {
    /// Returns how many positions are mixed.
    fn taps(self, scale: f64) -> usize {
        let half = |reach: f64| {
            let scale = scale.min_of(1.0);
            // Bounded: a source is never more than its length times longer than its target.
            (reach / scale).round_up() as usize
        };
        match self {
            Self::Nearest(_) => 1,
            Self::Linear { antialias: false } => 2,
            Self::Cubic {
                antialias: false, ..
            } => 4,
            Self::Linear { antialias: true } => 2 * half(1.0),
            Self::Cubic {
                antialias: true, ..
            } => 2 * half(2.0),
        }
    }

    /// Writes the weights for a coordinate; returns the position of the first one.
    fn weigh(self, ratio: f64, scale: f64, first: f64, weights: &mut [f64]) -> f64 {
        match self {
            Self::Nearest(rule) => {
                weights.fill(1.0);
                let right = match rule {
                    Nearest::PreferFloor => ratio > 0.5,
                    Nearest::PreferCeil => ratio >= 0.5,
                    Nearest::Floor => ratio >= 1.0,
                    Nearest::Ceil => true,
                };
                return if right { first + 1.0 } else { first };
            }
            Self::Linear { antialias: false } => weights.copy_from_slice(&[1.0 - ratio, ratio]),
            Self::Cubic {
                a,
                antialias: false,
            } => {
                for (k, weight) in weights.iter_mut().enumerate() {
                    *weight = cubic(a, (f64::from_count(k) - 1.0 - ratio).magnitude());
                }
            }
            Self::Linear { antialias: true } => {
                widened(ratio, scale, weights, |x| (1.0 - x).max_of(0.0));
            }
            Self::Cubic { a, antialias: true } => widened(ratio, scale, weights, |x| cubic(a, x)),
        }
        first
    }
}

/// Evaluates the cubic kernel at a distance.
fn cubic(a: f64, x: f64) -> f64 {
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}

/// Evaluates a kernel stretched for shrinking and scales the weights to sum to one.
fn widened(ratio: f64, scale: f64, weights: &mut [f64], kernel: impl Fn(f64) -> f64) {
    let scale = scale.min_of(1.0);
    let start = 1.0 - f64::from_count(weights.len() / 2);
    let mut sum = 0.0;
    for (k, weight) in weights.iter_mut().enumerate() {
        *weight = kernel(((start + f64::from_count(k) - ratio) * scale).magnitude());
        sum += *weight;
    }
    weights.iter_mut().for_each(|weight| *weight /= sum);
}

multiversion! {
    /// Mixes along one axis of a tensor `[outer, source, inner]`; weights round to `T` once.
    // Spec: N-30.3
    pub fn mix<T: Float>(input: &[T], source: usize, inner: usize, map: &AxisMap, out: &mut [T])
        = mix_body;
}

#[inline(always)]
fn mix_body<F: Fma, T: Float>(
    input: &[T],
    source: usize,
    inner: usize,
    map: &AxisMap,
    out: &mut [T],
) {
    let target = map.outside.len();
    if target == 0 || inner == 0 || source == 0 {
        return;
    }
    assert_eq!(input.len() / source, out.len() / target);
    for (input, out) in input
        .chunks_exact(source * inner)
        .zip(out.chunks_exact_mut(target * inner))
    {
        let taps = map
            .index
            .chunks_exact(map.taps)
            .zip(map.weight.chunks_exact(map.taps));
        for (row, (index, weight)) in out.chunks_exact_mut(inner).zip(taps) {
            row.fill(T::ZERO);
            for (at, weight) in index.iter().zip(weight) {
                let weight = T::from_f64(*weight);
                // A position without weight takes no part, so that its infinity does not either.
                if weight.magnitude() <= T::ZERO {
                    continue;
                }
                for (out, x) in row.iter_mut().zip(&input[at * inner..(at + 1) * inner]) {
                    *out = T::fma::<F>(weight, *x, *out);
                }
            }
            for out in row {
                *out = out.canonical();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;

    fn resize(x: &[f32], target: usize, how: Coordinates, filter: Filter) -> Vec<f32> {
        let scale = target as f64 / x.len() as f64;
        let axis = Axis {
            source: x.len(),
            target,
            scale,
        };
        let mut out = vec![0.0; target];
        mix(
            &Engine::single(),
            x,
            x.len(),
            1,
            &axis.map(how, filter, false),
            &mut out,
        );
        out
    }

    const LINEAR: Filter = Filter::Linear { antialias: false };

    #[test]
    fn linear_mixes_two_neighbours() {
        let out = resize(&[1.0, 2.0], 4, Coordinates::HalfPixel, LINEAR);
        assert_eq!(out, [1.0, 1.25, 1.75, 2.0]);
        let out = resize(&[1.0, 2.0, 3.0], 5, Coordinates::AlignCorners, LINEAR);
        assert_eq!(out, [1.0, 1.5, 2.0, 2.5, 3.0]);
    }

    #[test]
    fn nearest_resolves_ties_by_the_rule() {
        // Half-pixel shrinking by two: coordinates 0.5 and 2.5.
        let at = |rule| {
            resize(
                &[0.0, 1.0, 2.0, 3.0],
                2,
                Coordinates::HalfPixel,
                Filter::Nearest(rule),
            )
        };
        assert_eq!(at(Nearest::PreferFloor), [0.0, 2.0]);
        assert_eq!(at(Nearest::PreferCeil), [1.0, 3.0]);
        assert_eq!(at(Nearest::Floor), [0.0, 2.0]);
        assert_eq!(at(Nearest::Ceil), [1.0, 3.0]);
    }

    #[test]
    fn weights_sum_to_one() {
        for filter in [
            LINEAR,
            Filter::Linear { antialias: true },
            Filter::Cubic {
                a: -0.75,
                antialias: false,
            },
            Filter::Cubic {
                a: -0.5,
                antialias: true,
            },
        ] {
            for (source, target) in [(7usize, 3usize), (3, 7), (5, 5), (1, 4), (9, 1)] {
                let axis = Axis {
                    source,
                    target,
                    scale: target as f64 / source as f64,
                };
                let map = axis.map(Coordinates::HalfPixel, filter, false);
                assert_eq!(map.index.len(), target * map.taps);
                for weights in map.weight.chunks(map.taps) {
                    let sum: f64 = weights.iter().fold(0.0, |sum, weight| sum + weight);
                    assert!((sum - 1.0).abs() < 1e-12, "{filter:?} {source} {target}");
                }
            }
        }
    }

    #[test]
    fn positions_without_weight_take_no_part() {
        let out = resize(
            &[f32::INFINITY, 2.0, 3.0],
            3,
            Coordinates::AlignCorners,
            LINEAR,
        );
        assert_eq!(out[1..], [2.0, 3.0]);
    }

    #[test]
    fn instruction_sets_agree() {
        use crate::isa::Isa;
        let x: Vec<f32> = (0..96).map(|i| ((i * 37) % 101) as f32 / 7.0).collect();
        let axis = Axis {
            source: 8,
            target: 13,
            scale: 1.7,
        };
        let filter = Filter::Cubic {
            a: -0.75,
            antialias: false,
        };
        let map = axis.map(Coordinates::HalfPixel, filter, false);
        let bits = |isa| {
            let mut out = vec![0f32; 2 * 13 * 6];
            mix(&Engine::new(isa, 1), &x, 8, 6, &map, &mut out);
            out.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        assert_eq!(bits(Isa::Portable), bits(Isa::detect()));
    }
}
