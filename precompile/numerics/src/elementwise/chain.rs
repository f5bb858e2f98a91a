//! Chains of elementwise operators, run piece by piece: what one operator writes, the next finds in the
//! first cache. Every link is the operator's own arithmetic, so the bits are those of the operators
//! run one after the other.

use super::arith::{Arith, combine};
use crate::engine::Engine;

/// Is a kernel that maps a slice into another of its length.
pub type Map<'a> = &'a (dyn Fn(&Engine, &[f32], &mut [f32]) + Send + Sync);

/// Is what a link joins to the value that runs through the chain.
#[derive(Clone, Copy, Debug)]
pub enum Operand<'a> {
    /// One number for all elements.
    One(f32),
    /// One number for each element.
    Each(&'a [f32]),
}

/// Is one operator of a chain.
#[derive(Clone, Copy)]
pub enum Link<'a> {
    /// The value is the first operand.
    First(Arith, Operand<'a>),
    /// The value is the second operand.
    Second(Arith, Operand<'a>),
    /// The value is mapped.
    Map(Map<'a>),
}

/// Is how many elements run through the whole chain before the next ones: two buffers of them and the
/// operands' parts fit the first cache.
const BLOCK: usize = 2048;

/// Is how many elements stay on the caller's thread, and the least and the most that a thread takes at
/// once of more.
const SHARE: [usize; 3] = [1 << 13, BLOCK, 1 << 13];

impl<'a> Operand<'a> {
    /// Takes the part that belongs to some elements.
    fn part(self, range: std::ops::Range<usize>) -> Self {
        match self {
            Operand::One(number) => Operand::One(number),
            Operand::Each(numbers) => Operand::Each(&numbers[range]),
        }
    }
}

/// Runs `x` through the links into `out`; without links it is copied.
///
/// # Panics
/// When `x` or an operand of one number for each element is not as long as `out`.
pub fn chain(engine: &Engine, x: &[f32], links: &[Link<'_>], out: &mut [f32]) {
    assert_eq!(x.len(), out.len());
    for link in links {
        if let Link::First(_, Operand::Each(other)) | Link::Second(_, Operand::Each(other)) = link {
            assert_eq!(other.len(), out.len());
        }
    }
    let piece = engine.pool().share(out.len(), SHARE);
    engine.pool().run_pieces(out, piece, |i, out| {
        let mut spare = [0.0; BLOCK];
        for (block, out) in out.chunks_mut(BLOCK).enumerate() {
            let start = i * piece + block * BLOCK;
            run_block(engine, x, start, links, out, &mut spare);
        }
    });
}

/// Runs the elements of `out`, which begin at `start` of `x`.
fn run_block(
    engine: &Engine,
    x: &[f32],
    start: usize,
    links: &[Link<'_>],
    out: &mut [f32],
    spare: &mut [f32; BLOCK],
) {
    let range = start..start + out.len();
    let spare = &mut spare[..out.len()];
    let Some((first, rest)) = links.split_first() else {
        out.copy_from_slice(&x[range]);
        return;
    };
    // The buffers take turns so that the last link writes `out`.
    let (mut to, mut other) = match rest.len() % 2 {
        0 => (out, spare),
        _ => (spare, out),
    };
    apply(engine, *first, range.clone(), &x[range.clone()], to);
    for link in rest {
        apply(engine, *link, range.clone(), to, other);
        std::mem::swap(&mut to, &mut other);
    }
}

fn apply(
    engine: &Engine,
    link: Link<'_>,
    range: std::ops::Range<usize>,
    x: &[f32],
    out: &mut [f32],
) {
    let value = Operand::Each(x);
    match link {
        Link::First(op, other) => combine(engine, op, value, other.part(range), out),
        Link::Second(op, other) => combine(engine, op, other.part(range), value, out),
        Link::Map(map) => map(engine, x, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broadcast::Broadcast;
    use crate::elementwise::arith;
    use crate::gemm::test_numbers;
    use crate::isa::Isa;
    use crate::math::erf_f32;

    #[test]
    fn a_chain_has_the_bits_of_its_operators_one_by_one() {
        for len in [0, 1, 5, BLOCK, BLOCK + 1, SHARE[0] + 3 * BLOCK + 7] {
            let mut x = test_numbers(1, len);
            let other = test_numbers(2, len);
            if let Some(x) = x.first_mut() {
                *x = f32::from_bits(0xffc0_1234);
            }
            for engine in Isa::available().into_iter().map(|isa| Engine::new(isa, 2)) {
                let links = [
                    Link::First(Arith::Div, Operand::One(1.7)),
                    Link::Map(&erf_f32),
                    Link::Second(Arith::Sub, Operand::One(1.0)),
                    Link::Second(Arith::Div, Operand::Each(&other)),
                    Link::First(Arith::Mul, Operand::Each(&x)),
                ];
                for count in 0..=links.len() {
                    let mut got = vec![0.0; len];
                    chain(&engine, &x, &links[..count], &mut got);
                    let want = one_by_one(&engine, &x, &links[..count]);
                    let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                    assert_eq!(bits(&got), bits(&want), "{len} elements, {count} links");
                }
            }
        }
    }

    fn one_by_one(engine: &Engine, x: &[f32], links: &[Link<'_>]) -> Vec<f32> {
        let mut value = x.to_vec();
        let shape = [x.len()];
        for link in links {
            let mut out = vec![0.0; x.len()];
            let (op, other, swapped) = match link {
                Link::First(op, other) => (*op, *other, false),
                Link::Second(op, other) => (*op, *other, true),
                Link::Map(map) => {
                    map(engine, &value, &mut out);
                    value = out;
                    continue;
                }
            };
            let one;
            let (other, other_shape): (&[f32], &[usize]) = match other {
                Operand::One(number) => {
                    one = [number];
                    (&one, &[1])
                }
                Operand::Each(numbers) => (numbers, &shape),
            };
            let shapes: [&[usize]; 2] = match swapped {
                false => [&shape, other_shape],
                true => [other_shape, &shape],
            };
            let plan = Broadcast::new(&shape, shapes);
            let (a, b): (&[f32], &[f32]) = match swapped {
                false => (&value, other),
                true => (other, &value),
            };
            arith(engine, op, &plan, a, b, &mut out).expect("floats divide by anything");
            value = out;
        }
        value
    }
}
