//! Lists of buffers to gather from and to scatter into, inline up to [`INLINE_SLICES`], borrowed beyond.

use std::{
    io::{IoSlice, IoSliceMut},
    marker::PhantomData,
    mem::MaybeUninit,
    ops::Deref,
};

use nix::libc;

/// Bytes in all of them; one buffer may stand in a list many times.
#[inline(always)]
pub(crate) fn total(slices: &[impl Deref<Target = [u8]>]) -> usize {
    slices.iter().fold(0, |sum: usize, slice| sum.saturating_add(slice.len()))
}

/// How many buffers a header holds itself.
pub(crate) const INLINE_SLICES: usize = 64;

/// Entries in the header itself.
#[allow(unreachable_pub, reason = "named by a sealed trait, which has to be public")]
pub type InlineSlices<'a> = [MaybeUninit<IoSlice<'a>>; INLINE_SLICES];

/// Where a list of buffers to gather from has its own entries: in the header, or in a batch.
///
/// # Safety
///
/// * both methods give the same entries every time
#[allow(unreachable_pub, reason = "named by a sealed trait, which has to be public")]
pub unsafe trait SliceRoom<'a> {
    #[doc(hidden)]
    fn entries(&self) -> &[MaybeUninit<IoSlice<'a>>];
    #[doc(hidden)]
    fn entries_mut(&mut self) -> &mut [MaybeUninit<IoSlice<'a>>];
    /// An entry of so many bytes has been written.
    #[doc(hidden)]
    fn count(&mut self, bytes: usize);
}

// SAFETY: an array is its entries.
unsafe impl<'a> SliceRoom<'a> for InlineSlices<'a> {
    #[inline(always)]
    fn entries(&self) -> &[MaybeUninit<IoSlice<'a>>] {
        self
    }
    #[inline(always)]
    fn entries_mut(&mut self) -> &mut [MaybeUninit<IoSlice<'a>>] {
        self
    }
    #[inline(always)]
    fn count(&mut self, _: usize) {}
}

/// Entries in a batch. How many bytes they describe is counted as they come: asked of them later, each would be read from
/// memory.
#[allow(unreachable_pub, reason = "named by a sealed trait, which has to be public")]
#[derive(Default)]
pub struct SharedSlices<'s, 'a> {
    entries: &'s mut [MaybeUninit<IoSlice<'a>>],
    bytes: usize,
}

// SAFETY: the slice is not replaced.
unsafe impl<'a> SliceRoom<'a> for SharedSlices<'_, 'a> {
    #[inline(always)]
    fn entries(&self) -> &[MaybeUninit<IoSlice<'a>>] {
        self.entries
    }
    #[inline(always)]
    fn entries_mut(&mut self) -> &mut [MaybeUninit<IoSlice<'a>>] {
        self.entries
    }
    #[inline(always)]
    fn count(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// Buffers to gather from (`msg_iov` of a send).
#[allow(unreachable_pub, reason = "named by a sealed trait, which has to be public")]
pub struct IoSlices<'a, R = InlineSlices<'a>> {
    // INVARIANT: with `borrowed`, it is that list's length; without, so many entries of `room` are initialised, and
    // there are no more than it has. One count for both: the way to the system call has one branch less.
    count: usize,
    borrowed: Option<&'a [IoSlice<'a>]>,
    room: R,
}

impl<'a> IoSlices<'a> {
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        // INVARIANT: nothing is claimed.
        Self { count: 0, borrowed: None, room: [const { MaybeUninit::uninit() }; INLINE_SLICES] }
    }
}

impl<'s, 'a> IoSlices<'a, SharedSlices<'s, 'a>> {
    /// With these entries.
    #[inline(always)]
    pub(super) const fn over(entries: &'s mut [MaybeUninit<IoSlice<'a>>]) -> Self {
        // INVARIANT: nothing is claimed.
        Self { count: 0, borrowed: None, room: SharedSlices { entries, bytes: 0 } }
    }

    /// Bytes in all of them.
    #[inline(always)]
    pub(super) fn bytes(&self) -> usize {
        match self.borrowed {
            Some(list) => total(list),
            None => self.room.bytes,
        }
    }
}

