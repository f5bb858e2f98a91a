//! Keccak-256 of several messages at once: each takes a lane of AVX-512 registers.
//!
//! Hashes are whole numbers, so no rule of the specification is needed for them to be equal everywhere;
//! they are here for the registers. One message alone is hashed faster by code made for one.
#![allow(unsafe_code)]

use crate::engine::Engine;
use crate::isa::Isa;

/// Is how many messages are hashed at once.
pub const LANES: usize = 8;
/// Is about how many messages, hashed one by one, take as long as [`LANES`] at once.
pub const WORTH: usize = 3;

/// Is the number of bytes that one permutation takes in.
const RATE: usize = 136;

/// Counts the permutations that a message of so many bytes takes.
pub fn permutations(len: usize) -> usize {
    len / RATE + 1
}

/// Hashes up to [`LANES`] messages, if the engine's instruction set has registers for that; `false` where
/// it has not, and nothing was done.
///
/// # Panics
/// Panics when there are more messages, or not as many digests.
pub fn keccak256_at_once(engine: &Engine, messages: &[&[u8]], digests: &mut [[u8; 32]]) -> bool {
    assert!(messages.len() <= LANES && messages.len() == digests.len());
    match engine.isa() {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => {
            // SAFETY: an engine holds only an instruction set that was detected here.
            unsafe { avx512::hash(messages, digests) };
            true
        }
        _ => false,
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::{LANES, RATE, permutations};
    use std::arch::x86_64::*;

    /// Holds the rotations of step rho, by x + 5 y.
    const RHO: [i64; 25] = [
        0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56,
        14,
    ];

    /// Holds the constants of step iota: bits of a shift register, as FIPS 202 makes them.
    const IOTA: [u64; 24] = {
        let mut constants = [0u64; 24];
        let (mut register, mut round) = (1u8, 0);
        while round < 24 {
            let mut j = 0;
            while j < 7 {
                if register & 1 != 0 {
                    constants[round] |= 1 << ((1u32 << j) - 1);
                }
                let carry = register >> 7;
                register = (register << 1) ^ (carry * 0x71);
                j += 1;
            }
            round += 1;
        }
        constants
    };

    /// Hashes one message in each lane.
    #[target_feature(enable = "avx512f")]
    pub(super) fn hash(messages: &[&[u8]], digests: &mut [[u8; 32]]) {
        let mut state = [_mm512_setzero_si512(); 25];
        let most = messages.iter().map(|message| permutations(message.len()));
        for block in 0..most.max().unwrap_or(0) {
            let mut words = [[0u64; LANES]; RATE / 8];
            for (lane, message) in messages.iter().enumerate() {
                let (whole, last) = message.as_chunks::<RATE>();
                // Messages that ended run along; nothing reads their lanes any more.
                let padded = whole.get(block).copied().unwrap_or_else(|| pad(last));
                for (word, bytes) in words.iter_mut().zip(padded.as_chunks::<8>().0) {
                    word[lane] = u64::from_le_bytes(*bytes);
                }
            }
            for (sponge, words) in state.iter_mut().zip(&words) {
                // SAFETY: eight words are 64 bytes.
                let words = unsafe { _mm512_loadu_si512(words.as_ptr().cast()) };
                *sponge = _mm512_xor_si512(*sponge, words);
            }
            permute(&mut state);
            for (lane, (message, digest)) in messages.iter().zip(digests.iter_mut()).enumerate() {
                if block + 1 == permutations(message.len()) {
                    for (bytes, sponge) in digest.as_chunks_mut::<8>().0.iter_mut().zip(&state) {
                        let mut words = [0u64; LANES];
                        // SAFETY: eight words are 64 bytes.
                        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), *sponge) };
                        *bytes = words[lane].to_le_bytes();
                    }
                }
            }
        }
    }

    /// Pads the end of a message to a block, as Keccak did before it was a standard.
    fn pad(rest: &[u8]) -> [u8; RATE] {
        let mut block = [0u8; RATE];
        block[..rest.len()].copy_from_slice(rest);
        block[rest.len()] = 1;
        block[RATE - 1] |= 0x80;
        block
    }

    /// Is Keccak-f[1600] in every lane.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn permute(a: &mut [__m512i; 25]) {
        const XOR: i32 = 0x96;
        const CHI: i32 = 0xd2;
        for iota in IOTA {
            let mut sums = [a[0]; 5];
            for x in 0..5 {
                let sum = _mm512_ternarylogic_epi64::<XOR>(a[x], a[x + 5], a[x + 10]);
                sums[x] = _mm512_ternarylogic_epi64::<XOR>(sum, a[x + 15], a[x + 20]);
            }
            let mut b = [a[0]; 25];
            for x in 0..5 {
                let left = sums[(x + 4) % 5];
                let right = _mm512_rol_epi64::<1>(sums[(x + 1) % 5]);
                for y in 0..5 {
                    let from = x + 5 * y;
                    let lane = _mm512_ternarylogic_epi64::<XOR>(a[from], left, right);
                    let by = _mm512_set1_epi64(RHO[from]);
                    b[y + 5 * ((2 * x + 3 * y) % 5)] = _mm512_rolv_epi64(lane, by);
                }
            }
            for row in 0..5 {
                for x in 0..5 {
                    let at = |x: usize| b[x % 5 + 5 * row];
                    a[x + 5 * row] = _mm512_ternarylogic_epi64::<CHI>(at(x), at(x + 1), at(x + 2));
                }
            }
            a[0] = _mm512_xor_si512(a[0], _mm512_set1_epi64(iota as i64));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Digests that other programs give.
    const KNOWN: [(&[u8], &str); 2] = [
        (
            b"",
            "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470",
        ),
        (
            b"abc",
            "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45",
        ),
    ];

    fn hex(digest: &[u8]) -> String {
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn known_digests_come_out_of_every_lane() {
        for isa in Isa::available() {
            let engine = Engine::new(isa, 1);
            for lane in 0..LANES {
                let messages: [&[u8]; LANES] =
                    std::array::from_fn(|i| KNOWN[usize::from(i >= lane)].0);
                let mut digests = [[0; 32]; LANES];
                let done = keccak256_at_once(&engine, &messages, &mut digests);
                assert_eq!(done, isa == Isa::Avx512);
                for (i, digest) in digests.iter().enumerate().filter(|_| done) {
                    assert_eq!(hex(digest), KNOWN[usize::from(i >= lane)].1);
                }
            }
        }
    }

    #[test]
    fn a_message_alone_equals_the_message_among_others() {
        let data: Vec<u8> = (0..2000u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        let engine = Engine::single();
        for len in 0..300 {
            let lengths = [len, 3 * len, 0, 135, 136, 137, 272, 1000 - len];
            let messages = lengths.map(|len| &data[len % 9..][..len]);
            let mut together = [[0; 32]; LANES];
            keccak256_at_once(&engine, &messages, &mut together);
            for (message, digest) in messages.iter().zip(together) {
                let mut alone = [[0; 32]];
                keccak256_at_once(&engine, &[message], &mut alone);
                assert_eq!(alone[0], digest, "{} bytes", message.len());
            }
        }
    }
}
