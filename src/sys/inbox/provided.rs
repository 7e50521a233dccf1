//! Buffers that the kernel chooses from, one for each message of a receive that goes on (io_uring, multishot).

use std::{
    io,
    mem::{ManuallyDrop, offset_of},
    slice,
    sync::atomic::{AtomicU16, Ordering},
};

use nix::libc::{self, c_int};

use super::{Arrival, Head, InboxMut, Recv, is_inet};
use crate::{
    error::PinnedError,
    sys::{
        CmsgLen, SockAddr,
        array::Array,
        pinned::{F_MORE, empty_msghdr},
    },
};

/// `struct io_uring_recvmsg_out` (include/uapi/linux/io_uring.h), in front of each message.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Out {
    pub(crate) namelen: u32,
    pub(crate) controllen: u32,
    pub(crate) payloadlen: u32,
    pub(crate) flags: u32,
}

impl Out {
    pub(crate) const LEN: usize = size_of::<Self>();

    /// As it stands in bytes.
    pub(crate) fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        let field = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Self { namelen: field(0), controllen: field(4), payloadlen: field(8), flags: field(12) }
    }

    /// What no receive reports: more than a message can have.
    const UNWRITTEN: Self = Self { namelen: 0, controllen: 0, payloadlen: u32::MAX, flags: 0 };
}

/// `struct io_uring_buf`, an entry of the ring of buffers.
#[repr(C)]
struct Entry {
    addr: u64,
    len: u32,
    bid: u16,
    /// In the first entry this is the ring's tail.
    resv: u16,
}

const ENTRY_WORDS: usize = size_of::<Entry>() / size_of::<u64>();

const F_BUFFER: u32 = 1 << 0;
const F_BUF_MORE: u32 = 1 << 4;
const BUFFER_SHIFT: u32 = 16;

/// Where the control data stands in a buffer; the payload follows it.
pub(crate) const CONTROL_AT: usize = Out::LEN + SockAddr::CAPACITY;

/// Buffers and the ring that names them to the kernel.
pub(crate) struct Provided {
    // INVARIANT: the three are freed when this is dropped, unless `lent`.
    template: ManuallyDrop<Array<Template>>,
    // INVARIANT: `count` entries start `ring_at` bytes from its start, and there are so many bytes.
    ring: ManuallyDrop<Array<u64>>,
    ring_at: usize,
    // INVARIANT: `count` buffers, each `stride` bytes behind the one before; `stride` is a multiple of eight.
    buffers: ManuallyDrop<Array<u64>>,
    stride: usize,
    // INVARIANT: a power of two.
    count: u16,
    control: usize,
    size: usize,
    tail: u16,
    /// What the last message brought.
    head: Head,
    arrival: Arrival,
    // INVARIANT: less than `count`; the kernel does not have this buffer. Those of all others are the kernel's while
    // `lent`, and nobody here refers to them.
    current: Option<u16>,
    lent: bool,
    requests: usize,
    pub(crate) ask: Recv,
}

/// What a receive that goes on is told: how much room names and control data have in each buffer. The kernel only reads
/// it (io_uring/net.c, `io_recvmsg_copy_hdr`).
pub(crate) struct Template(libc::msghdr);

impl Template {
    pub(crate) const fn new(control: usize) -> Self {
        let mut header = empty_msghdr();
        header.msg_namelen = SockAddr::CAPACITY as libc::socklen_t;
        header.msg_controllen = control as _;
        Self(header)
    }

    pub(crate) const fn as_ptr(&'static self) -> *const libc::msghdr {
        &raw const self.0
    }
}

// SAFETY: the pointers in it are null.
unsafe impl Send for Template {}
// SAFETY: the pointers in it are null.
unsafe impl Sync for Template {}

