//! Bytes and descriptors that have arrived.

use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use super::{FdStreamError, PopFds, arrived::Arrived};
use crate::{control::ControlVec, error::FdCountError, flags::RecvFlags, receive::MsgHdrMut, sys::MAX_FDS};

/// What one receive may bring: 253 descriptors, and credentials, a label and the like that others have enabled.
const CONTROL: usize = 1536;

/// The first length of the buffer.
const CAPACITY: usize = 8 * 1024;

/// The reading half: bytes in a buffer of its own or in the caller's, and the descriptors that came with them, in order.
///
/// It is state alone and borrows no socket: every call that receives is given one, and makes one system call.
/// [`FdStream`](super::FdStream) puts it beside its socket.
///
/// ```
/// use ancillary::{SocketExt, stream::FdReader};
/// use std::{fs::File, io::Read, os::unix::net::UnixStream};
///
/// # fn main() -> std::io::Result<()> {
/// let (a, b) = UnixStream::pair()?;
/// let null = File::open("/dev/null")?;
/// a.send_fds(b"\x05first\x06se", [&null])?; // a length, then so many bytes, with a descriptor each
/// a.send_fds(b"cond", [&null])?;
///
/// let mut incoming = FdReader::new();
/// for expected in [&b"first"[..], b"second"] {
///     let len = loop {
///         match incoming.buffer() {
///             &[len, ref rest @ ..] if rest.len() >= len.into() => break 1 + usize::from(len),
///             _ => assert!(incoming.fill(&b)? > 0, "the peer is gone"),
///         }
///     };
///     let (message, mut fds) = incoming.take_message(len, 1)?;
///     assert_eq!(&message[1..], expected);
///     assert_eq!(File::from(fds.next().unwrap()).read(&mut [0; 1])?, 0);
/// }
/// # Ok(())
/// # }
/// ```
///
/// Descriptors that nobody takes are closed when it is dropped.
pub struct FdReader {
    control: ControlVec,
    arrived: Arrived,
    max_fds: usize,
    // What has arrived and has not been consumed is `bytes[start..end]`.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    capacity: usize,
}

impl FdReader {
    /// An empty one. The buffer is made when it is first filled.
    #[must_use]
    pub fn new() -> Self {
        Self {
            control: ControlVec::with_capacity(CONTROL),
            arrived: Arrived::default(),
            max_fds: MAX_FDS,
            bytes: Vec::new(),
            start: 0,
            end: 0,
            capacity: CAPACITY,
        }
    }

    /// Lets so many descriptors wait to be taken; 253 if nothing is said. With more in the queue nothing is received:
    /// [`FdStreamError::QueueFull`]. The receive that brings too many brings all of its own, up to 253, so a message of more
    /// than 253, of which none can be taken before it has arrived whole, needs as many here.
    #[must_use]
    pub fn with_max_fds(mut self, most: usize) -> Self {
        self.max_fds = most;
        self
    }

    /// Makes the buffer so long at first; 8 KiB if nothing is said. It grows while it is filled and not consumed.
    #[must_use]
    pub fn with_capacity(mut self, bytes: usize) -> Self {
        self.capacity = bytes.max(1);
        self
    }

    /// The bytes in the buffer, which wait to be consumed.
    #[must_use]
    pub fn buffer(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Receives once into the buffer, behind what is there, and returns how many bytes came: 0 is the end of the stream.
    ///
    /// One call brings the descriptors of one send at most: it ends with the bytes that they came with, even if there is
    /// more. They came with one of these bytes, not always with the first: what was sent before without descriptors may
    /// arrive together with them.
    ///
    /// # Errors
    ///
    /// That of recvmsg(2), errno preserved: EINTR is retried, `WouldBlock` is returned; [`FdStreamError`] (`InvalidData`)
    /// if descriptors have been lost, or too many wait. Nothing has been received then.
    pub fn fill(&mut self, socket: impl AsFd) -> io::Result<usize> {
        self.fill_with(&socket, RecvFlags::empty())
    }

    /// The same without waiting, on a socket that may block (`MSG_DONTWAIT`).
    ///
    /// ```
    /// use ancillary::stream::FdReader;
    /// use std::{io::{ErrorKind, Write}, os::unix::net::UnixStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let ((mut a, b), mut reader) = (UnixStream::pair()?, FdReader::new());
    /// assert_eq!(reader.try_fill(&b).unwrap_err().kind(), ErrorKind::WouldBlock);
    /// a.write_all(b"now")?;
    /// assert_eq!((reader.try_fill(&b)?, reader.buffer()), (3, &b"now"[..]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`fill`](Self::fill).
    #[doc(alias = "MSG_DONTWAIT")]
    pub fn try_fill(&mut self, socket: impl AsFd) -> io::Result<usize> {
        self.fill_with(&socket, RecvFlags::DONTWAIT)
    }

    fn fill_with(&mut self, socket: &impl AsFd, flags: RecvFlags) -> io::Result<usize> {
        self.check()?;
        self.make_room();
        let room = self.bytes.get_mut(self.end..).unwrap_or_default();
        let len = self.arrived.take(header(flags).recv_slice(socket, room, &mut self.control)?);
        self.end += len;
        Ok(len)
    }

    /// Room for one byte at least. Nothing is moved for less than it gains.
    fn make_room(&mut self) {
        let (waiting, room) = (self.end - self.start, self.bytes.len() - self.end);
        if self.start >= waiting && self.start > room {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, waiting);
        } else if room == 0 {
            self.bytes.resize(self.capacity.max(2 * self.bytes.len()), 0);
        }
    }

