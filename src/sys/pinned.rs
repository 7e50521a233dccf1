//! Values that the kernel goes on using after the call that named them has returned (io_uring).
//!
//! Nothing here submits anything. Whoever hands a pointer from here to the kernel, which takes `unsafe`, promises what
//! the module `pinned` asks for: one request for each start, and of that request's results, all of them, and no others,
//! are reported here.

use std::{
    io::{self, IoSlice},
    mem::ManuallyDrop,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
    ptr,
};

use nix::libc;

use super::{HEADER, SockAddr, array::Array, io::msghdr};
use crate::{
    cmsg::{CmsgId, Cmsgs},
    error::PinnedError,
};

/// `IORING_CQE_F_MORE`: another completion follows (include/uapi/linux/io_uring.h).
pub(crate) const F_MORE: u32 = 1 << 1;

/// One value on the heap. Pointers to it stay valid as long as it lives, however this is moved; and while the kernel
/// has it, nobody here refers to it, and nobody frees it.
pub(super) struct Pinned<T> {
    // INVARIANT: one value.
    value: ManuallyDrop<Array<T>>,
    in_flight: bool,
}

impl<T> Pinned<T> {
    pub(super) fn new(value: T) -> Self {
        let mut value = Some(value);
        // INVARIANT: it is made for one.
        Self { value: ManuallyDrop::new(Array::new(1, || value.take().expect("one value"))), in_flight: false }
    }

    pub(super) fn in_flight(&self) -> bool {
        self.in_flight
    }

    /// `None` while the kernel has it.
    pub(super) fn get(&self) -> Option<&T> {
        if self.in_flight { None } else { self.value.get(0) }
    }

    /// `None` while the kernel has it.
    pub(super) fn get_mut(&mut self) -> Option<&mut T> {
        if self.in_flight { None } else { self.value.get_mut(0) }
    }

    /// From now on the kernel may have it.
    pub(super) fn start(&mut self) -> *mut T {
        self.in_flight = true;
        self.value.as_ptr()
    }

    /// The kernel has it no longer.
    pub(super) fn end(&mut self) {
        self.in_flight = false;
    }

    /// Where it is; the kernel may be writing there.
    pub(super) fn as_ptr(&self) -> *const T {
        self.value.as_ptr()
    }
}

impl<T> Drop for Pinned<T> {
    fn drop(&mut self) {
        // While the kernel has it, it stays for ever.
        if !self.in_flight {
            // SAFETY: it is dropped here alone, once.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        }
    }
}

/// What a message that is sent consists of, all of it owned.
// The header comes first: a pointer to the whole is one to it.
#[repr(C)]
struct SendParts<B> {
    header: libc::msghdr,
    name: Option<SockAddr>,
    slices: Vec<libc::iovec>,
    copied: Vec<u8>,
    control: Vec<u8>,
    /// The descriptors whose numbers stand in `control`.
    fds: Vec<OwnedFd>,
    buffer: Option<B>,
}

// SAFETY: the pointers in it lead to what it owns itself.
unsafe impl<B: Send> Send for SendParts<B> {}
// SAFETY: a shared reference to it gives one to the buffer, and no pointers.
unsafe impl<B: Sync> Sync for SendParts<B> {}

/// A message to send, at addresses that do not change.
pub(crate) struct SendPinned<B> {
    parts: Pinned<SendParts<B>>,
    // INVARIANT: while true, each number among the control messages is that of a descriptor in `fds`.
    ready: bool,
}

impl<B> SendPinned<B> {
    pub(crate) fn new() -> Self {
        let header = empty_msghdr();
        let (slices, copied, control, fds) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let parts = SendParts { header, name: None, slices, copied, control, fds, buffer: None };
        // INVARIANT: not true.
        Self { parts: Pinned::new(parts), ready: false }
    }

    pub(crate) fn in_flight(&self) -> bool {
        self.parts.in_flight()
    }

