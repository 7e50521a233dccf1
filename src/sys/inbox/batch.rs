//! Messages that come together: an inbox for each, and their headers in the kernel's layout.

use std::{
    io::{self, IoSliceMut},
    marker::PhantomData,
    os::fd::{AsFd, BorrowedFd},
    ptr,
};

use nix::libc::{self, c_int};

use super::{Arrival, Head, InboxMut, Recv, discards, is_inet, refuses_cloexec};
use crate::sys::{
    MSG_CMSG_CLOEXEC, SockAddr,
    array::Array,
    io::ends_stream,
    mmsg::{Mmsghdr, recvmmsg},
};

/// Storage for messages to receive, made once.
pub(crate) struct InBatch {
    // INVARIANT: the arrays have an entry, `control_len` bytes or `size` bytes for each message, and its header describes
    // the peer in its head, its entry of `own`, which describes its part of `data`, and its part of `control`.
    headers: Array<Mmsghdr>,
    heads: Array<Head>,
    own: Array<Entry>,
    control: Array<u64>,
    control_len: usize,
    data: Array<u8>,
    size: usize,
    // INVARIANT: `adopted <= received <= headers.len()`. What the messages below `adopted` brought is recorded in their
    // heads; what those from there to `received` brought stands in their headers alone. The headers of all others are
    // ready for the next call, and only the heads below `adopted` own descriptors, none unless `owns` is true.
    adopted: usize,
    received: usize,
    owns: bool,
    /// What the last messages have in common.
    last: Last,
    /// What was found behind the last messages, where the kernel did not keep it.
    error: c_int,
}

/// The buffer of a message, and how many bytes the caller's have instead.
struct Entry {
    iov: libc::iovec,
    elsewhere: usize,
}

#[derive(Clone, Copy)]
struct Last {
    ask: Recv,
    /// Whether the data is in buffers of the caller's.
    elsewhere: bool,
    /// Whether the bytes that were counted have been thrown away (`MSG_TRUNC` on TCP).
    discarded: bool,
    /// Which one is the end of a stream, if one is.
    end: usize,
    /// Whether the first came from an internet peer: then the socket is an internet socket, and all did.
    inet: bool,
}

impl Last {
    const fn new(ask: Recv, elsewhere: bool) -> Self {
        Self { ask, elsewhere, discarded: false, end: usize::MAX, inet: false }
    }
}

// SAFETY: the pointers in it lead to its own arrays.
unsafe impl Send for InBatch {}
// SAFETY: a shared reference to it gives numbers alone.
unsafe impl Sync for InBatch {}

