//! Matrix products of integers: wrapping sums, in whatever order.

use super::Strided;
use crate::engine::Engine;
use crate::fma::Fma;

/// Is an integer whose sums and products wrap.
pub trait Wrapping: Copy + Send + Sync {
    /// Is zero.
    const ZERO: Self;
    /// Is one.
    const ONE: Self;
    /// Adds a product, both wrapping.
    #[must_use]
    fn add_product(self, a: Self, b: Self) -> Self;
}

macro_rules! wrapping {
    ($($t:ty),*) => {$(
        impl Wrapping for $t {
            const ZERO: Self = 0;
            const ONE: Self = 1;
            #[inline(always)]
            fn add_product(self, a: Self, b: Self) -> Self {
                self.wrapping_add(a.wrapping_mul(b))
            }
        }
    )*};
}
wrapping!(i8, i16, i32, i64, u8, u16, u32, u64);

multiversion! {
    /// Adds `a * row` to the sums.
    fn add_scaled<T: Wrapping>(a: T, row: &[T], sums: &mut [T]) = add_scaled_body;
}

#[inline(always)]
fn add_scaled_body<F: Fma, T: Wrapping>(a: T, row: &[T], sums: &mut [T]) {
    for (sum, b) in sums.iter_mut().zip(row) {
        *sum = sum.add_product(a, *b);
    }
}

/// Computes one integer product per pair of offsets, the outputs one after another.
///
/// # Panics
/// Panics when the shapes or the lengths of the slices do not fit.
// Spec: N-12
pub fn matmul_wrapping<T: Wrapping>(
    engine: &Engine,
    a: Strided<'_, T>,
    b: Strided<'_, T>,
    [m, k, n]: [usize; 3],
    offsets: &[[usize; 2]],
    out: &mut [T],
) {
    assert_eq!(out.len(), offsets.len() * m * n, "room for the outputs");
    if m * n == 0 {
        return;
    }
    engine.pool().run_pieces(out, n, |row, sums| {
        let [a_start, b_start] = offsets[row / m];
        let a_row = a_start + row % m * a.strides[0];
        sums.fill(T::ZERO);
        for i in 0..k {
            let x = a.data[a_row + i * a.strides[1]];
            let from = b_start + i * b.strides[0];
            if b.strides[1] == 1 {
                add_scaled(engine, x, &b.data[from..from + n], sums);
            } else {
                for (j, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.add_product(x, b.data[from + j * b.strides[1]]);
                }
            }
        }
    });
}
