//! Conversions between element types (Spec: N-11).
//!
//! Float to integer truncates, saturates and turns NaN into 0; integer to integer keeps the low
//! bits; everything to float rounds once to nearest even; everything to bool asks "not zero".

use crate::half::{Bf16, F16, integer_to_odd};
use crate::nan::{canonical_f32, canonical_f64};
use crate::tiny::{ScaleRounding, TinyFloat, TinyInt, encode_scale};

/// Converts one element to `D` by rule N-11.
pub trait CastTo<D>: Copy {
    /// Converts the value.
    fn cast(self) -> D;
}

/// Gives a value as binary64: exact, or rounded to odd where 53 bits do not suffice.
pub trait Widen: Copy {
    /// Returns a binary64 from which one more rounding to at most 22 bits is a single rounding.
    fn widen(self) -> f64;
}

/// Casts a slice element by element.
///
/// # Panics
/// When the lengths differ.
pub fn cast<S: CastTo<D>, D>(src: &[S], dst: &mut [D]) {
    assert_eq!(src.len(), dst.len());
    for (d, s) in dst.iter_mut().zip(src) {
        *d = s.cast();
    }
}

/// Casts to a float format narrower than 16 bits.
///
/// # Panics
/// When the lengths differ.
pub fn cast_to_tiny<S: Widen>(format: TinyFloat, saturate: bool, src: &[S], dst: &mut [u8]) {
    assert_eq!(src.len(), dst.len());
    for (d, s) in dst.iter_mut().zip(src) {
        *d = format.encode(s.widen(), saturate);
    }
}

/// Casts to FLOAT8E8M0.
///
/// # Panics
/// When the lengths differ.
pub fn cast_to_scale<S: Widen>(rounding: ScaleRounding, saturate: bool, src: &[S], dst: &mut [u8]) {
    assert_eq!(src.len(), dst.len());
    for (d, s) in dst.iter_mut().zip(src) {
        *d = encode_scale(s.widen(), saturate, rounding);
    }
}

/// Casts to an integer format narrower than 8 bits: first to i32, then the low bits are kept.
///
/// # Panics
/// When the lengths differ.
pub fn cast_to_tiny_int<S: CastTo<i32>>(format: TinyInt, src: &[S], dst: &mut [u8]) {
    assert_eq!(src.len(), dst.len());
    for (d, s) in dst.iter_mut().zip(src) {
        *d = format.wrap(s.cast());
    }
}

#[inline(always)]
fn signed_to_odd(x: i64) -> f64 {
    let magnitude = integer_to_odd(x.unsigned_abs());
    if x < 0 { -magnitude } else { magnitude }
}

macro_rules! integer_casts {
    ($source:ty, $wide:expr; $($target:ty),*) => {
        $(impl CastTo<$target> for $source {
            #[inline(always)]
            fn cast(self) -> $target {
                self as $target
            }
        })*
        impl CastTo<f32> for $source {
            #[inline(always)]
            fn cast(self) -> f32 {
                self as f32
            }
        }
        impl CastTo<f64> for $source {
            #[inline(always)]
            fn cast(self) -> f64 {
                self as f64
            }
        }
        impl CastTo<bool> for $source {
            #[inline(always)]
            fn cast(self) -> bool {
                self != 0
            }
        }
        impl Widen for $source {
            #[inline(always)]
            fn widen(self) -> f64 {
                let wide: fn($source) -> f64 = $wide;
                wide(self)
            }
        }
        narrow_casts!($source);
    };
}

macro_rules! narrow_casts {
    ($source:ty) => {
        impl CastTo<F16> for $source {
            #[inline(always)]
            fn cast(self) -> F16 {
                F16::from_f64(self.widen())
            }
        }
        impl CastTo<Bf16> for $source {
            #[inline(always)]
            fn cast(self) -> Bf16 {
                Bf16::from_f64(self.widen())
            }
        }
    };
}

macro_rules! float_casts {
    ($source:ty, $read:expr; $($target:ty),*) => {
        $(impl CastTo<$target> for $source {
            #[inline(always)]
            fn cast(self) -> $target {
                let read: fn($source) -> _ = $read;
                read(self) as $target
            }
        })*
        impl CastTo<bool> for $source {
            #[inline(always)]
            fn cast(self) -> bool {
                let read: fn($source) -> _ = $read;
                read(self) != 0.0
            }
        }
        impl CastTo<f64> for $source {
            #[inline(always)]
            fn cast(self) -> f64 {
                let read: fn($source) -> _ = $read;
                canonical_f64(f64::from(read(self)))
            }
        }
        impl Widen for $source {
            #[inline(always)]
            fn widen(self) -> f64 {
                let read: fn($source) -> _ = $read;
                f64::from(read(self))
            }
        }
    };
}

integer_casts!(i8, |x| f64::from(x); i8, i16, i32, i64, u8, u16, u32, u64);
integer_casts!(i16, |x| f64::from(x); i8, i16, i32, i64, u8, u16, u32, u64);
integer_casts!(i32, |x| f64::from(x); i8, i16, i32, i64, u8, u16, u32, u64);
integer_casts!(i64, signed_to_odd; i8, i16, i32, i64, u8, u16, u32, u64);
integer_casts!(u8, |x| f64::from(x); i8, i16, i32, i64, u8, u16, u32, u64);
integer_casts!(u16, |x| f64::from(x); i8, i16, i32, i64, u8, u16, u32, u64);
integer_casts!(u32, |x| f64::from(x); i8, i16, i32, i64, u8, u16, u32, u64);
integer_casts!(u64, integer_to_odd; i8, i16, i32, i64, u8, u16, u32, u64);
float_casts!(f32, |x| x; i8, i16, i32, i64, u8, u16, u32, u64);
float_casts!(f64, |x| x; i8, i16, i32, i64, u8, u16, u32, u64);
float_casts!(F16, F16::to_f32; i8, i16, i32, i64, u8, u16, u32, u64);
float_casts!(Bf16, Bf16::to_f32; i8, i16, i32, i64, u8, u16, u32, u64);
narrow_casts!(f64);

