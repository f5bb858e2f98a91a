//! Walks the elements of several inputs that broadcast to one output shape.
//!
//! Adjacent dimensions that every input walks alike are merged first, so that the usual cases (same
//! shape, scalar, row or column against a matrix) are one or two loops.

use core::ops::Range;

/// Holds the merged loops over an output and where each of `N` inputs stands in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broadcast<const N: usize> {
    len: usize,
    /// Elements in the innermost loop, at least 1.
    inner: usize,
    /// Steps of the inputs in the innermost loop: 0 or 1.
    inner_steps: [usize; N],
    /// The loops around it, outermost first: extent and the inputs' steps.
    outer: Vec<(usize, [usize; N])>,
    lens: [usize; N],
}

impl<const N: usize> Broadcast<N> {
    /// Plans the walk over `shape`; each input's shape is aligned at the last dimension.
    ///
    /// # Panics
    /// When an input's dimension is neither that of the output nor 1, or it has more dimensions.
    pub fn new(shape: &[usize], inputs: [&[usize]; N]) -> Self {
        let mut steps = [1usize; N];
        let mut loops: Vec<(usize, [usize; N])> = Vec::with_capacity(shape.len());
        for input in inputs {
            assert!(
                input.len() <= shape.len(),
                "an input has more dimensions than the output"
            );
        }
        for (back, &extent) in shape.iter().rev().enumerate() {
            let mut here = [0; N];
            for (i, input) in inputs.iter().enumerate() {
                let dim = input.iter().rev().nth(back).copied().unwrap_or(1);
                assert!(
                    dim == extent || dim == 1,
                    "{dim} does not broadcast to {extent}"
                );
                if dim == extent && dim != 1 {
                    here[i] = steps[i];
                }
                steps[i] *= dim;
            }
            if extent == 1 {
                continue;
            }
            match loops.last_mut() {
                Some((inside, step)) if (0..N).all(|i| here[i] == step[i] * *inside) => {
                    *inside *= extent;
                }
                _ => loops.push((extent, here)),
            }
        }
        let (inner, inner_steps) = if loops.is_empty() {
            (1, [0; N])
        } else {
            loops.remove(0)
        };
        loops.reverse();
        let lens = core::array::from_fn(|i| inputs[i].iter().product());
        Self {
            len: shape.iter().product(),
            inner: inner.max(1),
            inner_steps,
            outer: loops,
            lens,
        }
    }

    /// Plans the walk over inputs of one length.
    pub fn flat(len: usize) -> Self {
        Self {
            len,
            inner: len.max(1),
            inner_steps: [1; N],
            outer: Vec::new(),
            lens: [len; N],
        }
    }

    /// Returns the number of output elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Tells whether the output holds no element.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the number of elements of one input.
    pub fn input_len(&self, input: usize) -> usize {
        self.lens[input]
    }

    /// Returns each input's step in the innermost loop: 0 (one value) or 1 (a run).
    #[inline(always)]
    pub(crate) fn inner_steps(&self) -> [usize; N] {
        self.inner_steps
    }

    /// Walks the innermost runs, cut to a range of output elements: gives each one's output elements
    /// relative to the range and where it starts in the inputs.
    #[inline(always)]
    pub(crate) fn runs(&self, range: Range<usize>) -> Runs<'_, N> {
        let mut counters = vec![0usize; self.outer.len()];
        let mut offsets = [0usize; N];
        let mut row = range.start / self.inner;
        for (k, (extent, steps)) in self.outer.iter().enumerate().rev() {
            // An empty range may have empty loops: there is nothing to find.
            counters[k] = row.checked_rem(*extent).unwrap_or(0);
            row = row.checked_div(*extent).unwrap_or(0);
            for i in 0..N {
                offsets[i] += counters[k] * steps[i];
            }
        }
        Runs {
            plan: self,
            counters,
            offsets,
            column: range.start % self.inner,
            done: 0,
            len: range.len(),
        }
    }
}

/// Walks the innermost runs of a [`Broadcast`]. An iterator, not a function that takes a closure: a
/// closure is compiled for the portable machine unless the compiler happens to inline it.
pub(crate) struct Runs<'a, const N: usize> {
    plan: &'a Broadcast<N>,
    counters: Vec<usize>,
    offsets: [usize; N],
    column: usize,
    done: usize,
    len: usize,
}

