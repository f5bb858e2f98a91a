//! Choosing and ordering: arg max, arg min, top k (Spec: N-5).
//!
//! Zeros of both signs are equal here, and NaN counts as greater than every number: it wins ArgMax
//! and, because NaN propagates through minima too, ArgMin; in an ascending order it comes last.

use core::cmp::Ordering;

use crate::half::{Bf16, F16};

/// Orders the values of an element type as integers.
pub trait SortKey: Copy {
    /// The integer that orders like the value.
    type Key: Ord + Copy;
    /// Returns the key; equal values have equal keys, NaN has the greatest.
    fn key(self) -> Self::Key;
    /// Tells whether the value is a NaN.
    fn is_unordered(self) -> bool {
        false
    }
}

macro_rules! integer_keys {
    ($($t:ty),*) => {$(
        impl SortKey for $t {
            type Key = $t;
            #[inline(always)]
            fn key(self) -> $t {
                self
            }
        }
    )*};
}

integer_keys!(i8, i16, i32, i64, u8, u16, u32, u64, bool);

macro_rules! float_keys {
    ($t:ty, $key:ty, $shift:expr) => {
        impl SortKey for $t {
            type Key = $key;
            #[inline(always)]
            fn key(self) -> $key {
                // Adding +0 turns -0 into +0.
                let bits = (self + 0.0).to_bits() as $key;
                let ordered = bits ^ (((bits >> $shift) as $key) & <$key>::MAX);
                if self.is_nan() { <$key>::MAX } else { ordered }
            }
            #[inline(always)]
            fn is_unordered(self) -> bool {
                self.is_nan()
            }
        }
    };
}

float_keys!(f32, i32, 31);
float_keys!(f64, i64, 63);

macro_rules! half_keys {
    ($($t:ty),*) => {$(
        impl SortKey for $t {
            type Key = i32;
            #[inline(always)]
            fn key(self) -> i32 {
                self.to_f32().key()
            }
            #[inline(always)]
            fn is_unordered(self) -> bool {
                self.to_f32().is_nan()
            }
        }
    )*};
}

half_keys!(F16, Bf16);

/// Names which end of the order is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The greatest values first.
    Largest,
    /// The least values first.
    Smallest,
}

/// Finds the position of the extreme value along the middle axis of `[outer, n, inner]`.
///
/// Among equal values the lowest position wins, or the highest with `last`.
///
/// # Panics
/// When lengths do not fit together, or n is 0 while there is an output.
pub fn arg_extreme<T: SortKey>(
    end: End,
    last: bool,
    n: usize,
    inner: usize,
    x: &[T],
    out: &mut [i64],
) {
    assert!(out.is_empty() || n > 0);
    assert_eq!(x.len(), out.len() * n);
    if out.is_empty() {
        return;
    }
    for (block, out) in x.chunks_exact(n * inner).zip(out.chunks_exact_mut(inner)) {
        for (column, position) in out.iter_mut().enumerate() {
            let mut best = block[column];
            let mut at = 0;
            for i in 1..n {
                let value = block[i * inner + column];
                let order = match end {
                    End::Largest => value.key().cmp(&best.key()),
                    // A NaN wins a minimum as well.
                    End::Smallest => (!value.is_unordered())
                        .cmp(&!best.is_unordered())
                        .then(value.key().cmp(&best.key()))
                        .reverse(),
                };
                if order.is_gt() || (last && order.is_eq()) {
                    best = value;
                    at = i;
                }
            }
            *position = at as i64;
        }
    }
}

