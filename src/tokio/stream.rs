//! Byte streams that carry descriptors.

use std::{
    io::{self, IoSlice},
    os::fd::AsRawFd,
    pin::Pin,
    task::{Context, Poll, ready},
};

use nix::sys::socket::{self, Shutdown};

use ::tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, Interest, ReadBuf};

use super::{
    AsyncSocket,
    wait::{Direction, io, poll_io},
};
use crate::stream::{FdReader, FdStream, FdWriter};

/// With the feature `tokio`. Dropped before they are ready, these futures have received nothing.
impl FdReader {
    /// [`fill`](Self::fill), awaited.
    ///
    /// ```
    /// use ancillary::stream::FdReader;
    /// use tokio::net::UnixStream;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
    /// let ((a, b), mut reader) = (UnixStream::pair()?, FdReader::new());
    /// a.try_write(b"line\nli")?;
    /// while !reader.buffer().contains(&b'\n') {
    ///     reader.fill_async(&b).await?;
    /// }
    /// assert_eq!(reader.buffer(), b"line\nli");
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As there, but `WouldBlock`.
    pub async fn fill_async<S: AsyncSocket + ?Sized>(&mut self, socket: &S) -> io::Result<usize> {
        if self.error().is_some() {
            return self.fill(socket);
        }
        io(socket, Interest::READABLE, || self.fill(socket)).await
    }

    /// [`recv`](Self::recv), awaited.
    ///
    /// # Errors
    ///
    /// As there, but `WouldBlock`.
    pub async fn recv_async<S: AsyncSocket + ?Sized>(&mut self, socket: &S, data: &mut [u8]) -> io::Result<usize> {
        if self.is_ready(data) {
            return self.recv(socket, data);
        }
        io(socket, Interest::READABLE, || self.recv(socket, data)).await
    }

    /// [`fill_async`](Self::fill_async) for a future written by hand; the last task that polled for reading is woken.
    ///
    /// ```
    /// use ancillary::stream::FdReader;
    /// use std::{future::poll_fn, io, task::{Context, Poll, ready}};
    /// use tokio::net::UnixStream;
    ///
    /// /// Whether a whole line waits; `false`: the end came before.
    /// fn poll_line(reader: &mut FdReader, socket: &UnixStream, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
    ///     while !reader.buffer().contains(&b'\n') {
    ///         if ready!(reader.poll_fill(cx, socket))? == 0 {
    ///             return Poll::Ready(Ok(false));
    ///         }
    ///     }
    ///     Poll::Ready(Ok(true))
    /// }
    ///
    /// # fn main() -> io::Result<()> {
    /// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
    /// let ((a, b), mut reader) = (UnixStream::pair()?, FdReader::new());
    /// a.try_write(b"line\nli")?;
    /// drop(a);
    /// assert!(poll_fn(|cx| poll_line(&mut reader, &b, cx)).await?);
    /// reader.consume(5);
    /// assert!(!poll_fn(|cx| poll_line(&mut reader, &b, cx)).await?);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_fill<S: AsyncSocket + ?Sized>(&mut self, cx: &mut Context<'_>, socket: &S) -> Poll<io::Result<usize>> {
        if self.error().is_some() {
            return Poll::Ready(self.fill(socket));
        }
        poll_io(socket, cx, Direction::Read, || self.fill(socket))
    }

    /// [`recv_async`](Self::recv_async) likewise.
    ///
    /// ```
    /// use ancillary::stream::FdReader;
    /// use std::{future::poll_fn, io, task::{Context, Poll, ready}};
    /// use tokio::net::UnixStream;
    ///
    /// /// The next byte; `None`: the end.
    /// fn poll_byte(reader: &mut FdReader, socket: &UnixStream, cx: &mut Context<'_>) -> Poll<io::Result<Option<u8>>> {
    ///     let mut byte = [0];
    ///     let count = ready!(reader.poll_recv(cx, socket, &mut byte))?;
    ///     Poll::Ready(Ok((count > 0).then_some(byte[0])))
    /// }
    ///
    /// # fn main() -> io::Result<()> {
    /// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
    /// let ((a, b), mut reader) = (UnixStream::pair()?, FdReader::new());
    /// ancillary::tokio::AsyncSocket::send_fds_async(&a, b"x", &[&a]).await?;
    /// assert_eq!(poll_fn(|cx| poll_byte(&mut reader, &b, cx)).await?, Some(b'x'));
    /// assert_eq!(reader.fds().len(), 1);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_recv<S: AsyncSocket + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &S,
        data: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_ready(data) {
            return Poll::Ready(self.recv(socket, data));
        }
        poll_io(socket, cx, Direction::Read, || self.recv(socket, data))
    }

    /// Whether a receive into this buffer makes no call.
    fn is_ready(&self, data: &[u8]) -> bool {
        !self.buffer().is_empty() || data.is_empty() || self.error().is_some()
    }
}

