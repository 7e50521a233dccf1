//! Messages on their way out, one or many.

use std::{
    io,
    task::{Context, Poll, ready},
};

use ::tokio::io::Interest;

use super::{
    AsyncSocket,
    wait::{Direction, io, poll_io},
};
use crate::{batch::Batch, send::MsgHdr};

/// With the feature `tokio`. A message that the builder refused fails at once, the others wait until the socket is
/// writable.
impl MsgHdr<'_> {
    /// [`send`](Self::send), awaited. Dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    ///
    /// As there, but `WouldBlock`.
    pub async fn send_async<S: AsyncSocket + ?Sized>(&self, socket: &S) -> io::Result<usize> {
        if let Some(error) = self.refused() {
            return Err(error.into());
        }
        io(socket, Interest::WRITABLE, || self.send(socket)).await
    }

    /// [`send_all`](Self::send_all), awaited. Dropped before it is ready, it may have sent a part:
    /// [`sent`](Self::sent) says how much, and calling it again with the same header goes on there.
    ///
    /// # Errors
    ///
    /// As there, but `WouldBlock`.
    pub async fn send_all_async<S: AsyncSocket + ?Sized>(&mut self, socket: &S) -> io::Result<usize> {
        if let Some(error) = self.refused() {
            return Err(error.into());
        }
        io(socket, Interest::WRITABLE, || self.send_all(socket)).await
    }

    /// [`send_async`](Self::send_async) for a future written by hand; the last task that polled for writing is woken.
    ///
    /// ```
    /// use ancillary::MsgHdr;
    /// use std::{future::poll_fn, io, net::SocketAddr, task::{Context, Poll}};
    /// use tokio::net::UdpSocket;
    ///
    /// fn poll_greet(socket: &UdpSocket, to: SocketAddr, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    ///     MsgHdr::new().to(to).data(b"hel").data(b"lo").poll_send(cx, socket)
    /// }
    ///
    /// # fn main() -> io::Result<()> {
    /// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
    /// let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// let to = socket.local_addr()?;
    /// assert_eq!(poll_fn(|cx| poll_greet(&socket, to, cx)).await?, 5);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_send<S: AsyncSocket + ?Sized>(&self, cx: &mut Context<'_>, socket: &S) -> Poll<io::Result<usize>> {
        if let Some(error) = self.refused() {
            return Poll::Ready(Err(error.into()));
        }
        poll_io(socket, cx, Direction::Write, || self.send(socket))
    }

    /// [`send_all_async`](Self::send_all_async) likewise.
    ///
    /// ```
    /// use ancillary::MsgHdr;
    /// use std::{future::poll_fn, io, task::{Context, Poll}};
    /// use tokio::net::UnixStream;
    ///
    /// struct Outgoing { frame: Vec<u8>, sent: usize }
    ///
    /// impl Outgoing {
    ///     /// A header borrows its data, so it is made anew and goes on where the one before came to.
    ///     fn poll_flush(&mut self, socket: &UnixStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    ///         let mut message = MsgHdr::new();
    ///         let result = message.data(&self.frame).skip(self.sent).poll_send_all(cx, socket);
    ///         self.sent = if matches!(result, Poll::Ready(Ok(_))) { self.frame.len() } else { message.sent() };
    ///         result.map_ok(drop)
    ///     }
    /// }
    ///
    /// # fn main() -> io::Result<()> {
    /// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
    /// let (a, b) = UnixStream::pair()?;
    /// let mut outgoing = Outgoing { frame: b"frame".to_vec(), sent: 0 };
    /// poll_fn(|cx| outgoing.poll_flush(&a, cx)).await?;
    /// # b.readable().await?;
    /// # assert_eq!(b.try_read(&mut [0; 9])?, 5);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_send_all<S: AsyncSocket + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &S,
    ) -> Poll<io::Result<usize>> {
        if let Some(error) = self.refused() {
            return Poll::Ready(Err(error.into()));
        }
        poll_io(socket, cx, Direction::Write, || self.send_all(socket))
    }
}

/// With the feature `tokio`.
impl Batch<'_, '_> {
    /// [`send`](Self::send), awaited. Dropped before it is ready, it has sent no whole message; on a stream perhaps a part
    /// of one ([`begun`](Self::begun)).
    ///
    /// # Errors
    ///
    /// As there, but `WouldBlock`.
    pub async fn send_async<S: AsyncSocket + ?Sized>(&mut self, socket: &S) -> io::Result<usize> {
        if self.sent() == self.len() {
            return self.send(socket);
        }
        io(socket, Interest::WRITABLE, || self.send(socket)).await
    }

    /// [`send_all`](Self::send_all), awaited: how many went. Dropped before it is ready, it may have sent some:
    /// [`sent`](Self::sent) says how many, and calling it again goes on there.
    ///
    /// # Errors
    ///
    /// As there, but `WouldBlock`.
    pub async fn send_all_async<S: AsyncSocket + ?Sized>(&mut self, socket: &S) -> io::Result<usize> {
        let before = self.sent();
        while self.sent() < self.len() {
            self.send_async(socket).await?;
        }
        Ok(self.sent() - before)
    }

    /// [`send_async`](Self::send_async) for a future written by hand; the last task that polled for writing is woken.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_send<S: AsyncSocket + ?Sized>(&mut self, cx: &mut Context<'_>, socket: &S) -> Poll<io::Result<usize>> {
        if self.sent() == self.len() {
            return Poll::Ready(self.send(socket));
        }
        poll_io(socket, cx, Direction::Write, || self.send(socket))
    }

    /// [`send_all_async`](Self::send_all_async) likewise: how many have gone in all, which is [`len`](Self::len).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_send_all<S: AsyncSocket + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &S,
    ) -> Poll<io::Result<usize>> {
        while self.sent() < self.len() {
            ready!(self.poll_send(cx, socket))?;
        }
        Poll::Ready(Ok(self.sent()))
    }
}
