//! Messages that go out together: their headers, in the kernel's layout, and room for what is in them.

use std::{
    io::{self, IoSlice},
    marker::PhantomData,
    mem::MaybeUninit,
    os::fd::BorrowedFd,
};

use nix::libc::{self, c_int};

use super::{
    IoSlices, MAX_SLICES, Outbox, SharedSlices, SockAddr,
    array::Array,
    io::sendmsg,
    mmsg::{Mmsghdr, sendmmsg},
};

/// The most bytes that the kernel takes of one message (`MAX_RW_COUNT`, include/linux/fs.h): of a longer one it sends the
/// beginning, and takes it for the whole.
const MAX_BYTES: usize = 0x7fff_f000;

/// Storage for messages to send, made once.
pub(crate) struct OutBatch {
    // INVARIANT: the pads of the headers are zero; only fields are written.
    headers: Array<Mmsghdr>,
    names: Array<SockAddr>,
    slices: Array<MaybeUninit<IoSlice<'static>>>,
    control: Array<MaybeUninit<u64>>,
    queue: Queue,
}

/// What has been queued.
struct Queue {
    // INVARIANT: the pointers lead into the arrays of the batch. Behind `next`, headers follow to `end`; behind `slices`,
    // `spare` entries, one for each of these headers and one more; behind `control`, so many bytes; nothing queued uses any
    // of these. In a session over 'a, the headers before `next` describe memory that may be read for 'a, or that of the
    // batch itself: names of their index, entries before `slices`, bytes before `control`.
    next: *mut Mmsghdr,
    end: *mut Mmsghdr,
    slices: *mut MaybeUninit<IoSlice<'static>>,
    /// Entries that the messages share: each has one beside.
    spare: usize,
    control: *mut u8,
    control_left: usize,
    /// Messages that have gone: no more than are queued.
    sent: usize,
    /// Bytes of the next one that have gone, on a stream.
    begun: usize,
    /// Whether a stream has to be given them one by one: a message may have control data and no byte of data, or more than
    /// the kernel takes at once.
    loose: bool,
    /// The error of a rest that was to follow in a call that has sent others: the next call's.
    error: c_int,
}

// SAFETY: the pointers in it are followed by the batch alone, which owns what they lead to.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

impl OutBatch {
    /// For so many messages, with room for so many slices, beside one for each, and bytes of control messages in all.
    pub(crate) fn new(messages: usize, slices: usize, control: usize) -> Self {
        let headers = Array::new(messages, Mmsghdr::zeroed);
        // One for each, and for one that does not fit: whether there is room for it need not be asked then.
        let slices = Array::new(slices.saturating_add(messages).saturating_add(1), MaybeUninit::uninit);
        let control = Array::new(control.div_ceil(8), MaybeUninit::uninit);
        let queue = Queue::empty(&headers, &slices, &control);
        Self { headers, names: Array::new(messages, SockAddr::empty), slices, control, queue }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.headers.len()
    }

    /// Forgets what was queued.
    #[inline(always)]
    pub(crate) fn session<'a>(&mut self) -> OutSession<'_, 'a> {
        self.queue = Queue::empty(&self.headers, &self.slices, &self.control);
        OutSession { batch: self, memory: PhantomData }
    }

    #[inline(always)]
    fn queued(&self) -> usize {
        (self.queue.next.addr() - self.headers.as_ptr().addr()) / size_of::<Mmsghdr>()
    }
}

impl Queue {
    #[inline(always)]
    fn empty(
        headers: &Array<Mmsghdr>,
        slices: &Array<MaybeUninit<IoSlice<'static>>>,
        control: &Array<MaybeUninit<u64>>,
    ) -> Self {
        // INVARIANT: the start of each; `new` has made more entries than headers.
        Self {
            next: headers.as_ptr(),
            end: headers.as_ptr().wrapping_add(headers.len()),
            slices: slices.as_ptr(),
            spare: slices.len() - headers.len() - 1,
            control: control.as_ptr().cast(),
            control_left: 8 * control.len(),
            sent: 0,
            begun: 0,
            loose: false,
            error: 0,
        }
    }
}

