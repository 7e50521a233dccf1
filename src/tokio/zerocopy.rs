//! Sends without a copy.

use std::{
    io,
    task::{Context, Poll},
};

use ::tokio::io::Interest;

use nix::libc;

use super::{
    AsyncSocket, ErrorWait,
    wait::{io, poll_room},
};
use crate::{
    MsgHdr,
    control::ControlBuffer,
    zerocopy::{Completion, Sends, ZeroCopy, ZeroCopyBuf},
};

/// With the feature `tokio`. A buffer to send stands in an `Option`, and leaves it when some of it has gone; until then
/// it is the caller's, also if the future is dropped. Completions that no future has read are still to be read, and
/// buffers that came back have been handed out.
///
/// To tokio a completion that waits to be read looks like room in a full stream, which is then asked again and again:
/// [`send_all_async`](Self::send_all_async) reads them first; who sends by the other forms does.
///
/// ```
/// use ancillary::ZeroCopy;
/// use tokio::{io::AsyncReadExt, net::{TcpListener, TcpStream}};
///
/// # fn main() -> std::io::Result<()> {
/// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
/// # let listener = TcpListener::bind("127.0.0.1:0").await?;
/// # let socket = TcpStream::connect(listener.local_addr()?).await?;
/// # let mut peer = listener.accept().await?.0;
/// # let reads = tokio::spawn(async move { peer.read_exact(&mut vec![0; 90_000]).await });
/// let mut out = ZeroCopy::new(socket)?;
/// let mut free = Vec::new();
/// for number in 0..3 {
///     let mut buffer = Some(free.pop().unwrap_or_else(|| vec![number; 30_000]));
///     out.send_all_async(&mut buffer, |buffer, _copied| free.push(buffer)).await?;
/// }
/// while out.wait_async(|buffer, _copied| free.push(buffer)).await? > 0 {}
/// assert_eq!(out.pending(), 0);
/// # reads.await.unwrap()?;
/// # Ok(())
/// # })
/// # }
/// ```
impl<S: AsyncSocket + Send, B: ZeroCopyBuf + Send> ZeroCopy<S, B> {
    /// [`send`](Self::send), awaited: one call, of which a stream may take a part. 0 if there is no buffer.
    ///
    /// Dropped before it is ready, it has sent nothing, and the buffer is in its place.
    ///
    /// # Errors
    ///
    /// As there, but `WouldBlock`. The buffer is in its place, unless the kernel may have it (UDP). ENOBUFS is no
    /// readiness: [`wait_async`](Self::wait_async) if buffers are pending, or [`send_all_async`](Self::send_all_async),
    /// which does that.
    pub async fn send_async(&mut self, buffer: &mut Option<B>) -> io::Result<usize> {
        self.send_with_async(buffer, |_| {}).await
    }