/// With the feature `tokio`.
impl FdWriter<'_> {
    /// [`flush`](Self::flush), awaited. Dropped before it is ready, it may have sent a part; what has not gone is still
    /// queued, and nothing goes twice.
    ///
    /// # Errors
    ///
    /// As there, but `WouldBlock`. ETOOMANYREFS is no readiness: flush again when the peer has had time to read.
    pub async fn flush_async<S: AsyncSocket + ?Sized>(&mut self, socket: &S) -> io::Result<()> {
        if self.pending() == 0 {
            return Ok(());
        }
        io(socket, Interest::WRITABLE, || self.flush(socket)).await
    }

    /// [`flush_async`](Self::flush_async) for a future written by hand; the last task that polled for writing is woken.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_flush<S: AsyncSocket + ?Sized>(&mut self, cx: &mut Context<'_>, socket: &S) -> Poll<io::Result<()>> {
        if self.pending() == 0 {
            return Poll::Ready(Ok(()));
        }
        poll_io(socket, cx, Direction::Write, || self.flush(socket))
    }
}

/// With the feature `tokio`; see [`FdReader`] and [`FdWriter`], whose futures take a borrowed socket and can wait side by
/// side.
impl<S: AsyncSocket> FdStream<'_, S> {
    /// [`FdReader::fill_async`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn fill_async(&mut self) -> io::Result<usize> {
        let (socket, reader, _) = self.parts_mut();
        reader.fill_async(socket).await
    }

    /// [`FdReader::recv_async`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn recv_async(&mut self, data: &mut [u8]) -> io::Result<usize> {
        let (socket, reader, _) = self.parts_mut();
        reader.recv_async(socket, data).await
    }

    /// [`FdWriter::flush_async`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn flush_async(&mut self) -> io::Result<()> {
        let (socket, _, writer) = self.parts_mut();
        writer.flush_async(socket).await
    }
}

/// The bytes; the descriptors that came with them wait in the [`FdReader`].
impl<S: AsyncSocket + Unpin> AsyncRead for FdStream<'_, S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (socket, reader, _) = self.get_mut().parts_mut();
        let len = ready!(reader.poll_recv(cx, socket, data.initialize_unfilled()))?;
        data.advance(len);
        Poll::Ready(Ok(()))
    }
}

/// The buffer of the [`FdReader`].
impl<S: AsyncSocket + Unpin> AsyncBufRead for FdStream<'_, S> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let (socket, reader, _) = self.get_mut().parts_mut();
        if reader.buffer().is_empty() {
            ready!(reader.poll_fill(cx, socket))?;
        }
        Poll::Ready(Ok(reader.buffer()))
    }

    fn consume(self: Pin<&mut Self>, bytes: usize) {
        self.get_mut().reader_mut().consume(bytes);
    }
}

/// Gathered until it is flushed, as by [`FdWriter::write`], behind what was queued. To shut it down flushes it, and then
/// closes the socket's sending side.
impl<S: AsyncSocket + Unpin> AsyncWrite for FdStream<'_, S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let (socket, _, writer) = self.get_mut().parts_mut();
        if writer.gathers(slices) {
            return Poll::Ready(writer.write_vectored(socket, slices));
        }
        poll_io(socket, cx, Direction::Write, || writer.write_vectored(socket, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (socket, _, writer) = self.get_mut().parts_mut();
        writer.poll_flush(cx, socket)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        socket::shutdown(self.as_raw_fd(), Shutdown::Write)?;
        Poll::Ready(Ok(()))
    }
}
