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
