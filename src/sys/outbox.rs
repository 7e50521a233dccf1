//! Storage for control messages to send, written front to back.

use std::{marker::PhantomData, mem::MaybeUninit};

use super::{ALIGN, CmsgLen, HEADER, LEVEL_AT, TYPE_AT, align_up};

/// So many integers go piece by piece, more by memcpy(3): its call takes longer for 1 and for 8, and less for 253
/// (`benches/report ratios build`); where between them it begins to was not measured.
const FEW: usize = 32;

/// What a register takes.
const BLOCK: usize = 16;

/// Where the bytes of an outbox are: in the header, or in a batch.
///
/// # Safety
///
/// * both methods give the same bytes every time
#[allow(unreachable_pub, reason = "named by a sealed trait, which has to be public")]
pub unsafe trait ByteRoom {
    #[doc(hidden)]
    fn bytes(&self) -> &[MaybeUninit<u8>];
    #[doc(hidden)]
    fn bytes_mut(&mut self) -> &mut [MaybeUninit<u8>];
}

/// `N` bytes, aligned for a header.
#[allow(unreachable_pub, reason = "named by a sealed trait, which has to be public")]
#[repr(C, align(8))]
pub struct InlineBytes<const N: usize>([MaybeUninit<u8>; N]);

// SAFETY: they are its field.
unsafe impl<const N: usize> ByteRoom for InlineBytes<N> {
    #[inline(always)]
    fn bytes(&self) -> &[MaybeUninit<u8>] {
        &self.0
    }
    #[inline(always)]
    fn bytes_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        &mut self.0
    }
}

// SAFETY: the slice is not replaced.
unsafe impl ByteRoom for &mut [MaybeUninit<u8>] {
    #[inline(always)]
    fn bytes(&self) -> &[MaybeUninit<u8>] {
        self
    }
    #[inline(always)]
    fn bytes_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        self
    }
}

/// Control messages to send.
#[allow(unreachable_pub, reason = "named by a sealed trait, which has to be public")]
pub struct Outbox<R> {
    // INVARIANT: the first `len` bytes are initialised, and `len` is no more than the room has.
    room: R,
    len: usize,
}

impl<const N: usize> Outbox<InlineBytes<N>> {
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self::over(InlineBytes([const { MaybeUninit::uninit() }; N]))
    }
}

impl<R> Outbox<R> {
    /// With bytes in this room.
    #[inline(always)]
    pub(crate) const fn over(room: R) -> Self {
        // INVARIANT: nothing is claimed.
        Self { room, len: 0 }
    }
}