    /// Forgets so many bytes of the buffer, at most all.
    pub fn consume(&mut self, bytes: usize) {
        self.start = self.end.min(self.start.saturating_add(bytes));
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Receives once into the caller's buffer, as [`fill`](Self::fill) does into its own; bytes that wait there are given
    /// out first, without a call. Of an empty buffer nothing is made.
    ///
    /// # Errors
    ///
    /// As [`fill`](Self::fill).
    pub fn recv(&mut self, socket: impl AsFd, data: &mut [u8]) -> io::Result<usize> {
        self.recv_with(&socket, data, RecvFlags::empty())
    }

    /// The same without waiting, on a socket that may block (`MSG_DONTWAIT`).
    ///
    /// # Errors
    ///
    /// As [`fill`](Self::fill).
    #[doc(alias = "MSG_DONTWAIT")]
    pub fn try_recv(&mut self, socket: impl AsFd, data: &mut [u8]) -> io::Result<usize> {
        self.recv_with(&socket, data, RecvFlags::DONTWAIT)
    }

    fn recv_with(&mut self, socket: &impl AsFd, data: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
        let waiting = self.buffer();
        if !waiting.is_empty() || data.is_empty() {
            let len = waiting.len().min(data.len());
            data[..len].copy_from_slice(&waiting[..len]);
            self.consume(len);
            return Ok(len);
        }
        self.check()?;
        Ok(self.arrived.take(header(flags).recv_slice(socket, data, &mut self.control)?))
    }

    /// Receives once into the spare capacity of a `bytes::BufMut` (its first chunk: reserve before), as
    /// [`recv`](Self::recv) does into a slice.
    ///
    /// ```
    /// use ancillary::{SocketExt, stream::FdReader};
    /// use std::os::unix::net::UnixStream;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let ((a, b), mut reader) = (UnixStream::pair()?, FdReader::new());
    /// a.send_fds(b"hello", [&a])?;
    /// let mut data = bytes::BytesMut::with_capacity(64);
    /// reader.recv_buf(&b, &mut data)?;
    /// assert_eq!((&data[..], reader.fds().len()), (&b"hello"[..], 1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`fill`](Self::fill).
    #[cfg(feature = "bytes")]
    pub fn recv_buf(&mut self, socket: impl AsFd, data: &mut (impl bytes::BufMut + ?Sized)) -> io::Result<usize> {
        let (waiting, room) = (self.buffer(), data.chunk_mut().len());
        if !waiting.is_empty() || room == 0 {
            let len = waiting.len().min(room);
            data.put_slice(&waiting[..len]);
            self.consume(len);
            return Ok(len);
        }
        self.check()?;
        Ok(self.arrived.take(header(RecvFlags::empty()).recv_buf(socket, data, &mut self.control)?))
    }

    fn check(&self) -> io::Result<()> {
        match self.error() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    /// What the next receive would fail with.
    #[must_use]
    pub fn error(&self) -> Option<FdStreamError> {
        if self.arrived.lost {
            return Some(FdStreamError::Lost);
        }
        let (queued, max) = (self.arrived.len(), self.max_fds);
        (queued > max).then_some(FdStreamError::QueueFull { queued, max })
    }

    /// Whether the peer has closed the stream. Bytes and descriptors that came before wait to be taken.
    ///
    /// ```
    /// use ancillary::{SocketExt, stream::FdReader};
    /// use std::{fs::File, os::unix::net::UnixStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let ((a, b), mut reader) = (UnixStream::pair()?, FdReader::new());
    /// a.send_fds(b"last words", [&File::open("/dev/null")?])?;
    /// drop(a);
    /// while reader.fill(&b)? > 0 {}
    /// assert!(reader.is_eof());
    /// assert_eq!((reader.buffer(), reader.fds().len()), (&b"last words"[..], 1)); // which came before
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn is_eof(&self) -> bool {
        self.arrived.eof
    }

    /// How many descriptors wait to be taken.
    ///
    /// ```
    /// use ancillary::{SocketExt, stream::FdReader};
    /// use std::os::unix::net::UnixStream;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let ((a, b), mut reader) = (UnixStream::pair()?, FdReader::new());
    /// a.send_fds(b"two", &[&a, &b])?;
    /// reader.fill(&b)?;
    /// let all = reader.pending_fds();
    /// let fds: Vec<_> = reader.pop_fds(all)?.collect();
    /// assert_eq!((all, fds.len(), reader.pending_fds()), (2, 2, 0));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn pending_fds(&self) -> usize {
        self.fds().len()
    }

    /// The descriptors that wait to be taken, borrowed, in the order in which they were sent.
    pub fn fds(&self) -> impl ExactSizeIterator<Item = BorrowedFd<'_>> + Clone {
        self.arrived.iter()
    }

