//! Matrices as kernels read them: strided views, and right-hand sides packed into panels.

use crate::aligned::Aligned;
use crate::simd::Real;

/// Is how many bytes one k of a panel takes: two AVX-512 registers, whatever the machine.
pub(super) const PANEL_BYTES: usize = 128;

/// Views a slice as a matrix with any strides.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    pub(crate) data: &'a [T],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// Views rows that follow each other.
    ///
    /// # Panics
    /// Panics when the slice is too short.
    #[inline]
    pub fn row_major(data: &'a [T], rows: usize, columns: usize) -> Self {
        Self::strided(data, [rows, columns], [columns, 1])
    }

    /// Views numbers at `row * strides[0] + column * strides[1]`.
    ///
    /// # Panics
    /// Panics when the slice is too short.
    #[inline]
    pub fn strided(data: &'a [T], [rows, columns]: [usize; 2], strides: [usize; 2]) -> Self {
        let [row_stride, column_stride] = strides;
        if rows > 0 && columns > 0 {
            let last = (rows - 1) * row_stride + (columns - 1) * column_stride;
            assert!(
                last < data.len(),
                "matrix reaches {last} of {} numbers",
                data.len()
            );
        }
        Self {
            data,
            rows,
            columns,
            row_stride,
            column_stride,
        }
    }

    /// Views the same numbers with rows and columns exchanged.
    #[inline]
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Returns the number of rows and of columns.
    #[inline]
    pub fn shape(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }
}

/// Holds a right-hand side in the order the microkernels read it; the same for all instruction
/// sets.
///
/// Panels of 32 (f32) or 16 (f64) columns lie one after another; inside a panel the columns of one
/// k are adjacent. The last panel is half as wide where that suffices; missing columns are zero.
#[derive(Clone)]
pub struct PackedB<T> {
    pub(crate) k: usize,
    pub(crate) n: usize,
    data: Aligned<T>,
}

impl<T> std::fmt::Debug for PackedB<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PackedB({} x {})", self.k, self.n)
    }
}

impl<T: Real> PackedB<T> {
    /// Is the number of columns of a whole panel.
    pub(crate) const PANEL: usize = PANEL_BYTES / size_of::<T>();

    /// Packs a `k x n` matrix.
    pub fn new(b: Matrix<'_, T>) -> Self {
        let [k, n] = b.shape();
        let whole = n / Self::PANEL;
        let mut data = Aligned::zeroed(k * (whole * Self::PANEL + Self::last_width(n)));
        for start in (0..n).step_by(Self::PANEL) {
            let columns = (n - start).min(Self::PANEL);
            let width = if columns == Self::PANEL {
                Self::PANEL
            } else {
                Self::last_width(n)
            };
            let panel = &mut data[k * start..][..k * width];
            pack_panel(panel, width, &b, start, columns);
        }
        Self { k, n, data }
    }

    /// Returns k and n.
    pub fn shape(&self) -> [usize; 2] {
        [self.k, self.n]
    }

    /// Returns the bytes held.
    pub fn size_bytes(&self) -> usize {
        self.data.len() * size_of::<T>()
    }

    /// Returns the width of the incomplete panel of `n` columns (0 when there is none).
    fn last_width(n: usize) -> usize {
        let half = Self::PANEL / 2;
        (n % Self::PANEL).div_ceil(half) * half
    }

    /// Returns where column `start` begins and the distance from one k to the next.
    #[inline]
    pub(crate) fn at(&self, start: usize) -> (*const T, usize) {
        let panel = start - start % Self::PANEL;
        let width = if panel + Self::PANEL <= self.n {
            Self::PANEL
        } else {
            Self::last_width(self.n)
        };
        // With k = 0 there are no numbers; the address is then never read.
        let from = self
            .data
            .as_ptr()
            .wrapping_add(self.k * panel + (start - panel));
        (from, width)
    }
}

/// Copies the columns of one panel; columns that do not exist keep their zeros.
fn pack_panel<T: Real>(
    panel: &mut [T],
    width: usize,
    b: &Matrix<'_, T>,
    start: usize,
    columns: usize,
) {
    /// Is how many k are moved per column before the next: their lines stay in the first cache.
    const BLOCK: usize = 16;
    if b.column_stride == 1 {
        for (k, row) in panel.chunks_exact_mut(width).enumerate() {
            let from = k * b.row_stride + start;
            row[..columns].copy_from_slice(&b.data[from..from + columns]);
        }
        return;
    }
    for (block, rows) in panel.chunks_mut(BLOCK * width).enumerate() {
        for j in 0..columns {
            let from = (start + j) * b.column_stride + block * BLOCK * b.row_stride;
            for (i, row) in rows.chunks_exact_mut(width).enumerate() {
                row[j] = b.data[from + i * b.row_stride];
            }
        }
    }
}

/// Copies a block of A into strips of `strip` rows, k-major; the last strip has the rows left.
pub(crate) fn pack_strips<T: Real>(
    strips: &mut [T],
    a: &Matrix<'_, T>,
    rows: std::ops::Range<usize>,
    ks: std::ops::Range<usize>,
    strip: usize,
) {
    let depth = ks.len();
    for start in rows.clone().step_by(strip) {
        let count = (rows.end - start).min(strip);
        let into = &mut strips[(start - rows.start) * depth..][..count * depth];
        for i in 0..count {
            let from = (start + i) * a.row_stride + ks.start * a.column_stride;
            let to = into[i..].iter_mut().step_by(count);
            if a.column_stride == 1 {
                to.zip(&a.data[from..from + depth])
                    .for_each(|(to, x)| *to = *x);
            } else {
                to.enumerate()
                    .for_each(|(k, to)| *to = a.data[from + k * a.column_stride]);
            }
        }
    }
}
