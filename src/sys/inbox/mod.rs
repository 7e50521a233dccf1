//! Storage for received control messages, and ownership of the descriptors among them.
//!
//! The bytes themselves say what is owned: a descriptor number in a received `SCM_RIGHTS` (or `SCM_PIDFD`)
//! belongs to the inbox until it is overwritten with -1, which happens when it is taken or closed.

mod batch;
mod fds;
#[cfg(linux_like)]
mod pinned;
#[cfg(linux_like)]
mod provided;
mod storage;

pub(crate) use batch::{InBatch, InMessages};
pub(crate) use fds::FdCursor;
#[cfg(linux_like)]
pub(crate) use pinned::RecvPinned;
#[cfg(linux_like)]
pub(crate) use provided::{CONTROL_AT, Out, Provided, Template};
pub(crate) use storage::{HeapStorage, InlineStorage};

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    ptr,
};

use nix::libc::{self, AF_INET, AF_INET6, c_int};

use fds::{Carries, Fds, all_taken, carries};
use storage::Storage;

use super::{
    CmsgLen, HEADER, IoSlicesMut, MSG_CMSG_CLOEXEC, SockAddr, align_up,
    io::{is_tcp, last_error, msghdr},
};
use crate::cmsg::Cmsgs;

/// Flags under which the kernel writes every byte that it counts. Under others (`MSG_TRUNC` on TCP, device memory,
/// `MSG_OOB` into no buffer) the count may cover bytes it did not touch.
const WRITES_WHAT_IT_COUNTS: c_int = {
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

#[repr(C)]
struct Head {
    // INVARIANT: at the start; made by `SockAddr::zeroed`, never replaced.
    peer: SockAddr,
    /// How much of the storage the last receive filled.
    len: usize,
    /// What the receive reported, over all its calls.
    flags: c_int,
    // INVARIANT: while true, each non-negative integer in the descriptor-carrying messages of the first `len`
    // bytes is a descriptor that the kernel installed for us and that nobody else owns. While false, none is owned.
    owns: bool,
}

impl Head {
    const fn new() -> Self {
        // INVARIANT: nothing is owned.
        Self { peer: SockAddr::zeroed(), len: 0, flags: 0, owns: false }
    }

    #[inline(always)]
    fn peer(&self) -> Option<&SockAddr> {
        if self.peer.len() == 0 { None } else { Some(&self.peer) }
    }
}

/// Received control data with the peer's address; closes the descriptors that nobody took.
pub(crate) struct Inbox<S: Storage> {
    head: Head,
    storage: S,
}

impl<S: Storage> Inbox<S> {
    #[inline(always)]
    pub(crate) const fn new(storage: S) -> Self {
        Self { head: Head::new(), storage }
    }

    #[inline(always)]
    pub(crate) fn as_mut(&mut self) -> InboxMut<'_> {
        InboxMut { head: &mut self.head, bytes: self.storage.bytes_mut() }
    }

    pub(crate) fn received(&self) -> &[u8] {
        &self.storage.bytes()[..self.head.len]
    }

    pub(crate) fn peer(&self) -> Option<&SockAddr> {
        self.head.peer()
    }

    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> + Clone {
        Fds::new(&self.head, self.storage.bytes())
    }

    pub(crate) fn flags(&self) -> c_int {
        self.head.flags
    }

    pub(crate) fn capacity(&self) -> usize {
        self.storage.bytes().len()
    }
}

impl<S: Storage> Drop for Inbox<S> {
    #[inline]
    fn drop(&mut self) {
        if self.head.owns {
            self.as_mut().close_all();
        }
    }
}

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
    const NOTHING: Self = Self { returned: 0, written: 0, flags: 0 };
}

/// Why nothing has been received, and the buffer.
type Unfilled<'d> = (io::Error, &'d mut [MaybeUninit<u8>]);

/// A borrowed inbox, whatever its storage.
pub(crate) struct InboxMut<'a> {
    head: &'a mut Head,
    bytes: &'a mut [u8],
}

