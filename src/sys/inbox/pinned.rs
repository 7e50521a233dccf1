//! A receive that ends after the call that began it (io_uring).

use std::{io, mem::offset_of, ptr};

use nix::libc::{self, c_int};

use super::{Arrival, HeapStorage, Inbox, InboxMut, Recv, WRITES_WHAT_IT_COUNTS, storage::Storage};
use crate::{
    cmsg::Cmsgs,
    error::PinnedError,
    sys::{
        CmsgLen, SockAddr,
        io::msghdr,
        pinned::{Pinned, empty_msghdr},
    },
};

// The header comes first: a pointer to the whole is one to it.
#[repr(C)]
struct RecvParts {
    header: libc::msghdr,
    slice: libc::iovec,
    inbox: Inbox<HeapStorage>,
    data: Vec<u8>,
}

// SAFETY: the pointers in it lead to what it owns itself.
unsafe impl Send for RecvParts {}
// SAFETY: a shared reference to it gives no pointers.
unsafe impl Sync for RecvParts {}

/// A message to receive, at addresses that do not change.
pub(crate) struct RecvPinned {
    parts: Pinned<RecvParts>,
    /// What the next request asks for.
    pub(crate) ask: Recv,
    /// What the last one asked for.
    asked: Recv,
    arrival: Arrival,
}

/// `msg_flags` that no receive reports: the kernel keeps this bit to itself (include/linux/socket.h, `MSG_CMSG_COMPAT`).
const UNWRITTEN: c_int = c_int::MIN;

impl RecvPinned {
    pub(crate) fn new(data: Vec<u8>, control: usize) -> Self {
        let slice = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        let inbox = Inbox::new(HeapStorage::new(control));
        Self {
            parts: Pinned::new(RecvParts { header: empty_msghdr(), slice, inbox, data }),
            ask: Recv::PLAIN,
            asked: Recv::PLAIN,
            arrival: Arrival::NOTHING,
        }
    }

    pub(crate) fn in_flight(&self) -> bool {
        self.parts.in_flight()
    }

    /// The header, for one request; `None` while the kernel has it.
    pub(crate) fn start(&mut self) -> Option<*mut libc::msghdr> {
        let parts = self.parts.get_mut()?;
        (self.asked, self.arrival) = (self.ask, Arrival::NOTHING);
        parts.inbox.as_mut().rearm();
        if self.ask.flags & !WRITES_WHAT_IT_COUNTS != 0 {
            parts.data.fill(0);
        }
        parts.slice = libc::iovec { iov_base: parts.data.as_mut_ptr().cast(), iov_len: parts.data.len() };
        let Inbox { head, storage } = &mut parts.inbox;
        let control = storage.bytes_mut();
        // What the kernel does not touch must not look new.
        let stale =
            if counts_the_last_part(self.ask) { control.len() } else { size_of::<CmsgLen>().min(control.len()) };
        control[..stale].fill(0);
        let (name, namelen) =
            if self.ask.peer { (head.peer.as_mut_ptr(), SockAddr::CAPACITY) } else { (ptr::null_mut(), 0) };
        parts.header = msghdr! {
            msg_name: name,
            msg_namelen: namelen as libc::socklen_t,
            msg_iov: &mut parts.slice,
            msg_iovlen: 1,
            msg_control: if control.is_empty() { ptr::null_mut() } else { control.as_mut_ptr().cast() },
            msg_controllen: control.len() as _,
        };
        parts.header.msg_flags = UNWRITTEN;
        Some(self.parts.start().cast())
    }

    /// The flags of recvmsg(2) that the request is to have.
    pub(crate) fn flags(&self) -> c_int {
        self.ask.call_flags()
    }

    /// Takes over what the request has brought, by its result.
    pub(crate) fn complete(&mut self, result: i32) -> io::Result<()> {
        if !self.parts.in_flight() {
            return Err(PinnedError::NotInFlight.into());
        }
        if result >= 0 && self.reported() == UNWRITTEN {
            return Err(PinnedError::NotCompleted.into());
        }
        self.parts.end();
        if result < 0 {
            return Err(io::Error::from_raw_os_error(result.wrapping_neg()));
        }
        let ask = self.asked;
        let Some(parts) = self.parts.get_mut() else { return Ok(()) };
        let mut header = parts.header;
        if counts_the_last_part(ask) {
            header.msg_controllen = extent(parts.inbox.storage.bytes()).max(header.msg_controllen as usize) as _;
        }
        let capacity = parts.inbox.capacity();
        let mut inbox = parts.inbox.as_mut();
        inbox.arrived(&header, capacity, (0, 0, 0), false, ask);
        let returned = result as usize;
        self.arrival = Arrival { returned, written: returned.min(parts.data.len()), flags: inbox.flags() };
        Ok(())
    }

    /// What the kernel has written into `msg_flags`, its last word but one on a receive.
    fn reported(&self) -> c_int {
        let at = self.parts.as_ptr().cast::<u8>().wrapping_add(offset_of!(libc::msghdr, msg_flags)).cast::<c_int>();
        // SAFETY: 1. it lies in the header, which lives and is initialised; 2. the kernel may be writing to it, which a
        // volatile read of an aligned int allows for.
        unsafe { at.read_volatile() }
    }

    /// The request was not made.
    pub(crate) fn withdraw(&mut self) {
        self.parts.end();
    }

    /// What the last receive has brought; `None` while the kernel has it.
    pub(crate) fn received(&mut self) -> Option<(InboxMut<'_>, Arrival, &[u8])> {
        let parts = self.parts.get_mut()?;
        Some((parts.inbox.as_mut(), self.arrival, &parts.data))
    }

    /// Another buffer instead of this one; `None` while the kernel has it.
    pub(crate) fn swap(&mut self, data: Vec<u8>) -> Result<Vec<u8>, Vec<u8>> {
        let Some(parts) = self.parts.get_mut() else { return Err(data) };
        self.arrival.written = 0;
        Ok(std::mem::replace(&mut parts.data, data))
    }

    pub(crate) fn sizes(&self) -> Option<(usize, usize)> {
        self.parts.get().map(|parts| (parts.data.len(), parts.inbox.capacity()))
    }
}

/// Whether the kernel may receive in parts and count the control data of the last alone (io_uring/net.c, `io_recvmsg`;
/// later ones take one part where there is control data).
fn counts_the_last_part(ask: Recv) -> bool {
    ask.flags & libc::MSG_WAITALL != 0
}

/// How far the messages go in bytes that were zero.
fn extent(bytes: &[u8]) -> usize {
    let mut walk = Cmsgs::new(bytes);
    while walk.next().is_some() {}
    bytes.len() - walk.rest().len()
}
