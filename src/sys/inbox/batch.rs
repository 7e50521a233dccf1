//! Messages that come together: an inbox for each, and their headers in the kernel's layout.

use std::{
    io::{self, IoSliceMut},
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    ptr,
};

use nix::libc::{self, c_int, c_uint};

use super::{
    Head, Recv,
    call::{discards, is_inet, receiving},
};
use crate::cmsg::unlikely;
use crate::sys::{
    array::Array,
    io::ends_stream,
    mmsg::{Mmsghdr, recvmmsg},
    slices::total,
};

/// Storage for messages to receive, made once.
pub(crate) struct InBatch {
    // INVARIANT: the arrays have an entry, `control_len` bytes or `size` bytes for each message, and its header describes
    // the peer at the start of its head, its entry of `own`, which describes its part of `data`, and its part of `control`.
    // Neither this nor the kernel changes these pointers (net/socket.c, `____sys_recvmsg`), but for `recv_into`, which
    // restores them.
    pub(super) headers: Array<Mmsghdr>,
    heads: Array<Head>,
    pub(super) own: Array<Entry>,
    control: Array<u64>,
    pub(super) control_len: usize,
    data: Array<u8>,
    pub(super) size: usize,
    // INVARIANT: `adopted <= received <= headers.len() <= c_uint::MAX`. What the messages below `adopted` brought is
    // recorded in their heads; what those from there to `received` brought stands in their headers alone. The headers of
    // all others are ready for the next call, and only the heads below `adopted` own descriptors, none unless `owns` is
    // true.
    pub(super) adopted: usize,
    pub(super) received: usize,
    pub(super) owns: bool,
    /// What the last messages have in common.
    pub(super) last: Last,
    /// What was found behind the last messages, where the kernel did not keep it, and on which socket.
    error: Option<(RawFd, c_int)>,
}

/// The buffer of a message, and how many bytes the caller's have instead.
#[repr(C)]
pub(super) struct Entry {
    iov: libc::iovec,
    pub(super) elsewhere: usize,
}

#[derive(Clone, Copy)]
pub(super) struct Last {
    pub(super) ask: Recv,
    /// Whether the data is in buffers of the caller's.
    pub(super) elsewhere: bool,
    /// Whether the bytes that were counted have been thrown away (`MSG_TRUNC` on TCP).
    pub(super) discarded: bool,
    /// Which one is the end of a stream, if one is.
    pub(super) end: *mut Mmsghdr,
    /// Whether the first came from an internet peer: then the socket is an internet socket, and all did.
    pub(super) inet: bool,
}

impl Last {
    const fn new(ask: Recv, elsewhere: bool) -> Self {
        Self { ask, elsewhere, discarded: false, end: ptr::null_mut(), inet: false }
    }
}

// SAFETY: the pointers in it lead to its own arrays.
unsafe impl Send for InBatch {}
// SAFETY: a shared reference to it gives numbers alone.
unsafe impl Sync for InBatch {}

