//! Messages that go out together: their headers, in the kernel's layout, and room for what is in them.

use std::{
    io::{self, IoSlice},
    marker::PhantomData,
    mem::MaybeUninit,
    os::fd::BorrowedFd,
};

use nix::libc::{self, c_int};

use super::{
    IoSlices, MAX_SLICES, Outbox, SockAddr,
    array::Array,
    io::{is_stream, sendmsg},
    mmsg::{Mmsghdr, sendmmsg},
};

/// Storage for messages to send, made once.
pub(crate) struct OutBatch {
    // INVARIANT: the pads of the headers are zero; only fields are written.
    headers: Array<Mmsghdr>,
    names: Array<SockAddr>,
    slices: Array<MaybeUninit<libc::iovec>>,
    control: Array<MaybeUninit<u64>>,
    queue: Queue,
}

/// What has been queued.
#[derive(Default)]
struct Queue {
    // INVARIANT: in a session over 'a, the first `queued` headers describe memory that may be read for 'a, or that of the
    // batch itself: names of this index, slices below `slices`, bytes of control below `control`. What is used and what is
    // left add up to what there is.
    queued: usize,
    /// Messages that have gone.
    sent: usize,
    /// Bytes of the next one that have gone, on a stream.
    begun: usize,
    /// Entries and bytes of control data that are used, and how many are left behind them.
    slices: usize,
    slices_left: usize,
    control: usize,
    control_left: usize,
    /// Whether a message has control data, and perhaps no byte of data.
    loose: bool,
}

impl OutBatch {
    /// For so many messages, with room for so many slices and bytes of control messages in all.
    pub(crate) fn new(messages: usize, slices: usize, control: usize) -> Self {
        Self {
            headers: Array::new(messages, Mmsghdr::zeroed),
            names: Array::new(messages, SockAddr::empty),
            slices: Array::new(slices, MaybeUninit::uninit),
            control: Array::new(control.div_ceil(8), MaybeUninit::uninit),
            queue: Queue::default(),
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.headers.len()
    }

    /// Forgets what was queued.
    #[inline(always)]
    pub(crate) fn session<'a>(&mut self) -> OutSession<'_, 'a> {
        // INVARIANT: nothing is queued.
        let (slices_left, control_left) = (self.slices.len(), 8 * self.control.len());
        self.queue = Queue { slices_left, control_left, ..Queue::default() };
        OutSession { batch: self, memory: PhantomData }
    }
}

/// A batch while it is filled and sent: what the messages borrow, they borrow for 'a.
pub(crate) struct OutSession<'b, 'a> {
    batch: &'b mut OutBatch,
    memory: PhantomData<&'a ()>,
}

/// Room for the parts of the next message.
pub(crate) struct Slot<'s, 'a> {
    pub(crate) slices: IoSlices<'a, &'s mut [MaybeUninit<IoSlice<'a>>]>,
    pub(crate) control: Outbox<&'s mut [MaybeUninit<u8>]>,
    /// Until it is queued.
    batch: Option<&'s mut OutBatch>,
}

impl<'a> OutSession<'_, 'a> {
    pub(crate) fn len(&self) -> usize {
        self.batch.queue.queued
    }

    pub(crate) fn sent(&self) -> usize {
        self.batch.queue.sent
    }

    pub(crate) fn capacity(&self) -> usize {
        self.batch.capacity()
    }

    /// Room for one more message.
    #[inline(always)]
    pub(crate) fn slot(&mut self) -> Slot<'_, 'a> {
        let queue = &self.batch.queue;
        let (entries, bytes) = (queue.slices_left, queue.control_left);
        // SAFETY: no more than there are (the invariant of the queue), in one allocation.
        let slices = unsafe { self.batch.slices.as_ptr().add(queue.slices) };
        // SAFETY: as above.
        let control = unsafe { self.batch.control.as_ptr().cast::<MaybeUninit<u8>>().add(queue.control) };
        // SAFETY: 1. so many entries follow, of any content; IoSlice is guaranteed to be ABI compatible with iovec on Unix;
        // 2. the session is borrowed exclusively for as long as the slice lives, and nothing queued lies there (the
        // invariant); the slot's own `batch` does not touch it.
        let slices = unsafe { std::slice::from_raw_parts_mut(slices.cast(), entries) };
        // SAFETY: as above, with bytes.
        let control = unsafe { std::slice::from_raw_parts_mut(control, bytes) };
        Slot { slices: IoSlices::over(slices), control: Outbox::over(control), batch: Some(self.batch) }
    }