impl Provided {
    /// So many buffers, rounded up to a power of two of at most 32,768, for so many bytes of data and of control data;
    /// `None` if no memory is that large.
    pub(crate) fn new(count: u16, size: usize, control: usize) -> Option<Self> {
        let count = count.clamp(1, 1 << 15).next_power_of_two();
        let control = control.checked_next_multiple_of(8)?;
        let len = CONTROL_AT.checked_add(control)?.checked_add(size)?;
        // An `int` is the length of a buffer and the result of a receive.
        let stride = len.checked_next_multiple_of(8).filter(|stride| *stride <= i32::MAX as usize)?;
        let bytes = stride.checked_mul(count.into()).filter(|bytes| *bytes <= isize::MAX as usize)?;
        let page = page_size();
        let ring = Array::zeroed(usize::from(count) * ENTRY_WORDS + page / 8);
        // INVARIANT: less than a page, for which there is room behind the entries.
        let ring_at = (ring.as_ptr() as usize).wrapping_neg() % page;
        Some(Self {
            template: ManuallyDrop::new(Array::new(1, || Template::new(control))),
            ring: ManuallyDrop::new(ring),
            ring_at,
            // INVARIANT: as many bytes.
            buffers: ManuallyDrop::new(Array::zeroed(bytes / 8)),
            stride,
            count,
            control,
            size,
            tail: 0,
            // INVARIANT: nothing is owned.
            head: Head::new(),
            arrival: Arrival::NOTHING,
            current: None,
            lent: false,
            requests: 0,
            ask: Recv::PLAIN,
        })
    }

    /// Offers all buffers: address and number of the ring's entries, for one registration. `None` while the kernel has
    /// them.
    pub(crate) fn lend(&mut self) -> Option<(u64, u16)> {
        if self.lent {
            return None;
        }
        self.recycle();
        self.lent = true;
        // The kernel counts from 0.
        self.tail = 0;
        (0..self.count).for_each(|bid| self.offer(bid));
        self.publish();
        Some((self.ring_start() as u64, self.count))
    }

    /// The header, for one request; `None` unless the buffers are lent.
    pub(crate) fn start(&mut self) -> Option<*const libc::msghdr> {
        if !self.lent {
            return None;
        }
        self.requests += 1;
        Some(self.template.as_ptr().cast_const().cast())
    }

    /// The flags of recvmsg(2) that the request is to have.
    pub(crate) fn flags(&self) -> c_int {
        self.ask.call_flags()
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests
    }

    /// A request has ended, or was not made.
    pub(crate) fn end(&mut self) {
        self.requests = self.requests.saturating_sub(1);
    }

    /// Takes over what a request has brought, by its result and flags; the buffer of the message before goes back.
    pub(crate) fn complete(&mut self, result: i32, flags: u32) -> io::Result<()> {
        self.recycle();
        if self.requests == 0 {
            return Err(PinnedError::NotInFlight.into());
        }
        let bid = (flags >> BUFFER_SHIFT) as u16;
        let named = flags & F_BUFFER != 0;
        if named && (bid >= self.count || flags & F_BUF_MORE != 0) {
            return Err(PinnedError::Buffer { flags }.into());
        }
        if named && result >= 0 && self.out(bid).payloadlen == Out::UNWRITTEN.payloadlen {
            return Err(PinnedError::NotCompleted.into());
        }
        if flags & F_MORE == 0 {
            self.end();
        }
        if named && result >= 0 {
            self.adopt(bid, result as usize);
            return Ok(());
        }
        if named {
            self.offer(bid);
            self.publish();
        }
        if result < 0 {
            return Err(io::Error::from_raw_os_error(result.wrapping_neg()));
        }
        Err(PinnedError::Buffer { flags }.into())
    }

    fn adopt(&mut self, bid: u16, result: usize) {
        let out = self.out(bid);
        // INVARIANT: less than `count`; the kernel has written it, so does not have it any longer.
        self.current = Some(bid);
        let namelen = (out.namelen as usize).min(SockAddr::CAPACITY);
        // SAFETY: 1. it lies in the buffer, behind the header; 2. all bytes of the buffers are initialised; 3. the kernel
        // does not have this one, and `&mut self` keeps it from being offered.
        let name = unsafe { slice::from_raw_parts(self.at(bid).wrapping_add(Out::LEN), namelen) };
        self.head.peer.set(name);
        self.head.len = (out.controllen as usize).min(self.control);
        self.head.flags = out.flags as c_int;
        if self.head.len > 0 && !is_inet(&self.head.peer) {
            // INVARIANT: the kernel has installed what stands there, for us alone, since the buffer was offered.
            self.head.owns = true;
        }
        let written = result.saturating_sub(CONTROL_AT + self.control).min(self.size);
        let returned = (out.payloadlen as usize).max(written);
        self.arrival = Arrival { returned, written, flags: self.head.flags };
    }

