//! Both halves beside a socket.

use std::{
    fmt,
    io::{self, BufRead, IoSlice, Read, Write},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

use super::{FdReader, FdWriter, PopFds, QueuedFd};
use crate::error::{EncodeError, FdCountError};

/// A socket with an [`FdReader`] and an [`FdWriter`]: a byte stream that carries descriptors.
///
/// The socket is anything that is [`AsFd`], owned or borrowed, blocking or not. Descriptors that are lent have to outlive the
/// stream (`'fd`); those that are given by value are closed once sent, and `'fd` is `'static` where all are.
///
/// [`Read`] and [`BufRead`] give the bytes; [`Write`] gathers bytes until they are flushed, behind those that were queued.
/// Dropping it sends nothing: [`flush`](Self::flush) first.
///
/// ```
/// use ancillary::stream::FdStream;
/// use std::{fs::File, io::ErrorKind, os::unix::net::UnixStream};
///
/// # fn main() -> std::io::Result<()> {
/// let (a, b) = UnixStream::pair()?;
/// a.set_nonblocking(true)?;
/// b.set_nonblocking(true)?;
/// let (mut a, mut b) = (FdStream::new(&a), FdStream::new(&b));
/// a.queue(&[7; 1 << 20], [File::open("/dev/null")?])?;
/// let (mut received, mut fds) = (0, 0);
/// while received < 1 << 20 {
///     match a.flush() {
///         Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
///         _ => {} // a real program waits in poll(2) when neither side can go on
///     }
///     match b.fill() {
///         Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
///         Err(_) => continue,
///         Ok(_) => {}
///     }
///     received += b.buffer().len();
///     b.consume(b.buffer().len());
///     fds += b.pop_fd().iter().count();
/// }
/// assert_eq!(fds, 1);
/// # Ok(())
/// # }
/// ```
#[doc(alias = "SCM_RIGHTS")]
pub struct FdStream<'fd, S> {
    socket: S,
    reader: FdReader,
    writer: FdWriter<'fd>,
}

impl<'fd, S: AsFd> FdStream<'fd, S> {
    /// Over a connected stream socket.
    #[must_use]
    pub fn new(socket: S) -> Self {
        Self::from_parts(socket, FdReader::new(), FdWriter::new())
    }

    /// Of halves with limits of their own, or in use.
    #[must_use]
    pub fn from_parts(socket: S, reader: FdReader, writer: FdWriter<'fd>) -> Self {
        Self { socket, reader, writer }
    }

