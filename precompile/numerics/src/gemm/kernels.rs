//! The tables of microkernels: which tile sizes each instruction set has.
#![allow(unsafe_code)]

use super::tile::{LaneTile, LaneTileFn, Tile, TileFn, lane_tile, tile};
use crate::engine::Engine;
use crate::isa::Isa;
use crate::simd::{Simd, portable};
#[cfg(target_arch = "x86_64")]
use crate::simd::{avx2, avx512};

/// Bounds the rows of a tile that reads A where it lies.
pub(crate) const DIRECT_ROWS: usize = 6;

/// Lists the microkernels of one instruction set and element type.
pub struct Kernel<T> {
    /// Counts the numbers in one register.
    pub(crate) width: usize,
    /// Counts the rows of a strip of packed A.
    pub(crate) strip_rows: usize,
    /// Tells how many panels a tile of 1 to 6 rows spans at most.
    pub(crate) panels: [usize; DIRECT_ROWS],
    /// Holds, by rows - 1, the tiles of 1, 2 and 4 panels of two vectors (null where too large).
    pub(crate) direct: [[Option<TileFn<T>>; 3]; DIRECT_ROWS],
    /// Holds, by rows - 1, the tiles of one vector.
    pub(crate) narrow: [TileFn<T>; DIRECT_ROWS],
    /// Holds the tiles of a whole packed strip with one and two vectors.
    pub(crate) strip: [TileFn<T>; 2],
    /// Holds, by ascending number of positions, the convolution's tiles with one and two vectors.
    pub(crate) lanes: [(usize, [LaneTileFn<T>; 2]); 4],
}

/// Gives each element type its kernels.
pub trait Kernels: Sized + 'static {
    /// Returns the kernels of the engine's instruction set.
    #[doc(hidden)]
    fn kernels(engine: &Engine) -> &'static Kernel<Self>;
}

/// Defines the tile functions of one instruction set and its two tables.
macro_rules! tables {
    ($module:ident, $f32:ty, $f64:ty, $strip:literal, $wide:tt, [$($feature:literal),*]) => {
        mod $module {
            use super::*;

            /// Runs one tile.
            ///
            /// # Safety
            /// As for [`tile`].
            $(#[target_feature(enable = $feature)])*
            unsafe fn run<
                S: Simd, const MR: usize, const P: usize, const NV: usize, const PACKED: bool,
            >(t: &Tile<S::T>) {
                // SAFETY: the caller's promise.
                unsafe { tile::<S, MR, P, NV, PACKED>(t) }
            }

            /// Runs one tile of a convolution.
            ///
            /// # Safety
            /// As for [`lane_tile`].
            $(#[target_feature(enable = $feature)])*
            unsafe fn run_lanes<S: Simd, const MR: usize, const NV: usize>(t: &LaneTile<S::T>) {
                // SAFETY: the caller's promise.
                unsafe { lane_tile::<S, MR, NV>(t) }
            }

            pub(super) static F32: Kernel<f32> = table!($f32, $strip, $wide);
            pub(super) static F64: Kernel<f64> = table!($f64, $strip, $wide);
        }
    };
}

/// Fills one table: tiles whose sums fit the registers of a wide or narrow register file.
macro_rules! table {
    ($simd:ty, $strip:literal, many) => {
        Kernel {
            width: <$simd as Simd>::W,
            strip_rows: $strip,
            panels: [4, 4, 4, 2, 2, 2],
            direct: [
                [one!($simd, 1, 1), one!($simd, 1, 2), one!($simd, 1, 4)],
                [one!($simd, 2, 1), one!($simd, 2, 2), one!($simd, 2, 4)],
                [one!($simd, 3, 1), one!($simd, 3, 2), one!($simd, 3, 4)],
                [one!($simd, 4, 1), one!($simd, 4, 2), None],
                [one!($simd, 5, 1), one!($simd, 5, 2), None],
                [one!($simd, 6, 1), one!($simd, 6, 2), None],
            ],
            narrow: narrow!($simd),
            strip: [
                run::<$simd, $strip, 1, 1, true>,
                run::<$simd, $strip, 1, 2, true>,
            ],
            lanes: [
                lanes!($simd, 1),
                lanes!($simd, 4),
                lanes!($simd, 7),
                lanes!($simd, 9),
            ],
        }
    };
    ($simd:ty, $strip:literal, few) => {
        Kernel {
            width: <$simd as Simd>::W,
            strip_rows: $strip,
            panels: [4, 2, 1, 1, 1, 1],
            direct: [
                [one!($simd, 1, 1), one!($simd, 1, 2), one!($simd, 1, 4)],
                [one!($simd, 2, 1), one!($simd, 2, 2), None],
                [one!($simd, 3, 1), None, None],
                [one!($simd, 4, 1), None, None],
                [one!($simd, 5, 1), None, None],
                [one!($simd, 6, 1), None, None],
            ],
            narrow: narrow!($simd),
            strip: [
                run::<$simd, $strip, 1, 1, true>,
                run::<$simd, $strip, 1, 2, true>,
            ],
            lanes: [
                lanes!($simd, 1),
                lanes!($simd, 2),
                lanes!($simd, 3),
                lanes!($simd, 4),
            ],
        }
    };
}

macro_rules! one {
    ($simd:ty, $mr:literal, $p:literal) => {
        Some(run::<$simd, $mr, $p, 2, false> as TileFn<<$simd as Simd>::T>)
    };
}

macro_rules! lanes {
    ($simd:ty, $mr:literal) => {
        (
            $mr,
            [
                run_lanes::<$simd, $mr, 1> as LaneTileFn<<$simd as Simd>::T>,
                run_lanes::<$simd, $mr, 2>,
            ],
        )
    };
}

macro_rules! narrow {
    ($simd:ty) => {
        [
            run::<$simd, 1, 1, 1, false>,
            run::<$simd, 2, 1, 1, false>,
            run::<$simd, 3, 1, 1, false>,
            run::<$simd, 4, 1, 1, false>,
            run::<$simd, 5, 1, 1, false>,
            run::<$simd, 6, 1, 1, false>,
        ]
    };
}

#[cfg(target_arch = "x86_64")]
tables!(
    on_avx512,
    avx512::F32x16,
    avx512::F64x8,
    12,
    many,
    [
        "avx512f,avx512bw,avx512dq,avx512vl",
        "avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt"
    ]
);
#[cfg(target_arch = "x86_64")]
tables!(
    on_avx2,
    avx2::F32x8,
    avx2::F64x4,
    6,
    few,
    ["avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt"]
);
tables!(on_portable, portable::F32x4, portable::F64x4, 6, few, []);

macro_rules! kernels {
    ($t:ty, $table:ident) => {
        impl Kernels for $t {
            #[inline]
            fn kernels(engine: &Engine) -> &'static Kernel<Self> {
                match engine.isa() {
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx512 => &on_avx512::$table,
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx2 => &on_avx2::$table,
                    _ => &on_portable::$table,
                }
            }
        }
    };
}

kernels!(f32, F32);
kernels!(f64, F64);