    /// [`send_with`](Self::send_with), awaited, as [`send_async`](Self::send_async); `header` is asked at every try. If
    /// it panics, the buffer goes with it.
    ///
    /// ```
    /// use ancillary::{ControlBuf, ZeroCopy, message::IpTtl};
    /// use tokio::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
    /// # let peer = UdpSocket::bind("127.0.0.1:0").await?;
    /// # let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// # socket.connect(peer.local_addr()?).await?;
    /// let mut out = ZeroCopy::new(socket)?;
    /// let mut buffer = Some(vec![7; 1200]);
    /// out.send_with_async(&mut buffer, |header| {
    ///     header.control(IpTtl(9));
    /// })
    /// .await?;
    /// assert_eq!((out.pending(), out.resume_async().await?), (1, 0)); // a datagram has no rest
    ///
    /// let (mut data, mut control, mut back) = ([0; 64], ControlBuf::<()>::new(), 0);
    /// while out.pending() > 0 {
    ///     out.drain_async(&mut data, &mut control, |_completion| back += 1).await?;
    /// }
    /// assert_eq!(back, 1);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn send_with_async(
        &mut self,
        buffer: &mut Option<B>,
        mut header: impl for<'h> FnMut(&mut MsgHdr<'h>) + Send,
    ) -> io::Result<usize> {
        let (socket, sends) = self.parts_mut();
        if buffer.is_none() || sends.unsent() > 0 {
            return sends.send_from(buffer, header);
        }
        io(socket, Interest::WRITABLE, || sends.send_from(buffer, &mut header)).await
    }

    /// [`resume`](Self::resume), awaited: one call. Dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    ///
    /// As there, but `WouldBlock`.
    pub async fn resume_async(&mut self) -> io::Result<usize> {
        let (socket, sends) = self.parts_mut();
        if sends.unsent() == 0 {
            return Ok(0);
        }
        io(socket, Interest::WRITABLE, || sends.resume()).await
    }

    /// Sends the whole of a buffer, in as many calls as it takes, behind the rest of the one before, if there is one, and
    /// hands back the buffers that are free meanwhile, as [`complete`](Self::complete) does. When the kernel can pin no
    /// more it waits for completions. Returns how many bytes went, of the rest of the one before too.
    ///
    /// Dropped before it is ready, it may have sent a part, and then the buffer is here: [`unsent`](Self::unsent). Calling
    /// it again, with the same `Option`, goes on there.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), [`resume`](Self::resume) and [`complete`](Self::complete), but `WouldBlock`; ENOBUFS only
    /// if no completion is to come. Calling it again goes on where it was.
    pub async fn send_all_async(
        &mut self,
        buffer: &mut Option<B>,
        mut released: impl FnMut(B, bool) + Send,
    ) -> io::Result<usize> {
        let (socket, sends) = self.parts_mut();
        sends.read(&mut released)?;
        let mut sent = 0;
        while sends.unsent() > 0 || buffer.is_some() {
            let step = || {
                let result = if sends.unsent() > 0 { sends.resume() } else { sends.send_from(buffer, |_| {}) };
                match result {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        // An entry that is left there would look like room.
                        sends.read(&mut released)?;
                        Err(error)
                    }
                    Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(Err(error)),
                    result => result.map(Ok),
                }
            };
            match io(socket, Interest::WRITABLE, step).await? {
                Ok(0) if sends.unsent() > 0 => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => sent += len,
                Err(_) if sends.will_complete() && (sends.unsent() > 0 || buffer.is_some()) => {
                    if sends.read(&mut released)?.0 == 0 {
                        io(socket, Interest::ERROR, || sends.read_some(&mut released)).await?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    /// Waits until a buffer is free; then does what [`complete`](Self::complete) does. Returns how many buffers came
    /// back: 0 if none is pending but one that has an unsent rest, so `while out.wait_async(...).await? > 0 {}` waits
    /// for all but that one: [`abandon`](Self::abandon) it before, if a send was given up.
    ///
    /// It waits for entries of the error queue alone, and does not spin when something else has gone wrong. Dropped before
    /// it is ready, it has handed back nothing. A peer that does not read keeps it waiting.
    ///
    /// # Errors
    ///
    /// As [`complete`](Self::complete).
    pub async fn wait_async(&mut self, mut released: impl FnMut(B, bool) + Send) -> io::Result<usize> {
        let (socket, sends) = self.parts_mut();
        match sends.release_some(&mut released) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
        io(socket, Interest::ERROR, || sends.release_some(&mut released)).await
    }

    /// Waits until there is an entry of the error queue, or a buffer that was copied; then does what
    /// [`drain`](Self::drain) does. Wait with it, beside [`send_async`](Self::send_async), on a socket that was asked for
    /// network errors or timestamps. Dropped before it is ready, it has handed on nothing.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn drain_async<C: ControlBuffer + Send>(
        &mut self,
        data: &mut [u8],
        control: &mut C,
        mut f: impl FnMut(Completion<'_, B, C::List>) + Send,
    ) -> io::Result<usize> {
        let (socket, sends) = self.parts_mut();
        let mut drain = || {
            let mut called = false;
            let entries = sends.drain(data, control, |event| {
                called = true;
                f(event);
            })?;
            if entries > 0 || called { io::Result::Ok(entries) } else { Err(io::ErrorKind::WouldBlock.into()) }
        };
        match drain() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
        io(socket, Interest::ERROR, drain).await
    }

    /// [`send_async`](Self::send_async) for a future written by hand; the last task that polled for writing is woken.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, buffer: &mut Option<B>) -> Poll<io::Result<usize>> {
        self.poll_send_with(cx, buffer, |_| {})
    }

    /// [`send_with_async`](Self::send_with_async) likewise.
    ///
    /// ```
    /// use ancillary::{ZeroCopy, message::IpTtl, tokio::ErrorWait};
    /// use std::future::poll_fn;
    /// use tokio::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
    /// # let peer = UdpSocket::bind("127.0.0.1:0").await?;
    /// # let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// # socket.connect(peer.local_addr()?).await?;
    /// let mut out = ZeroCopy::new(&socket)?;
    /// let (mut buffer, mut errors) = (Some(vec![7; 1200]), ErrorWait::new(&socket));
    /// let mut free = Vec::new();
    /// let sent = poll_fn(|cx| {
    ///     out.poll_send_with(cx, &mut buffer, |header| {
    ///         header.control(IpTtl(9));
    ///     })
    /// });
    /// assert_eq!(sent.await?, 1200);
    /// assert_eq!(poll_fn(|cx| out.poll_resume(cx)).await?, 0); // a datagram has no rest
    /// while poll_fn(|cx| out.poll_wait(cx, &mut errors, |buffer, _copied| free.push(buffer))).await? > 0 {}
    /// assert_eq!(free.len(), 1);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_send_with(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Option<B>,
        mut header: impl for<'h> FnMut(&mut MsgHdr<'h>),
    ) -> Poll<io::Result<usize>> {
        let (socket, sends) = self.parts_mut();
        if buffer.is_none() || sends.unsent() > 0 {
            return Poll::Ready(sends.send_from(buffer, header));
        }
        let mut anew = sends.anew.take();
        let sent = poll_room(socket, cx, &mut anew, || sends.send_from(buffer, &mut header));
        sends.anew = anew;
        sent
    }

    /// [`resume_async`](Self::resume_async) likewise.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_resume(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let (socket, sends) = self.parts_mut();
        if sends.unsent() == 0 {
            return Poll::Ready(Ok(0));
        }
        let mut anew = sends.anew.take();
        let sent = poll_room(socket, cx, &mut anew, || sends.resume());
        sends.anew = anew;
        sent
    }

    /// [`wait_async`](Self::wait_async) for a future written by hand; the last task that polled with `errors`, which is
    /// this socket's, is woken.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_wait(
        &mut self,
        cx: &mut Context<'_>,
        errors: &mut ErrorWait<'_>,
        mut released: impl FnMut(B, bool),
    ) -> Poll<io::Result<usize>> {
        let (_, sends) = self.parts_mut();
        match sends.release_some(&mut released) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return Poll::Ready(result),
        }
        errors.poll_read(cx, || sends.release_some(&mut released))
    }
}

impl<B: ZeroCopyBuf> Sends<B> {
    /// Sends what is there, and puts it back if it was not sent.
    fn send_from(&mut self, buffer: &mut Option<B>, header: impl for<'h> FnOnce(&mut MsgHdr<'h>)) -> io::Result<usize> {
        let Some(taken) = buffer.take() else { return Ok(0) };
        self.send_with(taken, header).map_err(|failed| {
            *buffer = failed.buffer;
            failed.error
        })
    }

    /// Reads one entry at least.
    fn read_some(&mut self, released: impl FnMut(B, bool)) -> io::Result<()> {
        match self.read(released)? {
            (0, _) => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    }

    /// Reads until a buffer comes back, or none will.
    fn release_some(&mut self, mut released: impl FnMut(B, bool)) -> io::Result<usize> {
        loop {
            match self.read(&mut released)? {
                (_, 0) if !self.will_release() => return Ok(0),
                (0, 0) => return Err(io::ErrorKind::WouldBlock.into()),
                (_, 0) => {}
                (_, count) => return Ok(count),
            }
        }
    }
}
