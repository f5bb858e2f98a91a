//! The canonical NaNs: what every kernel's output holds where the result is not a number.

/// Is the only f32 NaN an output may hold.
// Spec: N-9
pub const CANONICAL_F32: f32 = f32::from_bits(0x7fc0_0000);

/// Is the only f64 NaN an output may hold.
// Spec: N-9
pub const CANONICAL_F64: f64 = f64::from_bits(0x7ff8_0000_0000_0000);

/// Replaces any NaN by the canonical one.
#[inline(always)]
pub fn canonical_f32(x: f32) -> f32 {
    if x.is_nan() { CANONICAL_F32 } else { x }
}

/// Replaces any NaN by the canonical one.
#[inline(always)]
pub fn canonical_f64(x: f64) -> f64 {
    if x.is_nan() { CANONICAL_F64 } else { x }
}
