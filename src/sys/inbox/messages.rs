//! The messages that one call has brought, taken over one by one.

use std::marker::PhantomData;

use super::{
    Arrival, Head, InboxMut, Recv,
    batch::{InBatch, Last},
};
use crate::sys::mmsg::Mmsghdr;

impl InBatch {
    /// The messages of the last call that have not been looked at.
    #[inline(always)]
    pub(crate) fn messages(&mut self) -> InMessages<'_> {
        self.messages_from(self.adopted, self.received - self.adopted)
    }

    #[inline(always)]
    pub(super) fn messages_from(&mut self, first: usize, count: usize) -> InMessages<'_> {
        assert!(first <= self.headers.len() && count <= self.headers.len() - first);
        let header = self.headers.as_ptr().wrapping_add(first);
        // INVARIANT: asserted: so many headers follow.
        InMessages {
            header,
            end: header.wrapping_add(count),
            control_len: self.control_len,
            room: if self.last.elsewhere || self.last.discarded { 0 } else { self.size },
            last: self.last,
            batch: self,
            borrow: PhantomData,
        }
    }
}

/// The messages of a call, one after the other.
pub(crate) struct InMessages<'m> {
    // INVARIANT: the headers from `header` to `end` are messages of the batch, and nobody else uses them, nor what they
    // describe, for 'm.
    header: *mut Mmsghdr,
    end: *mut Mmsghdr,
    control_len: usize,
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
        (self.end.addr() - self.header.addr()) / size_of::<Mmsghdr>()
    }

    /// Whether their data is in buffers of the caller's.
    #[inline(always)]
    pub(crate) fn are_elsewhere(&self) -> bool {
        self.last.elsewhere
    }

    /// Leaves the others where they are.
    #[inline(always)]
    pub(crate) fn end(&mut self) {
        // INVARIANT: there are none behind.
        self.end = self.header;
    }

    #[inline(always)]
    pub(super) fn is_over(&self) -> bool {
        self.header == self.end
    }

    /// Which message it is.
    fn index(&self) -> usize {
        // SAFETY: the invariant: borrowed exclusively.
        let first = unsafe { (*self.batch).headers.as_ptr() };
        (self.header.addr() - first.addr()) / size_of::<Mmsghdr>()
    }

    /// On to the next message.
    #[inline(always)]
    pub(super) fn step(&mut self) {
        assert!(!self.is_over());
        // INVARIANT: no further than `end`.
        self.header = self.header.wrapping_add(1);
    }

    #[inline(always)]
    pub(super) fn header(&mut self) -> &mut Mmsghdr {
        assert!(!self.is_over());
        // SAFETY: the invariant: a message is there, as asserted, and nobody else uses it.
        unsafe { &mut *self.header }
    }

    /// The inbox of this message, which is given out once, or gone before the next is.
    #[inline(always)]
    pub(super) fn inbox(&mut self) -> InboxMut<'m> {
        self.inbox_of(self.control_len)
    }

    /// The same of no more than the first `len` bytes of control data.
    #[inline(always)]
    fn inbox_of(&mut self, len: usize) -> InboxMut<'m> {
        assert!(len <= self.control_len);
        let header = self.header().header;
        // SAFETY: the invariant of the batch: the name stands at the start of the head; nobody else uses it.
        let head = unsafe { &mut *header.msg_name.cast::<Head>() };
        // SAFETY: as above; no more bytes than belong to the message, initialised; any bytes make a u64.
        let bytes = unsafe { std::slice::from_raw_parts_mut(header.msg_control.cast(), len) };
        InboxMut { head, bytes }
    }

    /// Takes over what the message has brought, and makes its header ready: what its data is counted as.
    ///
    /// The head is written last: what it holds need not be read again, then.
    #[inline(always)]
    pub(super) fn adopt(&mut self) -> (InboxMut<'m>, usize) {
        let control_len = self.control_len;
        let message = self.header();
        let Mmsghdr { mut header, len } = *message;
        message.rearm(control_len);
        let arrived = (header.msg_controllen as usize).min(control_len);
        header.msg_controllen = arrived as _;
        let mut inbox = self.inbox_of(arrived);
        inbox.arrived(&header, arrived, (0, 0, 0), self.last.inet, Recv { append: false, ..self.last.ask });
        (inbox, len as usize)
    }

    /// The next message, whether it is the end of a stream, and the data of the batch that it has.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<(InboxMut<'m>, Arrival, bool, &'m [u8])> {
        let (header, room) = (self.header, self.room);
        let (inbox, arrival, eof) = self.next_in(room)?;
        // SAFETY: the invariant: a message is there.
        let entry = unsafe { (*header).header.msg_iov };
        // SAFETY: the invariant of the batch: the entry of this message.
        let data = unsafe { (*entry).iov_base };
        // SAFETY: the invariant of the batch: its bytes, of which `room` is all or none; they are initialised, and the kernel
        // writes to them only when the batch is not borrowed.
        let data = unsafe { std::slice::from_raw_parts(data.cast(), arrival.written) };
        Some((inbox, arrival, eof, data))
    }

    /// The next message, whose data is in buffers of the caller's.
    pub(crate) fn next_elsewhere(&mut self) -> Option<(InboxMut<'m>, Arrival, bool)> {
        // SAFETY: the invariant: borrowed exclusively.
        let batch = unsafe { &*self.batch };
        let elsewhere = if self.is_over() { 0 } else { batch.own.get(self.index()).map_or(0, |own| own.elsewhere) };
        self.next_in(if self.last.elsewhere && !self.last.discarded { elsewhere } else { 0 })
    }

    #[inline(always)]
    fn next_in(&mut self, room: usize) -> Option<(InboxMut<'m>, Arrival, bool)> {
        if self.is_over() {
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
        let eof = self.header == self.last.end;
        self.step();
        Some((inbox, arrival, eof))
    }
}