/// A batch while it is filled and sent: what the messages borrow, they borrow for 'a.
pub(crate) struct OutSession<'b, 'a> {
    batch: &'b mut OutBatch,
    memory: PhantomData<fn(&'a ()) -> &'a ()>,
}

/// Room for the parts of the next message.
pub(crate) struct Slot<'s, 'a> {
    pub(crate) slices: IoSlices<'a, SharedSlices<'s, 'a>>,
    pub(crate) control: Outbox<&'s mut [MaybeUninit<u8>]>,
    /// Until it is queued.
    batch: Option<&'s mut OutBatch>,
    /// What it borrows is borrowed for 'a, no shorter: the batch outlives it.
    memory: PhantomData<fn(&'a ()) -> &'a ()>,
}

impl<'a> OutSession<'_, 'a> {
    pub(crate) fn len(&self) -> usize {
        self.batch.queued()
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
        // SAFETY: it counts entries that are in memory, one less than there are.
        let entries = unsafe { queue.spare.unchecked_add(1) };
        // SAFETY: 1. so many entries follow, of any content (the invariant of the queue); 2. the session is borrowed
        // exclusively for as long as the slice lives, and nothing queued lies there; the slot's own `batch` does not touch
        // it.
        let slices = unsafe { std::slice::from_raw_parts_mut(queue.slices.cast(), entries) };
        // SAFETY: as above, with bytes.
        let control = unsafe { std::slice::from_raw_parts_mut(queue.control.cast(), queue.control_left) };
        Slot {
            slices: IoSlices::over(slices),
            control: Outbox::over(control),
            batch: Some(self.batch),
            memory: PhantomData,
        }
    }

