//! Softmax and its logarithm (Spec: N-6).
//!
//! m = max; e = exp(x - m); s = the sum of e in 16 lanes; softmax = e / s and
//! log-softmax = (x - m) - ln(s). A NaN in a line makes every output of the line NaN, through s.

use crate::broadcast::Broadcast;
use crate::elementwise::{Arith, arith};
use crate::engine::Engine;
use crate::fma::Fma;
use crate::math::Transcendental;
use crate::math::exp::Exp;
use crate::math::log::Ln;
use crate::math::step::Step;
use crate::math::unary::{BLOCK, round_block, round_one};
use crate::nan::canonical_f32;
use crate::reduce::{LANES, ReduceLayout, Reduction, Sum, join_lanes, reduce};

/// Names what is computed of each line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Softmax {
    /// e^x over the sum of e^x.
    Plain,
    /// The natural logarithm of softmax.
    Logarithm,
}

/// Bounds the elements a thread takes at once.
const PIECE: usize = 1 << 10;

multiversion! {
    fn rows_piece(kind: Softmax, n: usize, x: &[f32], out: &mut [f32]) = rows_body;
}

/// Computes softmax along the middle axis of `[outer, n, inner]`.
///
/// # Panics
/// When lengths do not fit together.
pub fn softmax_f32(
    engine: &Engine,
    kind: Softmax,
    n: usize,
    inner: usize,
    x: &[f32],
    out: &mut [f32],
) {
    assert_eq!(x.len(), out.len());
    if x.is_empty() {
        return;
    }
    assert!(x.len().is_multiple_of(n * inner));
    if inner == 1 {
        let rows = (PIECE / n).max(1);
        engine.pool().run_pieces(out, rows * n, |i, out| {
            let start = i * rows * n;
            rows_piece(engine, kind, n, &x[start..start + out.len()], out);
        });
    } else {
        columns(engine, kind, [x.len() / (n * inner), n, inner], x, out);
    }
}

/// Computes softmax of f64 along the middle axis of `[outer, n, inner]`.
///
/// # Panics
/// When lengths do not fit together.
pub fn softmax_f64(
    engine: &Engine,
    kind: Softmax,
    n: usize,
    inner: usize,
    x: &[f64],
    out: &mut [f64],
) {
    assert_eq!(x.len(), out.len());
    if !x.is_empty() {
        assert!(x.len().is_multiple_of(n * inner));
        columns(engine, kind, [x.len() / (n * inner), n, inner], x, out);
    }
}

/// Computes lines of any layout by whole passes: the same steps for every element.
fn columns<T: Transcendental>(
    engine: &Engine,
    kind: Softmax,
    shape: [usize; 3],
    x: &[T],
    out: &mut [T],
) {
    let layout = ReduceLayout::new(&shape, &[false, true, false]);
    let line = [shape[0], 1, shape[2]];
    let plan = Broadcast::new(&shape, [&shape, &line]);
    let each = |op: Arith, a: &[T], b: &[T], out: &mut [T]| {
        arith(engine, op, &plan, a, b, out).expect("invariant: floats divide without error");
    };
    let mut per_line = vec![T::ZERO; layout.output_len()];
    reduce(engine, Reduction::Max, &layout, x, &mut per_line);
    each(Arith::Sub, x, &per_line, out);
    let distance = out.to_vec();
    T::exp_in_place(engine, out);
    reduce(engine, Reduction::Sum, &layout, out, &mut per_line);
    match kind {
        Softmax::Plain => {
            let e = out.to_vec();
            each(Arith::Div, &e, &per_line, out);
        }
        Softmax::Logarithm => {
            T::ln_in_place(engine, &mut per_line);
            each(Arith::Sub, &distance, &per_line, out);
        }
    }
}

#[inline(always)]
fn rows_body<F: Fma + Step>(kind: Softmax, n: usize, x: &[f32], out: &mut [f32]) {
    for (x, out) in x.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
        let m = greatest(x);
        let s = exponentials::<F>(m, x, out);
        match kind {
            Softmax::Plain => {
                for e in out.iter_mut() {
                    *e = canonical_f32(*e / s);
                }
            }
            Softmax::Logarithm => {
                let log = round_one::<F, Ln>(s);
                for (o, x) in out.iter_mut().zip(x) {
                    *o = canonical_f32((*x - m) - log);
                }
            }
        }
    }
}

