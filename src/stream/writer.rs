//! Bytes and descriptors on their way out.

use std::{
    collections::VecDeque,
    fmt,
    io::{self, IoSlice},
    os::fd::AsFd,
};

use super::QueuedFd;
use crate::{
    error::EncodeError,
    flags::SendFlags,
    message::ScmRights,
    options::Families,
    send::MsgHdr,
    sys::{INLINE_SLICES, MAX_FDS},
};

/// Bytes that [`FdWriter::write`] gathers before it sends.
const CAPACITY: usize = 8 * 1024;

/// The writing half: bytes and descriptors that wait to be sent, each descriptor before the byte it belongs to.
///
/// It is state alone and borrows no socket: every call that sends is given one, and may fail with `WouldBlock` at any
/// byte. What has not gone is kept, and the next call goes on there. [`FdStream`](super::FdStream) puts it beside its
/// socket.
///
/// ```
/// use ancillary::{SocketExt, stream::FdWriter};
/// use std::{fs::File, os::unix::net::UnixStream};
///
/// # fn main() -> std::io::Result<()> {
/// let (a, b) = UnixStream::pair()?;
/// let mut out = FdWriter::new();
/// out.push(b"hello");
/// out.queue(b"open", [File::open("/dev/null")?])?; // owned: closed once sent
/// out.queue(b"both", [&a, &b])?;                   // borrowed
/// out.flush(&a)?;
///
/// let mut data = [0; 64];
/// let message = b.recv_fds::<9>(&mut data)?;
/// assert_eq!((&data[..message.len()], message.fds().count()), (&b"helloopen"[..], 1));
/// let message = b.recv_fds::<9>(&mut data)?;
/// assert_eq!((&data[..message.len()], message.fds().count()), (&b"both"[..], 2));
/// # Ok(())
/// # }
/// ```
///
/// What has not been sent when it is dropped is gone: [`flush`](Self::flush) first. Owned descriptors are closed.
pub struct FdWriter<'fd> {
    /// What has not been sent is `bytes[start..]`.
    bytes: Vec<u8>,
    start: usize,
    fds: VecDeque<Waiting<'fd>>,
    /// Bytes sent in all.
    sent: u64,
    fds_per_message: usize,
    capacity: usize,
    /// Whether the socket has been looked at.
    is_unix: bool,
}

#[derive(Debug)]
struct Waiting<'fd> {
    /// The number of the byte it belongs to.
    byte: u64,
    fd: QueuedFd<'fd>,
}