impl CastTo<f32> for f64 {
    #[inline(always)]
    fn cast(self) -> f32 {
        canonical_f32(self as f32)
    }
}

macro_rules! casts_through_f32 {
    ($($source:ty, $read:expr);*) => {$(
        impl CastTo<f32> for $source {
            #[inline(always)]
            fn cast(self) -> f32 {
                let read: fn($source) -> f32 = $read;
                canonical_f32(read(self))
            }
        }
        impl CastTo<F16> for $source {
            #[inline(always)]
            fn cast(self) -> F16 {
                let read: fn($source) -> f32 = $read;
                F16::from_f32(read(self))
            }
        }
        impl CastTo<Bf16> for $source {
            #[inline(always)]
            fn cast(self) -> Bf16 {
                let read: fn($source) -> f32 = $read;
                Bf16::from_f32(read(self))
            }
        }
    )*};
}

casts_through_f32!(f32, |x| x; F16, F16::to_f32; Bf16, Bf16::to_f32);

macro_rules! bool_casts {
    ($($target:ty),*) => {$(
        impl CastTo<$target> for bool {
            #[inline(always)]
            fn cast(self) -> $target {
                u8::from(self).cast()
            }
        }
    )*};
}

bool_casts!(
    i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, F16, Bf16, bool
);

impl Widen for bool {
    #[inline(always)]
    fn widen(self) -> f64 {
        f64::from(u8::from(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one<S: CastTo<D>, D: Default + Clone>(source: S) -> D {
        let mut out = [D::default()];
        cast(&[source], &mut out);
        out[0].clone()
    }

    #[test]
    fn float_to_integer_truncates_saturates_and_maps_nan_to_zero() {
        assert_eq!(one::<f32, i32>(-1.9), -1);
        assert_eq!(one::<f32, i32>(3e9), i32::MAX);
        assert_eq!(one::<f32, u8>(-5.0), 0);
        assert_eq!(one::<f64, i64>(-1e300), i64::MIN);
        assert_eq!(one::<f32, i64>(f32::NAN), 0);
        assert_eq!(one::<F16, i16>(F16(0x7c00)), i16::MAX);
        assert_eq!(one::<Bf16, u64>(Bf16::NAN), 0);
    }

    #[test]
    fn integer_to_integer_wraps() {
        assert_eq!(one::<i16, i8>(200), -56);
        assert_eq!(one::<i64, u32>(-1), u32::MAX);
        assert_eq!(one::<u64, i64>(u64::MAX), -1);
    }

    #[test]
    fn integer_to_float_rounds_once_to_even() {
        assert_eq!(one::<i32, f32>(16_777_217), 16_777_216.0);
        assert_eq!(one::<i32, f32>(16_777_219), 16_777_220.0);
        assert_eq!(one::<u64, f64>(u64::MAX), 18446744073709551616.0);
        // 2^63 + 2^55 is a tie of bfloat16; one more must go up although f64 cannot hold it.
        assert_eq!(one::<u64, Bf16>((1 << 63) + (1 << 55)).0, 0x5f00);
        assert_eq!(one::<u64, Bf16>((1 << 63) + (1 << 55) + 1).0, 0x5f01);
        assert_eq!(one::<i64, F16>(-65519).0, 0xfbff);
        assert_eq!(one::<i64, F16>(i64::MIN).0, 0xfc00);
    }

    #[test]
    fn nan_becomes_canonical_on_every_float_path() {
        let payload = f32::from_bits(0xffc1_2345);
        assert_eq!(one::<f32, f32>(payload).to_bits(), 0x7fc0_0000);
        assert_eq!(one::<f32, f64>(payload).to_bits(), 0x7ff8_0000_0000_0000);
        assert_eq!(
            one::<f64, f32>(f64::from_bits(u64::MAX)).to_bits(),
            0x7fc0_0000
        );
        assert_eq!(one::<F16, Bf16>(F16(0xffff)), Bf16::NAN);
        assert_eq!(one::<Bf16, F16>(Bf16(0xffff)), F16::NAN);
    }

    #[test]
    fn anything_but_zero_is_true() {
        assert!(!one::<f32, bool>(-0.0));
        assert!(one::<f32, bool>(f32::NAN));
        assert!(one::<f64, bool>(1e-300));
        assert!(one::<i8, bool>(-1));
        assert_eq!(one::<bool, F16>(true).0, 0x3c00);
    }

    #[test]
    fn tiny_targets_round_once_from_any_source() {
        let mut out = [0u8; 3];
        cast_to_tiny(TinyFloat::E4m3fn, true, &[0.3f32, -1e6, f32::NAN], &mut out);
        assert_eq!(out, [0x2a, 0xfe, 0x7f]);
        cast_to_tiny_int(TinyInt::Int4, &[-9.7f32, 8.2, f32::NAN], &mut out);
        assert_eq!(out, [7, 0xf8, 0]);
        cast_to_scale(ScaleRounding::Up, true, &[1.1f64, 2.0, 0.0], &mut out);
        assert_eq!(out, [128, 128, 0]);
    }
}
