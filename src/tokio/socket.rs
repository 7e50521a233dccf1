//! What a socket of tokio gains.

use std::{
    future::Future,
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd},
    sync::Arc,
    task::{Context, Poll, ready},
};

use ::tokio::{
    io::{Interest, unix::AsyncFd},
    net::{TcpStream, UdpSocket, UnixDatagram, UnixStream},
};

#[cfg(linux_like)]
use super::ErrorWait;
use super::wait::{Direction, io, poll_io};
#[cfg(linux_like)]
use crate::error_queue::QueuedError;
use crate::{
    FdMessage, MsgHdr, SocketExt,
    control::ControlBuffer,
    message::ScmRights,
    receive::{MsgHdrMut, Received},
};

/// A socket whose readiness tokio watches: [`UdpSocket`], [`UnixDatagram`], [`UnixStream`], [`TcpStream`] and every
/// [`AsyncFd`], and references to them.
///
/// The short forms of receiving are here, beside those of [`SocketExt`]; the others are on [`MsgHdr`](crate::MsgHdr),
/// [`MsgHdrMut`](crate::MsgHdrMut) and the other headers and queues.
///
/// A type of one's own passes the first four methods on to the socket in it. `write_half.as_ref()` is the socket of one
/// of tokio's halves.
///
/// ```
/// use ancillary::{ControlBuf, SocketExt, message::HopLimit, tokio::AsyncSocket};
///
/// /// How far away the sender of the next datagram is, on whatever socket.
/// async fn distance(socket: &impl AsyncSocket) -> std::io::Result<Option<u8>> {
///     let (mut data, mut control) = ([0; 1500], ControlBuf::<HopLimit>::new());
///     let message = socket.recv_msg_async(&mut data, &mut control).await?;
///     Ok(message.extract().map(|hops| 64 - hops.0))
/// }
///
/// # fn main() -> std::io::Result<()> {
/// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
/// let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await?;
/// socket.enable::<HopLimit>()?;
/// # ancillary::MsgHdr::new().to(socket.local_addr()?).data(b"x").control(HopLimit(64)).send_async(&socket).await?;
/// assert_eq!(distance(&socket).await?, Some(0));
/// # Ok(())
/// # })
/// # }
/// ```
///
/// ```
/// use ancillary::tokio::AsyncSocket;
/// use std::{io, os::fd::{AsFd, BorrowedFd}, task::{Context, Poll}};
/// use tokio::{io::Interest, net::UdpSocket};
///
/// /// A socket of one's own.
/// struct Server { socket: UdpSocket }
///
/// impl AsFd for Server {
///     fn as_fd(&self) -> BorrowedFd<'_> { self.socket.as_fd() }
/// }
///
/// impl AsyncSocket for Server {
///     fn async_io<R: Send>(
///         &self,
///         interest: Interest,
///         call: impl FnMut() -> io::Result<R> + Send,
///     ) -> impl Future<Output = io::Result<R>> + Send {
///         AsyncSocket::async_io(&self.socket, interest, call)
///     }
///     fn try_io<R>(&self, interest: Interest, call: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
///         AsyncSocket::try_io(&self.socket, interest, call)
///     }
///     fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> { self.socket.poll_readable(cx) }
///     fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> { self.socket.poll_writable(cx) }
/// }
/// # use ancillary::{ControlBuf, MsgHdr};
/// # fn main() -> io::Result<()> {
/// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
/// # let server = Server { socket: UdpSocket::bind("127.0.0.1:0").await? };
/// # MsgHdr::new().to(server.socket.local_addr()?).data(b"to itself").send_async(&server).await?;
/// # let (mut data, mut control) = ([0; 16], ControlBuf::<()>::new());
/// # assert_eq!(server.recv_msg_async(&mut data, &mut control).await?.data(), b"to itself");
/// # Ok(())
/// # })
/// # }
/// ```
pub trait AsyncSocket: AsFd + Sync {
    /// Waits until the socket is ready, makes the call, and waits again as long as the call returns `WouldBlock`.
    ///
    /// # Errors
    ///
    /// Any other error of the call, and that of a runtime that is shutting down.
    fn async_io<R: Send>(
        &self,
        interest: Interest,
        call: impl FnMut() -> io::Result<R> + Send,
    ) -> impl Future<Output = io::Result<R>> + Send;

    /// Makes the call if tokio thinks that the socket is ready; `WouldBlock` from the call ends that.
    ///
    /// # Errors
    ///
    /// Those of the call, and `WouldBlock` without one.
    fn try_io<R>(&self, interest: Interest, call: impl FnOnce() -> io::Result<R>) -> io::Result<R>;