impl InBatch {
    /// For so many messages, each of so many bytes of data and of control data; `None` if no memory is that large.
    pub(crate) fn new(messages: usize, size: usize, control: usize) -> Option<Self> {
        let control_len = control.checked_next_multiple_of(8)?;
        let bytes = messages.checked_mul(size).filter(|bytes| *bytes <= isize::MAX as usize)?;
        let words = messages.checked_mul(control_len).filter(|bytes| *bytes <= isize::MAX as usize)? / 8;
        let unset = || Entry { iov: libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }, elsewhere: 0 };
        let ask = Recv { flags: 0, peer: true, inheritable: false, append: false };
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
            last: Last::new(ask, false),
            error: 0,
        };
        let mut each = batch.messages_from(0, messages);
        while each.left > 0 {
            each.describe();
            each.step();
        }
        Some(batch)
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
        while each.left > 0 {
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
        let count = buffers.len().checked_div(each).unwrap_or(0).min(self.headers.len());
        for (index, list) in (0..count).zip(buffers.chunks_exact_mut(each.max(1))) {
            let room = list.iter().fold(0, |sum: usize, buffer| sum.saturating_add(buffer.len()));
            if let (Some(message), Some(own)) = (self.headers.get_mut(index), self.own.get_mut(index)) {
                // IoSliceMut is guaranteed to be ABI compatible with iovec on Unix.
                (message.header.msg_iov, message.header.msg_iovlen) = (list.as_mut_ptr().cast(), list.len() as _);
                own.elsewhere = room;
            }
        }
        let result = self.call(socket.as_fd(), count, Last::new(ask, true));
        let mut own = self.messages_from(0, count);
        while own.left > 0 {
            own.describe_buffer();
            own.step();
        }
        result
    }

    /// recvmmsg(2) into the first `count` headers, retried when a signal interrupts it.
    #[inline(always)]
    fn call(&mut self, socket: BorrowedFd<'_>, count: usize, last: Last) -> io::Result<()> {
        if self.error != 0 {
            return Err(io::Error::from_raw_os_error(std::mem::take(&mut self.error)));
        }
        let ask = last.ask;
        let mut flags = if ask.inheritable { ask.flags } else { ask.flags | MSG_CMSG_CLOEXEC };
        let (received, error) = loop {
            // SAFETY: so many headers are there, as the callers have seen to, and describe memory of the batch, or of the
            // caller's, all borrowed exclusively until the call returns.
            match unsafe { recvmmsg(socket, self.headers.as_ptr(), count, flags) } {
                Ok(received) => break received,
                Err(error) if flags & MSG_CMSG_CLOEXEC != 0 && refuses_cloexec(socket, &error) => {
                    flags &= !MSG_CMSG_CLOEXEC;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // The kernel has looked at no other.
                    if count > 0 {
                        self.messages_from(0, 1).rearm();
                    }
                    return Err(error);
                }
            }
        };
        // INVARIANT: the kernel says no more than it was given.
        (self.received, self.error, self.last) = (received.min(count), error, last);
        self.last.inet = self.first_is_inet();
        if ask.flags & libc::MSG_TRUNC != 0 {
            self.last.discarded = discards(socket, ask.flags);
        }
        if self.received.checked_sub(1).is_some_and(|last| self.is_silent(last)) {
            self.find_end(socket);
        }
        Ok(())
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
        self.headers.get(index).is_some_and(|message| message.len == 0 && message.header.msg_namelen == 0)
    }

    /// The end of a stream comes as often as there are headers: once is enough. What Linux attaches to it belongs to no
    /// message.
    #[cold]
    #[inline(never)]
    fn find_end(&mut self, socket: BorrowedFd<'_>) {
        let control = |batch: &Self, index| batch.headers.get(index).map_or(0, |m| m.header.msg_controllen as usize);
        let (mut first, flags) = (self.received - 1, self.last.ask.flags);
        let attached = control(self, first);
        if !ends_stream(socket, flags, attached > 0) {
            return;
        }
        while first > 0 && self.is_silent(first - 1) && control(self, first - 1) == attached {
            first -= 1;
        }
        let mut each = self.messages_from(first, self.received - first);
        while each.left > 0 {
            each.adopt().0.rearm();
            each.step();
        }
        if let Some(message) = self.headers.get_mut(first) {
            message.header.msg_controllen = 0;
            message.header.msg_namelen = 0;
            message.header.msg_flags &= !libc::MSG_CTRUNC;
        }
        // INVARIANT: those behind are ready again.
        (self.received, self.last.end) = (first + 1, first);
    }

    /// The messages of the last call that have not been looked at.
    #[inline(always)]
    pub(crate) fn messages(&mut self) -> InMessages<'_> {
        self.messages_from(self.adopted, self.received - self.adopted)
    }

    #[inline(always)]
    fn messages_from(&mut self, first: usize, count: usize) -> InMessages<'_> {
        assert!(first <= self.headers.len() && count <= self.headers.len() - first);
        let (headers, heads) = (self.headers.as_ptr(), self.heads.as_ptr());
        let (control, data) = (self.control.as_ptr().cast::<u8>(), self.data.as_ptr());
        // INVARIANT: the entries and parts of message `first`, and asserted: `count` messages follow.
        InMessages {
            index: first,
            left: count,
            header: headers.wrapping_add(first),
            head: heads.wrapping_add(first),
            control: control.wrapping_add(first * self.control_len),
            control_len: self.control_len,
            data: data.wrapping_add(first * self.size),
            size: self.size,
            room: if self.last.elsewhere || self.last.discarded { 0 } else { self.size },
            last: self.last,
            batch: self,
            borrow: PhantomData,
        }
    }
}

impl Drop for InBatch {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The messages of a call, one after the other.
pub(crate) struct InMessages<'m> {
    // INVARIANT: the pointers lead to what belongs to the message of this index, `left` messages are there, and nobody else
    // uses them for 'm.
    index: usize,
    left: usize,
    header: *mut Mmsghdr,
    head: *mut Head,
    control: *mut u8,
    control_len: usize,
    data: *mut u8,
    size: usize,
    /// How much of its data a message can have in the batch: all or nothing.
    room: usize,
    last: Last,
    // INVARIANT: borrowed exclusively for 'm; of its arrays' contents no reference is made through it.
    batch: *mut InBatch,
    borrow: PhantomData<&'m mut InBatch>,
}

// SAFETY: it stands for `&'m mut InBatch`, which is Send.
unsafe impl Send for InMessages<'_> {}
// SAFETY: a shared reference gives numbers alone.
unsafe impl Sync for InMessages<'_> {}

impl<'m> InMessages<'m> {
    pub(crate) fn len(&self) -> usize {
        self.left
    }

