//! What a kernel runs on: one instruction set and one pool of threads.

use crate::isa::{self, Isa};
use crate::pool::Pool;

/// Holds the instruction set and the threads that kernels use; neither changes their results.
#[derive(Debug)]
pub struct Engine {
    isa: Isa,
    vnni: bool,
    pool: Pool,
}

impl Engine {
    /// Makes an engine of `threads` threads, the caller's included.
    ///
    /// # Panics
    /// Panics when this machine lacks the instruction set, or the calling thread rounds otherwise
    /// than IEEE 754's default.
    // Spec: N-1
    pub fn new(isa: Isa, threads: usize) -> Self {
        assert!(
            isa <= Isa::detect(),
            "this machine cannot run {}",
            isa.name()
        );
        isa::assert_float_environment();
        let vnni = isa == Isa::Avx512 && isa::detect_vnni();
        Self {
            isa,
            vnni,
            pool: Pool::new(threads),
        }
    }

    /// Makes an engine of the widest instruction set and the caller's thread alone.
    pub fn single() -> Self {
        Self::new(Isa::detect(), 1)
    }

    /// Returns the same engine with the byte dot products switched off (tests compare both).
    #[must_use]
    pub fn without_vnni(mut self) -> Self {
        self.vnni = false;
        self
    }

    /// Returns the instruction set; this machine has it.
    #[inline]
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Tells whether kernels may use the AVX-512 byte dot products.
    #[inline]
    pub fn vnni(&self) -> bool {
        self.vnni
    }

    /// Returns the threads.
    #[inline]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }
}