impl<const N: usize> Iterator for Runs<'_, N> {
    type Item = (Range<usize>, [usize; N]);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.done >= self.len {
            return None;
        }
        let plan = self.plan;
        let stop = (self.done + plan.inner - self.column).min(self.len);
        let mut starts = self.offsets;
        for (start, step) in starts.iter_mut().zip(plan.inner_steps) {
            *start += self.column * step;
        }
        let run = self.done..stop;
        self.done = stop;
        self.column = 0;
        if stop < self.len {
            self.advance();
        }
        Some((run, starts))
    }
}

impl<const N: usize> Runs<'_, N> {
    /// Goes to the next turn of the loops around the innermost one.
    #[inline(always)]
    fn advance(&mut self) {
        for (k, (extent, steps)) in self.plan.outer.iter().enumerate().rev() {
            self.counters[k] += 1;
            if self.counters[k] < *extent {
                for (offset, step) in self.offsets.iter_mut().zip(steps) {
                    *offset += step;
                }
                break;
            }
            self.counters[k] = 0;
            for (offset, step) in self.offsets.iter_mut().zip(steps) {
                *offset -= step * (extent - 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists the input offsets of every output element by the definition of broadcasting.
    fn oracle(shape: &[usize], input: &[usize]) -> Vec<usize> {
        let len: usize = shape.iter().product();
        let pad = shape.len() - input.len();
        (0..len)
            .map(|flat| {
                let (mut rest, mut offset, mut step) = (flat, 0, 1);
                for d in (0..shape.len()).rev() {
                    let index = rest % shape[d];
                    rest /= shape[d];
                    if d >= pad {
                        if input[d - pad] != 1 {
                            offset += index * step;
                        }
                        step *= input[d - pad];
                    }
                }
                offset
            })
            .collect()
    }

    fn walked(plan: &Broadcast<2>, range: Range<usize>) -> Vec<[usize; 2]> {
        let mut out = Vec::new();
        let steps = plan.inner_steps();
        for (run, starts) in plan.runs(range) {
            assert_eq!(run.start, out.len());
            for j in 0..run.len() {
                out.push([starts[0] + j * steps[0], starts[1] + j * steps[1]]);
            }
        }
        out
    }

    #[test]
    fn every_element_meets_its_broadcast_partners() {
        let cases: [(&[usize], &[usize], &[usize]); 9] = [
            (&[2, 3, 4], &[2, 3, 4], &[2, 3, 4]),
            (&[2, 3, 4], &[2, 3, 4], &[]),
            (&[2, 3, 4], &[4], &[2, 3, 1]),
            (&[2, 3, 4], &[3, 1], &[2, 1, 4]),
            (&[5, 1, 3, 2], &[1, 1, 2], &[5, 1, 1, 1]),
            (&[1, 1], &[1], &[1, 1]),
            (&[], &[], &[]),
            (&[4, 5], &[4, 1], &[1, 5]),
            (&[3, 0, 2], &[1, 2], &[3, 0, 1]),
        ];
        for (shape, a, b) in cases {
            let plan = Broadcast::new(shape, [a, b]);
            let want: Vec<_> = oracle(shape, a)
                .into_iter()
                .zip(oracle(shape, b))
                .map(|(a, b)| [a, b])
                .collect();
            assert_eq!(plan.len(), want.len());
            for start in 0..want.len() {
                for end in start..=want.len() {
                    assert_eq!(
                        walked(&plan, start..end),
                        want[start..end],
                        "{shape:?} {a:?} {b:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn usual_cases_merge_to_one_or_two_loops() {
        assert!(
            Broadcast::new(&[2, 3, 4], [&[2, 3, 4], &[2, 3, 4]])
                .outer
                .is_empty()
        );
        assert!(
            Broadcast::new(&[2, 3, 4], [&[2, 3, 4], &[1]])
                .outer
                .is_empty()
        );
        assert_eq!(
            Broadcast::new(&[2, 3, 4], [&[2, 3, 4], &[4]]).outer.len(),
            1
        );
        assert_eq!(
            Broadcast::new(&[1, 8, 6, 6], [&[1, 8, 6, 6], &[8, 1, 1]]).inner,
            36
        );
    }
}
