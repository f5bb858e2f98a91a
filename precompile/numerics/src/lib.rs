//! Fixed-order numeric kernels: the same bits on every machine.
//!
//! The rules are numbered in `docs/spec/numerics.md` (`N-1` ...); code cites them. How data flows:
//! a caller builds one [`Engine`] (an instruction set that this machine has, and a pool of a chosen
//! number of threads) and hands it, with slices, shapes and strides, to a kernel. A kernel cuts its
//! *outputs* into chunks, never its reductions, runs them on the pool, and each chunk runs the body
//! compiled for the engine's instruction set. So neither threads nor instruction sets change bits.
//!
//! Kernels know no tensor type, check slice lengths with `assert!` (a wrong length is a mistake of
//! the calling code, which validates foreign data first), and have no dependencies.

// Bodies of `multiversion!` all take the fused multiply-add, also those that have no use for it.
#![allow(clippy::extra_unused_type_parameters)]
// Tests compare with the platform's functions.
#![cfg_attr(test, allow(clippy::disallowed_methods))]

#[macro_use]
mod multiversion;

mod aligned;
mod simd;

pub mod attention;
pub mod boxes;
pub mod broadcast;
pub mod cast;
pub mod conv;
pub mod det;
pub mod einsum;
pub mod elementwise;
pub mod engine;
pub mod fixed;
pub mod float;
pub mod fma;
pub mod gemm;
pub mod grid;
pub mod half;
pub mod isa;
pub mod keccak;
pub mod math;
pub mod ml;
pub mod nan;
pub mod norm;
pub mod patch;
pub mod pool;
pub mod pooling;
pub mod quant;
pub mod range;
pub mod recurrent;
pub mod reduce;
pub mod resample;
pub mod scan;
pub mod selftest;
pub mod signal;
pub mod smooth;
pub mod softmax;
pub mod sort;
pub mod tiny;
pub mod tree;

pub use engine::Engine;
pub use isa::Isa;
