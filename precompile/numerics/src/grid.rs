//! Sampling of images at computed positions: AffineGrid, GridSample and deformed patches.

use crate::engine::Engine;
use crate::gemm::Real;
use crate::smooth::Smooth;

/// Bounds the spatial dimensions that are sampled.
pub const MAX_DIMS: usize = 3;

/// Names how values between positions are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// From two neighbours per dimension.
    Linear,
    /// From the nearest position, ties to even.
    Nearest,
    /// From four neighbours per dimension, with a = -0.75.
    Cubic,
}

/// Names what lies outside the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// Zeros.
    Zeros,
    /// The nearest border.
    Border,
    /// The image mirrored.
    Reflection,
}

/// Gives how an image is sampled.
#[derive(Clone, Copy, Debug)]
pub struct Sampling {
    /// Names the interpolation.
    pub interpolation: Interpolation,
    /// Names what lies outside.
    pub outside: Outside,
    /// Takes -1 and 1 as the centres of the outermost positions instead of their edges.
    pub align_corners: bool,
}

/// Computes an affine grid: for every position the chain of fma over (x, y, (z), 1), in doubles,
/// rounded once.
///
/// `theta` holds `dims x (dims + 1)` numbers per sample; `size` the spatial size, outermost first.
///
/// # Panics
/// Panics when the lengths do not fit.
// Spec: N-42
pub fn affine_grid<T: Smooth>(theta: &[T], size: &[usize], align_corners: bool, out: &mut [T]) {
    let dims = size.len();
    assert!((1..=MAX_DIMS).contains(&dims), "one to three dimensions");
    let positions: usize = size.iter().product();
    let per_sample = positions * dims;
    let coordinate = |index: usize, len: usize| -> f64 {
        let (index, len) = (index as f64, len as f64);
        if !align_corners {
            let step = 2.0 / len;
            return (-1.0 + step / 2.0) + index * step;
        }
        if len > 1.0 {
            -1.0 + index * (2.0 / (len - 1.0))
        } else {
            -1.0
        }
    };
    let samples = theta.chunks_exact(dims * (dims + 1));
    for (theta, out) in samples.zip(out.chunks_exact_mut(per_sample.max(1))) {
        for (position, out) in out.chunks_exact_mut(dims).enumerate() {
            let mut at = [1.0f64; MAX_DIMS + 1];
            let mut rest = position;
            for (d, &len) in size.iter().enumerate().rev() {
                at[dims - 1 - d] = coordinate(rest % len, len);
                rest /= len;
            }
            at[dims] = 1.0;
            for (out, row) in out.iter_mut().zip(theta.chunks_exact(dims + 1)) {
                let chain = row.iter().zip(&at).fold(0.0, |sum, (theta, at)| {
                    crate::fma::fma_f64(theta.widened(), *at, sum)
                });
                *out = T::rounded(chain).canonical();
            }
        }
    }
}

/// Samples every channel of every image at the grid's positions.
///
/// `x` holds `images * channels` planes of `size`; `grid` one tuple of coordinates (the innermost
/// dimension first) per image and output position.
///
/// # Panics
/// Panics when the lengths do not fit.
// Spec: N-42
pub fn grid_sample<T: Smooth>(
    engine: &Engine,
    sampling: Sampling,
    x: &[T],
    channels: usize,
    size: &[usize],
    grid: &[T],
    out: &mut [T],
) {
    let dims = size.len();
    assert!((1..=MAX_DIMS).contains(&dims), "one to three dimensions");
    let plane: usize = size.iter().product();
    if out.is_empty() {
        return;
    }
    let images = x.len() / (channels * plane).max(1);
    let positions = out.len() / (images * channels).max(1);
    assert_eq!(
        out.len(),
        images * channels * positions,
        "room for the output"
    );
    assert_eq!(
        grid.len(),
        images * positions * dims,
        "one coordinate per dimension"
    );
    engine.pool().run_pieces(out, positions, |row, out| {
        let image = row / channels;
        let x = &x[row * plane..][..plane];
        let grid = &grid[image * positions * dims..][..positions * dims];
        for (out, tuple) in out.iter_mut().zip(grid.chunks_exact(dims)) {
            let mut at = [T::ZERO; MAX_DIMS];
            for (d, &len) in size.iter().enumerate() {
                at[d] = place(sampling, tuple[dims - 1 - d], len);
            }
            *out = interpolate(sampling, x, size, &at[..dims]).canonical();
        }
    });
}

