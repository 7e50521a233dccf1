//! Several messages in one call: sendmmsg(2), recvmmsg(2), and what stands in for them.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

use nix::libc::{self, c_int, c_uint};

use super::{
    SockAddr,
    io::{last_error, raw_sendmsg, zeroed_msghdr},
};

/// `struct mmsghdr`: FreeBSD declares a wider length, but has no system call for it.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Mmsghdr {
    pub(super) header: libc::msghdr,
    /// Bytes of data that went or came.
    pub(super) len: c_uint,
}

#[cfg(linux_like)]
const _: () = assert!(size_of::<Mmsghdr>() == size_of::<libc::mmsghdr>());
#[cfg(linux_like)]
const _: () = assert!(std::mem::offset_of!(Mmsghdr, len) == std::mem::offset_of!(libc::mmsghdr, msg_len));

// SAFETY: the pointers in it are followed by unsafe code alone.
unsafe impl Send for Mmsghdr {}
// SAFETY: as above.
unsafe impl Sync for Mmsghdr {}

impl Mmsghdr {
    /// All zero, the pads that musl adds included.
    pub(super) fn zeroed() -> Self {
        Self { header: zeroed_msghdr(), len: 0 }
    }

    /// Offers a receive the whole room again: a `SockAddr`, and so many bytes of control data.
    #[inline(always)]
    pub(super) fn rearm(&mut self, control_len: usize) {
        self.header.msg_namelen = SockAddr::CAPACITY as libc::socklen_t;
        self.header.msg_controllen = control_len as _;
    }

    /// Whether no receive has written it since [`rearm`](Self::rearm): no kernel has a name so long.
    #[inline(always)]
    pub(super) fn is_armed(&self) -> bool {
        self.header.msg_namelen as usize == SockAddr::CAPACITY
    }

    /// Bytes of data that it describes.
    ///
    /// # Safety
    ///
    /// * `msg_iov` points to `msg_iovlen` entries that may be read
    #[inline(always)]
    pub(super) unsafe fn whole(&self) -> usize {
        // SAFETY: the caller's promise.
        let slices = unsafe { std::slice::from_raw_parts(self.header.msg_iov, self.header.msg_iovlen as usize) };
        slices.iter().fold(0, |sum, slice| sum.saturating_add(slice.iov_len))
    }
}

/// The most messages the kernel sends in one call (`UIO_MAXIOV`, net/socket.c, `__sys_sendmmsg`).
const MOST: usize = 1024;

/// sendmmsg(2), retried when a signal interrupts it: how many messages went, at least one. The error is that of the first
/// one: of an error behind it the kernel tells nothing (net/socket.c, `__sys_sendmmsg`).
///
/// # Safety
///
/// * `messages` points to `count` headers that nobody else uses until this returns, and what they describe may be read
/// * the pads of the headers and of their control messages are zero
#[inline(always)]
pub(super) unsafe fn sendmmsg(
    socket: BorrowedFd<'_>,
    messages: *mut Mmsghdr,
    count: usize,
    flags: c_int,
) -> io::Result<usize> {
    #[cfg(linux_like)]
    loop {
        let count = count.min(MOST) as c_uint;
        // SAFETY: 1. the descriptor is borrowed, hence open; 2. the caller's promises; 3. sendmmsg reads through the
        // headers and writes their lengths alone.
        let sent = unsafe { raw_sendmmsg(socket.as_raw_fd(), messages, count, flags) };
        if sent >= 0 {
            return Ok(sent as usize);
        }
        let error = last_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::ENOSYS) => break,
            _ => return Err(error),
        }
    }
    // SAFETY: the caller's promises.
    unsafe { send_one_by_one(socket, messages, count.min(MOST), flags) }
}

/// musl's sendmmsg is a loop over its sendmsg, which refuses more than 1,024 bytes of control data.
///
/// # Safety
///
/// * as sendmmsg(2)
#[cfg(linux_like)]
#[inline(always)]
unsafe fn raw_sendmmsg(socket: c_int, messages: *mut Mmsghdr, count: c_uint, flags: c_int) -> c_int {
    #[cfg(all(any(target_env = "musl", target_env = "ohos"), target_pointer_width = "64"))]
    // SAFETY: the caller's promises; the arguments have the system call's types.
    unsafe {
        libc::syscall(libc::SYS_sendmmsg, socket, messages, count, flags) as c_int
    }
    #[cfg(not(all(any(target_env = "musl", target_env = "ohos"), target_pointer_width = "64")))]
    // SAFETY: the caller's promises; the two structures have one layout.
    unsafe {
        libc::sendmmsg(socket, messages.cast(), count, flags as _)
    }
}

