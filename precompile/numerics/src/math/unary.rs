//! How a function of one number becomes a kernel over slices.
//!
//! A block of inputs first runs through branch-free lanes, which compilers turn into vector code.
//! Then the block is searched for rare inputs (exceptions of the rounding, huge angles); their
//! lanes, if any, are computed again one by one.

use super::step::Step;
use crate::engine::Engine;

/// Is the number of elements a kernel works on at once.
pub(crate) const BLOCK: usize = 64;

/// Is the number of elements a thread takes at once; smaller slices stay on the caller's thread.
const PIECE: usize = 8 * 1024;

/// Is an input and its result, as bits.
pub(super) type Exception = (u32, u32);

/// Is a correctly rounded function of one f32.
pub(crate) trait Unary: Copy {
    /// Computes the result for all but rare inputs, without branches.
    fn lane<S: Step>(x: f32) -> f32;
    /// Tells, without branches, whether `lane` may be wrong.
    fn is_rare(x: f32) -> bool;
    /// Computes the result for a rare input.
    fn rare(x: f32) -> f32;
}

/// Is a function over one block of numbers, perhaps with parameters.
pub(crate) trait Kernel: Copy + Sync {
    /// Computes `y[i]` from `x[i]`.
    fn block<S: Step>(self, x: &[f32; BLOCK], y: &mut [f32; BLOCK]);
}

/// Makes a kernel of a correctly rounded function.
#[derive(Clone, Copy)]
pub(crate) struct Rounded<U>(pub(crate) U);

impl<U: Unary + Sync> Kernel for Rounded<U> {
    #[inline(always)]
    fn block<S: Step>(self, x: &[f32; BLOCK], y: &mut [f32; BLOCK]) {
        round_block::<S, U>(x, y);
    }
}

/// Computes one correctly rounded function over a block.
#[inline(always)]
pub(crate) fn round_block<S: Step, U: Unary>(x: &[f32; BLOCK], y: &mut [f32; BLOCK]) {
    for i in 0..BLOCK {
        y[i] = U::lane::<S>(x[i]);
    }
    let mut rare = 0u32;
    for &value in x {
        rare |= u32::from(U::is_rare(value));
    }
    if rare != 0 {
        patch::<U>(x, y);
    }
}

/// Computes the rare lanes of a block again.
#[cold]
#[inline(never)]
fn patch<U: Unary>(x: &[f32; BLOCK], y: &mut [f32; BLOCK]) {
    for (&x, y) in x.iter().zip(y) {
        if U::is_rare(x) {
            *y = U::rare(x);
        }
    }
}

/// Computes one correctly rounded function of one number.
#[inline(always)]
pub(crate) fn round_one<S: Step, U: Unary>(x: f32) -> f32 {
    if U::is_rare(x) {
        U::rare(x)
    } else {
        U::lane::<S>(x)
    }
}

/// Tells, without branches, whether these bits stand in a table of exceptions.
#[inline(always)]
pub(super) fn is_exception<const N: usize>(bits: u32, table: &[Exception; N]) -> bool {
    let mut found = false;
    for &(input, _) in table {
        found |= bits == input;
    }
    found
}

/// Returns the result of these bits in a table of exceptions.
pub(super) fn exception(bits: u32, table: &[Exception]) -> Option<f32> {
    let found = table.iter().find(|(input, _)| *input == bits);
    found.map(|&(_, result)| f32::from_bits(result))
}

/// Runs a kernel over a slice into another, on the engine's threads.
///
/// # Panics
/// Panics when the lengths differ.
pub(super) fn run<K: Kernel>(engine: &Engine, kernel: K, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "input and output have the same length");
    engine.pool().run_pieces(y, PIECE, |i, y| {
        let start = i * PIECE;
        map(engine, kernel, &x[start..start + y.len()], y);
    });
}

/// Runs a kernel over a slice in place, on the engine's threads.
pub(super) fn run_in_place<K: Kernel>(engine: &Engine, kernel: K, x: &mut [f32]) {
    engine.pool().run_pieces(x, PIECE, |_, x| {
        map_in_place(engine, kernel, x);
    });
}

multiversion! {
    fn map<K: Kernel>(kernel: K, x: &[f32], y: &mut [f32]) = map_body;
    fn map_in_place<K: Kernel>(kernel: K, x: &mut [f32]) = map_in_place_body;
}

#[inline(always)]
fn map_body<S: Step, K: Kernel>(kernel: K, x: &[f32], y: &mut [f32]) {
    let (x_blocks, x_rest) = x.as_chunks::<BLOCK>();
    let (y_blocks, y_rest) = y.as_chunks_mut::<BLOCK>();
    for (x, y) in x_blocks.iter().zip(y_blocks) {
        kernel.block::<S>(x, y);
    }
    if !x_rest.is_empty() {
        let mut input = [0.0; BLOCK];
        let mut output = [0.0; BLOCK];
        input[..x_rest.len()].copy_from_slice(x_rest);
        kernel.block::<S>(&input, &mut output);
        y_rest.copy_from_slice(&output[..y_rest.len()]);
    }
}

#[inline(always)]
fn map_in_place_body<S: Step, K: Kernel>(kernel: K, x: &mut [f32]) {
    for piece in x.chunks_mut(BLOCK) {
        let mut input = [0.0; BLOCK];
        input[..piece.len()].copy_from_slice(piece);
        if let Ok(output) = <&mut [f32; BLOCK]>::try_from(&mut *piece) {
            kernel.block::<S>(&input, output);
        } else {
            let mut output = [0.0; BLOCK];
            kernel.block::<S>(&input, &mut output);
            piece.copy_from_slice(&output[..piece.len()]);
        }
    }
}