    /// Sends what has not gone yet, no more than `most`, in one call: how many messages went. The error is that of the
    /// first of them.
    #[inline(always)]
    pub(crate) fn send(&mut self, socket: BorrowedFd<'_>, most: usize, flags: c_int) -> io::Result<usize> {
        let queue = &mut self.batch.queue;
        if queue.begun > 0 {
            self.send_rest(socket, flags)?;
            return Ok(1);
        }
        let count = (queue.queued - queue.sent).min(most);
        if count == 0 {
            return Ok(0);
        }
        // SAFETY: `sent` is less than `queued`, which is no more than the length, in one allocation.
        let first = unsafe { self.batch.headers.as_ptr().add(queue.sent) };
        // SAFETY: 1. `count` headers follow, borrowed exclusively with the session; what they describe may be read (the
        // invariant of the queue); 2. the pads are zero, and the encoder writes no others.
        let went = unsafe { sendmmsg(socket, first, count, flags) }?;
        queue.sent += went;
        if let Some(len) = self.cut_short().filter(|_| is_stream(socket).unwrap_or(false)) {
            // INVARIANT: the last one has not gone whole.
            (self.batch.queue.sent, self.batch.queue.begun) = (self.batch.queue.sent - 1, len);
            return match self.send_rest(socket, flags) {
                Err(error) if went == 1 => Err(error),
                Err(_) => Ok(went - 1),
                Ok(()) => Ok(went),
            };
        }
        Ok(went)
    }

    /// If not all of the last message went, how much.
    #[inline(always)]
    fn cut_short(&self) -> Option<usize> {
        let last = self.batch.headers.get(self.batch.queue.sent - 1)?;
        // SAFETY: the invariant of the queue.
        (unsafe { last.whole() } > last.len as usize).then_some(last.len as usize)
    }

    /// Sends the rest of a message that has gone in part: without its control messages.
    #[cold]
    fn send_rest(&mut self, socket: BorrowedFd<'_>, flags: c_int) -> io::Result<()> {
        while let Some(message) = self.batch.headers.get(self.batch.queue.sent) {
            let mut list = [IoSlice::new(&[]); super::INLINE_SLICES];
            let rest = rest_of(self.slices_of(&message.header), self.batch.queue.begun, &mut list);
            if rest.iter().all(|slice| slice.is_empty()) {
                self.batch.queue.sent += 1;
                self.batch.queue.begun = 0;
                break;
            }
            let went = sendmsg(&socket, None, rest, &[], flags)?;
            self.batch.queue.begun += went;
        }
        Ok(())
    }

    fn slices_of(&self, header: &libc::msghdr) -> &[IoSlice<'a>] {
        // SAFETY: the invariant of the queue: so many entries, that live as long as the session or longer, and are not
        // written while it is borrowed; IoSlice is guaranteed to be ABI compatible with iovec on Unix.
        unsafe { std::slice::from_raw_parts(header.msg_iov.cast(), header.msg_iovlen as usize) }
    }

    /// Leaves out the next message.
    pub(crate) fn skip(&mut self) -> bool {
        let queue = &mut self.batch.queue;
        let more = queue.sent < queue.queued;
        if more {
            (queue.sent, queue.begun) = (queue.sent + 1, 0);
        }
        more
    }

    /// Whether one that has not gone has control data and perhaps no data.
    #[inline(always)]
    pub(crate) fn is_loose(&self) -> bool {
        self.batch.queue.loose
    }