impl<'fd> FdWriter<'fd> {
    /// An empty one. Room is allocated as it is needed, and kept.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            fds: VecDeque::new(),
            sent: 0,
            fds_per_message: MAX_FDS,
            capacity: CAPACITY,
            is_unix: false,
        }
    }

    /// Sends at most so many descriptors at once: 253 (`SCM_MAX_FD`) if nothing is said, 28 for Wayland, whose library
    /// makes room for no more. Other numbers than 1 to 253 are brought into that range.
    ///
    /// ```
    /// use ancillary::stream::{FdReader, FdWriter};
    /// use std::os::unix::net::UnixStream;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (a, b) = UnixStream::pair()?;
    /// let (mut out, mut incoming) = (FdWriter::new().with_fds_per_message(2), FdReader::new());
    /// out.queue(b"three", [&a, &a, &a])?;
    /// out.flush(&a)?;
    /// assert_eq!((incoming.fill(&b)?, incoming.fds().len()), (1, 2)); // a byte for each call but the last
    /// assert_eq!((incoming.fill(&b)?, incoming.fds().len()), (4, 3));
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "SCM_MAX_FD")]
    #[must_use]
    pub fn with_fds_per_message(mut self, most: usize) -> Self {
        self.fds_per_message = most.clamp(1, MAX_FDS);
        self
    }

    /// How many bytes [`write`](Self::write) gathers before it sends; 8 KiB if nothing is said. [`queue`](Self::queue)
    /// and [`push`](Self::push) know no limit.
    #[must_use]
    pub fn with_capacity(mut self, bytes: usize) -> Self {
        self.capacity = bytes.max(1);
        self
    }

    /// Queues one message: bytes, and the descriptors that belong to them. The first descriptors leave in one call with the
    /// first byte; more than fit into one call leave with the bytes behind it, one byte for each call but the last, so
    /// that whoever has the last byte has all descriptors. An [`FdReader`](super::FdReader) takes a message of more than 253
    /// if it is [told](super::FdReader::with_max_fds).
    ///
    /// `fds` is a list or another iterator that knows its length, also of one: `[file]`.
    ///
    /// # Errors
    ///
    /// [`EncodeError::DescriptorsWithoutData`] for descriptors without a byte, and [`EncodeError::Descriptors`] for more
    /// than so many bytes can carry. Nothing is queued then, and descriptors that were given away are closed.
    pub fn queue<I>(&mut self, bytes: &[u8], fds: I) -> Result<(), EncodeError>
    where
        I: IntoIterator<Item: Into<QueuedFd<'fd>>, IntoIter: ExactSizeIterator>,
    {
        let fds = fds.into_iter();
        let (found, max) = (fds.len(), bytes.len().saturating_mul(self.fds_per_message));
        if found > 0 && bytes.is_empty() {
            return Err(EncodeError::DescriptorsWithoutData { descriptors: found });
        }
        if found > max {
            return Err(EncodeError::Descriptors { found, max });
        }
        self.push_fds(fds);
        self.push(bytes);
        Ok(())
    }

    /// Queues bytes.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 && bytes.len() > self.bytes.capacity() - self.bytes.len() {
            self.make_room();
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Moves what waits to the front, unless that is more than it gains.
    #[cold]
    fn make_room(&mut self) {
        if self.start >= self.pending() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }

    /// Queues a descriptor for the next byte that is queued or written; without one it is kept. More than fit into one call
    /// leave as [`queue`](Self::queue) says.
    pub fn push_fd(&mut self, fd: impl Into<QueuedFd<'fd>>) {
        let byte = self.sent + self.pending() as u64;
        self.fds.push_back(Waiting { byte, fd: fd.into() });
    }

    /// Queues descriptors, as [`push_fd`](Self::push_fd) does one.
    pub fn push_fds<I>(&mut self, fds: I)
    where
        I: IntoIterator<Item: Into<QueuedFd<'fd>>>,
    {
        fds.into_iter().for_each(|fd| self.push_fd(fd));
    }

    /// Bytes that have not been sent.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Descriptors that have not been sent.
    #[must_use]
    pub fn pending_fds(&self) -> usize {
        self.fds.len()
    }

    /// Forgets what has not been sent, and closes the owned descriptors among it. A message may have gone in part.
    ///
    /// ```
    /// use ancillary::stream::FdWriter;
    /// use std::fs::File;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut out = FdWriter::new();
    /// out.queue(b"for a peer that has gone", [File::open("/dev/null")?])?;
    /// out.clear();
    /// assert_eq!((out.pending(), out.pending_fds()), (0, 0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
        self.fds.clear();
    }

    /// Sends all bytes, with their descriptors. Descriptors that no byte follows yet stay.
    ///
    /// # Errors
    ///
    /// That of sendmsg(2), errno preserved: EINTR is retried; `WouldBlock` says that the socket takes no more now, and
    /// ETOOMANYREFS that too many of this user's descriptors are on their way, which no readiness tells the end of: try
    /// again when the peer has had time to read. [`FamilyError`](crate::FamilyError) for descriptors on a socket that is
    /// not AF_UNIX. Whatever the error, what has not gone is still queued, and nothing goes twice; [`clear`](Self::clear)
    /// is for what never will, such as descriptors that the receiver refuses (EPERM: `SO_PASSRIGHTS`, Linux 6.16).
    #[doc(alias = "ETOOMANYREFS")]
    pub fn flush(&mut self, socket: impl AsFd) -> io::Result<()> {
        self.flush_with(&socket, SendFlags::empty())
    }

    /// The same without waiting, on a socket that may block (`MSG_DONTWAIT`).
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    #[doc(alias = "MSG_DONTWAIT")]
    pub fn try_flush(&mut self, socket: impl AsFd) -> io::Result<()> {
        self.flush_with(&socket, SendFlags::DONTWAIT)
    }

    fn flush_with(&mut self, socket: &impl AsFd, flags: SendFlags) -> io::Result<()> {
        while self.pending() > 0 {
            self.send_some(socket, &[], flags)?;
        }
        Ok(())
    }

    /// Takes bytes as [`io::Write::write`] does, and returns how many: few are gathered until they are flushed, or until
    /// there are as many as [`with_capacity`](Self::with_capacity) says; a piece of that length goes from where it stands,
    /// without a copy.
    ///
    /// ```
    /// use ancillary::stream::FdWriter;
    /// use std::{io::Read, os::unix::net::UnixStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let ((a, mut b), mut out) = (UnixStream::pair()?, FdWriter::new().with_capacity(8));
    /// assert_eq!((out.write(&a, b"few")?, out.pending()), (3, 3)); // gathered
    /// assert_eq!((out.write(&a, b"and many more")?, out.pending()), (13, 0)); // sent, with those before it
    /// # let mut data = [0; 16];
    /// # b.read_exact(&mut data)?;
    /// # assert_eq!(&data, b"fewand many more");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush); none of these bytes has been taken then. `WouldBlock` if there is no room for any.
    pub fn write(&mut self, socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(socket, &[IoSlice::new(bytes)])
    }

    /// The same of several pieces, of which it takes the first 64 at most.
    ///
    /// ```
    /// use ancillary::stream::FdWriter;
    /// use std::{io::IoSlice, os::unix::net::UnixStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let ((a, b), mut out) = (UnixStream::pair()?, FdWriter::new());
    /// out.push_fd(&a); // for the next byte, whichever that is
    /// let frame = [IoSlice::new(b"head"), IoSlice::new(b"body")];
    /// assert_eq!(out.write_vectored(&a, &frame)?, 8);
    /// assert_eq!((out.pending(), out.pending_fds()), (8, 1)); // few bytes are gathered
    /// out.flush(&a)?;
    /// # assert_eq!(ancillary::SocketExt::recv_fds::<1>(&b, &mut [0; 16])?.fds().count(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_vectored(&mut self, socket: impl AsFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let slices = first(slices);
        let len = crate::sys::total(slices);
        if !self.gathers(slices) {
            match self.flush(&socket) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock || self.room() == 0 => return Err(error),
                _ => {}
            }
            if self.pending() == 0 && len >= self.capacity {
                return self.send_some(&socket, slices, SendFlags::empty());
            }
        }
        let mut room = self.room().min(len);
        let taken = room;
        for slice in slices {
            let part = slice.get(..room).unwrap_or(slice);
            self.push(part);
            room -= part.len();
        }
        Ok(taken)
    }

    /// Whether a [`write_vectored`](Self::write_vectored) of these takes them all and makes no call.
    pub(crate) fn gathers(&self, slices: &[IoSlice<'_>]) -> bool {
        let len = crate::sys::total(first(slices));
        len == 0 || (len <= self.room() && (self.pending() > 0 || len < self.capacity))
    }

    /// Bytes that [`write`](Self::write) takes without sending any.
    fn room(&self) -> usize {
        self.capacity.saturating_sub(self.pending())
    }

    /// One call: from what is queued, and then from `more`, as many bytes as one call may carry, with the descriptors
    /// that belong to the first of them. There is one at least.
    fn send_some(&mut self, socket: &impl AsFd, more: &[IoSlice<'_>], flags: SendFlags) -> io::Result<usize> {
        let fds = self.fds.iter().take(self.fds_per_message).take_while(|waiting| waiting.byte <= self.sent).count();
        if fds > 0 && !self.is_unix {
            Families::UNIX.require(socket.as_fd())?;
            self.is_unix = true;
        }
        // The next call begins with the byte that the next descriptor belongs to; if that has to go now, behind it.
        let mut room = match self.fds.get(fds) {
            Some(waiting) => usize::try_from(waiting.byte.saturating_sub(self.sent)).unwrap_or(usize::MAX).max(1),
            None => usize::MAX,
        };
        let mut header = MsgHdr::new();
        header.flags(flags);
        let waiting = self.bytes.get(self.start..).unwrap_or_default();
        for slice in std::iter::once(waiting).chain(more.iter().map(|slice| &**slice)) {
            let part = slice.get(..room).unwrap_or(slice);
            if !part.is_empty() {
                header.data(part);
                room -= part.len();
            }
        }
        if fds > 0 {
            header.control(ScmRights::new(self.fds.iter().take(fds).map(|waiting| waiting.fd.as_fd())));
        }
        let sent = header.send(socket)?;
        if sent == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        // With the first byte they have gone.
        for _ in 0..fds {
            self.fds.pop_front();
        }
        self.start += sent.min(self.pending());
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
        self.sent += sent as u64;
        Ok(sent)
    }
}

/// As many as one call takes.
fn first<'s, 'a>(slices: &'s [IoSlice<'a>]) -> &'s [IoSlice<'a>] {
    slices.get(..INLINE_SLICES).unwrap_or(slices)
}