/// Turns a coordinate from -1 to 1 into a position, moved inside where the outside mirrors it.
fn place<T: Smooth>(sampling: Sampling, coordinate: T, len: usize) -> T {
    let size = T::rounded(len as f64);
    let two = T::rounded(2.0);
    let one = T::ONE;
    let moved = coordinate.plus(one);
    let at = if sampling.align_corners {
        moved.over(two).times(size.plus(one.negated()))
    } else {
        moved.times(size).plus(one.negated()).over(two)
    };
    let at = match sampling.interpolation {
        Interpolation::Nearest => T::rounded(round_even(at.widened())),
        _ => at,
    };
    let (least, most) = edges(sampling, len);
    let wide = at.widened();
    if wide >= least && wide <= most {
        return at;
    }
    match sampling.outside {
        Outside::Zeros => at,
        Outside::Border if wide < 0.0 => T::ZERO,
        Outside::Border if wide > len as f64 - 1.0 => T::rounded(len as f64 - 1.0),
        Outside::Border => at,
        Outside::Reflection => T::rounded(reflect(wide, least, most)),
    }
}

/// Rounds to the nearest integer, ties to even.
fn round_even(x: f64) -> f64 {
    const STEP: f64 = 4_503_599_627_370_496.0;
    let magnitude = f64::from_bits(x.to_bits() & !(1 << 63));
    let rounded = if magnitude < STEP {
        (magnitude + STEP) - STEP
    } else {
        magnitude
    };
    f64::from_bits(rounded.to_bits() | (x.to_bits() & 1 << 63))
}

/// Returns the edges at which an image mirrors.
fn edges(sampling: Sampling, len: usize) -> (f64, f64) {
    if sampling.align_corners {
        (0.0, len as f64 - 1.0)
    } else {
        (-0.5, len as f64 - 0.5)
    }
}

/// Mirrors a position until it lies between the edges.
fn reflect(at: f64, least: f64, most: f64) -> f64 {
    let range = most - least;
    if !at.is_finite() || range <= 0.0 {
        return least;
    }
    let (distance, from_least) = if at < least {
        (least - at, true)
    } else if at > most {
        (at - most, false)
    } else {
        return at;
    };
    // Whole widths crossed; every second crossing comes back from the other side.
    let crossed = whole(distance / range);
    let rest = distance - crossed * range;
    let even = whole(crossed / 2.0) * 2.0 == crossed;
    if even == from_least {
        least + rest
    } else {
        most - rest
    }
}

/// Drops the fraction of a number that is not negative.
fn whole(x: f64) -> f64 {
    const STEP: f64 = 4_503_599_627_370_496.0;
    if x >= STEP { x } else { x as u64 as f64 }
}

/// Returns the largest integer not above a number; saturates, NaN gives 0.
fn floor(x: f64) -> i64 {
    let cut = x as i64;
    if (cut as f64) > x {
        cut.saturating_sub(1)
    } else {
        cut
    }
}

/// Finds the position a neighbour stands for; `None` is a zero.
fn resolve(sampling: Sampling, index: i64, len: usize) -> Option<usize> {
    if let Ok(inside) = usize::try_from(index)
        && inside < len
    {
        return Some(inside);
    }
    let last = len.checked_sub(1)?;
    match sampling.outside {
        Outside::Zeros => None,
        Outside::Border => Some(if index < 0 { 0 } else { last }),
        Outside::Reflection => {
            let (least, most) = edges(sampling, len);
            let at = reflect(index as f64, least, most);
            Some((at as i64).clamp(0, last as i64) as usize)
        }
    }
}

/// Interpolates dimension by dimension, the innermost first.
fn interpolate<T: Smooth>(sampling: Sampling, x: &[T], size: &[usize], at: &[T]) -> T {
    let ([len, inner @ ..], [first, rest @ ..]) = (size, at) else {
        return x.first().copied().unwrap_or(T::ZERO);
    };
    let plane: usize = inner.iter().product();
    let value = |index: i64| match resolve(sampling, index, *len) {
        None => T::ZERO,
        Some(i) => interpolate(sampling, &x[i * plane..][..plane], inner, rest),
    };
    let base = floor(first.widened());
    if sampling.interpolation == Interpolation::Nearest {
        return value(base);
    }
    let fraction = first.plus(T::rounded(base as f64).negated());
    match sampling.interpolation {
        Interpolation::Cubic => {
            let weights = cubic(fraction);
            (0..4).fold(T::ZERO, |sum, i| {
                exact_fma(weights[i as usize], value(base.saturating_add(i - 1)), sum)
            })
        }
        _ => {
            let near = exact_fma(T::ONE.plus(fraction.negated()), value(base), T::ZERO);
            exact_fma(fraction, value(base.saturating_add(1)), near)
        }
    }
}

/// Multiplies and adds with one rounding on any machine.
fn exact_fma<T: Real>(a: T, b: T, c: T) -> T {
    T::fma::<crate::fma::PortableFma>(a, b, c)
}

