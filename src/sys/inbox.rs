//! Storage for received control messages, and ownership of the descriptors among them.
//!
//! The bytes themselves say what is owned: a descriptor number in a received `SCM_RIGHTS` (or `SCM_PIDFD`)
//! belongs to the inbox until it is overwritten with -1, which happens when it is taken or closed.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use nix::libc::{self, c_int};

use super::{
    HEADER, IoSlicesMut, MSG_CMSG_CLOEXEC, SockAddr, align_up,
    io::{last_error, zeroed_msghdr},
};
use crate::cmsg::{CmsgId, Cmsgs};

/// Linux `SCM_PIDFD` (include/linux/socket.h, 6.5), which libc lacks.
#[cfg(linux_like)]
const SCM_PIDFD: c_int = 4;

/// Flags under which the kernel writes every byte that it counts. Under others (`MSG_TRUNC` on TCP, device memory)
/// the count may cover bytes it did not touch.
const WRITES_WHAT_IT_COUNTS: c_int = {
    let common = libc::MSG_DONTWAIT | libc::MSG_PEEK | libc::MSG_WAITALL | libc::MSG_OOB | MSG_CMSG_CLOEXEC;
    #[cfg(linux_like)]
    {
        common | libc::MSG_ERRQUEUE
    }
    #[cfg(not(linux_like))]
    {
        common
    }
};

/// Bytes on the stack.
#[repr(C, align(8))]
pub(crate) struct InlineStorage<const N: usize>([u8; N]);

impl<const N: usize> InlineStorage<N> {
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self([0; N])
    }
}

/// Bytes on the heap, aligned for a header.
pub(crate) struct HeapStorage {
    // INVARIANT: `capacity <= words.len() * 8`.
    words: Box<[u64]>,
    capacity: usize,
}

impl HeapStorage {
    pub(crate) fn new(capacity: usize) -> Self {
        // INVARIANT: rounded up.
        Self { words: vec![0; capacity.div_ceil(8)].into_boxed_slice(), capacity }
    }
}

/// Where the bytes are. The methods return the same memory every time.
pub(crate) trait Storage {
    fn bytes(&self) -> &[u8];
    fn bytes_mut(&mut self) -> &mut [u8];
}

impl<const N: usize> Storage for InlineStorage<N> {
    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        &self.0
    }
    #[inline(always)]
    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Storage for HeapStorage {
    #[inline]
    fn bytes(&self) -> &[u8] {
        // SAFETY: the words are initialised memory, any byte of them is a u8, and the field's invariant bounds the
        // length.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast(), self.capacity) }
    }
    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, under an exclusive borrow; any bytes written make a u64.
        unsafe { std::slice::from_raw_parts_mut(self.words.as_mut_ptr().cast(), self.capacity) }
    }
}

struct Head {
    // INVARIANT: made by `SockAddr::zeroed`, never replaced.
    peer: SockAddr,
    /// How much of the storage the last receive filled.
    len: usize,
    // INVARIANT: while true, each non-negative integer in the descriptor-carrying messages of the first `len`
    // bytes is a descriptor that the kernel installed for us and that nobody else owns. While false, none is owned.
    owns: bool,
}

impl Head {
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
        // INVARIANT: nothing is owned.
        Self { head: Head { peer: SockAddr::zeroed(), len: 0, owns: false }, storage }
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
        Fds { head: &self.head, bytes: self.storage.bytes(), cursor: FdCursor::default() }
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

/// What one receive reported.
#[derive(Clone, Copy)]
pub(crate) struct Arrival {
    /// The return value: bytes of data, or the real length under `MSG_TRUNC`.
    pub(crate) returned: usize,
    pub(crate) flags: c_int,
}

/// How far a walk over the descriptors has come.
#[derive(Clone, Copy, Default)]
pub(crate) struct FdCursor {
    at: usize,
    end: usize,
    next: usize,
    left_out: bool,
}

impl FdCursor {
    /// Where the next number of this message stands.
    #[inline(always)]
    fn next_slot(&mut self) -> Option<usize> {
        let at = self.at;
        if at + 4 > self.end {
            return None;
        }
        self.at += 4;
        Some(at)
    }

