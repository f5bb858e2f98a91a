//! Byte matrices in the order the dot products read them: four k of one column side by side.
#![allow(unsafe_code)]

use super::dot::STRIP_ROWS;
use crate::aligned::Aligned;

/// Is the number of columns of a panel: two AVX-512 registers of 32-bit sums.
pub(crate) const PANEL: usize = 32;

/// Is bytes of either signedness.
#[derive(Clone, Copy, Debug)]
pub enum Bytes<'a> {
    /// From -128 to 127.
    Signed(&'a [i8]),
    /// From 0 to 255.
    Unsigned(&'a [u8]),
}

impl<'a> Bytes<'a> {
    /// Returns the bytes as they lie, and whether they are signed.
    pub(crate) fn raw(self) -> (&'a [u8], bool) {
        match self {
            Self::Unsigned(data) => (data, false),
            Self::Signed(data) => {
                // SAFETY: i8 and u8 have the same size and alignment, and any byte is a value of
                // both.
                (
                    unsafe { std::slice::from_raw_parts(data.as_ptr().cast(), data.len()) },
                    true,
                )
            }
        }
    }
}

/// Views bytes of either signedness as a matrix with any strides.
#[derive(Clone, Copy, Debug)]
pub struct ByteMatrix<'a> {
    data: &'a [u8],
    pub(crate) signed: bool,
    rows: usize,
    columns: usize,
    strides: [usize; 2],
}

impl<'a> ByteMatrix<'a> {
    /// Views bytes at `row * strides[0] + column * strides[1]`.
    ///
    /// # Panics
    /// Panics when the slice is too short.
    pub fn new(bytes: Bytes<'a>, shape: [usize; 2], strides: [usize; 2]) -> Self {
        let (data, signed) = bytes.raw();
        Self::raw(data, signed, shape, strides)
    }

    /// Views unsigned bytes.
    ///
    /// # Panics
    /// Panics when the slice is too short.
    pub fn unsigned(data: &'a [u8], shape: [usize; 2], strides: [usize; 2]) -> Self {
        Self::new(Bytes::Unsigned(data), shape, strides)
    }

    /// Views signed bytes.
    ///
    /// # Panics
    /// Panics when the slice is too short.
    pub fn signed(data: &'a [i8], shape: [usize; 2], strides: [usize; 2]) -> Self {
        Self::new(Bytes::Signed(data), shape, strides)
    }

    /// Views bytes of the signedness given.
    pub(crate) fn raw(
        data: &'a [u8],
        signed: bool,
        [rows, columns]: [usize; 2],
        strides: [usize; 2],
    ) -> Self {
        if rows > 0 && columns > 0 {
            let last = (rows - 1) * strides[0] + (columns - 1) * strides[1];
            assert!(
                last < data.len(),
                "matrix reaches {last} of {} bytes",
                data.len()
            );
        }
        Self {
            data,
            signed,
            rows,
            columns,
            strides,
        }
    }

    /// Returns the number of rows and of columns.
    pub fn shape(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }
}

/// Holds a right-hand side as signed bytes in panels of 32 columns, with the sum of every column.
///
/// Inside a panel the four k of a column are adjacent, then the columns, then the groups of k.
/// Missing columns and k are zero.
#[derive(Clone, Debug)]
pub struct PackedBytes {
    data: Aligned<i8>,
    sums: Vec<i32>,
    k: usize,
    was_signed: bool,
}

impl PackedBytes {
    /// Packs a `k x n` matrix.
    pub fn new(b: ByteMatrix<'_>) -> Self {
        let [k, n] = b.shape();
        let quads = k.div_ceil(4);
        let flip = if b.signed { 0 } else { 0x80 };
        let mut data = Aligned::<i8>::zeroed(n.div_ceil(PANEL) * quads * PANEL * 4);
        let mut sums = vec![0i32; n];
        for (j, sum) in sums.iter_mut().enumerate() {
            let panel = &mut data[j / PANEL * quads * PANEL * 4..];
            for i in 0..k {
                let byte = b.data[i * b.strides[0] + j * b.strides[1]] ^ flip;
                let byte = byte.cast_signed();
                panel[i / 4 * PANEL * 4 + j % PANEL * 4 + i % 4] = byte;
                *sum = sum.wrapping_add(byte.into());
            }
        }
        Self {
            data,
            sums,
            k,
            was_signed: b.signed,
        }
    }

    /// Returns k and n.
    pub fn shape(&self) -> [usize; 2] {
        [self.k, self.sums.len()]
    }

    /// Returns the bytes held.
    pub fn size_bytes(&self) -> usize {
        self.data.len() + self.sums.len() * size_of::<i32>()
    }

    /// Tells whether the bytes were signed before packing (else they were moved by -128).
    pub(crate) fn was_signed(&self) -> bool {
        self.was_signed
    }

    /// Returns the sum of each column of the packed bytes.
    pub(crate) fn sums(&self) -> &[i32] {
        &self.sums
    }

    /// Returns one panel.
    pub(crate) fn panel(&self, index: usize) -> &[i8] {
        let size = self.k.div_ceil(4) * PANEL * 4;
        &self.data[index * size..][..size]
    }
}

/// Copies rows of A into a strip: the four k of a row are adjacent, then the rows, then the groups
/// of k. Bytes become unsigned; missing k are zero.
pub(crate) fn pack_rows(strip: &mut [u8], a: &ByteMatrix<'_>, first: usize, count: usize) {
    let flip = if a.signed { 0x80 } else { 0 };
    let [row_stride, column_stride] = a.strides;
    for i in 0..count {
        let from = (first + i) * row_stride;
        let quads = strip.chunks_exact_mut(STRIP_ROWS * 4);
        if column_stride == 1 {
            let row = &a.data[from.min(a.data.len())..];
            let row = &row[..a.columns.min(row.len())];
            for (to, from) in quads.zip(row.chunks(4)) {
                if let ([a, b, c, d], to) = (from, &mut to[i * 4..][..4]) {
                    to.copy_from_slice(&[a ^ flip, b ^ flip, c ^ flip, d ^ flip]);
                } else {
                    to[i * 4..][..4].fill(0);
                    to[i * 4..]
                        .iter_mut()
                        .zip(from)
                        .for_each(|(to, x)| *to = x ^ flip);
                }
            }
        } else {
            for (quad, to) in quads.enumerate() {
                for (l, to) in to[i * 4..][..4].iter_mut().enumerate() {
                    let k = quad * 4 + l;
                    *to = if k < a.columns {
                        a.data[from + k * column_stride] ^ flip
                    } else {
                        0
                    };
                }
            }
        }
    }
}

/// Sums the bytes of each row of a strip.
pub(crate) fn row_sums(strip: &[u8], count: usize, quads: usize, sums: &mut [i32; STRIP_ROWS]) {
    sums.fill(0);
    for quad in strip.chunks_exact(STRIP_ROWS * 4).take(quads) {
        for (sum, bytes) in sums.iter_mut().zip(quad.chunks_exact(4)).take(count) {
            *sum = bytes
                .iter()
                .fold(*sum, |sum, byte| sum.wrapping_add(i32::from(*byte)));
        }
    }
}