/// Takes the first `k` along the middle axis of `[outer, n, inner]`, in order; ties go by position.
///
/// # Panics
/// When lengths do not fit together, or k is above n.
pub fn top_k<T: SortKey>(
    end: End,
    k: usize,
    n: usize,
    inner: usize,
    x: &[T],
    values: &mut [T],
    positions: &mut [i64],
) {
    assert!(k <= n);
    assert_eq!(values.len(), positions.len());
    if values.is_empty() {
        return;
    }
    assert!(x.len().is_multiple_of(n * inner));
    assert_eq!(x.len() / (n * inner) * (k * inner), values.len());
    let mut line: Vec<(T::Key, usize)> = Vec::with_capacity(n);
    let blocks = x.chunks_exact(n * inner);
    let outs = values
        .chunks_exact_mut(k * inner)
        .zip(positions.chunks_exact_mut(k * inner));
    for (block, (values, positions)) in blocks.zip(outs) {
        for column in 0..inner {
            line.clear();
            line.extend((0..n).map(|i| (block[i * inner + column].key(), i)));
            let order = |a: &(T::Key, usize), b: &(T::Key, usize)| -> Ordering {
                let by_key = match end {
                    End::Largest => b.0.cmp(&a.0),
                    End::Smallest => a.0.cmp(&b.0),
                };
                by_key.then(a.1.cmp(&b.1))
            };
            if k < n {
                line.select_nth_unstable_by(k, order);
            }
            line[..k].sort_unstable_by(order);
            for (rank, (_, i)) in line[..k].iter().enumerate() {
                values[rank * inner + column] = block[i * inner + column];
                positions[rank * inner + column] = *i as i64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_like_values_with_equal_zeros_and_nan_greatest() {
        let ascending = [
            f32::NEG_INFINITY,
            f32::MIN,
            -1.0,
            -1e-40,
            0.0,
            1e-45,
            2.0,
            f32::INFINITY,
            f32::NAN,
        ];
        for pair in ascending.windows(2) {
            assert!(pair[0].key() < pair[1].key(), "{pair:?}");
            assert!(f64::from(pair[0]).key() < f64::from(pair[1]).key());
        }
        assert_eq!((-0.0f32).key(), (0.0f32).key());
        assert_eq!((-f32::NAN).key(), f32::NAN.key());
        assert!(F16(0xfc00).key() < F16(0x8001).key());
        assert!(F16(0x7c00).key() < F16(0x7e00).key());
    }

    #[test]
    fn ties_take_the_first_or_on_request_the_last() {
        let x = [1.0f32, 3.0, -0.0, 3.0, 0.0];
        let mut out = [0];
        arg_extreme(End::Largest, false, 5, 1, &x, &mut out);
        assert_eq!(out, [1]);
        arg_extreme(End::Largest, true, 5, 1, &x, &mut out);
        assert_eq!(out, [3]);
        arg_extreme(End::Smallest, false, 5, 1, &x, &mut out);
        assert_eq!(out, [2]);
        arg_extreme(End::Smallest, true, 5, 1, &x, &mut out);
        assert_eq!(out, [4]);
    }

    #[test]
    fn the_first_nan_wins_both_extremes() {
        let x = [1.0f32, f32::NAN, -7.0, f32::NAN];
        for end in [End::Largest, End::Smallest] {
            let mut out = [0];
            arg_extreme(end, false, 4, 1, &x, &mut out);
            assert_eq!(out, [1]);
            arg_extreme(end, true, 4, 1, &x, &mut out);
            assert_eq!(out, [3]);
        }
    }

    #[test]
    fn inner_axes_are_independent() {
        let x = [1, 9, 5, 2, 3, 4];
        let mut out = [0; 2];
        arg_extreme(End::Largest, false, 3, 2, &x, &mut out);
        assert_eq!(out, [1, 0]);
        let (mut values, mut positions) = ([0; 4], [0; 4]);
        top_k(End::Smallest, 2, 3, 2, &x, &mut values, &mut positions);
        assert_eq!(values, [1, 2, 3, 4]);
        assert_eq!(positions, [0, 1, 2, 2]);
    }

    #[test]
    fn top_k_equals_a_stable_sort() {
        let mut state = 1u64;
        let x: Vec<f32> = (0..500)
            .map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
                ((state >> 60) as f32) - 8.0
            })
            .collect();
        for end in [End::Largest, End::Smallest] {
            let mut want: Vec<usize> = (0..500).collect();
            want.sort_by(|a, b| match end {
                End::Largest => x[*b].total_cmp(&x[*a]),
                End::Smallest => x[*a].total_cmp(&x[*b]),
            });
            for k in [0, 1, 7, 499, 500] {
                let (mut values, mut positions) = (vec![0.0; k], vec![0; k]);
                top_k(end, k, 500, 1, &x, &mut values, &mut positions);
                let got: Vec<usize> = positions.iter().map(|i| *i as usize).collect();
                assert_eq!(got, want[..k]);
                assert!(values.iter().zip(&got).all(|(v, i)| *v == x[*i]));
            }
        }
    }
}
