//! The two number types that trees are computed in.

/// Is f32 or f64: the type of thresholds, features and leaf weights of one ensemble.
pub trait Real:
    sealed::Sealed + Copy + PartialOrd + Send + Sync + std::fmt::Debug + 'static
{
    /// Is +0.
    const ZERO: Self;
    /// Is the canonical NaN.
    const NAN: Self;
    /// Is negative infinity.
    const NEG_INFINITY: Self;
    /// Is positive infinity.
    const INFINITY: Self;

    /// Tells whether the value is not a number.
    fn is_nan(self) -> bool;
    /// Returns the next smaller number.
    fn next_down(self) -> Self;
    /// Adds with one rounding.
    fn add(self, other: Self) -> Self;
    /// Divides with one rounding by a count, itself rounded to nearest even.
    fn div_count(self, count: usize) -> Self;
    /// Stores an index in the bits of a leaf that names its weights instead of holding one.
    fn from_index(index: u32) -> Self;
    /// Reads back what `from_index` stored.
    fn to_index(self) -> u32;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

macro_rules! impl_real {
    ($t:ty, $nan:expr, $bits:ty) => {
        impl Real for $t {
            const ZERO: Self = 0.0;
            const NAN: Self = $nan;
            const NEG_INFINITY: Self = <$t>::NEG_INFINITY;
            const INFINITY: Self = <$t>::INFINITY;

            #[inline(always)]
            fn is_nan(self) -> bool {
                self != self
            }

            #[inline]
            fn next_down(self) -> Self {
                <$t>::next_down(self)
            }

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self + other
            }

            #[inline]
            fn div_count(self, count: usize) -> Self {
                self / count as $t
            }

            #[inline(always)]
            fn from_index(index: u32) -> Self {
                <$t>::from_bits(<$bits>::from(index))
            }

            #[inline(always)]
            fn to_index(self) -> u32 {
                // Only what `from_index` stored is read back, so nothing is cut off.
                self.to_bits() as u32
            }
        }
    };
}

impl_real!(f32, crate::nan::CANONICAL_F32, u32);
impl_real!(f64, crate::nan::CANONICAL_F64, u64);