impl<'a> InboxMut<'a> {
    #[inline(always)]
    pub(crate) fn reborrow(&mut self) -> InboxMut<'_> {
        InboxMut { head: self.head, bytes: self.bytes }
    }

    #[inline(always)]
    pub(crate) fn received(&self) -> &[u8] {
        // It never exceeds the storage; `min` leaves no panic path in the caller.
        &self.bytes[..self.head.len.min(self.bytes.len())]
    }

    #[inline(always)]
    pub(crate) fn peer(&self) -> Option<&SockAddr> {
        self.head.peer()
    }

    #[cfg(linux_like)]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Receives into buffers that may be uninitialised.
    #[inline(always)]
    pub(crate) fn recv(
        &mut self,
        socket: &(impl AsFd + ?Sized),
        data: &mut IoSlicesMut<'_>,
        ask: Recv,
    ) -> io::Result<Arrival> {
        if ask.flags & !WRITES_WHAT_IT_COUNTS != 0 {
            data.zero();
        }
        data.forget();
        let iov = data.as_raw();
        let arrival = self.recv_raw(socket, iov.as_ptr().cast_mut(), iov.len(), || data.capacity(), ask)?;
        // SAFETY: recvmsg(2): the return value is the number of bytes written, front to back, but for the flags
        // above, under which all has been zeroed.
        unsafe { data.set_filled(arrival.written) };
        Ok(arrival)
    }

    /// Receives into one buffer and returns the part that was written; a call that fails gives the buffer back.
    #[inline(always)]
    pub(crate) fn recv_uninit<'d>(
        &mut self,
        socket: &(impl AsFd + ?Sized),
        data: &'d mut [MaybeUninit<u8>],
        ask: Recv,
    ) -> Result<(Arrival, &'d mut [u8]), Unfilled<'d>> {
        if ask.flags & !WRITES_WHAT_IT_COUNTS != 0 {
            data.fill(MaybeUninit::new(0));
        }
        let mut iov = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: data.len() };
        let arrival = match self.recv_raw(socket, &mut iov, 1, || data.len(), ask) {
            Ok(arrival) => arrival,
            Err(error) => return Err((error, data)),
        };
        let len = arrival.written.min(data.len());
        // SAFETY: 1. `len` is at most the length of `data`, borrowed exclusively for 'd; 2. recvmsg(2): the return
        // value is the number of bytes written, but for the flags above, under which all has been zeroed.
        let data = unsafe { std::slice::from_raw_parts_mut(data.as_mut_ptr().cast(), len) };
        Ok((arrival, data))
    }

    /// Receives into one initialised buffer and returns the part that was written.
    #[inline(always)]
    pub(crate) fn recv_slice<'d>(
        &mut self,
        socket: &(impl AsFd + ?Sized),
        data: &'d mut [u8],
        ask: Recv,
    ) -> io::Result<(Arrival, &'d mut [u8])> {
        let mut iov = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: data.len() };
        let arrival = self.recv_raw(socket, &mut iov, 1, || data.len(), ask)?;
        // It is never longer; `get_mut` leaves no panic path in the caller.
        Ok((arrival, data.get_mut(..arrival.written).unwrap_or_default()))
    }

    /// recvmsg(2), retried when a signal interrupts it. `iov` points to `count` entries for `data()` bytes that are
    /// exclusively borrowed by the three callers above until this returns.
    #[inline(always)]
    fn recv_raw(
        &mut self,
        socket: &(impl AsFd + ?Sized),
        iov: *mut libc::iovec,
        count: usize,
        data: impl FnOnce() -> usize,
        ask: Recv,
    ) -> io::Result<Arrival> {
        let (start, len, flags) = if ask.append {
            (align_up(self.head.len).min(self.bytes.len()), self.head.len, self.head.flags)
        } else {
            self.close_owned();
            (0, 0, 0)
        };
        let room = self.bytes.get_mut(start..).unwrap_or_default();
        // A call that succeeds without touching the buffer must not make old bytes look new.
        if let Some(first) = room.get_mut(..size_of::<super::CmsgLen>()) {
            first.fill(0);
        }
        let capacity = room.len();
        let (name, namelen) =
            if ask.peer { (self.head.peer.as_mut_ptr(), SockAddr::CAPACITY) } else { (ptr::null_mut(), 0) };
        let mut header = msghdr! {
            msg_name: name,
            msg_namelen: namelen as libc::socklen_t,
            msg_iov: iov,
            msg_iovlen: count as _,
            msg_control: if capacity == 0 { ptr::null_mut() } else { room.as_mut_ptr().cast() },
            msg_controllen: capacity as _,
        };
        // After what the compiler can see: this may be a call (`sys::sendmsg`).
        let socket = socket.as_fd();
        // SAFETY: name, control and the buffers behind `iov` are borrowed exclusively until the call returns, with the
        // lengths given.
        let returned = match unsafe { recvmsg(socket, &mut header, ask) } {
            Ok(returned) => returned,
            Err(error) => {
                if !ask.append {
                    self.rearm();
                }
                return Err(error);
            }
        };
        self.arrived(&header, capacity, (start, len, flags), false, ask);
        Ok(self.arrival(socket, returned, data, ask.flags))
    }

    /// Takes over what recvmsg(2) says of the `capacity` bytes from `start`, with so many bytes and these flags before, on
    /// a socket that is known to be an internet socket, or not.
    #[inline(always)]
    fn arrived(
        &mut self,
        header: &libc::msghdr,
        capacity: usize,
        before: (usize, usize, c_int),
        inet: bool,
        ask: Recv,
    ) {
        let (start, len, flags) = before;
        let got = (header.msg_controllen as usize).min(capacity);
        self.head.len = if got > 0 { start + got } else { len };
        self.head.flags = flags | header.msg_flags;
        // SAFETY: the field's invariant: the address was made by `zeroed`.
        unsafe { self.head.peer.set_len(header.msg_namelen as usize) };
        let inet = inet || is_inet(&self.head.peer);
        if got > 0 && installs(ask) && !inet {
            // INVARIANT: recvmsg(2) has installed what stands in the new bytes, for us alone.
            self.head.owns = true;
        } else if ask.append && self.head.owns {
            self.disown(start);
        }
        #[cfg(apple)]
        if self.head.owns && installs(ask) && !ask.inheritable {
            self.set_cloexec(start);
        }
    }

    /// What a receive has reported, into buffers of `data()` bytes.
    #[inline(always)]
    fn arrival(&self, socket: BorrowedFd<'_>, returned: usize, data: impl FnOnce() -> usize, flags: c_int) -> Arrival {
        let mut written = returned;
        if flags & !WRITES_WHAT_IT_COUNTS != 0 {
            // A datagram has a sender; only what has none can be TCP's.
            let discarded = flags & libc::MSG_TRUNC != 0 && self.peer().is_none() && discards(socket, flags);
            written = if discarded { 0 } else { returned.min(data()) };
        }
        Arrival { returned, written, flags: self.head.flags }
    }

    /// Forgets the last message: closes what nobody took, and holds nothing.
    #[inline(always)]
    pub(crate) fn rearm(&mut self) {
        self.close_owned();
        self.head.len = 0;
        self.head.flags = 0;
        self.clear_name();
    }

    #[inline(always)]
    fn close_owned(&mut self) {
        if self.head.owns {
            self.close_all();
        }
    }

    #[inline(always)]
    fn clear_name(&mut self) {
        // SAFETY: no byte is claimed.
        unsafe { self.head.peer.set_len(0) };
    }

    /// Makes room: drops what nobody needs any longer of the messages of several receives. A stream may bring
    /// credentials with every call, and descriptors may have been taken between two of them.
    pub(crate) fn compact(&mut self) {
        let (mut from, mut to) = (0, 0);
        loop {
            let (kept, rest) = self.received().split_at_checked(from).unwrap_or_default();
            let mut walk = Cmsgs::new(rest);
            let Some(cmsg) = walk.next() else { break };
            let (id, len) = (cmsg.id(), cmsg.payload().len());
            let step = rest.len() - walk.rest().len();
            // Of two the later one counts, unless it is cut.
            let replaced = walk.clone().any(|later| later.id() == id && later.payload().len() >= len)
                || Cmsgs::new(&kept[..to]).any(|earlier| earlier.id() == id && earlier.payload().len() > len);
            let carried = carries(id);
            let drop = match carried {
                Carries::Fds => all_taken(cmsg.payload()),
                Carries::Pidfd | Carries::Nothing => replaced,
            };
            if drop && matches!(carried, Carries::Pidfd) {
                self.close_one(from);
            }
            if !drop {
                self.bytes.copy_within(from..from + step, to);
                // Other systems leave the length of a cut message as it was; behind it something else may follow now.
                let whole = (HEADER + len) as CmsgLen;
                self.bytes[to..to + size_of::<CmsgLen>()].copy_from_slice(&whole.to_ne_bytes());
                to += step;
            }
            from += step;
        }
        // INVARIANT: each number that is still owned stands among the first `to` bytes, once; those behind are not
        // counted any longer.
        self.head.len = to;
    }

    pub(crate) fn flags(&self) -> c_int {
        self.head.flags
    }

    /// How many bytes of control data there are.
    pub(crate) fn len(&self) -> usize {
        self.head.len
    }

    /// Forgets what a receive brought behind the first `len` bytes, and that it was cut.
    pub(crate) fn truncate(&mut self, len: usize, flags: c_int) {
        self.close_from(align_up(len));
        self.head.len = self.head.len.min(len);
        self.head.flags = flags;
    }

    #[inline(always)]
    fn close_all(&mut self) {
        // By its parts: a pointer to `self` would keep all of it in memory.
        close_all(self.head, self.bytes);
    }

    /// The descriptors of `SCM_RIGHTS` that have not been taken, borrowed.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> + Clone {
        Fds::new(self.head, self.bytes)
    }
}