impl InBatch {
    /// For so many messages, each of so many bytes of data and of control data; `None` if no memory is that large, or no
    /// call takes so many.
    pub(crate) fn new(messages: usize, size: usize, control: usize) -> Option<Self> {
        c_uint::try_from(messages).ok()?;
        let control_len = control.checked_next_multiple_of(8)?;
        let bytes = messages.checked_mul(size).filter(|bytes| *bytes <= isize::MAX as usize)?;
        let words = messages.checked_mul(control_len).filter(|bytes| *bytes <= isize::MAX as usize)? / 8;
        let unset = || Entry { iov: libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }, elsewhere: 0 };
        let mut batch = Self {
            headers: Array::new(messages, Mmsghdr::zeroed),
            heads: Array::new(messages, Head::new),
            own: Array::new(messages, unset),
            control: Array::zeroed(words),
            control_len,
            data: Array::zeroed(bytes),
            size,
            adopted: 0,
            received: 0,
            owns: false,
            last: Last::new(Recv::PLAIN, false),
            error: None,
        };
        for index in 0..messages {
            batch.describe(index);
        }
        Some(batch)
    }

    /// Makes a header describe what is its own, ready for a call.
    fn describe(&mut self, index: usize) {
        let (control, data) = (self.control.as_ptr().cast::<u8>(), self.data.as_ptr());
        let (Some(message), Some(own)) = (self.headers.get_mut(index), self.own.get_mut(index)) else { return };
        // INVARIANT: `new` has made so many heads, and so many bytes for each.
        own.iov = libc::iovec { iov_base: data.wrapping_add(index * self.size).cast(), iov_len: self.size };
        let header = &mut message.header;
        header.msg_name = self.heads.as_ptr().wrapping_add(index).cast();
        (header.msg_iov, header.msg_iovlen) = (ptr::from_mut(own).cast(), 1);
        // Never null, also of no bytes.
        header.msg_control = control.wrapping_add(index * self.control_len).cast();
        message.rearm(self.control_len);
    }

    pub(crate) fn capacity(&self) -> usize {
        self.headers.len()
    }

    /// Bytes of data and of control data that each message has room for.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.size, self.control_len)
    }

    /// Forgets the last messages: closes what nobody took.
    #[inline(always)]
    pub(crate) fn clear(&mut self) {
        if self.owns || self.adopted < self.received {
            self.close_all();
        }
        (self.adopted, self.received) = (0, 0);
    }

    #[cold]
    #[inline(never)]
    fn close_all(&mut self) {
        while self.messages().next().is_some() {}
        let mut each = self.messages_from(0, self.received);
        while !each.is_over() {
            each.inbox().close_owned();
            each.step();
        }
        self.owns = false;
    }

    /// Receives as many messages as there are, at least one, into its own buffers.
    #[inline(always)]
    pub(crate) fn recv(&mut self, socket: &impl AsFd, ask: Recv) -> io::Result<()> {
        self.clear();
        self.call(socket.as_fd(), self.headers.len(), Last::new(ask, false))
    }

    /// The same into buffers of the caller's, `each` for every message.
    pub(crate) fn recv_into(
        &mut self,
        socket: &impl AsFd,
        buffers: &mut [IoSliceMut<'_>],
        each: usize,
        ask: Recv,
    ) -> io::Result<()> {
        self.clear();
        // First of all: it is the caller's code, and may panic.
        let socket = socket.as_fd();
        let count = buffers.len().checked_div(each).unwrap_or(0).min(self.headers.len());
        for (index, list) in (0..count).zip(buffers.chunks_exact_mut(each.max(1))) {
            let room = total(list);
            if let (Some(message), Some(own)) = (self.headers.get_mut(index), self.own.get_mut(index)) {
                // IoSliceMut is guaranteed to be ABI compatible with iovec on Unix.
                (message.header.msg_iov, message.header.msg_iovlen) = (list.as_mut_ptr().cast(), list.len() as _);
                own.elsewhere = room;
            }
        }
        let result = self.call(socket, count, Last::new(ask, true));
        for index in 0..count {
            if let (Some(message), Some(own)) = (self.headers.get_mut(index), self.own.get_mut(index)) {
                (message.header.msg_iov, message.header.msg_iovlen) = (ptr::from_mut(own).cast(), 1);
            }
        }
        result
    }

    /// recvmmsg(2) into the first `count` headers, retried when a signal interrupts it.
    #[inline(always)]
    fn call(&mut self, socket: BorrowedFd<'_>, count: usize, last: Last) -> io::Result<()> {
        if self.error.is_some() {
            self.tell_error(socket)?;
        }
        let ask = last.ask;
        let mut count = count;
        if ask.flags & libc::MSG_PEEK != 0 {
            unlikely();
            count = count.min(1); // each would be the same message
        }
        let headers = self.headers.as_ptr();
        // SAFETY: so many headers are there, as the callers have seen to, and describe memory of the batch, or of the
        // caller's, all borrowed exclusively until the call returns.
        let result = receiving(socket, ask, |flags| unsafe { recvmmsg(socket, headers, count as c_uint, flags) });
        let (received, error) = match result {
            Ok(received) => received,
            Err(error) => {
                // The kernel has looked at no other.
                if let Some(first) = self.headers.get_mut(0) {
                    first.rearm(self.control_len);
                }
                return Err(error);
            }
        };
        // INVARIANT: the kernel says no more than it was given.
        (self.received, self.last) = (received.min(count), last);
        if let Some(error) = error {
            self.error = Some((socket.as_raw_fd(), error));
        }
        let is_armed = |at| self.headers.get(at).is_some_and(Mmsghdr::is_armed);
        let unwritten = is_armed(0) || is_armed(self.received.wrapping_sub(1));
        if unwritten {
            self.clear_unwritten();
        }
        self.last.inet = self.first_is_inet();
        if ask.flags & libc::MSG_TRUNC != 0 {
            self.last.discarded = discards(socket, ask.flags);
        }
        #[cfg(apple)]
        if !ask.inheritable {
            self.set_cloexec();
        }
        if !unwritten && self.received.checked_sub(1).is_some_and(|last| self.is_silent(last)) {
            self.find_end(socket);
        }
        Ok(())
    }

    /// What was found behind the last messages of this socket.
    #[cold]
    fn tell_error(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        match self.error {
            Some((fd, number)) if fd == socket.as_raw_fd() => {
                self.error = None;
                Err(io::Error::from_raw_os_error(number))
            }
            _ => Ok(()),
        }
    }

    /// For all messages, though they are taken over one by one later: the process may fork in between.
    #[cfg(apple)]
    fn set_cloexec(&mut self) {
        let (installs, control_len) = (super::call::installs(self.last.ask), self.control_len);
        let mut each = self.messages_from(0, self.received);
        while installs && !each.is_over() {
            let len = (each.header().header.msg_controllen as usize).min(control_len);
            let mut inbox = each.inbox();
            // INVARIANT: while they are looked at, what this message brought is the head's; nobody else sees it.
            (inbox.head.len, inbox.head.owns) = (len, true);
            inbox.set_cloexec(0);
            (inbox.head.len, inbox.head.owns) = (0, false);
            each.step();
        }
    }

    /// Makes empty messages of headers that a call has not written, though it claims success: old control data must not look
    /// new.
    #[cold]
    #[inline(never)]
    fn clear_unwritten(&mut self) {
        for index in 0..self.received {
            if let Some(message) = self.headers.get_mut(index).filter(|message| message.is_armed()) {
                message.len = 0;
                message.header.msg_flags = 0;
                (message.header.msg_namelen, message.header.msg_controllen) = (0, 0 as _);
            }
        }
    }

    #[inline(always)]
    fn first_is_inet(&mut self) -> bool {
        let Some(len) = self.headers.get(0).filter(|_| self.received > 0).map(|first| first.header.msg_namelen) else {
            return false;
        };
        let Some(head) = self.heads.get_mut(0) else { return false };
        // SAFETY: the field's invariant: the address was made by `zeroed`.
        unsafe { head.peer.set_len(len as usize) };
        is_inet(&head.peer)
    }

    /// Whether a message has no bytes and no sender.
    #[inline(always)]
    fn is_silent(&self, index: usize) -> bool {
        // A TLS record that is empty says that it is whole.
        let is_silent = |header: &libc::msghdr| header.msg_namelen == 0 && header.msg_flags & libc::MSG_EOR == 0;
        self.headers.get(index).is_some_and(|message| message.len == 0 && is_silent(&message.header))
    }

    /// How many bytes of data a message had room for.
    fn room(&self, index: usize) -> usize {
        if self.last.elsewhere { self.own.get(index).map_or(0, |own| own.elsewhere) } else { self.size }
    }

    /// The end of a stream comes as often as there are headers: once is enough. What Linux attaches to it belongs to no
    /// message.
    #[cold]
    #[inline(never)]
    fn find_end(&mut self, socket: BorrowedFd<'_>) {
        let control = |batch: &Self, index| batch.headers.get(index).map_or(0, |m| m.header.msg_controllen as usize);
        let mut first = self.received - 1;
        let flags = self.headers.get(first).map_or(0, |message| message.header.msg_flags);
        let attached = control(self, first);
        if !ends_stream(socket, flags, attached > 0) {
            return;
        }
        while first > 0 && self.is_silent(first - 1) && control(self, first - 1) == attached {
            first -= 1;
        }
        // A message without room for data is empty whatever there is.
        while first < self.received && self.room(first) == 0 {
            first += 1;
        }
        if first == self.received {
            return;
        }
        let mut each = self.messages_from(first, self.received - first);
        while !each.is_over() {
            each.adopt().0.rearm();
            each.step();
        }
        if let Some(message) = self.headers.get_mut(first) {
            message.header.msg_controllen = 0;
            message.header.msg_namelen = 0;
            message.header.msg_flags &= !libc::MSG_CTRUNC;
        }
        // INVARIANT: those behind are ready again.
        (self.received, self.last.end) = (first + 1, self.headers.as_ptr().wrapping_add(first));
    }
}

impl Drop for InBatch {
    fn drop(&mut self) {
        self.clear();
    }
}
