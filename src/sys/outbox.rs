//! Storage for control messages to send, written front to back.

use std::mem::MaybeUninit;

use super::{ALIGN, CmsgLen, HEADER, LEVEL_AT, TYPE_AT, align_up};

/// Inline storage of `N` bytes for control messages.
#[repr(C, align(8))]
pub(crate) struct Outbox<const N: usize> {
    // INVARIANT: the first `len` bytes are initialised, and `len <= N`.
    bytes: [MaybeUninit<u8>; N],
    len: usize,
}

impl<const N: usize> Outbox<N> {
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        // INVARIANT: nothing is claimed.
        Self { bytes: [MaybeUninit::uninit(); N], len: 0 }
    }

    #[inline(always)]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        // SAFETY: the field's invariant: `len` bytes are initialised and inside the storage.
        unsafe { std::slice::from_raw_parts(self.bytes.as_ptr().cast(), self.len) }
    }

    /// The sink that appends to it.
    #[inline(always)]
    pub(crate) fn sink(&mut self) -> ByteSink<'_> {
        // INVARIANT: the same bytes and the same length.
        ByteSink { bytes: &mut self.bytes, len: &mut self.len }
    }
}

/// Where control messages are appended; the same for a header's own storage and for a caller's slice.
pub(crate) struct ByteSink<'b> {
    // INVARIANT: the first `*len` bytes are initialised, and `*len <= bytes.len()`.
    bytes: &'b mut [MaybeUninit<u8>],
    len: &'b mut usize,
}

impl<'b> ByteSink<'b> {
    /// A sink over a caller's bytes, empty.
    pub(crate) fn over(bytes: &'b mut [u8], len: &'b mut usize) -> Self {
        *len = 0;
        let (base, room) = (bytes.as_mut_ptr(), bytes.len());
        // SAFETY: 1. pointer and length come from an exclusive borrow that lives for 'b; 2. the type only relaxes
        // initialisation, and this room writes nothing but initialised bytes through it, so the caller's slice
        // stays initialised.
        let bytes = unsafe { std::slice::from_raw_parts_mut(base.cast(), room) };
        // INVARIANT: nothing is claimed.
        Self { bytes, len }
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        *self.len
    }

    #[inline(always)]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        // SAFETY: the field's invariant: `*len` bytes are initialised and inside the slice.
        unsafe { std::slice::from_raw_parts(self.bytes.as_ptr().cast(), *self.len) }
    }

    /// Appends header, payload and zeroed padding; without room, says how many bytes are needed in all.
    ///
    /// `payload` is at most `i32::MAX` bytes: the caller has checked.
    #[inline(always)]
    pub(crate) fn push(&mut self, level: i32, ty: i32, payload: &[u8]) -> Result<(), usize> {
        let space = HEADER + align_up(payload.len());
        let start = *self.len;
        let end = start + space;
        let Some(room) = self.bytes.get_mut(start..end) else {
            return Err(end);
        };
        let base = room.as_mut_ptr().cast::<u8>();
        if HEADER > TYPE_AT + 4 {
            zero(base, 0, HEADER);
        }
        put(base, 0, &((HEADER + payload.len()) as CmsgLen).to_ne_bytes());
        put(base, LEVEL_AT, &level.to_ne_bytes());
        put(base, TYPE_AT, &ty.to_ne_bytes());
        // The padding first, as one whole unit where there is any: it merges with the payload's last bytes.
        if payload.len() % ALIGN != 0 {
            zero(base, space - ALIGN, ALIGN);
        }
        put(base, HEADER, payload);
        // INVARIANT: header, payload and padding have been written, and `get_mut` has checked `end`.
        *self.len = end;
        return Ok(());

        // Both write inside `room`, which is `space` bytes long: every offset above ends at or before `space`.
        #[inline(always)]
        fn put(base: *mut u8, at: usize, bytes: &[u8]) {
            // SAFETY: `at` is inside `room` (see above), in one allocation.
            let to = unsafe { base.add(at) };
            // SAFETY: 1. the source is a slice; 2. `at + bytes.len()` is inside `room`; 3. the room is borrowed
            // exclusively, so they do not overlap.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        }
        #[inline(always)]
        fn zero(base: *mut u8, at: usize, len: usize) {
            // SAFETY: `at` is inside `room` (see above), in one allocation.
            let to = unsafe { base.add(at) };
            // SAFETY: `at + len` is inside `room`, which is borrowed exclusively.
            unsafe { std::ptr::write_bytes(to, 0, len) };
        }
    }

    /// Writes over bytes that have been written before.
    #[inline(always)]
    pub(crate) fn overwrite(&mut self, at: usize, bytes: &[u8]) {
        let written = &mut self.bytes[..*self.len];
        for (slot, byte) in written[at..at + bytes.len()].iter_mut().zip(bytes) {
            slot.write(*byte);
        }
    }

    /// Makes room for `grow` zeroed bytes at `at`, moving what follows.
    pub(crate) fn insert_zeros(&mut self, at: usize, grow: usize) -> Result<(), usize> {
        let end = *self.len + grow;
        if end > self.bytes.len() {
            return Err(end);
        }
        self.bytes.copy_within(at..*self.len, at + grow);
        for slot in &mut self.bytes[at..at + grow] {
            slot.write(0);
        }
        // INVARIANT: what stood behind `at` has been moved, the gap has been written.
        *self.len = end;
        Ok(())
    }

    /// Lets 4-byte integers be written into bytes that have been written before, from `at` on; returns how many
    /// there were. Stops at `end`.
    #[inline(always)]
    pub(crate) fn overwrite_ints(&mut self, at: usize, end: usize, ints: impl Iterator<Item = i32>) -> usize {
        let mut count = 0;
        for (slot, int) in self.bytes[..*self.len][at..end].chunks_exact_mut(4).zip(ints) {
            for (byte, value) in slot.iter_mut().zip(int.to_ne_bytes()) {
                byte.write(value);
            }
            count += 1;
        }
        count
    }
}