impl<'a, R: SliceRoom<'a>> IoSlices<'a, R> {
    #[inline(always)]
    pub(crate) fn as_slice(&self) -> &[IoSlice<'a>] {
        let first = match self.borrowed {
            Some(slices) => slices.as_ptr(),
            None => self.room.entries().as_ptr().cast(),
        };
        // SAFETY: the field's invariant: behind `first` are `count` initialised entries, of the caller's list or of
        // the room, borrowed for as long as `self`.
        unsafe { std::slice::from_raw_parts(first, self.count) }
    }

    /// How many entries it has room for.
    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.room.entries().len()
    }

    /// How many entries of its room it uses.
    #[inline(always)]
    pub(super) fn used(&self) -> usize {
        if self.borrowed.is_some() { 0 } else { self.count }
    }

    /// Adds one buffer; when there is no room, says how many there would be.
    #[inline(always)]
    pub(crate) fn push(&mut self, bytes: &'a [u8]) -> Result<(), usize> {
        if let Some(list) = self.borrowed {
            // Its entries by value, here and below: a call with `self` would make the compiler keep it in memory.
            copy_entries(&mut self.room, 0, list, 1)?;
            // INVARIANT: so many entries of the room are initialised now.
            self.borrowed = None;
        }
        match self.room.entries_mut().get_mut(self.count) {
            Some(slot) => {
                slot.write(IoSlice::new(bytes));
                self.room.count(bytes.len());
                // INVARIANT: the entry at the old `count` has just been written.
                self.count += 1;
                Ok(())
            }
            None => Err(self.count + 1),
        }
    }

    /// Adds buffers, by reference as long as they are the only ones.
    #[inline]
    pub(crate) fn set_or_extend(&mut self, slices: &'a [IoSlice<'a>]) -> Result<(), usize> {
        if self.count == 0 {
            // INVARIANT: the list with its length.
            (self.borrowed, self.count) = (Some(slices), slices.len());
            return Ok(());
        }
        self.extend(slices)
    }

    fn extend(&mut self, slices: &[IoSlice<'a>]) -> Result<(), usize> {
        if let Some(list) = self.borrowed {
            copy_entries(&mut self.room, 0, list, slices.len())?;
            // INVARIANT: so many entries of the room are initialised now.
            self.borrowed = None;
        }
        copy_entries(&mut self.room, self.count, slices, 0)?;
        // INVARIANT: those behind the old `count` have just been written.
        self.count += slices.len();
        Ok(())
    }

    /// Lets `fill` write into the free entries; it returns how many it used.
    #[cfg(feature = "bytes")]
    pub(crate) fn fill(&mut self, fill: impl FnOnce(&mut [IoSlice<'a>]) -> usize) -> Result<(), usize> {
        self.extend(&[])?;
        let free = &mut self.room.entries_mut()[self.count..];
        for slot in &mut *free {
            slot.write(IoSlice::new(&[]));
        }
        let room = free.len();
        // SAFETY: the loop above has initialised every entry of `free`, and the borrow of `self` is kept.
        let free = unsafe { std::slice::from_raw_parts_mut(free.as_mut_ptr().cast::<IoSlice<'a>>(), room) };
        let used = fill(free).min(room);
        let bytes = total(&free[..used]);
        self.room.count(bytes);
        // INVARIANT: the free entries are all initialised, `used` is no more than there are.
        self.count += used;
        Ok(())
    }
}

/// Copies a list to this place in `room`, if so many `more` fit behind it; else says how many there would be.
#[cold]
fn copy_entries<'a>(room: &mut impl SliceRoom<'a>, at: usize, list: &[IoSlice<'a>], more: usize) -> Result<(), usize> {
    let needed = at + list.len() + more;
    if needed > room.entries().len() {
        return Err(needed);
    }
    for (slot, slice) in room.entries_mut()[at..].iter_mut().zip(list) {
        slot.write(*slice);
    }
    room.count(total(list));
    Ok(())
}

/// Buffers to scatter into (`msg_iov` of a receive).
pub(crate) struct IoSlicesMut<'a> {
    // INVARIANT: the first `count` entries of `inline` are initialised, `count <= INLINE_SLICES`, and each entry
    // describes memory borrowed exclusively for 'a.
    count: usize,
    borrowed: Option<&'a mut [IoSliceMut<'a>]>,
    inline: [MaybeUninit<libc::iovec>; INLINE_SLICES],
    // INVARIANT: the first `filled` bytes over all buffers in order are initialised; buffers are only added behind.
    filled: usize,
    memory: PhantomData<&'a mut [u8]>,
}

// SAFETY: the pointers in `inline` stand for `&'a mut [MaybeUninit<u8>]`, which is Send.
unsafe impl Send for IoSlicesMut<'_> {}
// SAFETY: a shared reference gives no access to the memory but the initialised part of it, as `&[u8]`.
unsafe impl Sync for IoSlicesMut<'_> {}

impl<'a> IoSlicesMut<'a> {
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        // INVARIANT: nothing is claimed.
        Self {
            count: 0,
            borrowed: None,
            inline: [const { MaybeUninit::uninit() }; INLINE_SLICES],
            filled: 0,
            memory: PhantomData,
        }
    }

    /// Adds one initialised buffer; when there is no room, says how many there would be.
    #[inline(always)]
    pub(crate) fn push(&mut self, bytes: &'a mut [u8]) -> Result<(), usize> {
        self.push_raw(bytes.as_mut_ptr(), bytes.len())
    }

    /// Adds one buffer that may be uninitialised.
    #[inline(always)]
    pub(crate) fn push_uninit(&mut self, bytes: &'a mut [MaybeUninit<u8>]) -> Result<(), usize> {
        self.push_raw(bytes.as_mut_ptr().cast(), bytes.len())
    }

    // The callers pass memory that they borrowed exclusively for 'a.
    #[inline(always)]
    fn push_raw(&mut self, base: *mut u8, len: usize) -> Result<(), usize> {
        if self.borrowed.is_some() {
            self.copy_borrowed(1)?;
        }
        match self.inline.get_mut(self.count) {
            Some(slot) => {
                slot.write(libc::iovec { iov_base: base.cast(), iov_len: len });
                // INVARIANT: the entry at the old `count` has just been written with an exclusive borrow.
                self.count += 1;
                Ok(())
            }
            None => Err(self.count + 1),
        }
    }

    /// Adds buffers, by reference as long as they are the only ones.
    pub(crate) fn set_or_extend(&mut self, slices: &'a mut [IoSliceMut<'a>]) -> Result<(), usize> {
        if self.as_raw().is_empty() {
            self.borrowed = Some(slices);
            return Ok(());
        }
        self.copy_borrowed(slices.len())?;
        slices.iter_mut().try_for_each(|slice| self.push_raw(slice.as_mut_ptr(), slice.len()))
    }

    /// Takes over the entries of a borrowed list if there is room for so many more; else says how many there would be.
    #[cold]
    fn copy_borrowed(&mut self, more: usize) -> Result<(), usize> {
        let needed = self.as_raw().len() + more;
        if needed > INLINE_SLICES {
            return Err(needed);
        }
        // The list is borrowed for 'a like the memory it describes, and forgotten here.
        for slice in self.borrowed.take().unwrap_or_default() {
            self.push_raw(slice.as_mut_ptr(), slice.len())?;
        }
        Ok(())
    }

    #[inline(always)]
    pub(super) fn as_raw(&self) -> &[libc::iovec] {
        match &self.borrowed {
            // SAFETY: IoSliceMut is guaranteed to be ABI compatible with iovec on Unix (std::io::IoSliceMut).
            Some(slices) => unsafe { std::slice::from_raw_parts(slices.as_ptr().cast(), slices.len()) },
            // SAFETY: the field's invariant: `count` entries are initialised and inside the array.
            None => unsafe { std::slice::from_raw_parts(self.inline.as_ptr().cast(), self.count) },
        }
    }

    #[inline(always)]
    pub(crate) fn count(&self) -> usize {
        self.as_raw().len()
    }

    /// Bytes in all buffers together.
    #[inline(always)]
    pub(crate) fn capacity(&self) -> usize {
        self.as_raw().iter().map(|entry| entry.iov_len).fold(0, usize::saturating_add)
    }

    /// Writes zeros everywhere, for flags under which the kernel counts bytes it does not write.
    pub(super) fn zero(&mut self) {
        for entry in self.as_raw() {
            // SAFETY: the entry describes memory borrowed exclusively for 'a, of that length.
            unsafe { std::ptr::write_bytes(entry.iov_base.cast::<u8>(), 0, entry.iov_len) };
        }
    }

    /// Nothing has been received.
    pub(crate) fn forget(&mut self) {
        // INVARIANT: nothing is claimed.
        self.filled = 0;
    }

    /// Records how much the last receive wrote.
    ///
    /// # Safety
    ///
    /// * the first `filled` bytes, in order of the buffers, are initialised
    #[inline(always)]
    pub(super) unsafe fn set_filled(&mut self, filled: usize) {
        // INVARIANT: the caller's promise.
        self.filled = filled;
    }

    /// What the last receive wrote, over all buffers, piece by piece.
    pub(crate) fn filled(&self) -> impl Iterator<Item = &[u8]> {
        let mut left = self.filled;
        self.as_raw().iter().filter_map(move |entry| {
            let take = left.min(entry.iov_len);
            left -= take;
            // SAFETY: the entry describes memory borrowed for 'a; these bytes are initialised by the invariant of
            // `filled`, and `&self` keeps the kernel from writing meanwhile.
            (take > 0).then(|| unsafe { std::slice::from_raw_parts(entry.iov_base.cast::<u8>(), take) })
        })
    }
}

#[cfg(all(test, feature = "bytes"))]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const DATA: [u8; 100] = [0; 100];

    fn list(count: usize) -> Vec<IoSlice<'static>> {
        (0..count).map(|at| IoSlice::new(&DATA[..count * at])).collect()
    }

    proptest! {
        #[test]
        fn the_bytes_of_a_batchs_message_are_counted_however_they_come(
            room in 0..12usize,
            steps in vec((0..3u8, 0..6usize), 0..8),
        ) {
            let lists: Vec<_> = (0..6).map(list).collect();
            let mut entries = vec![MaybeUninit::uninit(); room];
            let mut slices = IoSlices::over(&mut entries);
            for (how, count) in steps {
                let _room = match how {
                    0 => slices.push(&DATA[..count]),
                    1 => slices.set_or_extend(&lists[count]),
                    _ => slices.fill(|free| {
                        for (slot, slice) in free.iter_mut().zip(&lists[count]) {
                            *slot = *slice;
                        }
                        count.min(free.len())
                    }),
                };
                prop_assert_eq!(slices.bytes(), total(slices.as_slice()));
            }
        }
    }
}