    /// On to the next message.
    #[inline(always)]
    fn step(&mut self) {
        // INVARIANT: wrapping, since the last step leads behind the arrays.
        self.index += 1;
        self.left -= 1;
        self.header = self.header.wrapping_add(1);
        self.head = self.head.wrapping_add(1);
        self.control = self.control.wrapping_add(self.control_len);
        self.data = self.data.wrapping_add(self.size);
    }

    #[inline(always)]
    fn header(&mut self) -> &mut Mmsghdr {
        assert!(self.left > 0);
        // SAFETY: the invariant: a message is there, as asserted, and nobody else uses it.
        unsafe { &mut *self.header }
    }

    /// The inbox of this message, which is given out once, or gone before the next is.
    #[inline(always)]
    fn inbox(&mut self) -> InboxMut<'m> {
        assert!(self.left > 0);
        // SAFETY: the invariant: a message is there, as asserted, and nobody else uses it.
        let head = unsafe { &mut *self.head };
        // SAFETY: as above; so many bytes belong to it, and are initialised; any bytes make a u64.
        let bytes = unsafe { std::slice::from_raw_parts_mut(self.control, self.control_len) };
        InboxMut { head, bytes }
    }

    /// Makes the header describe what is its own.
    fn describe(&mut self) {
        let (head, control) = (self.head, if self.control_len == 0 { ptr::null_mut() } else { self.control });
        let header = &mut self.header().header;
        // SAFETY: the invariant: a message is there (asserted by `header`); the place is computed, nothing is read.
        header.msg_name = unsafe { &raw mut (*head).peer }.cast();
        header.msg_control = control.cast();
        self.rearm();
        self.describe_buffer();
    }

    fn describe_buffer(&mut self) {
        let iov = libc::iovec { iov_base: self.data.cast(), iov_len: self.size };
        let index = self.index;
        // SAFETY: the invariant: borrowed exclusively, and no reference to it lives meanwhile.
        let batch = unsafe { &mut *self.batch };
        if let Some(own) = batch.own.get_mut(index) {
            own.iov = iov;
            let at = &raw mut own.iov;
            let header = &mut self.header().header;
            (header.msg_iov, header.msg_iovlen) = (at, 1);
        }
    }

    /// Makes the header ready for the next call.
    #[inline(always)]
    fn rearm(&mut self) {
        let control_len = self.control_len;
        let header = &mut self.header().header;
        header.msg_namelen = SockAddr::CAPACITY as libc::socklen_t;
        header.msg_controllen = control_len as _;
    }

    /// Takes over what the message has brought, and makes its header ready: what its data is counted as.
    ///
    /// The head is written last: what it holds need not be read again, then.
    #[inline(always)]
    fn adopt(&mut self) -> (InboxMut<'m>, usize) {
        let Mmsghdr { header, len } = *self.header();
        self.rearm();
        let mut inbox = self.inbox();
        inbox.arrived(&header, self.control_len, (0, 0, 0), self.last.inet, self.last.ask);
        (inbox, len as usize)
    }

    /// The next message, whether it is the end of a stream, and the data of the batch that it has.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<(InboxMut<'m>, Arrival, bool, &'m [u8])> {
        let (data, room) = (self.data, self.room);
        let (inbox, arrival, eof) = self.next_in(room)?;
        // SAFETY: the invariant: `size` bytes belong to the message, of which `room` is all or none; they are initialised,
        // and the kernel writes to them only when the batch is not borrowed.
        let data = unsafe { std::slice::from_raw_parts(data, arrival.written) };
        Some((inbox, arrival, eof, data))
    }

    /// The next message, whose data is in buffers of the caller's.
    pub(crate) fn next_elsewhere(&mut self) -> Option<(InboxMut<'m>, Arrival, bool)> {
        // SAFETY: the invariant: borrowed exclusively.
        let batch = unsafe { &*self.batch };
        let room = if self.last.elsewhere && !self.last.discarded { batch.own.get(self.index)?.elsewhere } else { 0 };
        self.next_in(room)
    }

    #[inline(always)]
    fn next_in(&mut self, room: usize) -> Option<(InboxMut<'m>, Arrival, bool)> {
        if self.left == 0 {
            return None;
        }
        // SAFETY: the invariant: borrowed exclusively, and no reference to it lives meanwhile.
        let batch = unsafe { &mut *self.batch };
        // INVARIANT: this one is recorded in its head, and ready, below.
        batch.adopted += 1;
        let (inbox, returned) = self.adopt();
        if !self.last.inet && inbox.head.owns {
            batch.owns = true;
        }
        let arrival = Arrival { returned, written: returned.min(room), flags: inbox.head.flags };
        let eof = self.index == self.last.end;
        self.step();
        Some((inbox, arrival, eof))
    }
}
