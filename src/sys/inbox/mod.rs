//! Storage for received control messages, and ownership of the descriptors among them.
//!
//! The bytes themselves say what is owned: a descriptor number in a received `SCM_RIGHTS` (or `SCM_PIDFD`)
//! belongs to the inbox until it is overwritten with -1, which happens when it is taken or closed.

mod batch;
mod call;
mod fds;
mod messages;
#[cfg(linux_like)]
mod pinned;
#[cfg(linux_like)]
mod provided;
mod storage;

pub(crate) use batch::InBatch;
pub(crate) use call::{Arrival, Recv};
pub(crate) use fds::FdCursor;
pub(crate) use messages::InMessages;
#[cfg(linux_like)]
pub(crate) use pinned::RecvPinned;
#[cfg(linux_like)]
pub(crate) use provided::{CONTROL_AT, Out, Provided, Template};
pub(crate) use storage::{HeapStorage, InlineStorage};

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd},
    ptr,
};

use nix::libc::{self, c_int};

use call::{WRITES_WHAT_IT_COUNTS, discards, installs, is_inet, recvmsg};
use fds::{Carries, Fds, all_taken, carries};
use storage::Storage;

use super::{CmsgLen, HEADER, IoSlicesMut, SockAddr, align_up, io::msghdr};
use crate::cmsg::Cmsgs;

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
            // That a record ends is said of the last piece alone.
            (align_up(self.head.len).min(self.bytes.len()), self.head.len, self.head.flags & !libc::MSG_EOR)
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
        if ask.append && start > 0 && !self.head.owns {
            // It must not become ours with what has come behind it.
            self.disown(0);
        }
        let got = (header.msg_controllen as usize).min(capacity);
        self.head.len = if got > 0 { start + got } else { len };
        self.head.flags = flags | header.msg_flags;
        // SAFETY: the field's invariant: the address was made by `zeroed`.
        unsafe { self.head.peer.set_len(header.msg_namelen as usize) };
        let inet = inet || is_inet(&self.head.peer);
        if got > 0 && installs(ask) && !inet {
            // INVARIANT: recvmsg(2) has installed what stands in the new bytes, for us alone, and before them stands nothing
            // else.
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