    /// Moves on to the next message that carries descriptors, if there is one.
    fn next_message(&mut self, head: &Head, bytes: &[u8], pidfds: bool) -> bool {
        loop {
            let rest = bytes.get(self.next..head.len).unwrap_or_default();
            let mut walk = Cmsgs::new(rest);
            let Some(cmsg) = walk.next() else { return false };
            self.at = self.next + HEADER;
            self.end = self.at + cmsg.payload().len();
            self.next += rest.len() - walk.rest().len();
            match carries_fds(cmsg.id()) {
                Carries::Fds => return true,
                Carries::Pidfd if pidfds => return true,
                Carries::Pidfd => self.left_out = true,
                Carries::Nothing => {}
            }
        }
    }
}

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
        // `len` never exceeds the storage; `get` instead of an index leaves no panic path in the caller.
        self.bytes.get(..self.head.len).unwrap_or(&[])
    }

    #[inline(always)]
    pub(crate) fn peer(&self) -> Option<&SockAddr> {
        self.head.peer()
    }

    /// Receives into buffers that may be uninitialised.
    #[inline(always)]
    pub(crate) fn recv(
        &mut self,
        socket: BorrowedFd<'_>,
        data: &mut IoSlicesMut<'_>,
        ask: Recv,
    ) -> io::Result<Arrival> {
        if ask.flags & !WRITES_WHAT_IT_COUNTS != 0 {
            data.zero();
        }
        let iov = data.as_raw();
        let arrival = self.recv_raw(socket, iov.as_ptr().cast_mut(), iov.len(), ask)?;
        let filled = arrival.returned.min(data.capacity());
        // SAFETY: recvmsg(2): the return value is the number of bytes written, front to back, but for the flags
        // above, under which all has been zeroed.
        unsafe { data.set_filled(filled) };
        Ok(arrival)
    }

    /// Receives into one buffer and returns the part that was written.
    #[inline(always)]
    pub(crate) fn recv_uninit<'d>(
        &mut self,
        socket: BorrowedFd<'_>,
        data: &'d mut [MaybeUninit<u8>],
        ask: Recv,
    ) -> io::Result<(Arrival, &'d mut [u8])> {
        if ask.flags & !WRITES_WHAT_IT_COUNTS != 0 {
            data.fill(MaybeUninit::new(0));
        }
        let mut iov = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: data.len() };
        let arrival = self.recv_raw(socket, &mut iov, 1, ask)?;
        let len = arrival.returned.min(data.len());
        // SAFETY: 1. `len` is at most the length of `data`, borrowed exclusively for 'd; 2. recvmsg(2): the return
        // value is the number of bytes written, but for the flags above, under which all has been zeroed.
        let data = unsafe { std::slice::from_raw_parts_mut(data.as_mut_ptr().cast(), len) };
        Ok((arrival, data))
    }

    /// Receives into one initialised buffer and returns the part that was written.
    #[inline(always)]
    pub(crate) fn recv_slice<'d>(
        &mut self,
        socket: BorrowedFd<'_>,
        data: &'d mut [u8],
        ask: Recv,
    ) -> io::Result<(Arrival, &'d mut [u8])> {
        let mut iov = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: data.len() };
        let arrival = self.recv_raw(socket, &mut iov, 1, ask)?;
        let len = arrival.returned.min(data.len());
        // `len` is bounded by the line above; `get_mut` leaves no panic path in the caller.
        Ok((arrival, data.get_mut(..len).unwrap_or_default()))
    }

    /// recvmsg(2), retried when a signal interrupts it. `iov` points to `count` entries that are exclusively
    /// borrowed by the three callers above until this returns.
    #[inline(always)]
    fn recv_raw(
        &mut self,
        socket: BorrowedFd<'_>,
        iov: *mut libc::iovec,
        count: usize,
        ask: Recv,
    ) -> io::Result<Arrival> {
        let start = if ask.append {
            self.compact();
            align_up(self.head.len).min(self.bytes.len())
        } else {
            self.rearm();
            0
        };
        let room = self.bytes.get_mut(start..).unwrap_or_default();
        // A call that succeeds without touching the buffer must not make old bytes look new.
        if let Some(first) = room.get_mut(..size_of::<super::CmsgLen>()) {
            first.fill(0);
        }
        let mut header = zeroed_msghdr();
        if ask.peer {
            header.msg_name = self.head.peer.as_mut_ptr();
            header.msg_namelen = SockAddr::CAPACITY as libc::socklen_t;
        }
        header.msg_iov = iov;
        header.msg_iovlen = count as _;
        if !room.is_empty() {
            header.msg_control = room.as_mut_ptr().cast();
            header.msg_controllen = room.len() as _;
        }
        let flags = if ask.inheritable { ask.flags } else { ask.flags | MSG_CMSG_CLOEXEC };
        let capacity = room.len();
        let returned = loop {
            // SAFETY: 1. the descriptor is borrowed, hence open; 2. name, control and the buffers behind `iov` are
            // borrowed exclusively until the call returns, with the lengths given; 3. what the kernel writes
            // there is plain bytes.
            let returned = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut header, flags) };
            if returned >= 0 {
                break returned as usize;
            }
            let error = last_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        };
        let got = (header.msg_controllen as usize).min(capacity);
        if got > 0 {
            self.head.len = start + got;
        }
        // SAFETY: the field's invariant: the address was made by `zeroed`.
        unsafe { self.head.peer.set_len(header.msg_namelen as usize) };
        // INVARIANT: recvmsg(2) has installed what stands in the new bytes, for us alone. A message from an
        // internet peer carries no descriptor (net/core/scm.c serves AF_UNIX and AF_NETLINK), so none is claimed.
        self.head.owns |= got > 0 && !self.peer_is_inet();
        #[cfg(apple)]
        if self.head.owns && !ask.inheritable {
            self.set_cloexec(start);
        }
        Ok(Arrival { returned, flags: header.msg_flags })
    }

    #[inline(always)]
    fn peer_is_inet(&self) -> bool {
        matches!(self.head.peer.family(), libc::AF_INET | libc::AF_INET6)
    }

    #[cfg(apple)]
    fn set_cloexec(&mut self, start: usize) {
        let mut cursor = FdCursor { next: start, ..FdCursor::default() };
        while cursor.next_message(self.head, self.bytes, true) {
            while let Some(slot) = cursor.next_slot().and_then(|at| self.bytes.get(at..)?.first_chunk::<4>()) {
                // SAFETY: fcntl with F_SETFD takes an int; the descriptor is ours by the invariant of `owns`.
                let _ = unsafe { libc::fcntl(RawFd::from_ne_bytes(*slot), libc::F_SETFD, libc::FD_CLOEXEC) };
            }
        }
    }

    /// Forgets the last message: closes what nobody took, and holds nothing.
    #[inline(always)]
    pub(crate) fn rearm(&mut self) {
        if self.head.owns {
            self.close_all();
        }
        self.head.len = 0;
        self.clear_name();
    }

    #[inline(always)]
    fn clear_name(&mut self) {
        // SAFETY: no byte is claimed.
        unsafe { self.head.peer.set_len(0) };
    }

    /// Drops messages that a later one of the same kind replaces: a stream may bring credentials with every call. Those
    /// with descriptors stay.
    #[cold]
    fn compact(&mut self) {
        let (mut from, mut to) = (0, 0);
        loop {
            let rest = self.received().get(from..).unwrap_or_default();
            let mut walk = Cmsgs::new(rest);
            let Some(cmsg) = walk.next() else { break };
            let id = cmsg.id();
            let replaced = matches!(carries_fds(id), Carries::Nothing) && walk.clone().any(|later| later.id() == id);
            let step = rest.len() - walk.rest().len();
            if !replaced {
                self.bytes.copy_within(from..from + step, to);
                to += step;
            }
            from += step;
        }
        // INVARIANT: each message with descriptors stands among the first `to` bytes, once: those behind are not
        // counted any longer.
        self.head.len = to;
    }

    #[inline(always)]
    fn close_all(&mut self) {
        // By its parts: a pointer to `self` would keep all of it in memory.
        close_all(self.head, self.bytes);
    }

    /// Takes the next descriptor of `SCM_RIGHTS`.
    #[inline]
    pub(crate) fn take_fd(&mut self, cursor: &mut FdCursor) -> Option<OwnedFd> {
        self.take_any(cursor, false)
    }

    #[inline]
    fn take_any(&mut self, cursor: &mut FdCursor, pidfds: bool) -> Option<OwnedFd> {
        while self.head.owns {
            let Some(slot) = cursor.next_slot().and_then(|at| self.bytes.get_mut(at..)?.first_chunk_mut::<4>()) else {
                if cursor.next_message(self.head, self.bytes, pidfds) {
                    continue;
                }
                // INVARIANT: every number has been taken, unless a message was left out.
                self.head.owns = cursor.left_out;
                return None;
            };
            let fd = RawFd::from_ne_bytes(*slot);
            if fd >= 0 {
                // Given away exactly once: the number goes before the owner is made.
                *slot = (-1i32).to_ne_bytes();
                // SAFETY: 1. `owns` is true, so its invariant holds: the kernel installed this descriptor for us and
                // nobody else owns it; 2. it is not negative; 3. its slot holds -1 now, so it is not given twice.
                return Some(unsafe { OwnedFd::from_raw_fd(fd) });
            }
        }
        None
    }

    /// The descriptors of `SCM_RIGHTS` that have not been taken, borrowed.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> + Clone {
        Fds { head: self.head, bytes: self.bytes, cursor: FdCursor::default() }
    }
}

