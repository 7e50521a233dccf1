//! recvmsg(2): what a receive asks for, and what it reports.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

use nix::libc::{self, AF_INET, AF_INET6, c_int};

use crate::sys::{
    MSG_CMSG_CLOEXEC, SockAddr,
    io::{is_tcp, last_error},
};

/// Flags under which the kernel writes every byte that it counts. Under others (`MSG_TRUNC` on TCP, device memory,
/// `MSG_OOB` into no buffer) the count may cover bytes it did not touch.
pub(super) const WRITES_WHAT_IT_COUNTS: c_int = {
    let common = libc::MSG_DONTWAIT | libc::MSG_PEEK | libc::MSG_WAITALL | MSG_CMSG_CLOEXEC;
    #[cfg(linux_like)]
    {
        common | libc::MSG_ERRQUEUE
    }
    #[cfg(not(linux_like))]
    {
        common
    }
};

/// What one receive asks for.
#[derive(Clone, Copy)]
pub(crate) struct Recv {
    pub(crate) flags: c_int,
    pub(crate) peer: bool,
    pub(crate) inheritable: bool,
    /// Keep what is there and receive behind it, for one message that takes several calls.
    pub(crate) append: bool,
}

impl Recv {
    /// With the peer's address and close-on-exec.
    pub(crate) const PLAIN: Self = Self { flags: 0, peer: true, inheritable: false, append: false };

    /// The flags for the call.
    #[inline(always)]
    pub(crate) const fn call_flags(self) -> c_int {
        if self.inheritable { self.flags } else { self.flags | MSG_CMSG_CLOEXEC }
    }
}

/// What one receive reported.
#[derive(Clone, Copy)]
pub(crate) struct Arrival {
    /// The return value: bytes of data, or the real length under `MSG_TRUNC`.
    pub(crate) returned: usize,
    /// Bytes of data in the buffers.
    pub(crate) written: usize,
    pub(crate) flags: c_int,
}

impl Arrival {
    #[cfg(linux_like)]
    pub(super) const NOTHING: Self = Self { returned: 0, written: 0, flags: 0 };
}

/// Whether the descriptors that a receive shows are ours: Linux installs new ones at every peek, elsewhere a peeked message
/// shows numbers that are not.
#[inline(always)]
pub(super) fn installs(ask: Recv) -> bool {
    cfg!(linux_like) || ask.flags & libc::MSG_PEEK == 0
}

/// A message from an internet peer carries no descriptor (net/core/scm.c serves AF_UNIX and AF_NETLINK).
#[inline(always)]
pub(super) fn is_inet(peer: &SockAddr) -> bool {
    matches!(peer.family(), AF_INET | AF_INET6)
}

/// recvmsg(2), retried when a signal interrupts it.
///
/// # Safety
///
/// * the header's pointers and lengths describe memory that is borrowed exclusively until this returns
#[inline(always)]
pub(super) unsafe fn recvmsg(socket: BorrowedFd<'_>, header: &mut libc::msghdr, ask: Recv) -> io::Result<usize> {
    receiving(socket, ask, |flags| {
        // SAFETY: 1. the descriptor is borrowed, hence open; 2. the caller's promise; 3. what the kernel writes there is
        // plain bytes.
        let returned = unsafe { libc::recvmsg(socket.as_raw_fd(), header, flags) };
        if returned >= 0 { Ok(returned as usize) } else { Err(last_error()) }
    })
}

/// A call that receives, under the flags that were asked for and close-on-exec: retried when a signal interrupts it, and
/// without that flag where the protocol refuses it.
#[inline(always)]
pub(super) fn receiving<R>(
    socket: BorrowedFd<'_>,
    ask: Recv,
    mut call: impl FnMut(c_int) -> io::Result<R>,
) -> io::Result<R> {
    let mut flags = ask.call_flags();
    loop {
        let error = match call(flags) {
            Ok(received) => return Ok(received),
            Err(error) => error,
        };
        if flags & MSG_CMSG_CLOEXEC != 0 && refuses_cloexec(socket, &error) {
            flags &= !MSG_CMSG_CLOEXEC;
        } else if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Linux: AF_PACKET, some CAN protocols and others that carry no descriptors refuse the flag (net/packet/af_packet.c,
/// `packet_recvmsg`).
#[cold]
#[inline(never)]
fn refuses_cloexec(socket: BorrowedFd<'_>, error: &io::Error) -> bool {
    #[cfg(linux_like)]
    {
        matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP))
            && crate::sys::domain(socket).is_ok_and(|family| family != libc::AF_UNIX && family != libc::AF_NETLINK)
    }
    #[cfg(not(linux_like))]
    {
        let _ = (socket, error);
        false
    }
}

/// tcp(7): `MSG_TRUNC` discards the bytes, except from the error queue.
#[cold]
#[inline(never)]
pub(super) fn discards(socket: BorrowedFd<'_>, flags: c_int) -> bool {
    #[cfg(linux_like)]
    if flags & libc::MSG_ERRQUEUE != 0 {
        return false;
    }
    let _ = flags;
    is_tcp(socket)
}
