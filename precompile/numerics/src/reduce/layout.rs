//! Where the elements of each output stand, for a shape and a set of reduced axes.

/// Holds a shape cut into kept and reduced loops; neighbours of one kind are merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReduceLayout {
    /// Kept loops around the innermost one: extent and stride, outermost first.
    kept: Vec<(usize, usize)>,
    /// Reduced loops around the innermost run, likewise.
    reduced: Vec<(usize, usize)>,
    /// Adjacent outputs, where the innermost axis is kept; else 1.
    width: usize,
    /// Contiguous reduced elements, where the innermost axis is reduced; else 1.
    run: usize,
    count: usize,
    outputs: usize,
}

impl ReduceLayout {
    /// Plans a reduction of the axes whose flag is set.
    ///
    /// # Panics
    /// When there is not one flag per axis.
    pub fn new(shape: &[usize], reduced: &[bool]) -> Self {
        assert_eq!(shape.len(), reduced.len());
        let mut loops: Vec<(usize, usize, bool)> = Vec::with_capacity(shape.len());
        let mut stride = 1;
        for (&extent, &flag) in shape.iter().zip(reduced).rev() {
            match loops.last_mut() {
                _ if extent == 1 => {}
                Some((inside, _, kind)) if *kind == flag => *inside *= extent,
                _ => loops.push((extent, stride, flag)),
            }
            stride *= extent;
        }
        let product =
            |kind: bool| -> usize { loops.iter().filter(|l| l.2 == kind).map(|l| l.0).product() };
        let (count, outputs) = (product(true), product(false));
        let (mut width, mut run) = (1, 1);
        if let Some(&(extent, _, kind)) = loops.first() {
            *(if kind { &mut run } else { &mut width }) = extent;
            loops.remove(0);
        }
        let pick = |kind: bool| {
            loops
                .iter()
                .rev()
                .filter(|l| l.2 == kind)
                .map(|l| (l.0, l.1))
                .collect::<Vec<_>>()
        };
        Self {
            kept: pick(false),
            reduced: pick(true),
            width,
            run,
            count,
            outputs,
        }
    }

    /// Plans a reduction of `rows` contiguous rows of `count` elements.
    pub fn rows(rows: usize, count: usize) -> Self {
        Self::new(&[rows, count], &[false, true])
    }

    /// Returns the number of elements that each output reduces.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the number of outputs.
    pub fn output_len(&self) -> usize {
        self.outputs
    }

    /// Returns the number of inputs.
    pub fn input_len(&self) -> usize {
        self.outputs * self.count
    }

    #[inline(always)]
    pub(super) fn width(&self) -> usize {
        self.width
    }

    #[inline(always)]
    pub(super) fn run(&self) -> usize {
        self.run
    }

    /// Returns the offset of an output's first element.
    #[inline(always)]
    pub(super) fn base(&self, output: usize) -> usize {
        let mut row = output / self.width;
        let mut offset = output % self.width;
        for (extent, stride) in self.kept.iter().rev() {
            offset += row % extent * stride;
            row /= extent;
        }
        offset
    }

    /// Calls `f` with the offset of every innermost run, in the order of the reduction index.
    #[inline(always)]
    pub(super) fn reduced_offsets(&self, mut f: impl FnMut(usize)) {
        let Some((&(extent, stride), around)) = self.reduced.split_last() else {
            return f(0);
        };
        let mut counters = vec![0usize; around.len()];
        let mut base = 0;
        loop {
            for k in 0..extent {
                f(base + k * stride);
            }
            let mut level = around.len();
            loop {
                if level == 0 {
                    return;
                }
                level -= 1;
                let (extent, stride) = around[level];
                counters[level] += 1;
                base += stride;
                if counters[level] < extent {
                    break;
                }
                base -= stride * extent;
                counters[level] = 0;
            }
        }
    }
}