impl Default for FdWriter<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// Prints how many bytes wait, and which descriptors.
impl fmt::Debug for FdWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FdWriter {{ {} bytes, fds: ", self.pending())?;
        f.debug_list().entries(self.fds.iter().map(|waiting| &waiting.fd)).finish()?;
        f.write_str(" }")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{ErrorKind, Read},
        os::unix::net::UnixStream,
    };

    #[test]
    fn a_queue_that_is_never_empty_does_not_grow() {
        let (a, mut b) = UnixStream::pair().unwrap();
        a.set_nonblocking(true).unwrap();
        let (mut out, mut pushed, mut seen) = (FdWriter::new(), 0u32, 0u32);
        let mut room = [0; 4096];
        for _ in 0..2000 {
            while out.pending() < 200_000 {
                out.push(&pushed.to_ne_bytes());
                pushed += 1;
            }
            match out.flush(&a) {
                Ok(()) => continue, // the socket is not full yet
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            b.read_exact(&mut room).unwrap();
            for number in room.chunks(4) {
                assert_eq!(number, seen.to_ne_bytes());
                seen += 1;
            }
        }
        assert!(out.pending() > 0 && seen > 1_000_000, "{seen} {out:?}");
        assert!(out.bytes.capacity() < 1 << 20, "{}", out.bytes.capacity());
    }
}
