//! One output, lent to several threads in disjoint parts.
#![allow(unsafe_code)]

use std::marker::PhantomData;

/// Lends disjoint parts of one output slice to several threads.
#[derive(Clone, Copy)]
pub(crate) struct SharedSlice<'a, T> {
    start: *mut T,
    len: usize,
    owner: PhantomData<&'a mut [T]>,
}

// SAFETY: parts are disjoint by the contract of `part`, so each element has one user at a time.
unsafe impl<T: Send> Send for SharedSlice<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SharedSlice<'_, T> {}

impl<'a, T> SharedSlice<'a, T> {
    /// Borrows the slice for as long as its parts are used.
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self {
            start: slice.as_mut_ptr(),
            len: slice.len(),
            owner: PhantomData,
        }
    }

    /// Returns the number of elements.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns the address of one part, for kernels that write some of it.
    ///
    /// # Safety
    /// Nothing that another thread reads or writes may be written through it.
    #[inline]
    pub(crate) unsafe fn part_ptr(&self, start: usize, end: usize) -> *mut T {
        assert!(
            start <= end && end <= self.len,
            "part {start}..{end} of {}",
            self.len
        );
        self.start.wrapping_add(start)
    }

    /// Lends one part.
    ///
    /// # Safety
    /// No two parts that are alive at the same time may overlap.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn part(&self, start: usize, end: usize) -> &mut [T] {
        assert!(
            start <= end && end <= self.len,
            "part {start}..{end} of {}",
            self.len
        );
        // SAFETY: the range was checked; the caller promises that parts do not overlap.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), end - start) }
    }
}
