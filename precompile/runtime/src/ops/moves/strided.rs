//! One copy for most movements: each dimension steps through source and target by its own stride.

use assay_numerics::Engine;

use crate::error::OpError;

/// Rows and columns of the blocks in which transposed data is moved, so that both sides stay in
/// cache.
const TILE: usize = 16;

/// Is the number of elements from which threads pay.
const THREAD_ELEMENTS: usize = 1 << 13;

/// Steps of one dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Dim {
    len: usize,
    to: isize,
    from: isize,
}

/// Describes a copy of `shape` elements between two buffers.
#[derive(Clone, Debug)]
pub(crate) struct Strided {
    dims: Vec<Dim>,
    to_at: isize,
    from_at: isize,
    empty: bool,
}

/// Returns the strides of a row-major tensor; the shape's product was checked.
pub(crate) fn row_major(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1isize; shape.len()];
    let mut step = 1isize;
    for (stride, &dim) in strides.iter_mut().zip(shape).rev() {
        *stride = step;
        step = step.saturating_mul(dim.max(1) as isize);
    }
    strides
}

impl Strided {
    /// Plans a copy; `to` and `from` hold a stride for each dimension of `shape`.
    pub(crate) fn new(shape: &[usize], to: (&[isize], isize), from: (&[isize], isize)) -> Self {
        let mut dims: Vec<Dim> = Vec::with_capacity(shape.len());
        for ((&len, &to), &from) in shape.iter().zip(to.0).zip(from.0) {
            if len == 1 {
                continue;
            }
            let size = len as isize;
            // Two dimensions that continue each other on both sides are one.
            match dims.last_mut() {
                Some(outer)
                    if Some(outer.to) == to.checked_mul(size)
                        && Some(outer.from) == from.checked_mul(size) =>
                {
                    *outer = Dim {
                        len: outer.len * len,
                        to,
                        from,
                    };
                }
                _ => dims.push(Dim { len, to, from }),
            }
        }
        // The order of the loops is free: write forward innermost, read forward next to it.
        if let Some(at) = dims.iter().rposition(|dim| dim.to == 1) {
            let inner = dims.remove(at);
            dims.push(inner);
        }
        let outer = dims.len().saturating_sub(1);
        if let Some(at) = dims.iter().take(outer).rposition(|dim| dim.from == 1) {
            let next = dims.remove(at);
            dims.insert(outer - 1, next);
        }
        Self {
            dims,
            to_at: to.1,
            from_at: from.1,
            empty: shape.contains(&0),
        }
    }

    /// Plans a copy that fills a row-major target.
    pub(crate) fn into_rows(shape: &[usize], from: (&[isize], isize)) -> Self {
        Self::new(shape, (&row_major(shape), 0), from)
    }

    /// Copies as [`Strided::copy`] does, on all threads where there is much to copy.
    pub(crate) fn copy_on<T: Clone + Send + Sync>(
        &self,
        engine: &Engine,
        to: &mut [T],
        from: &[T],
    ) -> Result<(), OpError> {
        let threads = engine.pool().threads();
        let Some((first, rest)) = self.dims.split_first() else {
            return self.copy(to, from);
        };
        // Slices of the first dimension are pieces of the target where nothing lies around them.
        let stride = usize::try_from(first.to).unwrap_or(0);
        let whole =
            stride > 1 && self.to_at == 0 && stride.checked_mul(first.len) == Some(to.len());
        if threads == 1 || self.empty || !whole || to.len() < THREAD_ELEMENTS {
            return self.copy(to, from);
        }
        self.check(to.len(), |dim| dim.to, self.to_at)?;
        self.check(from.len(), |dim| dim.from, self.from_at)?;
        let slices = first.len.div_ceil(threads * 2);
        engine.pool().run_pieces(to, slices * stride, |i, to| {
            let (start, len) = (i * slices, to.len() / stride);
            let piece = Self {
                dims: [&[Dim { len, ..*first }], rest].concat(),
                to_at: 0,
                from_at: self.from_at + start as isize * first.from,
                empty: false,
            };
            piece
                .copy(to, from)
                .expect("invariant: the whole copy stays inside the buffers");
        });
        Ok(())
    }

