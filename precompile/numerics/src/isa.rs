//! The instruction sets that kernels are compiled for, and the floating-point environment.
#![allow(unsafe_code)]

/// Names an instruction set a kernel can run on; later ones include earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// Holds only what every machine of the architecture has (SSE2 without fma on x86-64, NEON on
    /// aarch64).
    Portable,
    /// Adds AVX2, FMA, F16C, BMI1, BMI2, LZCNT and POPCNT (x86-64-v3).
    Avx2,
    /// Adds AVX-512 F, BW, DQ and VL (x86-64-v4).
    Avx512,
}

impl Isa {
    /// Finds the widest instruction set of this machine.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let v3 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("lzcnt")
                && is_x86_feature_detected!("popcnt");
            let v4 = v3
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            if v4 {
                return Self::Avx512;
            }
            if v3 {
                return Self::Avx2;
            }
        }
        Self::Portable
    }

    /// Lists every instruction set this machine can run, the portable one first.
    pub fn available() -> Vec<Self> {
        let widest = Self::detect();
        [Self::Portable, Self::Avx2, Self::Avx512]
            .into_iter()
            .filter(|isa| *isa <= widest)
            .collect()
    }

    /// Returns the lower-case name that commands and reports print.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

/// Tells whether this machine has the AVX-512 dot products of bytes (VNNI).
pub(crate) fn detect_vnni() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        Isa::detect() == Isa::Avx512 && is_x86_feature_detected!("avx512vnni")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// Tells whether the calling thread rounds to nearest even and keeps subnormals.
///
/// Some libraries (and compilers' fast-math start-up code) change this for a whole thread.
// Spec: N-1
pub fn float_environment_is_standard() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        const ROUNDING: u32 = 0b11 << 13;
        const FLUSH_TO_ZERO: u32 = 1 << 15;
        const SUBNORMALS_ARE_ZERO: u32 = 1 << 6;
        let mut mxcsr = 0u32;
        // SAFETY: stmxcsr stores four bytes to the address given, which is that of a local u32.
        unsafe {
            std::arch::asm!("stmxcsr [{}]", in(reg) &mut mxcsr, options(nostack, preserves_flags));
        }
        mxcsr & (ROUNDING | FLUSH_TO_ZERO | SUBNORMALS_ARE_ZERO) == 0
    }
    #[cfg(target_arch = "aarch64")]
    {
        const ROUNDING: u64 = 0b11 << 22;
        const FLUSH_TO_ZERO: u64 = 1 << 24;
        const FLUSH_HALF_TO_ZERO: u64 = 1 << 19;
        const DEFAULT_NAN: u64 = 1 << 25;
        let fpcr: u64;
        // SAFETY: reading FPCR has no effect besides writing the output register.
        unsafe {
            std::arch::asm!("mrs {}, fpcr", out(reg) fpcr, options(nomem, nostack, preserves_flags));
        }
        fpcr & (ROUNDING | FLUSH_TO_ZERO | FLUSH_HALF_TO_ZERO | DEFAULT_NAN) == 0
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        // No register to read: probe one halfway rounding each way and one subnormal product.
        let tiny = std::hint::black_box(f32::MIN_POSITIVE);
        let one = std::hint::black_box(1.0f32);
        let half_step = std::hint::black_box(f32::EPSILON / 2.0);
        tiny * 0.5 > 0.0 && one + half_step == 1.0 && -one - half_step == -1.0
    }
}

/// Refuses to compute in a changed floating-point environment.
///
/// # Panics
/// Panics when rounding mode or subnormal handling differ from IEEE 754's defaults: no result of
/// this thread could be trusted.
pub fn assert_float_environment() {
    assert!(
        float_environment_is_standard(),
        "the thread's floating-point environment was changed (rounding mode, flush-to-zero): \
         bit-exact results are impossible"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portable_is_always_available() {
        assert_eq!(Isa::available().first(), Some(&Isa::Portable));
        assert_eq!(Isa::available().last(), Some(&Isa::detect()));
    }

    #[test]
    fn the_default_environment_is_standard() {
        assert!(float_environment_is_standard());
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn a_changed_rounding_mode_is_seen() {
        let set = |value: u32| {
            // SAFETY: ldmxcsr loads four bytes from a live u32; the value has only defined bits.
            unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &value, options(nostack)) }
        };
        for changed in [0x1f80 | 1 << 15, 0x1f80 | 1 << 6, 0x1f80 | 1 << 13] {
            set(changed);
            let seen = float_environment_is_standard();
            set(0x1f80);
            assert!(!seen, "mxcsr {changed:#x}");
        }
    }
}