/// The same by one call for each; the first error ends it, and is told if nothing went before.
///
/// # Safety
///
/// * as [`sendmmsg`]
#[cold]
unsafe fn send_one_by_one(
    socket: BorrowedFd<'_>,
    messages: *mut Mmsghdr,
    count: usize,
    flags: c_int,
) -> io::Result<usize> {
    let mut sent = 0;
    while sent < count {
        // SAFETY: `sent` is less than `count`, inside the caller's headers.
        let message = unsafe { messages.add(sent) };
        // SAFETY: the caller's promise: nobody else uses it.
        let message = unsafe { &mut *message };
        // SAFETY: the descriptor is borrowed, hence open; the caller's promises.
        let len = unsafe { raw_sendmsg(socket.as_raw_fd(), &message.header, flags) };
        if len >= 0 {
            message.len = len as c_uint;
            sent += 1;
            // SAFETY: the caller's promise.
            if unsafe { message.whole() } > len as usize {
                break; // a stream is full: the rest comes first, as with the system call
            }
            continue;
        }
        let error = last_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return if sent > 0 { Ok(sent) } else { Err(error) };
        }
    }
    Ok(sent)
}

/// recvmmsg(2), not retried: how many messages came, at least one, and an error number that was found behind them, if
/// the kernel does not keep it for the next call. It waits for the first alone (`MSG_WAITFORONE`).
///
/// # Safety
///
/// * `messages` points to `count` headers that nobody else uses until this returns, and what they describe is borrowed
///   exclusively
#[inline(always)]
pub(super) unsafe fn recvmmsg(
    socket: BorrowedFd<'_>,
    messages: *mut Mmsghdr,
    count: c_uint,
    flags: c_int,
) -> io::Result<(usize, Option<c_int>)> {
    #[cfg(linux_like)]
    {
        // As many as there are: the kernel has no limit here.
        let (flags, wait) = (flags | libc::MSG_WAITFORONE, std::ptr::null_mut());
        // SAFETY: 1. the descriptor is borrowed, hence open; 2. the caller's promises; the two structures have one
        // layout; 3. what the kernel writes there is plain bytes; 4. no time is given.
        let received = unsafe { libc::recvmmsg(socket.as_raw_fd(), messages.cast(), count, flags as _, wait) };
        if received >= 0 {
            return Ok((received as usize, None));
        }
        let error = last_error();
        if error.raw_os_error() != Some(libc::ENOSYS) {
            return Err(error);
        }
    }
    // SAFETY: the caller's promises.
    unsafe { receive_one_by_one(socket, messages, count, flags) }
}

/// The same by one call for each, of which the first alone waits.
///
/// # Safety
///
/// * as [`recvmmsg`]
#[cold]
unsafe fn receive_one_by_one(
    socket: BorrowedFd<'_>,
    messages: *mut Mmsghdr,
    count: c_uint,
    flags: c_int,
) -> io::Result<(usize, Option<c_int>)> {
    let mut received = 0;
    while received < count as usize {
        let wait = if received == 0 { 0 } else { libc::MSG_DONTWAIT };
        // SAFETY: `received` is less than `count`, inside the caller's headers.
        let message = unsafe { messages.add(received) };
        // SAFETY: the caller's promise: nobody else uses it.
        let message = unsafe { &mut *message };
        // SAFETY: 1. the descriptor is borrowed, hence open; 2. the caller's promises; 3. what the kernel writes there is
        // plain bytes.
        let len = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut message.header, flags | wait) };
        if len < 0 {
            let error = last_error();
            return match (received, error.kind(), error.raw_os_error()) {
                (0, ..) => Err(error),
                (_, io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted, _) => Ok((received, None)),
                (.., number) => Ok((received, number)),
            };
        }
        message.len = len as c_uint;
        received += 1;
        if message.header.msg_flags & libc::MSG_OOB != 0 {
            break; // out-of-band data is returned at once, as with the system call
        }
    }
    Ok((received, None))
}
