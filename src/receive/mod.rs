//! Receiving: buffers to scatter into, and what arrived.

mod exact;
mod received;

pub use exact::RecvExact;
pub use received::Received;
#[cfg(feature = "tokio")]
pub(crate) use received::Said;

use std::{
    fmt,
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::fd::AsFd,
};

#[cfg(linux_like)]
use nix::libc;

use crate::{control::ControlBuffer, error::EncodeError, flags::RecvFlags, sys};

/// How to receive a message (`struct msghdr`): buffers to scatter into, flags.
///
/// [`SocketExt::recv_msg`](crate::SocketExt::recv_msg) is the short form for one buffer.
///
/// ```
/// use ancillary::{ControlBuf, MsgHdrMut};
/// use std::os::unix::net::UnixDatagram;
///
/// # fn main() -> std::io::Result<()> {
/// let (a, b) = UnixDatagram::pair()?;
/// a.send(b"This is a test")?;
/// let (mut head, mut tail, mut control) = ([0; 12], [0; 2], ControlBuf::<()>::new());
/// let message = MsgHdrMut::new().data(&mut head).data(&mut tail).recv(&b, &mut control)?;
/// assert_eq!((message.len(), &head, &tail), (14, b"This is a te", b"st"));
/// # Ok(())
/// # }
/// ```
#[doc(alias = "msghdr")]
#[doc(alias = "recvmsg")]
pub struct MsgHdrMut<'a> {
    slices: sys::IoSlicesMut<'a>,
    flags: RecvFlags,
    peer: bool,
    inheritable: bool,
    error: Option<EncodeError>,
}

impl<'a> MsgHdrMut<'a> {
    /// Without buffers or flags.
    #[inline(always)]
    #[expect(clippy::new_without_default, reason = "beside MsgHdr::new")]
    pub const fn new() -> Self {
        Self { slices: sys::IoSlicesMut::new(), flags: RecvFlags::empty(), peer: true, inheritable: false, error: None }
    }

    /// One more buffer to scatter into (`msg_iov`), up to 64; [`slices`](Self::slices) takes more.
    #[doc(alias = "msg_iov")]
    #[inline(always)]
    pub fn data(&mut self, bytes: &'a mut [u8]) -> &mut Self {
        let pushed = self.slices.push(bytes);
        self.note(pushed)
    }

    /// One more buffer, which may be uninitialised; [`filled`](Self::filled) shows what arrived.
    ///
    /// ```
    /// use ancillary::{ControlBuf, MsgHdrMut};
    /// use std::{mem::MaybeUninit, os::unix::net::UnixDatagram};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (a, b) = UnixDatagram::pair()?;
    /// a.send(b"headbody")?;
    /// let (mut head, mut body, mut control) = ([0; 4], [MaybeUninit::uninit(); 4096], ControlBuf::<()>::new());
    /// let mut header = MsgHdrMut::new();
    /// header.data(&mut head).uninit(&mut body).recv(&b, &mut control)?;
    /// assert_eq!(header.filled().collect::<Vec<_>>(), [b"head", b"body"]); // the rest stays unwritten
    /// # Ok(())
    /// # }
    /// ```
    #[inline(always)]
    pub fn uninit(&mut self, bytes: &'a mut [MaybeUninit<u8>]) -> &mut Self {
        let pushed = self.slices.push_uninit(bytes);
        self.note(pushed)
    }

