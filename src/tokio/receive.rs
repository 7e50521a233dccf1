//! Messages that arrive, one or many.

use std::{
    io::{self, IoSliceMut},
    task::{Context, Poll, ready},
};

use ::tokio::io::Interest;

use super::{
    AsyncSocket,
    wait::{Direction, io, poll_io},
};
use crate::{
    batch::{ReceivedMessages, RecvBatch},
    control::ControlBuffer,
    message::RecvList,
    receive::{MsgHdrMut, Received, RecvExact},
};

/// With the feature `tokio`. Dropped before they are ready, these futures have received nothing.
impl MsgHdrMut<'_> {
    /// [`recv`](Self::recv), awaited. With `RecvFlags::ERRQUEUE` it would wait for the wrong thing:
    /// [`AsyncSocket`]'s `recv_error_async` waits for errors.
    ///
    /// # Errors
    ///
    /// As there, but `WouldBlock`.
    pub async fn recv_async<'c, S: AsyncSocket + ?Sized, C: ControlBuffer + Send>(
        &mut self,
        socket: &S,
        control: &'c mut C,
    ) -> io::Result<Received<'c, C::List>> {
        if self.is_refused() {
            return self.recv(socket, control);
        }
        let call = || Ok(self.recv(socket, control)?.said());
        let said = io(socket, Interest::READABLE, call).await?;
        Ok(Received::again(control.inbox().0, said, ()))
    }

    /// [`recv_async`](Self::recv_async) for a future written by hand; the last task that polled for reading is woken.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_recv<'c, S: AsyncSocket + ?Sized, C: ControlBuffer>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &S,
        control: &'c mut C,
    ) -> Poll<io::Result<Received<'c, C::List>>> {
        if self.is_refused() {
            return Poll::Ready(self.recv(socket, control));
        }
        let call = || Ok(self.recv(socket, control)?.said());
        let said = ready!(poll_io(socket, cx, Direction::Read, call))?;
        Poll::Ready(Ok(Received::again(control.inbox().0, said, ())))
    }
}

/// With the feature `tokio`.
impl RecvExact {
    /// [`recv`](Self::recv), awaited. Dropped before it is ready, it has lost nothing: what has arrived is in the buffers,
    /// [`received`](Self::received) says how much, and calling it again with the same buffers goes on there.
    ///
    /// # Errors
    ///
    /// As there, but `WouldBlock`.
    pub async fn recv_async<'c, S: AsyncSocket + ?Sized, C: ControlBuffer + Send>(
        &mut self,
        socket: &S,
        data: &mut [u8],
        control: &'c mut C,
    ) -> io::Result<Received<'c, C::List>> {
        if data.len() <= self.received() {
            return self.recv(socket, data, control);
        }
        let call = || Ok(self.recv(socket, data, control)?.said());
        let said = io(socket, Interest::READABLE, call).await?;
        Ok(Received::again(control.inbox().0, said, ()))
    }

    /// [`recv_async`](Self::recv_async) for a future written by hand; the last task that polled for reading is woken.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_recv<'c, S: AsyncSocket + ?Sized, C: ControlBuffer>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &S,
        data: &mut [u8],
        control: &'c mut C,
    ) -> Poll<io::Result<Received<'c, C::List>>> {
        if data.len() <= self.received() {
            return Poll::Ready(self.recv(socket, data, control));
        }
        let call = || Ok(self.recv(socket, data, control)?.said());
        let said = ready!(poll_io(socket, cx, Direction::Read, call))?;
        Poll::Ready(Ok(Received::again(control.inbox().0, said, ())))
    }
}

/// With the feature `tokio`. Dropped before they are ready, these futures have received nothing; what a batch has
/// received stays in it ([`received`](RecvBatch::received)).
impl<L: RecvList> RecvBatch<L> {
    /// [`recv`](Self::recv), awaited: the messages that are there, one at least.
    ///
    /// # Errors
    ///
    /// As there, but `WouldBlock`.
    pub async fn recv_async<S: AsyncSocket + ?Sized>(&mut self, socket: &S) -> io::Result<ReceivedMessages<'_, L>> {
        if self.capacity() == 0 {
            return self.recv(socket);
        }
        io(socket, Interest::READABLE, || self.recv(socket).map(drop)).await?;
        Ok(self.received())
    }

    /// [`recv_into`](Self::recv_into), awaited.
    ///
    /// ```
    /// use ancillary::batch::RecvBatch;
    /// use std::io::IoSliceMut;
    /// use tokio::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
    /// let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// socket.send_to(b"headbody", socket.local_addr()?).await?;
    /// let ([mut head, mut body], mut batch) = ([[0; 4]; 2], RecvBatch::<()>::new(1, 0));
    /// let mut buffers = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut body)];
    /// assert_eq!(batch.recv_into_async(&socket, &mut buffers, 2).await?.len(), 1);
    /// assert_eq!((&head, &body), (b"head", b"body"));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As there, but `WouldBlock`.
    pub async fn recv_into_async<S: AsyncSocket + ?Sized>(
        &mut self,
        socket: &S,
        buffers: &mut [IoSliceMut<'_>],
        each: usize,
    ) -> io::Result<ReceivedMessages<'_, L, ()>> {
        if self.capacity() == 0 || each == 0 || each > buffers.len() {
            return self.recv_into(socket, buffers, each);
        }
        io(socket, Interest::READABLE, || self.recv_into(socket, buffers, each).map(drop)).await?;
        Ok(self.received_into())
    }

    /// [`recv_async`](Self::recv_async) for a future written by hand; the last task that polled for reading is woken.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_recv<S: AsyncSocket + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &S,
    ) -> Poll<io::Result<ReceivedMessages<'_, L>>> {
        if self.capacity() == 0 {
            return Poll::Ready(self.recv(socket));
        }
        ready!(poll_io(socket, cx, Direction::Read, || self.recv(socket).map(drop)))?;
        Poll::Ready(Ok(self.received()))
    }

    /// [`recv_into_async`](Self::recv_into_async) likewise.
    ///
    /// ```
    /// use ancillary::batch::RecvBatch;
    /// use std::{future::poll_fn, io::IoSliceMut};
    /// use tokio::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
    /// # let peer = UdpSocket::bind("127.0.0.1:0").await?;
    /// # let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// # socket.connect(peer.local_addr()?).await?;
    /// # peer.send_to(b"hello", socket.local_addr()?).await?;
    /// let (mut batch, mut data) = (RecvBatch::<()>::new(1, 0), [0; 1500]);
    /// let mut buffers = [IoSliceMut::new(&mut data)];
    /// poll_fn(|cx| batch.poll_recv_into(cx, &socket, &mut buffers, 1).map_ok(drop)).await?;
    /// let lengths: Vec<_> = batch.received_into().map(|message| message.len()).collect();
    /// assert_eq!((&lengths[..], &data[..5]), (&[5][..], &b"hello"[..]));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_recv_into<S: AsyncSocket + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &S,
        buffers: &mut [IoSliceMut<'_>],
        each: usize,
    ) -> Poll<io::Result<ReceivedMessages<'_, L, ()>>> {
        if self.capacity() == 0 || each == 0 || each > buffers.len() {
            return Poll::Ready(self.recv_into(socket, buffers, each));
        }
        ready!(poll_io(socket, cx, Direction::Read, || self.recv_into(socket, buffers, each).map(drop)))?;
        Poll::Ready(Ok(self.received_into()))
    }
}