/// The descriptors that an inbox still owns, borrowed.
#[derive(Clone)]
struct Fds<'i> {
    head: &'i Head,
    bytes: &'i [u8],
    cursor: FdCursor,
}

impl<'i> Iterator for Fds<'i> {
    type Item = BorrowedFd<'i>;

    fn next(&mut self) -> Option<BorrowedFd<'i>> {
        while self.head.owns {
            let Some(slot) = self.cursor.next_slot().and_then(|at| self.bytes.get(at..)?.first_chunk::<4>()) else {
                if self.cursor.next_message(self.head, self.bytes, false) {
                    continue;
                }
                return None;
            };
            let fd = RawFd::from_ne_bytes(*slot);
            if fd >= 0 {
                // SAFETY: the invariant of `owns`: the descriptor is open and ours; taking it needs an exclusive
                // borrow of the inbox, so it stays open for 'i.
                return Some(unsafe { BorrowedFd::borrow_raw(fd) });
            }
        }
        None
    }
}

#[cold]
#[inline(never)]
fn close_all(head: &mut Head, bytes: &mut [u8]) {
    let mut inbox = InboxMut { head, bytes };
    let mut cursor = FdCursor::default();
    while let Some(fd) = inbox.take_any(&mut cursor, true) {
        drop(fd);
    }
    // INVARIANT: every number has been taken.
    inbox.head.owns = false;
}