    /// Many buffers: by reference, up to 1,024 (`IOV_MAX`), when they are all there is; else copied into the header's
    /// 64.
    ///
    /// ```
    /// use ancillary::{ControlBuf, MsgHdrMut};
    /// use std::{io::IoSliceMut, os::unix::net::UnixDatagram};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (a, b) = UnixDatagram::pair()?;
    /// a.send(&[7; 300])?;
    /// let (mut pieces, mut control) = ([[0; 3]; 100], ControlBuf::<()>::new());
    /// let mut slices: Vec<_> = pieces.iter_mut().map(|piece| IoSliceMut::new(piece)).collect();
    /// MsgHdrMut::new().slices(&mut slices).recv(&b, &mut control)?;
    /// assert_eq!(pieces, [[7; 3]; 100]);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "IOV_MAX")]
    #[inline]
    pub fn slices(&mut self, slices: &'a mut [IoSliceMut<'a>]) -> &mut Self {
        let set = self.slices.set_or_extend(slices);
        self.note(set)
    }

    #[inline(always)]
    fn note(&mut self, result: Result<(), usize>) -> &mut Self {
        if let Err(needed) = result {
            self.error.get_or_insert(EncodeError::Slices { needed, available: sys::INLINE_SLICES });
        }
        self
    }

    /// More flags.
    #[inline]
    pub fn flags(&mut self, flags: RecvFlags) -> &mut Self {
        self.flags |= flags;
        self
    }

    /// Does not ask for the peer's address; for connected sockets.
    ///
    /// ```
    /// use ancillary::{ControlBuf, MsgHdrMut};
    /// use std::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// socket.connect(socket.local_addr()?)?;
    /// socket.send(b"known")?;
    /// let (mut data, mut control) = ([0; 16], ControlBuf::<()>::new());
    /// let message = MsgHdrMut::new().data(&mut data).no_peer().recv(&socket, &mut control)?;
    /// assert!(message.peer().is_none());
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn no_peer(&mut self) -> &mut Self {
        self.peer = false;
        self
    }

    /// Leaves received descriptors open across execve(2), as C does by default. On AF_PACKET sockets, which carry none and
    /// refuse `MSG_CMSG_CLOEXEC`, it saves the call that would be refused at every receive.
    ///
    /// ```
    /// use ancillary::{ControlBuf, MsgHdrMut, SocketExt, message::ScmRightsSpace};
    /// use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    /// use std::os::unix::net::UnixStream;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (a, b) = UnixStream::pair()?;
    /// a.send_fds(b"x", [&a])?;
    /// let (mut data, mut control) = ([0; 1], ControlBuf::<ScmRightsSpace<1>>::new());
    /// let mut message = MsgHdrMut::new().data(&mut data).inheritable().recv(&b, &mut control)?;
    /// let [fd] = message.take_fds_exact()?;
    /// let flags = FdFlag::from_bits_truncate(fcntl(&fd, FcntlArg::F_GETFD)?);
    /// assert!(!flags.contains(FdFlag::FD_CLOEXEC)); // a program that is executed has it too
    /// # Ok(())
    /// # }
    /// ```
    pub fn inheritable(&mut self) -> &mut Self {
        self.inheritable = true;
        self
    }

    /// Receives one message (recvmsg(2)) into these buffers.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Slices`] for more buffers than fit, and nothing has been received then; else that of recvmsg(2),
    /// errno preserved. EINTR is retried, `WouldBlock` is returned, which is also how a time limit that passes is told.
    /// Truncation is no error.
    #[doc(alias = "recvmsg")]
    #[inline(always)]
    pub fn recv<'c, C: ControlBuffer>(
        &mut self,
        socket: impl AsFd,
        control: &'c mut C,
    ) -> io::Result<Received<'c, C::List>> {
        let mut inbox = control.inbox().0;
        if self.error.is_some() || self.slices.count() > sys::MAX_SLICES {
            inbox.rearm();
            self.slices.forget();
            return Err(self.complaint().into());
        }
        let ask = self.ask(false);
        let arrival = inbox.recv(&socket, &mut self.slices, ask)?;
        Ok(Received::new(inbox, &socket, arrival, || self.slices.capacity(), ()))
    }

    /// Receives one message into the spare capacity of a `bytes::BufMut` (its first chunk: reserve before), which
    /// advances. It takes the place of other buffers.
    ///
    /// ```
    /// use ancillary::{ControlBuf, MsgHdrMut, RecvFlags};
    /// use std::os::unix::net::UnixDatagram;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (a, b) = UnixDatagram::pair()?;
    /// a.send(b"hello")?;
    /// let (mut data, mut control) = (Vec::with_capacity(64), ControlBuf::<()>::new());
    /// for flags in [RecvFlags::PEEK, RecvFlags::empty()] {
    ///     data.clear();
    ///     MsgHdrMut::new().flags(flags).recv_buf(&b, &mut data, &mut control)?;
    ///     assert_eq!(data, b"hello");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv); [`EncodeError::Slices`] if there are other buffers.
    #[cfg(feature = "bytes")]
    pub fn recv_buf<'c, C: ControlBuffer>(
        &mut self,
        socket: impl AsFd,
        data: &mut (impl bytes::BufMut + ?Sized),
        control: &'c mut C,
    ) -> io::Result<Received<'c, C::List>> {
        if self.slices.count() > 0 {
            return Err(EncodeError::Slices { needed: self.slices.count() + 1, available: 1 }.into());
        }
        let (mut inbox, capacity) = (control.inbox().0, data.chunk_mut().len());
        let arrival = sys::recv_buf_mut(&mut inbox, &socket, data, self.ask(false))?;
        Ok(Received::new(inbox, &socket, arrival, || capacity, ()))
    }

    /// What the last receive wrote, piece by piece.
    pub fn filled(&self) -> impl Iterator<Item = &[u8]> {
        self.slices.filled()
    }

    #[cold]
    fn complaint(&self) -> EncodeError {
        let slices = EncodeError::Slices { needed: self.slices.count(), available: sys::MAX_SLICES };
        self.error.unwrap_or(slices)
    }

    #[inline(always)]
    fn ask(&self, append: bool) -> sys::Recv {
        #[allow(unused_mut, reason = "only Linux has an error queue")]
        let mut flags = self.flags.bits();
        // The error queue never blocks, but AF_UNIX ignores the flag and would.
        #[cfg(linux_like)]
        if flags & libc::MSG_ERRQUEUE != 0 {
            flags |= libc::MSG_DONTWAIT;
        }
        sys::Recv { flags, peer: self.peer, inheritable: self.inheritable, append }
    }

    #[inline(always)]
    pub(crate) fn recv_slice<'d, 'c, C: ControlBuffer>(
        &self,
        socket: &(impl AsFd + ?Sized),
        data: &'d mut [u8],
        control: &'c mut C,
    ) -> io::Result<Received<'c, C::List, &'d [u8]>> {
        let (mut inbox, capacity) = (control.inbox().0, data.len());
        let (arrival, data) = inbox.recv_slice(socket, data, self.ask(false))?;
        Ok(Received::new(inbox, socket, arrival, || capacity, &*data))
    }

    #[inline(always)]
    pub(crate) fn recv_uninit<'d, 'c, C: ControlBuffer>(
        &self,
        socket: &(impl AsFd + ?Sized),
        data: &'d mut [MaybeUninit<u8>],
        control: &'c mut C,
    ) -> io::Result<Received<'c, C::List, &'d [u8]>> {
        let (mut inbox, capacity) = (control.inbox().0, data.len());
        let (arrival, data) = inbox.recv_uninit(socket, data, self.ask(false)).map_err(|(error, _)| error)?;
        Ok(Received::new(inbox, socket, arrival, || capacity, &*data))
    }

    /// The same, of which the message and its data can leave a closure around readiness. `room` is empty after a success.
    #[cfg(feature = "tokio")]
    pub(crate) fn try_recv_uninit<'d, C: ControlBuffer>(
        &self,
        socket: &(impl AsFd + ?Sized),
        room: &mut &'d mut [MaybeUninit<u8>],
        control: &mut C,
    ) -> io::Result<(Said, &'d [u8])> {
        let (mut inbox, capacity) = (control.inbox().0, room.len());
        match inbox.recv_uninit(socket, std::mem::take(room), self.ask(false)) {
            Ok((arrival, data)) => {
                let received = Received::<C::List, ()>::new(inbox, socket, arrival, || capacity, ());
                Ok((received.said(), data))
            }
            Err((error, data)) => {
                *room = data;
                Err(error)
            }
        }
    }

    /// Whether the next receive will fail without a call.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_refused(&self) -> bool {
        self.error.is_some() || self.slices.count() > sys::MAX_SLICES
    }
}

