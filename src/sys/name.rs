//! Storage for a socket address of any family.

use std::mem::MaybeUninit;

use nix::libc;

const CAPACITY: usize = size_of::<libc::sockaddr_storage>();

/// Bytes of a socket address, written up to a known length.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct NameBuf {
    // INVARIANT: the first `len` bytes are initialised, and `len <= CAPACITY`.
    bytes: [MaybeUninit<u8>; CAPACITY],
    len: u32,
}

impl NameBuf {
    pub(crate) const CAPACITY: usize = CAPACITY;

    #[inline(always)]
    pub(crate) const fn new() -> Self {
        // INVARIANT: nothing is claimed.
        Self { bytes: [MaybeUninit::uninit(); CAPACITY], len: 0 }
    }

    /// A name whose whole storage is initialised, so that any length the kernel reports is.
    #[inline]
    pub(crate) const fn zeroed() -> Self {
        Self { bytes: [MaybeUninit::new(0); CAPACITY], len: 0 }
    }

    /// Replaces the content; `bytes` longer than the storage is refused.
    #[inline(always)]
    pub(crate) fn set(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > CAPACITY {
            return false;
        }
        // SAFETY: 1. the source is a slice of `bytes.len()` initialised bytes; 2. the destination has CAPACITY
        // bytes, at least that many by the check above; 3. `&mut self` excludes that they overlap.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.bytes.as_mut_ptr().cast(), bytes.len()) };
        // INVARIANT: exactly these bytes have been written.
        self.len = bytes.len() as u32;
        true
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        // SAFETY: the field's invariant: `len` bytes are initialised and inside the storage.
        unsafe { std::slice::from_raw_parts(self.bytes.as_ptr().cast(), self.len as usize) }
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    #[inline(always)]
    pub(super) fn as_ptr(&self) -> *const libc::c_void {
        self.bytes.as_ptr().cast()
    }

    #[inline(always)]
    pub(super) fn as_mut_ptr(&mut self) -> *mut libc::c_void {
        self.bytes.as_mut_ptr().cast()
    }

    /// Claims what the kernel wrote into a [`zeroed`](Self::zeroed) name: `reported` may exceed the storage.
    ///
    /// # Safety
    ///
    /// * `self` was made by [`zeroed`](Self::zeroed).
    #[inline(always)]
    pub(super) unsafe fn set_len(&mut self, reported: usize) {
        // INVARIANT: the caller promises that the whole storage has been initialised.
        self.len = reported.min(CAPACITY) as u32;
    }
}