    /// The parts of the next message: its name, its slices and its control messages.
    pub(crate) fn next(&self) -> Option<(Option<&SockAddr>, &[IoSlice<'a>], &[u8])> {
        self.message(self.batch.queue.sent)
    }

    /// The parts of a message.
    pub(crate) fn message(&self, index: usize) -> Option<(Option<&SockAddr>, &[IoSlice<'a>], &[u8])> {
        if index >= self.batch.queue.queued {
            return None;
        }
        let header = &self.batch.headers.get(index)?.header;
        // SAFETY: a name that is not null points to a SockAddr, of the batch or borrowed for 'a.
        let name = unsafe { header.msg_name.cast::<SockAddr>().as_ref() };
        let control = if header.msg_control.is_null() {
            &[]
        } else {
            // SAFETY: the invariant of the queue: so many bytes, initialised, that live as long as the session.
            unsafe { std::slice::from_raw_parts(header.msg_control.cast(), header.msg_controllen as usize) }
        };
        Some((name, self.slices_of(header), control))
    }

    /// Gives the next message another destination.
    pub(crate) fn redirect(&mut self, name: SockAddr) {
        let sent = self.batch.queue.sent;
        if let (Some(own), Some(message)) = (self.batch.names.get_mut(sent), self.batch.headers.get_mut(sent)) {
            *own = name;
            // INVARIANT: the name of this index.
            message.header.msg_name = own.as_ptr().cast_mut();
            message.header.msg_namelen = own.len() as libc::socklen_t;
        }
    }
}

/// What lies behind the first `skip` bytes of these slices, as many as one call takes; a list of its own if the first is
/// half gone.
pub(crate) fn rest_of<'l, 'a>(
    slices: &'l [IoSlice<'a>],
    mut skip: usize,
    list: &'l mut [IoSlice<'a>],
) -> &'l [IoSlice<'a>] {
    let mut rest = slices;
    while let Some((first, behind)) = rest.split_first() {
        if skip < first.len() || (skip == 0 && first.is_empty() && behind.is_empty()) {
            break;
        }
        skip -= first.len();
        rest = behind;
    }
    if skip == 0 {
        return &rest[..rest.len().min(MAX_SLICES)];
    }
    let count = rest.len().min(list.len());
    list[..count].copy_from_slice(&rest[..count]);
    list[0].advance(skip);
    &list[..count]
}

impl<'a> Slot<'_, 'a> {
    /// Puts the message behind those that are there; an error says how many fit, none that it has been done before.
    ///
    /// The name is somebody else's, or else a copy of `own`; control messages are those of the slot, or of a list.
    #[inline(always)]
    pub(crate) fn queue(
        &mut self,
        name: Option<&'a SockAddr>,
        own: &SockAddr,
        list: Option<&'a [u8]>,
    ) -> Result<(), Option<usize>> {
        let Some(batch) = self.batch.as_mut() else { return Err(None) };
        let (index, most) = (batch.queue.queued, batch.headers.len());
        let Some(message) = batch.headers.get_mut(index) else { return Err(Some(most)) };
        let header = &mut message.header;
        (header.msg_name, header.msg_namelen) = match name {
            Some(name) if name.len() > 0 => (name.as_ptr().cast_mut(), name.len() as libc::socklen_t),
            None if own.len() > 0 => match batch.names.get_mut(index) {
                Some(name) => {
                    // As a whole: a copy of a length that is not known would keep all of a message in memory.
                    *name = *own;
                    (name.as_ptr().cast_mut(), own.len() as libc::socklen_t)
                }
                None => return Err(Some(most)),
            },
            _ => (std::ptr::null_mut(), 0),
        };
        let slices = self.slices.as_slice();
        header.msg_iov = slices.as_ptr().cast::<libc::iovec>().cast_mut();
        header.msg_iovlen = slices.len() as _;
        let control = list.unwrap_or(self.control.as_bytes());
        (header.msg_control, header.msg_controllen) = match control {
            [] => (std::ptr::null_mut(), 0 as _),
            _ => (control.as_ptr().cast::<libc::c_void>().cast_mut(), control.len() as _),
        };
        if !control.is_empty() && slices.first().is_none_or(|slice| slice.is_empty()) {
            batch.queue.loose = true;
        }
        // INVARIANT: what the caller gave lives for 'a; the entries and words that this message uses are counted, and
        // the slot forgets them below.
        let (slices, control) = (self.slices.used(), self.control.as_bytes().len().next_multiple_of(8));
        batch.queue.slices += slices;
        batch.queue.slices_left -= slices;
        batch.queue.control += control;
        batch.queue.control_left -= control;
        batch.queue.queued += 1;
        self.batch = None;
        (self.slices, self.control) = (IoSlices::over(Default::default()), Outbox::over(Default::default()));
        Ok(())
    }

    /// Whether it has been queued.
    pub(crate) fn is_queued(&self) -> bool {
        self.batch.is_none()
    }
}