/// Prints buffers and flags.
impl fmt::Debug for MsgHdrMut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, count) = (self.slices.capacity(), self.slices.count());
        write!(f, "MsgHdrMut {{ room: {bytes} bytes (slices: {count}), flags: ")?;
        bitflags::parser::to_writer(&self.flags, &mut *f)?;
        f.write_str(" }")
    }
}

/// ER01, ER02: buffers that cannot be written to, sizes below zero, flags of the other direction.
///
/// ```
/// # use ancillary::{ControlVec, MsgHdrMut, RecvFlags};
/// let mut data = [0; 8];
/// MsgHdrMut::new().data(&mut data).flags(RecvFlags::PEEK);
/// ControlVec::<()>::with_capacity(8);
/// ```
///
/// ```compile_fail,E0308
/// # use ancillary::MsgHdrMut;
/// let data = [0; 8];
/// MsgHdrMut::new().data(&data);
/// ```
///
/// ```compile_fail,E0600
/// # use ancillary::ControlVec;
/// ControlVec::<()>::with_capacity(-8);
/// ```
///
/// ```compile_fail,E0308
/// # use ancillary::{MsgHdrMut, SendFlags};
/// MsgHdrMut::new().flags(SendFlags::EOR);
/// ```
#[cfg(doctest)]
struct ArgumentsAreChecked;

/// TH02: while a receive or a send has a buffer, nobody else reads or writes it.
///
/// ```
/// # use ancillary::{ControlBuf, MsgHdr, SocketExt};
/// # use std::os::unix::net::UnixDatagram;
/// let (a, b) = UnixDatagram::pair()?;
/// let (mut data, mut control) = ([0; 8], ControlBuf::<()>::new());
/// MsgHdr::new().data(b"whole").send(&a)?;
/// let message = b.recv_msg(&mut data, &mut control)?;
/// assert_eq!(message.data(), b"whole");
/// data[0] = 1;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// ```compile_fail,E0506
/// # use ancillary::{ControlBuf, MsgHdr, SocketExt};
/// # use std::os::unix::net::UnixDatagram;
/// let (a, b) = UnixDatagram::pair()?;
/// let (mut data, mut control) = ([0; 8], ControlBuf::<()>::new());
/// MsgHdr::new().data(b"whole").send(&a)?;
/// let message = b.recv_msg(&mut data, &mut control)?;
/// data[0] = 1; // in use until the message is
/// assert_eq!(message.data(), b"whole");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// ```compile_fail,E0499
/// # use ancillary::{ControlBuf, MsgHdrMut};
/// # fn receive(a: std::os::unix::net::UnixDatagram, b: std::os::unix::net::UnixDatagram) -> std::io::Result<()> {
/// let (mut data, mut control) = ([0; 8], ControlBuf::<()>::new());
/// std::thread::scope(|scope| {
///     scope.spawn(|| MsgHdrMut::new().data(&mut data).recv(&a, &mut control).map(|message| message.len()));
///     scope.spawn(|| MsgHdrMut::new().data(&mut data).recv(&b, &mut control).map(|message| message.len()));
/// });
/// # Ok(())
/// # }
/// ```
#[cfg(doctest)]
struct BuffersAreInUse;