/// Returns the weights of four neighbours; every operation rounds.
fn cubic<T: Smooth>(x: T) -> [T; 4] {
    let n = |x: f64| T::rounded(x);
    let far = |x: T| {
        // ((a x - 5 a) x + 8 a) x - 4 a, a = -0.75
        n(-0.75)
            .times(x)
            .plus(n(3.75))
            .times(x)
            .plus(n(-6.0))
            .times(x)
            .plus(n(3.0))
    };
    let near = |x: T| {
        // ((a + 2) x - (a + 3)) x x + 1
        n(1.25)
            .times(x)
            .plus(n(-2.25))
            .times(x)
            .times(x)
            .plus(T::ONE)
    };
    let other = T::ONE.plus(x.negated());
    [
        far(x.plus(T::ONE)),
        near(x),
        near(other),
        far(n(2.0).plus(x.negated())),
    ]
}

/// Interpolates a plane linearly at a position; outside it is zero.
// Spec: N-42
pub fn bilinear<T: Smooth>(plane: &[T], [height, width]: [usize; 2], [y, x]: [T; 2]) -> T {
    let sampling = Sampling {
        interpolation: Interpolation::Linear,
        outside: Outside::Zeros,
        align_corners: true,
    };
    interpolate(sampling, plane, &[height, width], &[y, x])
}

/// Rotates pairs of numbers: (cos x1 - sin x2, sin x1 + cos x2), each operation rounded.
///
/// `step` is the distance from x1 to x2; pair i starts at `2 i` when they are interleaved, else at
/// `i`.
///
/// # Panics
/// Panics when the slices are too short.
// Spec: N-43
pub fn rotate<T: Smooth>(x: &[T], cos: &[T], sin: &[T], interleaved: bool, out: &mut [T]) {
    let half = cos.len();
    for (i, (cos, sin)) in cos.iter().zip(sin).enumerate() {
        let [a, b] = if interleaved {
            [2 * i, 2 * i + 1]
        } else {
            [i, half + i]
        };
        let (x1, x2) = (x[a], x[b]);
        out[a] = cos.times(x1).plus(sin.times(x2).negated()).canonical();
        out[b] = sin.times(x1).plus(cos.times(x2)).canonical();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(interpolation: Interpolation, outside: Outside, align_corners: bool, at: f32) -> f32 {
        let sampling = Sampling {
            interpolation,
            outside,
            align_corners,
        };
        let mut out = [0.0];
        grid_sample(
            &Engine::single(),
            sampling,
            &[1.0, 2.0, 4.0, 8.0],
            1,
            &[4],
            &[at],
            &mut out,
        );
        out[0]
    }

    #[test]
    fn positions_between_neighbours_are_weighted() {
        assert_eq!(
            sample(Interpolation::Linear, Outside::Zeros, true, 0.0),
            3.0
        );
        assert_eq!(
            sample(Interpolation::Nearest, Outside::Zeros, true, 0.1),
            4.0
        );
        assert_eq!(
            sample(Interpolation::Linear, Outside::Zeros, false, 1.0),
            4.0
        );
        assert_eq!(
            sample(Interpolation::Linear, Outside::Border, false, 1.0),
            8.0
        );
        assert_eq!(
            sample(Interpolation::Linear, Outside::Reflection, true, 1.5),
            5.0
        );
        assert!(sample(Interpolation::Cubic, Outside::Border, true, f32::NAN).is_nan());
        assert_eq!(
            sample(Interpolation::Linear, Outside::Border, true, f32::INFINITY),
            8.0
        );
    }

    #[test]
    fn mirrored_positions_come_back() {
        let want = [
            (-0.5, 0.5),
            (3.5, 2.5),
            (6.5, 0.5),
            (-3.25, 2.75),
            (2.0, 2.0),
        ];
        for (at, inside) in want {
            assert_eq!(reflect(at, 0.0, 3.0), inside);
        }
        assert_eq!(reflect(f64::INFINITY, 0.0, 3.0), 0.0);
    }

    #[test]
    fn a_unit_transform_gives_the_regular_grid() {
        let theta = [1.0f32, 0.0, 0.0, 0.0, 1.0, 0.0];
        let mut out = [0.0; 12];
        affine_grid(&theta, &[2, 3], true, &mut out);
        assert_eq!(
            out,
            [
                -1.0, -1.0, 0.0, -1.0, 1.0, -1.0, -1.0, 1.0, 0.0, 1.0, 1.0, 1.0
            ]
        );
    }

    #[test]
    fn a_quarter_turn_swaps_the_pair() {
        let mut out = [0.0f32; 4];
        rotate(
            &[1.0, 2.0, 3.0, 4.0],
            &[0.0, 1.0],
            &[1.0, 0.0],
            false,
            &mut out,
        );
        assert_eq!(out, [-3.0, 2.0, 1.0, 4.0]);
        rotate(
            &[1.0, 2.0, 3.0, 4.0],
            &[0.0, 1.0],
            &[1.0, 0.0],
            true,
            &mut out,
        );
        assert_eq!(out, [-2.0, 1.0, 3.0, 4.0]);
    }
}