    /// Whether it is readable; else the last task that asked is woken when it is.
    ///
    /// # Errors
    ///
    /// That of a runtime that is shutting down.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Whether it is writable; else the last task that asked is woken when it is.
    ///
    /// # Errors
    ///
    /// That of a runtime that is shutting down.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// [`SocketExt::recv_msg`], awaited.
    ///
    /// ```
    /// use ancillary::{ControlBuf, SocketExt, message::ScmRightsSpace, tokio::AsyncSocket};
    /// use tokio::net::UnixStream;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
    /// let (a, b) = UnixStream::pair()?;
    /// a.send_fds_async(b"ours", &[&a, &b]).await?;
    ///
    /// let (mut data, mut control) = ([0; 64], ControlBuf::<ScmRightsSpace<2>>::new());
    /// let mut message = b.recv_msg_async(&mut data, &mut control).await?;
    /// let [first, second] = message.take_fds_exact()?;
    /// assert_eq!(message.data(), b"ours");
    /// # drop((first, second));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As there.
    fn recv_msg_async<'d, 'c, C: ControlBuffer + Send>(
        &self,
        data: &'d mut [u8],
        control: &'c mut C,
    ) -> impl Future<Output = io::Result<Received<'c, C::List, &'d [u8]>>> + Send {
        async move {
            let call = || Ok(self.recv_msg(data, control)?.said());
            let said = io(self, Interest::READABLE, call).await?;
            Ok(Received::again(control.inbox().0, said, &*data))
        }
    }

    /// [`SocketExt::recv_msg_uninit`], awaited.
    ///
    /// ```
    /// use ancillary::{ControlBuf, tokio::AsyncSocket};
    /// use std::mem::MaybeUninit;
    /// use tokio::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
    /// let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// socket.send_to(b"hello", socket.local_addr()?).await?;
    /// let (mut data, mut control) = ([MaybeUninit::uninit(); 65536], ControlBuf::<()>::new());
    /// assert_eq!(socket.recv_msg_uninit_async(&mut data, &mut control).await?.data(), b"hello");
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As there.
    fn recv_msg_uninit_async<'d, 'c, C: ControlBuffer + Send>(
        &self,
        data: &'d mut [MaybeUninit<u8>],
        control: &'c mut C,
    ) -> impl Future<Output = io::Result<Received<'c, C::List, &'d [u8]>>> + Send {
        async move {
            let (mut room, mut filled) = (data, &[][..]);
            let call = || {
                let (said, data) = MsgHdrMut::new().try_recv_uninit(self, &mut room, control)?;
                filled = data;
                Ok(said)
            };
            let said = io(self, Interest::READABLE, call).await?;
            Ok(Received::again(control.inbox().0, said, filled))
        }
    }

