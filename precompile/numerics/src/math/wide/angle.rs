//! Reduction of any f64 angle to a quarter turn and a rest, in integers.

use super::super::constants::{QUARTER_PI, TWO_OVER_PI};
use super::{MAX_LIMBS, Wide};

/// Bounds the angles that need no reduction.
const SMALL: f64 = 0.5;

/// Splits a finite angle into quarter turns (the low two bits count) and the rest, |r| <= pi / 4.
///
/// Of 2 / pi the bits that make multiples of four quarter turns are left out, then 64 (N + 2) bits
/// are used. No f64 comes closer to a multiple of a quarter turn than 2^-62, and the 53 bits of the
/// mantissa scale the error, so the rest keeps 64 N bits.
pub(in crate::math) fn reduce<const N: usize>(x: f64) -> (u64, Wide<N>) {
    if x.abs() < SMALL {
        return (0, Wide::from_f64(x));
    }
    let bits = x.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i64 - 1075;
    let mantissa = (bits & ((1 << 52) - 1)) | (1 << 52);
    let used = N + 2;
    // Turns times 2^(64 used - 2), modulo 2^(64 used), least significant limb first.
    let mut turns = [0u64; MAX_LIMBS + 2];
    let turns = &mut turns[..used];
    let mut carry = 0u64;
    for (i, limb) in turns.iter_mut().enumerate() {
        let digits = window(exponent + 62 + 64 * (used - 1 - i) as i64);
        let product = u128::from(digits) * u128::from(mantissa) + u128::from(carry);
        *limb = product as u64;
        carry = (product >> 64) as u64;
    }
    let quarter = (turns[used - 1] >> 62) + (turns[used - 1] >> 61 & 1);
    turns[used - 1] = turns[used - 1].wrapping_sub(quarter << 62);
    let negative = turns[used - 1] >> 63 == 1;
    if negative {
        let mut carry = true;
        for limb in turns.iter_mut() {
            (*limb, carry) = (!*limb).overflowing_add(u64::from(carry));
        }
    }
    let rest = top::<N>(turns).scaled(2);
    let rest = rest.mul(Wide::from_constant(&QUARTER_PI, 1));
    let flip = negative != (x < 0.0);
    let rest = if flip { rest.negated() } else { rest };
    let quarter = if x < 0.0 {
        quarter.wrapping_neg()
    } else {
        quarter
    };
    (quarter, rest)
}

/// Returns the 64 bits of 2 / pi that end at weight 2^-`at`.
fn window(at: i64) -> u64 {
    let limb_of = |i: i64| -> u64 {
        // Bit 0 has weight 1/2.
        let limb = usize::try_from(i.div_euclid(64)).ok();
        let limb = limb.and_then(|limb| TWO_OVER_PI.get(limb)).copied();
        limb.unwrap_or(0)
    };
    // The last bit wanted has weight 2^-at, which is bit at - 1.
    let first = at - 64;
    let offset = first.rem_euclid(64) as u32;
    let high = limb_of(first);
    if offset == 0 {
        high
    } else {
        (high << offset) | (limb_of(first + 64) >> (64 - offset))
    }
}

/// Reads 0.limbs (least significant first), as many as there are, into a wide number.
fn top<const N: usize>(limbs: &[u64]) -> Wide<N> {
    let Some(highest) = limbs.iter().rposition(|&limb| limb != 0) else {
        return Wide::ZERO;
    };
    // Two more limbs than N were computed: the leading zeros of a small rest cost none of N.
    let skipped = limbs.len() - 1 - highest;
    let mut constant = [0u64; MAX_LIMBS + 2];
    for (to, &from) in constant.iter_mut().zip(limbs[..=highest].iter().rev()) {
        *to = from;
    }
    let head = Wide::<N>::from_constant(&constant, 0);
    // from_constant reads N limbs; the next one fills what normalising shifted in.
    let mut tail = [0u64; MAX_LIMBS + 2];
    for (to, &from) in tail.iter_mut().zip(constant.iter().skip(N)) {
        *to = from;
    }
    let tail = Wide::<N>::from_constant(&tail, -64 * N as i64);
    head.add(tail).scaled(-64 * skipped as i64)
}
