//! The canonical NaNs: what every kernel's output holds where the result is not a number.

/// Is the only f32 NaN an output may hold.
// Spec: N-9
pub const CANONICAL_F32: f32 = f32::from_bits(0x7fc0_0000);

/// Is the only f64 NaN an output may hold.
// Spec: N-9
pub const CANONICAL_F64: f64 = f64::from_bits(0x7ff8_0000_0000_0000);

/// Replaces any NaN by the canonical one.
///
/// The test is on the bits: LLVM folds `if y.is_nan() { NAN } else { y }` to `y` where `y` is a
/// square root, and x86 answers the root of a negative number with a NaN of the other sign.
#[inline(always)]
pub fn canonical_f32(x: f32) -> f32 {
    let bits = x.to_bits();
    let nan = bits & 0x7fff_ffff > 0x7f80_0000;
    f32::from_bits(if nan { CANONICAL_F32.to_bits() } else { bits })
}

/// Replaces any NaN by the canonical one (on the bits, as [`canonical_f32`]).
#[inline(always)]
pub fn canonical_f64(x: f64) -> f64 {
    let bits = x.to_bits();
    let nan = bits & (u64::MAX >> 1) > 0x7ff0_0000_0000_0000;
    f64::from_bits(if nan { CANONICAL_F64.to_bits() } else { bits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_of_a_negative_number_is_the_canonical_nan() {
        let x = std::hint::black_box(-2.0f64);
        assert_eq!(canonical_f64(x.sqrt()).to_bits(), 0x7ff8_0000_0000_0000);
        assert_eq!(canonical_f32((x as f32).sqrt()).to_bits(), 0x7fc0_0000);
    }
}