    /// Copies; refuses strides that leave either buffer.
    pub(crate) fn copy<T: Clone>(&self, to: &mut [T], from: &[T]) -> Result<(), OpError> {
        if self.empty {
            return Ok(());
        }
        self.check(to.len(), |dim| dim.to, self.to_at)?;
        self.check(from.len(), |dim| dim.from, self.from_at)?;
        let (outer, tile) = match self.dims.as_slice() {
            [] => {
                to[self.to_at as usize] = from[self.from_at as usize].clone();
                return Ok(());
            }
            [outer @ .., a, b] if a.from == 1 && b.to == 1 && b.from != 1 => {
                (outer, Some((*a, *b)))
            }
            [outer @ .., _] => (outer, None),
        };
        let inner = self.dims[self.dims.len() - 1];
        let mut at = vec![0usize; outer.len()];
        let (mut to_at, mut from_at) = (self.to_at, self.from_at);
        loop {
            match tile {
                Some((a, b)) => copy_tile(to, from, (to_at, from_at), a, b),
                None => copy_row(to, from, (to_at, from_at), inner),
            }
            if !advance(outer, &mut at, &mut to_at, &mut from_at) {
                return Ok(());
            }
        }
    }

    /// Checks that the lowest and the highest element touched lie inside a buffer.
    fn check(
        &self,
        len: usize,
        stride: impl Fn(&Dim) -> isize,
        start: isize,
    ) -> Result<(), OpError> {
        let (mut low, mut high) = (start as i128, start as i128);
        for dim in &self.dims {
            let reach = (dim.len as i128 - 1) * stride(dim) as i128;
            if reach < 0 {
                low += reach
            } else {
                high += reach
            }
        }
        if low < 0 || high >= len as i128 {
            return Err(OpError::DataLength {
                got: len,
                shape: self.dims.iter().map(|dim| dim.len).collect(),
            });
        }
        Ok(())
    }
}

/// Steps to the next row; false after the last.
fn advance(outer: &[Dim], at: &mut [usize], to: &mut isize, from: &mut isize) -> bool {
    for (dim, at) in outer.iter().zip(at).rev() {
        *at += 1;
        *to += dim.to;
        *from += dim.from;
        if *at < dim.len {
            return true;
        }
        *at = 0;
        *to -= dim.to * dim.len as isize;
        *from -= dim.from * dim.len as isize;
    }
    false
}

fn copy_row<T: Clone>(to: &mut [T], from: &[T], (to_at, from_at): (isize, isize), row: Dim) {
    if row.to == 1 {
        let target = &mut to[to_at as usize..to_at as usize + row.len];
        match row.from {
            1 => target.clone_from_slice(&from[from_at as usize..from_at as usize + row.len]),
            0 => target.fill(from[from_at as usize].clone()),
            step => {
                let mut at = from_at;
                for value in target {
                    *value = from[at as usize].clone();
                    at += step;
                }
            }
        }
        return;
    }
    let (mut to_at, mut from_at) = (to_at, from_at);
    for _ in 0..row.len {
        to[to_at as usize] = from[from_at as usize].clone();
        to_at += row.to;
        from_at += row.from;
    }
}

/// Transposes: `a` reads forward, `b` writes forward.
fn copy_tile<T: Clone>(to: &mut [T], from: &[T], (to_at, from_at): (isize, isize), a: Dim, b: Dim) {
    for a_start in (0..a.len).step_by(TILE) {
        let a_end = a.len.min(a_start + TILE);
        for b_start in (0..b.len).step_by(TILE) {
            let b_end = b.len.min(b_start + TILE);
            for i in a_start..a_end {
                let row = (to_at + i as isize * a.to) as usize;
                let column = from_at + i as isize;
                for (j, value) in (b_start..b_end).zip(&mut to[row + b_start..row + b_end]) {
                    *value = from[(column + j as isize * b.from) as usize].clone();
                }
            }
        }
    }
}