enum Carries {
    Fds,
    #[cfg_attr(not(linux_like), allow(dead_code, reason = "Linux has them"))]
    Pidfd,
    Nothing,
}

fn carries_fds(id: CmsgId) -> Carries {
    if id == CmsgId::new(libc::SOL_SOCKET, libc::SCM_RIGHTS) {
        return Carries::Fds;
    }
    #[cfg(linux_like)]
    if id == CmsgId::new(libc::SOL_SOCKET, SCM_PIDFD) {
        return Carries::Pidfd;
    }
    Carries::Nothing
}

/// Marks bytes that a receive has written as part of a `BufMut`.
#[cfg(feature = "bytes")]
pub(crate) fn recv_buf_mut(
    inbox: &mut InboxMut<'_>,
    socket: BorrowedFd<'_>,
    buf: &mut (impl bytes::BufMut + ?Sized),
    ask: Recv,
) -> io::Result<Arrival> {
    // SAFETY: `chunk_mut` gives an exclusive borrow, and nothing but the kernel's or zero bytes is written to it,
    // so initialised memory is never made uninitialised.
    let chunk = unsafe { buf.chunk_mut().as_uninit_slice_mut() };
    let (arrival, written) = inbox.recv_uninit(socket, chunk, ask)?;
    let len = written.len();
    // SAFETY: `recv_uninit` has initialised the first `len` bytes of the chunk.
    unsafe { buf.advance_mut(len) };
    Ok(arrival)
}

const _: () = assert!(size_of::<RawFd>() == 4);
