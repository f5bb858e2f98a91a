//! Evenly spaced numbers.

use crate::elementwise::Number;
use crate::float::Float;

/// Is where counts of floats stop being exact; nobody can use a longer range.
const COUNT_MAX: f64 = 9_007_199_254_740_992.0;

/// Counts the numbers from `start` to `limit`, exclusive, in steps of `delta`.
///
/// Gives `None` when the step is zero or any argument is not a number.
// Spec: N-32
pub fn count(start: f64, limit: f64, delta: f64) -> Option<u64> {
    if delta.is_zero() || start.not_a_number() || limit.not_a_number() || delta.not_a_number() {
        return None;
    }
    let steps = ((limit - start) / delta).round_up();
    if steps.not_a_number() {
        return None;
    }
    // Casts saturate: a negative count is an empty range.
    Some(if steps < COUNT_MAX {
        steps as u64
    } else {
        u64::MAX
    })
}

/// Writes `start + i * delta`, each step rounded.
// Spec: N-32
pub fn fill<T: Float + Number>(start: T, delta: T, out: &mut [T]) {
    for (i, out) in out.iter_mut().enumerate() {
        *out = start.plus(T::from_count(i).times(delta));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_up_and_down_and_nothing() {
        assert_eq!(count(0.0, 5.0, 2.0), Some(3));
        assert_eq!(count(5.0, 0.0, -2.0), Some(3));
        assert_eq!(count(0.0, 4.0, 2.0), Some(2));
        assert_eq!(count(0.0, 5.0, -2.0), Some(0));
        assert_eq!(count(0.0, f64::INFINITY, 1.0), Some(u64::MAX));
        assert_eq!(count(0.0, 1.0, 1e-300), Some(u64::MAX));
    }

    #[test]
    fn refuses_what_has_no_count() {
        assert_eq!(count(0.0, 5.0, 0.0), None);
        assert_eq!(count(0.0, 5.0, -0.0), None);
        assert_eq!(count(f64::NAN, 5.0, 1.0), None);
        assert_eq!(count(f64::INFINITY, f64::INFINITY, 1.0), None);
    }

    #[test]
    fn does_not_accumulate_rounding() {
        let mut out = vec![0f32; 11];
        fill(0.0f32, 0.1, &mut out);
        assert_eq!(out[10], 10.0 * 0.1f32);
        assert_eq!(out[3], 3.0 * 0.1f32);
    }
}