    /// The socket and both halves, with what they hold: to read and to write on two threads, say.
    ///
    /// ```
    /// use ancillary::stream::FdStream;
    /// use std::{os::unix::net::UnixStream, thread};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (a, b) = UnixStream::pair()?;
    /// let (socket, mut reader, mut writer) = FdStream::new(a).into_parts();
    /// # let mut peer = FdStream::new(b);
    /// # peer.push(b"ours");
    /// # peer.flush()?;
    /// thread::scope(|scope| {
    ///     let reading = scope.spawn(|| reader.fill(&socket));
    ///     writer.push(b"theirs");
    ///     writer.flush(&socket)?;
    ///     reading.join().unwrap()
    /// })?;
    /// assert_eq!(reader.buffer(), b"ours");
    /// let again = FdStream::from_parts(socket, reader, writer);
    /// # assert_eq!(peer.recv(&mut [0; 16])?, 6);
    /// # drop(again);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn into_parts(self) -> (S, FdReader, FdWriter<'fd>) {
        (self.socket, self.reader, self.writer)
    }

    /// The socket.
    pub fn get_ref(&self) -> &S {
        &self.socket
    }

    /// The reading half.
    ///
    /// ```
    /// use ancillary::stream::FdStream;
    /// use std::os::unix::net::UnixStream;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (a, b) = UnixStream::pair()?;
    /// let (mut client, mut server) = (FdStream::new(a), FdStream::new(b));
    /// client.queue(b"open", [client.get_ref().try_clone()?])?;
    /// assert_eq!((client.writer().pending(), client.writer().pending_fds()), (4, 1));
    /// client.flush()?;
    /// server.fill()?;
    /// assert_eq!((server.reader().buffer(), server.reader().fds().len()), (&b"open"[..], 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn reader(&self) -> &FdReader {
        &self.reader
    }

    /// The reading half, to take from.
    pub fn reader_mut(&mut self) -> &mut FdReader {
        &mut self.reader
    }

    /// The writing half.
    pub fn writer(&self) -> &FdWriter<'fd> {
        &self.writer
    }

    /// The writing half, to queue into.
    ///
    /// ```
    /// use ancillary::stream::FdStream;
    /// use std::{fs::File, os::unix::net::UnixStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (a, b) = UnixStream::pair()?;
    /// let mut client = FdStream::new(a);
    /// client.queue(b"never sent", [File::open("/dev/null")?])?;
    /// client.writer_mut().clear();
    /// client.reader_mut().consume(usize::MAX); // and forgets what has arrived
    /// # assert!(client.writer().pending() == 0 && client.buffer().is_empty());
    /// # drop(b);
    /// # Ok(())
    /// # }
    /// ```
    pub fn writer_mut(&mut self) -> &mut FdWriter<'fd> {
        &mut self.writer
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn parts_mut(&mut self) -> (&S, &mut FdReader, &mut FdWriter<'fd>) {
        (&self.socket, &mut self.reader, &mut self.writer)
    }

    /// See [`FdWriter::queue`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn queue<I>(&mut self, bytes: &[u8], fds: I) -> Result<(), EncodeError>
    where
        I: IntoIterator<Item: Into<QueuedFd<'fd>>, IntoIter: ExactSizeIterator>,
    {
        self.writer.queue(bytes, fds)
    }

    /// See [`FdWriter::push`].
    pub fn push(&mut self, bytes: &[u8]) {
        self.writer.push(bytes);
    }

    /// See [`FdWriter::push_fd`].
    pub fn push_fd(&mut self, fd: impl Into<QueuedFd<'fd>>) {
        self.writer.push_fd(fd);
    }

    /// See [`FdWriter::flush`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush(&self.socket)
    }

    /// See [`FdWriter::try_flush`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_flush(&mut self) -> io::Result<()> {
        self.writer.try_flush(&self.socket)
    }

    /// See [`FdReader::fill`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn fill(&mut self) -> io::Result<usize> {
        self.reader.fill(&self.socket)
    }

    /// See [`FdReader::try_fill`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_fill(&mut self) -> io::Result<usize> {
        self.reader.try_fill(&self.socket)
    }

    /// See [`FdReader::recv`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn recv(&mut self, data: &mut [u8]) -> io::Result<usize> {
        self.reader.recv(&self.socket, data)
    }

    /// See [`FdReader::try_recv`].
    ///
    /// ```
    /// use ancillary::stream::FdStream;
    /// use std::{io::ErrorKind, os::unix::net::UnixStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (a, b) = UnixStream::pair()?;
    /// let (mut client, mut server) = (FdStream::new(a), FdStream::new(b));
    /// let mut data = [0; 16];
    /// assert_eq!(server.try_recv(&mut data).unwrap_err().kind(), ErrorKind::WouldBlock); // on a blocking socket too
    /// client.push(b"now");
    /// client.try_flush()?;
    /// assert_eq!((server.try_recv(&mut data)?, &data[..3]), (3, &b"now"[..]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_recv(&mut self, data: &mut [u8]) -> io::Result<usize> {
        self.reader.try_recv(&self.socket, data)
    }

    /// See [`FdReader::recv_buf`].
    ///
    /// # Errors
    ///
    /// As there.
    #[cfg(feature = "bytes")]
    pub fn recv_buf(&mut self, data: &mut (impl bytes::BufMut + ?Sized)) -> io::Result<usize> {
        self.reader.recv_buf(&self.socket, data)
    }

    /// See [`FdReader::buffer`].
    #[must_use]
    pub fn buffer(&self) -> &[u8] {
        self.reader.buffer()
    }

    /// See [`FdReader::consume`].
    pub fn consume(&mut self, bytes: usize) {
        self.reader.consume(bytes);
    }

    /// See [`FdReader::take_message`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn take_message(&mut self, len: usize, fds: usize) -> Result<(&[u8], PopFds<'_>), FdCountError> {
        self.reader.take_message(len, fds)
    }

    /// See [`FdReader::pop_fd`].
    pub fn pop_fd(&mut self) -> Option<OwnedFd> {
        self.reader.pop_fd()
    }

    /// See [`FdReader::pop_fds`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn pop_fds(&mut self, count: usize) -> Result<PopFds<'_>, FdCountError> {
        self.reader.pop_fds(count)
    }

    /// See [`FdReader::pop_fds_exact`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn pop_fds_exact<const N: usize>(&mut self) -> Result<[OwnedFd; N], FdCountError> {
        self.reader.pop_fds_exact()
    }
}

/// What the buffer holds, else one receive into the caller's: [`FdReader::recv`].
impl<S: AsFd> Read for FdStream<'_, S> {
    fn read(&mut self, data: &mut [u8]) -> io::Result<usize> {
        self.recv(data)
    }
}

/// The buffer, filled by one receive if it is empty.
impl<S: AsFd> BufRead for FdStream<'_, S> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.buffer().is_empty() {
            self.fill()?;
        }
        Ok(self.buffer())
    }

    fn consume(&mut self, bytes: usize) {
        self.reader.consume(bytes);
    }
}

/// Gathered: [`FdWriter::write`]; `flush` sends.
impl<S: AsFd> Write for FdStream<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(&self.socket, bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.writer.write_vectored(&self.socket, slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush(&self.socket)
    }
}

impl<S: AsFd> AsFd for FdStream<'_, S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl<S: AsFd> AsRawFd for FdStream<'_, S> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

/// Prints what waits on either side.
impl<S: AsFd> fmt::Debug for FdStream<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FdStream {{ {:?}, {:?}, {:?} }}", self.as_fd(), self.reader, self.writer)
    }
}