    /// [`SocketExt::recv_msg_buf`], awaited.
    ///
    /// ```
    /// use ancillary::{ControlBuf, tokio::AsyncSocket};
    /// use tokio::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
    /// let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// socket.send_to(b"hello", socket.local_addr()?).await?;
    /// let (mut data, mut control) = (bytes::BytesMut::with_capacity(1500), ControlBuf::<()>::new());
    /// socket.recv_msg_buf_async(&mut data, &mut control).await?;
    /// assert_eq!(data, "hello");
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As there.
    #[cfg(feature = "bytes")]
    fn recv_msg_buf_async<'c, C: ControlBuffer + Send>(
        &self,
        data: &mut (impl bytes::BufMut + Send + ?Sized),
        control: &'c mut C,
    ) -> impl Future<Output = io::Result<Received<'c, C::List>>> + Send {
        async move {
            let call = || Ok(self.recv_msg_buf(data, control)?.said());
            let said = io(self, Interest::READABLE, call).await?;
            Ok(Received::again(control.inbox().0, said, ()))
        }
    }

    /// [`SocketExt::recv_fds`], awaited.
    ///
    /// ```
    /// use ancillary::tokio::AsyncSocket;
    /// use std::fs::File;
    /// use tokio::net::UnixStream;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
    /// let (a, b) = UnixStream::pair()?;
    /// a.send_fds_async(b"x", &[File::open("/dev/null")?]).await?;
    /// let [file] = b.recv_fds_async(&mut [0; 1]).await?.exact()?;
    /// # drop(file);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As there.
    fn recv_fds_async<const N: usize>(&self, data: &mut [u8]) -> impl Future<Output = io::Result<FdMessage<N>>> + Send {
        io(self, Interest::READABLE, || self.recv_fds(data))
    }

    /// [`SocketExt::send_fds`], awaited, of a slice: `&[&a, &b]`, `&fds`.
    ///
    /// # Errors
    ///
    /// As there.
    fn send_fds_async<'fd, F: AsFd>(
        &self,
        data: &'fd [u8],
        fds: &'fd [F],
    ) -> impl Future<Output = io::Result<usize>> + Send {
        let mut message = MsgHdr::new();
        message.data(data).control(ScmRights::new(fds));
        async move { message.send_async(self).await }
    }

    /// Waits for an entry of the error queue and reads it: [`SocketExt::recv_error`], awaited. It waits for errors alone
    /// (`EPOLLERR`), and does not spin when what has gone wrong leaves no entry, as a reset connection does: wait for a
    /// message beside it.
    ///
    /// Many entries make one event, perhaps: read the others with [`ErrorQueue::drain`](crate::ErrorQueue::drain), or
    /// call this again, which waits only if there is none.
    ///
    /// ```
    /// use ancillary::{ControlBuf, SocketExt, message::{ExtendedError, Meaning}, tokio::AsyncSocket};
    /// use tokio::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
    /// let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// socket.enable::<ExtendedError>()?;
    /// let nobody = UdpSocket::bind("127.0.0.1:0").await?.local_addr()?; // closed again at once
    /// socket.send_to(b"anyone?", nobody).await?;
    ///
    /// let (mut data, mut control) = ([0; 64], ControlBuf::<ExtendedError>::new());
    /// let entry = socket.recv_error_async(&mut data, &mut control).await?;
    /// assert_eq!((entry.error().meaning(), entry.data()), (Meaning::PortUnreachable, &b"anyone?"[..]));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As there, but `WouldBlock`.
    #[cfg(linux_like)]
    #[doc(alias = "MSG_ERRQUEUE")]
    #[doc(alias = "EPOLLERR")]
    fn recv_error_async<'d, 'c, C: ControlBuffer + Send>(
        &self,
        data: &'d mut [u8],
        control: &'c mut C,
    ) -> impl Future<Output = io::Result<QueuedError<'c, C::List, &'d [u8]>>> + Send {
        async move {
            let queue = self.error_queue()?;
            let call = || {
                let entry = queue.recv(data, control)?;
                Ok((*entry.error(), entry.said()))
            };
            let (error, said) = io(self, Interest::ERROR, call).await?;
            Ok(QueuedError::new(error, Received::again(control.inbox().0, said, &*data)))
        }
    }

    /// [`recv_error_async`](Self::recv_error_async) for a future written by hand; the last task that polled with `errors`,
    /// which is this socket's, is woken.
    ///
    /// # Errors
    ///
    /// As there.
    #[cfg(linux_like)]
    fn poll_recv_error<'d, 'c, C: ControlBuffer>(
        &self,
        cx: &mut Context<'_>,
        errors: &mut ErrorWait<'_>,
        data: &'d mut [u8],
        control: &'c mut C,
    ) -> Poll<io::Result<QueuedError<'c, C::List, &'d [u8]>>> {
        let call = || {
            let entry = self.recv_error(data, control)?;
            Ok((*entry.error(), entry.said()))
        };
        let (error, said) = ready!(errors.poll_read(cx, call))?;
        Poll::Ready(Ok(QueuedError::new(error, Received::again(control.inbox().0, said, &*data))))
    }

    /// [`recv_msg_async`](Self::recv_msg_async) for a future written by hand; the last task that polled for reading is
    /// woken.
    ///
    /// ```
    /// use ancillary::{ControlBuf, SocketExt, message::HopLimit, tokio::AsyncSocket};
    /// use std::{io, task::{Context, Poll, ready}};
    /// use tokio::net::UdpSocket;
    ///
    /// /// How far the sender of the next datagram said that it may go.
    /// fn poll_hops(socket: &UdpSocket, cx: &mut Context<'_>) -> Poll<io::Result<Option<HopLimit>>> {
    ///     let (mut data, mut control) = ([0; 1500], ControlBuf::<HopLimit>::new());
    ///     let message = ready!(socket.poll_recv_msg(cx, &mut data, &mut control))?;
    ///     Poll::Ready(Ok(message.extract()))
    /// }
    ///
    /// # fn main() -> io::Result<()> {
    /// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
    /// let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// socket.enable::<HopLimit>()?;
    /// socket.send_to(b"hello", socket.local_addr()?).await?;
    /// assert!(std::future::poll_fn(|cx| poll_hops(&socket, cx)).await?.is_some());
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As there.
    fn poll_recv_msg<'d, 'c, C: ControlBuffer>(
        &self,
        cx: &mut Context<'_>,
        data: &'d mut [u8],
        control: &'c mut C,
    ) -> Poll<io::Result<Received<'c, C::List, &'d [u8]>>> {
        let call = || Ok(self.recv_msg(data, control)?.said());
        let said = ready!(poll_io(self, cx, Direction::Read, call))?;
        Poll::Ready(Ok(Received::again(control.inbox().0, said, &*data)))
    }

    /// [`recv_msg_uninit_async`](Self::recv_msg_uninit_async) likewise.
    ///
    /// # Errors
    ///
    /// As there.
    fn poll_recv_msg_uninit<'d, 'c, C: ControlBuffer>(
        &self,
        cx: &mut Context<'_>,
        data: &'d mut [MaybeUninit<u8>],
        control: &'c mut C,
    ) -> Poll<io::Result<Received<'c, C::List, &'d [u8]>>> {
        let (mut room, mut filled) = (data, &[][..]);
        let call = || {
            let (said, data) = MsgHdrMut::new().try_recv_uninit(self, &mut room, control)?;
            filled = data;
            Ok(said)
        };
        let said = ready!(poll_io(self, cx, Direction::Read, call))?;
        Poll::Ready(Ok(Received::again(control.inbox().0, said, filled)))
    }

    /// [`recv_msg_buf_async`](Self::recv_msg_buf_async) likewise.
    ///
    /// # Errors
    ///
    /// As there.
    #[cfg(feature = "bytes")]
    fn poll_recv_msg_buf<'c, C: ControlBuffer>(
        &self,
        cx: &mut Context<'_>,
        data: &mut (impl bytes::BufMut + ?Sized),
        control: &'c mut C,
    ) -> Poll<io::Result<Received<'c, C::List>>> {
        let call = || Ok(self.recv_msg_buf(data, control)?.said());
        let said = ready!(poll_io(self, cx, Direction::Read, call))?;
        Poll::Ready(Ok(Received::again(control.inbox().0, said, ())))
    }

    /// [`recv_fds_async`](Self::recv_fds_async) likewise.
    ///
    /// # Errors
    ///
    /// As there.
    fn poll_recv_fds<const N: usize>(&self, cx: &mut Context<'_>, data: &mut [u8]) -> Poll<io::Result<FdMessage<N>>> {
        poll_io(self, cx, Direction::Read, || self.recv_fds(data))
    }

    /// [`send_fds_async`](Self::send_fds_async) likewise; the last task that polled for writing is woken.
    ///
    /// # Errors
    ///
    /// As there.
    fn poll_send_fds<F: AsFd>(&self, cx: &mut Context<'_>, data: &[u8], fds: &[F]) -> Poll<io::Result<usize>> {
        MsgHdr::new().data(data).control(ScmRights::new(fds)).poll_send(cx, self)
    }
}

