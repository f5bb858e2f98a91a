//! The element types a row may have, and how each meets the thresholds of an ensemble.

/// Is a feature that can be compared with thresholds of type `T` through one `T`.
pub trait Feature<T>: Copy + Send + Sync {
    /// Returns the `T` that compares with every threshold `t` as the feature itself does:
    /// `x <= t`, or `x < t` when `strict`. Integers are rounded to nearest even first.
    // Spec: N-13
    fn slot(self, strict: bool) -> T;
}

macro_rules! exact_features {
    ($($x:ty => $t:ty;)+) => {$(
        impl Feature<$t> for $x {
            #[inline(always)]
            fn slot(self, _strict: bool) -> $t {
                // Exact, or the rounding of integers that N-13 asks for.
                self as $t
            }
        }
    )+};
}

exact_features! {
    f32 => f32;
    f32 => f64;
    f64 => f64;
    i32 => f32;
    i32 => f64;
    i64 => f32;
    i64 => f64;
}

impl Feature<f32> for f64 {
    /// Rounds down for `x < t` and up for `x <= t`: an f32 threshold then lies on the same side.
    #[inline(always)]
    fn slot(self, strict: bool) -> f32 {
        let near = self as f32;
        if strict && f64::from(near) > self {
            near.next_down()
        } else if !strict && f64::from(near) < self {
            near.next_up()
        } else {
            near
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_double_stays_on_its_side_of_every_threshold() {
        let thresholds = [
            -1e30f32,
            -0.1,
            -0.0,
            0.0,
            1e-45,
            0.1,
            f32::MAX,
            f32::INFINITY,
        ];
        for t in thresholds {
            let wide = f64::from(t);
            for x in [
                wide,
                wide.next_up(),
                wide.next_down(),
                wide * 1.000_000_01,
                -wide,
            ] {
                let leq = Feature::<f32>::slot(x, false) <= t;
                assert_eq!(leq, x <= wide, "{x} <= {t}");
                let lt = Feature::<f32>::slot(x, true) < t;
                assert_eq!(lt, x < wide, "{x} < {t}");
            }
        }
        assert!(Feature::<f32>::slot(f64::NAN, true).is_nan());
        assert_eq!(Feature::<f32>::slot(1e300, true), f32::MAX);
    }
}