    /// Takes the next descriptor.
    pub fn pop_fd(&mut self) -> Option<OwnedFd> {
        self.arrived.pop_one()
    }

    /// Takes the next `count` descriptors: those of the message that has just been read. What is not taken out of the
    /// iterator is closed with it.
    ///
    /// # Errors
    ///
    /// [`FdCountError`] if fewer have arrived; none is taken then.
    pub fn pop_fds(&mut self, count: usize) -> Result<PopFds<'_>, FdCountError> {
        self.arrived.pop(count)
    }

    /// Takes the next `N` descriptors.
    ///
    /// # Errors
    ///
    /// As [`pop_fds`](Self::pop_fds).
    pub fn pop_fds_exact<const N: usize>(&mut self) -> Result<[OwnedFd; N], FdCountError> {
        let mut fds = self.pop_fds(N)?;
        Ok(std::array::from_fn(|_| fds.next().expect("counted before")))
    }

    /// Takes a message out: the next `len` bytes of the buffer, at most all, and its descriptors.
    ///
    /// # Errors
    ///
    /// As [`pop_fds`](Self::pop_fds); no byte is consumed then.
    pub fn take_message(&mut self, len: usize, fds: usize) -> Result<(&[u8], PopFds<'_>), FdCountError> {
        let fds = self.arrived.pop(fds)?;
        let from = self.start;
        self.start = self.end.min(from.saturating_add(len));
        Ok((self.bytes.get(from..self.start).unwrap_or_default(), fds))
    }

    /// The control messages of the last receive, beside its descriptors: credentials, if they were
    /// [enabled](crate::SocketExt::enable).
    #[must_use]
    pub fn control(&self) -> &ControlVec {
        &self.control
    }

    /// Takes the control messages of the last receive out of it; for `SCM_PIDFD`.
    ///
    /// ```
    /// use ancillary::{SocketExt, message::ScmPidfd, stream::FdReader};
    /// use std::{io::Write, os::unix::net::UnixStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let ((mut a, b), mut reader) = (UnixStream::pair()?, FdReader::new());
    /// # #[cfg(target_os = "linux")]
    /// if b.try_enable::<ScmPidfd>()? { // Linux 6.5
    ///     a.write_all(b"who is it?")?;
    ///     reader.fill(&b)?;
    ///     let sender = reader.control_mut().take_pidfd()?;
    ///     assert!(sender.is_some());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn control_mut(&mut self) -> &mut ControlVec {
        &mut self.control
    }
}

fn header<'a>(flags: RecvFlags) -> MsgHdrMut<'a> {
    let mut header = MsgHdrMut::new();
    header.flags(flags).no_peer();
    header
}

impl Default for FdReader {
    fn default() -> Self {
        Self::new()
    }
}

/// Prints how many bytes wait, and which descriptors.
impl fmt::Debug for FdReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FdReader {{ {} bytes, fds: {:?}", self.buffer().len(), self.arrived)?;
        write!(f, ", eof: {}", self.is_eof())?;
        if let Some(error) = self.error() {
            write!(f, ", error: {error}")?;
        }
        f.write_str(" }")
    }
}