    /// Copies the parts of a message, and duplicates the descriptors in it. `control` is what `ControlOut` has written for
    /// a message that is still borrowed, so the numbers in it are open. Nothing is kept if that fails.
    pub(crate) fn set(&mut self, name: Option<&SockAddr>, slices: &[IoSlice<'_>], control: &[u8]) -> io::Result<()> {
        let parts = self.parts.get_mut().ok_or(PinnedError::InFlight)?;
        parts.clear();
        self.ready = false;
        parts.control.extend_from_slice(control);
        if let Err(error) = parts.own_fds() {
            parts.clear();
            return Err(error);
        }
        parts.name = name.copied();
        slices.iter().for_each(|slice| parts.copied.extend_from_slice(slice));
        if !parts.copied.is_empty() {
            parts.slices.push(iovec(&parts.copied));
        }
        // INVARIANT: `own_fds` has put them there.
        self.ready = true;
        Ok(())
    }

    /// Adds what is not copied. `each` names its pieces, which stay where they are when their owner moves.
    pub(crate) fn add(&mut self, buffer: B, each: impl FnOnce(&B, &mut dyn FnMut(&[u8]))) {
        if let Some(parts) = self.parts.get_mut() {
            let slices = &mut parts.slices;
            each(parts.buffer.insert(buffer), &mut |piece| slices.push(iovec(piece)));
        }
    }

    /// How many slices there are.
    pub(crate) fn slices(&self) -> usize {
        self.parts.get().map_or(0, |parts| parts.slices.len())
    }

    /// The header, for one request, if there is a message.
    pub(crate) fn start(&mut self) -> Result<*const libc::msghdr, PinnedError> {
        let parts = self.parts.get_mut().ok_or(PinnedError::InFlight)?;
        if !self.ready {
            return Err(PinnedError::NotSet);
        }
        parts.write_header();
        Ok(self.parts.start().cast())
    }

    /// The kernel has it no longer. What has been sent is no message any more: its descriptors are closed, the buffer
    /// stays.
    pub(crate) fn end(&mut self, sent: bool) {
        self.parts.end();
        if sent {
            self.ready = false;
            if let Some(parts) = self.parts.get_mut() {
                parts.fds.clear();
            }
        }
    }

    pub(crate) fn take_buffer(&mut self) -> Option<B> {
        let parts = self.parts.get_mut()?;
        // What is left would lack it.
        let buffer = parts.buffer.take()?;
        self.ready = false;
        parts.clear();
        Some(buffer)
    }

    pub(crate) fn buffer(&self) -> Option<&B> {
        self.parts.get()?.buffer.as_ref()
    }
}

impl<B> SendParts<B> {
    fn clear(&mut self) {
        self.name = None;
        self.slices.clear();
        self.copied.clear();
        self.control.clear();
        self.fds.clear();
        self.buffer = None;
    }

    /// Replaces each descriptor by a duplicate that is owned here.
    fn own_fds(&mut self) -> io::Result<()> {
        let mut at = 0;
        loop {
            let rest = self.control.get(at..).unwrap_or_default();
            let mut walk = Cmsgs::new(rest);
            let Some(cmsg) = walk.next() else { return Ok(()) };
            let payload = at + HEADER..at + HEADER + cmsg.payload().len();
            let next = at + rest.len() - walk.rest().len();
            if cmsg.id() == CmsgId::RIGHTS {
                for slot in self.control[payload].chunks_exact_mut(4) {
                    let number = RawFd::from_ne_bytes([slot[0], slot[1], slot[2], slot[3]]);
                    // SAFETY: `ControlOut` writes numbers of borrowed descriptors alone, which stay open as long as the
                    // message is borrowed, so until `set` returns.
                    let fd = unsafe { BorrowedFd::borrow_raw(number) };
                    let own = fd.try_clone_to_owned()?;
                    slot.copy_from_slice(&own.as_raw_fd().to_ne_bytes());
                    self.fds.push(own);
                }
            }
            at = next;
        }
    }

    fn write_header(&mut self) {
        let (name, namelen) =
            self.name.as_mut().map_or((ptr::null_mut(), 0), |name| (name.as_mut_ptr(), name.as_bytes().len()));
        let control = if self.control.is_empty() { ptr::null_mut() } else { self.control.as_mut_ptr().cast() };
        self.header = msghdr! {
            msg_name: name,
            msg_namelen: namelen as libc::socklen_t,
            msg_iov: self.slices.as_mut_ptr(),
            msg_iovlen: self.slices.len() as _,
            msg_control: control,
            msg_controllen: self.control.len() as _,
        };
    }
}

/// A header of nothing.
pub(super) const fn empty_msghdr() -> libc::msghdr {
    msghdr! {
        msg_name: ptr::null_mut(),
        msg_namelen: 0,
        msg_iov: ptr::null_mut(),
        msg_iovlen: 0,
        msg_control: ptr::null_mut(),
        msg_controllen: 0,
    }
}

/// For what is only read.
fn iovec(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}
