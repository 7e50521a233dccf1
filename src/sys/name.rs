//! A socket address of any family: its bytes. What they mean is said in `addr`.

use std::mem::{MaybeUninit, offset_of};

use nix::libc;

use crate::cmsg::unlikely;

const CAPACITY: usize = size_of::<libc::sockaddr_storage>();

/// Where the family stands; the BSDs have a length before it.
pub(crate) const FAMILY_AT: usize = offset_of!(libc::sockaddr, sa_family);
pub(crate) const FAMILY_LEN: usize = size_of::<libc::sa_family_t>();

/// A socket address of any family (`msg_name`, `struct sockaddr_storage`): to and from the standard library's types,
/// and as bytes for families that it does not know.
///
/// ```
/// use ancillary::SockAddr;
/// use std::net::SocketAddr;
///
/// let inet: SocketAddr = "[fe80::1%3]:53".parse()?;
/// assert_eq!(SockAddr::from(inet).as_inet(), Some(inet));
/// assert_eq!(SockAddr::unix("/run/x")?.as_pathname(), Some("/run/x".as_ref()));
/// # #[cfg(target_os = "linux")]
/// assert_eq!(format!("{:?}", SockAddr::unix_abstract(b"bus")?), "@bus");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "sockaddr_storage")]
#[doc(alias = "sockaddr_in")]
#[doc(alias = "sockaddr_in6")]
#[doc(alias = "sockaddr_un")]
#[doc(alias = "msg_name")]
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub struct SockAddr {
    // INVARIANT: the first `len` bytes are initialised, and `len <= CAPACITY`.
    bytes: [MaybeUninit<u8>; CAPACITY],
    len: u32,
}

impl SockAddr {
    pub(crate) const CAPACITY: usize = CAPACITY;

    // A repeated `const` leaves the bytes alone; a repeated value is copied from a constant, with zeros.
    #[inline(always)]
    pub(crate) const fn empty() -> Self {
        // INVARIANT: nothing is claimed.
        Self { bytes: [const { MaybeUninit::uninit() }; CAPACITY], len: 0 }
    }

    /// An address whose whole storage is initialised, so that any length the kernel reports is.
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

    /// The bytes of the C structure.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: the field's invariant: `len` bytes are initialised and inside the storage.
        unsafe { std::slice::from_raw_parts(self.bytes.as_ptr().cast(), self.len as usize) }
    }

    /// The address family (`AF_INET`, `AF_INET6`, `AF_UNIX`, ...); `AF_UNSPEC` of no bytes at all.
    #[doc(alias = "sa_family")]
    #[inline(always)]
    pub fn family(&self) -> i32 {
        let bytes = self.as_bytes().get(FAMILY_AT..FAMILY_AT + FAMILY_LEN);
        match bytes.and_then(|family| family.try_into().ok()) {
            Some(family) => libc::sa_family_t::from_ne_bytes(family).into(),
            None => libc::AF_UNSPEC,
        }
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    #[inline(always)]
    pub(super) fn as_ptr(&self) -> *const libc::c_void {
        // The bytes stand at its start; a pointer to them alone could not become one to all of it again.
        std::ptr::from_ref(self).cast()
    }

    #[inline(always)]
    pub(super) fn as_mut_ptr(&mut self) -> *mut libc::c_void {
        self.bytes.as_mut_ptr().cast()
    }

    /// Claims what the kernel wrote into a [`zeroed`](Self::zeroed) address: `reported` may exceed the storage.
    ///
    /// # Safety
    ///
    /// * `self` was made by [`zeroed`](Self::zeroed).
    #[inline(always)]
    pub(super) unsafe fn set_len(&mut self, reported: usize) {
        // INVARIANT: the caller promises that the whole storage has been initialised.
        self.len = reported as u32;
        if reported > CAPACITY {
            unlikely();
            self.len = CAPACITY as u32;
        }
    }
}