macro_rules! sockets {
    ($($type:ty: $readable:ident, $writable:ident;)+) => {$(
        impl AsyncSocket for $type {
            fn async_io<R: Send>(
                &self,
                interest: Interest,
                call: impl FnMut() -> io::Result<R> + Send,
            ) -> impl Future<Output = io::Result<R>> + Send {
                <$type>::async_io(self, interest, call)
            }

            fn try_io<R>(&self, interest: Interest, call: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
                <$type>::try_io(self, interest, call)
            }

            fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.$readable(cx)
            }

            fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.$writable(cx)
            }
        }
    )+};
}

sockets! {
    UdpSocket: poll_recv_ready, poll_send_ready;
    UnixDatagram: poll_recv_ready, poll_send_ready;
    UnixStream: poll_read_ready, poll_write_ready;
    TcpStream: poll_read_ready, poll_write_ready;
}

/// What is in it has to be non-blocking, as tokio asks.
impl<T: AsRawFd + Sync> AsyncSocket for AsyncFd<T> {
    fn async_io<R: Send>(
        &self,
        interest: Interest,
        mut call: impl FnMut() -> io::Result<R> + Send,
    ) -> impl Future<Output = io::Result<R>> + Send {
        AsyncFd::async_io(self, interest, move |_| call())
    }

    fn try_io<R>(&self, interest: Interest, call: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        AsyncFd::try_io(self, interest, |_| call())
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx).map_ok(drop)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_ready(cx).map_ok(drop)
    }
}

macro_rules! references {
    ($([$($generics:tt)*] $type:ty;)+) => {$(
        impl<$($generics)*> AsyncSocket for $type {
            fn async_io<R: Send>(
                &self,
                interest: Interest,
                call: impl FnMut() -> io::Result<R> + Send,
            ) -> impl Future<Output = io::Result<R>> + Send {
                (**self).async_io(interest, call)
            }

            fn try_io<R>(&self, interest: Interest, call: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
                (**self).try_io(interest, call)
            }

            fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                (**self).poll_readable(cx)
            }

            fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                (**self).poll_writable(cx)
            }
        }
    )+};
}

references! {
    [S: AsyncSocket] &S;
    [S: AsyncSocket + Send] Arc<S>;
}