    /// The last message, if its buffer has not gone back.
    pub(crate) fn message(&mut self) -> Option<(InboxMut<'_>, Arrival, &[u8])> {
        let at = self.at(self.current?);
        let control = at.wrapping_add(CONTROL_AT);
        // SAFETY: 1. the control data lies in the buffer, which is initialised; 2. the kernel does not have it; 3. it is
        // borrowed as long as `self`, and does not overlap the payload.
        let bytes = unsafe { slice::from_raw_parts_mut(control, self.control) };
        // SAFETY: the same of the payload, which follows it.
        let data = unsafe { slice::from_raw_parts(control.wrapping_add(self.control), self.size) };
        Some((InboxMut { head: &mut self.head, bytes }, self.arrival, data))
    }

    /// Closes what nobody took from the last message, and offers its buffer again.
    pub(crate) fn recycle(&mut self) {
        if let Some((mut inbox, ..)) = self.message() {
            inbox.rearm();
        }
        if let Some(bid) = self.current.take() {
            if self.lent {
                self.offer(bid);
                self.publish();
            }
        }
    }

    /// The kernel has the buffers no longer; `false` if a request has not ended.
    pub(crate) fn release(&mut self) -> bool {
        if self.requests > 0 {
            return false;
        }
        self.recycle();
        self.lent = false;
        true
    }

    pub(crate) fn sizes(&self) -> (u16, usize, usize) {
        (self.count, self.size, self.control)
    }

    fn at(&self, bid: u16) -> *mut u8 {
        self.buffers.as_ptr().cast::<u8>().wrapping_add(usize::from(bid) * self.stride)
    }

    /// The header of a buffer that the kernel may have written.
    fn out(&self, bid: u16) -> Out {
        // SAFETY: 1. each buffer starts with one, aligned to eight, and all its bytes are initialised; 2. the kernel may be
        // writing it, which a volatile read of integers allows for.
        unsafe { self.at(bid).cast::<Out>().read_volatile() }
    }

    fn ring_start(&self) -> *mut Entry {
        self.ring.as_ptr().cast::<u8>().wrapping_add(self.ring_at).cast()
    }

    /// Writes a buffer's entry, which the kernel reads after the next `publish`. The caller has the buffer.
    fn offer(&mut self, bid: u16) {
        let at = self.at(bid);
        // SAFETY: 1. each buffer starts with a header, aligned to eight; 2. the kernel does not have it.
        unsafe { at.cast::<Out>().write(Out::UNWRITTEN) };
        // A receive that does not touch the control data must not make old bytes look new.
        let first = size_of::<CmsgLen>().min(self.control);
        // SAFETY: the control data has so many bytes, and the kernel does not have them.
        unsafe { at.wrapping_add(CONTROL_AT).write_bytes(0, first) };
        let entry = self.ring_start().wrapping_add(usize::from(self.tail & (self.count - 1)));
        let len = (CONTROL_AT + self.control + self.size) as u32;
        let entry = entry.cast::<u8>();
        let put = |at: usize, bytes: &[u8]| {
            // SAFETY: 1. the entry lies in the ring, and the field in the entry, but for the tail in the first; 2. the kernel
            // reads no entry that the tail has not passed, and gives each back before the tail comes round, since
            // no buffer is offered twice.
            unsafe { entry.wrapping_add(at).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        };
        put(offset_of!(Entry, addr), &(at as u64).to_ne_bytes());
        put(offset_of!(Entry, len), &len.to_ne_bytes());
        put(offset_of!(Entry, bid), &bid.to_ne_bytes());
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish(&self) {
        let tail = self.ring_start().cast::<u8>().wrapping_add(offset_of!(Entry, resv)).cast::<u16>();
        // SAFETY: 1. it lies in the first entry, aligned, as long as `self`; 2. here and in the kernel it is used as an
        // atomic alone.
        let tail = unsafe { AtomicU16::from_ptr(tail) };
        tail.store(self.tail, Ordering::Release);
    }
}

impl Drop for Provided {
    fn drop(&mut self) {
        if let Some((mut inbox, ..)) = self.message() {
            inbox.rearm();
        }
        // While the kernel has them, they stay for ever.
        if !self.lent {
            // SAFETY: it is dropped here alone, once.
            unsafe { ManuallyDrop::drop(&mut self.template) };
            // SAFETY: likewise.
            unsafe { ManuallyDrop::drop(&mut self.ring) };
            // SAFETY: likewise.
            unsafe { ManuallyDrop::drop(&mut self.buffers) };
        }
    }
}

fn page_size() -> usize {
    // SAFETY: it reads a number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).ok().filter(|size| size.is_power_of_two()).unwrap_or(1 << 16)
}
