//! Checks of conversions between number formats.

use super::super::seed::{Digest, Seed};
use crate::cast::cast;
use crate::engine::Engine;
use crate::fixed::Fixed;
use crate::half::{Bf16, F16};

pub(super) fn halves(_: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(13), Digest::new());
    for value in seed.patterns(4096) {
        digest.add(u64::from(F16::from_f32(value).0));
        digest.add(u64::from(Bf16::from_f32(value).0));
    }
    for bits in 0..=u16::MAX {
        digest.add_f32(&[F16(bits).to_f32(), Bf16(bits).to_f32()]);
    }
    digest.value()
}

pub(super) fn casts(_: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(14), Digest::new());
    let mut x = seed.patterns(4096);
    x.extend(seed.f32s(512).iter().map(|v| v * 1e10));
    let mut ints = vec![0i32; x.len()];
    cast(&x, &mut ints);
    digest.add_i32(&ints);
    let mut longs = vec![0i64; x.len()];
    cast(&x, &mut longs);
    digest.add_i64(&longs);
    let mut bytes = vec![0u8; x.len()];
    cast(&x, &mut bytes);
    digest.add_bytes(&bytes);
    let mut back = vec![0f32; longs.len()];
    cast(&longs, &mut back);
    digest.add_f32(&back);
    digest.value()
}

pub(super) fn fixed_point(_: &Engine) -> u64 {
    let (mut seed, mut digest) = (Seed::new(19), Digest::new());
    for _ in 0..500 {
        let magnitude = [seed.next(), seed.next() >> seed.below(64), 0, 0];
        let fixed = Fixed {
            negative: seed.below(2) == 0,
            magnitude,
        };
        let decimals = seed.below(37) as u8;
        if let Some(value) = fixed.to_f32(decimals) {
            digest.add_f32(&[value]);
            if let Some(back) = Fixed::from_f32(value, decimals) {
                back.magnitude.iter().for_each(|limb| digest.add(*limb));
            }
        }
    }
    digest.value()
}
