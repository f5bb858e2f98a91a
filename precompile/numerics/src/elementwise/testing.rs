//! Inputs and engines that the tests of several kernels share.

use crate::engine::Engine;
use crate::isa::Isa;

/// Mixes ordinary values with zeros of both signs, infinities, NaNs with payloads and subnormals.
pub(crate) fn floats(n: usize, seed: u64) -> Vec<f32> {
    let special = [
        0.0,
        -0.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        1e-40,
        -1.0,
        0.5,
        f32::MAX,
    ];
    let mut state = seed;
    (0..n)
        .map(|i| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let bits = (state >> 32) as u32;
            match i % 13 {
                3 => special[bits as usize % special.len()],
                7 => f32::from_bits(bits),
                9 if bits & 3 == 0 => f32::from_bits(0xffc0_0001),
                _ => (bits as i32 as f32) / 3e8,
            }
        })
        .collect()
}

/// Makes an engine for every instruction set, with one and with three threads.
pub(crate) fn engines() -> Vec<Engine> {
    let mut out = Vec::new();
    for isa in Isa::available() {
        out.push(Engine::new(isa, 1));
        out.push(Engine::new(isa, 3));
    }
    out
}