    /// Sends what has not gone yet, no more than `most`, in one call: how many messages went. The error is that of the
    /// first of them.
    #[inline(always)]
    pub(crate) fn send(&mut self, socket: BorrowedFd<'_>, most: usize, flags: c_int) -> io::Result<usize> {
        let queued = self.batch.queued();
        let queue = &mut self.batch.queue;
        let count = (queued - queue.sent).min(most);
        if count == 0 {
            return Ok(0);
        }
        if queue.error != 0 {
            return Err(io::Error::from_raw_os_error(std::mem::take(&mut queue.error)));
        }
        if queue.begun > 0 {
            self.send_rest(socket, flags)?;
            return Ok(1);
        }
        // SAFETY: `sent` is less than the queued ones, which are no more than there are, in one allocation.
        let first = unsafe { self.batch.headers.as_ptr().add(queue.sent) };
        // SAFETY: 1. `count` headers follow, borrowed exclusively with the session; what they describe may be read (the
        // invariant of the queue); 2. the pads are zero, and the encoder writes no others.
        let went = unsafe { sendmmsg(socket, first, count, flags) }?.min(count);
        if went == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        queue.sent += went;
        if let Some(len) = self.cut_short() {
            // INVARIANT: the last one has not gone whole.
            (self.batch.queue.sent, self.batch.queue.begun) = (self.batch.queue.sent - 1, len);
            return match self.send_rest(socket, flags) {
                Err(error) if went == 1 => Err(error),
                Err(error) => {
                    // What a repetition gives again is not kept: the socket may be writable then.
                    if error.kind() != io::ErrorKind::WouldBlock {
                        self.batch.queue.error = error.raw_os_error().unwrap_or(0);
                    }
                    Ok(went - 1)
                }
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

    /// Sends the rest of the next message, which has gone in part: without its control messages.
    #[cold]
    fn send_rest(&mut self, socket: BorrowedFd<'_>, flags: c_int) -> io::Result<()> {
        #[cfg(linux_like)]
        let flags = flags & !libc::MSG_FASTOPEN; // it is connected now
        while let Some((_, slices, _)) = self.next() {
            let mut list = [IoSlice::new(&[]); super::INLINE_SLICES];
            let rest = rest_of(slices, self.batch.queue.begun, &mut list);
            if rest.iter().all(|slice| slice.is_empty()) {
                self.batch.queue.sent += 1;
                self.batch.queue.begun = 0;
                break;
            }
            let went = sendmsg(&socket, None, rest, &[], flags)?;
            if went == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
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
        let more = self.sent() < self.len();
        let queue = &mut self.batch.queue;
        if more {
            (queue.sent, queue.begun, queue.error) = (queue.sent + 1, 0, 0);
        }
        more
    }

    /// None has gone, or so many bytes of the first.
    pub(crate) fn rewind(&mut self, begun: usize) {
        let queue = &mut self.batch.queue;
        (queue.sent, queue.begun, queue.error) = (0, begun, 0);
    }

    /// How many bytes of the next one have gone.
    pub(crate) fn begun(&self) -> usize {
        self.batch.queue.begun
    }

    /// Whether it has to be looked at before it is sent: a stream may have to be given the messages one by one.
    #[inline(always)]
    pub(crate) fn is_loose(&self) -> bool {
        self.batch.queue.loose || self.batch.queue.begun > 0
    }

    /// The parts of the next message: its name, its slices and its control messages.
    pub(crate) fn next(&self) -> Option<(Option<&SockAddr>, &[IoSlice<'a>], &[u8])> {
        self.message(self.batch.queue.sent)
    }

    /// The parts of a message.
    pub(crate) fn message(&self, index: usize) -> Option<(Option<&SockAddr>, &[IoSlice<'a>], &[u8])> {
        if index >= self.len() {
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

/// Why a message cannot be queued.
pub(crate) enum QueueError {
    /// So many fit.
    Full(usize),
    /// It is there already.
    Queued,
    /// It has so many slices.
    Slices(usize),
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
    /// Puts the message behind those that are there.
    ///
    /// The name is somebody else's, or else a copy of `own`; control messages are those of the slot, or of a list.
    #[inline(always)]
    pub(crate) fn queue(
        &mut self,
        name: Option<&'a SockAddr>,
        own: &SockAddr,
        list: Option<&'a [u8]>,
    ) -> Result<(), QueueError> {
        let Some(batch) = self.batch.as_mut() else { return Err(QueueError::Queued) };
        let (index, most) = (batch.queued(), batch.headers.len());
        if batch.queue.next == batch.queue.end {
            return Err(QueueError::Full(most));
        }
        // SAFETY: a header is there (the invariant of the queue), and the batch is borrowed exclusively.
        let header = unsafe { &mut (*batch.queue.next).header };
        (header.msg_name, header.msg_namelen) = match name {
            Some(name) => (name.as_ptr().cast_mut(), name.len() as libc::socklen_t),
            None if own.len() > 0 => match batch.names.get_mut(index) {
                Some(name) => {
                    // As a whole: a copy of a length that is not known would keep all of a message in memory.
                    *name = *own;
                    (name.as_ptr().cast_mut(), own.len() as libc::socklen_t)
                }
                None => return Err(QueueError::Full(most)),
            },
            _ => (std::ptr::null_mut(), 0),
        };
        let slices = self.slices.as_slice();
        if slices.len() > MAX_SLICES {
            return Err(QueueError::Slices(slices.len()));
        }
        header.msg_iov = slices.as_ptr().cast::<libc::iovec>().cast_mut();
        header.msg_iovlen = slices.len() as _;
        let control = list.unwrap_or(self.control.as_bytes());
        (header.msg_control, header.msg_controllen) = match control {
            [] => (std::ptr::null_mut(), 0 as _),
            _ => (control.as_ptr().cast::<libc::c_void>().cast_mut(), control.len() as _),
        };
        let queue = &mut batch.queue;
        let bytes = self.slices.bytes();
        if bytes > MAX_BYTES || (bytes == 0 && !control.is_empty()) {
            queue.loose = true;
        }
        // INVARIANT: what the caller gave lives for 'a; what this message uses of the batch lies before the pointers now,
        // and the slot forgets it below.
        let (slices, control) = (self.slices.used(), self.control.as_bytes().len().next_multiple_of(8));
        queue.next = queue.next.wrapping_add(1);
        queue.slices = queue.slices.wrapping_add(slices);
        // INVARIANT: of its own it had one.
        queue.spare -= slices.saturating_sub(1);
        queue.control = queue.control.wrapping_add(control);
        queue.control_left -= control;
        self.batch = None;
        (self.slices, self.control) = (IoSlices::over(Default::default()), Outbox::over(Default::default()));
        Ok(())
    }

    /// Whether it has been queued.
    pub(crate) fn is_queued(&self) -> bool {
        self.batch.is_none()
    }
}