impl<R: ByteRoom> Outbox<R> {
    #[inline(always)]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        // SAFETY: the field's invariant: `len` bytes are initialised and inside the storage.
        unsafe { std::slice::from_raw_parts(self.room.bytes().as_ptr().cast(), self.len) }
    }

    /// Bytes that are left of its room.
    #[inline(always)]
    pub(crate) fn free(&self) -> usize {
        self.room.bytes().len() - self.len
    }

    /// Lets `append` write to it, in a call that does not see the outbox: seen there, it would have to be in memory.
    #[inline(always)]
    pub(crate) fn append<E>(&mut self, append: impl FnOnce(ByteSink<'_>) -> Result<(), E>) -> Result<(), E> {
        let mut len = self.len;
        // INVARIANT: the same bytes and the same length.
        let result = append(ByteSink { bytes: self.room.bytes_mut(), len: &mut len });
        // INVARIANT: that of the sink.
        self.len = len;
        result
    }

    /// The sink that appends to it.
    #[inline(always)]
    pub(crate) fn sink(&mut self) -> ByteSink<'_> {
        // INVARIANT: the same bytes and the same length.
        ByteSink { bytes: self.room.bytes_mut(), len: &mut self.len }
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
        let room = self.room(payload.len())?;
        room.header(level, ty, payload.len());
        // The last bytes go with their padding as one whole unit: one store where the length is known.
        let (whole, rest) = payload.split_at(payload.len() / ALIGN * ALIGN);
        room.put(HEADER, whole);
        if !rest.is_empty() {
            let mut unit = [0; ALIGN];
            unit[..rest.len()].copy_from_slice(rest);
            room.put(HEADER + whole.len(), &unit);
        }
        // INVARIANT: header, payload and padding have been written.
        *self.len += room.space;
        Ok(())
    }

    /// Appends a message of integers, at most `count`; none at all make no message.
    #[inline(always)]
    pub(crate) fn push_ints(
        &mut self,
        level: i32,
        ty: i32,
        count: usize,
        ints: impl Iterator<Item = i32>,
    ) -> Result<(), usize> {
        let mut room = self.room(4 * count)?;
        let mut written = 0;
        for (slot, int) in room.ints(count).iter_mut().zip(ints) {
            slot.write(int.to_ne_bytes());
            written += 1;
        }
        if written == 0 {
            return Ok(());
        }
        let len = 4 * written;
        room.header(level, ty, len);
        room.pad(len);
        // INVARIANT: header, so many integers and padding have been written; that is no more than the room.
        *self.len += HEADER + align_up(len);
        Ok(())
    }

    /// Appends a message of integers that lie side by side.
    #[inline(always)]
    pub(crate) fn push_slice(&mut self, level: i32, ty: i32, ints: &[i32]) -> Result<(), usize> {
        let len = size_of_val(ints);
        let room = self.room(len)?;
        room.header(level, ty, len);
        // SAFETY: integers are initialised bytes, so many of them, and any address will do for bytes.
        let bytes: &[u8] = unsafe { std::slice::from_raw_parts(ints.as_ptr().cast(), len) };
        if ints.len() > FEW {
            room.put(HEADER, bytes);
        } else {
            let blocks = bytes.chunks_exact(BLOCK);
            let rest = blocks.remainder();
            let mut at = HEADER;
            for block in blocks {
                room.put(at, block);
                at += BLOCK;
            }
            for int in rest.chunks_exact(4) {
                room.put(at, int);
                at += 4;
            }
        }
        room.pad(len);
        // INVARIANT: header, integers and padding have been written.
        *self.len += room.space;
        Ok(())
    }

    /// Room for one more message behind the others.
    #[inline(always)]
    fn room(&mut self, payload: usize) -> Result<Room<'_>, usize> {
        let space = HEADER + align_up(payload);
        let end = *self.len + space;
        // `get_mut` would check also that the range is not reversed.
        if end > self.bytes.len() {
            return Err(end);
        }
        // SAFETY: `*self.len` is inside the storage (the field's invariant), in one allocation.
        let base = unsafe { self.bytes.as_mut_ptr().add(*self.len) };
        // INVARIANT: checked above.
        Ok(Room { base: base.cast(), space, storage: PhantomData })
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
}

/// Room for one message.
struct Room<'s> {
    // INVARIANT: `base` points to `space` bytes, at least a header, that are borrowed exclusively for 's.
    base: *mut u8,
    space: usize,
    storage: PhantomData<&'s mut [u8]>,
}

impl Room<'_> {
    #[inline(always)]
    fn header(&self, level: i32, ty: i32, payload: usize) {
        if HEADER > TYPE_AT + 4 {
            self.put(0, &[0; HEADER]);
        }
        self.put(0, &((HEADER + payload) as CmsgLen).to_ne_bytes());
        self.put(LEVEL_AT, &level.to_ne_bytes());
        self.put(TYPE_AT, &ty.to_ne_bytes());
    }

    /// Writes zeros behind integers of this length in all.
    #[inline(always)]
    fn pad(&self, len: usize) {
        if align_up(len) != len {
            // One integer is missing. A length that the compiler does not know would be a call.
            const { assert!(ALIGN <= 8) };
            self.put(HEADER + len, &[0; 4]);
        }
    }

    /// Writes `bytes` at an offset. The check is one only where the length is not known to the compiler.
    #[inline(always)]
    fn put(&self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= self.space);
        // SAFETY: `at` is inside the room, by the assertion, in one allocation.
        let to = unsafe { self.base.add(at) };
        // SAFETY: 1. the source is a slice; 2. `at + bytes.len()` is inside the room, by the assertion; 3. the room is
        // borrowed exclusively, so they do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }

    /// The payload as integers.
    #[inline(always)]
    fn ints(&mut self, count: usize) -> &mut [MaybeUninit<[u8; 4]>] {
        assert!(HEADER + 4 * count <= self.space);
        // SAFETY: the payload follows the header, inside the room, by the assertion.
        let first = unsafe { self.base.add(HEADER) };
        // SAFETY: 1. the assertion bounds the length; 2. bytes have no alignment; 3. the room is borrowed exclusively,
        // and not used while the slice is.
        unsafe { std::slice::from_raw_parts_mut(first.cast(), count) }
    }
}