/// Finds the greatest number of a line. NaNs are passed over (the sum meets them again), and the
/// sign of a zero does not matter to exp(x - m).
#[inline(always)]
fn greatest(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if *value > *lane { *value } else { *lane };
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane = if *value > *lane { *value } else { *lane };
    }
    let mut best = lanes[0];
    for lane in lanes {
        best = if lane > best { lane } else { best };
    }
    best
}

/// Writes exp(x - m) and returns the sum by rule N-4.
#[inline(always)]
fn exponentials<F: Fma + Step>(m: f32, x: &[f32], out: &mut [f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (x_blocks, x_rest) = x.as_chunks::<BLOCK>();
    let (out_blocks, out_rest) = out.as_chunks_mut::<BLOCK>();
    let mut distance = [0.0; BLOCK];
    for (x, out) in x_blocks.iter().zip(out_blocks) {
        for (d, x) in distance.iter_mut().zip(x) {
            *d = *x - m;
        }
        round_block::<F, Exp>(&distance, out);
        for chunk in out.as_chunks::<LANES>().0 {
            for (lane, e) in lanes.iter_mut().zip(chunk) {
                *lane += *e;
            }
        }
    }
    if !x_rest.is_empty() {
        distance.fill(0.0);
        for (d, x) in distance.iter_mut().zip(x_rest) {
            *d = *x - m;
        }
        let mut e = [0.0; BLOCK];
        round_block::<F, Exp>(&distance, &mut e);
        out_rest.copy_from_slice(&e[..x_rest.len()]);
        for chunk in out_rest.chunks(LANES) {
            for (lane, e) in lanes.iter_mut().zip(chunk) {
                *lane += *e;
            }
        }
    }
    join_lanes::<Sum, f32>(Sum, &mut lanes, x.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elementwise::testing::{engines, floats};
    use crate::math;

    /// Computes one line by the definition, step by step.
    fn oracle(kind: Softmax, x: &[f32]) -> Vec<u32> {
        let mut m = f32::NEG_INFINITY;
        for v in x {
            m = if m.is_nan() || v.is_nan() {
                f32::NAN
            } else {
                m.max(*v)
            };
        }
        let mut lanes = [0.0f32; 16];
        for (i, v) in x.iter().enumerate() {
            lanes[i % 16] += math::exp(v - m);
        }
        for h in [8, 4, 2, 1] {
            for i in 0..h {
                lanes[i] += lanes[i + h];
            }
        }
        let s = lanes[0];
        x.iter()
            .map(|v| match kind {
                Softmax::Plain => math::exp(v - m) / s,
                Softmax::Logarithm => (v - m) - math::ln(s),
            })
            .map(|y| if y.is_nan() { 0x7fc0_0000 } else { y.to_bits() })
            .collect()
    }

    #[test]
    fn every_line_follows_the_definition_in_every_layout_on_every_engine() {
        for kind in [Softmax::Plain, Softmax::Logarithm] {
            for (outer, n, inner) in [
                (90, 1, 1),
                (40, 197, 1),
                (3, 64, 1),
                (4, 33, 150),
                (2, 1, 3),
            ] {
                let mut x = floats(outer * n * inner, 21);
                for (i, v) in x.iter_mut().enumerate() {
                    // Most lines are ordinary, some keep their infinities and NaNs.
                    if i / (n * inner) % 3 != 2 {
                        *v = if v.is_nan() {
                            0.5
                        } else {
                            v.clamp(-30.0, 30.0)
                        };
                    }
                }
                let mut want = vec![0; x.len()];
                for o in 0..outer {
                    for c in 0..inner {
                        let at = |i: usize| (o * n + i) * inner + c;
                        let line: Vec<f32> = (0..n).map(|i| x[at(i)]).collect();
                        for (i, bits) in oracle(kind, &line).into_iter().enumerate() {
                            want[at(i)] = bits;
                        }
                    }
                }
                for engine in engines() {
                    let mut out = vec![0.0; x.len()];
                    softmax_f32(&engine, kind, n, inner, &x, &mut out);
                    let got: Vec<u32> = out.iter().map(|v| v.to_bits()).collect();
                    assert!(got == want, "{kind:?} {n} {inner} {}", engine.isa().name());
                }
            }
        }
    }
}
