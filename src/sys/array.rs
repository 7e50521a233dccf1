//! Heap arrays that stay where they are.

use std::ptr::NonNull;

/// Values on the heap. Pointers to them stay valid as long as it lives, however it is moved, and while others of them are
/// borrowed: no reference to all of them is ever made.
pub(super) struct Array<T> {
    // INVARIANT: `start` points to `len` initialised values, one allocation of a `Box<[T]>` that nobody else owns.
    start: NonNull<T>,
    len: usize,
}

// SAFETY: it owns its values, as a box does.
unsafe impl<T: Send> Send for Array<T> {}
// SAFETY: a shared reference to it gives shared references to its values, and pointers, which are safe to have.
unsafe impl<T: Sync> Sync for Array<T> {}

impl<T> Array<T> {
    pub(super) fn new(len: usize, value: impl FnMut() -> T) -> Self {
        let values: Box<[T]> = std::iter::repeat_with(value).take(len).collect();
        // INVARIANT: leaked here, and owned by this from now on.
        Self { start: NonNull::from(Box::leak(values)).cast(), len }
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Where the values are; with as many bytes behind it as they take.
    #[inline(always)]
    pub(super) fn as_ptr(&self) -> *mut T {
        self.start.as_ptr()
    }

    #[inline(always)]
    pub(super) fn get(&self, index: usize) -> Option<&T> {
        if index >= self.len {
            return None;
        }
        // SAFETY: `index` is inside the array, in one allocation.
        let at = unsafe { self.start.add(index) };
        // SAFETY: the field's invariant: it is initialised, and `&self` keeps it from being written.
        Some(unsafe { at.as_ref() })
    }

    #[inline(always)]
    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        if index >= self.len {
            return None;
        }
        // SAFETY: `index` is inside the array, in one allocation.
        let mut at = unsafe { self.start.add(index) };
        // SAFETY: the field's invariant: it is initialised, and `&mut self` makes this the only reference.
        Some(unsafe { at.as_mut() })
    }
}

impl<T: Copy + Default> Array<T> {
    /// Of the default, which is zero: memory that the system hands out zeroed is not touched.
    pub(super) fn zeroed(len: usize) -> Self {
        let values = vec![T::default(); len].into_boxed_slice();
        // INVARIANT: leaked here, and owned by this from now on.
        Self { start: NonNull::from(Box::leak(values)).cast(), len }
    }
}

impl<T> Drop for Array<T> {
    fn drop(&mut self) {
        let values = std::ptr::slice_from_raw_parts_mut(self.start.as_ptr(), self.len);
        // SAFETY: the field's invariant: it was a box, and is owned by this alone.
        drop(unsafe { Box::from_raw(values) });
    }
}