/// Whether the descriptors that a receive shows are ours: Linux installs new ones at every peek, elsewhere a peeked message
/// shows numbers that are not.
#[inline(always)]
fn installs(ask: Recv) -> bool {
    cfg!(linux_like) || ask.flags & libc::MSG_PEEK == 0
}

/// A message from an internet peer carries no descriptor (net/core/scm.c serves AF_UNIX and AF_NETLINK).
#[inline(always)]
fn is_inet(peer: &SockAddr) -> bool {
    matches!(peer.family(), AF_INET | AF_INET6)
}

/// recvmsg(2), retried when a signal interrupts it.
///
/// # Safety
///
/// * the header's pointers and lengths describe memory that is borrowed exclusively until this returns
#[inline(always)]
unsafe fn recvmsg(socket: BorrowedFd<'_>, header: &mut libc::msghdr, ask: Recv) -> io::Result<usize> {
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
fn receiving<R>(socket: BorrowedFd<'_>, ask: Recv, mut call: impl FnMut(c_int) -> io::Result<R>) -> io::Result<R> {
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
            && super::domain(socket).is_ok_and(|family| family != libc::AF_UNIX && family != libc::AF_NETLINK)
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
fn discards(socket: BorrowedFd<'_>, flags: c_int) -> bool {
    #[cfg(linux_like)]
    if flags & libc::MSG_ERRQUEUE != 0 {
        return false;
    }
    let _ = flags;
    is_tcp(socket)
}

#[cold]
#[inline(never)]
fn close_all(head: &mut Head, bytes: &mut [u8]) {
    InboxMut { head, bytes }.close_from(0);
}

/// Marks bytes that a receive has written as part of a `BufMut`.
#[cfg(feature = "bytes")]
pub(crate) fn recv_buf_mut(
    inbox: &mut InboxMut<'_>,
    socket: &(impl AsFd + ?Sized),
    buf: &mut (impl bytes::BufMut + ?Sized),
    ask: Recv,
) -> io::Result<Arrival> {
    // SAFETY: `chunk_mut` gives an exclusive borrow, and nothing but the kernel's or zero bytes is written to it,
    // so initialised memory is never made uninitialised.
    let chunk = unsafe { buf.chunk_mut().as_uninit_slice_mut() };
    let (arrival, written) = inbox.recv_uninit(socket, chunk, ask).map_err(|(error, _)| error)?;
    let len = written.len();
    // SAFETY: `recv_uninit` has initialised the first `len` bytes of the chunk.
    unsafe { buf.advance_mut(len) };
    Ok(arrival)
}
