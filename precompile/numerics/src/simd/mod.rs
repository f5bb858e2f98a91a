//! Vectors of one instruction set, for the kernels that hold their sums in registers by hand.
//!
//! A kernel body is generic over [`Simd`] and instantiated once per instruction set inside a
//! function that enables it; everything here is inlined into it.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
pub(crate) mod portable;

use crate::aligned::Plain;
use crate::fma::Fma;
use crate::nan;

/// Is a number that matrix kernels multiply: f32 or f64.
#[allow(private_bounds)]
pub trait Real: Plain + PartialEq + PartialOrd + std::fmt::Debug + crate::gemm::Kernels {
    /// Is positive zero.
    const ZERO: Self;
    /// Is one.
    const ONE: Self;
    /// Is the canonical NaN.
    const NAN: Self;
    /// Adds, rounded once.
    #[must_use]
    fn plus(self, other: Self) -> Self;
    /// Multiplies, rounded once.
    #[must_use]
    fn times(self, other: Self) -> Self;
    /// Multiplies and adds, rounded once.
    #[must_use]
    fn fma<F: Fma>(a: Self, b: Self, c: Self) -> Self;
    /// Replaces any NaN by the canonical one.
    #[must_use]
    fn canonical(self) -> Self;
    /// Returns the bits, widened.
    fn bits(self) -> u64;
}

macro_rules! real {
    ($t:ty, $fma:ident, $canonical:path, $nan:path) => {
        impl Real for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const NAN: Self = $nan;
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self + other
            }
            #[inline(always)]
            fn times(self, other: Self) -> Self {
                self * other
            }
            #[inline(always)]
            fn fma<F: Fma>(a: Self, b: Self, c: Self) -> Self {
                F::$fma(a, b, c)
            }
            #[inline(always)]
            fn canonical(self) -> Self {
                $canonical(self)
            }
            fn bits(self) -> u64 {
                self.to_bits().into()
            }
        }
    };
}
real!(f32, fma32, nan::canonical_f32, nan::CANONICAL_F32);
real!(f64, fma64, nan::canonical_f64, nan::CANONICAL_F64);

/// Is one register of `W` numbers and what kernels do with it.
///
/// Every function requires the instruction set of the implementor; pointers must be valid for `W`
/// (or `len`) numbers and need no alignment.
pub(crate) trait Simd: Copy {
    type T: Real;
    type V: Copy;
    const W: usize;

    unsafe fn splat(x: Self::T) -> Self::V;
    unsafe fn load(from: *const Self::T) -> Self::V;
    unsafe fn store(to: *mut Self::T, v: Self::V);
    /// Loads `len < W` numbers; the other lanes are zero.
    unsafe fn load_part(from: *const Self::T, len: usize) -> Self::V;
    /// Stores the first `len < W` lanes.
    unsafe fn store_part(to: *mut Self::T, len: usize, v: Self::V);
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// Keeps what is above zero or NaN; the rest becomes +0.
    unsafe fn relu(v: Self::V) -> Self::V;
    /// Replaces any NaN by the canonical one.
    unsafe fn canonical(v: Self::V) -> Self::V;

    /// Asks for a cache line that will be read soon; any address is allowed.
    #[inline(always)]
    unsafe fn fetch(_line: *const Self::T) {}

    /// Stores lane `j < lanes` of the first `count` registers side by side, at `to + j * stride`.
    #[inline(always)]
    unsafe fn store_columns<const MR: usize>(
        rows: &[Self::V; MR],
        to: *mut Self::T,
        stride: usize,
        lanes: usize,
        count: usize,
    ) {
        let mut numbers = [[Self::T::ZERO; MAX_WIDTH]; MR];
        for (numbers, row) in numbers.iter_mut().zip(rows) {
            // SAFETY: a register has at most MAX_WIDTH lanes.
            unsafe { Self::store(numbers.as_mut_ptr(), *row) };
        }
        for j in 0..lanes {
            for (i, row) in numbers.iter().enumerate().take(count) {
                // SAFETY: the caller promises room for `count` numbers in each of `lanes` places.
                unsafe { *to.add(j * stride + i) = row[j] };
            }
        }
    }
}

/// Bounds the lanes of any register.
const MAX_WIDTH: usize = 16;
