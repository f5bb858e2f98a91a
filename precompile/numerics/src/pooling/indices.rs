//! Max pooling that also tells where each maximum stands.

use super::{Window, planes};
use crate::sort::SortKey;

/// Pools the largest elements and the flat positions of the first of them in the whole input.
///
/// A NaN is the largest. With `column_major` the position within a plane counts the first spatial
/// axis fastest. A window of padding alone gives `least` and position 0 of its plane.
///
/// # Panics
/// When lengths do not fit together, or there is no axis.
pub fn max_pool_with_indices<T: SortKey>(
    least: T,
    axes: &[Window],
    column_major: bool,
    x: &[T],
    out: &mut [T],
    positions: &mut [i64],
) {
    let (plane_in, plane_out) = planes(axes);
    assert_eq!(out.len(), positions.len());
    if out.is_empty() {
        return;
    }
    assert!(out.len().is_multiple_of(plane_out));
    assert_eq!(x.len(), out.len() / plane_out * plane_in);
    let kernel: usize = axes.iter().map(|axis| axis.kernel).product();
    for (o, (value, position)) in out.iter_mut().zip(positions).enumerate() {
        let plane = o / plane_out;
        let x = &x[plane * plane_in..(plane + 1) * plane_in];
        let mut best: Option<(T, usize)> = None;
        for element in 0..kernel {
            let Some((at, named)) = place(axes, o % plane_out, element, column_major) else {
                continue;
            };
            if best.is_none_or(|(value, _)| x[at].key() > value.key()) {
                best = Some((x[at], named));
            }
        }
        let (largest, at) = best.unwrap_or((least, 0));
        *value = largest;
        *position = (plane * plane_in + at) as i64;
    }
}

/// Finds an element of a window: its offset in the plane, and the position it is reported at.
fn place(
    axes: &[Window],
    mut output: usize,
    mut element: usize,
    column_major: bool,
) -> Option<(usize, usize)> {
    let (mut row_major, mut step) = (0, 1);
    let mut transposed = 0;
    let mut transposed_step: usize = axes.iter().map(|axis| axis.input).product();
    for axis in axes.iter().rev() {
        let at = axis.position(output % axis.output, element % axis.kernel)?;
        row_major += at * step;
        step *= axis.input;
        transposed_step /= axis.input;
        transposed += at * transposed_step;
        output /= axis.output;
        element /= axis.kernel;
    }
    Some((row_major, if column_major { transposed } else { row_major }))
}
